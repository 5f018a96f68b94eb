"""The port of ``index.port``, online: several indexes and find-links places behind one face.

Every source is asked for a project at the same time. The first *index* that has it wins; later ones are only told of
(``Listing.also_on``), so that no outside file can take the place of an in-house one. Files of find-links places come
before the winner's. Every page is fetched once in a run and remembered: one run sees one state of the world, and a
resolution is a function of it, in whatever order threads come to an end.

Essential reading: PEP 503, 691 (what is asked for), 658 and 714 (siblings); the rest is ``index.simple``'s.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pypimirror.errors import IndexFault
from pypimirror.model.files import CoreMetadata, ListedFile, Listing
from pypimirror.model.names import NormalizedName
from pypimirror.net.cache import Cache
from pypimirror.net.client import Client
from pypimirror.net.download import Downloads
from pypimirror.net.metadata import MetadataSource
from pypimirror.net.pages import Pages, Seen
from pypimirror.net.settings import Settings, Source
from pypimirror.net.workers import Task, Workers
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.net.find_links import FindLinks

__all__ = ["OnlineIndex", "Witness"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """One page that was heeded: *index* is the address of an index, ``mark`` what told this state from any other."""

    index: str
    project: NormalizedName
    mark: str


class OnlineIndex:
    """All sources of *settings*. Safe for threads; a context manager that ends its threads.

    ``downloads`` holds what had to be fetched whole to be looked into: hand it to ``download.fetch``. ``when_taken``,
    where it is set, is called with each file whose metadata is asked for: the search has taken it, for now.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        settings: Settings,
        reporter: Reporter | None = None,
        *,
        trust_egg_info: bool = False,
        workers: int = 16,
    ) -> None:
        self._reporter = reporter or Reporter()
        self.sources = settings.sources
        self._indexes = tuple(source for source in settings.sources if source.kind == "index")
        self._find_links = tuple(_find_links(settings.sources, client))
        self.downloads = Downloads(client, cache, self._reporter)
        self._metadata_source = MetadataSource(client, cache, self.downloads, trust_egg_info=trust_egg_info)
        self._page_source = Pages(client, cache)
        self._pool = Workers(workers, name="index")
        self._lock = threading.Lock()
        self._looks: dict[tuple[str, NormalizedName], Task[Seen]] = {}
        self._pages: dict[tuple[str, NormalizedName], Task[Listing | None]] = {}
        self._marks: dict[tuple[str, NormalizedName], str] = {}
        self._links: dict[str, Task[Mapping[NormalizedName, Listing]]] = {}
        self._listings: dict[NormalizedName, Listing | None] = {}
        self._metadata: dict[tuple[str, str], Task[CoreMetadata]] = {}
        self._complained: set[str] = set()
        self.when_taken: Callable[[ListedFile], None] | None = None

    def __enter__(self) -> OnlineIndex:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what nobody asked for is not fetched any more."""
        self._pool.close(patience=1.0)

    def listing(self, project: NormalizedName) -> Listing | None:
        if project in self._listings:
            return self._listings[project]
        links, pages = self._tasks(project)
        local = [self._pool.result(task).get(project) for task in links]
        winner, also_on = self._winner(pages)
        found = _merged(project, [listing for listing in local if listing is not None], winner, also_on)
        with self._lock:
            return self._listings.setdefault(project, found)

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        if self.when_taken is not None:
            self.when_taken(file)
        return self._pool.result(self._metadata_task(file))

    def witnesses(self) -> tuple[Witness, ...] | None:
        """Every page that ``listing`` heeded up to now; None where that can't be told, or not be looked at again."""
        if self._find_links or self._complained:
            return None
        return tuple(
            Witness(index=source.url, project=project, mark=self._marks[source.url, project])
            for project in sorted(self._listings)
            for source in self._indexes
        )

    def still(self, witnesses: Iterable[Witness]) -> bool:
        """Whether each of these pages is as it was. What had to be fetched to find out is not fetched again."""
        asked = {(each.index, each.project): each.mark for each in witnesses}
        looks = {
            key: self._pool.submit(Task(partial(self._page_source.look, _address(*key), mark=mark)))
            for key, mark in asked.items()
        }
        self._looks.update(looks)
        with suppress(IndexFault):  # it is told when the page is heeded
            return all(self._pool.result(looks[key]).mark == mark for key, mark in asked.items())
        return False

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        for project in projects:
            self._tasks(project)

    def expect_metadata(self, files: Iterable[ListedFile]) -> None:
        """A hint that the metadata of these files is likely to be asked for. Never raises, returns at once."""
        for file in files:
            self._metadata_task(file)

    def when_listed(self, project: NormalizedName, call: Callable[[], None]) -> None:
        """Ask for *project*; *call* follows, in whichever thread, when ``listing`` need not wait. Never raises."""
        links, pages = self._tasks(project)
        left = itertools.count(len(links) + len(pages) - 1, -1)

        def one_is_done() -> None:
            if next(left) == 0:
                call()

        for task in links:
            task.when_done(one_is_done)
        for _, page in pages:
            page.when_done(one_is_done)

    def expected_metadata(self, file: ListedFile) -> Task[CoreMetadata] | None:
        """The task that learns a file's metadata, begun; None where that would take the whole file."""
        return self._metadata_task(file) if self._metadata_source.is_cheap(file) else None

    def _tasks(
        self, project: NormalizedName
    ) -> tuple[list[Task[Mapping[NormalizedName, Listing]]], list[tuple[Source, Task[Listing | None]]]]:
        """What is asked about *project*: begun now, unless it was before."""
        with self._lock:
            for place in self._find_links:
                if place.url not in self._links:
                    self._links[place.url] = self._pool.submit(Task(place.listings))
            for source in self._indexes:
                if (source.url, project) not in self._pages:
                    task = Task(partial(self._page, source, project))
                    self._pages[source.url, project] = self._pool.submit(task)
            links = [self._links[place.url] for place in self._find_links]
            return links, [(source, self._pages[source.url, project]) for source in self._indexes]

    def _winner(self, pages: list[tuple[Source, Task[Listing | None]]]) -> tuple[Listing | None, tuple[str, ...]]:
        winner: Listing | None = None
        also_on: list[str] = []
        for source, task in pages:
            try:
                found = self._pool.result(task)
            except IndexFault as fault:
                if winner is None:
                    raise
                self._complain(source, fault)
                continue
            if found is None:
                continue
            if winner is None:
                winner = found
            else:
                also_on.append(source.name)
        return winner, tuple(also_on)

    def _complain(self, source: Source, fault: IndexFault) -> None:
        with self._lock:
            if source.name in self._complained:
                return
            self._complained.add(source.name)
        self._reporter.note(f"which projects are on {source.name} as well could not be found out: {fault}")

    def _metadata_task(self, file: ListedFile) -> Task[CoreMetadata]:
        key = (file.name.filename, file.url)
        with self._lock:
            if key not in self._metadata:
                self._metadata[key] = self._pool.submit(Task(partial(self._metadata_source.core_metadata, file)))
            return self._metadata[key]

    def _page(self, source: Source, project: NormalizedName) -> Listing | None:
        """What one index has of a project; None where it answers that it has nothing."""
        with self._lock:
            look = self._looks.pop((source.url, project), None)
        look = look or Task(partial(self._page_source.look, _address(source.url, project)))
        look.run()  # here, if nobody is at it: all threads might wait for a turn that none of them gives
        self._pool.wait(look)
        seen = look.result()
        self._marks[source.url, project] = seen.mark
        return self._page_source.open(seen, project, index=source.name)


def _find_links(sources: tuple[Source, ...], client: Client) -> Iterator[FindLinks]:
    for source in sources:
        if source.kind == "find-links":
            from pypimirror.net.find_links import FindLinks  # noqa: PLC0415 - few have any

            yield FindLinks(source, client)


def _address(index: str, project: NormalizedName) -> str:
    return f"{index}/{project}/"


def _merged(
    project: NormalizedName, local: list[Listing], winner: Listing | None, also_on: tuple[str, ...]
) -> Listing | None:
    """Files of find-links places first; of two files with one name the earlier one counts."""
    if not local and winner is not None:
        return replace(winner, also_on=also_on)
    parts = [*local, *([winner] if winner is not None else [])]
    if not parts:
        return None
    files: dict[str, ListedFile] = {}
    for part in parts:
        for file in part.files:
            files.setdefault(file.name.filename, file)
    main = winner or parts[0]
    return Listing(
        project=project,
        index=main.index,
        files=tuple(files.values()),
        rejected=tuple(rejection for part in parts for rejection in part.rejected),
        status=main.status,
        also_on=also_on,
    )
