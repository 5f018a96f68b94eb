"""Accepted manifests -> what a tree serves: a pure function, whatever the order in which the bundles arrived.

    within a channel   bundles add up, or only the newest counts (``replace``)
    between channels   layers, the upper first; a project of an upper channel hides the same project below, whole

What a page says of a file (yanked, requires-python) and of a project (status) comes from the highest sequence that
lists it. A file name stands for one content, for ever: two are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pypimirror.errors import PolicyFault
from pypimirror.model.manifest import BundledFile, BundledProject, Manifest, WrittenRequirement
from pypimirror.model.names import FileName, Label, NormalizedName, Sha256, Version
from pypimirror.model.plan import Pin

__all__ = ["Accepted", "Composition", "ServedProject", "compose"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A manifest and the digest of its bytes, which is the bundle's name."""

    digest: Sha256
    manifest: Manifest

    def __str__(self) -> str:
        return f"{self.manifest.stem} (sha256 {self.digest})"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedProject:
    """One project as its pages show it; ``files`` by version, then by name."""

    name: NormalizedName
    channel: Label
    files: tuple[BundledFile, ...]
    status: str = "active"
    reason: str = ""

    @property
    def versions(self) -> tuple[Version, ...]:
        return tuple(dict.fromkeys(file.version for file in self.files))

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """All that the pages are made of.

    ``channels`` from the upper to the lower one. ``bundles`` are the manifests that count, by channel, the newest
    first. ``projects`` by name. ``pinned`` are yanked files that a resolution pins exactly all the same.
    """

    channels: tuple[Label, ...]
    bundles: tuple[Accepted, ...]
    projects: tuple[ServedProject, ...]
    pinned: frozenset[FileName]

    @property
    def files(self) -> Iterator[BundledFile]:
        return (file for project in self.projects for file in project.files)


def compose(
    accepted: Iterable[Accepted], *, channels: Sequence[Label] = (), replaced: Collection[Label] = ()
) -> Composition:
    """What a tree with these bundles serves.

    *channels* states the order of the layers, the upper first; channels that it does not name lie below, by name.
    In the channels named by *replaced* only the newest bundle counts.

    Raises PolicyFault: ``two-contents`` where a file name would stand for two contents, ``two-bundles-one-sequence``
    where a channel holds two bundles of one sequence.
    """
    by_channel = _by_channel({each.digest: each for each in accepted}.values())
    order = [name for name in dict.fromkeys(channels) if name in by_channel]
    order += sorted(by_channel.keys() - set(order))
    bundles: list[Accepted] = []
    projects: dict[NormalizedName, ServedProject] = {}
    for channel in order:
        layer = by_channel[channel][:1] if channel in replaced else by_channel[channel]
        bundles += layer
        for project in _unite(channel, layer):
            projects.setdefault(project.name, project)
    served = tuple(projects[name] for name in sorted(projects))
    return Composition(
        channels=tuple(order), bundles=tuple(bundles), projects=served, pinned=_pinned_though_yanked(bundles, served)
    )


def _by_channel(accepted: Iterable[Accepted]) -> dict[Label, list[Accepted]]:
    """The bundles of each channel, the newest first."""
    by_channel: dict[Label, dict[int, Accepted]] = {}
    for each in accepted:
        sequences = by_channel.setdefault(each.manifest.channel, {})
        other = sequences.setdefault(each.manifest.sequence, each)
        if other is not each:
            first, second = sorted((other, each), key=lambda one: one.digest)
            raise PolicyFault(
                f"channel {each.manifest.channel} has two bundles of sequence {each.manifest.sequence}: "
                f"sha256 {first.digest} and sha256 {second.digest}",
                code="two-bundles-one-sequence",
                hint="only one of them can be genuine: compare both with what the builder says it made",
            )
    return {
        channel: [sequences[number] for number in sorted(sequences, reverse=True)]
        for channel, sequences in by_channel.items()
    }


def _unite(channel: Label, layer: Sequence[Accepted]) -> Iterator[ServedProject]:
    """The projects of one channel. *layer* has the newest bundle first, so that the first to speak is right."""
    files: dict[str, tuple[BundledFile, Accepted]] = {}
    statuses: dict[NormalizedName, BundledProject] = {}
    for bundle in layer:
        for project in bundle.manifest.projects:
            statuses.setdefault(project.name, project)
        for file in bundle.manifest.files:
            # Folded, since the tree may come to lie on a file system that takes Foo.whl and foo.whl for one.
            newest, owner = files.setdefault(file.filename.casefold(), (file, bundle))
            if newest is file:
                continue
            _check_same(newest, owner, file, bundle)
            if newest.metadata is None and file.metadata is not None:
                files[file.filename.casefold()] = (replace(newest, metadata=file.metadata), owner)
    by_project: dict[NormalizedName, list[BundledFile]] = {}
    for file, _ in files.values():
        by_project.setdefault(file.project, []).append(file)
    for name, members in by_project.items():
        said = statuses.get(name) or BundledProject(name=name)
        members.sort(key=lambda file: (file.version, file.filename))
        yield ServedProject(name=name, channel=channel, files=tuple(members), status=said.status, reason=said.reason)


def _check_same(newer: BundledFile, in_newer: Accepted, older: BundledFile, in_older: Accepted) -> None:
    """One name, one content: for the file, and for the metadata sibling beside it."""
    hashes = [(newer.filename, newer.sha256, older.sha256)]
    if newer.metadata is not None and older.metadata is not None:
        hashes.append((FileName(f"{newer.filename}.metadata"), newer.metadata.sha256, older.metadata.sha256))
    for name, one, other in hashes:
        if one != other:
            raise PolicyFault(
                f"{name} has two contents: sha256 {one} in {in_newer}, sha256 {other} in {in_older}",
                code="two-contents",
                hint="a file name stands for one content, for ever; find out which one is genuine, leave the other out",
            )


# ---- yanked files that are wanted all the same ----------------------------------------------------------------------


def _pinned_though_yanked(bundles: Iterable[Accepted], projects: Iterable[ServedProject]) -> frozenset[FileName]:
    yanked = {file.filename for project in projects for file in project.files if file.yanked is not None}
    if not yanked:
        return frozenset()
    return frozenset(name for bundle in bundles for name in _exact_pins(bundle.manifest, yanked))


def _exact_pins(manifest: Manifest, among: Collection[FileName]) -> Iterator[FileName]:
    constraints: Mapping[Label, tuple[WrittenRequirement, ...]] = {
        each.name: each.constraints for each in manifest.sets
    }
    for resolution in manifest.resolutions:
        for pin in resolution.pins:
            if pin.file not in among:
                continue
            texts = [want.text for want in pin.wanted_by]
            texts += [written.requirement for written in constraints.get(resolution.set, ())]
            if any(_is_exact(text, pin) for text in texts):
                yield pin.file


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
