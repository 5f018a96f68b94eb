"""How a tree's files are written: whole, with explicit modes and times, through the seam."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pypimirror.disk import Disk, disk_fault

__all__ = ["ensure_folder", "put", "settle", "telling", "write_new"]

# Elsewhere sync() does not wait, or isn't there: then each file is synced as it is written.
_ONE_SYNC_FOR_ALL = sys.platform == "linux"


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


def write_new(disk: Disk, path: Path, data: bytes, *, time: int | None = None) -> None:
    """A file that isn't there yet; on the medium after the next ``settle``."""
    with disk.create(path) as file:
        disk.write(file, data)
        if not _ONE_SYNC_FOR_ALL:
            disk.sync_file(file)
    if time is not None:
        disk.set_time(path, time)


def put(disk: Disk, path: Path, data: bytes, *, part: Path, time: int | None = None) -> None:
    """A file that may be there already: written and synced as *part*, then renamed over it."""
    if part.exists():
        disk.remove(part)
    with disk.create(part) as file:
        disk.write(file, data)
        disk.sync_file(file)
    if time is not None:
        disk.set_time(part, time)
    disk.rename(part, path)


def settle(disk: Disk, *folders: Path) -> None:
    """All that was written, and the names in *folders*, are on the medium when this returns."""
    if _ONE_SYNC_FOR_ALL:
        disk.sync_all()
        return
    for folder in folders:
        disk.sync_folder(folder)
