"""One set on one target -> its resolutions: one for each interval of patch releases that answers differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pypimirror.errors import ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import ListedFile
from pypimirror.model.plan import Pin, Resolution, Uncovered
from pypimirror.model.requests import WishSet
from pypimirror.model.targets import PatchRange, Target
from pypimirror.resolve.explain import explain
from pypimirror.resolve.judge import NEWEST_PATCH, Judge
from pypimirror.resolve.needs import Candidate
from pypimirror.resolve.solve import Clash, Solution, solve
from pypimirror.values import dataclass

__all__ = ["Answer", "solve_target"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of one set on one target: its resolutions, newest patch releases first, and what they rest on.

    ``beside`` are sdists that come along with the wheels that were chosen.
    """

    wishes: WishSet
    target: Target
    resolutions: tuple[Resolution, ...]
    uncovered: tuple[Uncovered, ...]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    beside: tuple[ListedFile, ...] = ()


def solve_target(wishes: WishSet, target: Target, index: Index) -> Answer:
    """Solve for each interval of patch releases that answers differently, newest first.

    The newest interval must solve; an older one that can't is told as uncovered.
    """
    solved: list[tuple[PatchRange, Solution]] = []
    uncovered: list[Uncovered] = []
    waiting = [target.patches]
    while waiting:
        interval = waiting.pop()
        judge = Judge(target, NEWEST_PATCH if interval.highest is None else interval.highest)
        solution, fault = _try(wishes, judge, index)
        newest, *older = interval.split(frozenset(judge.breakpoints))
        waiting.extend(reversed(older))
        if solution is not None:
            solved.append((newest, solution))
        elif fault is not None:
            if interval.highest == target.patches.highest:
                raise fault
            if uncovered and uncovered[-1].reason == str(fault) and uncovered[-1].patches.lowest - 1 in newest:
                newest = PatchRange(lowest=newest.lowest, highest=uncovered.pop().patches.highest)
            uncovered.append(Uncovered(set=wishes.name, target=target.name, patches=newest, reason=str(fault)))
    solutions = [solution for _, solution in solved]
    return Answer(
        wishes=wishes,
        target=target,
        resolutions=tuple(_merged(wishes, target, solved)),
        uncovered=tuple(uncovered),
        candidates=tuple(dict.fromkeys(c for solution in solutions for c in solution.candidates)),
        notes=tuple(dict.fromkeys(note for solution in solutions for note in solution.notes)),
    )


def _try(wishes: WishSet, judge: Judge, index: Index) -> tuple[Solution | None, ResolutionFault | None]:
    try:
        return solve(wishes, judge, index), None
    except Clash as clash:
        return None, explain(clash, wishes, judge, index)
    except ResolutionFault as fault:
        return None, fault


def _merged(wishes: WishSet, target: Target, solved: list[tuple[PatchRange, Solution]]) -> Iterator[Resolution]:
    """Neighbouring intervals with the same pins are one. *solved* goes from the newest to the oldest."""
    current: Resolution | None = None
    for patches, solution in solved:
        if (
            current is not None
            and _same(current.pins, solution.pins)
            and patches.highest is not None
            and patches.highest + 1 == current.patches.lowest
        ):
            joined = PatchRange(lowest=patches.lowest, highest=current.patches.highest)
            current = replace(current, patches=joined)
            continue
        if current is not None:
            yield current
        current = Resolution(set=wishes.name, target=target.name, patches=patches, pins=solution.pins)
    if current is not None:
        yield current


def _same(some: tuple[Pin, ...], others: tuple[Pin, ...]) -> bool:
    return [(p.project, p.file, p.extras, p.wanted_by) for p in some] == [
        (p.project, p.file, p.extras, p.wanted_by) for p in others
    ]
