"""One set on one target at one patch release: the search, and the walk that proves its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from resolvelib import BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.structs import RequirementInformation

from pypimirror.errors import ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import Refusal, Rejection
from pypimirror.model.names import NormalizedName
from pypimirror.model.plan import Pin, Want
from pypimirror.model.requests import WishSet
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need
from pypimirror.resolve.provider import Provider
from pypimirror.resolve.repair import PlainResolution, RepairedResolution

__all__ = ["Clash", "Solution", "solve"]

FIRST_ROUNDS = 4_000
PLAIN_ROUNDS = 500
MAX_ROUNDS = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """The pins, the candidates behind them, and sentences that a person should read."""

    pins: tuple[Pin, ...]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


class _Watch(BaseReporter[Need, Candidate, Key]):
    """Tells the provider of dead ends, and remembers who wanted what."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.last_want: dict[Key, tuple[Candidate | None, Need]] = {}

    def adding_requirement(self, requirement: Need, parent: Candidate | None) -> None:
        known = self.last_want.get(requirement.key)
        # A root's own want is the shortest way up: it is never overwritten.
        if known is None or known[0] is not None:
            self.last_want[requirement.key] = (parent, requirement)

    def resolving_conflicts(self, causes: Iterable[RequirementInformation[Need, Candidate]]) -> None:
        self._provider.note_clash(causes)


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

    def wanted_by(self, key: Key) -> tuple[Candidate | None, Need] | None:
        """Who wanted a key when the search last met it; for the way from a clash up to a root."""
        return self._watch.last_want.get(key)


def _search(wishes: WishSet, judge: Judge, index: Index) -> tuple[Provider, dict[Key, Candidate]]:
    """The repaired search; where that ends without an answer, the plain one has a short try at it.

    Where the repaired one neither ends nor fails, it may run in a circle, or have much to do: it gets more time last.
    """
    provider = Provider(wishes, judge, index)
    needs = provider.root_needs()
    index.expect({need.key.project for need in needs if not provider.is_direct(need.key.project)})
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
            return provider, dict(state.mapping)
    if clash is not None:
        raise clash
    raise ResolutionFault(
        f"set {wishes.name} on {judge.target.name}: no answer after {MAX_ROUNDS} steps of the search",
        code="too-deep",
        hint="give tighter bounds for the projects that have very many versions",
    )


def solve(wishes: WishSet, judge: Judge, index: Index, *, accept_older: bool = False) -> Solution:
    """Solve, walk the answer from the roots, and check every edge of it.

    Raises Clash; ResolutionFault where an older version would be taken in silence since a newer one wants what can't
    be had, or has metadata that only a build can tell (*accept_older* permits it: behind the gap, nothing newer can be
    had); and what the index raises. The judge's breakpoints are complete in each of these cases.
    """
    provider, mapping = _search(wishes, judge, index)
    wants = _walk(provider, mapping)
    if not accept_older:
        _refuse_silent_age(provider, mapping, wants)
    candidates = tuple(mapping[key] for key in sorted(wants))
    return Solution(
        pins=tuple(_pin(key.project, mapping, wants, provider) for key in sorted(wants) if not key.extra),
        candidates=candidates,
        notes=tuple(_notes(provider, mapping, wants)),
    )


def _walk(provider: Provider, mapping: Mapping[Key, Candidate]) -> dict[Key, list[tuple[Candidate | None, Need]]]:
    """Everything that the roots reach, with who wants it. What they don't reach was left over by the search."""
    wants: dict[Key, list[tuple[Candidate | None, Need]]] = {}
    queue: list[tuple[Candidate | None, Need]] = [(None, need) for need in provider.root_needs()]
    while queue:
        parent, need = queue.pop()
        candidate = mapping.get(need.key)
        if candidate is None or not need.admits(candidate.version):
            raise AssertionError(
                f"the search returned {candidate} for {need.text}: a fault of pypimirror, please report"
            )
        known = wants.setdefault(need.key, [])
        if not known:
            queue.extend((candidate, each) for each in provider.get_dependencies(candidate))
        known.append((parent, need))
    return wants


def _pin(
    project: NormalizedName,
    mapping: Mapping[Key, Candidate],
    wants: Mapping[Key, list[tuple[Candidate | None, Need]]],
    provider: Provider,
) -> Pin:
    candidate = mapping[Key(project)]
    keys = [key for key in wants if key.project == project]
    by = {
        Want(by=_who(parent, need), text=need.text)
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
    shelf = provider.shelf(candidate.key.project)
    if shelf is None:
        return ()
    newer = [
        version
        for version in shelf.versions
        if version > candidate.version
        and not version.is_prerelease
        and provider.admitted(candidate.key.project, version, needs)
        and shelf.choice(version).best is None
    ]
    return tuple(shelf.rejections((*newer, candidate.version)))


def _who(parent: Candidate | None, need: Need) -> str:
    if parent is not None:
        return f"{parent.key.project}=={parent.version}"
    return str(need.root.origin) if need.root is not None else "?"


def _refuse_silent_age(
    provider: Provider,
    mapping: Mapping[Key, Candidate],
    wants: Mapping[Key, list[tuple[Candidate | None, Need]]],
) -> None:
    """A newer version that fits every need was passed over for what it lacks: that is for a person to decide."""
    for (project, version), rejection in sorted(provider.refused.items()):
        chosen = mapping.get(Key(project))
        if chosen is None or Key(project) not in wants or version <= chosen.version:
            continue
        if rejection.reason not in (Refusal.METADATA, Refusal.DIRECT_DEPENDENCY):
            continue
        needs = [need for key in wants if key.project == project for _, need in wants[key]]
        shelf = provider.shelf(project)
        if shelf is None or not provider.admitted(project, version, needs):
            continue
        newer = next(
            (c for c in provider.candidates(Key(project), shelf, needs, frozenset()) if c.version == version), None
        )
        if newer is not None and not _clashes(provider, newer, mapping):
            raise _older_version(project, rejection, chosen, needs)


def _clashes(provider: Provider, candidate: Candidate, mapping: Mapping[Key, Candidate]) -> bool:
    """Whether a candidate wants another version of what is pinned: then that ruled it out, not what it lacks."""
    pinned = ((need, mapping.get(need.key)) for need in provider.get_dependencies(candidate))
    return any(pin is not None and not need.admits(pin.version) for need, pin in pinned)


def _older_version(
    project: NormalizedName, rejection: Rejection, chosen: Candidate, needs: list[Need]
) -> ResolutionFault:
    wanted = " and ".join(sorted({need.text for need in needs}))
    return ResolutionFault(
        f"{project} {rejection.version} would be taken for {wanted}, but {rejection.detail}; "
        f"the newest that can be had is {chosen.version}",
        code="older-version",
        hint=f"to accept the older version, add the constraint '{project}<={chosen.version}'",
    )


def _notes(
    provider: Provider,
    mapping: Mapping[Key, Candidate],
    wants: Mapping[Key, list[tuple[Candidate | None, Need]]],
) -> Iterable[str]:
    for project, version, extra in sorted(provider.unknown_extras):
        if Key(project, extra) in wants and mapping[Key(project)].version == version:
            yield f"{project} {version} has no extra {extra!r}"
