"""Real clients and a tree that changes, is plain, or was made under a strict umask. All ways: ``test_matrix``."""

# ruff: noqa: S310 - loopback addresses

from __future__ import annotations

import os
import urllib.request
from functools import partial
from pathlib import Path

from tests.tree.clients import EXPECTED, STOCK, WISHES, http_server, installed, nginx, open_to_all, pip, uv
from tests.tree.example import example
from tests.tree.helpers import NOW, bundle, fake, render


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
