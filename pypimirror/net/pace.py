"""How many connections a transfer should have: more as long as each brings more, and no more than that.

Nothing is known of the line and of the server but what comes. So: look at the rate for a while; where it would take
long to the end, add connections and look again. Where the rate has grown by a fair part of what they would bring at
the best, they stay, and more are added; else they go, and it is not tried again for some time.
"""

from __future__ import annotations

from pypimirror.values import dataclass

__all__ = ["RULES", "Pace", "Rules"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """When a transfer is split, and into what. Sizes in bytes, times in seconds. Tests use small ones."""

    least: int = 32 << 20  # what must be left at the beginning
    steps: tuple[int, ...] = (2, 4, 6)  # connections, its own included
    places: int = 8  # of all transfers together, as many as there are workers
    fair: float = 1 / 3  # of what those that were added could bring at the best
    settle: float = 0.3
    look: float = 0.5
    again: float = 8.0
    worth: float = 2.0  # what must be left of time
    smallest: int = 1 << 20
    largest: int = 16 << 20
    unjoined: int = 128 << 20  # what may lie beside the beginning; it is lost when the process is killed
    stall: float = 2.0  # how long the beginning waits for a side connection that brings nothing
    troubles: int = 3  # so many side connections may break


RULES = Rules()


class Pace:
    """The pace of one transfer. It reads no clock: each moment is told."""

    def __init__(self, now: float, rules: Rules = RULES) -> None:
        self.wanted = 1
        self.rate = 0.0
        """Bytes a second of all connections together, as it was last looked at."""
        self._rules = rules
        self._before = 1
        self._rate_before = 0.0
        self._changed = now
        self._begun: tuple[float, int] | None = None
        self._rest = now

    def look(self, now: float, came: int, *, left: int, most: int) -> int:
        """How many are wanted now: *came* bytes are here, *left* are to come, *most* connections could be had."""
        if now < self._changed + self._rules.settle:
            return self.wanted
        if self._begun is None or came < self._begun[1]:  # fewer than before: something was thrown away
            self._begun = now, came
        begun, had = self._begun
        if now < begun + self._rules.look:
            return self.wanted
        self.rate = (came - had) / (now - begun)
        if self._before < self.wanted and not self._paid():
            self._rest = now + self._rules.again
            self._set(now, self._before)
        elif now >= self._rest and left > self.rate * self._rules.worth and (more := self._more(most)):
            self._set(now, more)
        else:
            self._before, self._begun = self.wanted, None
        return self.wanted

    def _paid(self) -> bool:
        """Whether those that were added last brought a fair part of what they could."""
        best = self.wanted / self._before - 1
        return self.rate > self._rate_before * (1 + best * self._rules.fair)

    def _more(self, most: int) -> int | None:
        return next((step for step in self._rules.steps if self.wanted < step <= most), None)

    def _set(self, now: float, wanted: int) -> None:
        fewer = wanted < self.wanted
        self._before, self.wanted = (wanted, wanted) if fewer else (self.wanted, wanted)
        self._rate_before, self._changed, self._begun = self.rate, now, None
