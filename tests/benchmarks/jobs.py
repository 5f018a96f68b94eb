"""The commands of each tool, for one workload on some targets. Each run has a folder of its own, with empty caches.

What is compared, and what is in each tool's favour:

- ``uv + curl``: one ``uv pip compile`` a target, sharing a cache that is empty at first, then one ``curl --parallel``
  of the union of the files. uv does not tell addresses; curl is given those of the final files, at no cost.
- ``pip``: one ``pip download`` a target, sharing a cache that is empty at first. Where nothing is to be downloaded,
  one ``pip install --dry-run`` a target.
- ``floor``: ``curl --parallel`` of the final files, known beforehand; ``floor + sha256``: and ``sha256sum`` of them.
- ``again``: our bundle once more with a cache that holds everything; ``copy``: ``cp`` of that bundle.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.store import Face
from tests.benchmarks.workloads import Target, Workload

__all__ = ["Case", "Tools", "commands_of", "environment"]

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The Python that has the newest pip, the uv, the curl."""

    pip: str
    uv: str
    curl: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One workload on some targets, asked of one face of the server at ``address``.

    ``warm`` is a cache of ours that was filled; ``program`` the folder in which our package lies.
    """

    workload: Workload
    targets: tuple[Target, ...]
    face: Face
    address: str
    tools: Tools
    files: tuple[str, ...] = ()
    warm: Path | None = None
    program: Path = ROOT

    @property
    def index(self) -> str:
        return f"{self.address}/{self.face}/simple/"


def environment(home: Path, program: Path = ROOT) -> dict[str, str]:
    """Nothing of this host's settings counts. *program* is the folder in which our own package lies."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(home),
        "PYTHONPATH": str(program),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "NO_PROXY": "*",
    }


def commands_of(tool: str, case: Case, folder: Path) -> list[list[str]]:
    """What *tool* runs, in the empty *folder*."""
    cold, warm = folder / "cache", case.warm or folder / "cache"
    found: dict[str, Callable[[], list[list[str]]]] = {
        "ours": lambda: [_ours(case, "plan" if case.workload.plan_only else "bundle", cold)],
        "plan": lambda: [_ours(case, "plan", cold)],
        "warm plan": lambda: [_ours(case, "plan", warm)],
        "again": lambda: [_ours(case, "bundle", warm)],
        "copy": lambda: [["cp", str(warm.parent / "bundle.tar"), "copy.tar"]],
        "pip": lambda: [_pip(case, target, folder) for target in case.targets],
        "uv": lambda: [_uv(case, target, number, folder) for number, target in enumerate(case.targets)],
        "floor": lambda: [_curl(case, folder)],
        "sha256": lambda: [["sha256sum", *(f"files/{name}" for name in case.files)]],
        "--help": lambda: [[sys.executable, "-m", "pypimirror", "--help"]],
        "python": lambda: [[sys.executable, "-c", "pass"]],
    }
    words = {"uv + curl": ("uv", "floor"), "floor + sha256": ("floor", "sha256")}.get(tool, (tool,))
    return [command for word in words for command in found[word]()]


def _ours(case: Case, command: str, cache: Path) -> list[str]:
    words = [sys.executable, "-m", "pypimirror", command, "-q", "--isolated", "-i", case.index, "-r"]
    words += [str(case.workload.file), "--cache-dir", str(cache)]
    # Every combination of the Pythons and the platforms is a target: the six are one.
    pythons = dict.fromkeys(target.ours()[0] for target in case.targets)
    platforms = dict.fromkeys(target.ours()[1] for target in case.targets)
    words += [word for each in pythons for word in ("--python", each)]
    words += [word for each in platforms for word in ("--platform", each)]
    return [*words, "-o", "bundle.tar"] if command == "bundle" else words


def _pip(case: Case, target: Target, folder: Path) -> list[str]:
    words = [
        case.tools.pip,
        "-I",
        "-m",
        "pip",
        "--isolated",
        "--no-input",
        "--quiet",
        "--disable-pip-version-check",
        "--cache-dir",
        str(folder / "cache"),
    ]
    job = (
        ["install", "--dry-run", "--ignore-installed", "--target=x"]
        if case.workload.plan_only
        else ["download", "-d", "files"]
    )
    return [*words, *job, *target.pip(), "--index-url", case.index, "-r", str(case.workload.file)]


def _uv(case: Case, target: Target, number: int, folder: Path) -> list[str]:
    words = [
        case.tools.uv,
        "pip",
        "compile",
        "--no-config",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--only-binary=:all:",
    ]
    words += ["--cache-dir", str(folder / "cache"), "--default-index", case.index, "--python", sys.executable]
    return [*words, *target.uv(), "-o", f"pins-{number}.txt", str(case.workload.file)]


def _curl(case: Case, folder: Path) -> list[str]:
    lines: Sequence[str] = [
        f'url = "{case.address}/{case.face}/packages/{name}"\noutput = "files/{name}"\n' for name in case.files
    ]
    (folder / "curl.txt").write_text("".join(lines), encoding="utf-8")
    return [case.tools.curl, "-sS", "--fail", "--create-dirs", "--parallel", "--parallel-max", "16", "-K", "curl.txt"]


def found_tools(pip: str | None, uv: str | None) -> Tools:
    beside = Path(sys.executable).with_name("uv")
    uv = uv or (str(beside) if beside.exists() else shutil.which("uv"))
    curl = shutil.which("curl")
    if uv is None or curl is None:
        raise SystemExit("the races need uv and curl: install them, or name uv with --uv")
    return Tools(pip=pip or sys.executable, uv=uv, curl=curl)
