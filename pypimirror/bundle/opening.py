"""The beginning of a bundle: the only part that is read before its manifest is known.

Two numbers are taken from it unproven, the length of a PAX header and that of the manifest, both bounded. Then the
manifest is parsed, and everything read so far is compared with what the manifest makes of it.
"""

from __future__ import annotations

import hashlib
import json
import re

from pypimirror import __version__
from pypimirror.bundle.faults import BundleFault, damaged
from pypimirror.bundle.layout import MANIFEST, RECORD, SUMS, Layout, padding
from pypimirror.bundle.medium import Medium
from pypimirror.model import manifest_json
from pypimirror.model.manifest import FORMAT, Manifest
from pypimirror.model.reading import Malformed
from pypimirror.values import dataclass

__all__ = ["read_opening"]

_SIZE, _SUM, _TYPE, _MAGIC = slice(124, 136), slice(148, 156), slice(156, 157), slice(257, 265)
_OCTAL = re.compile(rb"[0-7]{11}\0")
_USTAR = b"ustar\00000"
_MAX_EXTENDED = 4 * RECORD  # the data of a PAX header: one path
_THIS_FORMAT = b',"format":%d,' % FORMAT
_LINE = re.compile(rb"([0-9a-f]{64})  manifest\.json\n")
_LINE_BYTES = 64 + len("  manifest.json\n")
_OTHERS = (
    (b"\x1f\x8b", "it is gzip-compressed", "gunzip it first"),
    (b"\xfd7zXZ\0", "it is xz-compressed", "unxz it first"),
    (b"BZh", "it is bzip2-compressed", "bunzip2 it first"),
    (b"\x28\xb5\x2f\xfd", "it is zstd-compressed", "unzstd it first"),
    (b"\x04\x22\x4d\x18", "it is lz4-compressed", "unlz4 it first"),
    (b"PK", "it is a zip archive, or a wheel", ""),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", ""),
    (b"-----BEGIN", "it is a key or a signature", ""),
    (b"{", "it is JSON", ""),
    (b"<", "it is HTML or XML, perhaps an error page", ""),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """Bytes of one part, and where it begins."""

    part: str
    offset: int
    data: bytes | bytearray


def read_opening(medium: Medium) -> Layout:
    """Read the top folder, the manifest and the checksums. Raises BundleFault and DiskFault."""
    top = _header(medium, "header of the top folder", _first(medium, "header of the top folder"))
    manifest_header = _header(medium, f"header of {MANIFEST}")
    size = int(manifest_header.data[-RECORD:][_SIZE][:-1], 8)
    if size > manifest_json.MAX_BYTES:
        what = f"no manifest has {size} bytes"
        raise damaged(medium.name, manifest_header.part, manifest_header.offset, what)
    data = _take_large(medium, size, f"contents of {MANIFEST}")
    pad = _take(medium, padding(size), f"padding after {MANIFEST}")
    newer = _newer_format(medium.name, data)
    try:
        sums_header = _header(medium, f"header of {SUMS}")
        line = _take(medium, _LINE_BYTES, f"contents of {SUMS}")
    except BundleFault:
        if newer is not None:
            raise newer from None
        raise
    digest = manifest_json.digest(data.data)
    said = _LINE.fullmatch(line.data)
    if said is not None and said[1] != digest.encode("ascii"):
        part = f"contents of {MANIFEST} or of {SUMS}"
        raise damaged(medium.name, part, data.offset, "they contradict each other")
    if newer is not None:
        raise newer
    layout = Layout(manifest=_manifest(medium, data), digest=digest, size=size)
    for entry, piece in zip(layout.opening(), (top, manifest_header, sums_header), strict=True):
        if entry.header != piece.data:
            raise damaged(medium.name, piece.part, piece.offset)
    if any(pad.data):
        raise damaged(medium.name, pad.part, pad.offset, "not zero")
    _check_sums(medium, layout, line)
    return layout


def _take(medium: Medium, count: int, part: str) -> _Piece:
    offset = medium.offset
    return _Piece(part=part, offset=offset, data=medium.exactly(count, part))


def _take_large(medium: Medium, count: int, part: str) -> _Piece:
    """Likewise, without having all of it twice at any moment."""
    offset, data = medium.offset, bytearray()
    for piece in medium.pieces(count, part):
        data += piece
    return _Piece(part=part, offset=offset, data=data)


def _first(medium: Medium, part: str) -> _Piece:
    """The first record, where it can be one."""
    data = b""
    try:
        for piece in medium.pieces(RECORD, part):
            data += piece
    except BundleFault:
        if not data:
            raise _no_bundle(medium.name, "it is empty", "") from None
        _refuse_others(medium.name, data)
        raise
    if data[_MAGIC] != _USTAR:
        _refuse_others(medium.name, data)
        if data[_MAGIC][:5] == _USTAR[:5]:
            hint = (
                "a folder that was unpacked from a bundle can be served as it is; render takes the .tar as it was made"
            )
            raise _no_bundle(medium.name, "it is a tar of another program", hint)
        raise _no_bundle(medium.name, "it does not begin as a tar", "")
    return _Piece(part=part, offset=0, data=data)


def _refuse_others(bundle: str, data: bytes) -> None:
    for magic, what, hint in _OTHERS:
        if data.lstrip().startswith(magic):
            raise _no_bundle(bundle, what, hint)


def _header(medium: Medium, part: str, block: _Piece | None = None) -> _Piece:
    """A header as it stands, with its PAX header where there is one; only what must be known of it is looked at."""
    block = block or _take(medium, RECORD, part)
    size = _checked_size(medium.name, block)
    if block.data[_TYPE] != b"x":
        return block
    if size > _MAX_EXTENDED:
        raise damaged(medium.name, part, block.offset, f"a PAX header of {size} bytes")
    rest = _take(medium, size + padding(size) + RECORD, part)
    last = _Piece(part=part, offset=medium.offset - RECORD, data=rest.data[-RECORD:])
    _checked_size(medium.name, last)
    return _Piece(part=part, offset=block.offset, data=block.data + rest.data)


def _checked_size(bundle: str, block: _Piece) -> int:
    """The size that a header states, where it is one and its checksum is right."""
    data = block.data
    said = sum(data) - sum(data[_SUM]) + len(data[_SUM]) * ord(" ")
    if data[_SUM] != b"%06o\0 " % said:
        raise damaged(bundle, block.part, block.offset, "its checksum is wrong")
    if data[_MAGIC] != _USTAR or not _OCTAL.fullmatch(data[_SIZE]):
        raise _no_bundle(bundle, "it is some other tar", "")
    return int(data[_SIZE][:-1], 8)


def _no_bundle(bundle: str, what: str, hint: str) -> BundleFault:
    hint = hint or "name the .tar that `pypimirror bundle` wrote"
    return BundleFault(
        f"{bundle} is not a bundle: {what}", code="not-a-bundle", bundle=bundle, part="beginning", offset=0, hint=hint
    )


def _newer_format(bundle: str, piece: _Piece) -> BundleFault | None:
    """The fault where the manifest is of a format that this version can't know."""
    if _THIS_FORMAT in piece.data:  # in no text, where quotes are escaped: all of it need not be decoded to know
        return None
    try:
        top = json.loads(piece.data)
    except (ValueError, RecursionError):
        return None
    number = top.get("format") if isinstance(top, dict) else None
    if not isinstance(number, int) or number <= FORMAT:
        return None
    tool = str(top.get("tool", ""))[:100]
    maker = tool if tool.isprintable() and tool else "a newer pypimirror"
    this = f"this is pypimirror {__version__}, which reads format {FORMAT}"
    return BundleFault(
        f"{bundle} is of format {number}, made by {maker}; {this}",
        code="newer-format",
        bundle=bundle,
        part=piece.part,
        offset=piece.offset,
        hint=f"install {maker} or newer here, or make the bundle again with pypimirror {__version__}",
    )


def _manifest(medium: Medium, piece: _Piece) -> Manifest:
    try:
        return manifest_json.parse(piece.data, medium.kept(piece.data, piece.offset))
    except Malformed as error:
        raise BundleFault(
            f"{medium.name}: its manifest can't be used: {error}",
            code="bad-manifest",
            bundle=medium.name,
            part=piece.part,
            offset=piece.offset,
            hint="make the bundle again; if it comes from `pypimirror bundle`, this is a fault to report",
        ) from None


def _check_sums(medium: Medium, layout: Layout, line: _Piece) -> None:
    """The rest of SHA256SUMS, of which *line* was read already."""
    *_, entry = layout.opening()
    digest = hashlib.sha256(line.data)
    for piece in medium.pieces(entry.size - len(line.data), line.part):
        digest.update(piece)
    if digest.hexdigest() != entry.sha256:
        raise damaged(medium.name, line.part, line.offset)
    medium.zeros(padding(entry.size), f"padding after {SUMS}")
