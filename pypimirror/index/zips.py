"""A zip's list of members, read from wherever its bytes come from: a file, the tail of one, pieces of one.

Nothing is extracted, and no more is unpacked than is asked for. The reader is stricter than zipfile: an archive that
two readers could understand differently (bytes before or after it, members over one another) is refused.
Essential reading: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from operator import eq
from typing import Final, NamedTuple, Protocol

from pypimirror.values import dataclass

__all__ = [
    "BadZip",
    "Bytes",
    "Entry",
    "Needed",
    "NotThere",
    "Pieces",
    "RandomAccess",
    "Reader",
    "central",
    "check_all",
    "check_local",
    "unpack",
]

_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s4x2H4x3L3H8xL")
_LOCAL = struct.Struct("<4s5H3L2H")
_OWN = b"PK\3\4"
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_MAX_LIST = 128 * 1024 * 1024
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _STREAMED, _UTF8 = 1 << 0, 1 << 3, 1 << 11
_ZIP64_EXTRA = 1
_TAIL = 65_536
_NEAR = 8192  # bytes that are read at once
_SMALL, _FAR = 16_384, 131_072  # where members are below that on average, more is read at once


class BadZip(ValueError):
    """The bytes are not an archive that every reader reads alike."""


class RandomAccess(Protocol):
    """What is asked of a file: open files have it, and so has a reader of HTTP ranges."""

    def read(self, size: int = ..., /) -> bytes: ...

    def seek(self, offset: int, whence: int = ..., /) -> int: ...


@dataclass(frozen=True, slots=True)
class Needed:
    """Bytes of the archive that must be had first, from ``start`` up to and without ``end``."""

    start: int
    end: int


class NotThere(Exception):
    """A piece of the archive is asked for that is not at hand."""

    def __init__(self, needed: Needed) -> None:
        super().__init__(needed)
        self.needed = needed


class Bytes(Protocol):
    """The bytes of an archive: ``get`` gives those from *start* to *end*, which lie within ``total``."""

    total: int

    def get(self, start: int, end: int) -> bytes: ...


class Reader:
    """The bytes of an open file. Its last 64 KiB are read at once, since the list of members is nearly always there.

    Elsewhere a little more than was asked for is read, since what is next asked for mostly follows.
    """

    def __init__(self, source: RandomAccess) -> None:
        self._source = source
        self._near_start, self._near = 0, b""
        self.total = source.seek(0, 2)
        self._tail_start = max(0, self.total - _TAIL)
        self._tail = self._read(self._tail_start, self.total)

    def get(self, start: int, end: int) -> bytes:
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : end - self._tail_start]
        at = start - self._near_start
        if at < 0 or end - self._near_start > len(self._near):
            if end - start >= _NEAR:
                return self._read(start, end)
            self._near_start, self._near, at = start, self._read(start, min(start + _NEAR, self.total)), 0
        return self._near[at : at + end - start]

    def _read(self, start: int, end: int) -> bytes:
        self._source.seek(start)
        chunks: list[bytes] = []
        while start < end and (chunk := self._source.read(end - start)):
            chunks.append(chunk)
            start += len(chunk)
        if start < end:
            raise BadZip("it ends early")
        return b"".join(chunks)


class Pieces:
    """Some pieces of an archive of *total* bytes, each with where it begins. Raises NotThere for what lies between."""

    def __init__(self, total: int, pieces: Iterable[tuple[int, bytes]]) -> None:
        self.total = total
        self._pieces = sorted(pieces, key=lambda piece: (piece[0], len(piece[1])))

    def get(self, start: int, end: int) -> bytes:
        found, position = [], start
        while position < end:
            at, data = max(
                ((at, data) for at, data in self._pieces if at <= position < at + len(data)),
                key=lambda piece: piece[0] + len(piece[1]),
                default=(position, b""),
            )
            if not data:
                until = min((at for at, data in self._pieces if at > position and data), default=end)
                raise NotThere(Needed(position, min(end, until)))
            found.append(data[position - at : end - at])
            position = min(end, at + len(data))
        return b"".join(found)


class Entry(NamedTuple):
    """A member as the central directory has it. ``limit`` is where the next member, or the directory, begins.

    ``own`` is how the header begins that stands before the member itself, where the two tell the same story and it has
    no extra fields; empty where that can't be told by comparing bytes.
    """

    # No dataclass: a wheel may have twenty thousand of them, and a frozen one takes six times as long to make.
    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    limit: int
    own: bytes

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def is_encrypted(self) -> bool:
        return bool(self.flags & _ENCRYPTED)


_Fields = tuple[str, bytes, int, int, int, int, int, int, bytes]  # of an Entry, without its limit
_OFFSET: Final = 7
# What Entry(...) does in the end, in a third of the time.
_new: Callable[[type[Entry], tuple[object, ...]], Entry] = tuple.__new__


def central(archive: Bytes) -> tuple[Entry, ...]:
    """The members, in the directory's order. Raises BadZip."""
    count, size, start = _find_directory(archive)
    data = archive.get(start, start + size)
    found: list[_Fields] = []
    position, fixed, unpack_from = 0, _CENTRAL.size, _CENTRAL.unpack_from
    while position < size:
        name_at = position + fixed
        if name_at > size:
            raise BadZip("its list of members is cut short")
        signature, flags, method, crc, packed, unpacked, named, extra, said, offset = unpack_from(data, position)
        if signature != b"PK\1\2":
            raise BadZip("its list of members is damaged")
        name_end = name_at + named
        raw_name = data[name_at:name_end]
        # From "version needed to extract" to the length of the name the two headers have the same fields.
        own = _OWN + data[position + 6 : position + 30] + b"\0\0" + raw_name
        if _MAX_32 in (packed, unpacked, offset):
            own = b""
            unpacked, packed, offset = _zip64(data[name_end : name_end + extra], (unpacked, packed, offset))
        name = raw_name.decode("ascii") if raw_name.isascii() else _decoded(raw_name, flags)
        found.append((name, raw_name, flags, method, crc, packed, unpacked, offset, own))
        position = name_end + extra + said
    if position != size or len(found) != count:
        raise BadZip("its list of members has another length than stated")
    return _with_limits(found, start)


def _find_directory(archive: Bytes) -> tuple[int, int, int]:
    """Number of members, size and start of the central directory, which must reach to its end record."""
    total = archive.total
    if total < _END.size:
        raise BadZip("it is not a zip archive")
    end_at = total - _END.size
    record = archive.get(end_at, total)
    if record[:4] != b"PK\5\6" or record[-2:] != b"\0\0":
        # Only a comment may follow the end record, exactly as long as the record says.
        start = max(0, total - _END.size - _MAX_16)
        tail = archive.get(start, total)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or at + _END.size > len(tail):
            raise BadZip("it is not a zip archive")
        end_at, record = start + at, tail[at : at + _END.size]
        if end_at + _END.size + _END.unpack(record)[7] != total:
            raise BadZip("there are bytes after its end")
    _, disk, first_disk, here, count, size, start, _ = _END.unpack(record)
    if _MAX_16 in (here, count) or _MAX_32 in (size, start):
        located = _end_64(archive, end_at)
        if located is not None:
            end_at, here, count, size, start, disk, first_disk = located
    if disk or first_disk or here != count:
        raise BadZip("it is one part of several")
    if size > _MAX_LIST:
        raise BadZip("its list of members is too long")
    if start + size != end_at:
        raise BadZip("there are bytes before it, or between its parts")
    return count, size, start


def _end_64(archive: Bytes, end_at: int) -> tuple[int, int, int, int, int, int, int] | None:
    locator_at = end_at - _END_64_LOCATOR.size
    if locator_at < 0:
        return None
    signature, _, at, disks = _END_64_LOCATOR.unpack(archive.get(locator_at, end_at))
    if signature != b"PK\6\7":
        return None
    if at + _END_64.size > locator_at or disks > 1:
        raise BadZip("its zip64 end record is damaged")
    fields = _END_64.unpack(archive.get(at, at + _END_64.size))
    if fields[0] != b"PK\6\6" or at + 12 + fields[1] != locator_at:
        raise BadZip("its zip64 end record is damaged")
    disk, first_disk, here, count, size, start = fields[4:]
    return at, here, count, size, start, disk, first_disk


def _zip64(extra: bytes, values: Sequence[int]) -> Sequence[int]:
    """Size, packed size and offset, taken from the zip64 extra field where 32 bits did not hold them."""
    if _MAX_32 not in values:
        return values
    found = list(values)
    wanted = [i for i, value in enumerate(found) if value == _MAX_32]
    position = 0
    while wanted and position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == _ZIP64_EXTRA:
            if length < 8 * len(wanted) or position + length > len(extra):
                raise BadZip("a zip64 field is cut short")
            for slot, index in enumerate(wanted):
                (found[index],) = struct.unpack_from("<Q", extra, position + 8 * slot)
            break
        position += length
    return found


def _decoded(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise BadZip("a member's name is not UTF-8") from None


def _with_limits(found: list[_Fields], directory: int) -> tuple[Entry, ...]:
    offsets = [fields[_OFFSET] for fields in found]
    starts = sorted(offsets)
    following = [*starts[1:], directory]
    if any(map(eq, starts, following)):
        raise BadZip("two members lie over one another")
    if starts != offsets:
        limits = dict(zip(starts, following, strict=False))
        following = [limits[offset] for offset in offsets]
    entries = []
    for (name, raw_name, flags, method, crc, packed, size, offset, own), limit in zip(found, following, strict=False):
        if offset + _LOCAL.size + len(raw_name) + packed > limit:
            raise BadZip(f"the member {name[:200]!r} lies over another one")
        entries.append(_new(Entry, (name, raw_name, flags, method, crc, packed, size, offset, limit, own)))
    return tuple(entries)


def check_all(archive: Bytes, entries: Sequence[Entry]) -> None:
    """``check_local`` for each member."""
    step = _FAR if archive.total < _SMALL * len(entries) else _NEAR
    begin, piece = 0, b""
    for entry in entries:
        own, at = entry.own, entry.offset - begin
        if at < 0 or at + len(own) > len(piece):
            begin, at = entry.offset, 0
            piece = archive.get(begin, min(begin + max(step, len(own)), archive.total))
        # Nearly every header is as expected, to the byte; then where the data ends was checked with the list.
        if not (own and piece.startswith(own, at)):
            check_local(archive, entry)


def check_local(archive: Bytes, entry: Entry) -> int:
    """Where the member's data begins. Raises BadZip where its own header tells another story than the directory."""
    header = archive.get(entry.offset, entry.offset + _LOCAL.size)
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(header)
    data_at: int = entry.offset + _LOCAL.size + name_length + extra_length
    if signature != _OWN or data_at + entry.packed > entry.limit:
        raise BadZip(f"the header of the member {entry.name[:200]!r} is damaged")
    name_at = entry.offset + _LOCAL.size
    if archive.get(name_at, name_at + name_length) != entry.raw_name:
        raise BadZip(f"the member {entry.name[:200]!r} has two names")
    if method != entry.method or (flags ^ entry.flags) & _ENCRYPTED:
        raise BadZip(f"the member {entry.name[:200]!r} has two headers that disagree")
    if not flags & _STREAMED:
        if _MAX_32 in (packed, size):
            extra_at = name_at + name_length
            size, packed = _zip64(archive.get(extra_at, extra_at + extra_length), (size, packed))
        if (crc, packed, size) != (entry.crc, entry.packed, entry.size):
            raise BadZip(f"the member {entry.name[:200]!r} has two headers that disagree")
    return data_at


def unpack(archive: Bytes, entry: Entry, *, limit: int) -> bytes:
    """The contents of one member. Raises BadZip, before unpacking where it is larger than *limit* bytes."""
    shown = repr(entry.name[:200])
    if entry.size > limit or entry.packed > limit + 65_536:
        raise BadZip(f"the member {shown} is larger than {limit} bytes")
    if entry.is_encrypted:
        raise BadZip(f"the member {shown} is encrypted")
    # One range for header and data, where they are not at hand: the extra field's length is not known before.
    archive.get(entry.offset, min(entry.limit, entry.offset + _LOCAL.size + 2 * _MAX_16 + entry.packed))
    start = check_local(archive, entry)
    packed = archive.get(start, start + entry.packed)
    if entry.method == _STORED:
        data = packed
    elif entry.method == _DEFLATED:
        inflate = zlib.decompressobj(-15)
        try:
            data = inflate.decompress(packed, entry.size + 1)
            if len(data) == entry.size:
                data += inflate.decompress(inflate.unconsumed_tail, 1)
        except zlib.error:
            raise BadZip(f"the member {shown} is damaged") from None
        if not inflate.eof or inflate.unused_data:
            raise BadZip(f"the member {shown} is damaged")
    else:
        raise BadZip(f"the member {shown} is compressed by method {entry.method}, which no index admits")
    if len(data) != entry.size or zlib.crc32(data) != entry.crc:
        raise BadZip(f"the member {shown} is damaged")
    return data
