"""What was recorded of an index: a folder outside the repository.

    DATE                     nothing that was uploaded at or after this moment is in it
    pages/<project>.json     the index's own page as JSON, addresses relative; empty where the index has no such project
    origins/<project>.json   where each file came from; needed only to record more
    metadata/<filename>      the METADATA of a wheel
    files/<filename>         whole files, verified
    built/<face>/<project>   pages as they are replayed, but for their addresses
    lists/<name>.json        what a workload came to: the files that are raced for

Every wheel of a replayed JSON page advertises its metadata, as a full index does. For those that were never recorded
the digest is made up, so that pages have the size that they have in reality; asking for such a sibling is a miss,
answered 404 and counted.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

__all__ = ["DATE", "FACES", "Face", "Filler", "Page", "Store", "default_store"]

Face = Literal["json", "html"]
FACES: tuple[Face, Face] = ("json", "html")

DATE = "2026-11-20T00:00:00Z"
"""The moment at which the index is frozen."""

_TYPES: Mapping[Face, str] = {"json": "application/vnd.pypi.simple.v1+json", "html": "text/html; charset=utf-8"}


def default_store() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pypimirror-benchmarks"


class Filler(Protocol):
    """Who can get what is not in the store yet."""

    def page(self, project: str) -> bytes | None: ...
    def metadata(self, filename: str, url: str) -> bytes | None: ...
    def file(self, url: str, sha256: str, target: Path) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page as it goes over the wire."""

    body: bytes
    packed: bytes
    etag: str
    kind: str


class Store:
    """Safe for threads. With a *filler* it grows by what it is asked for; without one it is frozen.

    ``address`` is where it is served: as those of large indexes, the addresses in pages are absolute then.
    """

    def __init__(self, folder: Path, filler: Filler | None = None) -> None:
        self.folder = folder
        self.filler = filler
        self.address = ""
        self._pages: dict[tuple[Face, str], Page | None] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._origins: dict[str, tuple[str, str]] = {}
        for name in ("pages", "origins", "metadata", "files", "built/json", "built/html", "lists"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    # What the server asks

    def page(self, face: Face, project: str) -> Page | None:
        key = (face, project)
        if self.filler is None and key in self._pages:
            return self._pages[key]
        page = self._built(face, project) if self.filler is None else self._fresh(face, project)
        self._pages[key] = page
        return page

    def metadata(self, filename: str) -> bytes | None:
        path = self.folder / "metadata" / filename
        if self.filler is not None and not path.exists():
            with self._turn(f"metadata {filename}"):
                self._fill_metadata(filename, path)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def file(self, filename: str) -> Path | None:
        path = self.folder / "files" / filename
        if self.filler is not None and not path.exists():
            with self._turn(f"file {filename}"):
                origin = self._origin(filename)
                if origin is not None and not path.exists():
                    self.filler.file(*origin, path)
        return path if path.exists() else None

    # Recording

    def freeze(self) -> int:
        """Build the pages that are replayed; how many."""
        projects = sorted(path.stem for path in (self.folder / "pages").iterdir())
        for project in projects:
            rows = self._rows(project)
            for face in FACES:
                target = self.folder / "built" / face / project
                if rows is None:
                    target.unlink(missing_ok=True)
                    continue
                body = self._render(face, project, rows, frozen=True)
                target.write_bytes(body)
        (self.folder / "DATE").write_text(f"{DATE}\n", encoding="utf-8")
        self._pages.clear()
        return len(projects)

    def recorded(self, name: str) -> bool:
        """Whether the recording of this name has come to its end."""
        return (self.folder / "lists" / f"{name}.recorded").exists()

    def mark(self, name: str) -> None:
        (self.folder / "lists" / f"{name}.recorded").touch()

    def size(self) -> int:
        """Bytes of the whole folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def _fill_metadata(self, filename: str, path: Path) -> None:
        origin = self._origin(filename)
        if self.filler is None or origin is None or path.exists():
            return
        data = self.filler.metadata(filename, origin[0])
        if data is not None:
            _whole(path, data)

    def _fresh(self, face: Face, project: str) -> Page | None:
        with self._turn(f"page {project}"):
            path = self.folder / "pages" / f"{project}.json"
            if not path.exists() and self.filler is not None:
                self._keep_page(project, self.filler.page(project))
            rows = self._rows(project)
        if rows is None:
            return None
        body = self._render(face, project, rows, frozen=False)
        return self._page(face, body)

    def _keep_page(self, project: str, body: bytes | None) -> None:
        """Rewrite the addresses, and leave out what was uploaded too late."""
        path = self.folder / "pages" / f"{project}.json"
        origins: dict[str, tuple[str, str]] = {}
        text = b""
        if body is not None:
            page = json.loads(body)
            page["files"] = [row for row in page["files"] if (row.get("upload-time") or "") < DATE]
            for row in page["files"]:
                origins[row["filename"]] = (row["url"], row["hashes"].get("sha256", ""))
                row["url"] = f"../..{urlsplit(row['url']).path}"
                for name in ("core-metadata", "dist-info-metadata", "data-dist-info-metadata"):
                    row.pop(name, None)
            text = json.dumps(page).encode()
        _whole(self.folder / "origins" / f"{project}.json", json.dumps(origins).encode())
        _whole(path, text)
        with self._lock:
            self._origins.update(origins)

    def _origin(self, filename: str) -> tuple[str, str] | None:
        if filename not in self._origins:
            with self._lock:
                for path in (self.folder / "origins").iterdir():
                    self._origins.update(
                        {name: (url, sha) for name, (url, sha) in json.loads(path.read_text()).items()}
                    )
        return self._origins.get(filename)

    def _turn(self, what: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(what, threading.Lock())

    # Pages

    def _built(self, face: Face, project: str) -> Page | None:
        path = self.folder / "built" / face / project
        try:
            return self._page(face, path.read_bytes())
        except FileNotFoundError:
            return None

    def _page(self, face: Face, body: bytes) -> Page:
        before = b'"url": "' if face == "json" else b'href="'
        if self.address:
            body = body.replace(before + b"../../", before + f"{self.address}/{face}/".encode())
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return Page(body=body, packed=gzip.compress(body, 6, mtime=0), etag=etag, kind=_TYPES[face])

    def _rows(self, project: str) -> dict[str, Any] | None:
        data = (self.folder / "pages" / f"{project}.json").read_bytes()
        return json.loads(data) if data else None

    def _render(self, face: Face, project: str, page: dict[str, Any], *, frozen: bool) -> bytes:
        if face == "html":
            return _html(project, page["files"])
        for row in page["files"]:
            if row["filename"].endswith(".whl"):
                row["core-metadata"] = {"sha256": self._digest(row["filename"])} if frozen else True
        return json.dumps(page).encode()

    def _digest(self, filename: str) -> str:
        try:
            return hashlib.sha256((self.folder / "metadata" / filename).read_bytes()).hexdigest()
        except FileNotFoundError:
            return hashlib.sha256(f"{filename} was not recorded".encode()).hexdigest()


def _html(project: str, files: list[dict[str, Any]]) -> bytes:
    """What an old index answers: addresses with hashes, Requires-Python, and which files are yanked."""
    title = f"Links for {project}"
    lines = [f"<!DOCTYPE html>\n<html>\n<head>\n<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>"]
    for row in files:
        address = f"{row['url']}#sha256={row['hashes']['sha256']}" if "sha256" in row["hashes"] else row["url"]
        words = f'<a href="{html.escape(address)}"'
        if row.get("requires-python"):
            words += f' data-requires-python="{html.escape(row["requires-python"])}"'
        if row.get("yanked"):
            reason = row["yanked"] if isinstance(row["yanked"], str) else ""
            words += f' data-yanked="{html.escape(reason)}"'
        lines.append(f"{words}>{html.escape(row['filename'])}</a><br/>")
    return "\n".join([*lines, "</body>\n</html>\n"]).encode()


def _whole(path: Path, data: bytes) -> None:
    """A file appears whole, or not at all."""
    part = path.with_name(f"{path.name}.part{threading.get_ident()}")
    part.write_bytes(data)
    part.replace(path)
