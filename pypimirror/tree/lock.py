"""The lock of a tree: held by the process, so that the kernel frees it however the process ends.

What is in the file is for people: who holds it. It is never removed, or two processes could hold two locks.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import Disk
from pypimirror.errors import BusyFault

__all__ = ["locked"]

_PAUSE = 0.05  # seconds between two tries
_FAR = 1 << 30  # where Windows locks a byte, so that the text before it can be read

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> None:
        os.lseek(file.fileno(), _FAR, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, *, shown: str, disk: Disk, wait: float = 0) -> Iterator[None]:
    """Hold the lock at *path* of the tree that people know as *shown*; wait for it at most *wait* seconds.

    Raises BusyFault, naming who holds it; OSError where the file can't be used.
    """
    with _open(path, disk) as file:
        until = time.monotonic() + wait
        while True:
            try:
                _try_lock(file)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= until:
                    raise _busy(path, shown) from None
            time.sleep(_PAUSE)
        file.truncate(0)
        disk.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        file.flush()
        yield


def _open(path: Path, disk: Disk) -> BinaryIO:
    with suppress(FileExistsError):
        return disk.create(path)
    return disk.reopen(path)


def _busy(path: Path, shown: str) -> BusyFault:
    holder = ""
    with suppress(OSError):
        holder = path.read_bytes()[:200].decode("utf-8", "replace").strip()
    return BusyFault(
        f"{shown} is being worked on by {holder or 'another process'}",
        code="tree-busy",
        hint="wait until it is done, then run the same command again; nothing was changed",
    )
