"""The core metadata of one file, by the cheapest way that works.

    1. read from the verified file in an earlier run         nothing is asked
    2. the sibling that the index advertises                 one small request, checked against its hash
    3. the wheel's last bytes, by range                      one request of 64 KiB nearly always
    4. the whole file                                        which is then kept

An sdist's texts can't be had by range: the whole file it is. Its sibling, which hardly any index has, counts where the
texts leave something to a build.
PEP 658 and 714.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from pypimirror.disk import disk_fault
from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index.metadata import parse_core_metadata
from pypimirror.model.files import CoreMetadata, ListedFile
from pypimirror.model.urls import origin
from pypimirror.net.bodies import shown
from pypimirror.net.cache import Cache, metadata_key
from pypimirror.net.client import Client
from pypimirror.net.download import CHECKED, Downloads, gone
from pypimirror.net.file_transport import is_file_url

__all__ = ["MetadataSource"]

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_MOST_RANGES = 4


class MetadataSource:
    """Answers ``core_metadata``. Safe for threads; what it was told it does not remember, the cache does.

    With *trust_egg_info* old sdists are taken at their word (``index.sdist``).
    """

    def __init__(self, client: Client, cache: Cache, downloads: Downloads, *, trust_egg_info: bool = False) -> None:
        self._trust_egg_info = trust_egg_info
        self._client = client
        self._cache = cache
        self._downloads = downloads
        self._without_ranges: set[str] = set()
        self._lock = threading.Lock()

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        """As the port says."""
        if not file.name.filename.endswith(".whl"):
            return self._of_sdist(file)
        data = self._verified(file)
        if data is None:
            data = self._advertised(file)
        if data is None:
            data = self._by_range(file)
        if data is None:
            data = self._from_whole(file)
        return parse_core_metadata(data, filename=file.name)

    def is_cheap(self, file: ListedFile) -> bool:
        """Whether the metadata can probably be had without the whole file."""
        by_range = not is_file_url(file.url) and origin(file.url) not in self._without_ranges
        return file.name.is_wheel and (file.core_metadata is not None or by_range)

    def _verified(self, file: ListedFile) -> bytes | None:
        return None if file.sha256 is None else self._cache.metadata(metadata_key(file=file.sha256, source=""))

    def _advertised(self, file: ListedFile) -> bytes | None:
        """The sibling; None where the index does not advertise one, or has lost it."""
        if file.core_metadata is None:
            return None
        url = sibling(file.url)
        kept = self._kept(file, url)
        if kept is not None and not _wrong(file, kept):
            return kept
        headers: dict[str, str] = {}
        wrong = ""
        for _ in range(2):
            answer = self._client.get(url, limit=self._client.limits.metadata, headers=headers)
            if answer.status != 200:  # noqa: PLR2004 - RFC 9110
                return None  # the file itself will tell
            wrong = _wrong(file, answer.body)
            if not wrong:
                self._keep(file, url, answer.body)
                return answer.body
            headers = {"Cache-Control": "no-cache"}
        raise IntegrityFault(
            f"{file.name.filename}: its metadata has the wrong {wrong} ({shown(url)})",
            code="metadata-hash",
            hint="it was fetched again and is still wrong: tell whoever runs the index, or a proxy changes it",
        )

    def _by_range(self, file: ListedFile) -> bytes | None:
        """METADATA out of the wheel's end; None where the whole file must be had."""
        from pypimirror.index.wheel import TAIL_SIZE  # noqa: PLC0415 - not needed where metadata is advertised

        if is_file_url(file.url) or origin(file.url) in self._without_ranges:
            return None
        if file.size is not None and file.size <= TAIL_SIZE:
            return None  # then the whole costs no more, and can be kept
        kept = self._kept(file, file.url)
        if kept is not None:
            return kept
        try:
            data = self._ranges(file)
        except IntegrityFault:
            return None  # what came may be broken; the whole file has a hash
        if data is not None:
            self._keep(file, file.url, data)
        return data

    def _ranges(self, file: ListedFile) -> bytes | None:
        from pypimirror.index import wheel  # noqa: PLC0415 - not needed where metadata is advertised

        answer = self._client.range(file.url, suffix=wheel.TAIL_SIZE)
        extent = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if answer.status in (404, 410):
            raise gone(file, answer.status)
        if answer.status != 206 or extent is None:  # noqa: PLR2004 - RFC 9110
            with self._lock:
                self._without_ranges.add(origin(file.url))
            return None
        tail, total = answer.body, int(extent[3])
        if int(extent[2]) + 1 != total or int(extent[1]) + len(tail) != total:
            return None
        more: list[tuple[int, bytes]] = []
        for _ in range(_MOST_RANGES):
            found = wheel.metadata_from_tail(tail, total, file.name, more=more)
            if isinstance(found, bytes):
                return found
            answer = self._client.range(
                file.url, start=found.start, end=found.end, limit=self._client.limits.metadata * 2
            )
            extent = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
            if extent is None or int(extent[1]) != found.start or len(answer.body) != found.end - found.start:
                return None
            more.append((found.start, answer.body))
        return None

    def _from_whole(self, file: ListedFile) -> bytes:
        from pypimirror.index import wheel  # noqa: PLC0415 - not needed where metadata is advertised

        stored = self._downloads.whole(file)
        try:
            with stored.path.open("rb") as source:
                data = wheel.read_metadata(source, name=file.name)
        except OSError as error:
            raise disk_fault(error, f"reading {stored.path}") from None
        self._cache.keep_metadata(metadata_key(file=stored.sha256, source=""), data)
        return data

    def _of_sdist(self, file: ListedFile) -> CoreMetadata:
        from pypimirror.index import sdist  # noqa: PLC0415 - likewise

        stored = self._downloads.whole(file)
        try:
            with stored.path.open("rb") as source:
                texts = sdist.read_metadata(source, file.name)
        except OSError as error:
            raise disk_fault(error, f"reading {stored.path}") from None
        try:
            return sdist.core_metadata(texts, name=file.name, trust_egg_info=self._trust_egg_info)
        except ResolutionFault:
            advertised = self._advertised(file)  # an index that built it may know what its texts don't tell
            if advertised is None:
                raise
        said = parse_core_metadata(advertised, filename=file.name)
        return replace(said, build_requires=texts.build_requires, languages=texts.languages, sha256=None, size=None)

    def _kept(self, file: ListedFile, source: str) -> bytes | None:
        return None if file.sha256 is None else self._cache.metadata(metadata_key(file=file.sha256, source=source))

    def _keep(self, file: ListedFile, source: str, data: bytes) -> None:
        if file.sha256 is not None:
            self._cache.keep_metadata(metadata_key(file=file.sha256, source=source), data)


def sibling(url: str) -> str:
    """The address of a file's metadata: PEP 658 appends to the file's path, before any query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path}.metadata"))


def _wrong(file: ListedFile, data: bytes) -> str:
    """The first algorithm whose advertised digest *data* does not have; empty where all fit."""
    for algorithm, expected in file.core_metadata or ():
        if algorithm in CHECKED and hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() != expected:
            return algorithm
    return ""
