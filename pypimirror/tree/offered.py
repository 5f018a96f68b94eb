"""Files that a person hands to a tree: looked through, hashed, and then given to it as a bundle would give them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import Disk, disk_fault, stamp
from pypimirror.errors import IntegrityFault, PolicyFault, PypimirrorError, SeveralFaults, UsageFault
from pypimirror.index.admission import Admitted, admit
from pypimirror.model import manifest_json
from pypimirror.model.manifest import BundledFile, Manifest, Sidecar
from pypimirror.model.names import ParsedName, Sha256, parse_file_name
from pypimirror.reporting import Reporter
from pypimirror.tree.hashing import NotRegular, open_regular
from pypimirror.values import dataclass

__all__ = ["Offer", "Parcel", "examine", "raise_all"]

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A file that passed the gate. ``metadata`` are the exact bytes of a wheel's METADATA, None for an sdist.

    What a channel says of it (``index``, ``upload_time``) is not settled yet.
    """

    path: Path
    file: BundledFile
    metadata: bytes | None


def examine(paths: Sequence[Path], reporter: Reporter) -> tuple[Offer, ...]:
    """Look through every file; the same file named twice counts once.

    Raises the one fault that is found, or SeveralFaults with all: UsageFault (``not-a-regular-file``,
    ``bad-file-name``), IntegrityFault as ``admit`` does, PolicyFault (``two-contents``), DiskFault.
    """
    found: dict[str, Offer] = {}
    faults: list[PypimirrorError] = []
    progress = _Progress(reporter, paths)
    for path in paths:
        try:
            offer = _examine(path, progress)
            first = found.setdefault(offer.file.filename.casefold(), offer)
            if (first.file.filename, first.file.sha256) != (offer.file.filename, offer.file.sha256):
                raise PolicyFault(
                    f"{path} and {first.path} have one name, and other bytes",
                    code="two-contents",
                    hint="a file name stands for one content, for ever: add one of them",
                )
        except PypimirrorError as fault:
            faults.append(fault)
    raise_all(faults)
    return tuple(found.values())


def raise_all(faults: Sequence[PypimirrorError]) -> None:
    """Raise what there is: nothing, the one fault, or all together."""
    if faults:
        raise faults[0] if len(faults) == 1 else SeveralFaults(tuple(faults))


class _Progress:
    """Bytes read so far, told as they are read."""

    def __init__(self, reporter: Reporter, paths: Iterable[Path]) -> None:
        self._reporter = reporter
        self._total = sum(path.stat().st_size for path in paths if path.is_file())
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        self._reporter.packing(done=self._done, total=self._total)


def _examine(path: Path, progress: _Progress) -> Offer:
    try:
        with open_regular(path) as file:
            name = _name(path)
            before = stamp(os.fstat(file.fileno()))
            sha256, size = _hash(file, progress)
            file.seek(0)
            admitted = admit(file, name)
            if stamp(os.fstat(file.fileno())) != before:
                raise _changed(path)
    except NotRegular:
        raise UsageFault(
            f"{path} is not a regular file",
            code="not-a-regular-file",
            hint="name the wheels and sdists themselves: links, folders and devices are not added",
        ) from None
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from error
    return Offer(path=path, file=_bundled(name, admitted, sha256, size), metadata=admitted.exact)


def _name(path: Path) -> ParsedName:
    try:
        return parse_file_name(path.name)
    except ValueError as error:
        raise UsageFault(
            f"{path}: {error}",
            code="bad-file-name",
            hint="add wheels and sdists under the names that they were built with",
        ) from None


def _hash(file: FileIO, progress: _Progress) -> tuple[Sha256, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        progress.add(len(chunk))
    return Sha256(digest.hexdigest()), size


def _bundled(name: ParsedName, admitted: Admitted, sha256: Sha256, size: int) -> BundledFile:
    said, exact = admitted.metadata, admitted.exact
    return BundledFile(
        filename=name.filename,
        project=name.project,
        version=name.version,
        sha256=sha256,
        size=size,
        requires_python=said.requires_python,
        requires_dist=said.requires_dist,
        provides_extra=said.provides_extra,
        yanked=None,
        upload_time=None,
        metadata=None if exact is None else Sidecar(sha256=_sha256(exact), size=len(exact)),
        index="",
        index_hash=False,
        build_requires=said.build_requires,
        languages=said.languages,
        learnt_from=said.learnt_from,
    )


def _sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


def _changed(path: Path) -> IntegrityFault:
    return IntegrityFault(
        f"{path} changed while it was being read", code="changed-file", hint="run again when nobody writes to it"
    )


# ---- as a bundle ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    sha256: Sha256
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _FileMember:
    """The file itself, hashed once more while it is copied."""

    entry: _Entry
    offer: Offer

    def copy_to(self, file: BinaryIO, *, disk: Disk) -> None:
        digest, path = hashlib.sha256(), self.offer.path
        with self._opened() as source:
            while chunk := self._read(source):
                digest.update(chunk)
                disk.write(file, chunk)
        if digest.hexdigest() != self.offer.file.sha256:
            raise _changed(path)

    def _opened(self) -> FileIO:
        try:
            return open_regular(self.offer.path)
        except OSError as error:
            raise disk_fault(error, f"reading {self.offer.path}") from error

    def _read(self, source: FileIO) -> bytes:
        try:
            return source.read(_CHUNK)
        except OSError as error:
            raise disk_fault(error, f"reading {self.offer.path}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _MetadataMember:
    entry: _Entry
    data: bytes

    def copy_to(self, file: BinaryIO, *, disk: Disk) -> None:
        disk.write(file, self.data)


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """*offers* as a bundle with *manifest*, which may list more than they are."""

    manifest: Manifest
    offers: tuple[Offer, ...]

    @cached_property
    def digest(self) -> Sha256:
        return manifest_json.digest(manifest_json.dump(self.manifest))

    def members(self) -> Iterator[_FileMember | _MetadataMember]:
        for offer in self.offers:
            file = offer.file
            yield _FileMember(entry=_Entry(file.path, file.sha256, file.size), offer=offer)
            if offer.metadata is not None:
                entry = _Entry(file.metadata_path, _sha256(offer.metadata), len(offer.metadata))
                yield _MetadataMember(entry=entry, data=offer.metadata)
