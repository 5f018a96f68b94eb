"""Replays a store on the loopback: one thread, no blocking, files by way of ``sendfile``.

    /json/simple/<project>/     JSON, each wheel's metadata advertised, sizes, times     (HTML for who accepts no JSON)
    /html/simple/<project>/     HTML with hashes and Requires-Python alone
    /<face>/.../<filename>      files, also by range; ``.metadata`` only below /json/
    /-/counts  /-/reset         what was asked, as JSON
    /-/line?latency=S&rate=B&connection=B    change the line

Each request waits for the latency before it is answered. The bandwidth is that of one line that all connections share;
0 is as fast as the loopback goes. Beside that, each connection may have a bound of its own, as behind some CDNs. Pages
are compressed for who accepts it, once and beforehand.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.benchmarks.store import Face, Store

__all__ = ["Line", "Replay", "serve"]

_PIECE = 128 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PHRASES = {200: "OK", 206: "Partial Content", 304: "Not Modified", 404: "Not Found", 416: "Range Not Satisfiable"}
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(kw_only=True, slots=True)
class Line:
    """Seconds that each request waits; bytes a second that all connections share, 0 for no bound.

    ``connection`` is the most that any one of them gets, 0 for no bound. Who is late by less than ``slack`` seconds
    makes up for it.
    """

    latency: float = 0.02
    rate: float = 0.0
    connection: float = 0.0
    slack: float = 0.0
    free_at: float = 0.0

    def wait(self, size: int, now: float) -> float:
        """Take the line for *size* bytes; how long until they have passed."""
        if not self.rate:
            return 0.0
        self.free_at = max(self.free_at, now - self.slack) + size / self.rate
        return self.free_at - now


@dataclass(kw_only=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]


@dataclass(kw_only=True, slots=True)
class Answer:
    """*file* is sent from *start*, *size* bytes of it; else *body*. ``kind`` is what it is counted as."""

    kind: str
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    file: Path | None = None
    start: int = 0
    size: int = 0


class Replay:
    """What is answered, and counted. ``counts`` holds requests by kind, ``sent`` bytes of bodies by kind."""

    def __init__(self, store: Store, line: Line) -> None:
        self.store = store
        self.line = line
        self.counts: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.missed: list[str] = []

    def reset(self) -> None:
        """Begin to count anew."""
        self.counts.clear()
        self.sent.clear()
        self.missed.clear()

    def answer(self, request: Request) -> Answer:
        parts = request.path.lstrip("/").split("/")
        if parts[0] == "-":
            return self._control(parts[1], request.query)
        made = self._content(parts, request)
        self.counts[made.kind] += 1
        if made.kind == "miss":
            self.missed.append(request.path)
        return made

    def _content(self, parts: list[str], request: Request) -> Answer:
        face = cast("Face", parts[0])
        if face not in ("json", "html"):
            return Answer(kind="miss", status=404)
        if len(parts) == 4 and parts[1] == "simple":
            return self._page(face, parts[2], request)
        filename = unquote(parts[-1])
        if filename.endswith(".metadata"):
            data = self.store.metadata(filename[: -len(".metadata")]) if face == "json" else None
            kind = "no metadata" if face == "html" else "miss"
            return Answer(kind=kind, status=404) if data is None else _immutable(Answer(kind="metadata", body=data))
        path = self.store.file(filename)
        return Answer(kind="miss", status=404) if path is None else _file(path, request)

    def _page(self, face: Face, project: str, request: Request) -> Answer:
        if face == "json" and _JSON not in request.headers.get("accept", ""):
            face = "html"
        page = self.store.page(face, project)
        if page is None:
            return Answer(kind="no project", status=404)
        headers = [("Content-Type", page.kind), ("ETag", page.etag), ("Cache-Control", "max-age=600, public")]
        headers.append(("Vary", "Accept, Accept-Encoding"))
        if request.headers.get("if-none-match") == page.etag:
            return Answer(kind="not modified", status=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Answer(kind="page", headers=[*headers, ("Content-Encoding", "gzip")], body=page.packed)
        return Answer(kind="page", headers=headers, body=page.body)

    def _control(self, what: str, query: str) -> Answer:
        if what == "reset":
            self.reset()
        if what == "line":
            said = parse_qs(query)
            self.line.latency = float(said.get("latency", [str(self.line.latency)])[0])
            self.line.rate = float(said.get("rate", [str(self.line.rate)])[0])
            self.line.connection = float(said.get("connection", [str(self.line.connection)])[0])
        told = {"requests": dict(self.counts), "bytes": dict(self.sent), "missed": self.missed[:50]}
        return Answer(kind="control", body=json.dumps(told).encode())


def _immutable(answer: Answer) -> Answer:
    answer.headers.append(("Cache-Control", "max-age=365000000, immutable, public"))
    answer.headers.append(("Content-Type", "application/octet-stream"))
    return answer


def _file(path: Path, request: Request) -> Answer:
    total = path.stat().st_size
    answer = _immutable(Answer(kind="file", file=path, size=total))
    etag = f'"{total:x}-{path.name}"'
    answer.headers += [("ETag", etag), ("Accept-Ranges", "bytes")]
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", etag) != etag:
        return answer
    first, last = asked.groups()
    start = int(first) if first else max(0, total - int(last))
    end = min(total, int(last) + 1) if first and last else total
    if start >= end:
        answer.status, answer.file, answer.size = 416, None, 0
        answer.headers.append(("Content-Range", f"bytes */{total}"))
        return answer
    answer.kind, answer.status, answer.start, answer.size = "range", 206, start, end - start
    answer.headers.append(("Content-Range", f"bytes {start}-{end - 1}/{total}"))
    return answer


class _Connection(asyncio.Protocol):
    """One connection; requests are answered one after the other."""

    def __init__(self, replay: Replay, alive: set[asyncio.Task[None]]) -> None:
        self._replay = replay
        self._alive = alive
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._busy = False
        self._own = Line(slack=0.05)  # sleeps are too long, and many
        self._drained = asyncio.Event()
        self._drained.set()
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._replay.counts["connection"] += 1

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        if self._busy:
            return
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        self._buffer = rest
        self._busy = True
        request = _parse(head)
        wait = 0.0 if request.path.startswith("/-/") else self._replay.line.latency
        if self._replay.store.filler is not None:
            self._begin(self._filled(request))
        elif wait:
            self._loop.call_later(wait, self._reply, request)
        else:
            self._reply(request)

    async def _filled(self, request: Request) -> None:
        """While recording: the index is asked in a thread."""
        try:
            answer = await self._loop.run_in_executor(None, self._replay.answer, request)
        except Exception as error:  # noqa: BLE001  whatever it is, the recording has failed, and the client must end
            self._replay.missed.append(f"{request.path}: {error}")
            self._transport.close()
            return
        await self._send(request, answer)

    def _reply(self, request: Request) -> None:
        if self._transport.is_closing():
            return
        answer = self._replay.answer(request)
        if answer.file is None and not self._is_bound():
            self._transport.write(self._head(request, answer) + self._body(request, answer))
            self._done(request)
        else:
            self._begin(self._send(request, answer))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._alive.add(task)
        task.add_done_callback(self._alive.discard)

    async def _send(self, request: Request, answer: Answer) -> None:
        with contextlib.suppress(ConnectionError, OSError, RuntimeError):
            self._transport.write(self._head(request, answer))
            if request.method != "HEAD":
                await (self._bytes(answer.body, answer.kind) if answer.file is None else self._sendfile(answer))
            self._done(request)
            return
        self._transport.close()

    async def _sendfile(self, answer: Answer) -> None:
        assert answer.file is not None
        at, end = answer.start, answer.start + answer.size
        with answer.file.open("rb") as file:
            while at < end:
                size = min(end - at, _PIECE if self._is_bound() else end)
                await self._pass(size)
                await self._loop.sendfile(self._transport, file, at, size)
                self._replay.sent[answer.kind] += size
                at += size

    async def _bytes(self, body: bytes, kind: str) -> None:
        for at in range(0, len(body), _PIECE):
            piece = body[at : at + _PIECE]
            await self._pass(len(piece))
            await self._drained.wait()
            self._transport.write(piece)
            self._replay.sent[kind] += len(piece)

    def _is_bound(self) -> bool:
        return bool(self._replay.line.rate or self._replay.line.connection)

    async def _pass(self, size: int) -> None:
        line, now = self._replay.line, self._loop.time()
        self._own.rate = line.connection
        wait = max(line.wait(size, now), self._own.wait(size, now))
        if wait > 0.002:  # what a sleep can't be trusted with is made up for by the next one
            await asyncio.sleep(wait)

    def _body(self, request: Request, answer: Answer) -> bytes:
        if request.method == "HEAD":
            return b""
        self._replay.sent[answer.kind] += len(answer.body)
        return answer.body

    def _head(self, request: Request, answer: Answer) -> bytes:
        size = answer.size if answer.file is not None else len(answer.body)
        lines = [f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if answer.status != 304:
            lines.append(f"Content-Length: {size}")
        if request.headers.get("connection", "").lower() == "close":
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _done(self, request: Request) -> None:
        if request.headers.get("connection", "").lower() == "close":
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            self._next()


def _parse(head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    parts = urlsplit(target)
    pairs = (line.partition(":") for line in lines[1:])
    return Request(
        method=method,
        path=parts.path,
        query=parts.query,
        headers={name.lower(): value.strip() for name, _, value in pairs},
    )


async def serve(replay: Replay, *, port: int, ready: Callable[[int], None]) -> None:
    """Serve until cancelled; *ready* is told the port."""
    loop, alive = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    server = await loop.create_server(lambda: _Connection(replay, alive), "127.0.0.1", port, backlog=1024)
    number = server.sockets[0].getsockname()[1]
    replay.store.address = f"http://127.0.0.1:{number}"
    ready(number)
    async with server:
        await server.serve_forever()
