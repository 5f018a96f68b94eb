"""Bytes that were read once and may be wanted again: left in their file, and compared when they are read again."""

from __future__ import annotations

import hashlib
import os
import weakref
from pathlib import Path

from pypimirror.disk import disk_fault
from pypimirror.errors import IntegrityFault

__all__ = ["KeptBytes", "kept_in"]

_BLOCK = 1 << 14
_MARK = 16
_LITTLE = 1 << 23  # bytes that are rather held


class KeptBytes:
    """*data* as it stands in an open file at *offset*. *name* is for people. A slice of it is as *data*'s would be.

    Slicing raises IntegrityFault (``changed-file``) where the file changed since, and DiskFault.
    """

    def __init__(self, descriptor: int, data: bytes | bytearray, *, offset: int, name: str) -> None:
        self._descriptor = os.dup(descriptor)
        weakref.finalize(self, os.close, self._descriptor)
        self._offset = offset
        self._size = len(data)
        self._name = name
        with memoryview(data) as view:
            blocks = (view[begin : begin + _BLOCK] for begin in range(0, self._size, _BLOCK))
            self._marks = b"".join([_mark(block) for block in blocks])

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._size)
        if end <= begin:
            return b""
        first = begin - begin % _BLOCK
        data = self._read(first, min(self._size, end + -end % _BLOCK))
        for at in range(0, len(data), _BLOCK):
            place = (first + at) // _BLOCK * _MARK
            if _mark(data[at : at + _BLOCK]) != self._marks[place : place + _MARK]:
                raise IntegrityFault(
                    f"{self._name} changed while it was being read",
                    code="changed-file",
                    hint="run again when nobody writes to it",
                )
        return data[begin - first : end - first]

    def _read(self, begin: int, end: int) -> bytes:
        pieces = []
        try:
            while begin < end and (piece := os.pread(self._descriptor, end - begin, self._offset + begin)):
                pieces.append(piece)
                begin += len(piece)
        except OSError as error:
            raise disk_fault(error, f"reading {self._name}") from error
        return b"".join(pieces)


def _mark(block: bytes | memoryview) -> bytes:
    return hashlib.blake2b(block, digest_size=_MARK).digest()


def kept_in(place: Path | int, data: bytes | bytearray, *, offset: int = 0, name: str) -> KeptBytes | bytes | bytearray:
    """*data* itself where it is small or can't be read again; else what takes no memory for it.

    *place* is the file, or its descriptor. Where a file that is open can't be removed (Windows), all is held.
    """
    if len(data) < _LITTLE or not hasattr(os, "pread"):
        return data
    if isinstance(place, int):
        return KeptBytes(place, data, offset=offset, name=name)
    with place.open("rb", buffering=0) as file:
        return KeptBytes(file.fileno(), data, offset=offset, name=name)
