"""What an index claims of a project and its files, and what a file's core metadata says.

    Listing        the answer to "what is there of this project?"
    ListedFile     one file as the index claims it: nothing of it is verified yet
    CoreMetadata   what METADATA or PKG-INFO says of one version
    Rejection      a file that can't be used, with the reason; kept and counted, never skipped in silence

Essential reading, in order: PEP 503, 592 (yanked), 629, 658 and 714 (metadata siblings), 691 (JSON), 700 (size, upload
time, versions), 708 (tracks, alternate locations), 740 (provenance), 792 (project status), 643 (core metadata of
sdists).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from enum import Enum
from typing import Literal, TypeAlias

from pypimirror.model.names import NormalizedName, ParsedName, Sha256, Version
from pypimirror.values import dataclass

__all__ = ["CoreMetadata", "LearntFrom", "ListedFile", "Listing", "ProjectStatus", "Refusal", "Rejection"]


LearntFrom: TypeAlias = Literal["stated", "egg-info", "build"]


class Refusal(Enum):
    """Why a file or a version is refused; the value is the word for counting ("9 other platforms")."""

    BAD_NAME = "unusable name"
    OTHER_PLATFORM = "other platform"
    OTHER_PYTHON = "other Python"
    REQUIRES_PYTHON = "needs another Python"
    YANKED = "yanked"
    PRE_RELEASE = "pre-release"
    NO_HASH = "without a sha256"
    HASH_NOT_ALLOWED = "hash not among those given"
    FORMAT_NOT_ALLOWED = "format not allowed"
    NOT_THAT_VERSION = "other version"
    CONSTRAINED = "excluded by a constraint"
    METADATA = "unusable metadata"
    DIRECT_DEPENDENCY = "wants a URL that can't cross the gap"
    QUARANTINED = "quarantined"
    TOO_NEW = "too new"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One file that is not used. ``detail`` is for people: "needs Python >=3.13"."""

    filename: str
    reason: Refusal
    detail: str = ""
    version: Version | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedFile:
    """One file, as an index, a find-links folder, a direct URL or a manifest claims it.

    ``url`` is absolute and carries no user name, password or fragment. ``hashes`` are pairs of algorithm and
    lower-case hexadecimal digest, sorted. ``yanked`` is None, or the reason, which may be empty.
    ``core_metadata`` is None where no metadata sibling is advertised, else its hashes, which may be empty.
    ``upload_time`` is text in ISO 8601, UTC, as PEP 700 has it. ``provenance`` is an address (PEP 740).
    ``index`` is the *name* of where it came from.
    """

    name: ParsedName
    url: str
    hashes: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    core_metadata: tuple[tuple[str, str], ...] | None = None
    upload_time: str | None = None
    provenance: str | None = None
    index: str = ""

    @property
    def sha256(self) -> Sha256 | None:
        return next((Sha256(digest) for algorithm, digest in self.hashes if algorithm == "sha256"), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectStatus:
    """What an index says of a whole project.

    ``status`` is ``active``, ``archived``, ``quarantined`` or ``deprecated``, and ``reason`` why (PEP 792).
    PEP 708, as public addresses: ``tracks`` are projects elsewhere that it extends, ``alternate_locations`` are where
    else it stands.
    """

    status: str = "active"
    reason: str = ""
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What one index says of one project. ``files`` in the index's order; ``rejected`` are rows that can't be read.

    Either may be judged only when it is looked at (``index.drawers``), and raises IndexFault then where a row is none.

    ``also_on`` names further indexes that have the project too, and were not heeded (the first index wins).
    """

    project: NormalizedName
    index: str
    files: Sequence[ListedFile]
    rejected: Sequence[Rejection] = ()
    status: ProjectStatus = field(default_factory=ProjectStatus)
    also_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreMetadata:
    """The fields of core metadata that resolving needs, from METADATA or PKG-INFO.

    ``requires_dist`` are the field's values as text, in order. ``dynamic`` names fields, lower case, that an sdist's
    metadata does not settle (PEP 643); it is empty for a wheel. ``sha256`` is of the exact bytes that were read.
    ``build_requires`` is None for a wheel, for an sdist what building it takes, as far as it can be read.
    ``build_undecided`` tells that code of it decides what else that is.
    ``languages`` is what an sdist is written in beside Python. ``learnt_from`` says how this is known: ``stated`` as
    the standards have it, ``egg-info`` where a person chose to believe that, ``build`` where the backend was asked.
    """

    project: NormalizedName
    version: Version
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    requires_python: str | None = None
    metadata_version: str = "2.1"
    dynamic: frozenset[str] = frozenset()
    sha256: Sha256 | None = None
    size: int | None = None
    build_requires: tuple[str, ...] | None = None
    build_undecided: bool = False
    languages: tuple[str, ...] = ()
    learnt_from: LearntFrom = "stated"
