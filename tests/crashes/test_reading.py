"""What can't be read: a file or a folder of the tree, a source of a bundle, the medium itself."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from pypimirror.bundle.reader import open_bundle
from pypimirror.errors import DiskFault
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.publish import publish
from tests.crashes.cases import CASES, Case, Playground, exhibit
from tests.crashes.faults import CODES
from tests.crashes.invariants import invariants, run_again
from tests.tree.helpers import NOW, QuickDisk, channels

WHOLE = [name for name in CASES if name.startswith(("render", "bundle"))]


class _Openings:
    """Counts what is opened below ``root``, and lets the opening numbered ``at`` fail. One for the whole process."""

    root = ""
    at = -1
    number = 0
    count = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.root or event not in ("open", "os.scandir", "os.listdir"):
            return
        if not str(arguments[0]).startswith(self.root):
            return
        self.count += 1
        if self.count - 1 == self.at:
            raise OSError(self.number, os.strerror(self.number))


_OPENINGS = _Openings()
sys.addaudithook(_OPENINGS)


@contextmanager
def openings(root: Path, at: int = -1, number: int = 0) -> Iterator[_Openings]:
    _OPENINGS.at, _OPENINGS.number, _OPENINGS.count = at, number, 0
    _OPENINGS.root = str(root)
    try:
        yield _OPENINGS
    finally:
        _OPENINGS.root = ""


class _Readings:
    """``Path.open`` for files whose reading number ``at`` fails, over all files."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.count = 0

    def tick(self) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def replacement(self) -> Callable[..., BinaryIO]:
        readings = self

        class Bad(io.FileIO):
            def read(self, size: int | None = -1) -> bytes:
                readings.tick()
                return super().read(-1 if size is None else size) or b""

            def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
                readings.tick()
                return super().readinto(buffer) or 0

        def replaced(path: Path, mode: str = "r", **_: object) -> BinaryIO:
            assert mode == "rb"
            return cast("BinaryIO", Bad(path, "rb"))

        return replaced


def run_failing(case: Case, world: Path) -> DiskFault | None:
    try:
        case.run(world, QuickDisk())
    except DiskFault as fault:
        return fault
    return None


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_opened_is_told_and_undone_and_a_rerun_finishes(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    found = exhibit(CASES[name], quick_folder)
    world = play.laid_out(found.before)
    with openings(world) as counting:
        found.case.run(world, QuickDisk())
    total = counting.count
    assert total > 3
    for at in range(total):
        number = (errno.EMFILE, errno.EIO)[at % 2]
        world = play.laid_out(found.before)
        with openings(world, at, number):
            fault = run_failing(found.case, world)
        assert fault is None or (fault.code == CODES[number] and fault.hint), str(fault)
        assert invariants(found, world, finished=fault is None) == [], (at, str(fault))
        assert run_again(found, world) == [], (at, str(fault))
        play.clear(world)
        tally["failed openings"] += 1


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_read_on_is_told_and_undone_and_a_rerun_finishes(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = exhibit(CASES[name], quick_folder)

    def run(world: Path, at: int) -> tuple[DiskFault | None, int]:
        readings = _Readings(at)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", readings.replacement())
            return run_failing(found.case, world), readings.count

    _, total = run(play.laid_out(found.before), -1)
    assert total > 3
    for at in range(total):
        world = play.laid_out(found.before)
        fault, _ = run(world, at)
        assert fault is None or (fault.code == "disk-broken" and fault.hint), str(fault)
        assert invariants(found, world, finished=fault is None) == [], (at, str(fault))
        assert run_again(found, world) == [], (at, str(fault))
        play.clear(world)
        tally["failed readings"] += 1


class BrokenMedium:
    """A stream that gives *whole* bytes, then fails."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        piece = self._data.read(size)
        if not piece and size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return piece


@pytest.mark.parametrize("kind", ["linked", "plain"])
def test_a_medium_that_breaks_is_named_with_the_byte_and_the_tree_is_as_it_was(
    kind: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    found = exhibit(CASES[f"render-second-{kind}"], quick_folder)
    tar = found.before["medium/second"].data
    for at in sorted({*range(0, len(tar), 1024), 1, 511, 513, len(tar) - 1}):
        world = play.laid_out(found.before)
        medium = cast("BinaryIO", BrokenMedium(tar[:at]))
        with (
            pytest.raises(DiskFault, match=f"^reading the stick at byte {at}: input/output error$") as caught,
            open_tree(world / "tree", disk=QuickDisk()) as tree,
            open_bundle(medium, name="the stick") as bundle,
        ):
            publish(tree, [import_bundle(tree, bundle).digest], now=NOW, replace=channels("default"))
        assert caught.value.exit_code == 7
        assert invariants(found, world) == []
        assert (world / "tree" / "manifest.json").read_bytes() == found.served_before["manifest.json"]
        assert run_again(found, world) == []
        play.clear(world)
        tally["broken media"] += 1
