"""What resolvelib's search asks of us: which candidates there are, what each wants, what to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from resolvelib import AbstractProvider
from resolvelib.structs import RequirementInformation

from pypimirror.index.port import Index
from pypimirror.model.names import NormalizedName
from pypimirror.model.requests import WishSet
from pypimirror.resolve.dependencies import IMPOSSIBLE, Dependencies
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need
from pypimirror.resolve.shelves import Shelves

__all__ = ["Provider"]


class Provider(AbstractProvider[Need, Candidate, Key]):
    """Answers for one set on one target at one patch release. ``last`` are projects to be looked at last.

    What ``dependencies`` and ``shelves`` collect on the way is the evidence for ``hindrance`` and ``explain``.
    """

    def __init__(
        self, wishes: WishSet, judge: Judge, index: Index, *, patience: int | None = None, hollow: bool = False
    ) -> None:
        self.shelves = Shelves(wishes, judge, index)
        self.dependencies = Dependencies(self.shelves, judge, index, patience=patience, hollow=hollow)
        self.last: set[NormalizedName] = set()
        self._clashes: dict[NormalizedName, int] = {}

    def identify(self, requirement_or_candidate: Need | Candidate) -> Key:
        return requirement_or_candidate.key

    def find_matches(
        self,
        identifier: Key,
        requirements: Mapping[Key, Iterator[Need]],
        incompatibilities: Mapping[Key, Iterator[Candidate]],
    ) -> Any:  # noqa: ANN401 - resolvelib's Matches: a callable that begins the iteration anew
        if identifier.project == IMPOSSIBLE:
            return ()
        needs = list(requirements[identifier])
        if identifier.extra:
            needs += requirements[Key(identifier.project)]
        shelf = self.shelves.of(identifier.project)
        if shelf is None:
            return ()
        excluded = {candidate.version for candidate in incompatibilities[identifier]}
        return lambda: self.shelves.candidates(identifier, shelf, needs, excluded)

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        return requirement.admits(candidate.version)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Need]:
        return self.dependencies.of(candidate)

    def get_preference(
        self,
        identifier: Key,
        resolutions: Mapping[Key, Candidate],
        candidates: Mapping[Key, Iterator[Candidate]],
        information: Mapping[Key, Iterator[RequirementInformation[Need, Candidate]]],
        backtrack_causes: Sequence[RequirementInformation[Need, Candidate]],
    ) -> tuple[object, ...]:
        """What to pin first; the smallest wins.

        What clashed often; what a person gave as a file; what is pinned; what has an upper bound; the roots in the
        person's order; what has any bound; by name. An extra comes right after its project; ``last`` after all else.
        """
        del resolutions, candidates, backtrack_causes
        pinned = bounded = specified = False
        for entry in information[identifier]:
            need = entry.requirement
            pinned, bounded, specified = pinned or need.pins, bounded or need.bounds, specified or need.specifies
        project = identifier.project
        return (
            project in self.last,
            -min(self._clashes.get(project, 0) // 5, 1),
            not self.shelves.is_direct(project),
            not pinned,
            not bounded,
            self.shelves.order.get(project, len(self.shelves.order)),
            not specified,
            project,
            identifier.extra,
        )

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[Key],
        resolutions: Mapping[Key, Candidate],
        candidates: Mapping[Key, Iterator[Candidate]],
        information: Mapping[Key, Iterator[RequirementInformation[Need, Candidate]]],
        backtrack_causes: Sequence[RequirementInformation[Need, Candidate]],
    ) -> Iterable[Key]:
        """What caused the last clash comes before all else: that finds the next clash soonest."""
        del resolutions, candidates, information
        if not backtrack_causes:
            return identifiers
        identifiers = list(identifiers)
        causing = {cause.requirement.key for cause in backtrack_causes}
        causing.update(cause.parent.key for cause in backtrack_causes if cause.parent is not None)
        return [key for key in identifiers if key in causing] or identifiers

    def note_clash(self, causes: Iterable[RequirementInformation[Need, Candidate]]) -> None:
        """The search met a dead end: what took part in it is looked at earlier from now on."""
        for cause in causes:
            project = cause.requirement.key.project
            self._clashes[project] = self._clashes.get(project, 0) + 1
