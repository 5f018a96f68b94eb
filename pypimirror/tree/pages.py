"""One project -> the bytes of its pages. Pure; the one home of jinja2, whose import costs 60 ms.

    simple/<project>/index.html, index.json        every file of one project
    pypi/<project>/json                            the same for tools that know the old JSON API and no other

Pages that list every project or every file are made by ``lists``.

Essential reading: PEP 503 (HTML), 592 (yanked), 629 (version), 691 (JSON), 700 (size, upload time, versions), 708
(tracks, alternate locations), 714 (core metadata), 740 (provenance), 792 (project status).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from importlib.resources import files as resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import Version
from pypimirror.tree.compose import ServedProject
from pypimirror.tree.page import Page
from pypimirror.tree.rows import attribute, legacy_row, link, simple_row, string

__all__ = [
    "API_VERSION",
    "compile_templates",
    "html_page",
    "json_page",
    "legacy_page",
    "project_pages",
    "size_text",
    "template",
]

API_VERSION = "1.4"

_KILO = 1000
_TEMPLATES = ("landing.html.j2", "landing_row.html.j2", "packages.html.j2", "project.html.j2", "root.html.j2")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def project_pages(project: ServedProject) -> tuple[Page, Page, Page]:
    """One project: HTML and JSON of the simple API, and the old JSON."""
    folder = f"simple/{project.name}"
    rows = "".join([f"    {link(file)}\n" for file in project.files])
    return (
        html_page(f"{folder}/index.html", "project.html.j2", project=project, rows=Markup(rows)),  # noqa: S704 - see rows
        _page(f"{folder}/index.json", _members(project)),
        legacy_page(project),
    )


def legacy_page(project: ServedProject) -> Page:
    """One project as the old JSON API has it: only what a mirror knows of it.

    Its addresses lead to the files from ``pypi/<project>/json`` and from ``simple/<project>/json`` (pip-tools) alike.
    """
    by_version: dict[Version, list[str]] = {}
    for file in project.files:
        by_version.setdefault(file.version, []).append(legacy_row(file))
    newest = _newest(project)
    releases = ",".join(f"{string(str(version))}:[{','.join(rows)}]" for version, rows in by_version.items())
    members = {
        "info": _dumped(_info(project, [file for file in project.files if file.version == newest])),
        "last_serial": "0",
        "releases": f"{{{releases}}}",
        "urls": f"[{','.join(by_version[newest]) if newest is not None else ''}]",
    }
    return _page(f"pypi/{project.name}/json", members)


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _members(project: ServedProject) -> dict[str, str]:
    """The members of the page in the simple API, each as JSON."""
    said = project.said
    status, meta = f'"status":{string(said.status)}', f'"api-version":"{API_VERSION}"'
    members = {
        "files": f"[{','.join([simple_row(file) for file in project.files])}]",
        "meta": f'{{{meta},"tracks":{_dumped(said.tracks)}}}' if said.tracks else f"{{{meta}}}",
        "name": string(project.name),
        "project-status": f'{{"reason":{string(said.reason)},{status}}}' if said.reason else f"{{{status}}}",
        "versions": f"[{','.join([string(str(version)) for version in project.versions])}]",
    }
    if said.alternate_locations:
        members["alternate-locations"] = _dumped(said.alternate_locations)
    return members


def _newest(project: ServedProject) -> Version | None:
    """The version that the old JSON API speaks of: the newest that a plain install may take, if there is one."""

    def rank(file: BundledFile) -> tuple[bool, bool, Version]:
        return file.yanked is None, not file.version.is_prerelease, file.version

    return max(project.files, key=rank).version if project.files else None


def _info(project: ServedProject, files: Sequence[BundledFile]) -> dict[str, object]:
    """What is known of the newest version, from its first wheel, or from its sdist."""
    file = next((each for each in files if each.filename.endswith(".whl")), files[0] if files else None)
    yanked = [each.yanked for each in files if each.yanked is not None]
    return {
        "name": project.name,
        "version": None if file is None else str(file.version),
        "requires_python": None if file is None else file.requires_python,
        "requires_dist": None if file is None else file.requires_dist,
        "provides_extra": None if file is None else file.provides_extra,
        "yanked": bool(files) and len(yanked) == len(files),
        "yanked_reason": (yanked[0] or None) if files and len(yanked) == len(files) else None,
    }


def _page(path: str, members: Mapping[str, str]) -> Page:
    text = ",".join([f'"{key}":{members[key]}' for key in sorted(members)])
    return Page(path=path, data=f"{{{text}}}\n".encode("ascii"))


def _dumped(value: object) -> str:
    return _ENCODER.encode(value)


def json_page(path: str, out: dict[str, object]) -> Page:
    return Page(path=path, data=_dumped(out).encode("ascii") + b"\n")


# ---- HTML -----------------------------------------------------------------------------------------------------------


def html_page(path: str, name: str, **values: object) -> Page:
    text = template(name).render(values)
    return Page(path=path, data=text.encode("utf-8"))


def template(name: str) -> Template:
    """A template of ours, by the name of its file."""
    return _environment().get_template(name)


def compile_templates() -> None:
    """Make every template ready, while something else must be waited for: jinja compiles each at its first use."""
    for name in _TEMPLATES:
        template(name)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.globals["api_version"] = API_VERSION
    environment.filters.update(attribute=_markup, size=size_text, date=_date, time=_time)
    return environment


def _source(name: str) -> str:
    return resources(__package__).joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def _markup(text: str) -> Markup:
    """Text for a quoted attribute, in a template."""
    return Markup(attribute(text))  # noqa: S704 - escaped in the same breath


def size_text(size: int) -> str:
    """For people: ``0 bytes``, ``812 kB``, ``1.4 GB``."""
    if size < _KILO:
        return f"{size} bytes"
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < _KILO:
            return f"{amount:.0f} {unit}" if unit == "kB" else f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} TB"


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%Y-%m-%d}"


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%H:%M}"
