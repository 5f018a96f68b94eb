"""Answers of HTTP/1.1 as nearly every server frames them (RFC 9112), read from bytes. No request is made here.

This is the narrow, strict part that all but a few answers fit. What doesn't fit is not judged here: ``parsed`` says
None, and httpcore reads the same bytes (``transports``). That way costs three times the CPU of this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pypimirror.values import dataclass

__all__ = ["END", "Chunks", "Head", "beginning", "gathered", "parsed"]

END = b"\r\n\r\n"
_LONGEST = 1 << 16  # bytes of a head; the line of a chunk and the trailers have to do with less
_LONGEST_LINE = 1 << 12
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELD = rf"[!#$%&'*+.^_`|~0-9A-Za-z-]+:{_TEXT}"
_HEAD = re.compile(rf"HTTP/1\.1 (?P<status>[2-5][0-9][0-9])(?: {_TEXT})?\r\n(?P<fields>(?:{_FIELD}\r\n)*)\r\n")
_TRAILER = re.compile(_FIELD)
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Head:
    """``length`` is the number of bytes of the body, None for a body in chunks; ``lasts``: the connection may be kept.

    Header names are lower case; the values of one name are joined by a comma (RFC 9110, 5.3).
    """

    status: int
    headers: dict[str, str]
    length: int | None
    lasts: bool


def beginning(data: bytes) -> bool:
    """Whether a head that ``parsed`` can read may begin with *data*, in which it has not ended yet."""
    start = b"HTTP/1.1 "
    ends = data.count(b"\n") == data.count(b"\r\n")
    return ends and len(data) < _LONGEST and data[: len(start)] == start[: len(data)]


def parsed(head: bytes) -> Head | None:
    """*head* up to and with its empty line; None where something about it is out of the ordinary."""
    match = _HEAD.fullmatch(_text(head))
    if match is None:
        return None
    status, headers = int(match["status"]), _joined(match["fields"].split("\r\n")[:-1])
    lasts = "close" not in headers.get("connection", "").lower()
    coding, size = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None and (coding.lower() != "chunked" or size is not None):
        return None
    if size is not None and not _LENGTH.fullmatch(size):
        return None
    if status in _BODILESS:
        return Head(status, headers, 0, lasts)
    if coding is None and size is None:
        return None
    return Head(status, headers, None if size is None else int(size), lasts)


def gathered(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields as ``Head`` has them."""
    lines = _text(b"\n".join(name + b":" + value for name, value in fields)).split("\n")
    return _joined(line for line in lines if line)


def _joined(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _text(data: bytes) -> str:
    """Nobody says what a head is written in: UTF-8 where it can be, else Latin-1, which always can."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


class Chunks:
    """A body in chunks (RFC 9112, 7.1), as it comes. ``done`` once it is whole, ``rest`` is what came after it."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._left = 0  # bytes of this chunk that are still to come
        self._open = False  # the end of this chunk's line is still to come
        self._trailers: int | None = None  # bytes of them, once the last chunk has come

    def feed(self, data: bytes) -> bytes:
        """What *data* holds of the body, in one piece. Raises ValueError where it breaks the rules."""
        data = self.rest + data
        at = 0
        parts: list[bytes] = []
        while not self.done:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if self._left:
                    break
            if self._open and not b"\r\n".startswith(data[at : at + 2]):
                raise ValueError("a chunk is longer than it says")
            end = data.find(b"\r\n", at, at + _LONGEST_LINE)
            if end < 0:
                if len(data) - at >= _LONGEST_LINE:
                    raise ValueError("the line of a chunk is too long")
                break
            self._line(data[at:end])
            at = end + 2
        self.rest = data[at:]
        return b"".join(parts)

    def _line(self, line: bytes) -> None:
        if self._trailers is not None:
            self._trailers += len(line)
            if self._trailers > _LONGEST or (line and not _TRAILER.fullmatch(_text(line))):
                raise ValueError("the trailers are too long, or none")
            self.done = not line
        elif self._open:
            self._open = False
        else:
            match = _CHUNK.fullmatch(line)
            if match is None:
                raise ValueError("a chunk has no size")
            self._left = int(match[1], 16)
            self._open = self._left > 0
            self._trailers = None if self._left else 0
