"""poetry, pdm, pipx, hatch and tox, each the newest, by the settings that ``pypimirror config`` prints for it.

They come from the index of this machine's pip, and so does what the tree holds; then they see nothing but the tree:
over plain http at an address that is not loopback where this machine has one, and over TLS with a private authority.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pypimirror.model.names import label
from pypimirror.tree.settings import Site, Source, client_settings, parse_address, server_settings
from tests.tree.servers import Authority, authority, running

pytestmark = pytest.mark.online

NEEDED = ["cowsay", "pip>=26.1", "setuptools", "wheel", "hatchling", "editables"]
PROJECT = '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["cowsay"]\n'
BACKEND = '[build-system]\nrequires = ["{0}"]\nbuild-backend = "{0}.build{1}"\n'


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carried")
    ours = [sys.executable, "-m", "pypimirror"]
    subprocess.run([*ours, "bundle", *NEEDED, "-q", "-o", str(folder / "small.tar")], check=True, timeout=300)
    subprocess.run([*ours, "render", "-q", str(folder / "small.tar"), str(folder / "tree")], check=True, timeout=300)
    return folder / "tree"


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "of ours")


@pytest.fixture(scope="module", params=["poetry", "pdm", "pipx", "hatch", "tox"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a client, and the folder of its programs: each has an environment of its own."""
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name) / "venv"
    venv.create(folder, with_pip=True)
    subprocess.run(
        [str(folder / "bin" / "pip"), "install", "-q", {"pdm": "pdm[locked]"}.get(name, name)], check=True, timeout=300
    )
    return name, folder / "bin"


def outer_address() -> str:
    """Of this machine, as others see it; the loopback one where it has no other. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@contextmanager
def serving(tree: Path, work: Path, tls: Authority | None) -> Iterator[str]:
    start = "https://127.0.0.1:{}/a/pypi/" if tls else f"http://{outer_address()}:{{}}/a/pypi/"
    both = (str(tls.cert), str(tls.key)) if tls else None
    with running(
        "nginx",
        work,
        lambda port: server_settings(
            "nginx", Site(address=parse_address(start.format(port)), tree=str(tree), tls=both)
        ),
    ) as port:
        yield start.format(port)


@pytest.mark.parametrize("secure", [False, True], ids=["plain http", "tls, one channel"])
def test_a_client_installs_by_its_settings(
    tree: Path, client: tuple[str, Path], certified: Authority, tmp_path: Path, *, secure: bool
) -> None:
    name, programs = client
    with serving(tree, tmp_path / "server", certified if secure else None) as url:
        channel, ca = (label("default"), str(certified.ca)) if secure else (None, None)
        text = client_settings(name, Source(address=parse_address(url), channel=channel, ca=ca))
        (tmp_path / "mine").mkdir()
        (tmp_path / "home").mkdir()
        done = subprocess.run(
            ["sh", "-euc", script(name, text, tmp_path / "mine")],
            cwd=tmp_path / "mine",
            env={"PATH": f"{programs}{os.pathsep}/usr/bin:/bin", "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    asked = (tmp_path / "server" / "access.log").read_text("utf-8")
    assert "/packages/cowsay-" in asked
    assert {line.split()[0] for line in asked.splitlines()} <= {"200", "206", "304"}, asked


def script(name: str, text: str, folder: Path) -> str:
    """What a person does with the settings, and a project in *folder* that wants them."""
    project, told = folder / "pyproject.toml", folder / "settings"
    told.write_text(text, encoding="utf-8")
    (folder / "mine.py").touch()
    (folder / "tried.py").write_text("import cowsay, mine\n", encoding="ascii")
    if name == "poetry":
        project.write_text(f"{PROJECT}[tool.poetry]\npackage-mode = false\n{text}", encoding="utf-8")
        commands = re.findall(r"^#   (poetry config .*)$", text, re.MULTILINE)
        return "\n".join([*commands, "poetry -n --no-cache install", "poetry -n run python -c 'import cowsay'"])
    if name == "pdm":
        project.write_text(f"{PROJECT}[tool.pdm]\ndistribution = false\n{text}", encoding="utf-8")
        return "pdm config check_update false\npdm install\npdm run python -c 'import cowsay'"
    if name == "pipx":
        return '. ./settings\npipx install cowsay\n"$HOME/.local/bin/cowsay" -t hello'
    if name == "hatch":
        files = '[tool.hatch.build.targets.wheel]\ninclude = ["mine.py"]\n'
        project.write_text(BACKEND.format("hatchling", "") + PROJECT + files, encoding="utf-8")
        return ". ./settings\nhatch run python tried.py\nhatch build"
    project.write_text(
        BACKEND.format("setuptools", "_meta") + PROJECT + '[tool.setuptools]\npy-modules = ["mine"]\n', encoding="utf-8"
    )
    ini = text.replace("[testenv]\n", "[testenv]\ncommands = python tried.py\n", 1)
    (folder / "tox.ini").write_text(ini, encoding="utf-8")
    return "tox run -e py"
