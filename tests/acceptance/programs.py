"""The clients: each in an environment of its own, installed once, from the index that this machine's pip is set up for.

They live in a cache folder (``PYPIMIRROR_CLIENTS``, else the user's), never in the repository. What says ``newest``
stays what it was until ``--refresh``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.interpreters import find_interpreter

__all__ = ["PROGRAMS", "Program", "cache_folder", "find", "install"]

_SECONDS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What is installed under a name. *minors* are the Pythons 3.x that it runs on, the preferred one first."""

    requirement: str
    minors: tuple[int, ...] = ()
    """Empty for the Python that runs this."""


_OWN = sys.version_info.minor

PROGRAMS: Mapping[str, Program] = MappingProxyType({
    "pip 19.3": Program(requirement="pip==19.3.1", minors=(8, 7, 9)),
    "pip 22.3": Program(requirement="pip==22.3.1", minors=(9, 10, 8, 11)),
    "pip 23.2": Program(requirement="pip==23.2.1", minors=(11, 10, 12)),
    "pip 25.0": Program(requirement="pip==25.0.1", minors=(13, 12, 11)),
    "pip": Program(requirement="pip"),
    "uv 0.4": Program(requirement="uv==0.4.30"),
    "uv": Program(requirement="uv"),
    "poetry": Program(requirement="poetry"),
    "pdm": Program(requirement="pdm[locked]"),
    "hatch": Program(requirement="hatch"),
    "pipx": Program(requirement="pipx"),
    "pip-tools": Program(requirement="pip-tools"),
    "build": Program(requirement="build"),
})  # fmt: skip
"""By the names of the table's rows; without a number, the newest."""


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("PYPIMIRROR_CLIENTS") or f"{base}/pypimirror-clients")


def find(name: str) -> Path | None:
    """The Python of the environment in which it is installed; None where it is not."""
    folder = _folder(name)
    python = folder / "bin" / "python"
    return python if (folder / "complete").exists() and python.exists() else None


def install(name: str, *, refresh: bool = False) -> Path:
    """Install it, unless it is there. Raises RuntimeError or OSError, saying why it can't be."""
    with _locked(_folder(name)):
        return _install(name, refresh=refresh)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """For one process at a time: two runs of the gate may share the cache."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(name: str, *, refresh: bool) -> Path:
    folder = _folder(name)
    newest = "==" not in PROGRAMS[name].requirement
    if (python := find(name)) is not None and not (refresh and newest):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    base = _base(name)
    python = folder / "bin" / "python"
    _run(base, "-m", "venv", str(folder))
    _run(str(python), "-m", "pip", "install", "--quiet", "--upgrade", PROGRAMS[name].requirement)
    if name == "pipx":  # it makes an environment for all to share when it is first used: here, while there is an index
        _run(str(python), "-m", "pipx", "upgrade-shared", PIPX_HOME=str(folder / "home"))
    (folder / "complete").touch()
    return python


def _folder(name: str) -> Path:
    return cache_folder() / f"{name.replace(' ', '-')}-{sys.implementation.cache_tag}"


def _base(name: str) -> str:
    """The Python to make its environment from."""
    for minor in PROGRAMS[name].minors or (_OWN,):
        if (found := find_interpreter(minor)) is not None:
            return found
    raise RuntimeError(f"{name} runs on none of the Pythons that are here")


def _run(*command: str, **changes: str) -> None:
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, env={**os.environ, **quiet, **changes}, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
