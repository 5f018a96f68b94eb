"""A file that appears under its name whole and synced, or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import Disk
from pypimirror.values import dataclass

__all__ = ["Part", "beside"]

_LONGEST = 255 - len(".part-") - 2 * 8 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """A file in the making, under its temporary name."""

    path: Path
    file: BinaryIO


@contextmanager
def beside(target: Path, disk: Disk) -> Iterator[Part]:
    """A new file ``.NAME.part-<random>`` that becomes *target*, replacing what is there, when the block ends.

    Where the block raises, whatever it is, the file is removed. Files that killed runs left for the same *target* are
    removed first: those that nobody holds a lock on. Raises OSError.
    """
    prefix = _prefix(target.name)
    _remove_stale(target.parent, prefix, disk)
    part = _create(target.parent, prefix, disk)
    try:
        yield part
        disk.sync_file(part.file)
        if os.name == "nt":  # an open file can't be renamed there; elsewhere the lock is held until it has its name
            part.file.close()
        disk.rename(part.path, target)
    except BaseException:
        with suppress(OSError):  # closing writes what is buffered, and may fail as the write did
            part.file.close()
        with suppress(OSError):
            disk.remove(part.path)
        raise
    part.file.close()
    disk.sync_folder(target.parent)


def _prefix(name: str) -> str:
    """The name of a temporary file up to its random part, within the 255 bytes of any file system."""
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.part-"


def _create(folder: Path, prefix: str, disk: Disk) -> Part:
    while True:
        path = folder / f"{prefix}{secrets.token_hex(8)}"
        part = Part(path, disk.create(path))
        ours = True
        with suppress(OSError):  # a file system without locks: then nobody removes what is stale, either
            ours = disk.lock(part.file)
        if ours and os.fstat(part.file.fileno()).st_nlink:
            return part
        part.file.close()  # another run took it for stale before it was locked: it removes it, or did so


def _remove_stale(folder: Path, prefix: str, disk: Disk) -> None:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(prefix) and path.is_file() and not path.is_symlink():
            with suppress(OSError), path.open("rb") as file:
                if disk.lock(file):
                    disk.remove(path)
