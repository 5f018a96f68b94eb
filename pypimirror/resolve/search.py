"""The search: resolvelib's, repaired, with the plain one to fall back on; and the walk over its answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from resolvelib import BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.structs import RequirementInformation

from pypimirror.errors import ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.requests import WishSet
from pypimirror.resolve.dependencies import IMPOSSIBLE
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need
from pypimirror.resolve.provider import Provider
from pypimirror.resolve.repair import PlainResolution, RepairedResolution

__all__ = ["Clash", "Wants", "search", "search_hollow", "walk"]

FIRST_ROUNDS = 4_000
PLAIN_ROUNDS = 500
SETTLE_ROUNDS = 300
MAX_ROUNDS = 30_000
_MAX_AGAIN = 3

Wants = Mapping[Key, "list[tuple[Candidate | None, Need]]"]
"""What the roots reach, each with everybody who wants it: a candidate, or None for a root."""


class _Watch(BaseReporter[Need, Candidate, Key]):
    """Tells the provider of dead ends, and remembers who wanted what."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.last_want: dict[Key, tuple[Candidate | None, Need]] = {}
        self.first_clash: tuple[RequirementInformation[Need, Candidate], ...] = ()

    def adding_requirement(self, requirement: Need, parent: Candidate | None) -> None:
        known = self.last_want.get(requirement.key)
        # A root's own want is the shortest way up: it is never overwritten.
        if known is None or known[0] is not None:
            self.last_want[requirement.key] = (parent, requirement)

    def resolving_conflicts(self, causes: Iterable[RequirementInformation[Need, Candidate]]) -> None:
        causes = tuple(causes)
        self._provider.note_clash(causes)
        if not self.first_clash and all(cause.requirement.key.project != IMPOSSIBLE for cause in causes):
            self.first_clash = causes


class Clash(Exception):
    """The search failed: a finding, not yet an error; ``explain`` makes one of it.

    ``causes`` are the needs that can't be met together, with who has them (None: a root).
    """

    def __init__(
        self, causes: Iterable[RequirementInformation[Need, Candidate]], provider: Provider, watch: _Watch
    ) -> None:
        super().__init__()
        self.causes = tuple(causes)
        self.provider = provider
        self._watch = watch

    def telling_causes(self) -> tuple[RequirementInformation[Need, Candidate], ...]:
        """The causes; or those of the first clash, where the last are only what lay at the bottom of the barrel."""
        if self._watch.first_clash and any(cause.requirement.key.project == IMPOSSIBLE for cause in self.causes):
            return self._watch.first_clash
        return self.causes

    def wanted_by(self, key: Key) -> tuple[Candidate | None, Need] | None:
        """Who wanted a key when the search last met it; for the way from a clash up to a root."""
        return self._watch.last_want.get(key)


def search(
    wishes: WishSet, judge: Judge, index: Index, *, patience: int | None = None
) -> tuple[Provider, dict[Key, Candidate]]:
    """The repaired search; where that ends without an answer, the plain one has a short try at it.

    Where the repaired one neither ends nor fails, it may run in a circle, or have much to do: it gets more time last.
    Raises TooManyRefused after *patience* refused versions.
    """
    provider = Provider(wishes, judge, index, patience=patience)
    needs = provider.shelves.root_needs()
    index.expect({need.key.project for need in needs if not provider.shelves.is_direct(need.key.project)})
    watch = _Watch(provider)
    clash: Clash | None = None
    for resolution, rounds in (
        (RepairedResolution(provider, watch), FIRST_ROUNDS),
        (PlainResolution(provider, BaseReporter()), PLAIN_ROUNDS),
        (RepairedResolution(provider, watch), MAX_ROUNDS),
    ):
        if clash is not None and rounds == MAX_ROUNDS:
            break
        try:
            state = resolution.resolve(needs, max_rounds=rounds)
        except ResolutionImpossible as impossible:
            clash = clash or Clash(impossible.causes, provider, watch)
        except ResolutionTooDeep:
            continue
        else:
            forgotten = resolution.forgotten if isinstance(resolution, RepairedResolution) else frozenset[Key]()
            return provider, _settled(provider, watch, forgotten, state.mapping)
    if clash is not None:
        _raise_broken(clash)
        raise clash
    raise ResolutionFault(
        f"set {wishes.name} on {judge.target.name}: no answer after {MAX_ROUNDS} steps of the search",
        code="too-deep",
        hint="give tighter bounds for the projects that have very many versions",
    )


def _settled(
    provider: Provider, watch: _Watch, forgotten: Collection[Key], mapping: Mapping[Key, Candidate]
) -> dict[Key, Candidate]:
    """The answer of a search in which no pin became invalid, where one is soon found; else the one there is."""
    for _ in range(_MAX_AGAIN):
        if not forgotten:
            break
        provider.last.update(key.project for key in forgotten)
        again = RepairedResolution(provider, watch)
        try:
            state = again.resolve(provider.shelves.root_needs(), max_rounds=SETTLE_ROUNDS)
        except (ResolutionImpossible, ResolutionTooDeep):
            break
        forgotten = again.forgotten
        if not forgotten:
            return dict(state.mapping)
    return dict(mapping)


def _raise_broken(clash: Clash) -> None:
    """A search that failed over a file that is not what it says it is: that is the fault to tell."""
    for cause in clash.causes:
        if cause.parent is not None and cause.requirement.key.project == IMPOSSIBLE:
            fault = clash.provider.dependencies.broken.get((cause.parent.key.project, cause.parent.version))
            if fault is not None:
                raise fault


def search_hollow(wishes: WishSet, judge: Judge, index: Index) -> tuple[Provider, Mapping[Key, Candidate]] | None:
    """What a search would take to which it does not matter what versions lack; None where it finds no end.

    Raises Clash where even that has no answer: then a search that minds has none either.
    """
    provider = Provider(wishes, judge, index, hollow=True)
    watch = _Watch(provider)
    clash: Clash | None = None
    for resolution, rounds in (
        (RepairedResolution(provider, watch), FIRST_ROUNDS),
        (PlainResolution(provider, BaseReporter()), PLAIN_ROUNDS),
    ):
        try:
            state = resolution.resolve(provider.shelves.root_needs(), max_rounds=rounds)
        except ResolutionImpossible as impossible:
            clash = clash or Clash(impossible.causes, provider, watch)
        except ResolutionTooDeep:
            continue
        else:
            return provider, state.mapping
    if clash is not None:
        raise clash
    return None


def walk(provider: Provider, mapping: Mapping[Key, Candidate]) -> Wants:
    """Everything that the roots reach, with who wants it. What they don't reach was left over by the search."""
    wants: dict[Key, list[tuple[Candidate | None, Need]]] = {}
    queue: list[tuple[Candidate | None, Need]] = [(None, need) for need in provider.shelves.root_needs()]
    while queue:
        parent, need = queue.pop()
        candidate = mapping.get(need.key)
        if candidate is None or not need.admits(candidate.version):
            raise AssertionError(
                f"the search returned {candidate} for {need.text}: a fault of pypimirror, please report"
            )
        known = wants.setdefault(need.key, [])
        if not known:
            queue.extend((candidate, each) for each in provider.dependencies.of(candidate))
        known.append((parent, need))
    return wants
