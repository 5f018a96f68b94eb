"""A tree on the disk, opened under its lock: what it serves now, and what a crash left lying in it.

Whatever no generation refers to, inside ``.pypimirror/``, is rubbish of a run that was cut short. It is swept when the
tree is opened, and again when it is closed after a fault. Outside, in ``packages/``, nothing is ever removed that a
generation of ours did not list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pypimirror.disk import DISK, Disk
from pypimirror.errors import PypimirrorError, UsageFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256
from pypimirror.tree.contents import Contents
from pypimirror.tree.layout import MANIFEST, MARK, Layout, is_project_page
from pypimirror.tree.lock import locked
from pypimirror.tree.records import current_generation, generations, read_contents, read_generation
from pypimirror.tree.writing import ensure_folder, put, telling

__all__ = ["Tree", "open_tree", "sweep"]

_TOLERATED = frozenset({"lost+found"})  # what a freshly made file system holds


@dataclass(kw_only=True, slots=True)
class Tree:
    """A tree that this process holds the lock of. ``shown`` is its path as a person wrote it.

    ``generation`` is 0 where nothing is published yet; a plain tree has no numbers and stays at 0.
    Since it was opened: ``sound`` are the files in ``packages`` and ``incoming`` whose bytes were hashed and are right,
    ``rotten`` those that were wrong; ``manifests`` are those that were imported.
    """

    at: Layout
    shown: str
    disk: Disk
    plain: bool
    generation: int = 0
    previous_generation: int = 0
    contents: Contents = field(default_factory=Contents)
    previous: Contents = field(default_factory=Contents)
    sound: set[tuple[str, str]] = field(default_factory=set)
    rotten: set[tuple[str, str]] = field(default_factory=set)
    manifests: dict[Sha256, Manifest] = field(default_factory=dict)

    @property
    def published(self) -> bool:
        return bool(self.contents.files)

    def advance(self, contents: Contents) -> None:
        """*contents* were published: what was served is now what was served before."""
        self.previous, self.contents = self.contents, contents
        if not self.plain:
            self.previous_generation, self.generation = self.generation, self.generation + 1

    def reload(self) -> None:
        """Read again what is served now and what was served before. Raises IntegrityFault, OSError."""
        if self.plain:
            self.contents = read_contents(self.at.root / MANIFEST, missing_ok=True)
            self.previous = read_contents(self.at.previous_contents, missing_ok=True)
            return
        self.generation = current_generation(self.at)
        older = [number for number in generations(self.at) if number < self.generation]
        self.previous_generation = max(older, default=0)
        self.contents = read_generation(self.at, self.generation)
        self.previous = read_generation(self.at, self.previous_generation)


@contextmanager
def open_tree(path: Path, *, plain: bool = False, wait: float = 0, disk: Disk = DISK) -> Iterator[Tree]:
    """Open the tree at *path* to change it, making it where nothing is there yet.

    *plain* makes a new tree one of real files, without links; an old one stays what it is. *wait* is in seconds.

    Raises UsageFault where *path* is something else, BusyFault, IntegrityFault where the tree's own records can't be
    read, DiskFault.
    """
    shown = str(path)
    with telling(f"opening {shown}"):
        root = path.resolve()
        _check_ours(root, shown)
        for made in _make_folders(disk, [*reversed(root.parents), root, root / MARK]):
            disk.sync_folder(made.parent)  # the mark comes before all else, or the folder is taken for somebody else's
    at = Layout(root)
    with ExitStack() as stack:
        with telling(f"locking {shown}"):
            stack.enter_context(locked(at.lock, shown=shown, disk=disk, wait=wait))
        with telling(f"opening {shown}"):
            _make_folders(disk, [at.packages, at.incoming, at.manifests])
            tree = Tree(at=at, shown=shown, disk=disk, plain=_settle_plain(at, shown, disk, plain=plain))
            _make_folders(disk, () if tree.plain else (at.pages, at.generations))
            tree.reload()
            sweep(tree)
        try:
            yield tree
        except BaseException:
            with suppress(OSError, PypimirrorError):
                tree.reload()
                sweep(tree)
            raise


def _check_ours(root: Path, shown: str) -> None:
    if not root.exists() or (root / MARK).is_dir():
        return
    if not root.is_dir():
        raise UsageFault(
            f"{shown} is not a folder", code="not-a-tree", hint="name a folder, or one that isn't there yet"
        )
    strange = sorted(entry.name for entry in root.iterdir() if entry.name not in _TOLERATED)
    if strange and not (root / MARK).is_dir():  # else another process has just made it ours
        raise UsageFault(
            f"{shown} is no tree of ours, and it is not empty: it holds {strange[0]}",
            code="not-a-tree",
            hint="name an empty folder, or one that isn't there yet; what is in this one was not touched",
        )


def _make_folders(disk: Disk, folders: Iterable[Path]) -> list[Path]:
    """Those that were not there."""
    missing = [folder for folder in folders if not folder.is_dir()]
    for folder in missing:
        try:
            ensure_folder(disk, folder)
        except FileExistsError:
            if not folder.is_dir():  # else another process was quicker
                raise
    return missing


def _settle_plain(at: Layout, shown: str, disk: Disk, *, plain: bool) -> bool:
    if at.plain_mark.exists():
        return True
    if not plain:
        return False
    if at.current.is_symlink():
        raise UsageFault(
            f"{shown} is a tree with links, and can't become a plain one",
            code="tree-has-links",
            hint="render into another folder with --plain, or leave --plain out",
        )
    put(disk, at.plain_mark, b"This tree is made of real files, without links.\n", part=at.incoming / "plain.part")
    return True


# ---- rubbish --------------------------------------------------------------------------------------------------------


def sweep(tree: Tree) -> None:
    """Remove what no kept generation refers to. Raises OSError."""
    at, disk = tree.at, tree.disk
    for entry in at.incoming.iterdir():
        if entry.name.endswith(".part"):
            disk.remove(entry)
    accepted = {each.digest for contents in (tree.contents, tree.previous) for each in contents.accepted}
    for entry in at.manifests.iterdir():
        if entry.suffix == ".json" and entry.stem not in accepted:
            disk.remove(entry)
    if tree.plain:
        _sweep_plain(tree)
    else:
        _sweep_linked(tree)


def _sweep_linked(tree: Tree) -> None:
    at, disk = tree.at, tree.disk
    for entry in at.mark.iterdir():
        if entry.name.endswith(".part"):
            disk.remove(entry)
    kept = {tree.generation, tree.previous_generation}
    for number in generations(at):
        if number not in kept:
            _drop_generation(tree, number)
    in_use = {name for number in kept if number for name in _page_folders(at.generation(number))}
    for entry in at.pages.iterdir():
        if entry.name not in in_use:
            disk.remove_tree(entry)


def _sweep_plain(tree: Tree) -> None:
    """Pages of projects that are served no more."""
    for path in tree.previous.files.keys() - tree.contents.files.keys():
        if is_project_page(path):
            _remove_if_there(tree.disk, tree.at.root / path)
            _remove_if_there(tree.disk, tree.at.root / f"{path}.gz")
            with suppress(OSError):  # gone already, or something of somebody else's lies in it
                tree.disk.remove_folder((tree.at.root / path).parent)


def _drop_generation(tree: Tree, number: int) -> None:
    """An old generation leaves with the files that only it listed; one that never was published leaves alone."""
    folder = tree.at.generation(number)
    if number < tree.generation:
        # Without readable contents (a removal that was cut short) there is nothing left to follow from it.
        contents = read_contents(folder / MANIFEST, missing_ok=True)
        kept = tree.contents.packages.keys() | tree.previous.packages.keys()
        for name in contents.packages.keys() - kept:
            _remove_if_there(tree.disk, tree.at.packages / name)
        tree.disk.sync_folder(tree.at.packages)  # or what lists them may be gone, and they may be there for ever
        _remove_if_there(tree.disk, folder / MANIFEST)
    tree.disk.remove_tree(folder)


def _page_folders(generation: Path) -> Iterator[str]:
    with os.scandir(generation / "simple") as entries:
        for entry in entries:
            if entry.is_symlink():
                yield os.readlink(entry.path).rpartition("/")[2]  # noqa: PTH115 - ten thousand of them


def _remove_if_there(disk: Disk, path: Path) -> None:
    with suppress(FileNotFoundError):
        disk.remove(path)
