"""Which races make up the whole picture: RESULTS.md and results.svg come from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.store import Face

__all__ = ["SUITE", "Heat", "Results", "Wanted", "needed"]

_JOB = ("ours", "uv + curl", "pip", "floor", "floor + sha256")
_DOWNLOADED = ("W1", "W2", "W4", "W5")


Wanted = tuple[str, str, Face]
"""A workload, its targets (``one``, ``six``), a face of the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heat:
    """The *tools* side by side, over the same *targets* and *face*, for each of the *workloads*."""

    name: str
    workloads: tuple[str, ...]
    targets: str
    tools: tuple[str, ...]
    face: Face = "json"


SUITE = (
    Heat(name="cold", workloads=_DOWNLOADED, targets="one", tools=_JOB),
    Heat(name="six", workloads=_DOWNLOADED, targets="six", tools=_JOB),
    Heat(name="html", workloads=("W1", "W2", "W4"), targets="one", tools=_JOB, face="html"),
    Heat(name="resolving", workloads=(*_DOWNLOADED, "W3"), targets="one", tools=("plan", "uv", "warm plan")),
    Heat(name="airflow", workloads=("W3",), targets="one", tools=("plan", "uv", "pip")),
    Heat(name="again", workloads=_DOWNLOADED, targets="one", tools=("again", "copy")),
    Heat(name="start", workloads=("W1",), targets="one", tools=("python", "--help")),
)


def needed() -> list[Wanted]:
    """Each workload with its targets and its face that some heat wants recorded."""
    return list(dict.fromkeys((name, heat.targets, heat.face) for heat in SUITE for name in heat.workloads))


class Results:
    """What was measured so far, in a file of the store: a suite that was interrupted can go on where it stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, dict[str, object]]] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, heat: str, workload: str, result: object) -> None:
        self.found.setdefault(heat, {})[workload] = asdict(result)  # type: ignore[call-overload]  # each result is an instance of one
        self.path.write_text(json.dumps(self.found, indent=1))
