"""Reading forward, once: from a file or a pipe, a bounded piece at a time, always knowing where.

Every short read is a BundleFault that names what was being read; every error of the medium is a DiskFault that names
the bundle and the byte.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from pypimirror.bundle.faults import damaged, truncated
from pypimirror.bundle.layout import padding
from pypimirror.disk import disk_fault
from pypimirror.kept import KeptBytes, kept_in
from pypimirror.model.names import Sha256
from pypimirror.reporting import Reporter

__all__ = ["CHUNK", "Medium"]

CHUNK = 256 * 1024
_TOLD_EVERY = 4 * 1024 * 1024


class Medium:
    """The bytes of one bundle. ``name`` is for people; ``offset`` is how many bytes lie behind.

    ``total`` is the size of a file, 0 where the bundle comes through a pipe.
    """

    def __init__(self, stream: BinaryIO, *, name: str, total: int, reporter: Reporter) -> None:
        self.name = name
        self.offset = 0
        self.total = total
        self._stream = stream
        self._reporter = reporter
        self._told = 0

    def exactly(self, count: int, part: str) -> bytes:
        """The next *count* bytes, which are few."""
        begin = self.offset
        data = self._read(count) if count else b""
        if len(data) == count:
            return data
        return data + b"".join(self._pieces(count - len(data), part, begin))

    def pieces(self, count: int, part: str) -> Iterator[bytes]:
        """The next *count* bytes, in pieces of at most 256 KiB."""
        return self._pieces(count, part, self.offset)

    def _pieces(self, count: int, part: str, begin: int) -> Iterator[bytes]:
        while count:
            piece = self._read(min(count, CHUNK))
            if not piece:
                raise truncated(self.name, part, begin, self.offset)
            count -= len(piece)
            yield piece

    def content(self, size: int, sha256: Sha256, what: str) -> Iterator[bytes]:
        """A content and the zeros after it. Its last piece comes before the hash is known: wait for the end.

        What raises ``damaged-bundle`` here lies behind: what follows can still be read.
        """
        begin = self.offset
        digest = hashlib.sha256()
        for piece in self.pieces(size, f"contents of {what}"):
            digest.update(piece)
            yield piece
        after = self.offset
        zeros = self.exactly(padding(size), f"padding after {what}")
        if digest.hexdigest() != sha256:
            raise damaged(self.name, f"contents of {what}", begin, "sha256 differs from what the manifest says")
        if any(zeros):
            raise damaged(self.name, f"padding after {what}", after, "not zero")

    def leap(self, size: int, what: str) -> None:
        """Past a content and the zeros after it; unread where that is worth a seek."""
        part, count, begin = f"contents of {what}", size + padding(size), self.offset
        if not self.total or count <= CHUNK:  # a pipe, or no more than what is in the buffer
            for _ in self.pieces(count, part):
                pass
            return
        if self.total < begin + count:
            raise truncated(self.name, part, begin, self.total)
        try:
            self._stream.seek(count, os.SEEK_CUR)
        except OSError as error:
            raise disk_fault(error, f"reading {self.name} at byte {self.offset}") from error
        self.offset += count

    def kept(self, data: bytes | bytearray, offset: int) -> KeptBytes | bytes | bytearray:
        """*data*, which was read at *offset*: read again when it is wanted, where the bundle is a file."""
        return kept_in(self._stream.fileno(), data, offset=offset, name=self.name) if self.total else data

    def zeros(self, count: int, part: str) -> None:
        begin = self.offset
        if any(self.exactly(count, part)):
            raise damaged(self.name, part, begin, "not zero")

    def end(self) -> None:
        """Nothing follows."""
        begin = self.offset
        if self._read(1):
            raise damaged(self.name, "end", begin, "something follows it")
        self._reporter.packing(done=self.offset, total=self.offset)

    def _read(self, count: int) -> bytes:
        try:
            piece = self._stream.read(count)
        except OSError as error:
            raise disk_fault(error, f"reading {self.name} at byte {self.offset}") from error
        self.offset += len(piece)
        if self.offset - self._told >= _TOLD_EVERY:
            self._told = self.offset
            self._reporter.packing(done=self.offset, total=max(self.total, self.offset))
        return piece
