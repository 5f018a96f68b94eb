"""Clients x ways to a tree: fresh installs by the settings that ``pypimirror config`` prints, used as real files.

The versions chosen are asserted, and each server answers nothing but 200, 206 and 304. ``static-tree.md`` tells of
more clients and servers; these are the ones that are at hand everywhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import pytest

from tests.interpreters import interpreter
from tests.tree.clients import (
    EXPECTED,
    STOCK,
    WISHES,
    Site,
    http_server,
    installed,
    nginx,
    our_server,
    pip,
    settings,
    uv,
)
from tests.tree.example import example
from tests.tree.helpers import render
from tests.worlds import small_bundle

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
GOOD = {"200", "206", "304"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "a tree"
    render(path, example())
    return path


# ---- ways -----------------------------------------------------------------------------------------------------------


@contextmanager
def _folder(tree: Path) -> Iterator[Site]:
    yield Site(tree.as_uri(), list)


def _our_nginx(tree: Path, path: str, port: int) -> str:
    return settings("nginx", "--tree", str(tree), "--url", f"http://127.0.0.1:{port}{path}")


@contextmanager
def _to(way: str, tree: Path, work: Path) -> Iterator[Site]:
    work.mkdir()
    sites = {
        "nginx as it comes": lambda: nginx(work, lambda port: STOCK.format(port=port, root=tree)),
        "our nginx": lambda: nginx(work, partial(_our_nginx, tree, "/")),
        "our nginx at a path": lambda: nginx(work, partial(_our_nginx, tree, "/a/pypi/"), path="/a/pypi/"),
        "serve": lambda: our_server(tree),
        "http.server": lambda: http_server(tree),
        "find-links over http": lambda: http_server(tree),
        "a folder": lambda: _folder(tree),
        "find-links": lambda: _folder(tree),
    }
    with sites[way]() as site:
        yield site


WAYS = [
    "nginx as it comes", "our nginx", "our nginx at a path", "serve", "http.server", "find-links over http",
    "a folder", "find-links",
]  # fmt: skip


def _install(way: str, tree: Path, work: Path, kind: str, client: Callable[..., None]) -> list[str]:
    """Install all wishes; what the server answered."""
    with _to(way, tree, work / "site") as site:
        config = settings(kind, "--url", site.url, *(["--find-links"] if way.startswith("find-links") else []))
        client(work / "pinned", *WISHES, config=config)
        client(work / "free", "--no-deps", "yanked-thing", config=config)
        lines = list(site.lines())
    assert installed(work / "pinned") == EXPECTED
    assert {line.split()[0] for line in lines} <= GOOD, lines
    assert bool(lines) == site.url.startswith("http")
    return lines


def _json_pages(lines: list[str]) -> int:
    return sum(line.endswith(f" {JSON_PAGE}") for line in lines)


def _pages(lines: list[str]) -> int:
    return sum("/simple/" in line and line.startswith("200 ") for line in lines)


# ---- clients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_uv_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    lines = _install(way, tree, tmp_path, "uv", uv)
    if way.startswith("our nginx"):
        assert _json_pages(lines) == _pages(lines) > 0, lines
    # uv never heeds yanked in a page of links; of yanked files that page has the pinned ones alone.
    assert installed(tmp_path / "free") == {"yanked_thing": "1.1" if way.startswith("find-links") else "1.0"}


@pytest.mark.parametrize("way", WAYS)
def test_this_pip_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    _pip_installs(tree, tmp_path, way, sys.executable)


@pytest.fixture(scope="module")
def stock_3_11(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh environment of the Python 3.11 that is installed here, with the pip that it brings."""
    base = "import sys; print(getattr(sys, '_base_executable', sys.executable))"
    found = subprocess.run([interpreter(11), "-c", base], check=True, capture_output=True, text=True, timeout=60)
    folder = tmp_path_factory.mktemp("stock") / "3.11"
    subprocess.run([found.stdout.strip(), "-m", "venv", str(folder)], check=True, timeout=120)
    return str(folder / "bin" / "python")


@pytest.mark.parametrize("way", WAYS)
def test_pip_23_2_installs_what_it_should(tree: Path, tmp_path: Path, way: str, stock_3_11: str) -> None:
    """The pip that Python 3.11's ensurepip has brought since 3.11.5, and many a server still has."""
    python = stock_3_11
    version = _pip_version(python)
    if not version.startswith("23.2"):
        pytest.skip(f"the pip of that Python 3.11 is {version}")
    _pip_installs(tree, tmp_path, way, python)


@pytest.mark.parametrize("minor", [8, 13])
@pytest.mark.parametrize("way", ["our nginx at a path", "find-links"])
def test_older_and_newer_pips_install_what_they_should(tree: Path, tmp_path: Path, way: str, minor: int) -> None:
    _pip_installs(tree, tmp_path, way, interpreter(minor))


def _pip_installs(tree: Path, work: Path, way: str, python: str) -> None:
    lines = _install(way, tree, work, "pip", partial(pip, python=python))
    assert installed(work / "free") == {"yanked_thing": "1.0"}
    if way.startswith("our nginx"):
        negotiates = tuple(map(int, _pip_version(python).split(".")[:2])) >= (22, 2)
        assert _json_pages(lines) == (_pages(lines) if negotiates else 0), lines
        assert _pages(lines) > 0


@cache
def _pip_version(python: str) -> str:
    asked = subprocess.run(
        [python, "-m", "pip", "--version"], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip
    return asked.stdout.split()[1]


@pytest.fixture(scope="module")
def newest_pip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the newest pip, from whichever index this machine uses."""
    folder = tmp_path_factory.mktemp("newest") / "venv"
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True, timeout=300)
    return python


@pytest.mark.online
@pytest.mark.parametrize("way", WAYS)
def test_the_newest_pip_installs_what_it_should(tree: Path, tmp_path: Path, way: str, newest_pip: str) -> None:
    _pip_installs(tree, tmp_path, way, newest_pip)


# ---- without links --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full bundle, made by the program and unpacked by tar: no Python on the closed side."""
    folder = tmp_path_factory.mktemp("carried")
    bundle = small_bundle(folder / "small.tar", "app", "lib")
    (folder / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", str(bundle), "-C", str(folder / "unpacked")], check=True, timeout=60)
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.mark.parametrize("way", ["our nginx", "our nginx at a path", "serve", "a folder"])
def test_an_unpacked_bundle_is_served_as_well(unpacked: Path, tmp_path: Path, way: str) -> None:
    with _to(way, unpacked, tmp_path / "site") as site:
        uv(tmp_path / "uv", "app", config=settings("uv", "--url", site.url))
        pip(tmp_path / "pip", "app", config=settings("pip", "--url", site.url))
        lines = list(site.lines())
    assert installed(tmp_path / "uv") == installed(tmp_path / "pip") == {"app": "2.0", "lib": "1.1+local.1"}
    assert {line.split()[0] for line in lines} <= GOOD, lines
    if way.startswith("our nginx"):
        assert _json_pages(lines) == _pages(lines) > 0


@pytest.mark.parametrize("way", ["our nginx at a path", "serve"])
def test_a_copy_that_followed_the_links_is_served_as_well(tree: Path, tmp_path: Path, way: str) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(tree, copied, symlinks=False, ignore=shutil.ignore_patterns(".pypimirror"))
    _install(way, copied, tmp_path, "uv", uv)
