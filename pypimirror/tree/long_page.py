"""A page with a row in one line for each file or project: made anew, or mended where something changed. Pure.

The rows are in the order of their keys. A page that is there is mended by taking out the rows of what changed and
putting in new ones, which gives the bytes that making it anew would give; the rows between are passed on unread.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import zip_longest
from operator import itemgetter

__all__ = ["LongPage"]


class LongPage:
    """Rows that each begin with *begin*, and are known by what *key* reads of them."""

    def __init__(self, begin: bytes, key: Callable[[bytes], str]) -> None:
        self._begin = begin
        self._key = key
        self._names: list[str] = []
        self._dropped: set[str] = set()
        self._rows = bytearray()  # one after the other: as objects they would take half as much again
        self._ends = array("Q", [0])

    def add(self, name: str, row: bytes) -> None:
        """A row, in place of any that is there."""
        self._names.append(name)
        self._rows += row
        self._ends.append(len(self._rows))

    def drop(self, names: Iterable[str]) -> None:
        """Rows that leave, unless they are added."""
        self._dropped.update(names)

    def join(self, head: bytes, tail: bytes, old: bytes | None = None) -> bytes:
        """The page, of the rows in the *old* one where there is one."""
        old = old or b""
        page = io.BytesIO()
        page.writelines(self._pieces(head, tail, old))
        return page.getvalue()

    def _pieces(self, head: bytes, tail: bytes, old: bytes) -> Iterator[bytes | memoryview]:
        yield head
        at, end = self._body(old)
        rest, rows = memoryview(old), memoryview(self._rows)
        for name, place in self._changes():
            begin, after = self._find(old, name, at, end)
            yield rest[at:begin]
            at = after
            if place is not None:
                yield rows[self._ends[place] : self._ends[place + 1]]
        yield rest[at:end]
        yield tail

    def _changes(self) -> Iterator[tuple[str, int | None]]:
        """What is called how, and the place of its new row, if it has one; each name once, in their order."""
        places = sorted(range(len(self._names)), key=self._names.__getitem__)
        gone = ((name, None) for name in sorted(self._dropped.difference(self._names)))
        new = (
            (self._names[place], place)
            for place, following in zip_longest(places, places[1:])
            if following is None or self._names[following] != self._names[place]
        )
        return merge(gone, new, key=itemgetter(0)) if self._dropped else new

    def _body(self, old: bytes) -> tuple[int, int]:
        """Where the rows begin and end."""
        first = 0 if old.startswith(self._begin) else old.find(b"\n" + self._begin) + 1
        if not old.startswith(self._begin, first):
            return 0, 0
        last = old.rfind(b"\n" + self._begin) + 1
        return first, old.index(b"\n", max(first, last)) + 1

    def _find(self, page: bytes, name: str, begin: int, end: int) -> tuple[int, int]:
        """The row called *name* between two rows' beginnings, or the empty place where it belongs."""
        while begin < end:
            middle = page.rfind(b"\n", begin, (begin + end) // 2) + 1 or begin
            after = page.index(b"\n", middle) + 1
            key = self._key(page[middle:after])
            if key == name:
                return middle, after
            if key < name:
                begin = after
            else:
                end = middle
        return begin, begin
