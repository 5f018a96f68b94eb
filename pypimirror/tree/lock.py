"""The lock of a tree: held by the process, so that the kernel frees it however the process ends.

What is in the file is for people: who holds it. It is never removed, or two processes could hold two locks.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import DISK, Disk
from pypimirror.errors import BusyFault

__all__ = ["is_held", "locked"]

_PAUSE = 0.05  # seconds between two tries
_READING = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe must not hold us


@contextmanager
def locked(path: Path, *, shown: str, disk: Disk, wait: float = 0) -> Iterator[None]:
    """Hold the lock at *path* of the tree that people know as *shown*; wait for it at most *wait* seconds.

    Raises BusyFault, naming who holds it; OSError where the file can't be used.
    """
    with _open(path, disk) as file:
        until = time.monotonic() + wait
        while not disk.lock(file):
            if time.monotonic() >= until:
                raise _busy(path, shown)
            time.sleep(_PAUSE)
        disk.truncate(file)
        disk.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def is_held(path: Path, *, disk: Disk = DISK) -> bool:
    """Whether another process holds the lock at *path* now. Where it can't be tried (read-only, gone): False."""
    with suppress(OSError), os.fdopen(os.open(path, _READING), "rb") as file:
        return not disk.lock(file)
    return False


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
