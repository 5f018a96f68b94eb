"""Every tool on one case, interleaved, several times over: so that whatever else the machine does hits all alike."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks import bed, jobs
from tests.benchmarks.measure import Figure, median, run
from tests.benchmarks.store import Store

__all__ = ["Result", "ceiling", "folder_in", "race", "record", "warmed"]

PATIENCE = 900.0
_SMALL, _LARGE = 3000, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Medians by tool, in one case; what the server was asked by each in its last run; the load average before."""

    case: str
    figures: Mapping[str, Figure]
    requests: Mapping[str, Mapping[str, int]]
    received: Mapping[str, Mapping[str, int]]
    missed: Mapping[str, int]
    rounds: int
    pip_rounds: int
    files: int
    size: int
    load: float


@contextmanager
def folder_in(store: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=store, prefix="run-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def once(tool: str, case: jobs.Case, store: Path) -> Figure:
    """One run of *tool*, in a new folder."""
    with folder_in(store) as folder:
        return run(
            jobs.commands_of(tool, case, folder),
            folder=folder,
            environ=jobs.environment(folder, case.program),
            patience=PATIENCE,
        )


def race(
    case: jobs.Case, tools: Sequence[str], *, rounds: int, pip_rounds: int, store: Path, server: bed.Bed
) -> Result:
    """*rounds* rounds of all *tools*, each round in another order; of pip, which is slow, *pip_rounds* at most."""
    figures: dict[str, list[Figure]] = {tool: [] for tool in tools}
    requests: dict[str, dict[str, int]] = {}
    received: dict[str, dict[str, int]] = {}
    missed = dict.fromkeys(tools, 0)
    load = os.getloadavg()[0]
    with folder_in(store) as warm:
        case = replace(
            case, warm=warm / "cache", files=bed.final_files(store, case) if not case.workload.plan_only else ()
        )
        warmed(case, warm)  # also lets the server read its pages, and Python compile its modules
        for number in range(rounds):
            turn = number % len(tools)
            for tool in [*tools[turn:], *tools[:turn]]:
                if tool == "pip" and number >= pip_rounds:
                    continue
                server.ask("reset")
                figures[tool].append(once(tool, case, store))
                counts = server.ask("counts")
                requests[tool], received[tool] = counts["requests"], counts["bytes"]
                missed[tool] += counts["requests"].get("miss", 0)
                sys.stderr.write(".")
                sys.stderr.flush()
    sys.stderr.write("\n")
    return Result(
        case=f"{bed.list_name(case)}-{case.face}",
        figures={tool: median(found) for tool, found in figures.items()},
        requests=requests,
        received=received,
        missed=missed,
        rounds=rounds,
        pip_rounds=min(rounds, pip_rounds),
        files=len(case.files),
        size=sum((store / "files" / name).stat().st_size for name in case.files),
        load=load,
    )


def warmed(case: jobs.Case, folder: Path) -> Path:
    """A cache of ours in *folder*, filled by a bundle or by a plan."""
    words = jobs.commands_of("warm plan" if case.workload.plan_only else "again", case, folder)
    run(words, folder=folder, environ=jobs.environment(folder, case.program), patience=PATIENCE)
    return folder / "cache"


def record(case: jobs.Case, store: Path, tools: Sequence[str]) -> None:
    """Let each tool ask for what it needs, of a server that fills the store; then freeze it."""
    with folder_in(store) as folder:
        words = jobs.commands_of("ours", case, folder)
        run(words, folder=folder, environ=jobs.environment(folder, case.program), patience=PATIENCE)
        if not case.workload.plan_only:
            bed.keep_list(store, case, folder)
            case = replace(case, files=bed.final_files(store, case))
    for tool in tools:
        figure = once(tool, case, store)
        sys.stderr.write(f"  {tool}: {figure.wall:.1f} s\n")
    Store(store).freeze()


def ceiling(store: Path) -> tuple[float, float]:
    """How many small requests, and how many MB, the server and curl manage a second: neither may bound a race."""
    small = min((store / "metadata").iterdir(), key=lambda path: path.stat().st_size).name
    large = max((store / "files").iterdir(), key=lambda path: path.stat().st_size)
    curl = jobs.found_tools(None, None).curl
    found = []
    with bed.opened(store, latency=0, rate=0) as server, folder_in(store) as folder:
        for name, count in ((f"{small}.metadata", _SMALL), (large.name, _LARGE)):
            line = f'url = "{server.address}/json/packages/{name}"\noutput = "{os.devnull}"\n'
            (folder / "curl.txt").write_text(line * count, encoding="utf-8")
            words = [curl, "-sS", "--fail", "--parallel", "--parallel-max", "16", "-K", "curl.txt"]
            figure = run([words], folder=folder, environ=jobs.environment(folder), patience=60)
            found.append(count / figure.wall)
    return found[0], found[1] * large.stat().st_size / 1e6
