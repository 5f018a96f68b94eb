"""What a bundle says of itself: the only type that both sides of the gap know.

The manifest is always the full list of what its resolutions install, whether or not this bundle carries every file
(a delta does not). Its canonical JSON (``manifest_json``) is what is hashed: that sha256 is the bundle's name. No URL
is in it but those that a project publishes of itself (PEP 708), no clock is read for it: the sequence is an input.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timezone

from pypimirror.model.files import LearntFrom
from pypimirror.model.names import FileName, Label, NormalizedName, Sha256, Version
from pypimirror.model.plan import Resolution, Uncovered
from pypimirror.model.targets import Target
from pypimirror.values import dataclass

__all__ = [
    "FORMAT",
    "BuildRecord",
    "BundledFile",
    "BundledProject",
    "BundledSet",
    "Manifest",
    "Member",
    "Sidecar",
    "WithdrawnVersion",
    "WrittenRequirement",
    "provenance_path",
]

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """Bytes that belong to a file: its ``.metadata`` sibling, or its provenance. Size in bytes."""

    sha256: Sha256
    size: int


def provenance_path(filename: FileName, sha256: str) -> str:
    """Where the provenance of a file stands, given its digest.

    An index may add to a provenance (PEP 740), and a path stands for one content: so the digest is in the name.
    """
    return f"packages/{filename}.{sha256[:16]}.provenance"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledFile:
    """One file of the bundle, with all that pages and a later solve need of it. ``index`` is a name, never a URL.

    ``index_hash`` tells whether the index claimed the sha256 or the builder computed the first one.
    ``build_requires`` is None for a wheel; it, ``languages`` and ``learnt_from`` are those of ``CoreMetadata``.
    """

    filename: FileName
    project: NormalizedName
    version: Version
    sha256: Sha256
    size: int
    requires_python: str | None
    requires_dist: tuple[str, ...]
    provides_extra: tuple[str, ...]
    yanked: str | None
    upload_time: str | None
    metadata: Sidecar | None
    index: str
    index_hash: bool = True
    build_requires: tuple[str, ...] | None = None
    languages: tuple[str, ...] = ()
    learnt_from: LearntFrom = "stated"
    provenance: Sidecar | None = None

    @property
    def path(self) -> str:
        return f"packages/{self.filename}"

    @property
    def metadata_path(self) -> str:
        """Where its metadata sibling stands, if it has one (PEP 658)."""
        return f"{self.path}.metadata"

    @property
    def provenance_path(self) -> str:
        """Where its provenance stands; empty where it has none."""
        return "" if self.provenance is None else provenance_path(self.filename, self.provenance.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledProject:
    """What the index says of a whole project: as ``ProjectStatus`` has it (PEP 792 and 708)."""

    name: NormalizedName
    status: str = "active"
    reason: str = ""
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenRequirement:
    """A root or a constraint as it was written, and where. ``hashes`` as ``algorithm:digest``.

    ``filename`` is the one file that a direct reference or a local path meant, else None.
    """

    requirement: str
    origin: str
    hashes: tuple[str, ...] = ()
    filename: FileName | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledSet:
    """A set with what its resolutions were made of, so that the closed side can solve it again.

    ``builds`` is None for what a person asked for; else the sdist that is built with what this set resolves to.
    """

    name: Label
    roots: tuple[WrittenRequirement, ...]
    constraints: tuple[WrittenRequirement, ...] = ()
    prereleases: bool = False
    only_binary: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    prefer_binary: bool = False
    builds: FileName | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of the bundle that is neither the manifest, nor a file, nor a sidecar: a page, a README, a lock."""

    path: str
    size: int
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRecord:
    """A source whose build backend was run by the builder, because a person allowed it.

    ``source`` names it, ``sha256`` is of its archive, None for a folder. ``requirements`` are the wheels that its
    environment was made of, with their digests. ``output`` is the wheel that came out, empty where just questions were
    asked.
    """

    source: str
    sha256: Sha256 | None
    backend: str
    requirements: tuple[tuple[FileName, Sha256], ...]
    sandboxed: bool
    output: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawnVersion:
    """A version that this bundle takes back: no older bundle of its channel serves it any more."""

    project: NormalizedName
    version: Version
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The full list. ``sequence`` is in seconds since 1970; ``base`` is the digest a delta was made against, or None.

    Order: ``targets`` and ``sets`` as asked for; ``resolutions`` by set, target, newest patch first; ``files`` by name;
    ``projects`` by name; ``members`` by path; ``built`` as it was run; ``withdrawn`` by project and version.

    ``files`` and ``members`` of a manifest that was read are made while they are looked at (``manifest_lists``): look
    once, and keep no more of them than is needed.
    """

    channel: Label
    sequence: int
    tool: str
    targets: tuple[Target, ...]
    sets: tuple[BundledSet, ...]
    resolutions: tuple[Resolution, ...]
    files: Sequence[BundledFile]
    projects: tuple[BundledProject, ...]
    uncovered: tuple[Uncovered, ...] = ()
    members: Sequence[Member] = ()
    built: tuple[BuildRecord, ...] = ()
    withdrawn: tuple[WithdrawnVersion, ...] = ()
    base: Sha256 | None = None

    @property
    def stem(self) -> str:
        """``<channel>-<sequence as 20261121T213000Z>``: the top folder of the tar."""
        return self.stem_of(self.channel, self.sequence)

    @staticmethod
    def stem_of(channel: Label, sequence: int) -> str:
        """The stem of the bundle of that channel and sequence."""
        moment = datetime.fromtimestamp(sequence, tz=timezone.utc)
        return f"{channel}-{moment:%Y%m%dT%H%M%SZ}"

    def file(self, filename: str) -> BundledFile | None:
        at = bisect_left(self.files, filename, key=lambda file: file.filename)
        return self.files[at] if at < len(self.files) and self.files[at].filename == filename else None
