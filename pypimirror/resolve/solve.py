"""One set on one target at one patch release: the search, the walk that proves its answer, and the pins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import takewhile

from pypimirror.index.port import Index
from pypimirror.model.files import Refusal, Rejection
from pypimirror.model.names import NormalizedName, Version
from pypimirror.model.plan import Pin, Want
from pypimirror.model.requests import WishSet
from pypimirror.resolve.dependencies import TooManyRefused
from pypimirror.resolve.hindrance import refuse_hindered, refuse_older, who
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need
from pypimirror.resolve.provider import Provider
from pypimirror.resolve.search import Clash, Wants, search, walk
from pypimirror.resolve.shelf import Shelf
from pypimirror.values import dataclass

__all__ = ["Clash", "Solution", "solve"]

_PATIENCE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """The pins, the candidates behind them, and sentences that a person should read."""

    pins: tuple[Pin, ...]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


def solve(wishes: WishSet, judge: Judge, index: Index, *, accept_older: bool = False) -> Solution:
    """Solve, walk the answer from the roots, and check every edge of it.

    Raises Clash; ResolutionFault where an older version would be taken in silence since a newer one wants what can't
    be had, or has metadata that only a build can tell (*accept_older* permits it: behind the gap, nothing newer can be
    had); and what the index raises. The judge's breakpoints are complete in each of these cases.
    """
    hindrances_told = False
    try:
        provider, mapping = search(wishes, judge, index, patience=None if accept_older else _PATIENCE)
    except TooManyRefused:
        hindrances_told = True
        refuse_hindered(wishes, judge, index)
        provider, mapping = search(wishes, judge, index)
    wants = walk(provider, mapping)
    if not accept_older:
        refuse_older(provider, mapping, wants)
        if provider.dependencies.lacking() and not hindrances_told:
            with suppress(Clash):  # resolvelib may say so wrongly, and an answer is at hand
                refuse_hindered(wishes, judge, index)
    candidates = tuple(mapping[key] for key in sorted(wants))
    return Solution(
        pins=tuple(_pin(key.project, mapping, wants, provider) for key in sorted(wants) if not key.extra),
        candidates=candidates,
        notes=(*_notes(provider, mapping, wants), *_format_notes(provider, mapping, wants, judge.target.name)),
    )


def _pin(
    project: NormalizedName,
    mapping: Mapping[Key, Candidate],
    wants: Wants,
    provider: Provider,
) -> Pin:
    candidate = mapping[Key(project)]
    keys = [key for key in wants if key.project == project]
    by = {
        Want(by=who(parent, need), text=need.text)
        for key in keys
        for parent, need in wants[key]
        if parent is None or parent.key.project != project
    }
    needs = [need for key in keys for _, need in wants[key]]
    return Pin(
        project=project,
        version=candidate.version,
        file=candidate.file.name.filename,
        extras=tuple(sorted(key.extra for key in keys if key.extra)),
        wanted_by=tuple(sorted(by)),
        passed_over=_passed_over(provider, candidate, needs),
    )


def _passed_over(provider: Provider, candidate: Candidate, needs: list[Need]) -> tuple[Rejection, ...]:
    """Why newer final versions that everybody would admit were not taken, and files of the version that was."""
    shelf = provider.shelves.of(candidate.key.project)
    if shelf is None:
        return ()
    newer = [
        version
        for version in takewhile(lambda version: version > candidate.version, provider.shelves.fitting(shelf, needs))
        if not version.is_prerelease and shelf.choice(version).best is None
    ]
    return tuple(shelf.rejections((*newer, candidate.version)))


def _notes(
    provider: Provider,
    mapping: Mapping[Key, Candidate],
    wants: Wants,
) -> Iterable[str]:
    for project, version, extra in sorted(provider.dependencies.unknown_extras):
        if Key(project, extra) in wants and mapping[Key(project)].version == version:
            yield f"{project} {version} has no extra {extra!r}"


def _format_notes(
    provider: Provider,
    mapping: Mapping[Key, Candidate],
    wants: Wants,
    target: str,
) -> Iterable[str]:
    """Where formats decided the version: a source where an older one has a wheel, a wheel where a newer has none."""
    for key in sorted(wants):
        shelf = provider.shelves.of(key.project)
        if key.extra or shelf is None or provider.shelves.is_direct(key.project):
            continue
        chosen = mapping[key].version
        needs = [need for each in wants if each.project == key.project for _, need in wants[each]]
        fitting = provider.shelves.fitting(shelf, needs)
        if not mapping[key].file.name.is_wheel:
            older = next((each for each in fitting if each < chosen and _has_wheel(shelf, each)), None)
            if older is not None:
                yield (
                    f"{target}: {key.project} {chosen} has no wheel, and is built from source; {older} has one: "
                    f"--prefer-binary, or the constraint '{key.project}<={older}', takes that"
                )
            continue
        newer = next((each for each in takewhile(chosen.__lt__, fitting) if not each.is_prerelease), None)
        if newer is not None and any(r.reason is Refusal.FORMAT_NOT_ALLOWED for r in shelf.rejections([newer])):
            yield (
                f"{target}: {key.project} {newer} has no wheel, and --only-binary refuses its source; "
                f"the older {chosen} is taken"
            )


def _has_wheel(shelf: Shelf, version: Version) -> bool:
    file = shelf.choice(version).unyanked
    return not version.is_prerelease and file is not None and file.name.is_wheel
