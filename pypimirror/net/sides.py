"""Side connections: they fetch later parts of a large file, while its own connection fetches the beginning.

For servers that give one connection less than the line can take. The file's own transfer stays what it is, and goes on
alone whatever happens here:

    the server sends all, another part, another version, 416, 429     no side connections to it from then on
    a connection breaks, or brings nothing while all wait for it      what it got is used; the rest is fetched anew
    the disk has no room for them                                     likewise, and none from then on

Each segment lies in a file that lost its name when it was made: the system removes it with the process, however that
ends. The beginning grows by whole segments, in order, so it is at every moment what a later run can go on with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from pypimirror.errors import DiskFault, PypimirrorError
from pypimirror.model.urls import origin
from pypimirror.net.client import Client, Stream
from pypimirror.net.pace import RULES, Pace, Rules
from pypimirror.net.partial import Digests, Partial, Scrap
from pypimirror.net.places import Places
from pypimirror.net.retry import Attempts
from pypimirror.net.segments import Segment, Segments
from pypimirror.net.sockets import Stopped, WireFault
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["Origin", "Sides"]

_TOO_MANY = (429, 503)
_LOOK = 0.1  # seconds between two looks at whether the run was stopped
_AHEAD = 1.5  # seconds that its own connection is given before it reaches the first segment
_ALONE = 1.0  # seconds that a side connection takes for a segment, about


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where the file comes from, how long it is, and what tells that it is still the same one (a strong ETag)."""

    url: str
    total: int
    validator: str | None


class Sides:
    """The side connections of one transfer, none at first. ``look``, ``join`` and ``close`` are for its own thread.

    *count* is told of every byte when it comes, and of those (below 0) that were thrown away.
    """

    def __init__(
        self,
        whence: Origin,
        *,
        client: Client,
        partial: Partial,
        places: Places,
        count: Callable[[int], None],
        rules: Rules = RULES,
    ) -> None:
        self._whence = whence
        self._client = client
        self._partial = partial
        self._places = places
        self._count = count
        self._rules = rules
        self._position = partial.size
        self._segments = Segments(whence.total)
        self._pace = Pace(time.monotonic(), rules)
        self._streaming = True  # whether its own connection is at work
        self._running = 0
        self._troubles = 0
        self._over = origin(whence.url) in places.unwilling
        self._change = threading.Condition()

    @property
    def limit(self) -> int | None:
        """Where the first segment begins: there its own connection has to stop."""
        with self._change:
            first = self._segments.first
            return None if first is None else first.start

    def look(self, coming: int) -> int:
        """Its own connection has brought *coming* bytes more: how many of them to take."""
        with self._change:
            first, size = self._segments.first, self._partial.size
            room = coming if first is None else min(coming, first.start - size)
            self._streaming, self._position = True, size + room
            self._adapt()
            return room

    def join(self, digests: Digests) -> bool:
        """Append the segments that follow the beginning, until its own connection is needed; whether there were any.

        Raises DiskFault, Stopped.
        """
        joined = False
        while (segment := self._next()) is not None:
            assert segment.file is not None  # noqa: S101 - for the type checker: it is done
            with segment.file as scrap:
                self._partial.join(scrap, segment.got, digests)
            joined = True
            with self._change:
                self._position = self._partial.size
                self._segments.remove(segment)
                self._change.notify_all()
        return joined

    def close(self) -> None:
        """Give up what was not joined. Connections that wait for something end when it comes."""
        with self._change:
            self._over = True
            for segment in self._segments.clear():
                self._drop(segment)
            self._change.notify_all()

    # ---- the transfer's own thread, holding the lock -----------------------------------------------------------------

    def _next(self) -> Segment | None:
        """Wait for the segment that follows the beginning; None where none does, or it doesn't get on."""
        came, moment = -1, 0.0
        with self._change:
            self._streaming = False
            while True:
                if self._client.stopping.is_set():
                    raise Stopped
                self._adapt()
                segment = self._segments.first
                if segment is None or segment.start != self._position:
                    self._streaming = True
                    return None
                if segment.done:
                    return segment
                now = time.monotonic()
                if segment.got != came:
                    came, moment = segment.got, now
                elif now - moment > self._rules.stall:
                    self._segments.remove(segment)
                    self._drop(segment)
                    self._trouble()
                    continue
                self._change.wait(_LOOK)

    def _adapt(self) -> None:
        if self._over:
            return
        came = self._position + self._segments.got
        wanted = self._pace.look(
            time.monotonic(),
            came,
            left=self._whence.total - came,
            most=self._running + self._streaming + self._places.free,
        )
        while self._running + self._streaming < wanted > 1 and self._claimable() is not None and self._places.take():
            self._running += 1
            try:
                threading.Thread(target=self._serve, name="side", daemon=True).start()
            except RuntimeError:  # the system has no more threads for us
                self._places.give()
                self._running -= 1
                self._over = True
                return

    def _drop(self, segment: Segment) -> None:
        segment.dropped = True
        self._count(-segment.got)
        if segment.file is not None:
            segment.file.close()

    def _trouble(self) -> None:
        self._troubles += 1
        self._over = self._over or self._troubles >= self._rules.troubles

    # ---- the threads of side connections -----------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            segment = self._claim()
            while segment is not None:
                self._fetch(segment)
                segment = self._claim()
        finally:
            self._places.give()

    def _claim(self) -> Segment | None:
        """The next segment for this thread; None where it should end."""
        with self._change:
            while not self._over and self._running + self._streaming <= self._pace.wanted and self._places.free >= 0:
                if self._segments.got < self._rules.unjoined:
                    stretch = self._claimable()
                    if stretch is None:
                        break
                    return self._segments.add(*stretch)
                self._change.wait(_LOOK)
            self._running -= 1
            return None

    def _claimable(self) -> tuple[int, int] | None:
        """What a side connection would fetch next."""
        rules, total = self._rules, self._whence.total
        floor = self._position
        if self._streaming:
            floor += min(int(self._pace.rate * _AHEAD), (total - floor) // 2)
            floor += -floor % rules.smallest  # file systems that can share blocks do so where they lie alike
        start, limit = self._segments.gap(floor)
        # Small ones near the end, so that all connections have something to do until then.
        share = min(int(self._pace.rate * _ALONE) // self._pace.wanted, (total - start) // (2 * self._pace.wanted))
        size = max(rules.smallest, min(share // rules.smallest * rules.smallest, rules.largest))
        end = min(start + size, limit)
        return (start, end) if start < end else None

    def _fetch(self, segment: Segment) -> None:
        """Fetch it; what came of it is for the transfer's thread. Never raises but by mistake."""
        scrap: Scrap | None = None
        refused = False
        try:
            scrap = self._partial.beside()
            self._read(segment, scrap)
        except _Refused:
            refused = True
        except DiskFault:
            with self._change:
                self._over = True
        except (WireFault, PypimirrorError, OSError):
            pass  # the transfer's own connection shows whether something is wrong
        finally:
            self._settle(segment, scrap, refused=refused)

    def _read(self, segment: Segment, scrap: Scrap) -> None:
        whence, size = self._whence, segment.end - segment.start
        with self._client.stream(
            whence.url,
            attempts=_Once(whence.url, client=self._client),
            start=segment.start,
            end=segment.end,
            validator=whence.validator,
        ) as stream:
            if not self._is_ours(stream, segment):
                raise _Refused
            for piece in stream.pieces:
                if segment.got + len(piece) > size:
                    raise _Refused
                scrap.write(piece)
                with self._change:
                    if segment.dropped:
                        return
                    segment.got += len(piece)
                    self._count(len(piece))  # while nobody can drop it: nothing is told of a transfer after its end

    def _is_ours(self, stream: Stream, segment: Segment) -> bool:
        whence = self._whence
        return (
            (stream.first, stream.total) == (segment.start, whence.total)  # never so unless it is a 206
            and (whence.validator is None or stream.validator == whence.validator)
            and "content-encoding" not in stream.headers
        )

    def _settle(self, segment: Segment, scrap: Scrap | None, *, refused: bool) -> None:
        """What came is done, however much it is; the rest is a gap again."""
        with self._change:
            whole = segment.got == segment.end - segment.start
            if refused:
                self._over = True
                self._places.unwilling.add(origin(self._whence.url))
            elif not whole and not segment.dropped:
                self._trouble()
            if segment.got and not (refused or segment.dropped):
                segment.end, segment.file, segment.done = segment.start + segment.got, scrap, True
            else:
                if not segment.dropped:
                    self._segments.remove(segment)
                    self._drop(segment)
                if scrap is not None:
                    scrap.close()
            self._change.notify_all()


class _Refused(Exception):
    """The server doesn't do what is asked of it here."""


class _Once(Attempts):
    """One try, of which nobody is told; what fails says nothing of the host."""

    def __init__(self, url: str, *, client: Client) -> None:
        super().__init__(url, retries=0, limits=client.limits, stop=client.stopping, reporter=Reporter())

    def broke(self, fault: WireFault) -> NoReturn:
        raise fault

    def refused(self, status: int, headers: Mapping[str, str]) -> NoReturn:
        if status in _TOO_MANY:
            raise _Refused(status, headers)
        raise WireFault("broken", f"answered {status}")
