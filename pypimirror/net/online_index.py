"""The port of ``index.port``, online: several indexes and find-links places behind one face.

Every source is asked for a project at the same time. The first *index* that has it wins; later ones are only told of
(``Listing.also_on``), so that no outside file can take the place of an in-house one. Files of find-links places come
before the winner's. Every page is fetched once in a run and remembered: one run sees one state of the world, and a
resolution is a function of it, in whatever order threads come to an end.

Essential reading: PEP 503, 691 (what is asked for), 658 and 714 (siblings); the rest is ``index.simple``'s.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from pypimirror.errors import IndexFault
from pypimirror.index import outline
from pypimirror.index.simple import open_page
from pypimirror.model.files import CoreMetadata, ListedFile, Listing
from pypimirror.model.names import NormalizedName
from pypimirror.net.bodies import shown
from pypimirror.net.cache import Cache, KeptPage
from pypimirror.net.client import Answer, Client
from pypimirror.net.download import Downloads
from pypimirror.net.find_links import FindLinks
from pypimirror.net.metadata import MetadataSource
from pypimirror.net.settings import Settings, Source
from pypimirror.net.workers import Task, Workers
from pypimirror.reporting import Reporter

__all__ = ["ACCEPT", "OnlineIndex"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


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
        self._client = client
        self._cache = cache
        self._reporter = reporter or Reporter()
        self._indexes = tuple(source for source in settings.sources if source.kind == "index")
        self._find_links = tuple(
            FindLinks(source, client) for source in settings.sources if source.kind == "find-links"
        )
        self.downloads = Downloads(client, cache, self._reporter)
        self._metadata_source = MetadataSource(client, cache, self.downloads, trust_egg_info=trust_egg_info)
        self._pool = Workers(workers, name="index")
        self._lock = threading.Lock()
        self._pages: dict[tuple[str, NormalizedName], Task[Listing | None]] = {}
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
        url = f"{source.url}/{project}/"
        kept = self._cache.listing(url)
        headers = {"Cache-Control": "max-age=0"}  # a proxy between is to ask, too
        if kept is not None and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept is not None and kept.last_modified:
            headers["If-Modified-Since"] = kept.last_modified
        answer = self._client.get(url, accept=ACCEPT, limit=self._client.limits.page, headers=headers)
        name = source.name
        if answer.status == 304 and kept is not None:  # noqa: PLR2004 - RFC 9110
            drawn = outline.load(kept.outline)
            return open_page(kept.body, kept.content_type, url=kept.url, project=project, index=name, outline=drawn)[0]
        if answer.status in (404, 410):
            return None
        if answer.status != 200:  # noqa: PLR2004 - RFC 9110
            raise IndexFault(
                f"{shown(url)}: answered {answer.status}",
                code="http-status",
                hint="open the address in a browser; is it the address of a simple index?",
            )
        validated = bool(answer.headers.get("etag") or answer.headers.get("last-modified"))
        digest = "" if validated else hashlib.sha256(answer.body).hexdigest()
        drawn = None
        if kept is not None and digest and (digest, answer.content_type) == (kept.sha256, kept.content_type):
            drawn = outline.load(kept.outline)
        listing, made = open_page(
            answer.body, answer.content_type, url=answer.url, project=project, index=name, outline=drawn
        )
        if made is not drawn:
            self._keep(url, answer, digest, made)
        return listing

    def _keep(self, url: str, answer: Answer, digest: str, drawn: outline.Outline) -> None:
        # An address with a query may be a secret.
        if "?" not in answer.url and "no-store" not in answer.headers.get("cache-control", ""):
            self._cache.keep_listing(
                url,
                KeptPage(
                    url=answer.url,
                    content_type=answer.content_type,
                    etag=answer.headers.get("etag", ""),
                    last_modified=answer.headers.get("last-modified", ""),
                    stored=int(time.time()),
                    body=b"" if digest else answer.body,
                    outline=outline.dump(drawn),
                    sha256=digest,
                ),
            )


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
