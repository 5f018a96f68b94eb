"""Several renders of one tree at once, each a process; clients look on. A holder of the lock that stops, or dies."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from pypimirror.bundle.beside import beside
from pypimirror.disk import FILE_MODE, StrPath
from pypimirror.errors import BusyFault, IntegrityFault
from tests.crashes.cases import Playground
from tests.crashes.worker import own_bundle
from tests.tree.helpers import QuickDisk, check_pages, check_tree, links, names_under, render
from tests.worlds import environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")


def start(tree: Path, worker: int, rounds: int, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crashes.worker", str(tree), str(worker), str(rounds), *options],
        env=environment(tree.parent),
        stderr=subprocess.DEVNULL if "--without-lock" in options else None,
    )


def number_of(tree: Path) -> int:
    current = tree / ".pypimirror" / "current"
    return int(current.readlink().name) if current.is_symlink() else 0


def client_sees(tree: Path, view: Path) -> list[str] | None:
    """What a client finds wrong that began with the generation of now.

    It holds on to the pages it began with, as one that reads them in a moment; the files they name stay for one
    generation more. What took longer than that proves nothing, nor does a tree without pages: None. The page in
    ``packages/`` follows the newest.
    """
    before = number_of(tree)
    if not before:
        return None
    generation = tree / ".pypimirror" / "generations" / str(before)
    view.mkdir()
    (view / "simple").mkdir()
    for name, target in (
        ("packages", tree / "packages"), ("index.html", generation / "index.html"),
        ("simple/index.html", generation / "simple.html"), ("simple/index.json", generation / "simple.json"),
        *((f"simple/{path.name}", path) for path in generation.glob("simple/*/*")),
    ):  # fmt: skip
        (view / name).symlink_to(target)
    try:
        faults = check_pages(view)
    except (OSError, ValueError) as error:
        faults = [repr(error)]
    after = number_of(tree)
    if after == before + 1:
        faults = [fault for fault in faults if "packages/index.html is not what" not in fault]
    return faults if after - before < 2 else None


def together(play: Playground, workers: int, rounds: int, *options: str) -> tuple[list[str], int]:
    """What went wrong, and how often a client looked."""
    folder = play.new()
    folder.mkdir()
    tree = folder / "tree"
    processes = [start(tree, worker, rounds, *options) for worker in range(workers)]
    faults: list[str] = []
    numbers, looks = itertools.count(), 0
    try:
        deadline = time.monotonic() + 120
        while any(process.poll() is None for process in processes):
            assert time.monotonic() < deadline, "they wait for each other"
            seen = client_sees(tree, folder / f"view{next(numbers)}")
            looks += seen is not None
            faults += seen or []
            if faults and options:
                break
    finally:
        for process in processes:
            if options:
                process.kill()
            process.wait()
    faults += [f"a worker ended with {process.returncode}" for process in processes if process.returncode]
    try:
        faults += check_tree(tree)
    except (IntegrityFault, OSError, ValueError) as error:  # what is there can't even be read
        faults.append(repr(error))
    with suppress(OSError, ValueError):
        texts = {link["text"] for page in (tree / "simple").glob("*/index.html") for link in links(page)}
        for worker in range(workers):
            for number in range(rounds):
                for sample in own_bundle(worker, number).samples:
                    if sample.file.filename not in texts:
                        faults.append(f"{sample.file.filename} was lost")
    faults += [f"{name} is left over" for name in names_under(tree) if ".part" in name]
    return faults, looks


@pytest.mark.parametrize(("workers", "rounds"), [(2, 8), (8, 3)])
def test_renders_at_once_take_turns_and_clients_see_whole_trees(
    workers: int, rounds: int, play: Playground, tally: Counter[str]
) -> None:
    faults, looks = together(play, workers, rounds)
    tally["renders at once"] += workers * rounds
    tally["looks of a client"] += looks
    tally["torn"] += len(faults)
    assert faults == []
    assert looks > 5


@pytest.mark.slow
@pytest.mark.parametrize("workers", range(2, 9))
def test_many_renders_at_once(workers: int, play: Playground, tally: Counter[str]) -> None:
    faults, looks = together(play, workers, 80 // workers)
    tally["renders at once"] += workers * (80 // workers)
    tally["looks of a client"] += looks
    tally["torn"] += len(faults)
    assert faults == []


def test_without_the_lock_a_fault_is_found(play: Playground) -> None:
    faults, _ = together(play, 4, 12, "--without-lock")
    assert faults


def stopped(tree: Path) -> subprocess.Popen[bytes]:
    """A process that holds the lock, and has stopped before its swap."""
    process = start(tree, 0, 1, "--stop")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return process


def test_while_the_holder_is_stopped_others_are_told_who_it_is_and_it_finishes_when_it_goes_on(
    play: Playground, tally: Counter[str]
) -> None:
    folder = play.new()
    folder.mkdir()
    process = stopped(folder / "tree")
    try:
        with pytest.raises(BusyFault, match=f"process {process.pid} on {socket.gethostname()}") as caught:
            render(folder / "tree", own_bundle(1, 0))
        assert caught.value.exit_code == 8
        assert number_of(folder / "tree") == 0
    finally:
        process.send_signal(signal.SIGCONT)
        assert process.wait() == 0
    assert check_tree(folder / "tree") == []
    render(folder / "tree", own_bundle(1, 0))
    assert check_tree(folder / "tree") == []
    assert number_of(folder / "tree") == 2
    tally["stopped holders"] += 1


def test_when_the_holder_is_killed_the_next_one_sweeps_and_goes_on(play: Playground, tally: Counter[str]) -> None:
    folder = play.new()
    folder.mkdir()
    render(folder / "fine", own_bundle(0, 0))
    process = stopped(folder / "tree")
    process.kill()
    process.wait()
    assert (folder / "tree" / ".pypimirror" / "generations" / "1").is_dir()
    assert check_tree(folder / "tree") == []
    render(folder / "tree", own_bundle(0, 0))
    assert check_tree(folder / "tree") == []
    assert names_under(folder / "tree") == names_under(folder / "fine")
    tally["killed holders"] += 1


def test_a_temporary_file_that_another_run_takes_for_stale_is_left_to_it(tmp_path: Path) -> None:
    """Between its making and its locking, another run may have locked it, to remove it."""
    target = tmp_path / "b.tar"
    taken: list[Path] = []

    class Raced(QuickDisk):
        def create(self, path: StrPath, *, mode: int = FILE_MODE) -> BinaryIO:
            path = Path(path)
            if not taken:
                taken.append(path)
                self.other = super().create(path, mode=mode)
                assert self.lock(self.other)
                return path.open("r+b")
            self.remove(taken[0])  # the other one goes on
            self.other.close()
            return super().create(path, mode=mode)

    with beside(target, Raced()) as part:
        assert part.path != taken[0]
        part.file.write(b"new")
    assert target.read_bytes() == b"new"
    assert names_under(tmp_path) == {"b.tar"}
