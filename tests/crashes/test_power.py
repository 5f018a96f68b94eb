"""Power that goes, and processes that are killed, before each operation and in the middle of each write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pypimirror.tree import writing
from tests.crashes.cases import CASES, Exhibit, Playground, exhibit, journal
from tests.crashes.invariants import invariants, run_again
from tests.crashes.journal import Journal, Place, scan
from tests.crashes.losses import EVERYTHING, left, losses

RENDERS = [name for name in CASES if name.startswith(("render", "bundle", "publish-first-linked"))]
each_case = pytest.mark.parametrize("name", CASES)
SOME_UPKEEP = ["withdraw-linked", "clear-linked", "rollback-plain", "keep-plain"]
each_whole_case = pytest.mark.parametrize("name", [*RENDERS, *SOME_UPKEEP])


def kills(record: Journal) -> Iterator[tuple[str, Place]]:
    """What a process leaves that is killed: all that it did, and half of the write that it was at."""
    for told, state in record.states(halves=True):
        yield f"killed before {told}", left(state, EVERYTHING)


def power_losses(record: Journal, *, seeds: int, brief: bool) -> Iterator[tuple[str, Place]]:
    for at, (told, state) in enumerate(record.states()):
        for loss in losses(state, seeds=seeds, brief=brief, at=at):
            yield f"power lost before {told}: {loss.model}", left(state, loss)


def judge(
    play: Playground, found: Exhibit, states: Iterable[tuple[str, Place]], tally: Counter[str], what: str
) -> list[str]:
    """Violations, each with the moment at which it happened. Equal states are judged once, and counted."""
    torn = [*violations(play, found, states, tally, what)]
    tally["torn"] += len(torn)
    return torn


def violations(
    play: Playground, found: Exhibit, states: Iterable[tuple[str, Place]], tally: Counter[str], what: str
) -> Iterator[str]:
    seen: set[frozenset[tuple[str, object]]] = set()
    for told, place in states:
        finished = "before the end" in told
        tally[what] += 1
        mark = frozenset((*place.items(), ("finished", finished)))
        if mark in seen:
            continue
        seen.add(mark)
        tally[f"{what}, different"] += 1
        world = play.laid_out(place)
        faults = invariants(found, world, finished=finished) + run_again(found, world)
        yield from (f"{found.case}, {told}: {fault}" for fault in faults)
        play.clear(world)


def recorded(play: Playground, name: str, folder: Path) -> tuple[Exhibit, Journal]:
    found = exhibit(CASES[name], folder)
    world = play.laid_out(found.before)
    record = journal(found.case, world)
    return found, record


@each_case
def test_the_journal_tells_all_that_happened_to_the_disk(name: str, play: Playground, quick_folder: Path) -> None:
    """Nobody goes around the seam: what was written down is what is there."""
    found, record = recorded(play, name, quick_folder)
    *_, (_, state) = record.states()
    told = {path: entry._replace(time=None) for path, entry in left(state, EVERYTHING).items()}
    assert told == scan(record.root)
    lock = f"{found.case.own}/.pypimirror/lock"
    assert told == {**found.after, **({lock: told[lock]} if lock in told else {})}


@each_case
def test_a_kill_at_any_operation_leaves_old_or_new_and_a_rerun_finishes(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    found, record = recorded(play, name, quick_folder)
    assert judge(play, found, kills(record), tally, "kill points") == []


@each_whole_case
def test_a_power_loss_at_any_operation_leaves_old_or_new_and_a_rerun_finishes(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    found, record = recorded(play, name, quick_folder)
    states = power_losses(record, seeds=1, brief=True)
    assert judge(play, found, states, tally, "power-loss states") == []


@pytest.mark.parametrize("name", [name for name in RENDERS if "second" in name])
def test_where_one_sync_is_not_for_all_power_may_go_as_well(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systems other than Linux: each file and each folder is synced by itself."""
    monkeypatch.setattr(writing, "ONE_SYNC_FOR_ALL", False)
    found, record = recorded(play, name, quick_folder)
    assert "sync_all " not in record.told
    states = power_losses(record, seeds=1, brief=True)
    assert judge(play, found, states, tally, "power-loss states") == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("one_sync", [True, False], ids=["one-sync", "each-synced"])
@each_case
def test_every_single_name_lost_or_saved_alone_and_many_chances(
    name: str,
    play: Playground,
    quick_folder: Path,
    tally: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    one_sync: bool,
) -> None:
    monkeypatch.setattr(writing, "ONE_SYNC_FOR_ALL", one_sync)
    found, record = recorded(play, name, quick_folder)
    states = power_losses(record, seeds=6, brief=False)
    assert judge(play, found, states, tally, "power-loss states") == []
