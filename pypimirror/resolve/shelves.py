"""Shelves: what may be chosen of each project, after all that the roots and constraints say of it by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name

from pypimirror.index.port import Index
from pypimirror.model.files import ListedFile
from pypimirror.model.names import NormalizedName, Version
from pypimirror.model.requests import Constraint, FormatControl, Policy, Root, WishSet
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need, needs_of_requirement
from pypimirror.resolve.shelf import Choice, Shelf, direct_listing

__all__ = ["Shelves"]

_PINNING = ("==", "===")


class Shelves:
    """The shelves of one set on one target at one patch release, each made when it is first asked for.

    ``missing`` are the projects that no index has, ``order`` the places of the roots in the person's order.
    """

    def __init__(self, wishes: WishSet, judge: Judge, index: Index) -> None:
        self.missing: set[NormalizedName] = set()
        self.order: dict[NormalizedName, int] = {}
        self._judge = judge
        self._index = index
        self._policy = wishes.policy
        self._wishes = wishes
        self._direct: dict[NormalizedName, list[tuple[ListedFile, tuple[tuple[str, str], ...]]]] = {}
        self._hashes: dict[NormalizedName, frozenset[tuple[str, str]]] = {}
        self._constraints: dict[NormalizedName, list[SpecifierSet]] = {}
        self._gather()
        self._shelves: dict[NormalizedName, Shelf | None] = {}
        self._bounds: dict[Need, tuple[int, bool]] = {}
        self._constrained: dict[NormalizedName, tuple[int, bool]] = {}

    def _gather(self) -> None:
        """What the roots and constraints say of single projects: a file, hashes, bounds, the order of asking."""
        every: tuple[Root | Constraint, ...] = (*self._wishes.roots, *self._wishes.constraints)
        for written in every:
            project = canonicalize_name(written.requirement.name)
            if written.requirement.marker is not None and not self._judge.marker_holds(written.requirement.marker):
                continue
            if written.direct is not None:
                self._direct.setdefault(project, []).append((written.direct, written.hashes))
            if written.hashes:
                known = self._hashes.get(project)
                given = frozenset(written.hashes)
                self._hashes[project] = given if known is None else known & given
        for constraint in self._wishes.constraints:
            marker = constraint.requirement.marker
            if marker is None or self._judge.marker_holds(marker):
                project = canonicalize_name(constraint.requirement.name)
                self._constraints.setdefault(project, []).append(constraint.requirement.specifier)
        for root in self._wishes.roots:
            self.order.setdefault(canonicalize_name(root.requirement.name), len(self.order))

    def root_needs(self) -> list[Need]:
        """The needs of every root whose marker holds, in the person's order."""
        needs: list[Need] = []
        for root in self._wishes.roots:
            if root.requirement.marker is None or self._judge.marker_holds(root.requirement.marker):
                needs.extend(needs_of_requirement(root.requirement, root=root))
        return needs

    def of(self, project: NormalizedName) -> Shelf | None:
        """The shelf of a project; None where no index has it. Raises what the index raises."""
        if project not in self._shelves:
            self._shelves[project] = self._make_shelf(project)
        return self._shelves[project]

    def _make_shelf(self, project: NormalizedName) -> Shelf | None:
        hashes = self._hashes.get(project)
        if project in self._direct:
            # A file that a person named is that person's choice: formats and missing index hashes don't matter.
            policy = Policy(formats=FormatControl(), allow_unhashed=True, withdrawn=self._policy.withdrawn)
            return Shelf(direct_listing(project, self._direct[project], hashes or frozenset()), self._judge, policy)
        listing = self._index.listing(project)
        if listing is None:
            self.missing.add(project)
            return None
        if self._policy.require_hashes and hashes is None:
            hashes = frozenset()
        return Shelf(listing, self._judge, self._policy, hashes=hashes)

    def is_direct(self, project: NormalizedName) -> bool:
        return project in self._direct

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

    def fitting(self, shelf: Shelf, needs: Iterable[Need]) -> Iterator[Version]:
        """The versions that the constraints and every need admit, pre-releases aside, newest first."""
        return shelf.each(self._fitting(shelf, needs)[0])

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


def _bounds_of_need(shelf: Shelf, need: Need) -> tuple[int, bool]:
    """The bits of the versions that a need admits, and whether it asks for pre-releases."""
    if need.exact is not None:
        return shelf.exactly(need.exact), need.exact.is_prerelease
    return shelf.admitted(need.specifier), bool(need.specifier.prereleases)


def _exact(specifier: SpecifierSet) -> list[Specifier]:
    return [c for c in specifier if c.operator in _PINNING and not c.version.endswith(".*")]
