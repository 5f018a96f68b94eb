"""What is raced: our commands one after the other on one tree, the other makers of indexes, the floor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Figure, run
from tests.benchmarks.trees.making import Material
from tests.benchmarks.trees.wheels import make_wheel

__all__ = ["FLOORS", "OURS", "PEERS", "Race", "Seen", "seen_in"]

_PATIENCE = 3600.0
_SCRIPTS = Path(__file__).parent
_OWN_NUMBER = 90_000  # of a project that no bundle has

OURS = {
    "first render": ["render", "BUNDLE", "TREE"],
    "render of 10 new files": ["render", "FOLLOWING", "TREE"],
    "add of 10 files": ["add", "TREE", "OWN"],
    "status": ["status", "TREE"],
    "show": ["show", "TREE"],
    "verify --quick": ["verify", "--quick", "TREE"],
    "verify": ["verify", "TREE"],
}
"""Our commands, in their order; a word in capitals is a path."""

PEERS: Mapping[str, tuple[str, str]] = {
    "dumb-pypi, fewer pages": ("dumb-pypi", "1.15.0"),
    "dumb-pypi": ("dumb-pypi", "1.15.0"),
    "simple-repository-generator": ("simple-repository-generator", "0.2.1"),
    "bandersnatch's page writer": ("bandersnatch", "8.2.0"),
    "dir2pi": ("pip2pi", "0.8.2"),
    "pypi-mirror create": ("python-pypi-mirror", "5.2.1"),
    "simple503": ("simple503", "0.4.0"),
}
"""The package and the version of each."""

FLOORS = {"floor": ["--sync"], "floor without sync": [], "floor + sha256": ["--sync", "--hash"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What lies in a folder. ``size`` is in bytes, of the files."""

    files: int
    links: int
    folders: int
    size: int

    @property
    def inodes(self) -> int:
        return self.files + self.links + self.folders


def seen_in(folder: Path) -> Seen:
    files = links = folders = size = 0
    waiting = [str(folder)]
    while waiting:
        folders += 1
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    links += 1
                elif entry.is_dir():
                    waiting.append(entry.path)
                else:
                    files += 1
                    size += entry.stat().st_size
    return Seen(files=files, links=links, folders=folders, size=size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """One race over *material*. ``work`` is an empty folder, ``program`` the one our package lies in."""

    material: Material
    work: Path
    program: Path
    peers: Path

    @property
    def tree(self) -> Path:
        return self.work / "tree"

    @property
    def plan(self) -> Path:
        return self.work / "plan.json"

    def ours(self, wanted: Sequence[str]) -> Iterator[tuple[str, Figure]]:
        """Our commands, on a new tree, which stays. What the first render made is written to ``plan``."""
        shutil.rmtree(self.tree, ignore_errors=True)
        for name, words in OURS.items():
            if name != "first render" and name not in wanted:
                continue
            command = [sys.executable, "-m", "pypimirror", words[0], "--quiet"]
            for word in words[1:]:
                command += self._paths(word)
            yield name, self._run(command)
            if name == "first render" and not self.plan.exists():
                survey = [sys.executable, str(_SCRIPTS / "floor.py"), "survey", str(self.tree), str(self.plan)]
                subprocess.run(survey, check=True)

    def _paths(self, word: str) -> list[str]:
        if word == "OWN":
            return [str(path) for path in self._own()]
        known = {"BUNDLE": self.material.bundle, "FOLLOWING": self.material.following, "TREE": self.tree}
        return [str(known.get(word, word))]

    def _own(self) -> Iterator[Path]:
        """Ten wheels that only this tree has."""
        folder = self.work / "own"
        folder.mkdir(exist_ok=True)
        for number in range(10):
            wheel = make_wheel(_OWN_NUMBER + number, 0, alone=True)
            (folder / wheel.filename).write_bytes(wheel.data)
            yield folder / wheel.filename

    def floor(self, name: str) -> Figure:
        """As many files, links, folders and bytes as our first render made."""
        target = self.work / "floor"
        script = [sys.executable, "-I", "-S", str(_SCRIPTS / "floor.py")]
        try:
            return self._run([*script, "write", str(self.plan), str(self.material.bundle), str(target), *FLOORS[name]])
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def peer(self, name: str) -> tuple[Figure, Seen]:
        """Another maker of indexes, over the same wheels, into a new folder."""
        out = self.work / "out"
        out.mkdir()
        made = out
        package, version = PEERS[name]
        bins = _environment(self.peers / package, package, version)
        wheels, listing = str(self.material.wheels), str(self.material.listing)
        if package == "dumb-pypi":
            command = [str(bins / "dumb-pypi"), "--package-list-json", listing, "--packages-url", "../../packages"]
            command += ["--output-dir", str(out), *(["--no-per-release-json"] if name != package else [])]
        elif package == "simple-repository-generator":
            command = [str(bins / package), "--output", str(out), wheels]
        elif package == "bandersnatch":
            command = [str(bins / "python"), str(_SCRIPTS / "bandersnatch_pages.py"), listing, str(out)]
        elif package == "pip2pi":  # beside the wheels is the only place that it knows
            made = self.material.wheels / "simple"
            command = [str(bins / "dir2pi"), wheels]
        elif package == "python-pypi-mirror":
            command = [str(bins / "pypi-mirror"), "create", "-d", wheels, "-m", str(out)]
        else:
            command = [str(bins / "simple503"), "--copy", wheels, str(out)]
        try:
            figure = self._run(command)
            return figure, seen_in(made)
        finally:
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(made, ignore_errors=True)

    def _run(self, command: Sequence[str]) -> Figure:
        """What others left for the disk to do is done before, not meanwhile."""
        os.sync()
        environ = {name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        environ |= {"PYTHONPATH": str(self.program), "PIP_CONFIG_FILE": os.devnull, "LC_ALL": "C.UTF-8"}
        return run([command], folder=self.work, environ=environ, patience=_PATIENCE)


def _environment(folder: Path, package: str, version: str) -> Path:
    """The folder of the programs of a peer, installed on first use with this machine's pip."""
    bins = folder / ("Scripts" if os.name == "nt" else "bin")
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = [f"{package}=={version}", "setuptools<81"]  # newer ones lack pkg_resources, which dir2pi imports
        subprocess.run([str(bins / "python"), "-m", "pip", "install", "-q", *wanted], check=True)
        (folder / "installed").touch()
    return bins
