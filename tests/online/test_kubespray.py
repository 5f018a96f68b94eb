"""The acceptance run: Kubespray's wish list, for machines that are not this one, across the gap, installed at the end.

The bundling asks the index of this machine's pip, as a person's would. All behind it has nothing but one folder behind
``python -m http.server``: every proxy that a client could use to go elsewhere is a closed port, and the server's log
shows that whatever was asked for was there.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.interpreters import interpreter
from tests.worlds import ROOT, Installer, Program, environment

pytestmark = [pytest.mark.online, pytest.mark.timeout(1200)]

WISHES = ROOT / "requirements-examples" / "kubespray.txt"
DEAD = "http://127.0.0.1:9"
"""A port where nobody listens."""
NOWHERE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), DEAD),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
}
RHEL9_GLIBC = (2, 34)
ANSWERED = re.compile(r'"(?:GET|HEAD) (?P<path>\S+) HTTP/1\.[01]" (?P<status>\d{3})')
LISTENING = re.compile(r"port (\d+)")


@dataclass(frozen=True)
class Carried:
    """What one run of ``bundle`` and ``render`` left: the tree, and the folder that ``tar xf`` alone makes."""

    tree: Path
    unpacked: Path

    def pins(self, target: str, patch: int) -> dict[str, str]:
        """Project and version, as the manifest has them for one patch release of a target."""
        manifest = json.loads((self.unpacked / "manifest.json").read_text("utf-8"))
        (pins,) = [
            each["pins"]
            for each in manifest["resolutions"]
            if each["target"] == target
            and each["patches"]["lowest"] <= patch
            and (each["patches"]["highest"] is None or patch <= each["patches"]["highest"])
        ]
        return {pin["project"]: pin["version"] for pin in pins}


@dataclass(frozen=True)
class Served:
    """A folder behind ``python -m http.server``, and what it was asked for."""

    address: str
    log: Path

    @property
    def index(self) -> str:
        return f"{self.address}/simple/"

    def answers(self) -> list[tuple[str, int]]:
        return [(found["path"], int(found["status"])) for found in ANSWERED.finditer(self.log.read_text())]

    def all_was_there(self) -> bool:
        answers = self.answers()
        return bool(answers) and {status for _, status in answers} <= {200, 206, 304, 301}


def carry(folder: Path, *wishes: str) -> Carried:
    """Bundle with this machine's own settings, then render, and unpack with tar beside."""
    program = Program(folder)
    ran = subprocess.run(
        program.command("bundle", *wishes, "--cache-dir", str(folder / "cache"), "-o", "kubespray.tar"),
        cwd=program.work, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    rendered = program("render", "kubespray.tar", "tree", env=NOWHERE)
    assert rendered.code == 0, rendered.err
    subprocess.run(["tar", "xf", "kubespray.tar"], cwd=program.work, check=True, timeout=120)
    (unpacked,) = program.work.glob("default-*")
    return Carried(tree=program.work / "tree", unpacked=unpacked)


@contextmanager
def served(folder: Path, log: Path) -> Iterator[Served]:
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(log.parent)) as run,
    ):
        try:
            assert run.stdout is not None
            said = LISTENING.search(run.stdout.readline())
            assert said is not None, log.read_text()
            yield Served(address=f"http://127.0.0.1:{said[1]}", log=log)
        finally:
            run.terminate()


class Closed(Installer):
    """An installer that reaches nothing but this machine."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        super().__init__(folder, python)
        self._env.update(NOWHERE)


def installs_linux_wheels_of_rhel9() -> bool:
    libc, version = platform.libc_ver()
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    return libc == "glibc" and found >= RHEL9_GLIBC and platform.machine() == "x86_64"


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Closed:
    """An environment for dry runs: nothing is ever installed into it."""
    return Closed(tmp_path_factory.mktemp("idle") / "venv")


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Carried:
    return carry(
        tmp_path_factory.mktemp("kubespray"), "-r", str(WISHES), "--python", "3.11", "--python", "3.12",
        "--platform", "rhel9-x86_64", "--platform", "manylinux_2_28_aarch64",
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Carried:
    """What pip on Linux forgets of other machines. Up to 8.4 click wants colorama on Windows."""
    return carry(
        tmp_path_factory.mktemp("small"), "click<8.5", "redis", "--python", "3.11",
        "--platform", "rhel9-x86_64", "--platform", "win_amd64",
    )  # fmt: skip


def by_pip(installer: Closed, index: str) -> None:
    installer.pip("install", "-q", "--no-compile", "--index-url", index, "-r", str(WISHES))


def by_uv(installer: Closed, index: str) -> None:
    installer.uv("pip", "install", "-q", "--default-index", index, "-r", str(WISHES))


@pytest.mark.skipif(not installs_linux_wheels_of_rhel9(), reason="the wheels are for Linux on x86_64 with glibc 2.34")
@pytest.mark.parametrize("minor", [11, 12])
@pytest.mark.parametrize("place", ["tree", "unpacked"])
@pytest.mark.parametrize("install", [by_pip, by_uv])
def test_kubespray_installs_from_the_closed_side_alone(
    carried: Carried, tmp_path: Path, install: Callable[[Closed, str], None], place: str, minor: int
) -> None:
    python = interpreter(minor)
    asked = "import sys; print(sys.version_info[2])"
    patch = int(subprocess.check_output([python, "-c", asked], text=True, timeout=30))
    installer = Closed(tmp_path / "venv", python)
    with served(getattr(carried, place), tmp_path / "log") as server:
        install(installer, server.index)
        assert server.all_was_there(), server.answers()
    installed = {canonicalize_name(name): version for name, version in installer.versions().items()}
    assert installed == carried.pins(f"3.{minor}-rhel9-x86_64", patch)
    installer.pip("check")


@pytest.mark.parametrize("version", ["3.11", "3.12"])
@pytest.mark.parametrize("place", ["tree", "unpacked"])
def test_kubespray_resolves_for_aarch64_from_the_closed_side_alone(
    carried: Carried, idle: Closed, tmp_path: Path, place: str, version: str
) -> None:
    with served(getattr(carried, place), tmp_path / "log") as server:
        dry_run(idle, server, "aarch64-manylinux_2_28", version, "-r", str(WISHES))
        assert server.all_was_there(), server.answers()
        asked = {path.rpartition("/")[2] for path, _ in server.answers()}
    expected = carried.pins(f"{version}-manylinux_2_28_aarch64", 0)
    assert {name.partition("-")[0].replace("_", "-") for name in asked if name.endswith(".metadata")} == set(expected)
    assert any(name.startswith("cryptography-46.0.2-") and "aarch64" in name for name in asked)


def test_no_other_index_can_be_reached(carried: Carried, tmp_path: Path) -> None:
    """The other side of the proof: what the tree does not hold is not had from anywhere."""
    installer = Closed(tmp_path / "venv")
    with served(carried.tree, tmp_path / "log") as server, pytest.raises(AssertionError, match="six"):
        installer.pip("install", "--retries", "0", "--index-url", server.index, "--extra-index-url", DEAD, "six")
    with pytest.raises(AssertionError):
        installer.pip("download", "--retries", "0", "--no-deps", "-d", str(tmp_path), "six")


def test_an_older_patch_release_gets_async_timeout_for_redis(small: Carried, idle: Closed, tmp_path: Path) -> None:
    assert "async-timeout" in small.pins("3.11-rhel9-x86_64", 2)
    assert "async-timeout" not in small.pins("3.11-rhel9-x86_64", 3)
    with served(small.tree, tmp_path / "log") as server:
        dry_run(idle, server, "x86_64-manylinux_2_34", "3.11.2", "redis")
        assert any(path.startswith("/simple/async-timeout") for path, _ in server.answers())
        assert server.all_was_there(), server.answers()


def test_windows_gets_colorama_for_click(small: Carried, idle: Closed, tmp_path: Path) -> None:
    assert "colorama" in small.pins("3.11-win_amd64", 0)
    assert "colorama" not in small.pins("3.11-rhel9-x86_64", 0)
    with served(small.tree, tmp_path / "log") as server:
        dry_run(idle, server, "windows", "3.11", "click<8.5")
        assert any(path.startswith("/simple/colorama") for path, _ in server.answers())
        assert server.all_was_there(), server.answers()


def dry_run(installer: Closed, server: Served, system: str, version: str, *wishes: str) -> None:
    """What uv would install on another machine."""
    installer.uv(
        "pip", "install", "--dry-run", "--python-platform", system, "--python-version", version,
        "--default-index", server.index, *wishes,
    )  # fmt: skip
