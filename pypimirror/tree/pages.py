"""A composition -> the bytes of every page. Pure; the one home of jinja2, whose import costs 60 ms.

    simple/index.html, index.json                  every project
    simple/<project>/index.html, index.json        every file of one project
    packages/index.html                            every file: the address for ``--find-links``
    index.html                                     for people

Nothing but a composition goes in, so the pages in a full bundle and those of a tree that holds this bundle alone are
the same. Essential reading: PEP 503 (HTML), 592 (yanked), 629 (version), 691 (JSON), 700 (size, upload time,
versions), 714 (core metadata), 792 (project status). Where clients are stricter or older than the standards, a comment
says which.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from importlib.resources import files as resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from pypimirror.model.manifest import BundledFile, Manifest
from pypimirror.model.names import Label, Sha256
from pypimirror.tree.compose import Accepted, Composition, ServedProject, compose
from pypimirror.tree.layout import LANDING, PACKAGES_PAGE
from pypimirror.tree.readme import readme

__all__ = [
    "API_VERSION",
    "Page",
    "bundle_members",
    "landing_page",
    "packages_page",
    "project_pages",
    "root_pages",
    "tree_pages",
]

API_VERSION = "1.4"

_MANY_ROOTS = 40
_KILO = 1000
_UNWRITTEN = Sha256("0" * 64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One rendered file of a tree or a bundle. ``path`` is relative to the served folder."""

    path: str
    data: bytes


def tree_pages(composition: Composition) -> Iterator[Page]:
    """Every page, those of a project before those that name it."""
    for project in composition.projects:
        yield from project_pages(project)
    yield packages_page(composition)
    yield from root_pages(composition)
    yield landing_page(composition)


def bundle_members(manifest: Manifest) -> tuple[Page, ...]:
    """The pages that a full bundle carries ready-made, sorted by path.

    They do not depend on ``manifest.members``, in which the builder then lists them.
    """
    composition = compose([Accepted(digest=_UNWRITTEN, manifest=manifest)])
    pages = [*tree_pages(composition), Page(path="README.txt", data=readme(composition).encode("utf-8"))]
    return tuple(sorted(pages, key=lambda page: page.path))


def project_pages(project: ServedProject) -> tuple[Page, Page]:
    """One project: HTML and JSON."""
    folder = f"simple/{project.name}"
    return (
        _html(f"{folder}/index.html", "project.html.j2", project=project),
        _json(f"{folder}/index.json", _project_out(project)),
    )


def root_pages(composition: Composition) -> tuple[Page, Page]:
    """The list of projects: HTML and JSON. No client needs it; people and crawlers do."""
    out: dict[str, object] = {
        "meta": {"api-version": API_VERSION},
        "projects": [{"name": each.name} for each in composition.projects],
    }
    return (
        _html("simple/index.html", "root.html.j2", projects=composition.projects),
        _json("simple/index.json", out),
    )


def packages_page(composition: Composition) -> Page:
    """Every file, with the attributes that a bare folder can't state.

    Yanked files are left out unless something pins them: uv does not heed ``data-yanked`` in a find-links page.
    """
    offered = [file for file in composition.files if file.yanked is None or file.filename in composition.pinned]
    offered.sort(key=lambda file: file.filename)
    return _html(PACKAGES_PAGE, "packages.html.j2", files=offered)


def landing_page(composition: Composition) -> Page:
    """For people: what is inside, since when, how to use it."""
    return _html(
        LANDING,
        "landing.html.j2",
        composition=composition,
        channels=[_channel_out(composition, channel) for channel in composition.channels],
        uncovered=_uncovered(composition),
        file_count=sum(len(project.files) for project in composition.projects),
        size=sum(project.size for project in composition.projects),
        newest=max((each.manifest.sequence for each in composition.bundles), default=0),
    )


def _channel_out(composition: Composition, channel: Label) -> dict[str, object]:
    manifests = [each.manifest for each in composition.bundles if each.manifest.channel == channel]
    newest = manifests[0]
    roots = list(dict.fromkeys(root.requirement for each in newest.sets if each.builds is None for root in each.roots))
    if len(roots) > _MANY_ROOTS:
        roots = [*roots[:_MANY_ROOTS], f"and {len(roots) - _MANY_ROOTS} more"]
    return {
        "name": channel,
        "newest": newest.sequence,
        "count": len(manifests),
        "targets": list(dict.fromkeys(target.name for each in manifests for target in each.targets)),
        "roots": roots,
    }


def _uncovered(composition: Composition) -> list[str]:
    """What the newest bundle of each channel says that it does not install on."""
    newest: dict[Label, Manifest] = {}
    for each in composition.bundles:
        newest.setdefault(each.manifest.channel, each.manifest)
    lines = []
    for manifest in newest.values():
        minors = {target.name: target.environment.python_version for target in manifest.targets}
        lines += [
            f"{gap.set} on {gap.target}, Python {gap.patches.describe(minors.get(gap.target, ''))}: {gap.reason}"
            for gap in manifest.uncovered
        ]
    return lines


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _project_out(project: ServedProject) -> dict[str, object]:
    status = {"status": project.status}
    if project.reason:
        status["reason"] = project.reason
    return {
        "meta": {"api-version": API_VERSION},
        "name": project.name,
        "versions": [str(version) for version in project.versions],
        "files": [_file_out(file) for file in project.files],
        "project-status": status,
    }


def _file_out(file: BundledFile) -> dict[str, object]:
    out: dict[str, object] = {
        "filename": file.filename,
        "url": f"../../packages/{_quoted(file.filename)}",
        "hashes": {"sha256": file.sha256},
        "size": file.size,
    }
    if file.requires_python is not None:
        out["requires-python"] = file.requires_python
    if file.upload_time is not None:
        out["upload-time"] = file.upload_time
    if file.yanked is not None:
        out["yanked"] = file.yanked or True  # pip and pdm take "" for not yanked
    if file.metadata is not None:
        # Never "dist-info-metadata" beside it: pip 22.3 to 23.1 crash on its dictionary.
        out["core-metadata"] = {"sha256": file.metadata.sha256}
    return out


def _json(path: str, out: dict[str, object]) -> Page:
    text = json.dumps(out, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Page(path=path, data=text.encode("ascii") + b"\n")


# ---- HTML -----------------------------------------------------------------------------------------------------------


def _html(path: str, template: str, **values: object) -> Page:
    text = _environment().get_template(template).render(values)
    return Page(path=path, data=text.encode("utf-8"))


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
    environment.filters.update(quoted=_quoted, attribute=_attribute, size=size_text, date=_date, time=_time)
    return environment


def _source(name: str) -> str:
    return resources(__package__).joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def _quoted(filename: str) -> str:
    """A file name as a URL's path has it. uv, poetry and pdm send it as it stands, and S3 reads ``+`` as a space.

    ``+`` and ``!`` are all that a safe file name can hold of what needs it.
    """
    return filename.replace("+", "%2B").replace("!", "%21")


def _attribute(text: str) -> Markup:
    """Text for a quoted attribute. A bare carriage return would be read as a line feed, so it is spelt."""
    return Markup(str(escape(text)).replace("\r", "&#13;"))  # noqa: S704 - escaped in the same breath


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
