"""Pins, resolutions, and the plan that unites them. Nothing is fetched yet."""

from __future__ import annotations

from pypimirror.model.files import CoreMetadata, ListedFile, ProjectStatus, Rejection
from pypimirror.model.names import FileName, Label, NormalizedName, Version
from pypimirror.model.requests import WishSet
from pypimirror.model.targets import PatchRange, Target
from pypimirror.values import dataclass

__all__ = ["Pin", "Plan", "PlannedFile", "Resolution", "Uncovered", "VerifiedFile", "Want"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Want:
    """Who asked for a pin: ``by`` is ``file:line`` of a root or ``project==version``; ``text`` the requirement."""

    by: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One project at one version in one resolution, with the file that this target installs and who wanted it.

    ``extras`` are those in use, normalised and sorted. ``passed_over`` are files of this version, and newer versions,
    that were looked at and refused: the evidence travels with the answer.
    """

    project: NormalizedName
    version: Version
    file: FileName
    extras: tuple[str, ...] = ()
    wanted_by: tuple[Want, ...] = ()
    passed_over: tuple[Rejection, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """The pins of one set on one target, for an interval of its patch releases; pins sorted by project."""

    set: Label
    target: Label
    patches: PatchRange
    pins: tuple[Pin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Uncovered:
    """An older interval of patch releases for which a set can't be solved, and why."""

    set: Label
    target: Label
    patches: PatchRange
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFile:
    """One file of the plan, once, however many resolutions want it."""

    listed: ListedFile
    metadata: CoreMetadata

    @property
    def filename(self) -> FileName:
        return self.listed.name.filename


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All resolutions united. ``files`` sorted by file name; ``notes`` are sentences that a person should read."""

    targets: tuple[Target, ...]
    sets: tuple[WishSet, ...]
    resolutions: tuple[Resolution, ...]
    uncovered: tuple[Uncovered, ...]
    files: tuple[PlannedFile, ...]
    statuses: tuple[tuple[NormalizedName, ProjectStatus], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedFile:
    """A planned file whose bytes lie on the local disk and hash as claimed.

    ``path`` is the file, ``metadata_path`` one that ends with its exact METADATA (None for an sdist). ``index_hash``
    tells whether the index claimed a sha256, or ours is the first. ``provenance_path`` is None where the index offers
    none, or has lost it. ``stamp`` is what the file system said of the file when it was hashed (``disk.stamp``), where
    it was asked.
    """

    planned: PlannedFile
    path: str
    sha256: str
    size: int
    metadata_path: str | None
    metadata_sha256: str | None
    metadata_size: int | None
    index_hash: bool = True
    provenance_path: str | None = None
    provenance_sha256: str | None = None
    provenance_size: int | None = None
    stamp: tuple[int, ...] | None = None
