"""A file on its way into the cache, and the digests that are made of it while it is written."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from pypimirror.disk import Disk, disk_fault
from pypimirror.model.names import Sha256
from pypimirror.net.locking import LOCKS, try_lock

__all__ = ["PRIVATE_FILE", "Digests", "Partial", "Scrap", "writing"]

PRIVATE_FILE = 0o600
_PIECE = 1 << 20


class Home(Protocol):
    """What a transfer asks of the cache that it belongs to."""

    folder: Path

    def temp_place(self) -> Path: ...

    def free(self) -> int: ...

    def adopt(self, source: Path, sha256: Sha256) -> Path: ...


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """OSErrors from within become the DiskFault of a cache that can't be used."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, f"writing to the cache {folder}") from None


class Partial:
    """A file on its way. ``size`` is what it holds; nothing of it is verified before ``commit``.

    ``beside_another`` tells that somebody else may hold the transfer that could be gone on
    with. Methods raise DiskFault. Used by one thread.
    """

    def __init__(self, file: BinaryIO, place: Path, *, cache: Home, disk: Disk, resumable: bool) -> None:
        self._file = file
        self._place = place
        self._cache = cache
        self._disk = disk
        self._resumable = resumable
        self._there = True
        self.beside_another = not resumable and LOCKS
        self.size = file.seek(0, os.SEEK_END)

    def digests(self, algorithms: tuple[str, ...]) -> Digests:
        """Digests of what is here so far, ready for what comes."""
        digests = Digests(algorithms)
        with writing(self._cache.folder):
            self._file.flush()
            self._file.seek(0)
            left = self.size
            while left and (piece := self._file.read(min(_PIECE, left))):
                digests.update(piece)
                left -= len(piece)
            self._file.seek(0, os.SEEK_END)
        return digests

    def append(self, data: bytes) -> None:
        with writing(self._cache.folder):
            self._disk.write(self._file, data)
            self.size += len(data)

    def beside(self) -> Scrap:
        """A place for a part that belongs further behind. Safe for threads."""
        return Scrap(self._cache, self._disk)

    def room(self) -> int:
        """Free bytes on the disk."""
        return self._cache.free()

    def join(self, scrap: Scrap, size: int, digests: Digests) -> None:
        """Append the first *size* bytes of *scrap*, and tell *digests* of them."""
        with writing(self._cache.folder):
            file, left = scrap.file, size
            file.seek(0)
            left -= self._disk.copy_into(self._file, file, size)
            while left and (piece := file.read(min(_PIECE, left))):
                self._disk.write(self._file, piece)
                left -= len(piece)
            file.seek(0)
            while size and (piece := file.read(min(_PIECE, size))):
                digests.update(piece)
                self.size += len(piece)
                size -= len(piece)

    def restart(self) -> None:
        """Throw away what is here and begin again."""
        with writing(self._cache.folder):
            self._disk.remove(self._place)
            self._file.close()
            try:
                self._file = self._disk.create(self._place, mode=PRIVATE_FILE)
                try_lock(self._file)
            except FileExistsError:  # another run was quicker to take the name
                self._place, self._resumable = self._cache.temp_place(), False
                self._file = self._disk.create(self._place, mode=PRIVATE_FILE)
            self.size = 0

    def commit(self, sha256: Sha256) -> Path:
        """Its content is *sha256*, verified by the caller: give it its name."""
        with writing(self._cache.folder):
            self._file.flush()
            if os.name == "nt":  # an open file can't be moved there
                self._file.close()
        place = self._cache.adopt(self._place, sha256)
        self._there = False
        return place

    def close(self) -> None:
        """Let go of it. Raises OSError."""
        try:
            if self._there and not (self._resumable and self.size):
                self._disk.remove(self._place)
        finally:
            self._file.close()


class Scrap:
    """A file that has no name any more: the system removes it with the process. A context manager that closes it.

    Raises DiskFault.
    """

    def __init__(self, cache: Home, disk: Disk) -> None:
        self._cache = cache
        self._disk = disk
        self._place = cache.temp_place()
        with writing(cache.folder):
            self.file = disk.create(self._place, mode=PRIVATE_FILE)
        self._named = True
        self._unname()

    def __enter__(self) -> Scrap:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        with writing(self._cache.folder):
            self._disk.write(self.file, data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        self._unname()

    def _unname(self) -> None:
        if self._named:
            with contextlib.suppress(OSError):  # Windows removes no open file: then when it is closed
                self._disk.remove(self._place)
                self._named = False


class Digests:
    """Several hashes of one stream. sha256 is always among them."""

    def __init__(self, algorithms: tuple[str, ...]) -> None:
        self._machines = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", *algorithms)}

    def update(self, data: bytes) -> None:
        for machine in self._machines.values():
            machine.update(data)

    def hexdigest(self, algorithm: str) -> str:
        return self._machines[algorithm].hexdigest()
