"""What a search will probably take, found without searching: for whoever fetches ahead of it.

A guess takes the best version that everybody who was met so far admits, and never steps back. Nothing that is guessed
here reaches an answer: a wrong guess costs a request, and no more.
"""

from __future__ import annotations

from pypimirror.index.port import Index
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import NormalizedName
from pypimirror.model.requests import WishSet
from pypimirror.model.targets import Target
from pypimirror.resolve.dependencies import IMPOSSIBLE, Dependencies
from pypimirror.resolve.judge import NEWEST_PATCH, Judge
from pypimirror.resolve.needs import Candidate, Key, Need
from pypimirror.resolve.shelves import Shelves

__all__ = ["Guesses"]


class Guesses:
    """The guesses for one set on one target, at its newest patch release. *index* is asked for listings alone."""

    def __init__(self, wishes: WishSet, target: Target, index: Index) -> None:
        highest = target.patches.highest
        judge = Judge(target, NEWEST_PATCH if highest is None else highest)
        self._shelves = Shelves(wishes, judge, index)
        self._dependencies = Dependencies(self._shelves, judge, index)
        self._needs: dict[NormalizedName, list[Need]] = {}
        self._met: set[tuple[Key, str]] = set()
        self._guessed: set[Candidate] = set()

    def roots(self) -> list[Need]:
        """What is wanted before anything is known."""
        return [need for need in self._shelves.root_needs() if self._is_new(need)]

    def best(self, key: Key) -> Candidate | None:
        """The candidate for *key* as things stand; None where there is none, or it was guessed before.

        Raises what the index raises.
        """
        shelf = self._shelves.of(key.project)
        if shelf is None:
            return None
        candidate = next(self._shelves.candidates(key, shelf, self._needs[key.project], frozenset()), None)
        if candidate is None or candidate in self._guessed:
            return None
        self._guessed.add(candidate)
        return candidate

    def wanted(self, candidate: Candidate, metadata: CoreMetadata) -> list[Need]:
        """What a candidate wants that was not met before."""
        return [need for need in self._dependencies.wanted(candidate, metadata) if self._is_new(need)]

    def _is_new(self, need: Need) -> bool:
        known = (need.key, str(need.specifier))
        if known in self._met or need.key.project == IMPOSSIBLE:
            return False
        self._met.add(known)
        self._needs.setdefault(need.key.project, []).append(need)
        return True
