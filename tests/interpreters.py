"""The Pythons of this machine, found in the places where people keep them: on PATH, and under pyenv."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import packaging
import pytest

__all__ = ["MINORS", "find_interpreter", "interpreter", "packaging_folder"]

MINORS = range(8, 16)


def interpreter(minor: int) -> str:
    """A CPython 3.<minor> that runs. Skips the test where there is none."""
    found = find_interpreter(minor)
    if found is None:
        pytest.skip(f"no Python 3.{minor} here")
    return found


def packaging_folder() -> str:
    """Where packaging is installed for these tests; it is pure Python, so others may import it from there."""
    return str(Path(packaging.__file__).parent.parent)


@cache
def find_interpreter(minor: int) -> str | None:
    """A CPython 3.<minor> that runs, None where there is none. The one that runs this comes first."""
    if sys.version_info.minor == minor:
        return sys.executable
    places = [*sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")), shutil.which(f"python3.{minor}")]
    return next((str(place) for place in places if place is not None and _runs(str(place), minor)), None)


def _runs(command: str, minor: int) -> bool:
    """Whether it starts and is what its name says: pyenv's shims exist for versions that are switched off, too."""
    script = "import sys; print(sys.implementation.name, sys.version_info[1])"
    try:
        done = subprocess.run([command, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return False
    return done.stdout.split() == ["cpython", str(minor)]
