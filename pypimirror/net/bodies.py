"""Reading what was answered: caps, the one layer of gzip, ranges, pages that pose as files. No request is made here."""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from pypimirror.errors import IndexFault
from pypimirror.model.urls import redact
from pypimirror.net.file_transport import is_file_url
from pypimirror.net.wire import Response

__all__ = ["PIECE", "decoded", "drain", "extent", "no_portal", "not_a_file", "page_title", "read_all", "shown"]

PIECE = 1 << 16
_UNZIPPED = 1 << 22  # at once: after each piece a thread waits for its turn, and others make long ones of theirs
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_TITLE = re.compile(rb"<title[^>]*>([^<]{0,200})", re.IGNORECASE)


def shown(url: str) -> str:
    """An address as messages have it: host and path, no query, nothing secret."""
    if is_file_url(url):
        return url
    parts = urlsplit(redact(url))
    return parts.netloc.rpartition("@")[2] + parts.path if parts.netloc else redact(url)[:200]


def page_title(data: bytes) -> str:
    """The title of a page of HTML, for messages; empty where it has none."""
    match = _TITLE.search(data)
    return " ".join(html.unescape(match[1].decode("utf-8", "replace")).split())[:80] if match else ""


def read_all(pieces: Iterator[bytes], limit: int, url: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise IndexFault(
                f"{shown(url)}: more than {limit} bytes",
                code="too-large",
                hint="no honest page is that large: check the index's address",
            )
        parts.append(piece)
    return b"".join(parts)


def decoded(response: Response, url: str) -> Iterator[bytes]:
    """The body without its one layer of gzip, never more than a piece at a time in memory."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return response.pieces()
    if coding not in ("gzip", "x-gzip"):
        raise IndexFault(
            f"{shown(url)}: encoded as {coding[:40]!r}, which was not asked for",
            code="bad-encoding",
            hint="a proxy or a server between here and the index is misconfigured",
        )
    return _unzipped(response.pieces, url)


def _unzipped(pieces: Callable[[], Iterator[bytes]], url: str) -> Iterator[bytes]:
    machine = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces():
            left = piece
            while left and not machine.eof:
                yield machine.decompress(left, _UNZIPPED)
                left = machine.unconsumed_tail
        while not machine.eof:
            rest = machine.decompress(machine.unconsumed_tail, _UNZIPPED)
            if not rest:
                raise zlib.error("it ends early")
            yield rest
    except zlib.error as error:
        raise IndexFault(
            f"{shown(url)}: its gzip encoding is broken ({error})",
            code="bad-encoding",
            hint="try again; if it stays, a proxy or the index is broken",
        ) from None


def extent(response: Response) -> tuple[int, int | None]:
    """The offset of the body's first byte, and the size of the whole file where it is told."""
    if response.status == 206:  # noqa: PLR2004 - RFC 9110
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if match is None:
            raise IndexFault("a partial answer without its range", code="bad-answer", hint="try again")
        return int(match[1]), None if match[3] == "*" else int(match[3])
    size = response.headers.get("content-length", "")
    return 0, int(size[:18]) if size.isascii() and size.isdigit() else None


def no_portal(pieces: Iterator[bytes], url: str) -> Iterator[bytes]:
    """*pieces*, unless they are a page: some servers call every file text/html."""
    begun = b""
    for piece in pieces:
        begun += piece
        if begun.lstrip()[:1] != b"<":
            break
        if page_title(begun) or len(begun) > PIECE:
            raise not_a_file(url, begun)
    if begun.lstrip()[:1] == b"<":
        raise not_a_file(url, begun)
    yield begun
    yield from pieces


def not_a_file(url: str, data: bytes) -> IndexFault:
    """The fault for a page of HTML where something else was asked for."""
    title = page_title(data)
    wanted = "a wheel" if url.partition("?")[0].endswith(".whl") else "a file"
    titled = f" (title {title!r})" if title else ""
    return IndexFault(
        f"{shown(url)}: got text/html{titled}, not {wanted}: captive portal or proxy?",
        code="not-a-file",
        hint="open the address in a browser; log in to the network if it asks for that",
    )


def drain(response: Response) -> None:
    """Read a small body to its end, so that the connection can be used again."""
    size = response.headers.get("content-length", "")
    if size.isascii() and size.isdigit() and int(size) <= PIECE:
        for _ in response.pieces():
            pass
