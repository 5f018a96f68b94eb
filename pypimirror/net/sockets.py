"""Connections that know when to give up.

A blocked read ends within a quarter of a second once ``stop`` is set, so Ctrl-C does, too. What arrives too slowly is
given up, in the head and in the TLS handshake as in the body (a "slow loris"). And the addresses of a host are looked
up once: bursts of look-ups stall for seconds.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pypimirror.errors import IndexFault
from pypimirror.values import dataclass

__all__ = ["Backend", "Limits", "Stopped", "Stream", "WireFault", "reason_of"]

_SLICE = 0.25  # seconds between two looks at the stop event
_RECORD = 1 << 14  # bytes in a record of TLS, at most
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much, and how long. Sizes in bytes, times in seconds, rates in bytes a second. Tests use small ones."""

    page: int = 64 << 20
    metadata: int = 16 << 20
    file: int = 64 << 30
    connections: int = 16
    slowest_rate: int = 1024
    slow_window: float = 30.0
    backoff: float = 0.25
    longest_backoff: float = 8.0
    longest_wait: float = 300.0
    redirects: int = 10
    progress: int = 1 << 20


class WireFault(Exception):
    """An exchange failed. ``cause`` is one line without secrets; ``kind`` tells what may be done about it.

    ``connect``: no connection came about. ``broken``: it was lost, or went silent. ``slow``: too slow. ``fixed``: a
    certificate, a proxy's refusal, an answer that is no HTTP: it will be the same the next time. ``place`` is the
    origin that was asked.
    """

    def __init__(self, kind: str, cause: str, hint: str = "") -> None:
        super().__init__(cause)
        self.kind = kind
        self.cause = cause
        self.hint = hint
        self.place = ""


class Stopped(IndexFault):
    """The run was stopped while this thread waited. Whoever stopped it has something better to tell."""

    def __init__(self) -> None:
        super().__init__("stopped", code="stopped", hint="run the same command again to continue")


class Patience:
    """How long one exchange waited, and for how much: in each window of waiting, a least number of bytes must come."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waited = 0.0
        self._came = 0

    def count(self, seconds: float, size: int) -> None:
        self._waited += seconds
        self._came += size
        if self._waited >= self._limits.slow_window:
            if self._came < self._limits.slowest_rate * self._waited:
                raise WireFault(
                    "slow", f"below {self._limits.slowest_rate} bytes a second for {self._limits.slow_window:g} seconds"
                )
            self._waited, self._came = 0.0, 0


class Backend:
    """Where connections come from. All of one exchange happens in one thread."""

    def __init__(self, limits: Limits, stop: threading.Event, timeout: float) -> None:
        self._limits = limits
        self._stop = stop
        self.timeout = timeout
        self._mine = threading.local()
        self._addresses: dict[tuple[str, int], list[tuple[int, tuple[object, ...]]]] = {}

    def begin(self) -> None:
        """A new exchange begins in this thread. Raises Stopped."""
        self.check()
        self._mine.patience = Patience(self._limits)

    def listen(self) -> None:
        """Begin to note whether the request that follows makes a connection, and gets an answer."""
        self._mine.made, self._mine.came = None, False

    @property
    def kept(self) -> bool:
        """Whether no connection was made since ``listen``: what is written goes to one of an earlier request."""
        return self._mine.made is None

    @property
    def unanswered(self) -> bool:
        """Whether nothing came since ``listen``."""
        return not self._mine.came

    def drop(self) -> None:
        """Close what was connected since ``listen``: the request has failed."""
        made: Stream | None = self._mine.made
        if made is not None:
            made.close()

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def waiting(self, attempt: Callable[[float], _T], size: Callable[[_T], int]) -> _T:
        """*attempt* in slices until it no longer raises TimeoutError; that is raised after the timeout's seconds."""
        patience: Patience = self._mine.patience
        left = self.timeout
        while True:
            self.check()
            begun = time.monotonic()
            try:
                result = attempt(min(_SLICE, max(left, 0.001)))
            except TimeoutError:
                passed = time.monotonic() - begun
                patience.count(passed, 0)
                left -= passed
                if left <= 0:
                    raise
            else:
                came = size(result)
                patience.count(time.monotonic() - begun, came)
                if came:
                    self._mine.came = True
                return result

    def connect(self, host: str, port: int) -> Stream:
        """A connection to *host*. Raises OSError (a TimeoutError where nobody answers), UnicodeError."""
        last = OSError(errno.EADDRNOTAVAIL, "no address")
        for family, address in self._look_up(host, port):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._connect(connection, address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connection.close()
                last = error
            except BaseException:
                connection.close()
                raise
            else:
                made = self._mine.made = Stream(self, connection)
                return made
        raise last

    def _look_up(self, host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
        found = self._addresses.get((host, port))
        if found is None:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = self._addresses[host, port] = [(row[0], row[4]) for row in rows]
        return found

    def _connect(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        connection.setblocking(False)
        code = connection.connect_ex(address)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)):
            raise OSError(code, reason_of(OSError(code, "")))

        def ready(seconds: float) -> None:
            # Windows tells of a refusal in the third list.
            _, writable, failed = select.select([], [connection], [connection], seconds)
            if not writable and not failed:
                raise TimeoutError(errno.ETIMEDOUT, "no answer")

        if code:
            self.waiting(ready, lambda _: 0)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, reason_of(OSError(code, "")))


class Stream:
    """A connection, plain or TLS, that waits in slices. Methods raise OSError, WireFault (too slow) and Stopped."""

    def __init__(self, backend: Backend, connection: socket.socket) -> None:
        self._backend = backend
        self._connection = connection
        self._set: float | None = None  # to set it again costs a call of the system
        self._failed: OSError | None = None
        self._poll: select.poll | None = None

    def read(self, most: int, *, together: bool = True) -> bytes:
        """What has come, at least a byte; nothing at the end. Without *together*, one record of TLS is enough."""

        def attempt(seconds: float) -> bytes:
            if seconds != self._set:
                self._connection.settimeout(seconds)
                self._set = seconds
            if not isinstance(self._connection, ssl.SSLSocket):
                return self._connection.recv(most)
            return self._records(self._connection, most, together=together)

        return self._backend.waiting(attempt, len)

    def _records(self, connection: ssl.SSLSocket, most: int, *, together: bool) -> bytes:
        """What has come of TLS's small records, together: each piece costs whoever reads it more than it costs here."""
        if self._failed is not None:
            raise self._failed
        piece = connection.recv(min(most, _RECORD))
        left = most - len(piece)
        if not (piece and left and together):
            return piece
        pieces = [piece]
        connection.settimeout(0)
        self._set = 0
        try:
            while pieces[-1] and left:
                pieces.append(connection.recv(min(left, _RECORD)))
                left -= len(pieces[-1])
        except ssl.SSLWantReadError:
            pass
        except OSError as error:
            self._failed = error  # for the next read: what came before it counts
        return b"".join(pieces)

    def write(self, data: bytes) -> None:
        # Requests are small: they fit what the system buffers, unless the other side is dead.
        self._connection.settimeout(self._backend.timeout)
        self._set = self._backend.timeout
        self._connection.sendall(data)

    def close(self) -> None:
        self._connection.close()

    def secure(self, context: ssl.SSLContext, host: str | None) -> None:
        """TLS from here on."""
        self._connection.settimeout(self._backend.timeout)
        wrapped = context.wrap_socket(self._connection, server_hostname=host, do_handshake_on_connect=False)
        self._connection = wrapped

        def attempt(seconds: float) -> None:
            wrapped.settimeout(seconds)
            wrapped.do_handshake()

        self._set = None
        self._backend.waiting(attempt, lambda _: 0)

    def stale(self) -> bool:
        """Whether this idle connection can't be used again: what can be read was never asked for, or is the end."""
        if self._connection.fileno() < 0:
            return True
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return True
        if not hasattr(select, "poll"):
            return bool(select.select([self._connection], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._connection, select.POLLIN)
        return bool(self._poll.poll(0))


def reason_of(error: BaseException) -> str:
    """One short line for an error of the system."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error.strerror or 'unknown reason'})"
    code = error.errno if isinstance(error, OSError) else None
    words = {
        errno.ECONNRESET: "connection reset",
        errno.EPIPE: "connection reset",
        errno.ECONNABORTED: "connection reset",
        errno.ECONNREFUSED: "connection refused",
        errno.ENETUNREACH: "network unreachable",
        errno.EHOSTUNREACH: "host unreachable",
        errno.ETIMEDOUT: "no answer in time",
    }
    if code in words:
        return words[code]
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
