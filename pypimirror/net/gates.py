"""How many exchanges one host is asked for at a time: as many as allowed, fewer where it says that it is too many."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Gate"]

_TOO_MANY = frozenset({429, 503})
_GOOD_ANSWERS = 32
_LOOK = 0.2  # seconds between two chances to be stopped


class Gate:
    """The gate of one host: halved at each "too many" (429, 503), one wider after 32 good answers up to *most*."""

    def __init__(self, most: int) -> None:
        self._most = self._width = most
        self._inside = self._good = self._waiting = 0
        self._free = threading.Condition(threading.Lock())

    def enter(self, check: Callable[[], None]) -> None:
        """Wait for a place, and take it until ``leave``. *check* is called meanwhile, and may raise."""
        with self._free:
            while self._inside >= self._width:
                self._waiting += 1
                try:
                    self._free.wait(_LOOK)
                finally:
                    self._waiting -= 1
                check()
            self._inside += 1

    def leave(self) -> None:
        with self._free:
            self._inside -= 1
            if self._waiting:
                self._free.notify()

    def heard(self, status: int) -> None:
        """The host has answered."""
        if self._width == self._most and status not in _TOO_MANY:
            return
        with self._free:
            if status in _TOO_MANY:
                self._width, self._good = max(self._width // 2, 1), 0
            elif self._width < self._most:
                self._good += 1
                if self._good >= _GOOD_ANSWERS:
                    self._width, self._good = self._width + 1, 0
                    self._free.notify()
