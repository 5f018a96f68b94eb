"""Of the acceptance runs what is quick enough for every change: three kinds of ways, four clients, uv on each way.

The whole table: ``nox -s clients``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.cell import Asked, Cell, run_cell
from tests.acceptance.programs import find
from tests.acceptance.table import faults, requests
from tests.acceptance.ways import WAYS
from tests.acceptance.world import EXPECTED, make_tree
from tests.worlds import ROOT


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One for all processes of a run: the first makes it, the others wait."""
    if worker_id == "master":
        return make_tree(tmp_path_factory.mktemp("acceptance"))
    folder = tmp_path_factory.getbasetemp().parent / "acceptance"
    try:
        folder.mkdir()
    except FileExistsError:
        done = folder / "done"
        for _ in range(1200):
            if done.exists():
                return Path(done.read_text("utf-8"))
            time.sleep(0.05)
        pytest.fail("the tree is not made")
    tree = make_tree(folder)
    (folder / "writing").write_text(str(tree), encoding="utf-8")
    (folder / "writing").rename(folder / "done")
    return tree


def _python(client: str) -> str:
    """The Python that has it: ours, or that of the environment that ``--install`` made."""
    if client in ("pip", "uv"):
        return sys.executable
    if (python := find(client)) is None:
        pytest.skip(f"{client} is not installed: python -m tests.acceptance --install '{client}'")
    return str(python)


def _run(client: str, way: str, tree: Path, work: Path) -> Cell:
    if WAYS[way].program() is None:
        pytest.skip(f"no server here for {way}")
    cell = run_cell(Asked(client=client, way=way, python=_python(client), tree=str(tree), work=str(work / "cell")))
    assert faults(client, way, cell) == []
    return cell


@pytest.mark.parametrize(
    "way",
    [way for way in WAYS if way not in ("our Caddy below /", "our Apache below /")],
)
def test_uv_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    _run("uv", way, tree, tmp_path)


@pytest.mark.parametrize("way", ["http.server", "our nginx below /", "file index", "links in a file"])
def test_this_pip_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    _run("pip", way, tree, tmp_path)


@pytest.mark.parametrize("way", ["http.server", "our nginx", "file index"])
def test_pip_23_2_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    """The pip that Python 3.11's ensurepip has brought since 3.11.5, and many a server still has."""
    _run("pip 23.2", way, tree, tmp_path)


@pytest.mark.parametrize("way", ["http.server", "our nginx below /"])
def test_poetry_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    _run("poetry", way, tree, tmp_path)


# ---- what the runs themselves are worth ----------------------------------------------------------------------------


def test_a_client_that_fails_is_told_with_its_words(tree: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tree, broken, symlinks=False, ignore=shutil.ignore_patterns(".pypimirror"))
    (broken / "packages" / "epoch_thing-1!2.0-py3-none-any.whl.metadata").unlink()
    asked = Asked(client="uv", way="http.server", python=sys.executable, tree=str(broken), work=str(tmp_path / "cell"))
    found = "\n".join(faults("uv", "http.server", run_cell(asked)))
    assert "uv failed: " in found
    assert "answered 404 GET /packages/epoch_thing-1%212.0-py3-none-any.whl.metadata" in found


def test_a_wrong_version_and_a_strange_answer_are_faults() -> None:
    lines = ["200 GET /simple/a/ text/html", "301 GET /simple/b text/html", "200 GET /packages/a-1-py3-none-any.whl -"]
    versions = {**EXPECTED, "yanked-free": "1.1"}
    cell = Cell(versions=versions, lines=lines, error="", alone=True, seconds=1.0)
    assert faults("pip", "our nginx", cell) == [
        "yanked-free: 1.1, not 1.0",
        "answered 301 GET /simple/b text/html",
        "0 of 1 pages were JSON, not 1",
        "0 .metadata were asked for",
    ]


def test_requests_are_counted_by_their_kind() -> None:
    lines = [
        "200 GET /a/index.html text/html",
        "200 GET /a/simple/b/ application/vnd.pypi.simple.v1+json",
        "304 GET /a/simple/b/ -",
        "206 GET /a/packages/b-1-py3-none-any.whl -",
        "200 961 GET /a/packages/b-1.tar.gz HTTP/1.1",
        "404 GET /a/simple/b/json text/html",
    ]
    seen = requests("pip", lines)
    assert str(seen) == "1 / 1 / 0 / 1 +1 304 +1 parts"
    assert seen.refused == (lines[-1],)
    assert requests("pip-tools", lines).refused == ()


_LOOK_AROUND = """
import socket, sys
from tests.acceptance.alone import enter
if not enter():
    sys.exit(3)
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), timeout=5).close()
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5).close()  # TEST-NET-1 of RFC 5737
except TimeoutError:
    sys.exit("there is a way out, though nobody answers")
except OSError as error:
    print(error.strerror)
"""


def test_alone_nothing_but_loopback_can_be_reached() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK_AROUND], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode == 3:
        pytest.skip("this system lets nobody have a network of one's own")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "Network is unreachable", "")
