"""A tree on the disk, opened under its lock: what it serves now, and what a crash left lying in it.

Whatever no generation refers to, inside ``.pypimirror/``, is rubbish of a run that was cut short. It is swept when the
tree is opened, and again when it is closed after a fault (``sweeping``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import TypeVar

from pypimirror.disk import DISK, Disk
from pypimirror.errors import PypimirrorError, UsageFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import NormalizedName, Sha256
from pypimirror.model.reading import Malformed
from pypimirror.tree.contents import Contents, Served
from pypimirror.tree.layout import MANIFEST, MARK, Layout
from pypimirror.tree.ledger import Entry, Ledger, entry_in, files_in
from pypimirror.tree.lock import locked
from pypimirror.tree.marks import Marks
from pypimirror.tree.records import (
    current_generation,
    damaged,
    generations,
    read_before,
    read_contents,
    read_generation,
    read_ledger,
)
from pypimirror.tree.shards import shard
from pypimirror.tree.sweeping import sweep
from pypimirror.tree.writing import ensure_folder, put, telling
from pypimirror.values import dataclass

__all__ = ["Tree", "open_tree"]

T = TypeVar("T")

_LEDGERS = 2  # kept in memory at least: a shard as it is, and as it was
_LEDGER_BYTES = 6_000_000  # of those that are kept; decoded they take five times as much
_TOLERATED = frozenset({"lost+found"})  # what a freshly made file system holds


@dataclass(kw_only=True, slots=True)
class Tree:
    """A tree that this process holds the lock of. ``shown`` is its path as a person wrote it.

    ``generation`` is 0 where nothing is published yet; a plain tree has no numbers and stays at 0.
    Since it was opened: ``sound`` are the files in ``packages`` and ``incoming`` whose bytes were hashed and are right,
    as ``<path> <sha256>``, ``rotten`` those that were wrong; ``manifests`` are those that were imported.
    """

    at: Layout
    shown: str
    disk: Disk
    plain: bool
    generation: int = 0
    previous_generation: int = 0
    contents: Contents = field(default_factory=Contents)
    previous: Contents = field(default_factory=Contents)
    sound: Marks = field(default_factory=Marks)
    rotten: set[tuple[str, str]] = field(default_factory=set)
    manifests: dict[Sha256, Manifest] = field(default_factory=dict)
    _ledgers: dict[tuple[str, Sha256], Ledger] = field(default_factory=dict)
    _ledger_sizes: dict[tuple[str, Sha256], int] = field(default_factory=dict)

    def entry(self, project: NormalizedName) -> Entry | None:
        """What is known of a project that is served. Raises IntegrityFault, OSError."""
        value = self.ledger(project).get(project)
        return None if value is None else self._checked(project, value, entry_in)

    def names_of(self, shard_name: str) -> list[NormalizedName]:
        """The projects of a shard. Raises IntegrityFault, OSError."""
        return list(self.read(shard_name, self.contents))

    def listed(self, projects: Iterable[NormalizedName]) -> dict[str, Served]:
        """What this state and the one before have in ``packages/`` of some projects. Raises IntegrityFault, OSError."""
        found: dict[str, Served] = {}
        for project in sorted(projects, key=shard):
            for contents in (self.previous, self.contents):
                value = self.ledger(project, contents).get(project)
                found.update({} if value is None else self._checked(project, value, files_in))
        return found

    def listed_of_all(self) -> Iterator[tuple[str, Served]]:
        """What this state and the one before have in ``packages/``. Raises IntegrityFault, OSError."""
        for contents in (self.previous, self.contents):
            for each in contents.ledger:
                for project, value in read_ledger(self.at, each, contents).items():
                    yield from self._checked(project, value, files_in).items()

    def ledger(self, project: NormalizedName, contents: Contents | None = None) -> Ledger:
        """The ledger with the entry of *project*, as it is served now, or in *contents*."""
        return self.read(shard(project), contents or self.contents)

    def read(self, shard: str, contents: Contents, *, missing_ok: bool = False) -> Ledger:
        """The ledger of a shard as *contents* name it; not to be changed. Raises IntegrityFault, OSError."""
        served = contents.ledger.get(shard)
        if served is None:
            return {}
        if (found := self._ledgers.get((shard, served.sha256))) is None:
            found = read_ledger(self.at, shard, contents, missing_ok=missing_ok)
            self._ledgers[shard, served.sha256] = found
            self._ledger_sizes[shard, served.sha256] = served.size
            while sum(self._ledger_sizes.values()) > _LEDGER_BYTES and len(self._ledgers) > _LEDGERS:
                oldest = next(iter(self._ledgers))
                del self._ledgers[oldest], self._ledger_sizes[oldest]
        return found

    def _checked(self, project: NormalizedName, value: object, read: Callable[[object, str], T]) -> T:
        try:
            return read(value, project)
        except Malformed as error:
            raise damaged(self.at.ledger, str(error)) from None

    def advance(self, contents: Contents) -> None:
        """*contents* were published: what was served is now what was served before."""
        self.previous, self.contents = self.contents, contents
        if not self.plain:
            self.previous_generation, self.generation = self.generation, self.generation + 1

    def reload(self) -> None:
        """Read again what is served now and what was served before. Raises IntegrityFault, OSError."""
        if self.plain:
            self.contents = read_contents(self.at.root / MANIFEST, missing_ok=True)
            self.previous = read_before(self.at, self.contents)
            return
        self.generation = current_generation(self.at)
        older = [number for number in generations(self.at) if number < self.generation]
        self.previous_generation = max(older, default=0)
        self.contents = read_generation(self.at, self.generation)
        self.previous = read_generation(self.at, self.previous_generation, leaving=True)
        if not self.previous.is_published:  # its removal was cut short: it is swept
            self.previous_generation = 0


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
            _make_folders(disk, [at.packages, at.incoming, at.manifests, at.ledger])
            tree = Tree(at=at, shown=shown, disk=disk, plain=_settle_plain(at, shown, disk, plain=plain))
            _make_folders(disk, () if tree.plain else (at.simple, at.pages, at.shards, at.generations))
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
