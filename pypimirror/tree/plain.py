"""Publishing where links are impossible: a FAT stick, Windows, a folder that goes to an object store.

Every file is a real one and is replaced atomically, files before pages, the pages of projects before those that list
them, ``manifest.json`` last. What this can't promise: a client that reads while it runs may see a new page beside an
old one (each of them whole, each installable), and a crash may leave that state until the next run finishes it. Nor
has it indexes of single channels: without links each would be a tree of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pypimirror.model.names import NormalizedName
from pypimirror.tree.contents import MERGED, Contents, dump
from pypimirror.tree.folder import Tree
from pypimirror.tree.layout import LOCKS, MANIFEST, client_path
from pypimirror.tree.page import Page
from pypimirror.tree.sweeping import gone_with
from pypimirror.tree.writing import ensure_folder, put, settle, write_new

__all__ = ["PlainPress"]


class PlainPress:
    """The press of a tree of real files. *now* is in seconds since 1970, for the times of changed pages."""

    def __init__(self, tree: Tree, *, now: int) -> None:
        self._tree = tree
        self._now = now
        self._parts: list[tuple[Path, Path]] = []

    def put(
        self, project: NormalizedName, pages: Mapping[str, Mapping[str, bytes]], indexes: Mapping[str, str]
    ) -> None:
        """See ``Press``. What differs is a file of its own in ``incoming/`` until it is published."""
        for name, data in pages[indexes[MERGED]].items():
            self._write_part(client_path(project, name), data)

    def _write_part(self, path: str, data: bytes) -> None:
        place = self._tree.at.root / path
        with suppress(FileNotFoundError):
            if place.read_bytes() == data:
                return
        part = self._tree.at.incoming / f"page-{len(self._parts)}.part"
        write_new(self._tree.disk, part, data, time=_newer(place, self._now))
        self._parts.append((part, place))

    def publish(self, contents: Contents, roots: Sequence[Page], locks: Sequence[Page] | None) -> None:
        """See ``Press``."""
        tree, at, disk = self._tree, self._tree.at, self._tree.disk
        for page in (*(locks or ()), *roots):
            if not page.path.startswith("channels/"):
                self._write_part(page.path, page.data)
        old, older = tree.contents, tree.previous
        # Those of the state before, too: a power loss may have brought them back, when this was all but done.
        gone = {
            at.root / LOCKS / name
            for state in (old, older)
            for name in state.locks.files.keys() - contents.locks.files.keys()
        }
        if old.is_published and old != contents:
            # What left in the step before this one has had its time; nothing served names it any more.
            for name in sorted(gone_with(tree.read, older, [old, contents])):
                _remove(tree, at.packages / name)
            disk.sync_folder(at.packages)  # or what lists them may be gone, and they may be there for ever
        replaced = dump(old) if old.is_published and old != contents else b""
        if replaced or not at.unfinished.exists():
            put(disk, at.unfinished, replaced, part=at.incoming / "unfinished.part")
        settle(disk, at.incoming, at.packages, at.manifests, at.ledger, at.mark, at.root)
        for part, path in self._parts:
            _make_page_folder(tree, path)
            disk.rename(part, path)
            if not contents.gzip:
                _remove(tree, path.with_name(f"{path.name}.gz"))  # a server would prefer the stale one
        for path in sorted(gone):
            _remove(tree, path)
        folders = {folder for _, path in self._parts for folder in (path.parent, path.parent.parent)}
        put(
            disk,
            at.root / MANIFEST,
            dump(contents),
            part=at.incoming / "manifest.part",
            time=_newer(at.root / MANIFEST, self._now),
        )
        settle(disk, *sorted({*folders, at.root} - {at.root.parent}))


def _newer(path: Path, now: int) -> int:
    """A changed page is newer than the one it replaces, or servers answer "not modified"."""
    try:
        return max(now, int(path.stat().st_mtime) + 1)
    except FileNotFoundError:
        return now


def _make_page_folder(tree: Tree, path: Path) -> None:
    for folder in (path.parent.parent, path.parent):
        if folder != tree.at.root and tree.at.root in folder.parents:
            ensure_folder(tree.disk, folder)


def _remove(tree: Tree, path: Path) -> None:
    with suppress(FileNotFoundError):
        tree.disk.remove(path)
