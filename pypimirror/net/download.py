"""Files, from an address to the cache: streamed, hashed on the way, resumed, verified, and only then given a name.

``Downloads`` fetches one file, once, whoever asks. ``fetch`` fetches those of a plan, and checks that what is inside
them is what the plan was made from.

What happens to a file that isn't as it should be:

    the connection breaks              go on by range from where it broke, with backoff
    the server knows no ranges         begin again
    wrong after a resumed transfer     once more from the start: the old part may have been another file's
    wrong after side connections       likewise, without them
    wrong after a clean transfer       once more, past every cache; still wrong: IntegrityFault
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pypimirror.errors import DiskFault, IntegrityFault, PypimirrorError
from pypimirror.model.files import ListedFile
from pypimirror.model.names import Sha256
from pypimirror.model.plan import PlannedFile, VerifiedFile
from pypimirror.net.cache import Cache
from pypimirror.net.client import Client
from pypimirror.net.pace import RULES, Rules
from pypimirror.net.places import Places
from pypimirror.net.retry import GaveUp
from pypimirror.net.sockets import Stopped
from pypimirror.net.transfer import CHECKED, Stored, Transfer, gone, wrong_size
from pypimirror.net.workers import Task, Workers
from pypimirror.reporting import Reporter

if TYPE_CHECKING:
    from pypimirror.net.porter import Porter

__all__ = ["CHECKED", "Downloads", "Stored", "fetch", "gone"]

_LOOK = 0.1  # seconds between two looks at what another process does


class Downloads:
    """Whole files by way of the cache. Safe for threads: a file that two ask for is fetched once."""

    def __init__(self, client: Client, cache: Cache, reporter: Reporter | None = None, *, rules: Rules = RULES) -> None:
        self._client = client
        self._cache = cache
        self._rules = rules
        self._places = Places(rules.places)
        self._reporter = _Tally(reporter or Reporter())
        self._done: dict[str, Stored] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.porter: Porter | None = None
        """Another process that may fetch what is asked for, and looks into it (``net.porter``)."""

    def whole(self, file: ListedFile) -> Stored:
        """The file, verified. Raises IndexFault, IntegrityFault, DiskFault."""
        key = file.sha256 or file.url
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._done:
                self._done[key] = self._kept(file) or self._carried(file) or self._in_turn(file)
            return self._done[key]

    def tell(self) -> None:
        """From now on tell of every byte, and of those that came before."""
        self._reporter.release()

    def _kept(self, file: ListedFile) -> Stored | None:
        found = None if file.sha256 is None else self._cache.stamped(file.sha256)
        if found is None or file.sha256 is None:
            return None
        path, seen = found
        size = path.stat().st_size
        if file.size not in (None, size):
            raise wrong_size(file, size)
        return Stored(path=path, sha256=file.sha256, size=size, from_cache=True, stamp=seen)

    def _carried(self, file: ListedFile) -> Stored | None:
        """The file by the porter, where there is one; None where it can't."""
        if self.porter is None:
            return None
        came = 0

        def told(count: int) -> None:
            nonlocal came
            came += count
            self._reporter.download_bytes(filename=file.name.filename, count=count)

        stored = self.porter.carry(file, told)
        if stored is None and came:
            told(-came)
        return stored or self._kept(file)  # what it has fetched, and found wrong inside, is told by ``inspect``

    def _in_turn(self, file: ListedFile) -> Stored:
        """Fetch it, or let another process that is at it finish; one that is stuck is not waited for."""
        while file.sha256 is not None:
            fetched = self._fetched(file, alone=True)
            if fetched is not None:
                return fetched
            if not self._others_finished(file.sha256):
                break
            kept = self._kept(file)
            if kept is not None:
                return kept
        fetched = self._fetched(file, alone=False)
        assert fetched is not None  # noqa: S101 - for the type checker: it yields to others only when alone
        return fetched

    def _others_finished(self, sha256: Sha256) -> bool:
        seen, quiet = -1, 0.0
        while (size := self._cache.being_written(sha256)) is not None:
            quiet = quiet + _LOOK if size == seen else 0.0
            if quiet > self._client.limits.slow_window:
                return False
            seen = size
            if self._client.stopping.wait(_LOOK):
                raise Stopped
        return True

    def _fetched(self, file: ListedFile, *, alone: bool) -> Stored | None:
        """Transfer it; with *alone*, None where another process has just begun to."""
        clean_failures = 0
        places: Places | None = self._places
        while True:
            with self._cache.partial(file.sha256) as partial:
                if alone and partial.beside_another:
                    return None
                transfer = Transfer(
                    file,
                    partial,
                    client=self._client,
                    reporter=self._reporter,
                    fresh=clean_failures > 0,
                    places=places,
                    rules=self._rules,
                )
                try:
                    with self._places.taken():
                        return transfer.run()
                except IntegrityFault:
                    self._reporter.download_bytes(filename=file.name.filename, count=-partial.size)
                    partial.restart()
                    clean_failures += not transfer.resumed
                    places = None
                    if clean_failures > 1:
                        raise


class _Tally(Reporter):
    """Holds back what came before anybody told how much there is to come."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._held: Counter[str] | None = Counter()
        self._lock = threading.Lock()

    def download_bytes(self, *, filename: str, count: int) -> None:
        with self._lock:
            if self._held is not None:
                self._held[filename] += count
                return
        self._reporter.download_bytes(filename=filename, count=count)

    def release(self) -> None:
        with self._lock:
            held, self._held = self._held, None
        for filename, count in (held or {}).items():
            self._reporter.download_bytes(filename=filename, count=count)


def fetch(
    files: Sequence[PlannedFile],
    *,
    client: Client,
    cache: Cache,
    reporter: Reporter | None = None,
    workers: int = 8,
    downloads: Downloads | None = None,
) -> tuple[VerifiedFile, ...]:
    """Every file of a plan in the cache, verified, in the order of *files*; the largest are begun first.

    Where some fail, the others are finished as far as that makes sense, and the fault tells how many are safe. Raises
    IndexFault, IntegrityFault, DiskFault. Interrupted, it stops the client, and what was verified stays.
    """
    from pypimirror.net.inspection import inspect  # noqa: PLC0415 - reads every kind of archive, and plan reads none

    reporter = reporter or Reporter()
    downloads = downloads or Downloads(client, cache, reporter)
    _check_space(files, cache)
    reporter.download_total(files=len(files), size=sum(file.listed.size or 0 for file in files))
    downloads.tell()
    order = sorted(files, key=lambda file: (-(file.listed.size or 0), file.filename))
    pool = Workers(workers, name="download")

    def task_of(file: PlannedFile) -> Task[VerifiedFile]:
        def work() -> VerifiedFile:
            try:
                stored = downloads.whole(file.listed)
                verified = inspect(file, stored.path, stored.sha256, stored.size, cache)
                verified = replace(verified, stamp=stored.stamp)
            except (DiskFault, GaveUp) as fault:
                if isinstance(fault, DiskFault) or fault.kind == "connect":
                    pool.drop_waiting()  # the next ones would end the same
                raise
            reporter.download_done(filename=file.filename, size=stored.size, from_cache=stored.from_cache)
            return verified

        return Task(work)

    tasks = {file.filename: task_of(file) for file in order}
    try:
        for task in tasks.values():
            pool.submit(task)
        for task in tasks.values():
            pool.wait(task)
    except BaseException:
        client.stop()
        raise
    finally:
        pool.close(patience=1.0)
    return _gathered([tasks[file.filename] for file in files])


def _gathered(tasks: list[Task[VerifiedFile]]) -> tuple[VerifiedFile, ...]:
    failed = [task.error for task in tasks if task.error is not None]
    if not failed:
        return tuple(task.result() for task in tasks)
    faults = [error for error in failed if not isinstance(error, Stopped)] or failed
    safe = len(tasks) - len(failed)
    for error in faults:
        if not isinstance(error, PypimirrorError):
            raise error
    fault = faults[0]
    assert isinstance(fault, PypimirrorError)  # noqa: S101 - for the type checker; the loop above has seen to it
    others = f"{len(failed) - 1} more of {len(tasks)} failed or were not begun; " if len(failed) > 1 else ""
    kept = f"{others}{safe} of {len(tasks)} files are safe in the cache; run again to continue"
    fault.hint = f"{fault.hint}\n{kept}" if fault.hint else kept
    raise fault


def _check_space(files: Sequence[PlannedFile], cache: Cache) -> None:
    needed = sum(
        file.listed.size or 0 for file in files if file.listed.sha256 is None or not cache.has_file(file.listed.sha256)
    )
    free = cache.free()
    if needed > free:
        raise DiskFault(
            f"the downloads need {_megabytes(needed)}, {_megabytes(free)} are free on {cache.folder}",
            code="disk-full",
            hint="free some space, or name another place with --cache-dir",
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
