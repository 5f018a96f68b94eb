"""How a tree's files are written: whole, with explicit modes and times, through the seam."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import Disk, disk_fault

__all__ = ["ensure_folder", "keep", "keep_names", "put", "settle", "telling", "write_new"]

# Elsewhere sync() does not wait, or isn't there: then each file is synced as it is written.
ONE_SYNC_FOR_ALL = sys.platform == "linux"


@contextmanager
def telling(doing: str) -> Iterator[None]:
    """An OSError inside becomes a DiskFault that says what was being done."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, doing) from error


def ensure_folder(disk: Disk, path: Path) -> None:
    """A folder that may be there already."""
    if not path.is_dir():
        disk.make_folder(path)


def write_new(disk: Disk, path: Path, data: bytes | Iterable[bytes | memoryview], *, time: int | None = None) -> None:
    """A file that isn't there yet, perhaps in pieces; on the medium after the next ``settle``."""
    with disk.create(path) as file:
        for piece in [data] if isinstance(data, bytes) else data:
            disk.write(file, piece)
        keep(disk, file)
    if time is not None:
        disk.set_time(path, time)


def keep(disk: Disk, file: BinaryIO) -> None:
    """What was written to a new file is on the medium after the next ``settle``."""
    if not ONE_SYNC_FOR_ALL:
        disk.sync_file(file)


def keep_names(disk: Disk, folder: Path) -> None:
    """The names in a new folder are on the medium after the next ``settle``, which need not be told of it."""
    if not ONE_SYNC_FOR_ALL:
        disk.sync_folder(folder)


def put(
    disk: Disk, path: Path, data: bytes | Iterable[bytes | memoryview], *, part: Path, time: int | None = None
) -> None:
    """A file that may be there already: written and synced as *part*, then renamed over it. *data* may be in pieces."""
    if part.exists():
        disk.remove(part)
    try:
        with disk.create(part) as file:
            for piece in [data] if isinstance(data, bytes) else data:
                disk.write(file, piece)
            disk.sync_file(file)
        if time is not None:
            disk.set_time(part, time)
        disk.rename(part, path)
    except BaseException:
        with suppress(OSError):
            disk.remove(part)
        raise


def settle(disk: Disk, *folders: Path) -> None:
    """All that was written and kept, and the names in *folders*, are on the medium when this returns."""
    if ONE_SYNC_FOR_ALL:
        disk.sync_all()
        return
    for folder in folders:
        disk.sync_folder(folder)
