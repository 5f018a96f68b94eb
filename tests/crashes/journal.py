"""A disk that writes down what is done to it, and what of it is on the medium at each moment.

The contents of a file are on the medium after ``sync_file`` of it or ``sync_all``; names (made, renamed,
removed) after ``sync_folder`` of their folder or ``sync_all``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pypimirror.disk import FILE_MODE, FOLDER_MODE, StrPath
from tests.tree.helpers import QuickDisk

__all__ = ["ROOT", "Entry", "Inode", "Journal", "Place", "State", "lay_out", "scan", "set_names"]

Number = int
"""Of an inode."""


class Entry(NamedTuple):
    """What stands under a name: ``kind`` is "folder", "file" or "link"; ``data`` is a link's text, too."""

    kind: str
    data: bytes = b""
    mode: int = 0
    time: int | None = None


Place = dict[str, Entry]
"""A folder with all that is in it, by relative path, parents first."""


def scan(root: Path) -> Place:
    """What stands in a real folder. Times are left out: they depend on the run."""
    found: Place = {}
    _scan(str(root), "", found)
    return found


def _scan(folder: str, prefix: str, found: Place) -> None:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            name = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                found[name] = Entry("link", os.fsencode(Path(entry.path).readlink()))
            elif stat.S_ISDIR(status.st_mode):
                found[name] = Entry("folder", mode=stat.S_IMODE(status.st_mode))
                _scan(entry.path, f"{name}/", found)
            else:
                descriptor = os.open(entry.path, os.O_RDONLY)
                found[name] = Entry("file", os.read(descriptor, status.st_size + 1), stat.S_IMODE(status.st_mode))
                os.close(descriptor)


def lay_out(place: Mapping[str, Entry], root: Path) -> None:
    """Make a real folder of it. *root* is new."""
    root.mkdir()
    for name, entry in place.items():
        path = f"{root}/{name}"
        if entry.kind == "folder":
            os.mkdir(path)  # noqa: PTH102 - a thousand folders a second, these
        elif entry.kind == "link":
            os.symlink(os.fsdecode(entry.data), path)  # noqa: PTH211
            continue
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(descriptor, entry.data)
            os.close(descriptor)
        os.chmod(path, entry.mode)  # noqa: PTH101
        if entry.time is not None:
            os.utime(path, (entry.time, entry.time))


# ---- what was done ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """Names that change in one step: (folder, name, what it stands for from now on)."""

    names: tuple[tuple[Number, str, Number | None], ...]

    @property
    def keys(self) -> frozenset[tuple[Number, str]]:
        return frozenset((folder, name) for folder, name, _ in self.names)


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes from now on; ``half`` is what it has when the write is cut short."""

    number: Number
    data: bytes
    half: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """Contents (``file``), names (``folder``) or, with neither, all are on the medium."""

    file: Number | None = None
    folder: Number | None = None


@dataclass(frozen=True, slots=True)
class Time:
    number: Number
    seconds: int


@dataclass(frozen=True, slots=True)
class Mode:
    number: Number
    mode: int


Event = Change | Content | Sync | Time | Mode


@dataclass(slots=True)
class Inode:
    kind: str
    mode: int
    live: bytes = b""
    durable: bytes = b""
    time: int | None = None

    @property
    def unsynced(self) -> bool:
        return self.kind == "file" and self.live != self.durable


@dataclass(slots=True)
class State:
    """Where a replay stands: what is on the medium, and what waits to be."""

    inodes: dict[Number, Inode]
    durable: dict[Number, dict[str, Number]]
    pending: list[Change] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        if isinstance(event, Change):
            self.pending.append(event)
        elif isinstance(event, Content):
            self.inodes[event.number].live = event.data
        elif isinstance(event, Time):
            self.inodes[event.number].time = event.seconds
        elif isinstance(event, Mode):
            self.inodes[event.number].mode = event.mode
        else:
            self._sync(event)

    def _sync(self, event: Sync) -> None:
        for number, inode in self.inodes.items():
            if event.file == number or (event.file is None and event.folder is None):
                inode.durable = inode.live
        if event.file is not None:
            return
        keys: set[tuple[Number, str]] = set()
        synced: set[int] = set()
        for position, change in reversed(list(enumerate(self.pending))):  # what a synced change stands on goes with it
            if event.folder is None or change.keys & keys or any(f == event.folder for f, _, _ in change.names):
                keys |= change.keys
                synced.add(position)
        for position in sorted(synced):
            set_names(self.durable, self.pending[position])
        self.pending = [change for position, change in enumerate(self.pending) if position not in synced]


def set_names(names: dict[Number, dict[str, Number]], change: Change) -> None:
    for folder, name, number in change.names:
        if number is None:
            names.setdefault(folder, {}).pop(name, None)
        else:
            names.setdefault(folder, {})[name] = number


ROOT = 0


class Journal(QuickDisk):
    """A disk that does everything for real inside *root*, quickly, and writes it down.

    *ignored* operations are done and not written down: that is how a missing sync is tried.
    """

    def __init__(self, root: Path, *, ignored: Callable[[str, str], bool] = lambda name, path: False) -> None:  # noqa: ARG005
        self.root = root
        self.events: list[Event] = []
        self.told: list[str] = []
        self._ignored = ignored
        self._first: list[tuple[Number, Inode]] = []
        self._tree: dict[Number, dict[str, Number]] = {ROOT: {}}
        self._kinds: dict[Number, str] = {ROOT: "folder"}
        self._texts: dict[Number, tuple[str, int, bytes]] = {}
        self._live: dict[Number, bytes] = {}
        self._open: list[tuple[BinaryIO, Number]] = []
        for name, entry in scan(root).items():
            folder, last = self._at(root / name)
            self._tree[folder][last] = self._inode(entry.kind, entry.mode, entry.data)
        self._start = {folder: dict(names) for folder, names in self._tree.items()}
        self._texts_at_start = len(self._texts)

    def states(self, *, halves: bool = False) -> Iterator[tuple[str, State]]:
        """What stands before each operation and after the last, with the operation that was to come.

        With *halves*, the middle of each write, too. A state is good until the next one is asked for.
        """
        inodes = {ROOT: Inode("folder", FOLDER_MODE)}
        state = State(inodes, {folder: dict(names) for folder, names in self._start.items()})
        for number, (kind, mode, data) in self._texts.items():
            durable = data if number <= self._texts_at_start or kind == "link" else b""
            inodes[number] = Inode(kind, mode, durable, durable)
        for event, told in zip(self.events, self.told, strict=True):
            yield told, state
            if halves and isinstance(event, Content):
                state.apply(Content(event.number, event.half, b""))
                yield f"the middle of {told}", state
            state.apply(event)
        yield "the end", state

    # ---- the inside

    def _inode(self, kind: str, mode: int, data: bytes = b"") -> Number:
        number = len(self._kinds)
        self._kinds[number] = kind
        self._texts[number] = (kind, mode, data)
        self._live[number] = data
        if kind == "folder":
            self._tree[number] = {}
        return number

    def _at(self, path: Path) -> tuple[Number, str]:
        *folders, last = path.relative_to(self.root).parts
        number = ROOT
        for name in folders:
            number = self._tree[number][name]
            assert self._kinds[number] == "folder", f"{path} leads through a link"
        return number, last

    def _number(self, path: Path) -> Number:
        if path == self.root:
            return ROOT
        folder, last = self._at(path)
        return self._tree[folder][last]

    def _of(self, file: BinaryIO) -> Number:
        return next(number for each, number in reversed(self._open) if each is file)

    def _tell(self, name: str, path: Path | str, event: Event) -> None:
        shown = path if isinstance(path, str) else str(path.relative_to(self.root))
        if not self._ignored(name, shown):
            self.events.append(event)
            self.told.append(f"{name} {shown}")

    def _named(self, name: str, *changes: tuple[Path, Number | None]) -> None:
        change = Change(tuple((*self._at(path), number) for path, number in changes))
        set_names(self._tree, change)
        self._tell(name, changes[-1][0], change)

    # ---- the operations

    def create(self, path: StrPath, *, mode: int = FILE_MODE) -> BinaryIO:
        path = Path(path)
        file = super().create(path, mode=mode)
        number = self._inode("file", mode)
        self._open.append((file, number))
        self._named("create", (path, number))
        return file

    def reopen(self, path: Path) -> BinaryIO:
        file = super().reopen(path)
        self._open.append((file, self._number(path)))
        return file

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        super().write(file, data)
        number, data = self._of(file), bytes(data)
        old = self._live[number]
        self._live[number] = old + data
        self._tell("write", f"to {_name(file)}", Content(number, old + data, old + data[: len(data) // 2]))

    def copy_into(self, file: BinaryIO, source: BinaryIO, size: int) -> int:  # noqa: ARG002 - the disk's signature
        """The kernel moves nothing here: what is in a file must come by ``write``."""
        return 0

    def truncate(self, file: BinaryIO) -> None:
        super().truncate(file)
        number = self._of(file)
        self._tell("truncate", _name(file), Content(number, b"", self._live[number]))
        self._live[number] = b""

    def sync_file(self, file: BinaryIO) -> None:
        super().sync_file(file)
        self._tell("sync_file", _name(file), Sync(file=self._of(file)))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._tell("sync_folder", path, Sync(folder=self._number(path)))

    def sync_all(self) -> None:
        super().sync_all()
        self._tell("sync_all", "", Sync())

    def make_folder(self, path: Path, *, mode: int = FOLDER_MODE) -> None:
        super().make_folder(path, mode=mode)
        self._named("make_folder", (path, self._inode("folder", mode)))

    def rename(self, source: StrPath, target: StrPath) -> None:
        source, target = Path(source), Path(target)
        super().rename(source, target)
        self._named("rename", (source, None), (target, self._number(source)))

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        self._named("link", (target, self._number(source)))

    def symlink(self, text: str, path: Path, *, folder: bool = False) -> None:
        super().symlink(text, path, folder=folder)
        self._named("symlink", (path, self._inode("link", 0, os.fsencode(text))))

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._named("remove", (path, None))

    def remove_folder(self, path: Path) -> None:
        super().remove_folder(path)
        self._named("remove_folder", (path, None))

    def remove_tree(self, path: Path) -> None:
        """Name by name, as the real one does."""
        for each in sorted(path.iterdir()):
            if each.is_dir() and not each.is_symlink():
                self.remove_tree(each)
            else:
                self.remove(each)
        self.remove_folder(path)

    def set_time(self, path: Path, seconds: int) -> None:
        super().set_time(path, seconds)
        self._tell("set_time", path, Time(self._number(path), seconds))

    def set_mode(self, path: Path, mode: int) -> None:
        super().set_mode(path, mode)
        self._tell("set_mode", path, Mode(self._number(path), mode))


def _name(file: BinaryIO) -> str:
    return Path(os.readlink(f"/proc/self/fd/{file.fileno()}")).name if os.path.isdir("/proc/self/fd") else ""  # noqa: PTH112, PTH115
