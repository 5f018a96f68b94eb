"""What stands where in a tree that serves given contents: every folder, link and file, by path. Pure.

anatomy       what must be there, and with which bytes
is_remainder  what may lie about beside it
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pypimirror.model.names import Sha256
from pypimirror.tree.contents import Contents, Served, dump
from pypimirror.tree.layout import IN_GENERATION, MANIFEST, MARK, STABLE_LINKS, is_project_page, page_folder

__all__ = ["File", "Folder", "Link", "Part", "is_remainder", "linked_anatomy", "plain_anatomy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder. An optional one may be missing: the next run makes it again."""

    optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A symbolic link with exactly this text."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A regular file. ``size`` None where only the bytes' hash is known, ``sha256`` None where any bytes will do."""

    sha256: Sha256 | None = None
    size: int | None = None
    optional: bool = False


Part: TypeAlias = "Folder | Link | File"


def linked_anatomy(generations: Mapping[int, Contents], current: int) -> dict[str, Part]:
    """The tree with links that has these *generations*, and serves the one numbered *current*."""
    parts: dict[str, Part] = {
        "packages": Folder(),
        f"{MARK}/pages": Folder(),
        f"{MARK}/generations": Folder(),
        f"{MARK}/current": Link(text=f"generations/{current}"),
        **{path: Link(text=text) for path, text in STABLE_LINKS.items()},
    }
    parts.update(_records(generations.values(), MARK))
    for number, contents in generations.items():
        parts.update(_packages(contents))
        parts.update(_generation(f"{MARK}/generations/{number}", contents))
    return parts


def plain_anatomy(contents: Contents, previous: Contents) -> dict[str, Part]:
    """The tree of real files that serves *contents*, and served *previous* before."""
    parts: dict[str, Part] = {f"{MARK}/plain": File(), f"{MARK}/previous.json": File(optional=True)}
    parts.update(_records([contents], MARK))
    # What was served before may have left already: the grace of one step is not promised without links.
    for path, served in _packages(previous).items():
        parts[path] = File(sha256=served.sha256, size=served.size, optional=True)
    for path, each in contents.files.items():
        parts[path] = _served(each)
        parts.update((folder, Folder()) for folder in _folders(path))
    parts[MANIFEST] = _bytes(dump(contents))
    return parts


def _records(several: Iterable[Contents], mark: str) -> dict[str, Part]:
    accepted = {each.digest for contents in several for each in contents.accepted}
    return {
        mark: Folder(),
        f"{mark}/incoming": Folder(optional=True),
        f"{mark}/lock": File(optional=True),
        f"{mark}/manifests": Folder(),
        **{f"{mark}/manifests/{digest}.json": File(sha256=digest) for digest in accepted},
    }


def _packages(contents: Contents) -> dict[str, File]:
    return {f"packages/{name}": _served(each) for name, each in contents.packages.items()}


def _generation(folder: str, contents: Contents) -> Iterator[tuple[str, Part]]:
    yield folder, Folder()
    yield f"{folder}/simple", Folder()
    yield f"{folder}/{MANIFEST}", _bytes(dump(contents))
    pages: dict[str, dict[str, Served]] = {}
    for path, each in contents.files.items():
        if path in IN_GENERATION:
            yield f"{folder}/{IN_GENERATION[path]}", _served(each)
        elif is_project_page(path):
            _, project, page = path.split("/")
            pages.setdefault(project, {})[page] = each
    for project, both in pages.items():
        name = page_folder(project, (both[page].sha256 for page in sorted(both)))
        yield f"{folder}/simple/{project}", Link(text=f"../../../pages/{name}")
        yield f"{MARK}/pages/{name}", Folder()
        for page, each in both.items():
            yield f"{MARK}/pages/{name}/{page}", _served(each)


def _served(each: Served) -> File:
    return File(sha256=each.sha256, size=each.size)


def _bytes(data: bytes) -> File:
    return File(sha256=Sha256(hashlib.sha256(data).hexdigest()), size=len(data))


def _folders(path: str) -> Iterator[str]:
    while cut := path.rpartition("/")[0]:
        yield cut
        path = cut


# ---- what may lie about ---------------------------------------------------------------------------------------------

_LINKS = re.compile(rf"{re.escape(MARK)}/(?:current|link)\.part")
_LINK_TEXTS = re.compile("|".join(["generations/[1-9][0-9]{0,17}", *map(re.escape, STABLE_LINKS.values())]))
_FILES = re.compile(
    rf"{re.escape(MARK)}/(?:"
    r"incoming/[0-9a-z.-]+\.part|incoming/[0-9a-f]{64}(?:\.json)?"
    r"|manifests/[0-9a-f]{64}\.json"
    r")"
)
_FOLDERS = re.compile(
    rf"{re.escape(MARK)}/(?:generations/[1-9][0-9]{{0,17}}|pages/[a-z0-9-]+-[0-9a-f]{{32}})|lost\+found"
)


def is_remainder(path: str, stands: Part) -> bool:
    """Whether what *stands* at *path* can be of a run that was cut short, or of a bundle that waits for other volumes.

    Nothing served refers to it, and nothing of it is believed unread; a later run sweeps it or takes it up. A link that
    no run makes is none: it could lead a server out of the tree.
    """
    if isinstance(stands, Link):
        return _LINKS.fullmatch(path) is not None and _LINK_TEXTS.fullmatch(stands.text) is not None
    return (_FILES if isinstance(stands, File) else _FOLDERS).fullmatch(path) is not None
