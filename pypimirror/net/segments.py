"""What side connections fetch of a file: stretches of it behind its beginning, each in a file of its own."""

from __future__ import annotations

from pypimirror.net.partial import Scrap
from pypimirror.values import dataclass

__all__ = ["Segment", "Segments"]


@dataclass(kw_only=True, slots=True, eq=False)
class Segment:
    """The bytes from ``start`` up to ``end``; ``got`` of them are in ``file``, and all of them when it is ``done``.

    One that was ``dropped`` is nobody's any more, and whoever fetches it should stop.
    """

    start: int
    end: int
    got: int = 0
    file: Scrap | None = None
    done: bool = False
    dropped: bool = False


class Segments:
    """The segments of one transfer, in order. What lies between them is nobody's. Not safe for threads."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._rows: list[Segment] = []

    @property
    def first(self) -> Segment | None:
        return self._rows[0] if self._rows else None

    @property
    def got(self) -> int:
        return sum(row.got for row in self._rows)

    def gap(self, floor: int) -> tuple[int, int]:
        """The first stretch behind the first segment that is nobody's; without segments, what follows *floor*.

        What lies before the first segment is for the transfer's own connection.
        """
        at = self._rows[0].start if self._rows else floor
        for row in self._rows:
            if row.start > at:
                return at, row.start
            at = row.end
        return at, max(at, self._total)

    def add(self, start: int, end: int) -> Segment:
        """A new segment within a gap."""
        made = Segment(start=start, end=end)
        self._rows.append(made)
        self._rows.sort(key=lambda row: row.start)
        return made

    def remove(self, segment: Segment) -> None:
        self._rows.remove(segment)

    def clear(self) -> list[Segment]:
        """Forget them all: they are returned."""
        rows, self._rows = self._rows, []
        return rows
