"""A child process: how long it took, how much CPU it and its children used, how much memory at its peak."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Broken", "Figure", "median", "run"]

_LAUNCHER = """
import os, sys, time
begun = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - begun
unit = 1 if sys.platform == "darwin" else 1024
figures = (os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)
os.write(3, repr(list(figures)).encode())
"""
# Linux hands the peak of the one who starts a process on to it: a bare Python has 10 MB, this one many more.


class Broken(RuntimeError):
    """A command failed: its figures would mean nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """Seconds of wall time, seconds of CPU (user and system, children included), bytes of memory at the peak.

    Memory is that of the largest process, and 10 MB at least: that much has the one that starts it.
    """

    wall: float
    cpu: float
    memory: int


def run(commands: Sequence[Sequence[str]], *, folder: Path, environ: Mapping[str, str], patience: float) -> Figure:
    """The commands one after the other. Raises Broken where one fails, or takes longer than *patience* seconds."""
    found = [_one(command, folder, environ, patience) for command in commands]
    return Figure(
        wall=sum(figure.wall for figure in found),
        cpu=sum(figure.cpu for figure in found),
        memory=max(figure.memory for figure in found),
    )


def _one(command: Sequence[str], folder: Path, environ: Mapping[str, str], patience: float) -> Figure:
    said, told = folder / "output.txt", folder / "figures.txt"
    shell = ["sh", "-c", 'exec "$@" 3>"$0"', str(told)]
    launch = [*shell, sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    with (
        said.open("ab") as output,
        subprocess.Popen(
            launch, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        ) as child,
    ):  # fmt: skip
        try:
            broken = child.wait(patience)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Broken(f"{' '.join(command)[:300]} took longer than {patience:.0f} s\n{_end(said)}") from None
            raise
    if broken:
        raise Broken(f"{command[0]} could not be started:\n{_end(said)}")
    code, wall, cpu, memory = json.loads(told.read_text())
    if code:
        raise Broken(f"{' '.join(command)[:300]} ended with {code}:\n{_end(said)}")
    return Figure(wall=wall, cpu=cpu, memory=memory)


def _end(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-3000:]


def median(figures: Sequence[Figure]) -> Figure:
    """Each measure's median by itself."""
    return Figure(
        wall=statistics.median(figure.wall for figure in figures),
        cpu=statistics.median(figure.cpu for figure in figures),
        memory=int(statistics.median(figure.memory for figure in figures)),
    )
