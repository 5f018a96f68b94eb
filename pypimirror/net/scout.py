"""A scout: runs ahead of the search, and has pages and metadata fetched before the search asks for them.

Without it each step of a chain (a wants b, b wants c) costs two waits for the network, one after the other. It follows
``resolve.likely`` for all sets and targets at once, in one thread; the index's own threads fetch. It changes nothing
but when things are fetched: answers are the index's, and so are faults, which are told to whoever asks for the thing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from pypimirror.errors import PypimirrorError
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import NormalizedName
from pypimirror.net.online_index import OnlineIndex
from pypimirror.net.workers import Task
from pypimirror.resolve.likely import Guesses
from pypimirror.resolve.needs import Candidate, Key, Need

__all__ = ["Scout"]

_MOST = 5000  # metadata of so many files is fetched ahead, and no more: no honest wish list comes near


class Scout:
    """Scouts for *views* while it is open. A context manager; leaving it waits for nothing that is under way."""

    def __init__(self, index: OnlineIndex, views: Iterable[Guesses]) -> None:
        self._index = index
        self._views = tuple(views)
        self._steps: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: dict[NormalizedName, list[tuple[Guesses, Key]]] = {}
        self._seen = 0
        self._over = False
        self._thread = threading.Thread(target=self._run, name="scout", daemon=True)

    def __enter__(self) -> Scout:  # noqa: PYI034 - typing.Self needs Python 3.11
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._steps.put(None)

    def _run(self) -> None:
        for view in self._views:
            self._follow(view, view.roots())
        while (step := self._steps.get()) is not None and not self._over:
            try:
                step()
            except PypimirrorError:
                continue  # whoever needs the thing will be told

    def _follow(self, view: Guesses, needs: Iterable[Need]) -> None:
        for need in needs:
            self._expect(view, need.key)

    def _expect(self, view: Guesses, key: Key) -> None:
        """Look at *key* once its listing is there."""
        waiting = self._waiting.get(key.project)
        if waiting is not None:
            waiting.append((view, key))
            return
        self._waiting[key.project] = [(view, key)]
        self._index.when_listed(key.project, lambda: self._steps.put(lambda: self._listed(key.project)))

    def _listed(self, project: NormalizedName) -> None:
        for view, key in self._waiting.pop(project):
            candidate = view.best(key)
            if candidate is None or self._seen >= _MOST:
                continue
            self._seen += 1
            task = self._index.expected_metadata(candidate.file)  # whether to fetch a file whole is the search's to say
            if task is not None:
                self._hear(view, candidate, task)

    def _hear(self, view: Guesses, candidate: Candidate, task: Task[CoreMetadata]) -> None:
        def follow() -> None:
            self._follow(view, view.wanted(candidate, task.result()))

        task.when_done(lambda: self._steps.put(follow))
