"""A repair that is killed at any operation: clients see each thing as it was or mended, and a rerun finishes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.disk import Disk
from pypimirror.repair import repair
from pypimirror.tree import contents
from tests.crashes.cases import A1, CASES, Case, Exhibit, Playground, exhibit, journal, served
from tests.crashes.invariants import run_again
from tests.crashes.journal import scan
from tests.crashes.losses import EVERYTHING, left
from tests.crashes.test_power import kills, power_losses, recorded
from tests.tree.helpers import NOW, QuickDisk


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _rot(tree: Path) -> None:
    """Some of each sort."""
    _flip(tree / "packages" / A1.file.filename)
    (tree / "packages" / f"{A1.file.filename}.metadata").unlink()
    _flip(tree / "simple" / "a" / "index.html")
    _flip(next((tree / ".pypimirror" / "ledger").iterdir()))
    _flip(next((tree / ".pypimirror" / "manifests").iterdir()))
    (tree / "packages").chmod(0o700)
    if (tree / "index.html").is_symlink():  # a copy in place of the link
        data = (tree / "index.html").read_bytes()
        (tree / "index.html").unlink()
        (tree / "index.html").write_bytes(data)
    (tree / "locks").unlink() if (tree / "locks").is_symlink() else _flip(next((tree / "locks").iterdir()))


def _lose(tree: Path) -> None:
    """What the tree says of itself, and a page."""
    Path(os.path.realpath(tree / "manifest.json")).unlink()
    _flip(tree / "simple" / "a" / "index.html")


def _case(rot: Callable[[Path], None], *, plain: bool) -> Case:
    kind = "plain" if plain else "linked"
    sound = CASES[f"render-second-{kind}"]

    def prepare(world: Path) -> None:
        sound.prepare(world)
        sound.run(world, QuickDisk())
        rot(world / "tree")

    def run(world: Path, disk: Disk) -> None:
        sources = [world / "medium" / name for name in ("first", "second")]
        repaired = repair(world / "tree", sources, now=NOW, disk=disk)
        assert repaired.findings == ()
        assert not repaired.forgot

    return Case(f"{'recall' if rot is _lose else 'repair'}-{kind}", prepare, run, "tree", plain)


ALL = [_case(rot, plain=plain) for rot in (_rot, _lose) for plain in (False, True)]
each_case = pytest.mark.parametrize("case", ALL, ids=str)


def worse(found: Exhibit, world: Path) -> Iterator[str]:
    """What clients see otherwise than before and than in the end; and what is not there any more, served or not."""
    for path in found.before:
        if not os.path.lexists(world / path):
            yield f"{path} is not there any more"
    seen, before, after = served(found.case, world), found.served_before, found.served_after
    for path in before.keys() | after.keys():
        if path in before and path not in seen:
            yield f"{path} is gone"
        elif path in seen and seen[path] not in (before.get(path), after.get(path)):
            yield f"{path} is neither as it was nor mended"


@each_case
def test_a_kill_at_any_operation_makes_nothing_worse_and_a_rerun_finishes(
    play: Playground, quick_folder: Path, tally: Counter[str], case: Case
) -> None:
    found = exhibit(case, quick_folder)
    assert found.served_before != found.served_after
    record = journal(found.case, play.laid_out(found.before))
    *_, (_, state) = record.states()
    assert {path: (entry.data, entry.mode) for path, entry in scan(record.root).items()} == {
        path: (entry.data, entry.mode) for path, entry in left(state, EVERYTHING).items()
    }
    for told, place in kills(record):
        world = play.laid_out(place)
        tally["kill points"] += 1
        assert [*worse(found, world), *run_again(found, world)] == [], told
        play.clear(world)


@pytest.mark.slow
@each_case
def test_a_power_loss_at_any_operation_is_mended_by_a_rerun(
    play: Playground, quick_folder: Path, tally: Counter[str], case: Case
) -> None:
    found = exhibit(case, quick_folder)
    record = journal(found.case, play.laid_out(found.before))
    for told, place in power_losses(record, seeds=1, brief=True):
        world = play.laid_out(place)
        tally["power-loss states"] += 1
        assert [*worse(found, world), *run_again(found, world)] == [], told
        play.clear(world)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["render-second-linked", "withdraw-linked", "gzip-linked", "add-linked"])
def test_what_a_tree_says_of_itself_is_recalled_whatever_lies_about_of_a_run_that_was_killed(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    """Ledgers and pages of the next state may be there already: they are not taken for those that are served."""
    found, record = recorded(play, name, quick_folder)
    for told, place in kills(record):
        world = play.laid_out(place)
        tally["kill points"] += 1
        word = Path(os.path.realpath(world / found.case.own / "manifest.json"))
        said = contents.parse(word.read_bytes())
        word.unlink()
        repaired = repair(world / found.case.own, now=NOW, disk=QuickDisk())
        again = contents.parse(word.read_bytes())
        assert replace(again, channels=said.channels, withdrawn=said.withdrawn) == said, told
        assert {(each.project, each.version) for each in again.withdrawn} == {
            (each.project, each.version) for each in said.withdrawn
        }, told
        assert repaired.findings == (), told
        play.clear(world)
