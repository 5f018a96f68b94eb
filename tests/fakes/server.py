"""A simulated index server on the loopback: a universe of files in memory, and faults on demand.

    with FakeServer() as server:
        server.add("demo-1.0-py3-none-any.whl", make_wheel(...))
        server.format = "html"                          # every switch is edited by assignment
        server.faults.append(reset("/files/demo*", after=100, times=2))
        ...                                             # ask server.index_url, server.file_url(name)
        assert server.paths() == [...]

Paths: ``/<index>/<project>/`` are pages, ``/files/<filename>`` the files, ``/files/<filename>.metadata`` their
siblings; ``pages`` holds anything else by path, and goes first. Each request is recorded before it is answered. The
first fault whose pattern fits the path and that is not used up answers in place of the universe.
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import gzip
import hashlib
import html
import io
import json
import re
import socket
import ssl
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from pypimirror.model.names import parse_file_name

__all__ = [
    "JSON",
    "Body",
    "Exchange",
    "FakeServer",
    "Fault",
    "SeenRequest",
    "ServedFile",
    "bomb",
    "cut",
    "endless",
    "portal",
    "redirect",
    "reset",
    "silence",
    "slow",
    "status",
    "wrong_bytes",
]

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html; charset=utf-8"
BINARY = "application/octet-stream"


@dataclass(kw_only=True)
class ServedFile:
    """One file of the universe. Fields may be changed while the server runs.

    ``metadata``: True serves and advertises the wheel's own METADATA, ``"silent"`` serves without advertising, False
    does neither, bytes are served and advertised in its place. ``hashes`` are those that the page claims; ``size``
    what it claims, or None.
    """

    filename: str
    data: bytes
    index: str
    hashes: dict[str, str]
    size: int | None
    metadata: bool | str | bytes = True
    metadata_hash: bool | str = True
    yanked: str | bool | None = None
    requires_python: str | None = None
    upload_time: str | None = None
    provenance: str | None = None

    @property
    def project(self) -> str:
        return str(parse_file_name(self.filename).project)

    def sibling(self) -> bytes | None:
        """The bytes of the metadata sibling; None where there is none."""
        if isinstance(self.metadata, bytes):
            return self.metadata
        if self.metadata is False or not self.filename.endswith(".whl"):
            return None
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            return archive.read(names[0]) if names else None

    def advertised(self) -> bool | dict[str, str]:
        """PEP 714's ``core-metadata`` for this file: False, True, or hashes."""
        data = None if self.metadata == "silent" else self.sibling()
        if data is None:
            return False
        if isinstance(self.metadata_hash, str):
            return {"sha256": self.metadata_hash}
        return {"sha256": hashlib.sha256(data).hexdigest()} if self.metadata_hash else True


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """A request as it came: header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(kw_only=True)
class Body:
    """Something served under a path of its own."""

    data: bytes
    content_type: str = BINARY
    headers: dict[str, str] = field(default_factory=dict)
    code: int = 200


@dataclass
class Fault:
    """``act`` answers requests whose path fits ``path`` (with ``*``), ``times`` times; None: always.

    An ``act`` that returns False leaves the answer to the next fault, or to the universe.
    """

    path: str
    act: Callable[[Exchange], bool | None]
    times: int | None = 1
    used: int = 0


class Exchange(BaseHTTPRequestHandler):
    """One connection. ``answer`` writes a whole response; faults may use every other method of the base class."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        fake = self.server.fake
        path = unquote(urlsplit(self.path).path)
        fake.record(
            SeenRequest(method=self.command, path=path, headers={k.lower(): v for k, v in self.headers.items()})
        )
        if fake.latency:
            time.sleep(fake.latency)
        for fault in fake.due(path):
            if fault.act(self) is not False:
                return
        if not fake.admits(self.headers.get("Authorization")):
            self.answer(Body(code=401, data=b"who are you?", headers={"WWW-Authenticate": 'Basic realm="fake"'}))
            return
        self.answer(fake.find(path, self.headers.get("Accept", "")))

    do_HEAD = do_GET  # noqa: N815 - the base class's way to name methods

    def answer(self, body: Body | None) -> None:
        """Write *body*, or 404; by validator and by range where the server knows those."""
        body = body or Body(code=404, data=b"not found", content_type="text/plain")
        fake, data, code, headers = self.server.fake, body.data, body.code, dict(body.headers)
        if code == 200 and fake.etags:
            headers.setdefault("ETag", f'"{hashlib.sha256(data).hexdigest()[:16]}"')
            if headers["ETag"] == self.headers.get("If-None-Match"):
                code, data = 304, b""
        if code == 200 and fake.last_modified:
            headers.setdefault("Last-Modified", fake.last_modified)
            if "If-None-Match" not in self.headers and self.headers.get("If-Modified-Since") == fake.last_modified:
                code, data = 304, b""
        if code == 200 and fake.ranges:
            code, data = self._part(data, headers)
        if code == 200 and fake.compress and "gzip" in self.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], data = "gzip", gzip.compress(data, mtime=fake.zipped_at)
        self.head(code, {"Content-Type": body.content_type, "Content-Length": str(len(data)), **headers})
        if self.command != "HEAD" and code != 304:
            self.wfile.write(data)

    def head(self, code: int, headers: Mapping[str, str]) -> None:
        """Status line and header fields, no body."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _part(self, data: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        headers["Accept-Ranges"] = "bytes"
        match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if match is None or not (match[1] or match[2]) or (condition and condition != headers.get("ETag")):
            return 200, data
        if match[1]:
            start, end = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
        else:
            start, end = max(len(data) - int(match[2]), 0), len(data) - 1
        if start >= len(data) or start > end:
            headers["Content-Range"] = f"bytes */{len(data)}"
            return 416, b""
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return 206, data[start : end + 1]

    def chunked(self, content_type: str, pieces: Iterator[bytes], headers: Mapping[str, str] | None = None) -> None:
        """A body of unknown length. It ends with *pieces*, or when the client has gone."""
        self.close_connection = True
        self.head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked", **(headers or {})})
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def drop(self) -> None:
        """Reset the connection, so that the client sees no orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing is logged: ``requests`` is the record."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    fake: FakeServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class FakeServer:
    """The server. A context manager; ``url`` is its root, without a slash at the end.

    Switches: ``format`` ("json", "html", or "asked": JSON where the request accepts it), ``ranges``, ``etags``,
    ``last_modified`` (a text, or ""), ``compress`` (``zipped_at`` a time), ``auth`` (user and password, or
    None), ``latency`` in seconds.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.files: dict[str, ServedFile] = {}
        self.pages: dict[str, Body] = {}
        self.faults: list[Fault] = []
        self.requests: list[SeenRequest] = []
        self.statuses: dict[str, dict[str, str]] = {}
        self.format = "asked"
        self.ranges = True
        self.etags = True
        self.last_modified = ""
        self.compress = False
        self.zipped_at = 0
        self.auth: tuple[str, str] | None = None
        self.latency = 0.0
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._listener = _Listener((host, 0), Exchange)
        self._listener.fake = self
        if tls is not None:
            self._listener.socket = tls.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = host
        self.port = int(self._listener.server_address[1])
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> FakeServer:  # noqa: PYI034 - typing.Self needs Python 3.11
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    @property
    def index_url(self) -> str:
        return f"{self.url}/simple"

    def file_url(self, filename: str) -> str:
        return f"{self.url}/files/{filename}"

    def add(
        self,
        filename: str,
        data: bytes,
        *,
        index: str = "simple",
        hash: bool | Mapping[str, str] = True,  # noqa: A002 - the word for it
        size: bool | int = True,
        metadata: bool | str | bytes = True,
        metadata_hash: bool | str = True,
        yanked: str | bool | None = None,
        requires_python: str | None = None,
        upload_time: str | None = None,
        provenance: str | None = None,
    ) -> ServedFile:
        """Put a file into the universe; *hash* and *size* are what the page claims (True: the truth)."""
        if isinstance(hash, bool):
            hashes = {"sha256": hashlib.sha256(data).hexdigest()} if hash else {}
        else:
            hashes = dict(hash)
        served = ServedFile(
            filename=filename,
            data=data,
            index=index,
            hashes=hashes,
            size=(len(data) if size else None) if isinstance(size, bool) else size,
            metadata=metadata,
            metadata_hash=metadata_hash,
            yanked=yanked,
            requires_python=requires_python,
            upload_time=upload_time,
            provenance=provenance,
        )
        self.files[filename] = served
        return served

    def paths(self, pattern: str = "*") -> list[str]:
        """The paths asked for so far, in order, that fit *pattern*."""
        with self._lock:
            return [seen.path for seen in self.requests if fnmatch.fnmatchcase(seen.path, pattern)]

    def forget(self) -> None:
        """Begin the record of requests anew."""
        with self._lock:
            self.requests.clear()

    # What the connections ask.

    def record(self, seen: SeenRequest) -> None:
        with self._lock:
            self.requests.append(seen)

    def due(self, path: str) -> Iterator[Fault]:
        """The faults that fit *path* and are not used up, each counted as used when it is handed out."""
        for fault in list(self.faults):
            with self._lock:
                fits = fnmatch.fnmatchcase(path, fault.path) and (fault.times is None or fault.used < fault.times)
                fault.used += fits
            if fits:
                yield fault

    def admits(self, authorization: str | None) -> bool:
        if self.auth is None:
            return True
        return authorization == "Basic " + base64.b64encode(":".join(self.auth).encode()).decode()

    def find(self, path: str, accept: str) -> Body | None:
        if path in self.pages:
            return self.pages[path]
        if path.startswith("/files/"):
            name = path.removeprefix("/files/")
            if name in self.files:
                return Body(data=self.files[name].data)
            served = self.files.get(name.removesuffix(".metadata"))
            sibling = served.sibling() if served else None
            return None if sibling is None else Body(data=sibling)
        return self._page(path, accept)

    def _page(self, path: str, accept: str) -> Body | None:
        match = re.fullmatch(r"/([^/]+)/([^/]+)/", path)
        if match is None or match[2] != canonicalize_name(match[2]):
            return None
        files = [served for served in self.files.values() if (served.index, served.project) == (match[1], match[2])]
        if not files and match[2] not in self.statuses:
            return None
        if self.format == "json" or (self.format == "asked" and JSON in accept):
            return Body(data=self.json_page(match[2], files), content_type=JSON)
        return Body(data=self.html_page(match[2], files), content_type=HTML)

    def json_page(self, project: str, files: list[ServedFile]) -> bytes:
        """PEP 691 and 700, 714, 740, 792."""
        rows: list[dict[str, object]] = []
        for served in files:
            row: dict[str, object] = {
                "filename": served.filename,
                "url": f"../../files/{served.filename}",
                "hashes": served.hashes,
                "core-metadata": served.advertised(),
            }
            optional = {
                "size": served.size,
                "yanked": served.yanked,
                "requires-python": served.requires_python,
                "upload-time": served.upload_time,
                "provenance": served.provenance,
            }
            rows.append(row | {key: value for key, value in optional.items() if value is not None})
        page: dict[str, object] = {
            "meta": {"api-version": "1.4"},
            "name": project,
            "versions": sorted({str(parse_file_name(served.filename).version) for served in files}),
            "files": rows,
        }
        if project in self.statuses:
            page["project-status"] = self.statuses[project]
        return json.dumps(page).encode()

    def html_page(self, project: str, files: list[ServedFile]) -> bytes:
        """PEP 503 and 592, 629, 714, 740."""
        lines = ["<!DOCTYPE html>", '<meta name="pypi:repository-version" content="1.4">', f"<title>{project}</title>"]
        for served in files:
            fragment = next((f"#{name}={value}" for name, value in served.hashes.items()), "")
            attributes = {"href": f"../../files/{served.filename}{fragment}"}
            advertised = served.advertised()
            if advertised is not False:
                attributes["data-core-metadata"] = (
                    "true" if advertised is True else "sha256=" + str(advertised["sha256"])
                )
            if served.yanked is not None and served.yanked is not False:
                attributes["data-yanked"] = "" if served.yanked is True else served.yanked
            if served.requires_python is not None:
                attributes["data-requires-python"] = served.requires_python
            if served.provenance is not None:
                attributes["data-provenance"] = served.provenance
            text = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
            lines.append(f"<a {text}>{served.filename}</a><br>")
        return "\n".join(lines).encode()


def _body(exchange: Exchange) -> tuple[int, bytes, dict[str, str]]:
    """What the universe would answer to this request, ranges heeded."""
    fake = exchange.server.fake
    body = fake.find(unquote(urlsplit(exchange.path).path), exchange.headers.get("Accept", "")) or Body(data=b"")
    headers = {"Content-Type": body.content_type}
    if fake.etags:
        headers["ETag"] = f'"{hashlib.sha256(body.data).hexdigest()[:16]}"'
    code, data = exchange._part(body.data, headers) if fake.ranges else (200, body.data)
    return code, data, headers


def reset(path: str, *, after: int = 0, times: int | None = 1) -> Fault:
    """The connection is reset after *after* bytes of the body; with 0, before any answer."""

    def act(exchange: Exchange) -> None:
        if after:
            code, data, headers = _body(exchange)
            exchange.head(code, {**headers, "Content-Length": str(len(data))})
            exchange.wfile.write(data[:after])
            time.sleep(0.05)  # or the reset overtakes what was sent
        exchange.drop()

    return Fault(path, act, times)


def cut(path: str, *, after: int, length: bool = True, times: int | None = 1) -> Fault:
    """The body ends early, in good order: with the true Content-Length, or with none at all."""

    def act(exchange: Exchange) -> None:
        code, data, headers = _body(exchange)
        exchange.close_connection = True
        extra = {"Content-Length": str(len(data))} if length else {"Connection": "close"}
        exchange.head(code, {**headers, **extra})
        exchange.wfile.write(data[:after])

    return Fault(path, act, times)


def status(
    path: str, code: int, *, headers: Mapping[str, str] | None = None, body: bytes = b"", times: int | None = 1
) -> Fault:
    """An answer with this status: 500, 429 with Retry-After, 404, ..."""

    def act(exchange: Exchange) -> None:
        exchange.head(code, {"Content-Length": str(len(body)), **(headers or {})})
        exchange.wfile.write(body)

    return Fault(path, act, times)


def redirect(path: str, to: str, *, code: int = 302, times: int | None = None) -> Fault:
    """A redirect; *to* may be relative, or anything that is a bad idea to follow."""
    return status(path, code, headers={"Location": to}, times=times)


def wrong_bytes(path: str, data: bytes, *, times: int | None = 1) -> Fault:
    """Other bytes than the universe has, of type application/octet-stream."""

    def act(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": BINARY, "Content-Length": str(len(data))})
        exchange.wfile.write(data)

    return Fault(path, act, times)


def portal(path: str, *, title: str = "HotelWifi", times: int | None = None) -> Fault:
    """What a hotel answers in place of everything: 200 and a page to log in."""

    def act(exchange: Exchange) -> None:
        data = f"<html><head><title>{title}</title></head><body><a href='/login'>Log in</a></body></html>".encode()
        exchange.head(200, {"Content-Type": HTML, "Content-Length": str(len(data))})
        exchange.wfile.write(data)

    return Fault(path, act, times)


def slow(path: str, *, pause: float = 0.05, piece: int = 1, times: int | None = None) -> Fault:
    """*piece* bytes, a pause, and so on: the head at once, the body never quite."""

    def act(exchange: Exchange) -> None:
        code, data, headers = _body(exchange)
        exchange.close_connection = True
        exchange.head(code, {**headers, "Content-Length": str(len(data))})
        try:
            for start in range(0, len(data), piece):
                exchange.wfile.write(data[start : start + piece])
                if exchange.server.fake.closing.wait(pause):
                    return
        except OSError:
            pass

    return Fault(path, act, times)


def silence(path: str, *, seconds: float = 30.0, times: int | None = None) -> Fault:
    """No answer at all for a while; then the connection is reset."""

    def act(exchange: Exchange) -> None:
        exchange.server.fake.closing.wait(seconds)
        exchange.drop()

    return Fault(path, act, times)


def bomb(path: str, *, size: int = 1 << 28, content_type: str = JSON, times: int | None = None) -> Fault:
    """A small gzip body that unpacks to *size* zeros (whole MiB)."""
    machine = zlib.compressobj(level=1, wbits=31)
    packed = b"".join(machine.compress(bytes(1 << 20)) for _ in range(size >> 20)) + machine.flush()

    def act(exchange: Exchange) -> None:
        exchange.close_connection = True
        headers = {"Content-Type": content_type, "Content-Encoding": "gzip", "Content-Length": str(len(packed))}
        exchange.head(200, headers)
        with contextlib.suppress(OSError):
            exchange.wfile.write(packed)

    return Fault(path, act, times)


def endless(path: str, *, content_type: str = HTML, times: int | None = None) -> Fault:
    """A body that never ends, as fast as it is read."""

    def act(exchange: Exchange) -> None:
        def pieces() -> Iterator[bytes]:
            while not exchange.server.fake.closing.is_set():
                yield b"<a href='x'>x</a>\n" * 4096

        exchange.chunked(content_type, pieces())

    return Fault(path, act, times)
