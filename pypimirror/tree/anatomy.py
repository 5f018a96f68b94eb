"""What stands where in a tree that serves given contents: every folder, link and file, by path. Pure.

anatomy       what must be there, and with which bytes
is_remainder  what may lie about beside it
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from pypimirror.model.names import Label, Sha256
from pypimirror.tree.contents import MERGED, Contents, Served, dump
from pypimirror.tree.inventory import Inventory
from pypimirror.tree.layout import (
    LOCKS,
    MANIFEST,
    MARK,
    channel_index,
    channel_links,
    in_generation,
    ledger_file,
    project_link,
    shard_folder,
    stable_links,
)
from pypimirror.tree.shards import by_shard
from pypimirror.values import dataclass

__all__ = [
    "LINKED_APART",
    "PLAIN_APART",
    "File",
    "Folder",
    "Link",
    "Part",
    "is_remainder",
    "linked_anatomy",
    "linked_portion",
    "plain_anatomy",
    "plain_portion",
]


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

LINKED_APART = ("packages", f"{MARK}/pages")
PLAIN_APART = ("packages", "simple", "pypi")
"""The folders in which everything is of one project or another: what is in them grows with the tree."""


def linked_anatomy(generations: Mapping[int, Inventory], current: int) -> dict[str, Part]:
    """The tree with links that has these *generations*, and serves the one numbered *current*."""
    served = generations[current].contents
    parts: dict[str, Part] = {
        **dict.fromkeys(("packages", "simple", "channels", f"{MARK}/channels"), Folder()),
        **dict.fromkeys((f"{MARK}/pages", f"{MARK}/shards", f"{MARK}/generations"), Folder()),
        f"{MARK}/current": Link(text=f"generations/{current}"),
        **{path: Link(text=text) for path, text in stable_links(twins=served.gzip).items()},
        **dict(_project_links(served)),
    }
    parts.update(_records(generations.values(), MARK))
    for number, each in generations.items():
        parts.update(_packages(each))
        parts.update(_generation(f"{MARK}/generations/{number}", each.contents))
        parts.update(_page_folders(each))
    return parts


def plain_anatomy(served: Inventory, previous: Inventory) -> dict[str, Part]:
    """The tree of real files that serves one state, and served another before."""
    parts: dict[str, Part] = {
        f"{MARK}/plain": File(),
        f"{MARK}/previous.json": File(optional=True),
        f"{MARK}/unfinished": File(optional=True),
    }
    # What was served before may have left already: the grace of one step is not promised without links.
    for several in (_packages(previous), _records([previous], MARK)):
        for path, part in several.items():
            parts[path] = replace(part, optional=True) if isinstance(part, (File, Folder)) else part
    parts.update(_records([served], MARK))
    parts["packages"] = Folder()
    if served.contents.projects:
        parts.update((folder, Folder()) for folder in PLAIN_APART)
    for path, each in served.files.items():
        if not path.startswith("channels/"):
            parts[path] = _served(each)
            parts.update((folder, Folder()) for folder in _folders(path))
    parts[MANIFEST] = _bytes(dump(served.contents))
    return parts


def linked_portion(served: Inventory, previous: Inventory) -> dict[str, Part]:
    """What of a tree with links is of one shard, which these inventories are of; it lies in ``LINKED_APART``."""
    parts: dict[str, Part] = {}
    for each in (previous, served):
        parts.update(_packages(each))
        parts.update(_page_folders(each))
    return parts


def plain_portion(served: Inventory, previous: Inventory) -> dict[str, Part]:
    """Likewise of a tree of real files; it lies in ``PLAIN_APART``."""
    parts: dict[str, Part] = {
        path: replace(part, optional=True) for path, part in _packages(previous).items() if isinstance(part, File)
    }
    for path, each in served.files.items():
        if not path.startswith("channels/"):
            parts[path] = _served(each)
            parts.update((folder, Folder()) for folder in _folders(path) if folder not in PLAIN_APART)
    return parts


def _project_links(contents: Contents) -> Iterator[tuple[str, Part]]:
    """The links that clients meet on their way to a project's pages."""
    for name, index in contents.indexes.items():
        for project in index:
            path, text = project_link(project, None if name == MERGED else Label(name))
            yield path, Link(text=text)
    for channel in contents.layers:
        alone = channel not in contents.indexes
        yield f"channels/{channel}", Folder()
        if not alone:
            yield f"{MARK}/channels/{channel}", Folder()
        for path, text in channel_links(channel, alone=alone, twins=contents.gzip).items():
            yield path, Link(text=text)


def _records(several: Iterable[Inventory], mark: str) -> dict[str, Part]:
    states = [each.contents for each in several]
    accepted = {each.source.digest for contents in states for each in contents.accepted}
    ledgers = {
        f"{mark}/ledger/{ledger_file(shard, each.sha256)}": _served(each)
        for contents in states
        for shard, each in contents.ledger.items()
    }
    return {
        mark: Folder(),
        f"{mark}/incoming": Folder(optional=True),
        f"{mark}/lock": File(optional=True),
        f"{mark}/manifests": Folder(),
        f"{mark}/ledger": Folder(),
        **{f"{mark}/manifests/{digest}.json": File(sha256=digest) for digest in accepted},
        **ledgers,
    }


def _packages(each: Inventory) -> dict[str, Part]:
    return {f"packages/{name}": _served(served) for name, served in each.packages.items()}


def _generation(folder: str, contents: Contents) -> Iterator[tuple[str, Part]]:
    yield from dict.fromkeys((folder, f"{folder}/simple", f"{folder}/channels"), Folder()).items()
    yield f"{folder}/{MANIFEST}", _bytes(dump(contents))
    yield f"{folder}/{LOCKS}", Link(text=f"../../pages/{contents.locks.folder}")
    for path, each in contents.pages.items():
        yield f"{folder}/{in_generation(path)}", _served(each)
    for channel in contents.layers:
        yield f"{folder}/channels/{channel}", Folder()
        text = channel_index(channel, alone=channel not in contents.indexes)
        yield f"{folder}/channels/{channel}/simple", Link(text=text)
    for name, index in contents.indexes.items():
        inside = "simple" if name == MERGED else f"channels/{name}"
        for shard, part in by_shard(index).items():
            links = shard_folder(shard, part)
            yield f"{folder}/{inside}/{shard}", Link(text=f"{'../' * (inside.count('/') + 3)}shards/{links}")
            yield f"{MARK}/shards/{links}", Folder()
            for project, mark in part.items():
                yield f"{MARK}/shards/{links}/{project}", Link(text=f"../../pages/{project}-{mark}")


def _page_folders(each: Inventory) -> Iterator[tuple[str, Part]]:
    for name, pages in each.folders.items():
        yield f"{MARK}/pages/{name}", Folder()
        for page, served in pages.items():
            yield f"{MARK}/pages/{name}/{page}", _served(served)


def _served(each: Served) -> File:
    return File(sha256=each.sha256, size=each.size)


def _bytes(data: bytes) -> File:
    return File(sha256=Sha256(hashlib.sha256(data).hexdigest()), size=len(data))


def _folders(path: str) -> Iterator[str]:
    while cut := path.rpartition("/")[0]:
        yield cut
        path = cut


# ---- what may lie about ---------------------------------------------------------------------------------------------

_NAME = "[a-z0-9-]+"
_CHANNEL = "[A-Za-z0-9][A-Za-z0-9._-]*"
_UNDER = re.escape(MARK)
_LINKS = re.compile(
    rf"{_UNDER}/(?:current|link)\.part|simple/{_NAME}|channels/{_CHANNEL}/(?:simple|packages)"
    rf"|{_UNDER}/channels/{_CHANNEL}/(?:{_NAME}|index\.(?:html|json)(?:\.gz)?)"
    rf"|(?:index\.html|simple/index\.(?:html|json)|packages/index\.html)\.gz"
)
_LINK_TEXTS = re.compile(
    rf"generations/[1-9][0-9]{{0,17}}|{'|'.join(map(re.escape, stable_links(twins=True).values()))}"
    rf"|(?:\.\./{_UNDER}|\.\./\.\.)/current/(?:simple|channels/{_CHANNEL})/[0-9a-f]{{2}}/{_NAME}"
    rf"|\.\./\.\./current/channels/{_CHANNEL}/simple\.(?:html|json)(?:\.gz)?"
    rf"|\.\./\.\./(?:packages|{_UNDER}/current/channels/{_CHANNEL}/simple)"
)
_FILES = re.compile(
    rf"{_UNDER}/(?:"
    r"incoming/[0-9a-z.-]+\.part|incoming/[0-9a-f]{64}(?:\.json)?"
    r"|manifests/[0-9a-f]{64}\.json|ledger/[0-9a-f]{2}-[0-9a-f]{32}\.json"
    r")"
)
_FOLDERS = re.compile(
    rf"{_UNDER}/(?:generations/[1-9][0-9]{{0,17}}|pages/[_a-z0-9-]+-[a-z2-7]{{26}}|shards/[0-9a-f]{{2}}-[a-z2-7]{{26}}"
    rf"|channels(?:/{_CHANNEL})?)|channels(?:/{_CHANNEL})?|lost\+found"
)


def is_remainder(path: str, stands: Part) -> bool:
    """Whether what *stands* at *path* can be of a run that was cut short, or of a bundle that waits for other volumes.

    Nothing served refers to it, and nothing of it is believed unread; a later run sweeps it or takes it up. A link that
    no run makes is none: it could lead a server out of the tree.
    """
    if isinstance(stands, Link):
        return _LINKS.fullmatch(path) is not None and _LINK_TEXTS.fullmatch(stands.text) is not None
    return (_FILES if isinstance(stands, File) else _FOLDERS).fullmatch(path) is not None
