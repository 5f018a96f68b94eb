"""Reading what was answered: caps, the one layer of gzip, ranges, pages that pose as files. No request is made here."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from pypimirror.errors import IndexFault
from pypimirror.model.urls import redact
from pypimirror.net.file_transport import is_file_url
from pypimirror.net.wire import Response

__all__ = [
    "PIECE",
    "drain",
    "extent",
    "no_portal",
    "not_a_file",
    "page_title",
    "read_all",
    "read_body",
    "shown",
    "unzipped",
]

PIECE = 1 << 16
_DENSEST = 1032  # bytes that deflate can make of one, at most
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
    import html  # noqa: PLC0415 - a table of two thousand names, for messages

    match = _TITLE.search(data)
    return " ".join(html.unescape(match[1].decode("utf-8", "replace")).split())[:80] if match else ""


def read_all(pieces: Iterable[bytes], limit: int, url: str) -> bytes:
    """All of them together. Raises IndexFault where they are more than *limit* bytes."""
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
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_body(response: Response, limit: int, url: str) -> tuple[bytes, bool]:
    """The whole body as it came, and whether it has a layer of gzip, for ``unzipped`` to undo."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise IndexFault(
            f"{shown(url)}: encoded as {coding[:40]!r}, which was not asked for",
            code="bad-encoding",
            hint="a proxy or a server between here and the index is misconfigured",
        )
    if "gzip" not in coding:
        return read_all(response.pieces(), limit, url), False
    most = limit + (limit >> 10) + 1024  # what doesn't compress grows a little
    return read_all(response.pieces(), most, url), True


def unzipped(data: bytes, limit: int, url: str) -> bytes:
    """*data* without its layer of gzip, at most *limit* bytes. Raises IndexFault; *url* is for its message."""
    # With every call a thread lets go of the interpreter, and waits for its turn again while others have a long one.
    try:
        most = len(data) * _DENSEST
        if most <= limit:
            # Can't be a bomb. The last four bytes say how large it is, which saves a third of the time.
            return zlib.decompress(data, 31, max(1, min(int.from_bytes(data[-4:], "little"), most)))
        machine = zlib.decompressobj(wbits=31)
        body = machine.decompress(data, limit + 1)
        if len(body) <= limit and not machine.eof:
            raise zlib.error("it ends early")
    except zlib.error as error:
        raise IndexFault(
            f"{shown(url)}: its gzip encoding is broken ({error})",
            code="bad-encoding",
            hint="try again; if it stays, a proxy or the index is broken",
        ) from None
    return read_all((body,), limit, url)


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
    """Read a small body to its end, so that the connection can be used again, and close the answer."""
    try:
        size = response.headers.get("content-length", "")
        if size.isascii() and size.isdigit() and int(size[:18]) <= PIECE:
            for _ in response.pieces():
                pass
    finally:
        response.close()
