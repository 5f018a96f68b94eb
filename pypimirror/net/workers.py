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
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

from pypimirror.net.sockets import Stopped

__all__ = ["Task", "Workers"]

T = TypeVar("T")

_WANTED, _LIKELY, _END = 0, 1, 2
_LOOK = 0.2  # seconds between two chances for a signal, on systems where waiting can't be interrupted


class Task(Generic[T]):
    """Something to be done once, by whichever thread comes to it first. What came of it is kept."""

    # What concurrent.futures offers would do, and bring logging along, and a lock and a list for each who waits.

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._claim = threading.Lock()
        self._change = threading.Lock()
        self._over = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._result: T | None = None
        self.error: BaseException | None = None

    @property
    def begun(self) -> bool:
        return self._claim.locked()

    @property
    def done(self) -> bool:
        """Whether it is over, one way or another."""
        return self._over.is_set()

    def run(self) -> None:
        """Do it, unless it is done, being done, or cancelled."""
        if not self._claim.acquire(blocking=False):
            return
        work, self._work = self._work, None
        assert work is not None  # noqa: S101 - for the type checker: the claim is had once
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001 - it comes out where the result is asked for
            self.error = error
        self._finish()

    def cancel(self) -> None:
        """Not to be done any more, unless it has begun. Who asks for its result gets Stopped."""
        if self._claim.acquire(blocking=False):
            self._work, self.error = None, Stopped()
            self._finish()

    def result(self) -> T:
        """What came of it, or raises what it raised. It must be over."""
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # a T, for it has ended without an error

    def wait(self, seconds: float) -> bool:
        """Wait until it is over, but no longer; whether it is."""
        return self._over.wait(seconds)

    def when_done(self, call: Callable[[], None]) -> None:
        """Call when it is over, in whichever thread; at once where it is. The call must not raise."""
        with self._change:
            if not self._over.is_set():
                self._listeners.append(call)
                return
        call()

    def _finish(self) -> None:
        with self._change:
            self._over.set()
            listeners, self._listeners = self._listeners, []
        for call in listeners:
            call()


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
        if not task.done:
            if not task.begun:
                self._put(_WANTED, task)
            self.wait(task)
        return task.result()

    def wait(self, task: Task[T]) -> None:
        """Until *task* is over, one way or another."""
        while not task.wait(_LOOK):
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
            with suppress(RuntimeError):  # an interrupt may come while it is being started
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
