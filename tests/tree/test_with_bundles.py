"""From the writer's tar through the reader into a tree, and the same tar unpacked: both serve the same."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.sealing import with_members
from pypimirror.bundle.writer import write_bundle
from pypimirror.errors import IntegrityFault
from pypimirror.tree.contents import wanted_by
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.lists import bundle_members
from pypimirror.tree.publish import publish
from tests.tree.example import SAMPLES, example
from tests.tree.helpers import NOW, check_pages, check_tree, snapshot


def write(path: Path) -> None:
    pages = {page.path: page.data for page in bundle_members(example().manifest)}
    sources = {each.file.path: each.data for each in SAMPLES}
    sources |= {f"{each.file.path}.metadata": each.metadata for each in SAMPLES if each.metadata is not None}
    sources |= {each.file.provenance_path: each.provenance for each in SAMPLES if each.provenance is not None}
    write_bundle(with_members(example().manifest, pages), sources | pages, path)


def render(bundle: Path, tree: Path) -> None:
    with open_tree(tree) as opened, open_bundle(bundle) as reading:
        imported = import_bundle(opened, reading, bundle_size=bundle.stat().st_size)
        publish(opened, [imported.digest], now=NOW)


def test_a_bundle_rendered_and_a_bundle_unpacked_serve_the_same(tmp_path: Path) -> None:
    write(tmp_path / "b.tar")
    render(tmp_path / "b.tar", tmp_path / "tree")
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    unpacked = tmp_path / example().manifest.stem
    assert check_tree(tmp_path / "tree") == check_pages(unpacked) == []
    ours, theirs = snapshot(tmp_path / "tree"), snapshot(unpacked)
    ours = {
        path: data for path, data in ours.items() if not path.startswith("channels/") and not path.endswith("/json")
    }
    assert {path for path in ours if ours[path] != theirs[path]} == {"manifest.json"}
    assert ours.keys() == theirs.keys()
    assert {path.name for path in (tmp_path / "tree" / "packages").iterdir()} == {
        path.name for path in (unpacked / "packages").iterdir()
    }


def test_a_cut_bundle_publishes_nothing_and_the_whole_one_goes_on_from_there(tmp_path: Path) -> None:
    write(tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 4])
    with pytest.raises(IntegrityFault):
        render(tmp_path / "cut.tar", tmp_path / "tree")
    assert snapshot(tmp_path / "tree") == {}
    kept = len(list((tmp_path / "tree" / ".pypimirror" / "incoming").iterdir()))
    assert kept > 3
    with open_tree(tmp_path / "tree") as opened, open_bundle(io.BytesIO(whole)) as reading:
        imported = import_bundle(opened, reading)
        contents = {each.sha256 for each in wanted_by(example().manifest.files).values()}
        assert imported.files == len(contents) - kept
        publish(opened, [imported.digest], now=NOW)
    assert check_tree(tmp_path / "tree") == []
