"""Downloads that begin while resolving still goes on: of what the search has taken, since that is rarely taken back.

What is fetched in vain stays in the cache, and gets into no bundle. A fault is told when the file is asked for, and if
it never is, it never is. What would be waste at the worst is bounded: no file of unusual size, two versions of a
project, and never more than half of the free space.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType

from pypimirror.errors import PypimirrorError
from pypimirror.model.files import ListedFile
from pypimirror.model.names import NormalizedName, Version
from pypimirror.net.cache import Cache
from pypimirror.net.download import Downloads
from pypimirror.net.workers import Task, Workers

__all__ = ["Ahead"]

_WORKERS = 6
_LARGEST = 128 << 20
_VERSIONS = 2


class Ahead:
    """Begins downloads. A context manager: leaving it, those that have not begun are dropped, the others go on."""

    def __init__(self, downloads: Downloads, cache: Cache) -> None:
        self._downloads = downloads
        self._pool = Workers(_WORKERS, name="ahead")
        self._room = cache.free() // 2
        self._begun: set[str] = set()
        self._versions: dict[NormalizedName, set[Version]] = {}

    def __enter__(self) -> Ahead:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close(patience=0)

    def begin(self, file: ListedFile) -> None:
        """Fetch *file* when there is time. Never raises, returns at once. Called by one thread."""
        size = file.size or 0
        versions = self._versions.setdefault(file.name.project, set())
        if file.url in self._begun or size > _LARGEST or size > self._room:
            return
        if file.name.version not in versions and len(versions) >= _VERSIONS:
            return
        versions.add(file.name.version)
        self._begun.add(file.url)
        self._room -= size

        def work() -> None:
            with suppress(PypimirrorError):
                self._downloads.whole(file)

        self._pool.submit(Task(work))
