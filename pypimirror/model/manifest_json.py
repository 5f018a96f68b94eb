r"""The manifest as canonical JSON, and the one gate through which JSON becomes a manifest.

Canonical: keys sorted, no spaces, no floats, ``\u`` escapes for what is not ASCII, one trailing newline. The law:
``parse(dump(m)) == m`` and ``dump(parse(b)) == b``; bytes that are not canonical are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar, cast, get_args

from packaging.requirements import InvalidRequirement, Requirement

from pypimirror.model.files import LearntFrom
from pypimirror.model.manifest import (
    FORMAT,
    BuildRecord,
    BundledFile,
    BundledProject,
    BundledSet,
    Manifest,
    Member,
    Sidecar,
    WithdrawnVersion,
    WrittenRequirement,
)
from pypimirror.model.manifest_check import check_references, check_withdrawn
from pypimirror.model.manifest_lists import FileList, Roll, Rows, member_of
from pypimirror.model.manifest_out import file_out, manifest_out, member_out
from pypimirror.model.manifest_rows import ENCODER, FileRows, Octets, Slices, is_sha256, is_size, rows_in, value_at
from pypimirror.model.names import (
    FileName,
    NormalizedName,
    Sha256,
    file_name,
    label,
    parse_file_name,
    parse_version,
    project_name,
    sha256_of_hex,
)
from pypimirror.model.plan import Pin, Resolution, Uncovered, Want
from pypimirror.model.reading import Malformed, Node
from pypimirror.model.target_json import patches_in, target_in
from pypimirror.model.urls import public_url

__all__ = ["MAX_BYTES", "digest", "dump", "file_in", "parse", "pieces", "project_in"]

MAX_BYTES = 512 * 1024 * 1024
"""No manifest is larger: that is some 400,000 files."""

_KEYS = (
    "base", "built", "channel", "files", "format", "members", "projects", "resolutions", "sequence", "sets", "targets",
    "tool", "uncovered", "withdrawn",
)  # fmt: skip
"""The members of the top object, in their order."""

_AT_ONCE = 256  # rows
_MEMBER_KEYS = 3
_MEMBER_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}(?:/[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}){0,7}")
_TAKEN_PATHS = frozenset({"manifest.json", "sha256sums", "packages"})  # in any case: not every disk tells "A" from "a"
_TAKEN_FOLDER = "packages/"
_MAX_SEQUENCE = 8**11 - 1  # in the year 2242: the last time that a tar header can hold

T = TypeVar("T")


def dump(manifest: Manifest) -> bytes:
    """The canonical bytes."""
    return b"".join(pieces(manifest))


def pieces(manifest: Manifest) -> Iterator[bytes]:
    """The canonical bytes in pieces, so that what they are made of is never there all together."""
    out = manifest_out(replace(manifest, files=(), members=()))
    for number, key in enumerate(_KEYS):
        yield b'%b"%b":' % (b"," if number else b"{", key.encode("ascii"))
        if key == "files":
            yield from _rows_out(manifest.files, file_out)
        elif key == "members":
            yield from _rows_out(manifest.members, member_out)
        else:
            yield ENCODER.encode(out[key]).encode("ascii")
    yield b"}\n"


def _rows_out(several: Sequence[T], out: Callable[[T], dict[str, object]]) -> Iterator[bytes]:
    yield b"["
    if isinstance(several, Rows):  # they were canonical when they were read
        yield from several.raw()
    else:
        rows, between = map(out, several), b""
        while group := list(islice(rows, _AT_ONCE)):
            yield between + ENCODER.encode(group)[1:-1].encode("ascii")
            between = b","
    yield b"]"


def digest(data: Octets) -> Sha256:
    """The name of the bundle whose manifest has these bytes."""
    return Sha256(hashlib.sha256(data).hexdigest())


def parse(data: Octets, kept: Slices | None = None) -> Manifest:
    """Check bytes and make a manifest of them. Raises Malformed, whose text names the path to the fault.

    In place of its long lists the manifest keeps *data*, which must not be changed any more, or what stands for it.
    """
    if len(data) > MAX_BYTES:
        raise Malformed("", f"larger than {MAX_BYTES} bytes")
    return _quick(data, kept) or _thorough(data)


def _thorough(data: Octets) -> Manifest:
    """The gate. It has all of the JSON decoded at once, and takes three times as long as ``_quick``."""
    try:
        decoded: object = json.loads(data, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}") from None
    manifest = _manifest_in(Node(decoded))
    check_references(manifest)
    check_withdrawn(manifest)
    if dump(manifest) != data:
        raise Malformed("", "not in canonical form")
    return manifest


def _quick(data: Octets, kept: Slices | None = None) -> Manifest | None:
    """What ``_thorough`` makes of the same bytes; None where it must look at them, since they may be at fault."""
    try:
        decoded, roll, files, members = _top(data, data if kept is None else kept)
        manifest = _manifest_in(Node(decoded), files=files, members=members)
        check_references(manifest, roll)
        check_withdrawn(manifest)
    except (ValueError, RecursionError, StopIteration):  # Malformed is a ValueError
        return None
    rest = manifest_out(replace(manifest, files=(), members=()))
    return manifest if ENCODER.encode(rest) == ENCODER.encode(decoded) else None


def _top(data: Octets, kept: Slices) -> tuple[dict[str, object], Roll, FileList, Rows[Member]]:
    """The members of the top object, the two long lists apart. Raises ValueError, StopIteration, RecursionError."""
    decoded: dict[str, object] = {}
    roll = Roll()
    begins = {"files": array("I", [0]), "members": array("I", [0])}
    checks: dict[str, Callable[[dict[str, object]], None]] = {"files": _to_roll(roll), "members": _check_member}
    at = 0
    for number, key in enumerate(_KEYS):
        head = b'%b"%b":' % (b"," if number else b"{", key.encode("ascii"))
        if not data.startswith(head, at):
            raise ValueError(key)
        at += len(head)
        if key in checks:
            begins[key], at = rows_in(data, at, checks[key])
            decoded[key] = []
        else:
            decoded[key], at = value_at(data, at)
    if data[at:] != b"}\n":
        raise ValueError(at)
    roll.check_unique()
    return decoded, roll, FileList(kept, begins["files"], roll), Rows(kept, begins["members"], member_of)


def _to_roll(roll: Roll) -> Callable[[dict[str, object]], None]:
    check = FileRows().check
    return lambda row: roll.add(*check(row))


def _check_member(row: dict[str, object]) -> None:
    path, size, sha256 = row["path"], row["size"], row["sha256"]
    if len(row) != _MEMBER_KEYS or type(path) is not str or not is_size(size) or not is_sha256(sha256):
        raise ValueError(path)
    _member_path(path)


def _no_float(text: str) -> float:
    raise ValueError(f"a float: {text[:40]}")


# ---- in -------------------------------------------------------------------------------------------------------------


def _manifest_in(
    top: Node, *, files: Sequence[BundledFile] | None = None, members: Sequence[Member] | None = None
) -> Manifest:
    """The manifest; *files* and *members*, where they are given, were read already."""
    version = Node(top.value.get("format") if isinstance(top.value, dict) else None, "format").number(high=10**6)
    if version != FORMAT:
        raise Malformed("format", f"this version reads format {FORMAT}, not {version}")
    at = top.fields(*_KEYS)
    return Manifest(
        channel=at["channel"].checked(label),
        sequence=at["sequence"].number(high=_MAX_SEQUENCE),
        base=at["base"].maybe(lambda node: node.checked(sha256_of_hex)),
        tool=at["tool"].text(limit=200),
        targets=tuple(map(target_in, at["targets"].items())),
        sets=tuple(map(_set_in, at["sets"].items())),
        resolutions=tuple(map(_resolution_in, at["resolutions"].items())),
        uncovered=tuple(map(_uncovered_in, at["uncovered"].items())),
        projects=tuple(map(project_in, at["projects"].items())),
        files=tuple(map(file_in, at["files"].items())) if files is None else files,
        members=tuple(map(_member_in, at["members"].items())) if members is None else members,
        built=tuple(map(_built_in, at["built"].items())),
        withdrawn=tuple(map(_withdrawn_in, at["withdrawn"].items())),
    )


def _requirement_text(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if requirement.url is not None:
        raise ValueError("a requirement with a URL")
    return text


def _written_in(node: Node) -> WrittenRequirement:
    at = node.fields("requirement", "origin", "hashes", "filename")
    return WrittenRequirement(
        requirement=at["requirement"].checked(_requirement_text),
        origin=at["origin"].text(limit=4096),
        hashes=at["hashes"].texts(),
        filename=at["filename"].maybe(lambda n: n.checked(file_name)),
    )


def _set_in(node: Node) -> BundledSet:
    at = node.fields(
        "name", "roots", "constraints", "prereleases", "only_binary", "no_binary", "prefer_binary", "builds"
    )  # fmt: skip
    return BundledSet(
        name=at["name"].checked(label),
        roots=tuple(map(_written_in, at["roots"].items())),
        constraints=tuple(map(_written_in, at["constraints"].items())),
        prereleases=at["prereleases"].flag(),
        only_binary=at["only_binary"].texts(),
        no_binary=at["no_binary"].texts(),
        prefer_binary=at["prefer_binary"].flag(),
        builds=at["builds"].maybe(lambda n: n.checked(file_name)),
    )


def _pin_in(node: Node) -> Pin:
    at = node.fields("project", "version", "file", "extras", "wanted_by")
    wants = []
    for want in at["wanted_by"].items():
        pair = want.texts()
        if len(pair) != 2:  # noqa: PLR2004 - a pair
            raise Malformed(want.where, "not a pair")
        wants.append(Want(by=pair[0], text=pair[1]))
    return Pin(
        project=at["project"].checked(_normalised),
        version=at["version"].checked(parse_version),
        file=at["file"].checked(file_name),
        extras=at["extras"].texts(),
        wanted_by=tuple(wants),
    )


def _resolution_in(node: Node) -> Resolution:
    at = node.fields("set", "target", "patches", "pins")
    return Resolution(
        set=at["set"].checked(label),
        target=at["target"].checked(label),
        patches=patches_in(at["patches"]),
        pins=tuple(map(_pin_in, at["pins"].items())),
    )


def _uncovered_in(node: Node) -> Uncovered:
    at = node.fields("set", "target", "patches", "reason")
    return Uncovered(
        set=at["set"].checked(label),
        target=at["target"].checked(label),
        patches=patches_in(at["patches"]),
        reason=at["reason"].text(),
    )


def _normalised(text: str) -> NormalizedName:
    name = project_name(text)
    if name != text:
        raise ValueError(f"not a normalised project name: {text!r}")
    return name


def project_in(node: Node) -> BundledProject:
    at = node.fields("name", "status", "reason", "tracks", "alternate_locations")
    return BundledProject(
        name=at["name"].checked(_normalised),
        status=at["status"].text(limit=100),
        reason=at["reason"].text(),
        tracks=tuple(each.checked(public_url) for each in at["tracks"].items()),
        alternate_locations=tuple(each.checked(public_url) for each in at["alternate_locations"].items()),
    )


def _sidecar_in(node: Node) -> Sidecar:
    at = node.fields("sha256", "size")
    return Sidecar(sha256=at["sha256"].checked(sha256_of_hex), size=at["size"].number())


def file_in(node: Node) -> BundledFile:
    at = node.fields(
        "filename", "project", "version", "sha256", "size", "requires_python", "requires_dist", "provides_extra",
        "yanked", "upload_time", "metadata", "index", "index_hash", "build_requires", "languages", "learnt_from",
        "provenance",
    )  # fmt: skip
    filename: FileName = at["filename"].checked(file_name)
    project = at["project"].checked(_normalised)
    parsed = at["filename"].checked(lambda text: parse_file_name(text, project=project))
    version = at["version"].checked(parse_version)
    if version != parsed.version:
        raise Malformed(node.where, f"{filename} is not of version {version}")
    return BundledFile(
        filename=filename,
        project=project,
        version=version,
        sha256=at["sha256"].checked(sha256_of_hex),
        size=at["size"].number(),
        requires_python=at["requires_python"].maybe(Node.text),
        requires_dist=at["requires_dist"].texts(),
        provides_extra=at["provides_extra"].texts(),
        yanked=at["yanked"].maybe(Node.text),
        upload_time=at["upload_time"].maybe(lambda n: n.text(limit=100)),
        metadata=at["metadata"].maybe(_sidecar_in),
        index=at["index"].text(limit=1000),
        index_hash=at["index_hash"].flag(),
        build_requires=at["build_requires"].maybe(Node.texts),
        languages=at["languages"].texts(),
        learnt_from=at["learnt_from"].checked(_learnt_from),
        provenance=at["provenance"].maybe(_sidecar_in),
    )


def _built_in(node: Node) -> BuildRecord:
    at = node.fields("source", "sha256", "backend", "requirements", "sandboxed", "output")
    requirements = []
    for each in at["requirements"].items():
        pair = each.fields("filename", "sha256")
        requirements.append((pair["filename"].checked(file_name), pair["sha256"].checked(sha256_of_hex)))
    return BuildRecord(
        source=at["source"].text(limit=4096),
        sha256=at["sha256"].maybe(lambda n: n.checked(sha256_of_hex)),
        backend=at["backend"].text(limit=1000),
        requirements=tuple(requirements),
        sandboxed=at["sandboxed"].flag(),
        output=at["output"].text(limit=255),
    )


def _withdrawn_in(node: Node) -> WithdrawnVersion:
    at = node.fields("project", "version", "reason")
    return WithdrawnVersion(
        project=at["project"].checked(_normalised),
        version=at["version"].checked(parse_version),
        reason=at["reason"].text(limit=4096),
    )


def _learnt_from(text: str) -> LearntFrom:
    for known in get_args(LearntFrom):
        if text == known:
            return cast("LearntFrom", known)
    raise ValueError(f"not one of {', '.join(get_args(LearntFrom))}: {text[:80]!r}")


def _member_path(text: str) -> str:
    folded = text.casefold()
    taken = folded in _TAKEN_PATHS or (folded.startswith(_TAKEN_FOLDER) and text != "packages/index.html")
    if taken or not _MEMBER_PATH.fullmatch(text):
        raise ValueError(f"not a path for a member: {text[:80]!r}")
    return text


def _member_in(node: Node) -> Member:
    at = node.fields("path", "size", "sha256")
    return Member(
        path=at["path"].checked(_member_path), size=at["size"].number(), sha256=at["sha256"].checked(sha256_of_hex)
    )
