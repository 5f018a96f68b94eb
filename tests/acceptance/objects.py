"""A store of objects as a web server, as strict as such stores are.

A key is looked up as it is: no folders, no redirect for a missing slash. A ``+`` in an address is a space. What is not
there is forbidden, as for those who may not list. Types were given at the upload; nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_plus, urlsplit

from tests.tree.clients import Site
from tests.worlds import running

__all__ = ["object_store"]


def _uploaded(tree: Path) -> dict[str, tuple[str, bytes]]:
    """Type and bytes by key: pages under their folder's name with the slash, files under their own."""
    objects: dict[str, tuple[str, bytes]] = {}
    for page in (tree / "simple").glob("**/index.html"):
        objects[f"{page.parent.relative_to(tree)}/"] = ("text/html", page.read_bytes())
    for path in (tree / "packages").iterdir():
        kind = "text/html" if path.suffix == ".html" else "application/octet-stream"
        objects[f"packages/{path.name}"] = (kind, path.read_bytes())
    # What glob does not follow on every Python: the links from a project's name to its pages.
    for project in (tree / "simple").iterdir():
        if project.is_dir():
            objects[f"simple/{project.name}/"] = ("text/html", (project / "index.html").read_bytes())
    return objects


def _part(asked: str, size: int) -> range:
    """What ``bytes=2-5``, ``bytes=2-`` or ``bytes=-3`` means."""
    first, _, last = asked.removeprefix("bytes=").partition("-")
    if not first:
        return range(max(size - int(last), 0), size)
    return range(int(first), min(int(last), size - 1) + 1 if last else size)


@contextmanager
def object_store(tree: Path) -> Iterator[Site]:
    objects, log = _uploaded(tree), list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = unquote_plus(urlsplit(self.path).path).lstrip("/")
            kind, data = objects.get(key, ("application/xml", b"<Error><Code>AccessDenied</Code></Error>"))
            tag = f'"{md5(data, usedforsecurity=False).hexdigest()}"'
            status, part = (200 if key in objects else 403), range(len(data))
            if status == 200 and self.headers.get("If-None-Match") == tag:
                status, part = 304, range(0)
            elif status == 200 and (asked := self.headers.get("Range", "")).startswith("bytes="):
                status, part = 206, _part(asked, len(data))
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{len(data)}")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", tag)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[part.start : part.stop])
            log.append(f"{status} {self.command} {self.path} {kind}")

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield Site(f"{address}/", lambda: log)
