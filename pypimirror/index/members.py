"""Every member of an sdist in turn, with its contents as a stream: what unpacking it safely begins with.

Nothing is judged here but the form of the archive: what a member may be called, and what it may be, is the caller's to
say. Memory is bounded whatever the archive says.
Essential reading: POSIX.1-2001, pax; the GNU tar manual, "Basic Tar Format"; PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import BinaryIO

from pypimirror.index import zips
from pypimirror.index.tars import BadTar, Stream, decimal, field, opened, pax_fields
from pypimirror.values import dataclass

__all__ = ["BadArchive", "Kind", "Member", "walk"]

_BLOCK = 512
_CHUNK = 256 * 1024
_MAX_HEADER = 1024 * 1024
_BINARY_NAMES = "hdrcharset"


class BadArchive(ValueError):
    """The archive is damaged, or of a kind that is not read."""


class Kind(Enum):
    """What a member is; the value is for people."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"
    DEVICE = "device"
    FIFO = "pipe"
    UNKNOWN = "member of an unknown type"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One member as the archive has it; nothing of it is checked. ``target`` is what a link points to.

    ``executable`` is what its mode says; a zip's entry, whose mode is not read, says it by beginning with ``#!``.
    """

    path: str
    kind: Kind
    size: int = 0
    executable: bool = False
    target: str = ""


_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.DEVICE,
    tarfile.BLKTYPE: Kind.DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}


def walk(source: BinaryIO, filename: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member and its contents, which must be read before the next member is asked for; else they are passed over.

    *source* stands at its beginning. Raises BadArchive, where a name is not UTF-8, too; OSError as *source* raises it.
    """
    try:
        yield from _walk_zip(source) if filename.endswith(".zip") else _walk_tar(source, filename)
    except (BadTar, zips.BadZip) as error:
        raise BadArchive(str(error)) from None
    except UnicodeDecodeError:
        raise BadArchive("the name of a member is not UTF-8") from None
    except (EOFError, zlib.error, lzma.LZMAError):
        raise BadArchive("the archive is damaged") from None
    except OSError as error:
        # gzip and bz2 say of damaged bytes that they are an OSError, yet one without a number.
        if error.errno is not None:
            raise
        raise BadArchive("the archive is damaged") from None


def _walk_tar(source: BinaryIO, filename: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
    stream = Stream(opened(source, filename))
    fields: dict[str, str] = {}
    while any(block := stream.take(_BLOCK, may_end=True)):
        _check_sum(block)
        kind, size = block[156:157], field(block[124:136])
        if kind in _EXTENDED:
            fields |= _extended(_extension(stream, size))
        elif kind in _LONG:
            fields[_LONG[kind]] = _extension(stream, size).rstrip(b"\0").decode("utf-8")
        elif kind == tarfile.XGLTYPE:
            _extension(stream, size)
        else:
            member = _member(block, kind, size, fields)
            contents = _Contents(stream, member.size if member.kind in (Kind.FILE, Kind.UNKNOWN) else 0)
            yield member, contents.pieces()
            contents.finish()
            fields = {}


def _check_sum(block: bytes) -> None:
    total = sum(block) - sum(block[148:156]) + 8 * 0x20
    stated = field(block[148:156])
    # Some old tools took the bytes as signed.
    if stated != total and stated != total - 256 * sum(1 for c in block[:148] + block[156:] if c > 127):  # noqa: PLR2004
        raise BadTar("the header of a member is damaged")


def _member(block: bytes, kind: bytes, size: int, fields: dict[str, str]) -> Member:
    if kind == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in fields):
        raise BadTar("it has a sparse member")
    path = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
        path = prefix + b"/" + path
    if kind == tarfile.AREGTYPE and path.endswith(b"/"):  # so the oldest form said that it is a folder
        kind = tarfile.DIRTYPE
    target = block[157:257].partition(b"\0")[0]
    return Member(
        path=fields["path"] if "path" in fields else path.decode("utf-8"),
        kind=_KINDS.get(kind, Kind.UNKNOWN),
        size=decimal(fields["size"]) if "size" in fields else size,
        executable=bool(field(block[100:108]) & 0o100),
        target=fields["linkpath"] if "linkpath" in fields else target.decode("utf-8"),
    )


class _Contents:
    """The contents of the member that the stream stands at."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._left = size
        self._padding = -size % _BLOCK

    def pieces(self) -> Iterator[bytes]:
        while self._left:
            data = self._stream.take(min(self._left, _CHUNK))
            self._left -= len(data)
            yield data

    def finish(self) -> None:
        self._stream.skip(self._left + self._padding)


def _extension(stream: Stream, size: int) -> bytes:
    if size > _MAX_HEADER:
        raise BadTar("the extended header of a member is too long")
    data = stream.take(size)
    stream.skip(-size % _BLOCK)
    return data


def _extended(data: bytes) -> dict[str, str]:
    """What an extended header says of a member's path, size and link, and whether it is sparse."""
    return {
        key: value.decode("utf-8")
        for key, value in pax_fields(data).items()
        if key in ("path", "size", "linkpath") or key.startswith("GNU.sparse")
    }


def _walk_zip(source: BinaryIO) -> Iterator[tuple[Member, Iterator[bytes]]]:
    archive = zips.Reader(source)
    for entry in zips.central(archive):
        if entry.is_folder:
            yield Member(path=entry.name, kind=Kind.FOLDER), iter(())
            continue
        pieces = _inflated(archive, entry)
        first = next(pieces, b"")
        member = Member(path=entry.name, kind=Kind.FILE, size=entry.size, executable=first.startswith(b"#!"))
        yield member, _again(first, pieces)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _inflated(archive: zips.Bytes, entry: zips.Entry) -> Iterator[bytes]:
    """The contents of one member, piece by piece, never more than its stated size. Raises BadZip."""
    damaged = zips.BadZip(f"the member {entry.name[:200]!r} is damaged")
    position = zips.check_local(archive, entry)
    end = position + entry.packed
    if entry.is_encrypted or entry.method not in (0, 8):
        raise zips.BadZip(f"the member {entry.name[:200]!r} is encrypted, or compressed in a way that is not read")
    inflate = zlib.decompressobj(-15) if entry.method else None
    left, crc, waiting = entry.size, 0, b""
    while True:
        if not waiting and position < end:
            waiting = archive.get(position, min(end, position + _CHUNK))
            position += len(waiting)
        data, waiting = (inflate.decompress(waiting, _CHUNK), inflate.unconsumed_tail) if inflate else (waiting, b"")
        left -= len(data)
        if left < 0 or (inflate and inflate.unused_data):
            raise damaged
        crc = zlib.crc32(data, crc)
        if data:
            yield data
        elif not waiting and position >= end:
            break
    if left or crc != entry.crc or (inflate and not inflate.eof):
        raise damaged
