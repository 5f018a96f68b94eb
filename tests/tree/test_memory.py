"""Memory does not follow the size of a tree: four times the files must cost far less than four times the memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pypimirror.closed import verify
from pypimirror.kept import kept_in
from pypimirror.model import manifest_json
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.publish import publish
from tests.tree.helpers import NOW, MemoryMember, QuickDisk, Sample, fake, make_manifest

FEW, TIMES = 100, 4
LIMITS = {"render": 3.2, "quick": 2.1}
"""Growth where the files grow by TIMES. Bytes of the manifest while they are hashed, and lists of all files, grow with
them; with what bundles say of files as objects it would be 4.0 and 2.6."""
PROJECTS = 10  # files of each
SAID = 100  # requirements of each file: what must not be held of all of them


@dataclass
class LeanBundle:
    """A bundle as the reader offers it: its manifest read from a file, its files made when they are asked for."""

    manifest: Manifest
    digest: Sha256

    def members(self) -> Iterator[MemoryMember]:
        for file in self.manifest.files:
            data = file.filename.encode()
            yield MemoryMember(SimpleNamespace(path=file.path, sha256=file.sha256, size=file.size), data)


def lean(folder: Path, count: int) -> LeanBundle:
    """*count* files, each with much to say: in the manifest, and nowhere else."""
    path = folder / f"{count}.json"
    path.write_bytes(manifest_json.dump(make_manifest(_sample(number) for number in range(count))))
    data = path.read_bytes()
    return LeanBundle(manifest_json.parse(data, kept_in(path, data, name="manifest")), manifest_json.digest(data))


def _sample(number: int) -> Sample:
    said = tuple(f"other-{number}-{each}>=1.0" for each in range(SAID))
    return fake(f"p{number // PROJECTS}-1.{number}.tar.gz", requires_dist=said)


def peak(act: Callable[[], object]) -> int:
    """Bytes at the moment when most are held, beyond what was held before."""
    gc.collect()
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _render(tree: Path, bundle: LeanBundle) -> None:
    with open_tree(tree, disk=QuickDisk()) as opened:
        import_bundle(opened, bundle)
        publish(opened, [bundle.digest], now=NOW)


def test_what_is_held_follows_neither_the_bundle_nor_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bounds what is remembered is made small, so that a small tree exceeds it."""
    monkeypatch.setattr("pypimirror.kept._LITTLE", 0)
    monkeypatch.setattr("pypimirror.tree.revise._REMEMBERED", 20)
    monkeypatch.setattr("pypimirror.tree.revise._FIRST", 20)
    monkeypatch.setattr("pypimirror.tree.slices._REMEMBERED", 20)
    monkeypatch.setattr("pypimirror.tree.folder._LEDGER_BYTES", 0)
    counts = (PROJECTS, FEW, FEW * TIMES)  # the first one for what is loaded once, whatever the size
    bundles = {count: lean(tmp_path, count) for count in counts}
    peaks: dict[str, list[int]] = {"render": [], "quick": []}
    for count, bundle in bundles.items():
        tree = tmp_path / f"tree-{count}"
        peaks["render"].append(peak(partial(_render, tree, bundle)))
        peaks["quick"].append(peak(partial(verify, tree, quick=True)))
    growth = {what: several[2] / several[1] for what, several in peaks.items()}
    assert all(growth[what] < limit for what, limit in LIMITS.items()), (growth, peaks)
