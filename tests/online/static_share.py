"""Of how many popular projects the newest sdist tells what it depends on without any build: a table, and the shares.

Run by ``nox -s sdists``; projects can be named instead of the list. Each is asked of our own index, its sdist fetched
whole and read as ``bundle`` reads it. Nothing is built. Sdists of a folder are read with
``--no-index --find-links FOLDER``.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pypimirror.build.source import read_backend
from pypimirror.connected import Connection, connect
from pypimirror.errors import PypimirrorError
from pypimirror.index import sdist, tars
from pypimirror.model.files import ListedFile
from pypimirror.model.names import NormalizedName, ParsedName, project_name
from pypimirror.net.settings import CommandLineOptions, resolve_settings
from pypimirror.reporting import Reporter

__all__ = ["PROJECTS", "Told", "main", "told"]

PROJECTS = (
    "aiohttp", "alembic", "ansible-core", "attrs", "beautifulsoup4", "black", "boto3", "botocore", "celery",
    "certifi", "cffi", "charset-normalizer", "click", "coverage", "cryptography", "cython", "django", "docopt",
    "docutils", "fastapi", "filelock", "flask", "fsspec", "future", "google-auth", "greenlet", "grpcio", "httpx",
    "idna", "iniconfig", "jinja2", "jsonschema", "kiwisolver", "lxml", "markupsafe", "matplotlib", "msgpack",
    "networkx", "numpy", "odfpy", "packaging", "pandas", "paramiko", "pillow", "pluggy", "protobuf", "psutil",
    "psycopg2", "pyarrow", "pycparser", "pydantic", "pydantic-core", "pygments", "pyperclip", "pytest",
    "python-dateutil", "pytz", "pyyaml", "pyzmq", "requests", "rich", "rpds-py", "s3transfer", "scikit-learn",
    "scipy", "setuptools", "six", "sqlalchemy", "tomlkit", "urllib3",
)  # fmt: skip
"""Seventy that wish lists often come to: pure and compiled ones, of each backend, old and new."""

WORDS = {
    "PKG-INFO": "PKG-INFO 2.2 or newer",
    "pyproject.toml": "[project] in pyproject.toml",
    "egg-info": "egg-info alone (--trust-egg-info)",
    "build": "nothing but a build (--allow-build)",
}
"""Where metadata is found, in the order in which it is looked for."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one sdist tells: where its metadata stands, a key of WORDS; who builds it, with what, in which languages."""

    filename: str
    place: str
    backend: str
    build_requires: tuple[str, ...]
    languages: tuple[str, ...]


def told(path: Path, name: ParsedName) -> Told:
    """Read one sdist. Raises IntegrityFault."""
    with path.open("rb") as source:
        texts = sdist.read_metadata(source, name)
    return Told(
        filename=name.filename,
        place=_place(texts, name),
        backend=_backend(path, name),
        build_requires=texts.build_requires,
        languages=texts.languages,
    )


def _place(texts: sdist.SdistTexts, name: ParsedName) -> str:
    parts = {"PKG-INFO": replace(texts, project=None), "pyproject.toml": texts, "egg-info": texts}
    for place, part in parts.items():
        try:
            sdist.core_metadata(part, name=name, trust_egg_info=place == "egg-info")
        except PypimirrorError as fault:
            if fault.code != "metadata-not-static":
                raise
        else:
            return place
    return "build"


def _backend(path: Path, name: ParsedName) -> str:
    """The backend's name, as builds have it."""

    def choose(member: str) -> str | None:
        return "pyproject.toml" if member.removeprefix("./").partition("/")[2] == "pyproject.toml" else None

    if name.filename.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            members = [(choose(each), each) for each in archive.namelist()]
            found = {wanted: archive.read(each) for wanted, each in members if wanted is not None}
    else:
        found = tars.read(io.BytesIO(path.read_bytes()), name.filename, choose)
    with tempfile.TemporaryDirectory() as folder:
        for member, data in found.items():
            Path(folder, member).write_bytes(data)
        return read_backend(Path(folder), name.filename).name


def newest(connection: Connection, project: NormalizedName) -> ListedFile | None:
    """The newest sdist that pip would take: no pre-release, not yanked."""
    listing = connection.index.listing(project)
    files = [each for each in (listing.files if listing is not None else ()) if not each.name.is_wheel]
    usable = [each for each in files if each.yanked is None and not each.name.version.is_prerelease]
    return max(usable, key=lambda each: each.name.version, default=None)


def _rows(connection: Connection, projects: Sequence[str]) -> Iterator[Told]:
    for project in projects:
        file = newest(connection, project_name(project))
        if file is None:
            print(f"{project:<42} no sdist")  # noqa: T201 - a script for people
            continue
        row = told(connection.online.downloads.whole(file).path, file.name)
        needs = ", ".join(row.languages)
        print(f"{row.filename:<42} {row.place:<15} {row.backend:<36} {needs}")  # noqa: T201 - likewise
        yield row


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.online.static_share", description=__doc__)
    parser.add_argument("projects", nargs="*", default=PROJECTS, metavar="PROJECT")
    parser.add_argument("--find-links", action="append", default=[])
    parser.add_argument("--no-index", action="store_true")
    parser.add_argument("--cache", type=Path, help="a folder to keep what is fetched (default: a fresh one)")
    asked = parser.parse_args(arguments)
    options = CommandLineOptions(find_links=tuple(asked.find_links), no_index=asked.no_index)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.cache or Path(scratch)
        with connect(resolve_settings(options=options), cache_folder=folder, reporter=Reporter()) as connection:
            rows = list(_rows(connection, asked.projects))
    for title, found in (
        ("metadata", Counter(WORDS[row.place] for row in rows)),
        ("backend", Counter(row.backend.partition(":")[0].partition(".")[0] for row in rows)),
    ):
        print(f"\n{title}, of {len(rows)} sdists")  # noqa: T201 - likewise
        for word, many in found.most_common():
            print(f"  {many:>3}  {many / len(rows):>4.0%}  {word}")  # noqa: T201 - likewise
    static = sum(row.place in ("PKG-INFO", "pyproject.toml") for row in rows)
    print(f"\n{static} of {len(rows)} are static")  # noqa: T201 - likewise
    return 0


if __name__ == "__main__":
    sys.exit(main())
