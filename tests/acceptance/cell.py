"""One client on one way, in a process and a network of its own: ``python -m tests.acceptance.cell JSON``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.acceptance.alone import POISON, enter
from tests.acceptance.clients import CLIENTS, Job, Refused
from tests.acceptance.ways import WAYS
from tests.worlds import ROOT, environment

__all__ = ["Asked", "Cell", "run_cell"]

_SECONDS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A cell of the table. *python* is that of the client's environment, *work* a folder that is not there yet."""

    client: str
    way: str
    python: str
    tree: str
    work: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What came out: the versions chosen, by normalised name, and the server's log, a line for each answer.

    *error* is what a client said that failed, else empty. *alone* is whether nothing but the tree could be reached,
    *broken* that the run itself came to no end: then *error* says how.
    """

    versions: dict[str, str]
    lines: list[str]
    error: str
    alone: bool
    seconds: float
    broken: bool = False


def run_cell(asked: Asked) -> Cell:
    """Run it as a child process."""
    Path(asked.work).mkdir(parents=True)
    command = [sys.executable, "-m", "tests.acceptance.cell", json.dumps(asdict(asked))]
    env = {**environment(Path(asked.work)), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=_SECONDS
    )  # fmt: skip
    if done.returncode != 0:
        return Cell(versions={}, lines=[], error=done.stderr, alone=True, seconds=0.0, broken=True)
    return Cell(**json.loads(done.stdout))


def _inside(asked: Asked) -> Cell:
    alone = enter()
    way, work, began = WAYS[asked.way], Path(asked.work), time.monotonic()
    (work / "site").mkdir()
    versions, error = dict[str, str](), ""
    with way.open(Path(asked.tree), work / "site") as site:
        job = Job(
            client=asked.client,
            python=Path(asked.python),
            url=site.url,
            links=way.links,
            work=work,
            env={} if alone else POISON,
        )
        try:
            versions = CLIENTS[asked.client](job)
        except Refused as refused:
            error = str(refused)
    lines = list(site.lines())  # now that the server has ended, its last line is written, too
    return Cell(versions=versions, lines=lines, error=error, alone=alone, seconds=time.monotonic() - began)


if __name__ == "__main__":
    json.dump(asdict(_inside(Asked(**json.loads(sys.argv[1])))), sys.stdout)
