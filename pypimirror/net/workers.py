"""Threads that never outlive a Ctrl-C: a pool whose tasks can be asked for out of turn.

The standard library's executor joins its threads when the interpreter ends, and one that is stuck in a name look-up
can't be told to hurry. Here threads are daemons, what a person waits for goes before what is only likely to be needed,
and the waiting thread can always be interrupted.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from types import TracebackType
from typing import Generic, TypeVar

from pypimirror.net.sockets import Stopped

__all__ = ["Task", "Workers"]

T = TypeVar("T")

_WANTED, _LIKELY, _END = 0, 1, 2
_LOOK = 0.2  # seconds between two chances for a signal, on systems where waiting can't be interrupted


class Task(Generic[T]):
    """Something to be done once, by whichever thread comes to it first."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._claim = threading.Lock()
        self.future: Future[T] = Future()

    def run(self) -> None:
        """Do it, unless it is done, being done, or cancelled."""
        if not self._claim.acquire(blocking=False):
            return
        self.future.set_running_or_notify_cancel()
        try:
            self.future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - it comes out where the result is asked for
            self.future.set_exception(error)

    def cancel(self) -> None:
        """Not to be done any more, unless it has begun."""
        if self._claim.acquire(blocking=False):
            self.future.cancel()
            self.future.set_running_or_notify_cancel()


class Workers:
    """At most *count* daemon threads, started as they are needed. A context manager that ends them."""

    def __init__(self, count: int, *, name: str) -> None:
        self._count = count
        self._name = name
        self._queue: queue.PriorityQueue[tuple[int, int, Task[object] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._threads: list[threading.Thread] = []
        self._open = 0  # tasks that wait or run
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Workers:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(patience=1.0)

    def submit(self, task: Task[T]) -> Task[T]:
        """Do *task* when there is time. Returns at once; first come, first served."""
        self._put(_LIKELY, task)
        return task

    def result(self, task: Task[T]) -> T:
        """What *task* results in, or raises (Stopped where it was cancelled). It goes before what nobody waits for."""
        if not task.future.done():
            if not task.future.running():
                self._put(_WANTED, task)
            self.wait(task)
        try:
            return task.future.result()
        except CancelledError:
            raise Stopped from None

    def wait(self, task: Task[T]) -> None:
        """Until *task* is over, one way or another."""
        while not wait((task.future,), timeout=_LOOK).done:
            pass

    def drop_waiting(self) -> None:
        """Cancel every task that has not begun."""
        while True:
            try:
                _, _, task = self._queue.get_nowait()
            except queue.Empty:
                return
            if task is not None:
                task.cancel()
                with self._lock:
                    self._open -= 1

    def close(self, *, patience: float) -> None:
        """Cancel what has not begun; wait *patience* seconds in all for the rest, then leave it behind."""
        with self._lock:
            self._closed = True
            threads = tuple(self._threads)
        self.drop_waiting()
        for _ in threads:
            self._queue.put((_END, next(self._order), None))
        end = time.monotonic() + patience
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0.0))

    def _put(self, rank: int, task: Task[T]) -> None:
        with self._lock:
            if self._closed:
                task.cancel()
                return
            self._queue.put((rank, next(self._order), task))  # type: ignore[arg-type]  # a Task of anything is a Task
            self._open += 1
            if len(self._threads) < min(self._count, self._open):
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self) -> None:
        while True:
            _, _, task = self._queue.get()
            if task is None:
                return
            task.run()
            del task  # or the last result would be held until the next task comes
            with self._lock:
                self._open -= 1
