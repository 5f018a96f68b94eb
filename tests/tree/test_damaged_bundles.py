"""A bundle that is damaged anywhere changes nothing of the tree it is rendered into; nor does one that is cut short."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypimirror.bundle.faults import BundleFault
from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.sealing import with_members
from pypimirror.bundle.writer import write_bundle
from pypimirror.tree.folder import Tree, open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.lists import bundle_members
from pypimirror.tree.publish import publish
from tests.tree.helpers import NOW, QuickDisk, bundle, check_tree, fake, make_manifest, render, snapshot

FIRST = bundle(fake("a-1.0-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl"), sequence=1_790_000_000)


def full_bundle() -> bytes:
    """A small full bundle, with pages."""
    samples = [fake("a-2.0-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl"), fake("c-1.0.tar.gz", b"sdist" * 100)]
    manifest = make_manifest(samples, sequence=1_790_000_100)
    pages = {page.path: page.data for page in bundle_members(manifest)}
    sources = {each.file.path: each.data for each in samples}
    sources |= {f"{each.file.path}.metadata": each.metadata for each in samples if each.metadata is not None}
    target = io.BytesIO()
    write_bundle(with_members(manifest, pages), sources | pages, target)
    return target.getvalue()


def state(root: Path) -> dict[str, tuple[int, int, int]]:
    """All that a tree is, but for ``incoming/``: there verified files of a damaged bundle may stay."""
    return {
        str(path): ((status := path.lstat()).st_ino, status.st_mtime_ns, status.st_size)
        for path in root.rglob("*")
        if path.name not in ("incoming", "lock") and path.parent.name != "incoming"
    }


def take(tree: Tree, data: bytes | bytearray) -> None:
    with open_bundle(io.BytesIO(data), name="b.tar") as reading:
        publish(tree, [import_bundle(tree, reading).digest], now=NOW)


def refused(tree: Tree, data: bytes | bytearray) -> BundleFault:
    with pytest.raises(BundleFault) as caught:
        take(tree, data)
    assert caught.value.exit_code == 4
    return caught.value


def flips(data: bytes, step: int, first: int = 0) -> Iterator[bytearray]:
    hostile = bytearray(data)
    for bit in range(first, len(data) * 8, step):
        hostile[bit // 8] ^= 1 << bit % 8
        yield hostile
        hostile[bit // 8] ^= 1 << bit % 8


def rejects_all(path: Path, hostiles: Iterator[bytearray]) -> int:
    """Try to render each into one tree, which must stay as it is; then the sound bundle must still go in."""
    render(path, FIRST)
    before, pages = state(path), snapshot(path)
    count = 0
    with open_tree(path, disk=QuickDisk()) as tree:
        for hostile in hostiles:
            fault = refused(tree, hostile)
            assert fault.part in str(fault) or fault.code == "not-a-bundle"
            assert state(path) == before
            count += 1
    assert snapshot(path) == pages
    with open_tree(path, disk=QuickDisk()) as tree:
        take(tree, full_bundle())
    assert check_tree(path) == []
    return count


def test_many_flipped_bits_change_nothing_of_a_tree(tmp_path: Path) -> None:
    data = full_bundle()
    assert 18_000 < len(data) < 60_000
    assert rejects_all(tmp_path / "tree", flips(data, 401)) > 500


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(8))
def test_every_flipped_bit_changes_nothing_of_a_tree(tmp_path: Path, share: int) -> None:
    data = full_bundle()
    assert rejects_all(tmp_path / "tree", flips(data, 8, share)) == len(data)


def test_no_truncation_changes_anything_of_a_tree(tmp_path: Path) -> None:
    data = full_bundle()
    lengths = {*range(0, len(data), 97), *range(0, len(data), 512), len(data) - 1, len(data) - 512}
    assert rejects_all(tmp_path / "tree", (bytearray(data[:length]) for length in sorted(lengths))) > 200


def test_what_was_verified_before_the_damage_is_kept_and_need_not_come_again(tmp_path: Path) -> None:
    data = bytearray(full_bundle())
    data[data.index(b"sdist" * 100)] ^= 1
    render(tmp_path / "tree", FIRST)
    with open_tree(tmp_path / "tree", disk=QuickDisk()) as tree:
        assert refused(tree, data).part == "contents of packages/c-1.0.tar.gz"
        with open_bundle(io.BytesIO(full_bundle())) as sound:
            assert import_bundle(tree, sound).files == 1
