"""Reporters for people: drawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pypimirror.cli.sizes import count, size
from pypimirror.cli.voice import Voice
from pypimirror.reporting import Reporter

__all__ = ["reporting"]


@contextmanager
def reporting(voice: Voice) -> Iterator[Reporter]:
    """A reporter that suits the terminal, or its absence; its notes are told at the end, each once."""
    reporter: PlainReporter = DrawnReporter(voice) if voice.lively else PlainReporter(voice)
    try:
        yield reporter
    finally:
        reporter.close()


class PlainReporter(Reporter):
    """Lines on standard error: one for each phase, one for each retry."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self._lock = threading.Lock()
        self._notes: dict[str, None] = {}
        self._files = self._size = self._cached = 0

    def close(self) -> None:
        """Tell the notes that came on the way."""
        for text in self._notes:
            self.voice.note(text)
        self._notes.clear()

    def note(self, text: str) -> None:
        with self._lock:
            self._notes[text] = None

    def step(self, name: str) -> None:
        self.tell(f"{name} ...")

    def resolving(self, *, set_name: str, target: str, done: int, total: int) -> None:
        of_set = "" if set_name == "default" else f"{set_name} on "
        self.tell(f"  {of_set}{target} ({done + 1} of {total})")

    def download_total(self, *, files: int, size: int) -> None:
        self._files, self._size = files, size
        self.tell(f"  {count(files, 'file')}{_of_size(size)}")

    def download_done(self, *, filename: str, size: int, from_cache: bool) -> None:
        with self._lock:
            self._cached += from_cache
        if self.voice.verbose:
            self.tell(f"  {filename} {_size(size)}{' (from the cache)' if from_cache else ''}")

    def retrying(self, *, what: str, reason: str, attempt: int, wait: float) -> None:
        self.tell(f"  {what}: {reason}; try {attempt + 1} in {wait:.1f} s")

    def tell(self, text: str) -> None:
        self.voice.tell(text)


def _size(number: int) -> str:
    return size(number)


def _of_size(number: int) -> str:
    return f", {size(number)}" if number else ""


class DrawnReporter(PlainReporter):
    """Progress bars: resolving, then downloads with speed and time left, then packing."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(voice)
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich, and it is slow to import
        from rich.progress import (  # noqa: PLC0415 - likewise
            BarColumn,
            DownloadColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._console = Console(stderr=True, no_color=not voice.colored, highlight=False)
        text = TextColumn("{task.description}", markup=False)
        self._steps = Progress(SpinnerColumn(), text, console=self._console, transient=True)
        self._bytes = Progress(
            text,
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._shown: Any = None
        self._task: Any = None

    def close(self) -> None:
        self._show(None)
        super().close()

    def step(self, name: str) -> None:
        self._show(self._steps)
        self._task = self._steps.add_task(name, total=None)

    def resolving(self, *, set_name: str, target: str, done: int, total: int) -> None:
        of_set = "" if set_name == "default" else f"{set_name} on "
        if self._shown is self._steps:
            self._steps.update(self._task, description=f"Resolving {of_set}{target} ({done + 1} of {total})")

    def download_total(self, *, files: int, size: int) -> None:
        self._show(self._bytes)
        self._task = self._bytes.add_task(f"Downloading {count(files, 'file')}", total=size or None)

    def download_bytes(self, *, filename: str, count: int) -> None:
        del filename
        if self._shown is self._bytes:
            self._bytes.advance(self._task, count)

    def download_done(self, *, filename: str, size: int, from_cache: bool) -> None:
        super().download_done(filename=filename, size=size, from_cache=from_cache)
        if from_cache and self._shown is self._bytes:
            self._bytes.advance(self._task, size)

    def packing(self, *, done: int, total: int) -> None:
        if self._shown is not self._bytes:
            self._show(self._bytes)
            self._task = self._bytes.add_task("Packing" if total else "Reading", total=total or None)
        self._bytes.update(self._task, completed=done)

    def tell(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def _show(self, progress: Any) -> None:  # noqa: ANN401 - rich's Progress, which is imported late
        if self._shown is progress and progress is not None:
            for task in list(progress.task_ids):
                progress.remove_task(task)
            return
        if self._shown is not None:
            self._shown.stop()
            for task in list(self._shown.task_ids):
                self._shown.remove_task(task)
        self._shown = progress
        if progress is not None:
            progress.start()
