"""Names that are safe to use, and the checkers that alone make them.

Everything an index, a bundle or a lock file says is hostile until a checker here has minted it.
Essential reading: PEP 503 (normalised names), PEP 440 (versions), the binary distribution format (PEP 427, 425) and
the source distribution format (PEP 625).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType

from packaging.utils import (
    BuildTag,
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
)
from packaging.version import InvalidVersion, Version

from pypimirror.values import dataclass

__all__ = [
    "SDIST_ENDINGS",
    "BuildTag",
    "FileName",
    "Label",
    "NormalizedName",
    "ParsedName",
    "Sha256",
    "Version",
    "file_name",
    "is_project_name",
    "label",
    "parse_file_name",
    "parse_version",
    "project_name",
    "sha256_of_hex",
]

FileName = NewType("FileName", str)
"""A file name without path parts, of a wheel or an sdist, safe as a path segment on any system."""

Sha256 = NewType("Sha256", str)
"""64 lower-case hexadecimal digits."""

Label = NewType("Label", str)
"""The name of a channel, a set or a target: 1 to 100 letters, digits and ``._+-``, the first a letter or a digit."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_PROJECT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUILD_TAG = re.compile(r"([0-9]+)([A-Za-z0-9_.]*)")

SDIST_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar.Z", ".tar")
"""How the names of sdists end, today's and those of old (PEP 527, PEP 625)."""


def is_project_name(text: str) -> bool:
    """Whether *text* is a project name in any spelling."""
    return _PROJECT_NAME.fullmatch(text) is not None


def project_name(text: str) -> NormalizedName:
    """Normalise a project name (PEP 503). Raises ValueError where it is none."""
    if not is_project_name(text):
        raise ValueError(f"not a project name: {text!r}")
    return canonicalize_name(text)


def file_name(text: str) -> FileName:
    """Check that *text* can be the name of a file of ours. Raises ValueError."""
    if not _FILE_NAME.fullmatch(text):
        raise ValueError(f"not a safe file name: {text[:80]!r}")
    return FileName(text)


def label(text: str) -> Label:
    """Check the name of a channel, a set or a target. Raises ValueError."""
    if not _LABEL.fullmatch(text):
        raise ValueError(f"not a usable name: {text[:80]!r} (letters, digits, '.', '_', '+', '-')")
    return Label(text)


def sha256_of_hex(text: str) -> Sha256:
    """Check a sha256 digest; upper case is folded. Raises ValueError."""
    folded = text.lower()
    if not _SHA256.fullmatch(folded):
        raise ValueError(f"not a sha256 digest: {text[:80]!r}")
    return Sha256(folded)


@lru_cache(maxsize=65536)
def parse_version(text: str) -> Version:
    """A Version, remembered by text. Raises packaging's InvalidVersion (a ValueError)."""
    return Version(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedName:
    """What a file's name says of it.

    ``tags`` are the wheel's compressed tag triple, each part already split; all empty for an sdist.
    """

    filename: FileName
    project: NormalizedName
    version: Version
    build: BuildTag = ()
    pythons: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()

    @property
    def is_wheel(self) -> bool:
        return bool(self.pythons)

    def tags(self) -> tuple[str, ...]:
        """Every tag that the wheel's name stands for, as text."""
        return tuple(f"{p}-{a}-{q}" for p in self.pythons for a in self.abis for q in self.platforms)


def parse_file_name(text: str, *, project: NormalizedName | None = None) -> ParsedName:
    """Split the name of a wheel or an sdist. Raises ValueError with the reason.

    With *project* given, an old sdist name in which the project's own name holds dashes is split where that
    project's name ends, and a file of another project is refused.
    """
    name = file_name(text)
    parsed = _parse_wheel(name) if text.endswith(".whl") else _parse_sdist(name, project)
    if project is not None and parsed.project != project:
        raise ValueError(f"{text} is a file of {parsed.project}, not of {project}")
    return parsed


# A page of 11,000 files holds one project's name and some hundred different tags: both are remembered by text.
@lru_cache(maxsize=4096)
def _wheel_project(text: str) -> NormalizedName | None:
    return canonicalize_name(text) if is_project_name(text) and "__" not in text else None


@lru_cache(maxsize=16384)
def _tag_part(text: str) -> tuple[str, ...]:
    """One compressed part of a tag triple, split; empty where a piece of it is."""
    pieces = tuple(dict.fromkeys(text.lower().split(".")))
    return pieces if all(pieces) else ()


def _parse_wheel(name: FileName) -> ParsedName:
    parts = name[: -len(".whl")].split("-")
    if len(parts) not in (5, 6):
        raise InvalidWheelFilename(f"not a wheel's file name: {name}")
    project = _wheel_project(parts[0])
    if project is None:
        raise InvalidWheelFilename(f"bad project name in {name}")
    try:
        version = parse_version(parts[1])
    except InvalidVersion:
        raise InvalidWheelFilename(f"bad version in {name}") from None
    build: BuildTag = ()
    if len(parts) == len(("project", "version", "build", "python", "abi", "platform")):
        match = _BUILD_TAG.fullmatch(parts[2])
        if match is None:
            raise InvalidWheelFilename(f"bad build tag in {name}")
        build = (int(match[1]), match[2])
    pythons, abis, platforms = _tag_part(parts[-3]), _tag_part(parts[-2]), _tag_part(parts[-1])
    if not pythons or not abis or not platforms:
        raise InvalidWheelFilename(f"bad tags in {name}")
    return ParsedName(
        filename=name,
        project=project,
        version=version,
        build=build,
        pythons=pythons,
        abis=abis,
        platforms=platforms,
    )


def _parse_sdist(name: FileName, project: NormalizedName | None) -> ParsedName:
    ending = next((ending for ending in SDIST_ENDINGS if name.endswith(ending)), None)
    if ending is None:
        raise InvalidSdistFilename(f"neither a wheel nor an sdist: {name}")
    stem = name[: -len(ending)]
    # Before PEP 625 the project's part could hold dashes; and a version's own dash ("1.0-1") is as old.
    cuts = [i for i, letter in enumerate(stem) if letter == "-"]
    if project is None:
        cuts = cuts[-1:]
    for cut in cuts:
        head, tail = stem[:cut], stem[cut + 1 :]
        if not is_project_name(head) or (project is not None and canonicalize_name(head) != project):
            continue
        try:
            version = parse_version(tail)
        except InvalidVersion:
            continue
        return ParsedName(filename=name, project=canonicalize_name(head), version=version)
    raise InvalidSdistFilename(f"no project and version in {name}")
