"""Publishing where links are impossible: a FAT stick, Windows, a folder that goes to an object store.

Every file is a real one and is replaced atomically, files before pages, the pages of projects before those that list
them, ``manifest.json`` last. What this can't promise: a client that reads while it runs may see a new page beside an
old one (each of them whole, each installable), and a crash may leave that state until the next run finishes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pypimirror.tree.contents import Contents, dump
from pypimirror.tree.folder import Tree
from pypimirror.tree.layout import MANIFEST
from pypimirror.tree.pages import Page
from pypimirror.tree.writing import ensure_folder, put, settle, write_new

__all__ = ["publish_plain"]


def publish_plain(tree: Tree, pages: Sequence[Page], contents: Contents, *, now: int) -> None:
    """Make the pages of a plain tree be *pages*. Raises OSError."""
    at, disk = tree.at, tree.disk
    parts = _write_parts(tree, [page for page in pages if _differs(at.root / page.path, page.data)], now)
    old, older = tree.contents, tree.previous
    if old.files:
        # What left in the step before this one has had its time; nothing served names it any more.
        for name in sorted(older.packages.keys() - old.packages.keys() - contents.packages.keys()):
            _remove(tree, at.packages / name)
        disk.sync_folder(at.packages)  # or what lists them may be gone, and they may be there for ever
        put(disk, at.previous_contents, dump(old), part=at.incoming / "previous.part")
    settle(disk, at.incoming, at.packages, at.manifests, at.mark, at.root)
    for part, path in parts:
        _make_page_folder(tree, path)
        disk.rename(part, path)
        _remove(tree, path.with_name(f"{path.name}.gz"))  # a server would prefer the stale one
    # Before the manifest says that they are there: a run that finds them said does not look again.
    folders = {folder for _, path in parts for folder in (path.parent, path.parent.parent)}
    settle(disk, *sorted(folders - {at.root.parent}))
    put(
        disk,
        at.root / MANIFEST,
        dump(contents),
        part=at.incoming / "manifest.part",
        time=_newer(at.root / MANIFEST, now),
    )
    settle(disk, at.root)


def _write_parts(tree: Tree, pages: Sequence[Page], now: int) -> list[tuple[Path, Path]]:
    """Each page that differs as a file of its own in ``incoming/``, with the path it is for."""
    parts = []
    for number, page in enumerate(pages):
        part, path = tree.at.incoming / f"page-{number}.part", tree.at.root / page.path
        write_new(tree.disk, part, page.data, time=_newer(path, now))
        parts.append((part, path))
    return parts


def _differs(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() != data
    except FileNotFoundError:
        return True


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
