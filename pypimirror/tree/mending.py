"""A tree's entries made what they should be, one by one: files, folders, links, modes. Nothing else is taken away.

Each file is written beside, and renamed over what is wrong; so is each link. A client that meets it sees the wrong
thing or the right one. Where something stands that can't be replaced in one step (a folder in place of a file, a link
in place of the folder with all packages), it is left.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import BinaryIO, Protocol

from pypimirror.disk import FILE_MODE, FOLDER_MODE, Disk
from pypimirror.errors import IntegrityFault
from pypimirror.model import manifest_json
from pypimirror.reporting import Reporter
from pypimirror.tree.anatomy import File, Folder, Link, Part
from pypimirror.tree.hashing import open_regular, sha256_of_all
from pypimirror.tree.layout import MARK, Layout
from pypimirror.tree.writing import ensure_folder, put, settle
from pypimirror.values import dataclass

__all__ = ["Copy", "Mender", "Supply"]

_CHUNK = 1 << 20
_OURS = tuple(f"{MARK}/{folder}/" for folder in ("pages", "shards", "generations", "channels"))


class Supply(Protocol):
    """Where the bytes of a file can be had; they are verified when ``copy_to`` returns."""

    def copy_to(self, file: BinaryIO, *, disk: Disk) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """The bytes that stand at *path*, which should have that *sha256*."""

    path: Path
    sha256: str

    def copy_to(self, file: BinaryIO, *, disk: Disk) -> None:
        """Raises IntegrityFault where they have not, OSError."""
        digest = hashlib.sha256()
        with open_regular(self.path) as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                disk.write(file, chunk)
        if digest.hexdigest() != self.sha256:
            raise IntegrityFault(f"{self.path} changed while it was being read", code="tree-damaged")


@dataclass(kw_only=True)
class Mender:
    """Mends the tree at *at*, which this process holds the lock of; with *dry_run* it only finds out what it would.

    ``mended`` are the paths of what was wrong and is right now, ``sound`` those of files whose bytes were hashed and
    are right, ``obstacles`` of what stands in the way. *now* is in seconds since 1970, for the times of pages. Modes
    are left alone unless *modes*. Methods raise OSError.
    """

    at: Layout
    disk: Disk
    now: int
    modes: bool
    dry_run: bool
    reporter: Reporter
    mended: dict[str, None] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    obstacles: set[str] = field(default_factory=set)
    _blocked: set[str] = field(default_factory=set)
    _touched: set[Path] = field(default_factory=set)

    def _mode(self, path: str) -> int | None:
        """What stands there; None for nothing."""
        try:
            return os.lstat(self.at.root / path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _is_blocked(self, path: str) -> bool:
        return path.rpartition("/")[0] in self._blocked

    def _did(self, path: str) -> None:
        self.mended[path] = None
        self._touched.add((self.at.root / path).parent)

    def settle(self) -> None:
        """What was mended is on the medium when this returns."""
        if self._touched and not self.dry_run:
            settle(self.disk, *sorted(self._touched))
            self._touched.clear()

    def clear(self) -> None:
        """What was being written when a run was cut short leaves."""
        for folder in (self.at.mark, self.at.incoming):
            for part in sorted(folder.glob("*.part")):
                if part.is_symlink() or not part.is_dir():
                    self.disk.remove(part)

    # ---- folders ----------------------------------------------------------------------------------------------------

    def folders(self, parts: Mapping[str, Part]) -> None:
        """Make every folder that is missing. What is below one that can't be made is left alone from now on."""
        for path in sorted(path for path, part in parts.items() if isinstance(part, Folder)):
            mode = self._mode(path)
            if self._is_blocked(path) or (mode is not None and not stat.S_ISDIR(mode) and not path.startswith(_OURS)):
                self._blocked.add(path)
                if not self._is_blocked(path):
                    self.obstacles.add(path)
            elif mode is None or not stat.S_ISDIR(mode):
                self._did(path)
                if not self.dry_run:
                    if mode is not None:
                        self.disk.remove(self.at.root / path)  # what is in such a folder is made again at once
                    self.disk.make_folder(self.at.root / path)

    # ---- files ------------------------------------------------------------------------------------------------------

    def wrong_files(self, parts: Mapping[str, Part]) -> dict[str, File]:
        """Those that are missing, or not what they should be; in their order."""
        wrong: dict[str, File] = {}
        to_hash: list[tuple[str, File]] = []
        for path, part in sorted(parts.items()):
            if not isinstance(part, File) or part.sha256 is None or self._is_blocked(path):
                continue
            if self._looks_right(path, part):
                to_hash.append((path, part))
            elif not (part.optional and self._mode(path) is None):
                self._can_replace(path)
                wrong[path] = part
        total, done = sum(part.size or 0 for _, part in to_hash), 0
        paths = [self.at.root / path for path, _ in to_hash]
        for (path, part), digest in zip(to_hash, sha256_of_all(paths), strict=True):
            if digest == part.sha256:
                self.sound.add(path)
            else:
                wrong[path] = part
            done += part.size or 0
            self.reporter.packing(done=done, total=total)
        return wrong

    def _looks_right(self, path: str, part: File) -> bool:
        try:
            status = os.lstat(self.at.root / path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        size = status.st_size
        right = size <= manifest_json.MAX_BYTES if part.size is None else size == part.size
        return stat.S_ISREG(status.st_mode) and right

    def put_page(self, path: str, data: bytes) -> bool:
        """A page or a record; newer than what it replaces, or servers answer "not modified". False where it can't."""
        if not self._can_replace(path):
            return False
        self._did(path)
        if not self.dry_run:
            place = self.at.root / path
            try:
                time = max(self.now, int(os.lstat(place).st_mtime) + 1)
            except FileNotFoundError:
                time = self.now
            put(self.disk, place, data, part=self._part("page.part"), time=time)
        self.sound.add(path)
        return True

    def put_file(self, path: str, supply: Supply) -> bool:
        """A file in ``packages/``; False where it can't be replaced. Raises what *supply* raises."""
        if not self._can_replace(path):
            return False
        if not self.dry_run:
            part = self._part("mend.part")
            try:
                with self.disk.create(part) as file:
                    supply.copy_to(file, disk=self.disk)
                    self.disk.sync_file(file)
                self.disk.rename(part, self.at.root / path)
            except BaseException:
                if part.exists():
                    self.disk.remove(part)
                raise
        self._did(path)
        self.sound.add(path)
        return True

    def _can_replace(self, path: str) -> bool:
        mode = self._mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            self.obstacles.add(path)
            return False
        return not self._is_blocked(path)

    def _part(self, name: str) -> Path:
        ensure_folder(self.disk, self.at.incoming)
        part = self.at.incoming / name
        if part.exists():
            self.disk.remove(part)
        return part

    # ---- links and modes --------------------------------------------------------------------------------------------

    def links(self, parts: Mapping[str, Part]) -> None:
        """Every link leads where it should; that to the generation comes last."""
        current = f"{MARK}/current"
        for path, part in sorted(parts.items(), key=lambda each: (each[0] == current, each[0])):
            if not isinstance(part, Link):
                continue
            place = self.at.root / path
            mode = self._mode(path)
            if mode is not None and stat.S_ISLNK(mode) and place.readlink().as_posix() == part.text:
                continue
            if not self._can_replace(path):
                continue
            self._did(path)
            if not self.dry_run:
                if path == current:
                    self.settle()  # what it makes seen comes before
                self._link(place, part.text)

    def _link(self, place: Path, text: str) -> None:
        beside = self.at.mark / "link.part"
        if beside.is_symlink():
            self.disk.remove(beside)
        self.disk.symlink(text, beside, folder=not text.endswith((".html", ".json")))
        self.disk.rename(beside, place)

    def permissions(self, parts: Mapping[str, Part]) -> None:
        """Everybody can read, nobody else can write."""
        if not self.modes:
            return
        root = self.at.root.stat().st_mode
        if root & stat.S_IWOTH:
            self._set_mode(".", stat.S_IMODE(root) & ~stat.S_IWOTH)
        for path, right in _modes(parts):
            mode = self._mode(path)
            if mode is None or self._is_blocked(path):
                continue
            kind = stat.S_ISDIR if right == FOLDER_MODE else stat.S_ISREG
            if kind(mode) and stat.S_IMODE(mode) != right:
                self._set_mode(path, right)

    def _set_mode(self, path: str, mode: int) -> None:
        self._did(path)
        if not self.dry_run:
            self.disk.set_mode(self.at.root / path, mode)


def _modes(parts: Mapping[str, Part]) -> Iterable[tuple[str, int]]:
    """The modes of folders, outer ones first, and of files."""
    for path, part in sorted(parts.items()):
        if not isinstance(part, Link):
            yield path, FOLDER_MODE if isinstance(part, Folder) else FILE_MODE
