"""How many exchanges one host is asked for at a time: as many as allowed, fewer where it says that it is too many."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["Gate"]

_TOO_MANY = frozenset({429, 503})
_GOOD_ANSWERS = 32
_LOOK = 0.2  # seconds between two chances to be stopped


class Gate:
    """The gate of one host: halved at each "too many" (429, 503), one wider after 32 good answers up to *most*."""

    def __init__(self, most: int) -> None:
        self._most = self._width = most
        self._inside = self._good = 0
        self._free = threading.Condition()

    @contextlib.contextmanager
    def passed(self, check: Callable[[], None]) -> Iterator[Gate]:
        """Wait for a place, and hold it. *check* is called meanwhile, and may raise."""
        with self._free:
            while self._inside >= self._width:
                self._free.wait(_LOOK)
                check()
            self._inside += 1
        try:
            yield self
        finally:
            with self._free:
                self._inside -= 1
                self._free.notify()

    def heard(self, status: int) -> None:
        """The host has answered."""
        with self._free:
            if status in _TOO_MANY:
                self._width, self._good = max(self._width // 2, 1), 0
            elif self._width < self._most:
                self._good += 1
                if self._good >= _GOOD_ANSWERS:
                    self._width, self._good = self._width + 1, 0
                    self._free.notify()
