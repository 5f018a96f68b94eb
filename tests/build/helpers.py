"""Sdists whose backend is a few lines of the test's own, and builders with small limits."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pypimirror.build.builder import Builder
from pypimirror.build.limits import Limits
from pypimirror.build.sandbox import Sandbox
from pypimirror.build.source import Source
from pypimirror.model.names import parse_file_name
from tests.fakes.archives import IN_TREE_BUILD, make_sdist, make_wheel

__all__ = ["MIB", "SANDBOX", "SMALL", "builder", "needs_sandbox", "sdist", "sdist_with"]

MIB = 1024 * 1024
SANDBOX = Sandbox()
SMALL = Limits(
    seconds=20,
    cpu_seconds=20,
    memory=256 * MIB,
    file=64 * MIB,
    disk=64 * MIB,
    files=2000,
    processes=64,
    open_files=256,
    output=16 * MIB,
    unpacked=64 * MIB,
    members=1000,
)

_REFUSAL = SANDBOX.probe()
needs_sandbox = pytest.mark.skipif(_REFUSAL is not None, reason=f"no sandbox here: {_REFUSAL}")

_GOOD = """
import shutil, pathlib

def good_wheel(folder, name="{filename}"):
    shutil.copy(pathlib.Path("prebuilt") / "{filename}", pathlib.Path(folder) / name)
    return name

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return good_wheel(wheel_directory)
"""


def builder(folder: Path, *, sandbox: Sandbox | None = SANDBOX, limits: Limits = SMALL) -> Builder:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return Builder(sandbox=sandbox, limits=limits, folder=work)


def sdist(folder: Path, name: str, data: bytes) -> Source:
    path = folder / name
    path.write_bytes(data)
    return Source.of_sdist(path, parse_file_name(name))


def sdist_with(folder: Path, backend: str = "", *, pyproject: str = IN_TREE_BUILD, name: str = "evil") -> Source:
    """The sdist ``evil-1.0.tar.gz``; *backend* are lines after those of a good one, and can redefine its hooks."""
    wheel, contents = make_wheel(name, "1.0", requires_dist=["idna>=2"])
    code = _GOOD.replace("{filename}", wheel) + textwrap.dedent(backend)
    filename, data = make_sdist(
        name,
        "1.0",
        metadata_version="2.1",
        pyproject=pyproject + "# ours\n",
        files={"backend.py": code, f"prebuilt/{wheel}": contents},
    )
    return sdist(folder, filename, data)
