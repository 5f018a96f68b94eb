"""What lies inside a wheel: its METADATA, and whether the archive is one that every installer reads alike.

Three ways to the same bytes: ``read_metadata`` from an open file or a reader of ranges, ``metadata_from_tail`` from
the wheel's last bytes (64 KiB nearly always suffice), and ``gate``, which checks the whole archive on the way.
Essential reading: the binary distribution format (PEP 427), recording installed projects (PEP 376, 627); on
archives that readers understand differently, the zip confusion notices of 2025.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from operator import attrgetter

from packaging.utils import canonicalize_name

from pypimirror.errors import IntegrityFault
from pypimirror.index import zips
from pypimirror.index.metadata import MAX_BYTES, headers
from pypimirror.index.zips import BadZip, Needed, RandomAccess
from pypimirror.model.names import ParsedName, parse_version

__all__ = ["TAIL_SIZE", "Needed", "RandomAccess", "gate", "metadata_from_tail", "read_metadata"]

TAIL_SIZE = 65_536
"""So many last bytes of a wheel hold its list of members and its METADATA, nearly always."""

_MAX_RECORD = 64 * 1024 * 1024
_SMALL, _MAX_RATIO = 64 * 1024 * 1024, 100  # twice what the largest public index takes; no honest wheel comes near
_NAME, _FLAGS, _SIZE, _PACKED = map(attrgetter, ("name", "flags", "size", "packed"))
_SUSPICIOUS = ("\\", "..", "./", "\0", ":", "/\n", "\n/", "\n\n")  # between, before and after names is a line's end
_DRIVE = re.compile(r"[A-Za-z]:")
_DIST_INFO = re.compile(r"([^/]+)\.dist-info/", re.IGNORECASE)
_HINT = "choose another version of this project with a constraint, or tell its maintainers"


def read_metadata(source: RandomAccess, *, name: ParsedName) -> bytes:
    """The exact bytes of METADATA. Raises IntegrityFault (``bad-wheel``), and whatever *source* raises."""
    try:
        archive = zips.Reader(source)
        return _metadata(archive, zips.central(archive), name)
    except BadZip as error:
        raise _fault(name, error) from None


def metadata_from_tail(
    tail: bytes, total_size: int, name: ParsedName, *, more: Iterable[tuple[int, bytes]] = ()
) -> bytes | Needed:
    """METADATA out of the last bytes of a wheel of *total_size* bytes; or the range that is needed besides.

    *more* are ranges that were got because an earlier call needed them, each with its start. At most two further
    calls are needed: one where the list of members is longer than the tail, one where METADATA lies before it.
    Raises IntegrityFault (``bad-wheel``).
    """
    if len(tail) > total_size:
        raise IntegrityFault(f"{name.filename}: more bytes than its size of {total_size}", code="bad-wheel", hint=_HINT)
    archive = zips.Pieces(total_size, [(total_size - len(tail), tail), *more])
    try:
        return _metadata(archive, zips.central(archive), name)
    except zips.NotThere as missing:
        return missing.needed
    except BadZip as error:
        raise _fault(name, error) from None


def gate(source: RandomAccess, *, name: ParsedName) -> bytes:
    """Check a whole wheel, and return its METADATA. Of its members only METADATA, WHEEL and RECORD are unpacked.

    Refused is what is certain to be wrong: names that occur twice, or lead out of the folder they are unpacked in; a
    member whose own header contradicts the list; bytes before, after, or shared by members; encryption; a size that
    only a bomb unpacks to; a Wheel-Version that installers refuse; a RECORD that does not list exactly the members.
    Raises IntegrityFault (``bad-wheel``).
    """
    try:
        archive = zips.Reader(source)
        entries = zips.central(archive)
        there = _check_members(entries)
        if min((entry.offset for entry in entries), default=0):
            raise BadZip("there are bytes before it")
        zips.check_all(archive, entries)
        folder = _dist_info(entries, name)
        metadata = zips.unpack(archive, _member(entries, f"{folder}METADATA"), limit=MAX_BYTES)
        _check_version(zips.unpack(archive, _member(entries, f"{folder}WHEEL"), limit=MAX_BYTES))
        record = _member(entries, f"{folder}RECORD")
        _check_record(zips.unpack(archive, record, limit=_MAX_RECORD), there, folder)
    except BadZip as error:
        raise _fault(name, error) from None
    return metadata


def _fault(name: ParsedName, error: BadZip) -> IntegrityFault:
    return IntegrityFault(f"{name.filename}: {error}", code="bad-wheel", hint=_HINT)


def _metadata(archive: zips.Bytes, entries: Sequence[zips.Entry], name: ParsedName) -> bytes:
    return zips.unpack(archive, _member(entries, f"{_dist_info(entries, name)}METADATA"), limit=MAX_BYTES)


def _member(entries: Sequence[zips.Entry], path: str) -> zips.Entry:
    found = [entry for entry in entries if entry.name == path]
    if len(found) != 1:
        raise BadZip(f"{path} is in it twice" if found else f"{path} is not in it")
    return found[0]


def _dist_info(entries: Sequence[zips.Entry], name: ParsedName) -> str:
    """The one ``.dist-info/`` folder, which must be of the project and version that the file's name says."""
    tops = {entry.name[: entry.name.find("/") + 1] for entry in entries}
    folders = sorted(top for top in tops if _DIST_INFO.fullmatch(top))
    if len(folders) != 1:
        what = "no .dist-info folder" if not folders else f"several .dist-info folders: {', '.join(folders)[:200]}"
        raise BadZip(f"it has {what}")
    project, _, version = _stem(folders[0]).rpartition("-")
    same = canonicalize_name(project) == name.project
    try:
        same = same and parse_version(version) == name.version
    except ValueError:  # old tools escaped versions in ways of their own; METADATA's version is what counts
        same = canonicalize_name(_stem(folders[0])).startswith(name.project)
    if not same:
        raise BadZip(f"its folder {folders[0][:200]!r} is of another project or version")
    return folders[0]


def _stem(folder: str) -> str:
    return folder[: -len(".dist-info/")]


def _check_members(entries: Sequence[zips.Entry]) -> set[str]:
    """Judge them all; the paths of those that are no folders, as RECORD should list them."""
    names = list(map(_NAME, entries))
    paths = set(names)
    if len(paths) < len(names) or not _is_plain(names):
        _check_names(names)
        paths = {_plain(name) for name in names if not name.endswith("/")}
    if any(flags & 1 for flags in set(map(_FLAGS, entries))):
        raise BadZip(f"the member {next(each for each in entries if each.is_encrypted).name[:200]!r} is encrypted")
    unpacked, packed = sum(map(_SIZE, entries)), sum(map(_PACKED, entries))
    if unpacked > max(_SMALL, _MAX_RATIO * packed):
        raise BadZip(f"it unpacks to {unpacked} bytes, over {_MAX_RATIO} times as many as it has")
    return paths


def _is_plain(names: list[str]) -> bool:
    """Whether nothing in *names*, all of them looked at together, deserves a look at each."""
    text = "\n".join(["", *names, ""])
    return text.count("\n") == len(names) + 1 and not any(sign in text for sign in _SUSPICIOUS)


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        path = name.replace("\\", "/")
        plain = path.rstrip("/")
        if plain in seen:
            raise BadZip(f"the member {name[:200]!r} is in it twice")
        seen.add(plain)
        upwards = ".." in path and ".." in path.split("/")
        unsafe = path.startswith("/") or upwards or "\0" in path or (path[1:2] == ":" and _DRIVE.match(path))
        if unsafe or not path:
            raise BadZip(f"the member {name[:200]!r} leads out of its folder")


def _check_version(wheel: bytes) -> None:
    stated = dict(headers(wheel)).get("wheel-version", "")
    if not re.fullmatch(r"1(\.[0-9]+)*", stated):
        raise BadZip(f"its Wheel-Version is {stated[:40]!r}, and installers know 1.x")


def _check_record(data: bytes, there: set[str], folder: str) -> None:
    own = {f"{folder}{file}" for file in ("RECORD", "RECORD.jws", "RECORD.p7s")}
    listed = _listed(data)
    listed -= own
    there -= own
    if listed == there:
        return
    if unlisted := sorted(there - listed):
        raise BadZip(f"its RECORD does not list {_some(unlisted)}")
    if absent := sorted(path for path in listed - there if not path.endswith("/")):
        raise BadZip(f"its RECORD lists what is not in it: {_some(absent)}")


def _listed(record: bytes) -> set[str]:
    """The paths in a RECORD, which is CSV; where nothing is quoted, that is what stands before the first comma."""
    try:
        text = record.decode("utf-8-sig")
        lines = text.replace("\r\n", "\n")
        if '"' in lines or "\r" in lines:
            listed = {row[0] for row in csv.reader(io.StringIO(text, newline="")) if row}
        else:
            listed = {line[: line.find(",")] if "," in line else line for line in lines.split("\n")}
    except (UnicodeDecodeError, csv.Error):
        raise BadZip("its RECORD can't be read") from None
    listed.discard("")
    return set(map(_plain, listed)) if "\\" in text or "./" in text else listed


def _plain(path: str) -> str:
    """Tools on Windows wrote backslashes, some others a leading ``./``; installers take both."""
    return path.replace("\\", "/").removeprefix("./")


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0][:200]!r}{more}"
