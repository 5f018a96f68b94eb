"""The pool whose threads never hold anybody up."""

from __future__ import annotations

import threading

import pytest

from pypimirror.net.workers import Task, Workers


def test_an_interrupt_while_a_thread_is_being_started_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    pool = Workers(2, name="test")
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(Task(lambda: None))
    pool.close(patience=1.0)
