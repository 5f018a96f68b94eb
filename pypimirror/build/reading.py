"""What a build left behind, read as what it is: hostile. And taken away, however deep and odd it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["Unreadable", "opened", "sweep"]

_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")  # not all known to Windows, where nothing is built
_OPEN = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in _FLAGS)
_FOLDER = _OPEN | getattr(os, "O_DIRECTORY", 0)


class Unreadable(ValueError):
    """What was to be read is not there, is no regular file, is reached through a link, or is too large."""


@contextmanager
def opened(folder: Path, path: str, *, limit: int) -> Iterator[BinaryIO]:
    """The regular file *path* below *folder*, no part of it a link, open for reading. Raises Unreadable."""
    *parents, name = path.split("/")
    descriptor = os.open(folder, _FOLDER)
    try:
        for part in parents:
            descriptor = _step(descriptor, part, _FOLDER)
        descriptor = _step(descriptor, name, _OPEN)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable(f"{name[:80]!r} is no regular file")
        if facts.st_size > limit:
            raise Unreadable(f"{name[:80]!r} is larger than {limit} bytes")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            yield file
    finally:
        os.close(descriptor)


def _step(descriptor: int, name: str, flags: int) -> int:
    """Open *name* in the folder that is open, and close that; on a fault it stays open."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Unreadable(f"{name[:80]!r} is no name of a file")
    try:
        found = os.open(name, flags, dir_fd=descriptor)
    except OSError as error:
        raise Unreadable(f"{name[:80]!r} can't be read ({error.strerror})") from None
    os.close(descriptor)
    return found


def sweep(folder: Path) -> None:
    """Remove *folder* with all that is in it, to which nobody adds any more. Raises OSError.

    Folders are moved up before they are emptied, so neither the depth of a tree nor the length of a path matters; and
    no link is followed.
    """
    top = os.open(folder, _FOLDER)
    try:
        os.fchmod(top, 0o700)
        number = 0
        while names := os.listdir(top):  # noqa: PTH208 - of a descriptor
            for name in names:
                number = _empty(top, name, number)
    finally:
        os.close(top)
    folder.rmdir()


def _empty(top: int, name: str, number: int) -> int:
    """Remove *name* from *top*. Folders in it come to lie in *top*, named by numbers, the last of which is returned."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=top)
        return number
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, _FOLDER, dir_fd=top)
    try:
        with os.scandir(inner) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for each, is_folder in found:
            if not is_folder:
                os.unlink(each, dir_fd=inner)
                continue
            os.chmod(each, 0o700, dir_fd=inner)
            moved = False
            while not moved:
                number += 1
                with suppress(FileExistsError, NotADirectoryError):
                    # Over an empty folder of that name it may go, which is then gone as well as need be.
                    os.rename(each, f".{number}", src_dir_fd=inner, dst_dir_fd=top)
                    moved = True
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return number
