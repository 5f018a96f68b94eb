"""Accepted manifests -> what a tree serves: a pure function, whatever the order in which the bundles arrived.

    within a channel   bundles add up, or only the newest counts (``replace``)
    between channels   layers, the upper first; a project of an upper channel hides the same project below, whole,
                       unless a person let the layers of this one project mix
    withdrawn          a version that was taken back is not served, whichever bundle still lists it

What a page says of a file (yanked, requires-python) and of a project (status) comes from the highest sequence that
lists it. A file name stands for one content, for ever: two are refused.

Each project is composed for itself, from its ``Slice`` of each bundle. So a tree that remembers the slices can take in
a bundle by looking at the projects that this bundle names, and at no others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from pypimirror.errors import PolicyFault
from pypimirror.model.manifest import BundledFile, BundledProject
from pypimirror.model.names import FileName, Label, NormalizedName, Sha256, Version
from pypimirror.tree.slices import Accepted, MadeByName, Slice, Source, in_order, slices_of
from pypimirror.values import dataclass

__all__ = [
    "Accepted",
    "Composition",
    "Layers",
    "Rules",
    "ServedProject",
    "Slice",
    "Source",
    "Withdrawal",
    "compose",
    "compose_project",
    "composing",
    "in_order",
    "layer_order",
    "refuse_twins",
    "slices_of",
]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Withdrawal:
    """A version that a person took back in this tree, from every channel, until it is given back. ``time`` in s."""

    project: NormalizedName
    version: Version
    reason: str
    time: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How layers lie upon each other: ``channels``, the upper first; projects that may mix; what is withdrawn."""

    channels: tuple[Label, ...] = ()
    mixed: frozenset[NormalizedName] = frozenset()
    withdrawn: frozenset[tuple[NormalizedName, Version]] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedProject:
    """One project as its pages show it; ``files`` by version, then by name.

    ``pinned`` are those of them that are yanked, and that a resolution pins exactly all the same.
    """

    name: NormalizedName
    channel: Label
    files: tuple[BundledFile, ...]
    said: BundledProject
    pinned: frozenset[FileName] = frozenset()

    @property
    def status(self) -> str:
        return self.said.status

    @property
    def reason(self) -> str:
        return self.said.reason

    @property
    def versions(self) -> tuple[Version, ...]:
        return tuple(dict.fromkeys(file.version for file in self.files))

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """A project in each channel that has it, the upper first; and what the merged index serves of it.

    A project whose every version was withdrawn is still there, without files, and still hides what lies below.
    """

    by_channel: Mapping[Label, ServedProject]
    merged: ServedProject

    @property
    def files(self) -> Iterator[BundledFile]:
        """Every file of any channel, each once."""
        served = {file.filename: file for project in self.by_channel.values() for file in project.files}
        return iter(served.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """All that the pages are made of.

    ``channels`` from the upper to the lower one. ``bundles`` are the manifests that count, by channel, the newest
    first. ``layers`` by project.
    """

    channels: tuple[Label, ...]
    bundles: tuple[Accepted, ...]
    layers: Mapping[NormalizedName, Layers] = field(default_factory=dict)

    @property
    def projects(self) -> tuple[ServedProject, ...]:
        """The merged index, by name."""
        return tuple(self.layers[name].merged for name in sorted(self.layers))

    @property
    def files(self) -> Iterator[BundledFile]:
        """The files of the merged index."""
        return (file for project in self.projects for file in project.files)


def compose(
    accepted: Iterable[Accepted],
    *,
    channels: Sequence[Label] = (),
    mixed: Collection[NormalizedName] = (),
    withdrawn: Iterable[Withdrawal] = (),
) -> Composition:
    """What a tree with these bundles serves.

    *channels* states the order of the layers, the upper first; channels that it does not name lie below, by name.

    Raises PolicyFault: ``two-contents`` where a file name would stand for two contents, ``two-bundles-one-sequence``
    where a channel holds two bundles of one sequence.
    """
    composition = composing(accepted, channels=channels, mixed=mixed, withdrawn=withdrawn)
    return replace(composition, layers=dict(composition.layers))


def composing(
    accepted: Iterable[Accepted],
    *,
    channels: Sequence[Label] = (),
    mixed: Collection[NormalizedName] = (),
    withdrawn: Iterable[Withdrawal] = (),
) -> Composition:
    """``compose`` for large trees: a project is composed whenever its layers are asked for, and then forgotten.

    It raises what ``compose`` raises; ``two-contents`` when the project is asked for.
    """
    bundles = {each.digest: each for each in accepted}.values()
    refuse_twins(each.source for each in bundles)
    order = layer_order(channels, {each.manifest.channel for each in bundles})
    ranked = sorted(bundles, key=lambda each: (order.index(each.manifest.channel), -each.manifest.sequence))
    rules = Rules(
        channels=order,
        mixed=frozenset(mixed),
        withdrawn=frozenset((each.project, each.version) for each in withdrawn),
    )
    cuts = [slices_of(each) for each in ranked]
    names = {project.name for each in ranked for project in each.manifest.projects}  # each has a file
    return Composition(channels=order, bundles=tuple(ranked), layers=_Layers(names, cuts, rules))


class _Layers(MadeByName[Layers]):
    def __init__(
        self, names: Iterable[NormalizedName], cuts: Sequence[Mapping[NormalizedName, Slice]], rules: Rules
    ) -> None:
        super().__init__(sorted(names))
        self._cuts = cuts
        self._rules = rules

    def __getitem__(self, name: NormalizedName) -> Layers:
        parts = [cut[name] for cut in self._cuts if name in cut]
        layers = compose_project(name, parts, self._rules)
        if layers is None:
            raise KeyError(name)
        return layers


def layer_order(stated: Iterable[Label], present: Collection[Label]) -> tuple[Label, ...]:
    """The channels that are *present*: those that a person stated in their order, the others below them by name."""
    first = [name for name in dict.fromkeys(stated) if name in present]
    return (*first, *sorted(set(present) - set(first)))


def refuse_twins(sources: Iterable[Source]) -> None:
    """Raise PolicyFault where a channel has two bundles of one sequence."""
    seen: dict[tuple[Label, int], Source] = {}
    for source in sources:
        other = seen.setdefault((source.channel, source.sequence), source)
        if other.digest != source.digest:
            first, second = sorted((other.digest, source.digest))
            raise PolicyFault(
                f"channel {source.channel} has two bundles of sequence {source.sequence}: "
                f"sha256 {first} and sha256 {second}",
                code="two-bundles-one-sequence",
                hint="only one of them can be genuine: compare both with what the builder says it made",
            )


# ---- one project ----------------------------------------------------------------------------------------------------


def compose_project(name: NormalizedName, slices: Iterable[Slice], rules: Rules) -> Layers | None:
    """The project as each channel has it, and as the merged index has it; None where no bundle ever had a file of it.

    Raises PolicyFault (``two-contents``).
    """
    ordered = in_order(slices)
    taken: dict[str, Sha256] = {}
    by_channel: dict[Label, ServedProject] = {}
    for channel in rules.channels:
        layer = [each for each in ordered if each.source.channel == channel]
        if any(each.files for each in layer):
            by_channel[channel] = _unite(name, layer, rules, taken)
            for file in by_channel[channel].files:
                taken.update({key: sha256 for key, sha256, _ in _names_of(file)})
    if not by_channel:
        return None
    upper, *lower = by_channel.values()
    if name in rules.mixed:
        upper = _mix(upper, lower)
    exact = frozenset(filename for each in ordered for filename in each.exact)
    served = {channel: _with_pins(project, exact) for channel, project in by_channel.items()}
    return Layers(by_channel=served, merged=_with_pins(upper, exact))


def _with_pins(project: ServedProject, exact: frozenset[FileName]) -> ServedProject:
    pinned = frozenset(f.filename for f in project.files if f.yanked is not None and f.filename in exact)
    return replace(project, pinned=pinned) if pinned else project


def _names_of(file: BundledFile) -> Iterator[tuple[str, Sha256, FileName]]:
    """What a file and its metadata sibling are called, as a file system may take it, which bytes, and as it is spelt.

    Folded, since the tree may come to lie where Foo.whl and foo.whl are one.
    """
    yield file.filename.casefold(), file.sha256, file.filename
    if file.metadata is not None:
        sibling = FileName(f"{file.filename}.metadata")
        yield sibling.casefold(), file.metadata.sha256, sibling


class _Contents:
    """The contents that names stand for in one channel."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[FileName, Sha256, Source]] = {}

    def check(self, file: BundledFile, source: Source) -> None:
        """Raise PolicyFault where a name of *file* stands for other bytes already."""
        for key, sha256, name in _names_of(file):
            first, known, where = self._known.setdefault(key, (name, sha256, source))
            if (first, known) != (name, sha256):
                raise PolicyFault(
                    f"{first} has two contents: sha256 {known} in {where}, sha256 {sha256} in {source}",
                    code="two-contents",
                    hint="a file name stands for one content, for ever; find out which one is genuine, "
                    "leave the other out",
                )


def _unite(name: NormalizedName, layer: Sequence[Slice], rules: Rules, taken: Mapping[str, Sha256]) -> ServedProject:
    """The project in one channel. *layer* has the newest bundle first, so that the first to speak is right.

    Names that are *taken* by an upper channel for other bytes can't be served at all, and are left out.
    """
    files: dict[FileName, BundledFile] = {}
    contents = _Contents()
    withdrawn = {version for project, version in rules.withdrawn if project == name}
    for each in layer:
        for file in each.files:
            if file.version in withdrawn or any(taken.get(key, sha) != sha for key, sha, _ in _names_of(file)):
                continue
            contents.check(file, each.source)
            newest = files.setdefault(file.filename, file)
            if (newest.metadata is None and file.metadata) or (newest.provenance is None and file.provenance):
                files[file.filename] = replace(
                    newest, metadata=newest.metadata or file.metadata, provenance=newest.provenance or file.provenance
                )
        withdrawn |= each.withdrawn  # from here on: what is older
    said = next((each.project for each in layer if each.files), layer[0].project)
    return ServedProject(name=name, channel=layer[0].source.channel, files=_by_version(files.values()), said=said)


def _mix(upper: ServedProject, lower: Iterable[ServedProject]) -> ServedProject:
    files = {file.filename: file for file in upper.files}
    for project in lower:
        for file in project.files:
            files.setdefault(file.filename, file)
    return replace(upper, files=_by_version(files.values()))


def _by_version(files: Iterable[BundledFile]) -> tuple[BundledFile, ...]:
    return tuple(sorted(files, key=lambda file: (file.version, file.filename)))
