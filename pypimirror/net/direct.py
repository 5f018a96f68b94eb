"""HTTP/1.1 with one host over sockets of our own, for answers framed as nearly all are (``heads``).

An answer that is framed in another way (HTTP/1.0, no length, an early hint, folded lines, plain nonsense) is handed to
httpcore together with what came of it already. So it is read there, or judged there to be no HTTP, and httpcore is not
even imported where no such answer comes: it takes 60 ms, and three times the CPU for each request.

Where a kept connection turns out to be closed by the other side, the request goes out once more, for nothing was
answered yet. Beyond that nothing is retried.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from pypimirror.net.causes import connect_fault, fixed_fault, protocol_fault
from pypimirror.net.heads import END, Chunks, Head, beginning, parsed
from pypimirror.net.sockets import Backend, Stream, WireFault, reason_of
from pypimirror.net.tunnel import Via, open_tunnel

__all__ = ["KEPT_ALIVE", "PIECE", "Direct", "Reply", "request_fields"]

KEPT_ALIVE = 30.0  # seconds that an idle connection is kept
PIECE = 1 << 18  # bytes that are read at once, at most


class Reply(Protocol):
    """The head of an answer, whose body is still to be read: header names in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def pieces(self) -> Iterator[bytes]:
        """The body as it is on the wire; to be asked for once. Raises WireFault where it breaks off, Stopped."""

    def close(self) -> None:
        """The connection is kept where the whole body was read, and closed else. To be called once."""


class Direct:
    """The way to *host*, with the connections that are kept. Safe for threads. Methods raise WireFault, Stopped.

    Where there is a ``context``, TLS is spoken. ``port`` None stands for the usual one of either. ``via`` is a proxy.
    """

    def __init__(
        self, backend: Backend, *, host: str, port: int | None, context: ssl.SSLContext | None, via: Via | None = None
    ) -> None:
        self._backend = backend
        self._via = via
        self._host = host
        self._context = context
        self._port = (80 if context is None else 443) if port is None else port
        place = f"[{host}]" if ":" in host else host
        named = place if port is None else f"{place}:{port}"
        self._place = f"{place}:{self._port}"
        # Plain http goes to a proxy as it is, but for the whole address and the proxy's own login (RFC 9112, 3.2.2).
        forwarded = via is not None and context is None
        self._before = f"http://{named}" if forwarded else ""
        self._after = f"Host: {named}\r\n" + (via.login if via is not None and forwarded else "")
        self._kept: list[tuple[Stream, float]] = []  # with the time until which it may be used
        if context is not None:
            context.set_alpn_protocols(["http/1.1"])

    def ask(self, target: str, headers: Mapping[str, str]) -> Reply:
        """The head of the answer to a GET of *target*, which is a path and a query, quoted. It must be closed."""
        fields = request_fields(headers)
        request = f"GET {self._before}{target} HTTP/1.1\r\n{self._after}{fields}\r\n".encode()
        stream = self._usable()
        if stream is not None:
            try:
                return self._asked(stream, request)
            except _UnansweredFault:
                pass
        return self._asked(self._connected(), request)

    def keep(self, stream: Stream) -> None:
        """The connection may be used for another request."""
        self._kept.append((stream, time.monotonic() + KEPT_ALIVE))

    def close(self) -> None:
        """Close every connection. No exchange may be under way."""
        while self._kept:
            self._kept.pop()[0].close()

    def _usable(self) -> Stream | None:
        """The connection that was used last: the others grow old."""
        while True:
            try:
                stream, until = self._kept.pop()
            except IndexError:
                return None
            if until > time.monotonic() and not stream.stale():
                return stream
            stream.close()

    def _connected(self) -> Stream:
        stream: Stream | None = None
        via = self._via
        try:
            if via is None:
                stream = self._backend.connect(self._host, self._port)
            else:
                stream = self._backend.connect(via.host, via.port)
            if self._context is not None:
                if via is not None:
                    open_tunnel(stream, via, self._place)
                stream.secure(self._context, self._host)
        except BaseException as error:
            if stream is not None:
                stream.close()
            if isinstance(error, (OSError, UnicodeError)):
                raise connect_fault(error, self._host, None if via is None else via.written) from None
            if isinstance(error, ValueError):
                raise fixed_fault(error) from None
            raise
        return stream

    def _asked(self, stream: Stream, request: bytes) -> Reply:
        try:
            sent = _write(stream, request)
            begun = _read_head(stream)
            end = begun.find(END) + len(END)
            head = parsed(begun[:end]) if end >= len(END) else None
            if head is not None:
                return _Answer(self if sent and head.lasts else None, stream, head, begun[end:])
            from pypimirror.net.transports import odd_reply  # noqa: PLC0415 - slow to import, and hardly ever needed

            return odd_reply(self._backend, stream, begun)
        except BaseException:
            stream.close()
            raise


class _UnansweredFault(WireFault):
    """Not a byte came before the connection was closed."""


def request_fields(headers: Mapping[str, str]) -> str:
    """The lines of a request's head. Raises WireFault for what would end a line, or is no ASCII."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    plain = lines.isascii() and lines.replace("\r\n", "").replace("\t", " ").isprintable()
    if not plain or lines.count("\r\n") != len(headers):
        raise WireFault("fixed", "a field of the request holds a character that it may not")
    return lines


def _write(stream: Stream, request: bytes) -> bool:
    """Whether all of it went out. A server may answer before it hangs up; if it didn't, reading will tell."""
    try:
        stream.write(request)
    except TimeoutError as error:
        raise WireFault("broken", reason_of(error)) from None
    except OSError:
        return False
    return True


def _read_head(stream: Stream) -> bytes:
    """An answer's head, and what came along with it; less where httpcore must judge it."""
    begun = b""
    while True:
        try:
            piece = stream.read(PIECE, together=False)
        except OSError as error:
            kind = WireFault if begun or isinstance(error, TimeoutError) else _UnansweredFault
            raise kind("broken", reason_of(error)) from None
        if not piece:
            kind = WireFault if begun else _UnansweredFault
            raise kind("broken", "the server closed the connection without an answer")
        begun += piece
        if END in begun or not beginning(begun):
            return begun


class _Answer:
    """A ``Reply``. *begun* is what came of the body along with its head, *way* where a good connection is kept."""

    __slots__ = ("_begun", "_length", "_stream", "_way", "_whole", "headers", "status")

    def __init__(self, way: Direct | None, stream: Stream, head: Head, begun: bytes) -> None:
        self.status = head.status
        self.headers = head.headers
        self._way = way
        self._stream = stream
        self._length = head.length
        self._begun = begun
        self._whole = len(begun) == head.length

    def pieces(self) -> Iterator[bytes]:
        if self._length is None:
            yield from self._chunks()
            return
        left = self._length - len(self._begun)
        if self._begun:
            yield self._begun if left >= 0 else self._begun[:left]
        while left > 0:
            piece = self._more(min(left, PIECE))
            left -= len(piece)
            self._whole = left == 0
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        chunks = Chunks()
        data = self._begun
        while True:
            try:
                piece = chunks.feed(data)
            except ValueError as error:
                raise protocol_fault(str(error)) from None
            self._whole = chunks.done and not chunks.rest
            if piece:
                yield piece
            if chunks.done:
                return
            data = self._more(PIECE)

    def _more(self, most: int) -> bytes:
        try:
            piece = self._stream.read(most)
        except OSError as error:
            raise WireFault("broken", reason_of(error)) from None
        if not piece:
            raise WireFault("broken", "the connection ended before the whole answer had come")
        return piece

    def close(self) -> None:
        if self._whole and self._way is not None:
            self._way.keep(self._stream)
        else:
            self._stream.close()
