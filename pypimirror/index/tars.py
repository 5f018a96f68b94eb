"""A few small files out of a tar, compressed or not, read once from front to back.

Nothing is extracted and no link is followed, so a member's name can do no harm. All is bounded: what is unpacked in
all, the number of members, each header, each file that is kept, the memory that xz may ask for.
Essential reading: POSIX.1-2001, pax (ustar and extended headers); the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

from pypimirror.values import dataclass

__all__ = [
    "MAX_FILE",
    "MAX_MEMBERS",
    "MAX_UNPACKED",
    "BadTar",
    "Stream",
    "decimal",
    "field",
    "opened",
    "pax_fields",
    "read",
]

MAX_UNPACKED = 2 * 1024 * 1024 * 1024
MAX_MEMBERS = 200_000
MAX_FILE = 16 * 1024 * 1024
_MAX_HEADER = 1024 * 1024
_MAX_XZ_MEMORY = 256 * 1024 * 1024
_BLOCK = 512
_CHUNK = 256 * 1024


class BadTar(ValueError):
    """The archive is damaged, out of all bounds, or of a kind that is not read."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read(source: BinaryIO, filename: str, choose: Callable[[str], str | None]) -> dict[str, bytes]:
    """The contents of the regular files that *choose* gives a name to, given their paths; of each name the first.

    Raises BadTar; OSError as *source* raises it.
    """
    try:
        return _read(Stream(opened(source, filename)), choose)
    except (EOFError, zlib.error, lzma.LZMAError):
        raise BadTar("the archive is damaged") from None
    except OSError as error:
        # gzip and bz2 say of damaged bytes that they are an OSError, yet one without a number.
        if error.errno is not None:
            raise
        raise BadTar("the archive is damaged") from None


def opened(source: BinaryIO, filename: str) -> _Readable:
    if filename.endswith((".tar.gz", ".tgz")):
        return gzip.GzipFile(fileobj=source, mode="rb")
    if filename.endswith(".tar.bz2"):
        return bz2.BZ2File(source, "rb")
    if filename.endswith(".tar.xz"):
        return _Xz(source)
    if filename.endswith(".tar"):
        return source
    raise BadTar("an archive of this kind can't be read")


class _Xz:
    """An xz stream whose memory is bounded, which lzma's own file can't do."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._unpacker = lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)

    def read(self, size: int, /) -> bytes:
        while not self._unpacker.eof:
            packed = self._source.read(_CHUNK) if self._unpacker.needs_input else b""
            if self._unpacker.needs_input and not packed:
                raise EOFError
            if data := self._unpacker.decompress(packed, size):
                return data
        return b""


class Stream:
    """Counts what is unpacked, and stops at the bound."""

    def __init__(self, source: _Readable) -> None:
        self._source = source
        self._left = MAX_UNPACKED

    def take(self, size: int, *, may_end: bool = False) -> bytes:
        """The next *size* bytes; with *may_end*, none at all where the archive ends here.

        Raises EOFError where there are fewer, BadTar beyond the bound.
        """
        self._charge(size)
        chunks: list[bytes] = []
        while size:
            chunk = self._source.read(min(size, _CHUNK))
            if not chunk:
                if may_end and not chunks:
                    return b""
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def skip(self, size: int) -> None:
        self._charge(size)
        while size:
            passed = len(self._source.read(min(size, _CHUNK)))
            if not passed:
                raise EOFError
            size -= passed

    def _charge(self, size: int) -> None:
        if size > self._left:
            raise BadTar(f"unpacked it is larger than {MAX_UNPACKED} bytes")
        self._left -= size


# Members of these types are a header and nothing else, whatever size it states: so tarfile, and so pip, read them.
_BARE = frozenset({
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
})  # fmt: skip
_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_EXTENDING = frozenset({
    tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Member:
    """What matters of a header. The class of tarfile takes five times as long to make, and 200,000 may come."""

    path: str
    size: int
    kind: bytes


def _read(stream: Stream, choose: Callable[[str], str | None]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    overrides: dict[str, str] = {}
    for number in range(MAX_MEMBERS):
        member = _header(stream)
        if member is None:
            if not number:
                raise BadTar("the archive is empty")
            return found
        if member.kind in _EXTENDING:
            overrides |= _extension(stream, member)
            continue
        size = decimal(overrides["size"]) if "size" in overrides else member.size
        name = choose(overrides.get("path", member.path)) if member.kind in _REGULAR else None
        if name is not None and name not in found:
            found[name] = _contents(stream, size, MAX_FILE)
        elif member.kind not in _BARE:
            stream.skip(size + -size % _BLOCK)
        overrides = {}
    raise BadTar(f"it has more than {MAX_MEMBERS} members")


def _header(stream: Stream) -> _Member | None:
    """The next header; None at the end, which is a block of zeros or, as some tools leave it, nothing more."""
    block = stream.take(_BLOCK, may_end=True)
    if not any(block):
        return None
    # The checksum is of all bytes, its own eight counted as blanks; some old tools took the bytes as signed.
    total = sum(block) - sum(block[148:156]) + 8 * 0x20
    stated = field(block[148:156])
    if stated != total and stated != total - 256 * sum(1 for c in block[:148] + block[156:] if c > 127):  # noqa: PLR2004
        raise BadTar("the header of a member is damaged")
    path = block[:100].partition(b"\0")[0]
    kind = block[156:157]
    if kind == tarfile.GNUTYPE_SPARSE:
        raise BadTar("it has a sparse member")
    if kind not in _EXTENDING and block[257:263] == b"ustar\0":
        prefix = block[345:500].partition(b"\0")[0]
        path = prefix + b"/" + path if prefix else path
    if kind == tarfile.AREGTYPE and path.endswith(b"/"):  # so the oldest form said that it is a folder
        kind = tarfile.DIRTYPE
    return _Member(path.decode("utf-8", "replace"), field(block[124:136]), kind)


def field(raw: bytes) -> int:
    """A number of a header: octal digits, or from 0x80 on binary, as GNU writes what octal can't hold."""
    if raw[:1] == b"\x80":
        return int.from_bytes(raw[1:], "big")
    text = raw.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        raise BadTar("the header of a member is damaged")
    return int(text or b"0", 8)


def _extension(stream: Stream, member: _Member) -> dict[str, str]:
    """What a header that extends the next one says of it: ``path`` and ``size``, where it does."""
    data = _contents(stream, member.size, _MAX_HEADER)
    if member.kind in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        fields = pax_fields(data)
        return {key: fields[key].decode("utf-8", "replace") for key in ("path", "size") if key in fields}
    if member.kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "replace")}
    return {}  # a long link, which is not followed; or a global header, which has nothing of a member


def _contents(stream: Stream, size: int, limit: int) -> bytes:
    if size > limit:
        raise BadTar(f"a member that must be read is larger than {limit} bytes")
    data = stream.take(size)
    stream.skip(-size % _BLOCK)
    return data


def pax_fields(data: bytes) -> dict[str, bytes]:
    """The fields of an extended header: ``length key=value`` and a newline, the length counting all of it.

    Raises BadTar. Keys that are not ASCII are left out: none of them means anything here.
    """
    fields: dict[str, bytes] = {}
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        length = decimal(data[position:space].decode("ascii", "replace")) if space > 0 else 0
        end = position + length
        if end > len(data) or end <= space + 1:
            raise BadTar("the extended header of a member is damaged")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if equals and key.isascii():
            fields[key.decode("ascii")] = value
        position = end
    return fields


def decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004  beyond any size in bytes
        raise BadTar("the extended header of a member is damaged")
    return int(text)
