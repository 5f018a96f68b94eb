"""Connections for httpcore that know when to give up.

Three reasons not to use its own. A blocked read ends within a quarter of a second once ``stop`` is set, so Ctrl-C does,
too. What arrives too slowly is given up, in the head and in the TLS handshake as in the body (a "slow loris"). And the
addresses of a host are looked up once: bursts of look-ups stall for seconds.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import httpcore

from pypimirror.errors import IndexFault

__all__ = ["Backend", "Limits", "Stopped", "WireFault", "reason_of", "root_of"]

_SLICE = 0.25  # seconds between two looks at the stop event
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


class Backend(httpcore.NetworkBackend):
    """Where httpcore gets its connections from."""

    def __init__(self, limits: Limits, stop: threading.Event) -> None:
        self._limits = limits
        self._stop = stop
        self._mine = threading.local()
        self._addresses: dict[tuple[str, int], list[tuple[int, tuple[object, ...]]]] = {}

    def begin(self) -> None:
        """A new exchange begins in this thread; all of it happens in this thread."""
        self.check()
        self._mine.patience = Patience(self._limits)

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def waiting(self, timeout: float | None, attempt: Callable[[float], _T], size: Callable[[_T], int]) -> _T:
        """*attempt* in slices until it no longer raises TimeoutError; that is raised after *timeout* seconds of it."""
        patience: Patience = self._mine.patience
        left = timeout if timeout is not None else float("inf")
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
                patience.count(time.monotonic() - begun, size(result))
                return result

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the port's signature
        socket_options: Iterable[object] | None = None,  # noqa: ARG002 - the port's signature
    ) -> httpcore.NetworkStream:
        last: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
        for family, address in self._look_up(host, port):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._connect(connection, address, timeout)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connection.close()
                last = error
            except BaseException:
                connection.close()
                raise
            else:
                return _Stream(self, connection)
        kind = httpcore.ConnectTimeout if isinstance(last, TimeoutError) else httpcore.ConnectError
        raise kind(last) from last

    def _look_up(self, host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
        found = self._addresses.get((host, port))
        if found is None:
            try:
                rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                raise httpcore.ConnectError(error) from error
            found = [(row[0], row[4]) for row in rows]
            self._addresses[host, port] = found
        return found

    def _connect(self, connection: socket.socket, address: tuple[object, ...], timeout: float | None) -> None:
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
            self.waiting(timeout, ready, lambda _: 0)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, reason_of(OSError(code, "")))


class _Stream(httpcore.NetworkStream):
    """A connection, plain or TLS, that waits in slices."""

    def __init__(self, backend: Backend, connection: socket.socket) -> None:
        self._backend = backend
        self._connection = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        def attempt(seconds: float) -> bytes:
            self._connection.settimeout(seconds)
            return self._connection.recv(max_bytes)

        try:
            return self._backend.waiting(timeout, attempt, len)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        # Requests are small: they fit what the system buffers, unless the other side is dead.
        try:
            self._connection.settimeout(timeout)
            self._connection.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(error) from error
        except OSError as error:
            raise httpcore.WriteError(error) from error

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._connection.settimeout(timeout)
            wrapped = ssl_context.wrap_socket(
                self._connection, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._connection = wrapped

            def attempt(seconds: float) -> None:
                wrapped.settimeout(seconds)
                wrapped.do_handshake()

            self._backend.waiting(timeout, attempt, lambda _: 0)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout(error) from error
            if isinstance(error, OSError):
                raise httpcore.ConnectError(error) from error
            raise
        return self

    def get_extra_info(self, info: str) -> object:
        if info == "ssl_object" and isinstance(self._connection, ssl.SSLSocket):
            return self._connection
        if info == "is_readable":  # an idle connection that can be read has been closed by the other side
            return bool(_readable(self._connection))
        return None


def _readable(connection: socket.socket) -> bool:
    if connection.fileno() < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([connection], [], [], 0)[0])


def root_of(error: BaseException) -> BaseException:
    """The system's own error behind a library's: its cause, or inside it, since httpcore drops causes on the way."""
    while True:
        inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            return error
        error = inner


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
