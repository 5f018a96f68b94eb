"""When to try again, how long to wait, and when to give up.

Waits double and are jittered (the one use of chance in this program: it never touches a result). ``Retry-After`` is
RFC 9110, 10.2.3: seconds or a date; junk is taken for nothing said.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from pypimirror.errors import IndexFault
from pypimirror.net.bodies import shown
from pypimirror.net.wire import Limits, Stopped, WireFault
from pypimirror.reporting import Reporter

__all__ = ["RETRIED", "Attempts", "GaveUp", "retry_after"]

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others the next time."""

_CODES = {"connect": "unreachable", "broken": "connection-broken", "slow": "too-slow", "fixed": "unreachable"}
_LONGEST_NUMBER = 9  # digits of Retry-After that are looked at: thirty years


class GaveUp(IndexFault):
    """An address that could not be had after all tries. ``kind`` is WireFault's, or ``status``."""

    def __init__(self, message: str, *, code: str, hint: str, kind: str) -> None:
        super().__init__(message, code=code, hint=hint)
        self.kind = kind


class Attempts:
    """The tries for one address, whatever it was that failed. Used by one thread."""

    def __init__(self, url: str, *, retries: int, limits: Limits, stop: threading.Event, reporter: Reporter) -> None:
        self._url = url
        self._retries = retries
        self._limits = limits
        self._stop = stop
        self._reporter = reporter
        self._failed = 0

    @property
    def what(self) -> str:
        """The address as messages have it. Most are never shown."""
        return shown(self._url)

    def progressed(self, size: int) -> None:
        """*size* bytes came with the last try: after a good piece of progress the count begins again."""
        if size >= self._limits.progress:
            self._failed = 0

    def broke(self, fault: WireFault) -> None:
        """Wait for the next try. Raises GaveUp where there is none, Stopped where the run was stopped meanwhile."""
        code = _CODES[fault.kind]
        if fault.kind == "fixed":
            raise GaveUp(f"{self.what}: {fault.cause}", code=code, hint=fault.hint, kind=fault.kind) from None
        self._again(fault.cause, None, code=code, hint=fault.hint, kind=fault.kind)

    def refused(self, status: int, headers: Mapping[str, str]) -> None:
        """The same for an answer whose status is in RETRIED."""
        code = "too-many-requests" if status == 429 else "server-error"  # noqa: PLR2004 - RFC 6585
        now = datetime.now(timezone.utc)
        wait = retry_after(headers.get("retry-after"), now)
        if wait is not None and wait > self._limits.longest_wait:
            until = now + timedelta(seconds=wait)
            raise GaveUp(
                f"{self.what}: answered {status} and asks to come back after {until:%Y-%m-%d %H:%M} UTC",
                code=code,
                hint="run the same command again then; what was verified is kept",
                kind="status",
            )
        hint = "run the same command again later; what was verified is kept"
        self._again(f"answered {status}", wait, code=code, hint=hint, kind="status")

    def _again(self, reason: str, wait: float | None, *, code: str, hint: str, kind: str) -> None:
        self._failed += 1
        if self._failed > self._retries:
            tries = "1 try" if self._failed == 1 else f"{self._failed} tries"
            raise GaveUp(f"{self.what}: {reason} ({tries})", code=code, hint=hint, kind=kind)
        if wait is None:
            backoff = min(self._limits.backoff * 2.0 ** (self._failed - 1), self._limits.longest_backoff)
            wait = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
        self._reporter.retrying(what=self.what, reason=reason, attempt=self._failed, wait=wait)
        if self._stop.wait(wait):
            raise Stopped


def retry_after(text: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After field asks to wait, at *now*; None where it says nothing that can be used."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _LONGEST_NUMBER else math.pow(10, _LONGEST_NUMBER)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import, and hardly ever needed

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max((moment - now).total_seconds(), 0.0)
