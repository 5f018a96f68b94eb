"""What resolvelib's search asks of us: which candidates there are, what each wants, what to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from resolvelib import AbstractProvider
from resolvelib.structs import RequirementInformation

from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import CoreMetadata, ListedFile, Refusal, Rejection
from pypimirror.model.names import NormalizedName, Version
from pypimirror.model.requests import Constraint, FormatControl, Policy, Root, WishSet
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need, needs_of_requirement, parse_requirement
from pypimirror.resolve.shelf import Choice, Shelf, direct_listing

__all__ = ["IMPOSSIBLE", "Provider", "TooManyRefused"]

IMPOSSIBLE = NormalizedName("!")
"""The project of a need that nothing can meet: it stands for a reason why a candidate is refused."""

_BROKEN = frozenset({"metadata-mismatch", "bad-metadata", "bad-wheel", "bad-sdist"})
"""The codes of faults that a file has by itself. A wrong hash or size is another matter: that ends a run."""

_PINNING = ("==", "===")


class TooManyRefused(Exception):
    """So many versions were refused for what they lack that it is time to ask what the search is after."""


class Provider(AbstractProvider[Need, Candidate, Key]):
    """Answers for one set on one target at one patch release.

    ``refused`` collects versions whose metadata rules them out, or that want what can't be had; ``broken`` the faults
    of those whose file is not what it says it is; ``missing`` the projects that no index has. All are evidence for
    ``solve`` and ``explain``. ``last`` are projects to be looked at last.

    After *patience* refused versions TooManyRefused is raised. With *hollow* a version that would be refused is taken
    without what it lacks: then the answer shows what a search without such hindrances takes.
    """

    def __init__(
        self, wishes: WishSet, judge: Judge, index: Index, *, patience: int | None = None, hollow: bool = False
    ) -> None:
        self._patience = patience
        self._hollow = hollow
        self.judge = judge
        self.index = index
        self.refused: dict[tuple[NormalizedName, Version], Rejection] = {}
        self.broken: dict[tuple[NormalizedName, Version], IntegrityFault] = {}
        self.missing: set[NormalizedName] = set()
        self.last: set[NormalizedName] = set()
        self.unknown_extras: set[tuple[NormalizedName, Version, str]] = set()
        self._policy = wishes.policy
        self._wishes = wishes
        self._direct: dict[NormalizedName, list[tuple[ListedFile, tuple[tuple[str, str], ...]]]] = {}
        self._hashes: dict[NormalizedName, frozenset[tuple[str, str]]] = {}
        self._constraints: dict[NormalizedName, list[SpecifierSet]] = {}
        self._order: dict[NormalizedName, int] = {}
        self._gather()
        self._shelves: dict[NormalizedName, Shelf | None] = {}
        self._wants: dict[Candidate, tuple[Need, ...]] = {}
        self._clashes: dict[NormalizedName, int] = {}
        self._bounds: dict[Need, tuple[int, bool]] = {}
        self._constrained: dict[NormalizedName, tuple[int, bool]] = {}

    def _gather(self) -> None:
        """What the roots and constraints say of single projects: a file, hashes, bounds, the order of asking."""
        every: tuple[Root | Constraint, ...] = (*self._wishes.roots, *self._wishes.constraints)
        for written in every:
            project = canonicalize_name(written.requirement.name)
            if written.requirement.marker is not None and not self.judge.marker_holds(written.requirement.marker):
                continue
            if written.direct is not None:
                self._direct.setdefault(project, []).append((written.direct, written.hashes))
            if written.hashes:
                known = self._hashes.get(project)
                given = frozenset(written.hashes)
                self._hashes[project] = given if known is None else known & given
        for constraint in self._wishes.constraints:
            marker = constraint.requirement.marker
            if marker is None or self.judge.marker_holds(marker):
                project = canonicalize_name(constraint.requirement.name)
                self._constraints.setdefault(project, []).append(constraint.requirement.specifier)
        for root in self._wishes.roots:
            self._order.setdefault(canonicalize_name(root.requirement.name), len(self._order))

    # ---- roots and shelves -------------------------------------------------------------------------------------------

    def root_needs(self) -> list[Need]:
        """The needs of every root whose marker holds, in the person's order."""
        needs: list[Need] = []
        for root in self._wishes.roots:
            if root.requirement.marker is None or self.judge.marker_holds(root.requirement.marker):
                needs.extend(needs_of_requirement(root.requirement, root=root))
        return needs

    def shelf(self, project: NormalizedName) -> Shelf | None:
        """The shelf of a project; None where no index has it. Raises what the index raises."""
        if project not in self._shelves:
            self._shelves[project] = self._make_shelf(project)
        return self._shelves[project]

    def _make_shelf(self, project: NormalizedName) -> Shelf | None:
        hashes = self._hashes.get(project)
        if project in self._direct:
            # A file that a person named is that person's choice: formats and missing index hashes don't matter.
            policy = Policy(formats=FormatControl(), allow_unhashed=True)
            return Shelf(direct_listing(project, self._direct[project], hashes or frozenset()), self.judge, policy)
        listing = self.index.listing(project)
        if listing is None:
            self.missing.add(project)
            return None
        if self._policy.require_hashes and hashes is None:
            hashes = frozenset()
        return Shelf(listing, self.judge, self._policy, hashes=hashes)

    def is_direct(self, project: NormalizedName) -> bool:
        return project in self._direct

    # ---- resolvelib's questions -------------------------------------------------------------------------------------

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
        shelf = self.shelf(identifier.project)
        if shelf is None:
            return ()
        excluded = {candidate.version for candidate in incompatibilities[identifier]}
        return lambda: self.candidates(identifier, shelf, needs, excluded)

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        return requirement.admits(candidate.version)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Need]:
        wants = self._wants.get(candidate)
        if wants is None:
            wants = self._wants[candidate] = tuple(self._judge_wants(candidate))
        return wants

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
        needs = [entry.requirement for entry in information[identifier]]
        project = identifier.project
        return (
            project in self.last,
            -min(self._clashes.get(project, 0) // 5, 1),
            project not in self._direct,
            not any(need.pins for need in needs),
            not any(need.bounds for need in needs),
            self._order.get(project, len(self._order)),
            not any(need.specifier for need in needs),
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

    # ---- candidates -------------------------------------------------------------------------------------------------

    def candidates(
        self, key: Key, shelf: Shelf, needs: Sequence[Need], excluded: set[Version] | frozenset[Version]
    ) -> Iterator[Candidate]:
        """The candidates that meet the needs and the constraints, best first, judged one by one."""
        fitting, early = self._fitting(shelf, needs)
        for version in self._in_order(shelf, fitting, needs, early=early):
            if version in excluded:
                continue
            file = self._file(shelf.choice(version), needs)
            if file is not None:
                yield Candidate(key=key, version=version, file=file)

    def _fitting(self, shelf: Shelf, needs: Iterable[Need]) -> tuple[int, bool]:
        """The bits of the versions that the constraints and every need admit; whether pre-releases are asked for."""
        bits, early = self._bounds_of_constraints(shelf)
        for need in needs:
            known = self._bounds.get(need)
            if known is None:
                known = self._bounds[need] = _bounds_of_need(shelf, need)
            bits &= known[0]
            early = early or known[1]
        return bits, early

    def _bounds_of_constraints(self, shelf: Shelf) -> tuple[int, bool]:
        known = self._constrained.get(shelf.project)
        if known is None:
            bits, early = shelf.admitted(SpecifierSet()), self._policy.prereleases or shelf.project in self._direct
            for constraint in self._constraints.get(shelf.project, ()):
                bits &= shelf.admitted(constraint)
                early = early or bool(constraint.prereleases)
            known = self._constrained[shelf.project] = bits, early
        return known

    def admitted(self, project: NormalizedName, version: Version, needs: Iterable[Need]) -> bool:
        """Whether the constraints and every need admit a version, pre-releases aside."""
        constraints = self._constraints.get(project, ())
        return all(need.admits(version) for need in needs) and all(
            constraint.contains(version, prereleases=True) for constraint in constraints
        )

    def _in_order(self, shelf: Shelf, fitting: int, needs: Sequence[Need], *, early: bool) -> Iterator[Version]:
        """Newest first; pre-releases only where asked for, or where nothing else is left (PEP 440)."""
        if not early:
            finals = fitting & shelf.finals
            if any(self._file(shelf.choice(version), needs) is not None for version in shelf.each(finals)):
                fitting = finals
        if self._policy.prefer_binary:
            return iter(sorted(shelf.each(fitting), key=lambda version: shelf.choice(version).is_sdist))
        return shelf.each(fitting)

    def _file(self, choice: Choice, needs: Sequence[Need]) -> ListedFile | None:
        """The file of a version; a yanked one only where somebody pins exactly (PEP 592)."""
        if choice.unyanked is not None:
            return choice.unyanked
        if choice.best is None:
            return None
        project = choice.best.name.project
        pinned = any(
            need.exact is not None or any(clause.operator in _PINNING for clause in _exact(need.specifier))
            for need in needs
        ) or any(_exact(constraint) for constraint in self._constraints.get(project, ()))
        return choice.best if pinned or project in self._direct else None

    # ---- what a candidate wants -------------------------------------------------------------------------------------

    def _judge_wants(self, candidate: Candidate) -> Iterator[Need]:
        if candidate.key.extra:
            base = Key(candidate.key.project)
            text = f"{base}=={candidate.version}"
            yield Need(key=base, specifier=SpecifierSet(), text=text, exact=candidate.version)
        metadata = self._metadata(candidate)
        if isinstance(metadata, Rejection):
            self._note_refused(candidate, metadata)
            if not self._hollow or metadata.reason is Refusal.REQUIRES_PYTHON:
                yield _impossible(metadata.detail)
            return
        needs = list(self._wanted(candidate, metadata))
        self.index.expect({need.key.project for need in needs if need.key.project not in self._direct})
        for need in needs:
            if not self._hollow:
                yield need
                self._note_unobtainable(candidate, need)
            elif need.key.project != IMPOSSIBLE and not self._note_unobtainable(candidate, need):
                yield need

    def _metadata(self, candidate: Candidate) -> CoreMetadata | Rejection:
        """The metadata, or why it rules the version out."""
        try:
            metadata = self.index.core_metadata(candidate.file)
        except ResolutionFault as fault:
            return _rejection(candidate, Refusal.METADATA, str(fault))
        except IntegrityFault as fault:
            if fault.code not in _BROKEN:
                raise
            # Old releases with a wrong PKG-INFO exist. One that the search only looks at must not end it.
            self.broken[candidate.key.project, candidate.version] = fault
            return _rejection(candidate, Refusal.METADATA, str(fault))
        if not self.judge.python_fits(metadata.requires_python):
            return _rejection(candidate, Refusal.REQUIRES_PYTHON, f"needs Python {metadata.requires_python}")
        return metadata

    def _wanted(self, candidate: Candidate, metadata: CoreMetadata) -> Iterator[Need]:
        extra = candidate.key.extra
        if extra and extra not in {canonicalize_name(known) for known in metadata.provides_extra}:
            self.unknown_extras.add((candidate.key.project, candidate.version, extra))
        for text in metadata.requires_dist:
            requirement = parse_requirement(text)
            if requirement is None:
                yield from self._refuse(
                    candidate, Refusal.METADATA, f"its metadata has an unreadable line: {text[:80]}"
                )
                continue
            marker = requirement.marker
            if marker is None:
                holds = not extra
            elif extra:
                holds = self.judge.marker_holds(marker, extra) and not self.judge.marker_holds(marker)
            else:
                holds = self.judge.marker_holds(marker)
            if not holds:
                continue
            if requirement.url is not None:
                yield from self._refuse(candidate, Refusal.DIRECT_DEPENDENCY, f"wants {requirement.name} by URL")
                continue
            yield from needs_of_requirement(requirement)

    def _refuse(self, candidate: Candidate, reason: Refusal, detail: str) -> Iterator[Need]:
        self._note_refused(candidate, _rejection(candidate, reason, detail))
        yield _impossible(detail)

    def _note_refused(self, candidate: Candidate, rejection: Rejection) -> None:
        self.refused[candidate.key.project, candidate.version] = rejection
        if self._patience is not None and len(self.lacking()) > self._patience:
            raise TooManyRefused

    def lacking(self) -> list[tuple[tuple[NormalizedName, Version], Rejection]]:
        """The versions that were refused for what they lack; another Python is no lack. In a stable order."""
        return sorted(
            (item for item in self.refused.items() if item[1].reason is not Refusal.REQUIRES_PYTHON),
            key=lambda item: item[0],
        )

    def _note_unobtainable(self, candidate: Candidate, need: Need) -> bool:
        """A version that wants a project which no index has, or that has nothing for the target, is noted as such."""
        project = need.key.project
        if project == IMPOSSIBLE:
            return False
        shelf = self.shelf(project)
        if shelf is None:
            detail = f"wants {need.text}, and no index has {project}"
        elif not shelf.has_any():
            detail = f"wants {need.text}, and {project} has no file for this target"
        else:
            return False
        if (candidate.key.project, candidate.version) not in self.refused:
            self._note_refused(candidate, _rejection(candidate, Refusal.METADATA, detail))
        return True


def _bounds_of_need(shelf: Shelf, need: Need) -> tuple[int, bool]:
    """The bits of the versions that a need admits, and whether it asks for pre-releases."""
    if need.exact is not None:
        return shelf.exactly(need.exact), need.exact.is_prerelease
    return shelf.admitted(need.specifier), bool(need.specifier.prereleases)


def _impossible(reason: str) -> Need:
    return Need(key=Key(IMPOSSIBLE), specifier=SpecifierSet(), text=reason)


def _rejection(candidate: Candidate, reason: Refusal, detail: str) -> Rejection:
    return Rejection(filename=candidate.file.name.filename, reason=reason, detail=detail, version=candidate.version)


def _exact(specifier: SpecifierSet) -> list[Any]:
    return [c for c in specifier if c.operator in _PINNING and not c.version.endswith(".*")]
