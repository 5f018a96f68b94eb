"""No work is done twice: requests, bytes and calls of hot functions are counted, over a small frozen index.

Seconds are never looked at. A bound that is broken is a regression, or a change that was meant: then change the bound,
and say why. A bound that is far above what is counted now may be lowered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.benchmarks import counted, frozen, jobs
from tests.benchmarks.server import Line, Replay, serve

MADE_TWICE = 1.05
"""Now and then two threads ask for one thing at the same moment, and both make it."""

LIBRARIES = frozen.PROJECTS - 1
ONE = ("--python", "3.11", "--platform", "manylinux_2_28_x86_64")
TWO = (*ONE, "--platform", "manylinux_2_28_aarch64")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one run asked of the server, and which functions it called how often."""

    requests: Mapping[str, int]
    received: Mapping[str, int]
    calls: Mapping[str, int]


class World:
    """The frozen index, served; ``run`` runs a command in a child process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = frozen.make_store(folder / "store")
        self.replay = Replay(self.store, Line(latency=0))

    @contextlib.contextmanager
    def served(self) -> Iterator[World]:
        loop, ready = asyncio.new_event_loop(), threading.Event()
        task = loop.create_task(serve(self.replay, port=0, ready=lambda _: ready.set()))

        def work() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join(10)
            loop.close()

    def run(self, command: str, targets: tuple[str, ...], *, face: str = "json", cache: str) -> Counts:
        """Run it on one processor, where it has no second process whose calls nobody would count."""
        told = self.folder / "calls.json"
        program = [sys.executable, "-m", "tests.benchmarks.counted", str(told)]
        requests, received = self.asked(program, command, targets, face=face, cache=cache)
        return Counts(requests=requests, received=received, calls=json.loads(told.read_text()))

    def asked(
        self, program: list[str], command: str, targets: tuple[str, ...], *, face: str = "json", cache: str
    ) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Run it; how many requests of each kind it made, and how many bytes came."""
        self.replay.reset()
        words = [*program, command, "-q", "--isolated"]
        words += ["-i", f"{self.store.address}/{face}/simple/", "--cache-dir", str(self.folder / cache), *targets]
        words += ["-o", str(self.folder / "bundle.tar")] if command == "bundle" else []
        environ = jobs.environment(self.folder)
        subprocess.run([*words, frozen.REQUIREMENT], env=environ, check=True, timeout=120)
        return dict(self.replay.counts), dict(self.replay.sent)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("frozen")).served() as made:
        yield made


@pytest.fixture(scope="module")
def cold(world: World) -> Counts:
    return world.run("bundle", ONE, cache="one")


@pytest.fixture(scope="module")
def two(world: World) -> Counts:
    return world.run("bundle", TWO, cache="two")


@pytest.fixture(scope="module")
def again(world: World, cold: Counts) -> Counts:
    """The same bundle once more, from the cache that the cold one filled."""
    del cold
    return world.run("bundle", ONE, cache="one")


def test_a_cold_bundle_asks_for_each_page_each_metadata_and_each_file_once(cold: Counts) -> None:
    assert {**cold.requests, "connection": 0} == {
        "connection": 0,
        "page": frozen.PROJECTS,
        "metadata": frozen.PROJECTS,
        "file": frozen.PROJECTS,
    }


def test_a_cold_bundle_reuses_its_connections(cold: Counts) -> None:
    assert cold.requests["connection"] <= 17


def test_a_cold_bundle_opens_each_page_once_and_judges_few_of_its_rows(cold: Counts) -> None:
    assert cold.calls["pages"] == frozen.PROJECTS
    # The text of a page is not held: where an old version is wanted, and here it often is, it is read once more.
    assert frozen.PROJECTS <= cold.calls["page texts"] <= 1.5 * frozen.PROJECTS
    assert cold.calls["rows judged"] <= 8 * frozen.PROJECTS
    assert cold.calls["file names"] <= 15 * frozen.PROJECTS


def test_a_cold_bundle_parses_each_text_once(cold: Counts) -> None:
    assert cold.calls["metadata"] <= frozen.PROJECTS
    assert cold.calls["Requirement()"] <= 1.2 * frozen.PROJECTS
    assert cold.calls["Version()"] <= 5 * frozen.PROJECTS
    assert cold.calls["SpecifierSet()"] <= 8 * frozen.PROJECTS
    assert cold.calls["markers evaluated"] <= 8


def test_a_second_target_shares_every_page_and_costs_only_its_own_files(cold: Counts, two: Counts) -> None:
    assert {**two.requests, "connection": 0} == {
        "connection": 0,
        "page": frozen.PROJECTS,
        "metadata": frozen.PROJECTS + LIBRARIES,
        "file": frozen.PROJECTS + LIBRARIES,
    }
    assert two.received["page"] == cold.received["page"]
    assert two.calls[counted.BYTES] <= 1.2 * cold.calls[counted.BYTES]
    assert two.calls["Requirement()"] == cold.calls["Requirement()"]
    # Where there is one target, the whole bundle is its own files: it is not proven over both.
    for what in ("rows judged", "file names", "Version()", "SpecifierSet()"):
        assert two.calls[what] <= 2.2 * MADE_TWICE * cold.calls[what], what


def test_the_same_again_only_asks_whether_the_pages_have_changed(again: Counts) -> None:
    assert {**again.requests, "connection": 0} == {"connection": 0, "not modified": frozen.PROJECTS}
    assert sum(again.received.values()) == 0


def test_the_same_again_opens_no_page_and_searches_nothing(again: Counts) -> None:
    assert {what: again.calls[what] for what in ("pages", "rows judged", "metadata", counted.BYTES)} == {
        "pages": 0,
        "rows judged": 0,
        "metadata": 0,
        counted.BYTES: 0,
    }


def test_a_second_process_asks_for_nothing_that_this_one_asks_for(world: World) -> None:
    requests, _ = world.asked([sys.executable, "-m", "pypimirror"], "bundle", ONE, cache="helped")
    assert requests["page"] == requests["file"] == frozen.PROJECTS
    # What has come as a whole before anybody asks for its metadata is asked for nothing more.
    assert requests["metadata"] <= frozen.PROJECTS
    assert requests["connection"] <= 17 + 14


def test_the_same_again_does_no_more_than_the_first_time(cold: Counts, again: Counts) -> None:
    for what, calls in again.calls.items():
        assert calls <= MADE_TWICE * cold.calls[what], what


def test_without_metadata_one_range_of_each_wheel_is_asked_for(world: World) -> None:
    counts = world.run("bundle", ONE, face="html", cache="html")
    assert {**counts.requests, "connection": 0} == {
        "connection": 0,
        "page": frozen.PROJECTS,
        "range": frozen.PROJECTS,
        "file": frozen.PROJECTS,
    }
    assert counts.calls["pages"] == frozen.PROJECTS
    assert counts.calls["metadata"] <= frozen.PROJECTS
