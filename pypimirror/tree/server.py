"""A web server for looking at a tree, on the standard library's. What it answers is in ``answers``; here are sockets.

A request opens one file and answers from that descriptor, so that no answer is made of two generations. Only links of
a tree are followed: whatever else leads away from the asked path is "not found". Nothing is ever listed.
"""

from __future__ import annotations

import errno
import io
import os
import socket
import socketserver
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from pypimirror import __version__
from pypimirror.errors import Incomplete, UsageFault
from pypimirror.model.urls import redact
from pypimirror.tree.answers import (
    HTML,
    HTML_PAGE,
    JSON_PAGE,
    TEXT,
    Asked,
    Representation,
    Unsatisfiable,
    byte_range,
    is_unchanged,
    negotiate,
    parse_target,
    representation,
)
from pypimirror.tree.layout import MARK

__all__ = ["TreeServer", "check_served", "open_server"]

SECONDS = 30.0
"""Of patience: for a request to be there whole, and for a client to take the next piece of an answer."""

_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_BEHIND = tuple(os.path.join(MARK, folder, "") for folder in ("generations", "pages"))  # noqa: PTH118 - compared as text
_LONGEST_LOGGED = 300


def check_served(tree: Path) -> None:
    """Raise UsageFault (``not-a-tree``) or Incomplete (``not-published``) unless *tree* is one to serve.

    One that ``render`` made, with links or plain; or a full bundle that was unpacked.
    """
    if (tree / MARK).is_dir():
        if not (tree / "simple" / "index.html").is_file():
            message = f"nothing is published in {tree} yet"
            raise Incomplete(message, code="not-published", hint=f"pypimirror render BUNDLE {tree}")
    elif tree.is_file():
        raise UsageFault(
            f"{tree} is a file",
            code="not-a-tree",
            hint="to serve a bundle, unpack it, or publish it as a tree: pypimirror render BUNDLE TREE",
        )
    elif not ((tree / "simple" / "index.html").is_file() and (tree / "packages").is_dir()):
        what = "holds no index" if tree.is_dir() else "does not exist"
        hint = "name the folder that holds simple/ and packages/; pypimirror render BUNDLE TREE makes one"
        raise UsageFault(f"{tree} {what}", code="not-a-tree", hint=hint)


def open_server(tree: Path, *, host: str, port: int, log: Callable[[str], None] | None = None) -> TreeServer:
    """A server that listens already; ``serve_forever`` makes it answer. It is a context manager, and closes itself.

    *port* 0 takes any that is free. *log* is given a line for each request, from several threads.

    Raises what ``check_served`` raises, and UsageFault where *host* and *port* can't be had.
    """
    check_served(tree)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        return TreeServer(tree, family, address, log)
    except (OSError, UnicodeError) as error:
        raise _listening_fault(error, host, port) from error


def _listening_fault(error: OSError | UnicodeError, host: str, port: int) -> UsageFault:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    number = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
    if number == errno.EADDRINUSE:
        hint = "choose another with --port; 0 takes any that is free"
        return UsageFault(f"can't listen on {where}: the port is taken", code="port-taken", hint=hint)
    if number == errno.EACCES:
        hint = "choose one above 1023 with --port"
        return UsageFault(f"can't listen on {where}: that port is for root", code="port-not-permitted", hint=hint)
    reason = error.strerror or str(error) if isinstance(error, OSError) else "that is no name of a host"
    hint = "--host takes an address of this machine: 127.0.0.1 for itself, 0.0.0.0 for all"
    return UsageFault(f"can't listen on {where}: {reason}", code="no-such-address", hint=hint)


class TreeServer(ThreadingHTTPServer):
    """The server of one tree."""

    request_queue_size = 128  # uv comes with fifty connections at once
    allow_reuse_address = os.name != "nt"
    allow_reuse_port = False  # two servers on one port would answer by turns

    def __init__(
        self, tree: Path, family: int, address: tuple[Any, ...], log: Callable[[str], None] | None = None
    ) -> None:
        self.tree = tree
        self.log = log
        self.address_family = family
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """The address of the tree, with a slash at its end."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return ip_address(str(self.server_address[0]).partition("%")[0]).is_loopback

    @property
    def is_wildcard(self) -> bool:
        """Whether it listens on every address of this machine."""
        return ip_address(str(self.server_address[0]).partition("%")[0]).is_unspecified

    def server_bind(self) -> None:
        """Without asking DNS what this host is called, as the standard library does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is none; anything else is said where requests are."""
        del request, client_address
        error = sys.exc_info()[1]
        if self.log is not None and not isinstance(error, OSError):
            self.log(f"error: {_plain(repr(error))}")


class _Bounded(io.RawIOBase):
    """What a client sends, until ``deadline`` (of the monotonic clock): a byte now and then does not hold a thread."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self.deadline = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: TreeServer
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"
    disable_nagle_algorithm = True

    # ---- the connection ----

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._incoming = _Bounded(self.connection)
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        self._incoming.deadline = time.monotonic() + SECONDS
        self.requestline, self._sent = "", 0
        super().handle_one_request()

    def version_string(self) -> str:
        return f"pypimirror/{__version__}"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: requests are logged when they are answered."""

    def _log(self, status: int) -> None:
        if self.server.log is not None:
            line = _plain(redact(self.requestline))
            self.server.log(f"{self.client_address[0]} {status} {self._sent} {line}")

    # ---- requests ----

    def do_GET(self) -> None:
        self.connection.settimeout(SECONDS)
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body that is not read must not be taken for the next request
        try:
            self._answer(parse_target(self.path))
        except FileNotFoundError:
            self._refuse(HTTPStatus.NOT_FOUND)
        except PermissionError:
            self._refuse(HTTPStatus.FORBIDDEN, "The server's user may not read it.")

    do_HEAD = do_GET  # noqa: N815 - the base class's names

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses: requests that can't be read, and methods that are not there."""
        del message, explain
        self.close_connection = True
        self.connection.settimeout(SECONDS)
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are.", Allow="GET, HEAD")
        else:
            self._refuse(HTTPStatus(code))

    def _answer(self, asked: Asked | None) -> None:
        if asked is None:
            raise FileNotFoundError
        if asked.is_index_page:
            self._answer_index_page(asked)
            return
        path = asked.page or (None if asked.folder else asked.path)
        if path is None:
            raise FileNotFoundError
        try:
            file = _open_inside(self.server.tree, path.split("/"))
        except IsADirectoryError:
            if Asked(asked.steps, folder=True).page is None:
                raise FileNotFoundError from None
            self._begin(HTTPStatus.MOVED_PERMANENTLY, 0, headers={"Location": f"/{quote(asked.path)}/"})
            return
        with file:
            self._send(file, representation(path))

    def _answer_index_page(self, asked: Asked) -> None:
        """PEP 691: what the client names; HTML where there is no JSON."""
        accept = ", ".join(self.headers.get_all("Accept", [])) or None
        for json in (True, False):
            kind = negotiate(accept, json=json)
            if kind is None:
                _open_inside(self.server.tree, f"{asked.path}/index.html".split("/")).close()  # 404 comes before 406
                offers = f"There is: {JSON_PAGE}, {HTML_PAGE}, {HTML}."
                self._refuse(HTTPStatus.NOT_ACCEPTABLE, offers, Vary="Accept")
                return
            path = f"{asked.path}/index.{'json' if kind == JSON_PAGE else 'html'}"
            try:
                file = _open_inside(self.server.tree, path.split("/"))
            except FileNotFoundError:
                if kind == JSON_PAGE:
                    continue
                raise
            with file:
                self._send(file, representation(path), kind=None if kind == HTML else kind, Vary="Accept")
            return

    # ---- answers ----

    def _send(self, file: BinaryIO, served: Representation, *, kind: str | None = None, **headers: str) -> None:
        """The open *file*, or what of it is asked for, or that it has not changed."""
        facts = os.fstat(file.fileno())
        # The number of the file tells the HTML page from the JSON page at the same address.
        tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}-{facts.st_ino:x}"'
        modified = formatdate(int(facts.st_mtime), usegmt=True)
        headers |= {"ETag": tag, "Last-Modified": modified, "Cache-Control": served.cache_control}
        if is_unchanged(*map(self.headers.get, ("If-None-Match", "If-Modified-Since")), tag=tag, modified=modified):
            self._begin(HTTPStatus.NOT_MODIFIED, None, headers=headers)
            return
        headers |= {"Content-Type": kind or served.content_type, "Accept-Ranges": "bytes"}
        if served.policy:
            headers["Content-Security-Policy"] = served.policy
        part = self._range(facts.st_size, tag, modified)
        if isinstance(part, Unsatisfiable):
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, **{"Content-Range": f"bytes */{facts.st_size}"})
            return
        if part is None:
            part = range(facts.st_size)
            self._begin(HTTPStatus.OK, len(part), file, part, headers=headers)
        else:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{facts.st_size}"
            self._begin(HTTPStatus.PARTIAL_CONTENT, len(part), file, part, headers=headers)

    def _range(self, size: int, tag: str, modified: str) -> range | Unsatisfiable | None:
        """The part that is asked for, if it is one of the file that the client began with (If-Range)."""
        if self.command != "GET" or self.headers.get("If-Range", tag).strip() not in (tag, modified):
            return None
        return byte_range(self.headers.get("Range"), size)

    def _refuse(self, status: HTTPStatus, text: str = "", **headers: str) -> None:
        body = f"{status.value} {status.phrase}. {text}".rstrip().encode("utf-8") + b"\n"
        headers |= {"Content-Type": TEXT, "Cache-Control": "no-store"}
        self._begin(status, len(body), io.BytesIO(body), range(len(body)), headers=headers)

    def _begin(
        self,
        status: HTTPStatus,
        length: int | None,
        file: BinaryIO | None = None,
        part: range | None = None,
        *,
        headers: Mapping[str, str],
    ) -> None:
        """The head of an answer; and its body, *part* of *file*, unless only the head was asked for."""
        self.send_response(status)
        for name, value in {**headers, "X-Content-Type-Options": "nosniff"}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        elif self.request_version == "HTTP/1.0":
            self.send_header("Connection", "keep-alive")
        try:
            self.end_headers()
            if file is not None and part is not None and self.command != "HEAD":
                self._sent = self._body(file, part)
                if self._sent < len(part):  # the file was cut short: the client must see that
                    self.close_connection = True
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # it went away, or does not listen any more
        self._log(status)

    def _body(self, file: BinaryIO, part: range) -> int:
        """Send *part* of *file*; how much of it was there."""
        if not part:
            return 0
        if isinstance(file, io.BytesIO):
            self.connection.sendall(file.getvalue())
            return len(part)
        return int(self.connection.sendfile(file, part.start, len(part)))


# ---- files ----------------------------------------------------------------------------------------------------------


def _open_inside(tree: Path, steps: Sequence[str]) -> BinaryIO:
    """The regular file of *tree* at *steps*, through links of the tree alone.

    Raises FileNotFoundError, also for whatever lies elsewhere; IsADirectoryError; PermissionError.
    """
    with suppress(FileNotFoundError):
        return _open_once(tree, steps)
    return _open_once(tree, steps)  # between finding and opening, a render may have put another file there


def _open_once(tree: Path, steps: Sequence[str]) -> BinaryIO:
    root = os.path.realpath(tree)
    try:
        real = os.path.realpath(os.path.join(root, *steps), strict=True)  # noqa: PTH118 - ten times as fast as Path
        if real != os.path.join(root, *steps) and not real.startswith(  # noqa: PTH118 - as above
            tuple(os.path.join(root, behind) for behind in _BEHIND)  # noqa: PTH118 - as above
        ):
            raise FileNotFoundError
        if os.path.isdir(real):  # noqa: PTH112 - as above
            raise IsADirectoryError
        descriptor = os.open(real, _FLAGS)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except OSError as error:  # a name that is too long, a file for a folder, links in a circle, a socket
        raise FileNotFoundError from error
    file = os.fdopen(descriptor, "rb", buffering=0)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return file
    file.close()
    raise FileNotFoundError


def _plain(text: str) -> str:
    """What came from a client, fit for a terminal: ASCII, printable, of bounded length."""
    shown = text.encode("ascii", "backslashreplace").decode("ascii")[:_LONGEST_LOGGED]
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in shown)
