"""Real processes of the real command line, killed: at random times, and at every system call."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crashes.cases import CASES, Playground, exhibit, served
from tests.crashes.invariants import invariants, run_again
from tests.fakes.archives import make_wheel
from tests.worlds import TARGET, environment

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")

Run = Callable[[list[str], float | None], tuple[int, float]]

QUICK, MANY = 20, 150


class Moments:
    """When to kill: spread over a run, and moved towards the end that was not seen yet, since runs differ in length."""

    def __init__(self, seed: object, took: float) -> None:
        self._dice = random.Random(str(seed))  # noqa: S311 - a test's dice
        self._longest = 1.3 * took
        self.ends: Counter[str] = Counter()

    def draw(self) -> float:
        return self._dice.uniform(0, self._longest)

    def saw(self, *, new: bool) -> None:
        self.ends["new" if new else "not yet"] += 1
        if len(self.ends) == 1:
            self._longest *= 0.8 if new else 1.3


@contextmanager
def forker(home: Path) -> Iterator[Run]:
    """The program, ready to be forked: gives what runs a command line in a child, and kills it after some seconds."""
    env = environment(home, {"SOURCE_DATE_EPOCH": "1795000000", "PYTHONWARNINGS": "ignore"})
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crashes.forker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=home,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(arguments: list[str], seconds: float | None) -> tuple[int, float]:
            stdin.write(json.dumps([arguments, seconds]) + "\n")
            stdin.flush()
            code, took = json.loads(stdout.readline())
            return code, took

        yield run
        stdin.close()


def command(world: Path, tree: str, *, plain: bool) -> list[str]:
    """The command line of the case ``render-second``."""
    kind = ["--plain"] if plain else []
    return ["render", *kind, "--replace", str(world / "medium" / "second"), str(world / tree)]


def kill_renders(play: Playground, folder: Path, tally: Counter[str], tmp_path: Path, *, kind: str, times: int) -> None:
    found = exhibit(CASES[f"render-second-{kind}"], folder)
    with forker(tmp_path) as run:
        world = play.laid_out(found.before)
        took = []
        for _ in range(3):
            code, seconds = run(command(world, "tree", plain=kind == "plain"), None)
            assert code == 0
            took.append(seconds)
        assert served(found.case, world) == found.served_after
        moments = Moments(kind, max(took))
        for number in range(times):
            world = play.laid_out(found.before)
            code, _ = run(command(world, "tree", plain=kind == "plain"), moments.draw())
            assert code in (0, -9)
            torn = invariants(found, world, finished=code == 0)
            moments.saw(new=served(found.case, world) == found.served_after)
            torn += run_again(found, world)
            tally["killed processes"] += 1
            tally["torn"] += len(torn)
            assert torn == [], number
            play.clear(world)
    assert set(moments.ends) == {"new", "not yet"}, "the times are not well chosen"


@pytest.mark.parametrize("kind", ["linked", "plain"])
def test_renders_killed_at_random_leave_old_or_new(
    kind: str, play: Playground, quick_folder: Path, tally: Counter[str], tmp_path: Path
) -> None:
    kill_renders(play, quick_folder, tally, tmp_path, kind=kind, times=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["linked", "plain"])
def test_many_renders_killed_at_random_leave_old_or_new(
    kind: str, play: Playground, quick_folder: Path, tally: Counter[str], tmp_path: Path
) -> None:
    kill_renders(play, quick_folder, tally, tmp_path, kind=kind, times=MANY)


def kill_bundles(play: Playground, tally: Counter[str], tmp_path: Path, times: int) -> None:
    folder = play.new()
    (folder / "wheels").mkdir(parents=True)
    for name in ("app", "lib"):
        filename, data = make_wheel(name, "1.0", requires_dist=["lib"] if name == "app" else [])
        (folder / "wheels" / filename).write_bytes(data)
    target = folder / "b.tar"
    asked = ["bundle", "app", "--no-index", "-f", str(folder / "wheels"), "--no-cache", *TARGET, "-o", str(target)]
    with forker(tmp_path) as run:
        took = max(run(asked, None) for _ in range(3))[1]
        whole = target.read_bytes()
        moments = Moments(0, took)
        for number in range(times):
            target.write_bytes(b"old")
            code, _ = run(asked, moments.draw())
            assert code in (0, -9)
            found = target.read_bytes()
            assert found == whole or (code == -9 and found == b"old"), number
            moments.saw(new=found == whole)
            tally["killed processes"] += 1
        assert run(asked, None)[0] == 0
    assert set(moments.ends) == {"new", "not yet"}, "the times are not well chosen"
    assert target.read_bytes() == whole
    assert sorted(path.name for path in folder.iterdir()) == ["b.tar", "wheels"]


def test_bundles_killed_at_random_are_old_or_new(play: Playground, tally: Counter[str], tmp_path: Path) -> None:
    kill_bundles(play, tally, tmp_path, QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_bundles_killed_at_random_are_old_or_new(play: Playground, tally: Counter[str], tmp_path: Path) -> None:
    kill_bundles(play, tally, tmp_path, MANY)


# ---- every system call -----------------------------------------------------------------------------------------------

CALLS = (
    "write", "rename", "renameat2", "symlink", "link", "unlink", "unlinkat", "mkdir", "rmdir", "fsync", "sync",
    "ftruncate", "flock", "fchmod", "chmod", "utimensat",
)  # fmt: skip


def strace(arguments: list[str], log: Path, home: Path, *, inject: str = "") -> int:
    """The program under strace; nothing is really synced. What it called goes to *log*."""
    options = ["-f", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}", "-e", "inject=fsync,sync:retval=0"]
    if inject:
        options += ["-e", f"inject={inject}"]
    env = environment(home, {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"})
    ran = subprocess.run(
        ["strace", *options, sys.executable, "-m", "pypimirror", *arguments],
        env=env, cwd=home, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return ran.returncode


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["linked", "plain"])
def test_a_kill_at_every_system_call_leaves_old_or_new(
    kind: str, play: Playground, quick_folder: Path, tally: Counter[str], tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    found = exhibit(CASES[f"render-second-{kind}"], quick_folder)
    world = play.laid_out(found.before)
    assert strace(command(world, "tree", plain=kind == "plain"), tmp_path / "log", tmp_path) == 0
    text = (tmp_path / "log").read_text(errors="replace")
    counted = Counter(re.findall(r"^(?:\d+ +)?([a-z0-9]+)\(", text, re.MULTILINE))
    assert counted["rename"] > 5
    assert counted["write"] > 10
    for call, count in counted.items():
        for number in range(1, count + 1):
            world = play.laid_out(found.before)
            inject = f"{call}:signal=KILL:when={number}"
            code = strace(command(world, "tree", plain=kind == "plain"), tmp_path / "log", tmp_path, inject=inject)
            torn = invariants(found, world, finished=code == 0) + run_again(found, world)
            assert code != 0 or call == "write", inject
            tally["killed system calls"] += 1
            tally["torn"] += len(torn)
            assert torn == [], inject
            play.clear(world)
