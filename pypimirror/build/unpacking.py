"""An sdist, or a folder, to a fresh folder of ours that a build may then do with as it likes.

An sdist is read twice: the first time everything is judged, and nothing written; what is refused is refused by name.
Only regular files and folders are made, in a folder where nobody else writes and no link lies, so that no name can
lead out of it. A link to a file of the sdist becomes a copy, one to a folder of it a link, made after all else.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from posixpath import dirname, normpath
from typing import BinaryIO

from pypimirror.build.faults import BuildFault, printable
from pypimirror.build.limits import Limits
from pypimirror.disk import Disk
from pypimirror.index.members import BadArchive, Kind, Member, walk
from pypimirror.values import dataclass

__all__ = ["copy_folder", "unpack"]

_EXECUTABLE = 0o755
_FILE = 0o644
_LONGEST_NAME = 255
_LONGEST_PATH = 1024
_DEEPEST = 64
_RATIO = 100  # real sdists stay below 30
_HARMLESS = 64 * 1024 * 1024  # so much may come of however few bytes
_CHUNK = 1024 * 1024
_MOST_HOPS = 16
_LEFT_OUT = frozenset({".venv", "venv", ".tox", ".nox", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache"})


def unpack(source: BinaryIO, filename: str, folder: Path, *, limits: Limits, disk: Disk) -> Path:
    """Unpack the sdist below *folder*, which is empty, and return its one top folder.

    Raises BuildFault (``bad-sdist``), before anything is written; OSError of *source* and of the disk.
    """
    packed = source.seek(0, os.SEEK_END)
    try:
        source.seek(0)
        contents = _Survey(limits, packed).of(source, filename)
        source.seek(0)
        _Writer(folder, contents, disk).write(source, filename)
    except BadArchive as error:
        raise BuildFault(printable(str(error)), source=filename, code="bad-sdist") from None
    return folder / contents.top


@dataclass(slots=True)
class _Judged:
    """What an sdist holds, once it is judged. Paths are normal, relative, below ``top``."""

    top: str = ""
    files: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)


class _Survey:
    def __init__(self, limits: Limits, packed: int) -> None:
        self._limits = limits
        self._most = min(limits.unpacked, max(_HARMLESS, packed * _RATIO))
        self._unpacked = 0
        self._found = _Judged()
        self._seen: dict[str, str] = {}

    def of(self, source: BinaryIO, filename: str) -> _Judged:
        """Raises BadArchive."""
        for number, (member, _) in enumerate(walk(source, filename), 1):
            if number > self._limits.members:
                raise BadArchive(f"it has more than {self._limits.members} members")
            if path := self._path(member.path):
                self._judge(path, member)
        if not self._found.files:
            raise BadArchive("there is no file in it")
        self._settle_links()
        return self._found

    def _path(self, stated: str) -> str:
        """The normal form of a member's path; empty for the root itself."""
        shown = repr(stated[:200])
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in stated) or "\\" in stated:
            raise BadArchive(f"the name {shown} has characters that no name should have")
        parts = [part for part in stated.split("/") if part not in ("", ".")]
        if stated.startswith("/") or ".." in parts or (parts and parts[0][1:2] == ":"):
            raise BadArchive(f"the member {shown} leads out of its folder")
        if len(stated.encode()) > _LONGEST_PATH or len(parts) > _DEEPEST:
            raise BadArchive(f"the name {shown} is too long, or too deep")
        if any(len(part.encode()) > _LONGEST_NAME for part in parts):
            raise BadArchive(f"the name {shown} is too long")
        return "/".join(parts)

    def _judge(self, path: str, member: Member) -> None:
        found = self._found
        top = path.partition("/")[0]
        found.top = found.top or top
        if top != found.top or (top == path and member.kind is not Kind.FOLDER):
            raise BadArchive(f"the member {path!r} does not lie in the one folder {found.top!r}")
        self._add_folder(dirname(path))
        if member.kind is Kind.FOLDER:
            self._add_folder(path)
            return
        if path in found.files or path in found.links:
            raise BadArchive(f"the member {path!r} is in it twice")
        self._claim(path)
        if path in found.folders:
            raise BadArchive(f"the member {path!r} is a folder, too")
        if member.kind is Kind.FILE:
            found.files[path] = member.size
            self._charge(member.size)
        elif member.kind is Kind.SYMLINK:
            found.links[path] = self._target(dirname(path), path, member)
        elif member.kind is Kind.HARDLINK:
            found.links[path] = self._target("", path, member)
        else:
            raise BadArchive(f"the member {path!r} is a {member.kind.value}")

    def _add_folder(self, path: str) -> None:
        while path and path not in self._found.folders:
            if path in self._found.files or path in self._found.links:
                raise BadArchive(f"the member {path!r} is a folder, too")
            self._claim(path)
            self._found.folders.add(path)
            if len(self._found.folders) > self._limits.members:
                raise BadArchive(f"it has more than {self._limits.members} folders")
            path = dirname(path)

    def _claim(self, path: str) -> None:
        """Two names that some file systems take for one make two sdists of one."""
        key = unicodedata.normalize("NFC", path).casefold()
        other = self._seen.setdefault(key, path)
        if other != path:
            raise BadArchive(f"the members {other!r} and {path!r} are the same where case does not count")

    def _target(self, base: str, path: str, member: Member) -> str:
        target = member.target
        parts = target.split("/")
        climbs = next((i for i, part in enumerate(parts) if part not in ("..", ".", "")), len(parts))
        joined = normpath(f"{base}/{target}" if base else target)
        inside = joined == self._found.top or joined.startswith(f"{self._found.top}/")
        # ".." after a name could go through another link, and then up from somewhere else.
        if not target or target.startswith("/") or ".." in parts[climbs:] or not inside:
            raise BadArchive(f"the {member.kind.value} {path!r} leads out of its folder, to {target[:200]!r}")
        return joined

    def _charge(self, size: int) -> None:
        self._unpacked += size
        if self._unpacked > self._most:
            raise BadArchive(f"unpacked it is larger than {self._most} bytes")

    def _settle_links(self) -> None:
        """Every link to what it stands for in the end: a file, which is charged for the copy, or a folder."""
        found = self._found
        settled: dict[str, str] = {}
        for path, target in found.links.items():
            end, hops = target, 0
            while end in found.links and hops < _MOST_HOPS:
                end, hops = found.links[end], hops + 1
            if end in found.files:
                self._charge(found.files[end])
            elif end not in found.folders or f"{path}/".startswith(f"{end}/"):
                raise BadArchive(f"the link {path!r} to {target[:200]!r} has nothing to stand for")
            settled[path] = end
        found.links = settled


class _Writer:
    def __init__(self, folder: Path, contents: _Judged, disk: Disk) -> None:
        self._folder = folder
        self._contents = contents
        self._disk = disk

    def write(self, source: BinaryIO, filename: str) -> None:
        for path in sorted(self._contents.folders):
            self._disk.make_folder(self._folder / path)
        for member, pieces in walk(source, filename):
            if member.kind is Kind.FILE:
                path = "/".join(part for part in member.path.split("/") if part not in ("", "."))
                if path not in self._contents.files:
                    raise BadArchive("it changed while it was read")
                self._file(self._folder / path, pieces, executable=member.executable)
        for path, end in self._contents.links.items():
            if end in self._contents.files:
                original = self._folder / end
                with original.open("rb") as file:
                    executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
                    self._file(self._folder / path, iter(lambda: file.read(_CHUNK), b""), executable=executable)
            else:
                text = os.path.relpath(end, dirname(path))
                self._disk.symlink(text, self._folder / path, folder=True)

    def _file(self, path: Path, pieces: Iterator[bytes], *, executable: bool) -> None:
        with self._disk.create(path, mode=_EXECUTABLE if executable else _FILE) as file:
            for piece in pieces:
                self._disk.write(file, piece)


def copy_folder(source: Path, target: Path, *, label: str, limits: Limits, disk: Disk) -> tuple[str, ...]:
    """Copy a project's folder to *target*, which is made. Returns the links that were left out, as they are called.

    Environments and caches that tools leave in such folders stay behind. Links that stay inside are kept, others left
    out; so are pipes, sockets and devices. Raises BuildFault (``source-too-large``); OSError.
    """
    left_out: list[str] = []
    count, size = 0, 0
    disk.make_folder(target)
    root = source.resolve()
    waiting = [(root, target)]
    while waiting:
        here, there = waiting.pop()
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            count += 1
            copy = there / entry.name
            if entry.is_symlink():
                # Written anew, as the shortest way to where it leads in the end: the old way may lead out and in again.
                end = Path(os.path.realpath(entry.path))
                if end.is_relative_to(root) and end.exists():
                    disk.symlink(os.path.relpath(end, here), copy, folder=end.is_dir())
                else:
                    left_out.append(os.path.relpath(entry.path, root))
            elif entry.is_dir(follow_symlinks=False):
                if entry.name not in _LEFT_OUT:
                    disk.make_folder(copy)
                    waiting.append((Path(entry.path), copy))
            elif entry.is_file(follow_symlinks=False):
                size += _copy(Path(entry.path), copy, disk, limits.unpacked - size)
            if count > limits.members or size > limits.unpacked:
                raise BuildFault(
                    f"the folder holds more than {limits.members} files, or more than {limits.unpacked} bytes",
                    source=label,
                    code="source-too-large",
                    hint="make an sdist of it, and name that",
                )
    return tuple(left_out)


def _copy(source: Path, target: Path, disk: Disk, room: int) -> int:
    """Copy a regular file, but no more than *room* bytes and one piece; the bytes copied."""
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        copied = 0
        with disk.create(target, mode=_EXECUTABLE if mode & stat.S_IXUSR else _FILE) as copy:
            while stat.S_ISREG(mode) and copied <= room and (piece := file.read(_CHUNK)):
                disk.write(copy, piece)
                copied += len(piece)
    return copied
