"""How many files come at once, and who may take a place that is free: a transfer always, a side connection then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["Places"]


class Places:
    """The places of one run. Safe for threads. ``unwilling`` holds the origins that refused side connections."""

    def __init__(self, count: int) -> None:
        self.unwilling: set[str] = set()
        self._count = count
        self._taken = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A transfer has one, whether one is free or not."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    @property
    def free(self) -> int:
        """How many are; below 0 where side connections are in the way of transfers."""
        return self._count - self._taken

    def take(self) -> bool:
        """One for a side connection, if one is free. It must be given back."""
        with self._lock:
            free = self._taken < self._count
            self._taken += free
            return free

    def give(self) -> None:
        self._change(-1)

    def _change(self, by: int) -> None:
        with self._lock:
            self._taken += by
