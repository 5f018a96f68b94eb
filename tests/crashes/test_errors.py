"""Every operation that fails, with every error number, once or from then on, at once or after half of the bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes.cases import CASES, Exhibit, Playground, exhibit
from tests.crashes.faults import CODES, Failing
from tests.crashes.invariants import invariants, judge_fault, run_again
from tests.crashes.journal import scan

Fault = tuple[int, int, bool, bool]
"""Which operation, the error number, whether for ever, whether after half of a write."""

WHOLE = [name for name in CASES if name.startswith(("render", "bundle"))]
SOME_UPKEEP = ["withdraw-plain", "clear-plain", "rollback-linked", "gzip-linked"]


def some(found: Exhibit) -> Iterator[Fault]:
    """One fault for each operation, the numbers and the ways in turn; two for each write."""
    numbers = list(CODES)
    for at, told in enumerate(found.operations):
        yield at, numbers[at % len(numbers)], at % 2 == 1, False
        if told == "write":
            yield at, numbers[at % 2], at % 4 == 1, True


def every(found: Exhibit) -> Iterator[Fault]:
    for at, told in enumerate(found.operations):
        for number in CODES:
            for for_ever in (False, True):
                for half in (False, True)[: 1 + (told == "write")]:
                    yield at, number, for_ever, half


def judge(play: Playground, found: Exhibit, faults: Iterator[Fault], tally: Counter[str]) -> list[str]:
    torn: list[str] = []
    for at, number, for_ever, half in faults:
        tally["failed calls"] += 1
        world = play.laid_out(found.before)
        disk = Failing(at, number, for_ever=for_ever, half=half)
        raised: BaseException | None = None
        try:
            found.case.run(world, disk)
        except Exception as error:  # noqa: BLE001 - which kind is what the judge looks at
            raised = error
        wrong = invariants(found, world) + judge_fault(found, world, disk, number, raised)
        if not for_ever:
            wrong += [f"V3 {path} was not removed" for path in scan(world) if ".part" in path]
        wrong += run_again(found, world)
        how = f"{CODES[number]} {'for ever' if for_ever else 'once'}{' after half of it' * half}"
        torn += [f"{found.case}, operation {at}, {disk.told[at]}, {how}: {each}" for each in wrong]
        play.clear(world)
    tally["torn"] += len(torn)
    return torn


@pytest.mark.parametrize("name", [*WHOLE, *SOME_UPKEEP])
def test_an_operation_that_fails_is_told_and_undone_and_a_rerun_finishes(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    found = exhibit(CASES[name], quick_folder)
    assert judge(play, found, some(found), tally) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CASES)
def test_every_operation_with_every_number_in_every_way(
    name: str, play: Playground, quick_folder: Path, tally: Counter[str]
) -> None:
    found = exhibit(CASES[name], quick_folder)
    assert judge(play, found, every(found), tally) == []
