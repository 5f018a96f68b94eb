"""What a porter does with a file, and that ``Downloads`` has one: fetch it in one attempt, hash it, look into it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pypimirror.model.files import ListedFile
from pypimirror.net import direct  # noqa: F401 - imported here once, and not by both processes
from pypimirror.net.cache import Cache
from pypimirror.net.client import Client
from pypimirror.net.download import Downloads
from pypimirror.net.inspection import look_into
from pypimirror.net.porter import Fetch, porter
from pypimirror.net.settings import Settings
from pypimirror.net.transfer import Stored
from pypimirror.reporting import Reporter

__all__ = ["carrying"]


@contextmanager
def carrying(downloads: Downloads, *, settings: Settings, cache: Cache, stopping: threading.Event) -> Iterator[None]:
    """While the block runs, a porter fetches for *downloads*, where there can be one: no thread may run yet."""

    def make_fetch(told: Reporter) -> Fetch:
        client = Client(replace(settings, retries=0), reporter=Reporter())
        theirs = Downloads(client, cache, told)
        theirs.tell()

        def fetch(file: ListedFile) -> Stored:
            stored = theirs.whole(file)
            look_into(file.name, stored.path, stored.sha256, cache)
            return stored

        return fetch

    with porter(make_fetch, stopping=stopping) as found:
        downloads.porter = found
        try:
            yield
        finally:
            downloads.porter = None
