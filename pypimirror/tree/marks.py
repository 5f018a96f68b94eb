"""A set of texts that takes 16 bytes for each: what was met on the way through a tree, where there may be millions."""

from __future__ import annotations

import hashlib

__all__ = ["Marks"]

_BYTES = 16
_BUCKETS = 1 << 12


class Marks:
    """Texts, each by the beginning of a digest."""

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}

    def __contains__(self, text: str) -> bool:
        return self._holds(*self._place(text))

    def add(self, text: str) -> None:
        mark, bucket = self._place(text)
        if not self._holds(mark, bucket):
            bucket += mark

    def _place(self, text: str) -> tuple[bytes, bytearray]:
        mark = hashlib.blake2b(text.encode(), digest_size=_BYTES).digest()
        number = int.from_bytes(mark[:2], "big") % _BUCKETS
        if (bucket := self._buckets.get(number)) is None:
            bucket = self._buckets[number] = bytearray()
        return mark, bucket

    @staticmethod
    def _holds(mark: bytes, bucket: bytearray) -> bool:
        found = bucket.find(mark)
        while found >= 0 and found % _BYTES:
            found = bucket.find(mark, found + 1)
        return found >= 0
