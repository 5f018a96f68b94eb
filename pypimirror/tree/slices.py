"""One bundle, cut by project: what it says of each, without having all of it in hand. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pypimirror.model.manifest import BundledFile, BundledProject, Manifest, WrittenRequirement
from pypimirror.model.manifest_lists import files_of
from pypimirror.model.names import FileName, Label, NormalizedName, Sha256, Version
from pypimirror.model.plan import Pin
from pypimirror.values import dataclass

__all__ = ["Accepted", "Cuts", "MadeByName", "Slice", "Source", "in_order", "slices_of"]

_REMEMBERED = 512  # files

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A manifest and the digest of its bytes, which is the bundle's name."""

    digest: Sha256
    manifest: Manifest

    def __str__(self) -> str:
        return str(self.source)

    @property
    def source(self) -> Source:
        return Source(channel=self.manifest.channel, sequence=self.manifest.sequence, digest=self.digest)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Source:
    """The bundle that something was said by."""

    channel: Label
    sequence: int
    digest: Sha256

    def __str__(self) -> str:
        return f"{Manifest.stem_of(self.channel, self.sequence)} (sha256 {self.digest})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """What one bundle says of one project. ``exact`` are the files that it pins exactly, yanked or not.

    ``withdrawn`` are versions that it takes back from the older bundles of its channel.
    """

    source: Source
    project: BundledProject
    files: tuple[BundledFile, ...] = ()
    exact: frozenset[FileName] = frozenset()
    withdrawn: frozenset[Version] = frozenset()


class MadeByName(Mapping[NormalizedName, T], Generic[T]):
    """A mapping whose *names* are known, in their order, and whose values are made when they are asked for."""

    def __init__(self, names: Iterable[NormalizedName]) -> None:
        self._names = dict.fromkeys(names)

    def __iter__(self) -> Iterator[NormalizedName]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


class Cuts(MadeByName[Slice]):
    """What a bundle says of each project that it names; a slice is made when it is asked for."""

    def __init__(self, accepted: Accepted) -> None:
        manifest = accepted.manifest
        self._source = accepted.source
        self._said = {project.name: project for project in manifest.projects}
        self._files = files_of(manifest.files)
        self._exact: dict[NormalizedName, set[FileName]] = {}
        for pin in _exact_pins(manifest):
            self._exact.setdefault(pin.project, set()).add(pin.file)
        self._withdrawn: dict[NormalizedName, set[Version]] = {}
        for each in manifest.withdrawn:
            self._withdrawn.setdefault(each.project, set()).add(each.version)
        self._made: dict[NormalizedName, Slice] = {}
        super().__init__([*self._said, *sorted(self._withdrawn.keys() - self._said.keys())])

    def __getitem__(self, name: NormalizedName) -> Slice:
        if name not in self._names:
            raise KeyError(name)
        if (made := self._made.get(name)) is None:
            if sum(len(each.files) for each in self._made.values()) > _REMEMBERED:
                self._made.clear()
            made = self._made[name] = self._slice(name)
        return made

    def _slice(self, name: NormalizedName) -> Slice:
        return Slice(
            source=self._source,
            project=self._said.get(name) or BundledProject(name=name),
            files=tuple(self._files(name)),
            exact=frozenset(self._exact.get(name, ())),
            withdrawn=frozenset(self._withdrawn.get(name, ())),
        )


def slices_of(accepted: Accepted) -> Mapping[NormalizedName, Slice]:
    """What a bundle says of each project that it names."""
    return Cuts(accepted)


def _exact_pins(manifest: Manifest) -> Iterator[Pin]:
    constraints: Mapping[Label, tuple[WrittenRequirement, ...]] = {
        each.name: each.constraints for each in manifest.sets
    }
    for resolution in manifest.resolutions:
        exact = [written.requirement for written in constraints.get(resolution.set, ()) if "==" in written.requirement]
        for pin in resolution.pins:
            texts = [want.text for want in pin.wanted_by if "==" in want.text]
            if any(_is_exact(text, pin) for text in (*texts, *exact)):
                yield pin


def _is_exact(text: str, pin: Pin) -> bool:
    """Whether *text* pins the project as PEP 592 wants it for a yanked file: ``==`` without a wildcard, or ``===``."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return False
    if canonicalize_name(requirement.name) != pin.project:  # a constraint of something else
        return False
    return any(
        clause.operator == "===" or (clause.operator == "==" and not clause.version.endswith(".*"))
        for clause in requirement.specifier
    )


def in_order(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    """The newest first, whatever the order in which the bundles arrived."""
    return tuple(sorted(slices, key=lambda each: (-each.source.sequence, each.source.channel)))
