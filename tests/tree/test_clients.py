"""Real clients, and a tree that changes, is plain, a copy, unpacked by tar, or made under a strict umask.

All clients on all ways to a tree: ``tests/acceptance``.
"""

# ruff: noqa: S310 - loopback addresses

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.tree.clients import (
    EXPECTED,
    STOCK,
    WISHES,
    Site,
    http_server,
    installed,
    nginx,
    open_to_all,
    our_server,
    pip,
    settings,
    uv,
)
from tests.tree.example import example
from tests.tree.helpers import NOW, bundle, fake, render
from tests.worlds import small_bundle


def test_a_plain_tree_installs_as_well(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, example(), plain=True)
    with http_server(tree) as site:
        pip(tmp_path / "pip", "--index-url", f"{site.url}simple/", *WISHES)
    uv(tmp_path / "uv", "--index-url", f"{tree.as_uri()}/simple/", *WISHES)
    assert installed(tmp_path / "uv") == installed(tmp_path / "pip") == EXPECTED
    assert site.statuses() == {"200"}


def test_nginx_serves_a_tree_and_never_an_old_page_as_not_modified(tmp_path: Path) -> None:
    """Its ETag is time and size: two pages of one size, published in one second, must still differ."""
    tree = tmp_path / "tree"
    first, second = (fake("a-1.0-py3-none-any.whl", yanked=reason) for reason in ("bad", "sad"))
    render(tree, bundle(first, sequence=1_790_000_000))
    with nginx(tmp_path, lambda port: STOCK.format(port=port, root=tree)) as site:
        with urllib.request.urlopen(f"{site.url}simple/a/", timeout=5) as answer:
            tag, before = answer.headers["ETag"], answer.read()
        render(tree, bundle(second, sequence=1_790_000_001), now=NOW)
        request = urllib.request.Request(f"{site.url}simple/a/", headers={"If-None-Match": tag})
        with urllib.request.urlopen(request, timeout=5) as answer:
            after = answer.read()
    assert len(before) == len(after)
    assert b"bad" in before
    assert b"sad" in after


def test_a_web_server_of_another_user_can_read_a_tree_whatever_the_umask_was(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        (tmp_path / "work").mkdir()
        render(tmp_path / "tree", example())
    finally:
        os.umask(old)
    open_to_all(tmp_path)
    stock = partial(STOCK.format, root=tmp_path / "tree")
    with nginx(tmp_path / "work", lambda port: stock(port=port), stranger=True) as site:
        uv(tmp_path / "uv", "--index-url", f"{site.url}simple/", *WISHES)
    assert installed(tmp_path / "uv") == EXPECTED


def _nginx_below(tree: Path, work: Path) -> AbstractContextManager[Site]:
    """By our settings, at a path."""
    where = "http://127.0.0.1:{}/a/pypi/".format
    return nginx(
        work, lambda port: settings("nginx", "--tree", str(tree), "--url", where(port)), path="/a/pypi/"
    )  # fmt: skip


@pytest.mark.parametrize("server", ["nginx", "serve"])
def test_an_unpacked_bundle_is_served_as_well(tmp_path: Path, server: str) -> None:
    """A full bundle, made by the program and unpacked by tar: no Python on the closed side."""
    carried = small_bundle(tmp_path / "small.tar", "app", "lib")
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", str(carried), "-C", str(tmp_path / "unpacked")], check=True, timeout=60)
    (tree,) = (tmp_path / "unpacked").iterdir()
    with _nginx_below(tree, tmp_path / "site") if server == "nginx" else our_server(tree) as site:
        uv(tmp_path / "uv", "app", config=settings("uv", "--url", site.url))
        pip(tmp_path / "pip", "app", config=settings("pip", "--url", site.url))
        lines = list(site.lines())
    assert installed(tmp_path / "uv") == installed(tmp_path / "pip") == {"app": "2.0", "lib": "1.1+local.1"}
    assert {line.split()[0] for line in lines} == {"200"}, lines
    if server == "nginx":
        pages = [line for line in lines if "/simple/" in line]
        assert all(line.endswith(" application/vnd.pypi.simple.v1+json") for line in pages), pages


def test_a_copy_that_followed_the_links_is_served_as_well(tmp_path: Path) -> None:
    render(tmp_path / "tree", example())
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / "tree", copied, symlinks=False, ignore=shutil.ignore_patterns(".pypimirror"))
    with _nginx_below(copied, tmp_path / "site") as site:
        uv(tmp_path / "uv", *WISHES, config=settings("uv", "--url", site.url))
    assert installed(tmp_path / "uv") == EXPECTED
    assert site.statuses() == {"200"}
