"""What a bundle's bytes are, as a pure function of its manifest.

    <channel>-<sequence>/                  the one top folder
        manifest.json
        SHA256SUMS                         of all that follows and of manifest.json: ``sha256sum -c`` after ``tar xf``
        packages/<filename>                each file, by name ...
        packages/<filename>.metadata       ... directly followed by its sidecars
        packages/<filename>.<16 hexadecimal digits>.provenance
        <path>                             the other members, by path: pages, README.txt, whatever is listed

A volume of it carries manifest.json and SHA256SUMS always, then any of the rest, in this order. A file and its
sidecars travel together. A folder stands once, directly before the first thing in it that is carried.

The container is ustar (POSIX.1-1988) without its prefix field. A name longer than 100 bytes, or a size from 8 GiB on,
has a PAX extended header (POSIX.1-2001) with that record and no other. Owner 0:0 without names, modes 0644 and 0755,
every time is the sequence. It ends with two records of zeros, and nothing follows: no padding to a blocking factor.

SHA256SUMS is made, not listed: it is what ties the manifest's own bytes to the rest, so that a bit that flips in a
free text of the manifest is found, too.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cached_property, lru_cache
from itertools import islice

from pypimirror.model.manifest import Manifest, provenance_path
from pypimirror.model.manifest_lists import parts_of
from pypimirror.model.names import FileName, Sha256
from pypimirror.values import dataclass

__all__ = ["END", "MANIFEST", "RECORD", "SUMS", "Entry", "Kind", "Layout", "header", "padding"]

RECORD = 512
END = bytes(2 * RECORD)
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"

_NAME_BYTES = 100
_MAX_OCTAL = 8**11 - 1
_FIELDS = struct.Struct("100s 8s 8s 8s 12s 12s 8s 1s 100s 6s 2s 32s 32s 8s 8s 155s 12x")
_LINES_AT_ONCE = 1000


class Kind(Enum):
    """What an entry is; the value is the word for people."""

    FOLDER = "folder"
    MANIFEST = "manifest"
    SUMS = "checksums"
    FILE = "file"
    METADATA = "metadata"
    PROVENANCE = "provenance"
    MEMBER = "member"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of the tar. ``path`` lies below the top folder; a folder's ends with a slash, the top one's is empty.

    ``sha256`` is None for a folder. ``owner`` is the file that a FILE, METADATA or PROVENANCE entry belongs to.
    ``header`` are the exact bytes before the content: one record, or three and more with a PAX header.
    """

    kind: Kind
    path: str
    size: int
    sha256: Sha256 | None
    header: bytes
    owner: FileName | None = None


def padding(size: int) -> int:
    """How many zeros follow a content of *size* bytes."""
    return -size % RECORD


def header(path: str, *, size: int, time: int, folder: bool = False) -> bytes:
    """The bytes that stand before a content: a ustar header, with a PAX header before it where one is needed."""
    name = path.encode("ascii")
    records = []
    if len(name) > _NAME_BYTES:
        records.append(_pax_record(b"path", name))
    if size > _MAX_OCTAL:
        records.append(_pax_record(b"size", b"%d" % size))
    mode, kind = (0o755, b"5") if folder else (0o644, b"0")
    block = _block(name[:_NAME_BYTES], size=0 if size > _MAX_OCTAL else size, mode=mode, time=time, kind=kind)
    if not records:
        return block
    data = b"".join(records)
    extended = _block(b"PaxHeader", size=len(data), mode=0o644, time=time, kind=b"x")
    return b"".join((extended, data, bytes(padding(len(data))), block))


def _block(name: bytes, *, size: int, mode: int, time: int, kind: bytes) -> bytes:
    blank, total = _blank(mode, time, kind)
    length = b"%011o\0" % size
    checksum = b"%06o\0 " % (total + sum(name) + sum(length))
    name = name.ljust(_NAME_BYTES, b"\0")
    return b"".join((name, blank[_NAME_BYTES:124], length, blank[136:148], checksum, blank[156:]))


@lru_cache(maxsize=16)
def _blank(mode: int, time: int, kind: bytes) -> tuple[bytes, int]:
    """A header without its name, size and checksum; and the sum of its bytes, where a checksum counts as spaces."""
    number = b"%07o\0"
    fields = [
        b"", number % mode, number % 0, number % 0, b"", b"%011o\0" % time,
        b" " * 8, kind, b"", b"ustar\0", b"00", b"", b"", number % 0, number % 0, b"",
    ]  # fmt: skip
    blank = _FIELDS.pack(*fields)
    return blank, sum(blank)


def _pax_record(key: bytes, value: bytes) -> bytes:
    r"""``<length> key=value\n``, where the length counts its own digits."""
    rest = len(key) + len(value) + len(b" =\n")
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def folders(path: str) -> Iterator[str]:
    """The folders above *path*, the outermost first: ``simple/``, ``simple/rich/``."""
    cut = path.find("/")
    while cut >= 0:
        yield path[: cut + 1]
        cut = path.find("/", cut + 1)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of one manifest's bundle. ``digest`` and ``size`` are of the manifest's canonical bytes."""

    manifest: Manifest
    digest: Sha256
    size: int

    def opening(self) -> tuple[Entry, Entry, Entry]:
        """What every volume begins with: the top folder, the manifest, the checksums."""
        digest, size = self._sums
        return (
            self._folder(""),
            self._entry(Kind.MANIFEST, MANIFEST, self.size, self.digest),
            self._entry(Kind.SUMS, SUMS, size, digest),
        )

    def units(self) -> Iterator[tuple[Entry, ...]]:
        """What follows, in order, without the folders. The entries of a unit are carried together or not at all."""
        for owner, sha256, size, metadata, provenance in parts_of(self.manifest.files):
            path = f"packages/{owner}"
            unit = [self._entry(Kind.FILE, path, size, sha256, owner)]
            if metadata is not None:
                unit.append(self._entry(Kind.METADATA, f"{path}.metadata", metadata[1], metadata[0], owner))
            if provenance is not None:
                path = provenance_path(owner, provenance[0])
                unit.append(self._entry(Kind.PROVENANCE, path, provenance[1], provenance[0], owner))
            yield tuple(unit)
        for member in self.manifest.members:
            yield (self._entry(Kind.MEMBER, member.path, member.size, member.sha256),)

    def entries(self, *, carried: frozenset[FileName] | None = None, members: bool = True) -> Iterator[Entry]:
        """Every entry of a volume, folders included, that carries the files in *carried* (None: all of them)."""
        yield from self.opening()
        seen: set[str] = set()
        for unit in self.units():
            owner = unit[0].owner
            if not members if owner is None else carried is not None and owner not in carried:
                continue
            for entry in unit:
                chain = self.chain(entry, seen)
                seen.update(folder.path for folder in chain[:-1])
                yield from chain

    def chain(self, entry: Entry, seen: AbstractSet[str]) -> list[Entry]:
        """The folders above *entry* that are not in *seen*, then *entry* itself."""
        return [*(self._folder(path) for path in folders(entry.path) if path not in seen), entry]

    def sums(self) -> Iterator[bytes]:
        """The content of SHA256SUMS, in pieces: of every entry, whether this volume carries it or not."""
        lines = self._sum_lines()
        while piece := "".join(islice(lines, _LINES_AT_ONCE)):
            yield piece.encode("ascii")

    def _sum_lines(self) -> Iterator[str]:
        yield f"{self.digest}  {MANIFEST}\n"
        for filename, sha256, _, metadata, provenance in parts_of(self.manifest.files):
            yield f"{sha256}  packages/{filename}\n"
            if metadata is not None:
                yield f"{metadata[0]}  packages/{filename}.metadata\n"
            if provenance is not None:
                yield f"{provenance[0]}  {provenance_path(filename, provenance[0])}\n"
        for member in self.manifest.members:
            yield f"{member.sha256}  {member.path}\n"

    @cached_property
    def _sums(self) -> tuple[Sha256, int]:
        digest, size = hashlib.sha256(), 0
        for piece in self.sums():
            digest.update(piece)
            size += len(piece)
        return Sha256(digest.hexdigest()), size

    @cached_property
    def _stem(self) -> str:
        return self.manifest.stem

    def _folder(self, path: str) -> Entry:
        return Entry(kind=Kind.FOLDER, path=path, size=0, sha256=None, header=self._header(path, 0, folder=True))

    def _entry(self, kind: Kind, path: str, size: int, sha256: Sha256, owner: FileName | None = None) -> Entry:
        return Entry(kind=kind, path=path, size=size, sha256=sha256, header=self._header(path, size), owner=owner)

    def _header(self, path: str, size: int, *, folder: bool = False) -> bytes:
        return header(f"{self._stem}/{path}", size=size, time=self.manifest.sequence, folder=folder)
