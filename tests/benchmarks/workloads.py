"""What is asked for, and for which targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ONE", "SIX", "WORKLOADS", "Target", "Workload", "targets_named"]

_EXAMPLES = Path(__file__).parent.parent.parent / "requirements-examples"
_INPUTS = Path(__file__).parent / "inputs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """``file`` holds the requirements. With ``plan_only`` nothing is downloaded."""

    name: str
    title: str
    file: Path
    plan_only: bool = False


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(name="W1", title="Kubespray", file=_EXAMPLES / "kubespray.txt"),
        Workload(name="W2", title="Data science", file=_EXAMPLES / "data-science.txt"),
        Workload(name="W3", title="Airflow", file=_INPUTS / "airflow.txt", plan_only=True),
        Workload(name="W4", title="Web services", file=_INPUTS / "web-services.txt"),
        Workload(name="W5", title="Hundred roots", file=_INPUTS / "hundred.txt"),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """CPython ``3.<minor>`` on a Linux with glibc 2.28."""

    minor: int
    machine: str

    def ours(self) -> tuple[str, str]:
        """A Python, and a platform."""
        return f"3.{self.minor}", f"manylinux_2_28_{self.machine}"

    def uv(self) -> list[str]:
        return [f"--python-version=3.{self.minor}", f"--python-platform={self.machine}-manylinux_2_28"]

    def pip(self) -> list[str]:
        """pip takes tags as they are: every floor up to 2.28 must be named."""
        named = [f"manylinux_2_{floor}_{self.machine}" for floor in range(28, 4, -1)]
        named += [f"{old}_{self.machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
        platforms = [word for name in named for word in ("--platform", name)]
        return ["--implementation=cp", f"--python-version=3.{self.minor}", "--only-binary=:all:", *platforms]


ONE = (Target(minor=12, machine="x86_64"),)
SIX = tuple(Target(minor=minor, machine=machine) for minor in (10, 11, 12) for machine in ("x86_64", "aarch64"))


def targets_named(name: str) -> tuple[Target, ...]:
    """``one`` or ``six``."""
    return {"one": ONE, "six": SIX}[name]
