"""Race over trees: ``python -m tests.benchmarks.trees --files 10000 -n 3``. Writes TREES.md and trees.svg."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Broken, Figure, median
from tests.benchmarks.store import default_store
from tests.benchmarks.trees import report
from tests.benchmarks.trees.jobs import FLOORS, OURS, PEERS, Race, Seen, seen_in
from tests.benchmarks.trees.making import material

_ROOT = Path(__file__).parents[3]
_SIZES = (1_000, 10_000, 100_000)
_MANY = 100_000


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trees", description=__doc__)
    parser.add_argument("--files", type=int, action="append", help="repeat; 1000, 10000 and 100000 by default")
    parser.add_argument("-n", "--rounds", type=int, default=3)
    parser.add_argument("--many-rounds", type=int, default=1, help="rounds of peers at 100,000 files")
    known = ", ".join([*OURS, *FLOORS, *PEERS])
    parser.add_argument("--tool", action="append", help=f"repeat; all by default: {known}")
    parser.add_argument("--store", type=Path, default=default_store(), help="where wheels, bundles and peers lie")
    parser.add_argument("--work", type=Path, help="where trees are made; a temporary folder by default")
    parser.add_argument("--program", type=Path, default=_ROOT, help="the folder in which our package lies")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where TREES.md and trees.svg go")
    parser.add_argument("--resume", action="store_true", help="keep what earlier runs found of other sizes")
    parser.add_argument("--make", action="store_true", help="make wheels and bundles, and race nothing")
    return parser


def _race(said: argparse.Namespace, files: int, work: Path) -> dict[str, Any]:
    wanted = said.tool or [*OURS, *FLOORS, *PEERS]
    race = Race(
        material=material(said.store, files), work=work, program=said.program.resolve(), peers=said.store / "peers"
    )
    figures: dict[str, list[Figure]] = {}
    seen: dict[str, Seen] = {}
    loads = [os.getloadavg()[0]]
    for number in range(said.rounds):
        for name, figure, made in _round(race, wanted, peers=files < _MANY or number < said.many_rounds):
            figures.setdefault(name, []).append(figure)
            if made is not None:
                seen[name] = made
            loads.append(os.getloadavg()[0])
            sys.stderr.write(f"{files} {name:28} {figure.wall:8.2f} s wall {figure.cpu:7.2f} s CPU")
            sys.stderr.write(f" {figure.memory / 1e6:6.0f} MB\n")
    return {
        "files": files,
        "medium": _file_system(work),
        "rounds": {name: len(each) for name, each in figures.items()},
        "load": [min(loads), max(loads)],
        "figures": {name: asdict(median(each)) for name, each in figures.items()},
        "seen": {name: {**asdict(each), "inodes": each.inodes} for name, each in seen.items()},
    }


def _file_system(folder: Path) -> str:
    """What kind of file system *folder* is on, where the system tells."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    found = [line.split()[1:3] for line in mounts.read_text(encoding="utf-8").splitlines()]
    above = [(len(place), kind) for place, kind in found if folder.resolve().is_relative_to(place)]
    return max(above, default=(0, ""))[1]


def _round(race: Race, wanted: Sequence[str], *, peers: bool) -> Iterator[tuple[str, Figure, Seen | None]]:
    """Everything once. What breaks is said, and is left out."""
    for name, figure in race.ours(wanted):
        yield name, figure, seen_in(race.tree) if name == "first render" else None
    shutil.rmtree(race.tree)
    for name in FLOORS:
        if name in wanted:
            yield name, race.floor(name), None
    for name in PEERS if peers else ():
        if name in wanted:
            try:
                figure, made = race.peer(name)
            except Broken as error:
                sys.stderr.write(f"{name}: {error}\n")
            else:
                yield name, figure, made


def main(words: Sequence[str] | None = None) -> None:
    said = _arguments().parse_args(words)
    sizes = said.files or _SIZES
    if said.make:
        for files in sizes:
            material(said.store, files)
        return
    kept = said.store / "trees" / "results.json"
    found = json.loads(kept.read_text()) if said.resume and kept.exists() else {}
    for files in sizes:
        with tempfile.TemporaryDirectory(dir=said.work, prefix="trees-") as work:
            result = _race(said, files, Path(work))
        if files in map(int, found) and said.tool:
            old = found[str(files)]
            result = {**result, **{key: {**old[key], **result[key]} for key in ("rounds", "figures", "seen")}}
        found[str(files)] = result
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1))
    facts = {"cpus": os.cpu_count(), "python": platform.python_version()}
    (said.out / "TREES.md").write_text(report.markdown(found, facts), encoding="utf-8")
    (said.out / "trees.svg").write_text(report.svg(found), encoding="utf-8")


if __name__ == "__main__":
    main()
