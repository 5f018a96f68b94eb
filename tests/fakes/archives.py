"""Makers of wheels and sdists for tests: small, valid, installable by a real pip, and the same bytes each time.

Both makers return the file's name and its bytes. An sdist's default build backend lies inside it and needs nothing,
so that pip builds it with no index within reach.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from packaging.version import Version

__all__ = [
    "BACKEND",
    "IN_TREE_BUILD",
    "SdistFormat",
    "core_metadata_text",
    "make_sdist",
    "make_tar",
    "make_wheel",
    "make_zip",
    "record_line",
    "wheel_members",
]

SdistFormat = Literal["tar.gz", "zip", "tar.bz2", "tar.xz", "tar"]

IN_TREE_BUILD = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
"""The pyproject.toml of a sdist that builds with nothing but itself."""

BACKEND = '''\
"""Hands out the wheel that lies beside it."""

import pathlib
import shutil


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (prebuilt,) = pathlib.Path("prebuilt").iterdir()
    shutil.copy(prebuilt, wheel_directory)
    return prebuilt.name
'''

_DATE = (2020, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644


def _escaped(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _compressed(tags: Sequence[str]) -> str:
    """Tags as a file's name has them: ``py2-none-any`` and ``py3-none-any`` make ``py2.py3-none-any``."""
    columns = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(column)) for column in columns)


def core_metadata_text(
    name: str,
    version: str,
    *,
    metadata_version: str = "2.1",
    requires_dist: Iterable[str] = (),
    requires_python: str | None = None,
    extras: Iterable[str] = (),
    dynamic: Iterable[str] = (),
    extra_headers: str = "",
) -> str:
    """METADATA or PKG-INFO. *extra_headers* are whole lines, with or without a last newline."""
    lines = [
        f"Metadata-Version: {metadata_version}",
        f"Name: {name}",
        f"Version: {version}",
        "Summary: made for a test",
    ]
    lines += [f"Dynamic: {field}" for field in dynamic]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires_dist]
    if extra_headers:
        lines.append(extra_headers.rstrip("\n"))
    return "\n".join(lines) + f"\n\n{name}, made for a test.\n"


def record_line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
    return f"{path},sha256={digest},{len(data)}\n"


def make_zip(members: Iterable[tuple[str, bytes]], *, compressed: bool = True) -> bytes:
    """A zip with these members in this order, all of one fixed date."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in members:
            info = zipfile.ZipInfo(path, date_time=_DATE)
            info.external_attr = (0o100000 | _FILE_MODE) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            archive.writestr(info, data)
    return buffer.getvalue()


def make_tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An uncompressed tar with these members in this order, all of one fixed date."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in members:
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(data), _FILE_MODE, 0
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def wheel_members(
    name: str,
    version: str,
    *,
    tags: Sequence[str] = ("py3-none-any",),
    files: Mapping[str, str | bytes] | None = None,
    build: str | None = None,
    metadata: str,
) -> list[tuple[str, bytes]]:
    """The members of a wheel in the order they are written, RECORD last."""
    dist_info = f"{_escaped(name)}-{Version(version)}.dist-info"
    wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
    wheel += f"Build: {build}\n" if build else ""
    wheel += "".join(f"Tag: {tag}\n" for tag in tags)
    if files is None:
        files = {f"{_escaped(name)}.py": f'"""{name}, made for a test."""\n\n__version__ = "{version}"\n'}
    contents = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    contents[f"{dist_info}/WHEEL"] = wheel.encode()
    contents[f"{dist_info}/METADATA"] = metadata.encode()
    record = "".join(record_line(path, data) for path, data in contents.items()) + f"{dist_info}/RECORD,,\n"
    return [*contents.items(), (f"{dist_info}/RECORD", record.encode())]


def make_wheel(
    name: str,
    version: str,
    *,
    tags: Sequence[str] = ("py3-none-any",),
    requires_dist: Iterable[str] = (),
    requires_python: str | None = None,
    extras: Iterable[str] = (),
    files: Mapping[str, str | bytes] | None = None,
    build: str | None = None,
    metadata_extra: str = "",
) -> tuple[str, bytes]:
    """A valid wheel with METADATA, WHEEL and RECORD.

    *tags* must be a full product (``py2-none-any``, ``py3-none-any``). *files* are paths and contents; None means one
    module of the project's name. *build* is a build tag, ``1`` or ``2abc``. *metadata_extra* are header lines.
    """
    metadata = core_metadata_text(
        name,
        version,
        requires_dist=requires_dist,
        requires_python=requires_python,
        extras=extras,
        extra_headers=metadata_extra,
    )
    parts = [_escaped(name), str(Version(version)), *([build] if build else []), _compressed(tags)]
    members = wheel_members(name, version, tags=tags, files=files, build=build, metadata=metadata)
    return "-".join(parts) + ".whl", make_zip(members)


def make_sdist(
    name: str,
    version: str,
    *,
    requires_dist: Iterable[str] = (),
    requires_python: str | None = None,
    extras: Iterable[str] = (),
    metadata_version: str = "2.2",
    dynamic: Iterable[str] = (),
    pyproject: str | None = IN_TREE_BUILD,
    setup_py: str | None = None,
    files: Mapping[str, str | bytes] | None = None,
    format: SdistFormat = "tar.gz",  # noqa: A002  the word that the standard library uses for it, too
) -> tuple[str, bytes]:
    """An sdist with PKG-INFO; static by PEP 643 unless *dynamic* or an older *metadata_version* says otherwise.

    *pyproject* and *setup_py* are the texts of those files, None leaves the file out. *files* come in addition.
    """
    requires_dist, extras = tuple(requires_dist), tuple(extras)
    stem = f"{_escaped(name)}-{Version(version)}"
    metadata = core_metadata_text(
        name,
        version,
        metadata_version=metadata_version,
        requires_dist=requires_dist,
        requires_python=requires_python,
        extras=extras,
        dynamic=dynamic,
    )
    contents: dict[str, str | bytes] = {"PKG-INFO": metadata}
    if pyproject is not None:
        contents["pyproject.toml"] = pyproject
    if setup_py is not None:
        contents["setup.py"] = setup_py
    if pyproject == IN_TREE_BUILD:
        prebuilt, wheel = make_wheel(
            name, version, requires_dist=requires_dist, requires_python=requires_python, extras=extras
        )
        contents |= {"backend.py": BACKEND, f"prebuilt/{prebuilt}": wheel}
    contents |= files or {}
    members = [(f"{stem}/{path}", data.encode() if isinstance(data, str) else data) for path, data in contents.items()]
    filename = f"{stem}.{format}"
    if format == "zip":
        return filename, make_zip(members)
    tar = make_tar(members)
    if format == "tar.gz":
        return filename, gzip.compress(tar, mtime=0)
    if format == "tar.bz2":
        return filename, bz2.compress(tar)
    return filename, lzma.compress(tar) if format == "tar.xz" else tar
