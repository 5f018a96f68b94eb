"""The pages of one small bundle, byte for byte.

``PYPIMIRROR_REGENERATE=1 pytest tests/tree/test_golden.py`` rewrites them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pypimirror.tree.lists import bundle_members
from tests.tree.example import example
from tests.tree.helpers import check_tree, render

GOLDEN = Path(__file__).parent.parent / "golden" / "small"


def members() -> dict[str, bytes]:
    return {page.path: page.data for page in bundle_members(example().manifest)}


@pytest.fixture(scope="module", autouse=True)
def _regenerate() -> None:
    if not os.environ.get("PYPIMIRROR_REGENERATE"):
        return
    if GOLDEN.exists():
        shutil.rmtree(GOLDEN)
    for path, data in members().items():
        (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
        (GOLDEN / path).write_bytes(data)


def test_the_pages_of_a_bundle_are_those_of_the_golden_tree() -> None:
    golden = {path.relative_to(GOLDEN).as_posix(): path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    made = members()
    assert made.keys() == golden.keys()
    for path, data in made.items():
        assert data == golden[path], path


@pytest.mark.parametrize("plain", [False, True], ids=["linked", "plain"])
def test_a_tree_of_this_bundle_alone_has_the_same_pages(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, example(), plain=plain)
    for path, data in members().items():
        if path != "README.txt":
            assert (tree / path).read_bytes() == data, path
    assert check_tree(tree) == []


def test_no_page_says_which_members_its_bundle_lists() -> None:
    """They could not be listed in the manifest otherwise."""
    manifest = example().manifest
    assert manifest.members == ()
    assert [page.path for page in bundle_members(manifest)] == sorted(members())
