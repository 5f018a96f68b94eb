"""The real index, while recording: the one that ``pypimirror plan`` would ask on this host, by our own client.

It need not be a full one: where it advertises no metadata, METADATA is read out of the wheel's end, or of the whole
wheel.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pypimirror.index import wheel
from pypimirror.model.names import parse_file_name
from pypimirror.net.client import Client
from pypimirror.net.settings import CommandLineOptions, resolve_settings

__all__ = ["TooMuch", "Upstream", "open_upstream"]

_ACCEPT = "application/vnd.pypi.simple.v1+json"
_EXTENT = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_LARGEST_PAGE = 64 << 20


class TooMuch(RuntimeError):
    """The store would become larger than what was allowed."""


class Upstream:
    """Fills a store. *most* bounds the bytes of the files that it fetches. Safe for threads."""

    def __init__(self, client: Client, index: str, *, most: int) -> None:
        self._client = client
        self._index = index
        self._left = most

    def page(self, project: str) -> bytes | None:
        answer = self._client.get(f"{self._index}/{project}/", limit=_LARGEST_PAGE, accept=_ACCEPT)
        if answer.status in (404, 410):
            return None
        if answer.status != 200 or "json" not in answer.content_type:
            raise RuntimeError(f"the index answered {answer.status} {answer.content_type}: recording needs JSON")
        return answer.body

    def metadata(self, filename: str, url: str) -> bytes | None:
        """METADATA of a wheel; None where its end doesn't tell."""
        answer = self._client.get(f"{url}.metadata", limit=16 << 20)
        if answer.status == 200 and answer.body.startswith(b"Metadata-Version"):
            return answer.body
        answer = self._client.range(url, suffix=wheel.TAIL_SIZE)
        extent = _EXTENT.fullmatch(answer.headers.get("content-range", ""))
        if answer.status != 206 or extent is None:
            whole = self._client.get(url, limit=1 << 30)
            return None if whole.status != 200 else self._read(filename, whole.body, len(whole.body), url)
        return self._read(filename, answer.body, int(extent[3]), url)

    def file(self, url: str, sha256: str, target: Path) -> None:
        part = target.with_name(f"{target.name}.part")
        digest = hashlib.sha256()
        with part.open("wb") as file, self._client.stream(url, attempts=self._client.attempts(url)) as stream:
            if stream.status != 200:
                raise RuntimeError(f"{target.name}: the index answered {stream.status}")
            for piece in stream.pieces:
                self._left -= len(piece)
                if self._left < 0:
                    raise TooMuch("the store would become larger than --most")
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != sha256:
            raise RuntimeError(f"{target.name}: wrong sha256")
        part.replace(target)

    def _read(self, filename: str, tail: bytes, total: int, url: str) -> bytes | None:
        more: list[tuple[int, bytes]] = []
        for _ in range(4):
            found = wheel.metadata_from_tail(tail, total, parse_file_name(filename), more=more)
            if isinstance(found, bytes):
                return found
            answer = self._client.range(url, start=found.start, end=found.end, limit=32 << 20)
            if answer.status != 206:
                return None
            more.append((found.start, answer.body))
        return None


@contextmanager
def open_upstream(*, most: int) -> Iterator[Upstream]:
    settings = resolve_settings(options=CommandLineOptions())
    # The last one is the default index; extra ones are what this host adds for itself.
    index = [source.url for source in settings.sources if source.kind == "index"][-1]
    with Client(settings) as client:
        yield Upstream(client, index, most=most)
