"""Whether what lies inside a downloaded file is what the plan was made from. The last look before it is bundled."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import disk_fault
from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index import sdist, wheel
from pypimirror.index.metadata import parse_core_metadata
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import ParsedName, Sha256
from pypimirror.model.plan import PlannedFile, VerifiedFile
from pypimirror.net.cache import Cache, metadata_key

__all__ = ["inspect", "look_into"]

_RULES = "gate-2"  # another number whenever the gate lets less through
_HINT = "run again with --no-cache; if it stays, the index serves metadata that is not the file's: tell who runs it"


def inspect(planned: PlannedFile, path: Path, sha256: Sha256, size: int, cache: Cache) -> VerifiedFile:
    """Check the verified file at *path*, and keep its exact METADATA: ``metadata_path`` ends with it.

    Raises IntegrityFault: ``bad-wheel``, ``bad-sdist``, or ``metadata-mismatch`` where the resolution was made from
    something else than what is inside.
    """
    name = planned.listed.name
    index_hash = planned.listed.sha256 is not None
    try:
        with path.open("rb") as file:
            if not name.filename.endswith(".whl"):
                _compare(planned, _static(planned, sdist.read_metadata(file, name)))
                return VerifiedFile(
                    planned=planned,
                    path=str(path),
                    sha256=sha256,
                    size=size,
                    metadata_path=None,
                    metadata_sha256=None,
                    metadata_size=None,
                    index_hash=index_hash,
                )
            record, data = _passed_gate(file, name, sha256, cache)
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from None
    digest = hashlib.sha256(data).hexdigest()
    if planned.metadata.sha256 != digest:
        if planned.metadata.sha256 is not None:
            raise _mismatch(planned)
        _compare(planned, parse_core_metadata(data, filename=name))
    return VerifiedFile(
        planned=planned,
        path=str(path),
        sha256=sha256,
        size=size,
        metadata_path=str(record),
        metadata_sha256=digest,
        metadata_size=len(data),
        index_hash=index_hash,
    )


def look_into(name: ParsedName, path: Path, sha256: Sha256, cache: Cache) -> None:
    """What ``inspect`` would find out about a wheel, ahead of it. Raises IntegrityFault, DiskFault."""
    if name.is_wheel:
        try:
            with path.open("rb") as file:
                _passed_gate(file, name, sha256, cache)
        except OSError as error:
            raise disk_fault(error, f"reading {path}") from None


def _passed_gate(file: BinaryIO, name: ParsedName, sha256: Sha256, cache: Cache) -> tuple[Path, bytes]:
    """The record of a wheel's METADATA, and that: what was found in order by the same rules, as this name, still is."""
    key, passed = metadata_key(file=sha256, source=""), f"{_RULES} {name.filename}"
    kept = cache.passed(key, passed)
    if kept is None:
        data = wheel.gate(file, name=name)
        kept = cache.keep_metadata(key, data, passed=passed), data
    return kept


def _static(planned: PlannedFile, texts: sdist.SdistTexts) -> CoreMetadata:
    trusted = planned.metadata.learnt_from == "egg-info"
    try:
        return sdist.core_metadata(texts, name=planned.listed.name, trust_egg_info=trusted)
    except ResolutionFault:  # only a build could tell, so a build did, and there is nothing to compare with
        return planned.metadata


def _compare(planned: PlannedFile, inside: CoreMetadata) -> None:
    used = planned.metadata
    if (used.requires_dist, used.requires_python, frozenset(used.provides_extra)) != (
        inside.requires_dist,
        inside.requires_python,
        frozenset(inside.provides_extra),
    ):
        raise _mismatch(planned)


def _mismatch(planned: PlannedFile) -> IntegrityFault:
    return IntegrityFault(
        f"{planned.filename}: the metadata that was resolved with is not what is inside the file",
        code="metadata-mismatch",
        hint=_HINT,
    )
