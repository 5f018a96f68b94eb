r"""The manifest as canonical JSON, and the one gate through which JSON becomes a manifest.

Canonical: keys sorted, no spaces, no floats, ``\u`` escapes for what is not ASCII, one trailing newline. The law:
``parse(dump(m)) == m`` and ``dump(parse(b)) == b``; bytes that are not canonical are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
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
    WrittenRequirement,
)
from pypimirror.model.manifest_out import manifest_out
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

__all__ = ["MAX_BYTES", "digest", "dump", "parse"]

MAX_BYTES = 512 * 1024 * 1024
"""No manifest is larger: that is some 400,000 files."""

_MEMBER_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}(?:/[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}){0,7}")
_TAKEN_PATHS = frozenset({"manifest.json", "sha256sums", "packages", "provenance"})  # in any case: not every disk
_TAKEN_FOLDERS = ("packages/", "provenance/")  # tells "A" from "a"
_MAX_SEQUENCE = 8**11 - 1  # in the year 2242: the last time that a tar header can hold

T = TypeVar("T")


def dump(manifest: Manifest) -> bytes:
    """The canonical bytes."""
    text = json.dumps(manifest_out(manifest), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def digest(data: bytes) -> Sha256:
    """The name of the bundle whose manifest has these bytes."""
    return Sha256(hashlib.sha256(data).hexdigest())


def parse(data: bytes) -> Manifest:
    """Check bytes and make a manifest of them. Raises Malformed, whose text names the path to the fault."""
    if len(data) > MAX_BYTES:
        raise Malformed("", f"larger than {MAX_BYTES} bytes")
    try:
        decoded: object = json.loads(data, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}") from None
    manifest = _manifest_in(Node(decoded))
    if dump(manifest) != data:
        raise Malformed("", "not in canonical form")
    return manifest


def _no_float(text: str) -> float:
    raise ValueError(f"a float: {text[:40]}")


# ---- in -------------------------------------------------------------------------------------------------------------


def _manifest_in(top: Node) -> Manifest:
    version = Node(top.value.get("format") if isinstance(top.value, dict) else None, "format").number(high=10**6)
    if version != FORMAT:
        raise Malformed("format", f"this version reads format {FORMAT}, not {version}")
    at = top.fields(
        "format", "channel", "sequence", "base", "tool", "targets", "sets", "resolutions", "uncovered",
        "projects", "files", "members", "built",
    )  # fmt: skip
    manifest = Manifest(
        channel=at["channel"].checked(label),
        sequence=at["sequence"].number(high=_MAX_SEQUENCE),
        base=at["base"].maybe(lambda node: node.checked(sha256_of_hex)),
        tool=at["tool"].text(limit=200),
        targets=tuple(map(target_in, at["targets"].items())),
        sets=tuple(map(_set_in, at["sets"].items())),
        resolutions=tuple(map(_resolution_in, at["resolutions"].items())),
        uncovered=tuple(map(_uncovered_in, at["uncovered"].items())),
        projects=tuple(map(_project_in, at["projects"].items())),
        files=tuple(map(_file_in, at["files"].items())),
        members=tuple(map(_member_in, at["members"].items())),
        built=tuple(map(_built_in, at["built"].items())),
    )
    _check_references(manifest)
    return manifest


def _check_references(manifest: Manifest) -> None:
    """Names are unique, lists are sorted, and whatever is referred to is there."""
    targets = _unique("targets", (target.name for target in manifest.targets))
    sets = _unique("sets", (each.name for each in manifest.sets))
    files = {file.filename: file for file in manifest.files}
    _ascending("files", [file.filename for file in manifest.files])
    _unique("files", (file.filename.casefold() for file in manifest.files))
    _ascending("projects", [project.name for project in manifest.projects])
    _ascending("members", [member.path for member in manifest.members])
    paths = _unique("members", (member.path.casefold() for member in manifest.members))
    for path in paths:
        if any("/".join(path.split("/")[:depth]) in paths for depth in range(1, path.count("/") + 1)):
            raise Malformed("members", f"{path!r} lies in what is no folder")
    if {file.project for file in manifest.files} != {project.name for project in manifest.projects}:
        raise Malformed("projects", "not the projects of the files")
    for i, each in enumerate(manifest.sets):
        if each.builds is not None and (each.builds not in files or each.builds.endswith(".whl")):
            raise Malformed(f"sets[{i}].builds", f"{each.builds!r} is no sdist that is there")
    for i, resolution in enumerate(manifest.resolutions):
        where = f"resolutions[{i}]"
        if resolution.set not in sets or resolution.target not in targets:
            raise Malformed(where, "names a set or a target that is not there")
        _ascending(f"{where}.pins", [pin.project for pin in resolution.pins])
        for pin in resolution.pins:
            file = files.get(pin.file)
            if file is None or (file.project, file.version) != (pin.project, pin.version):
                raise Malformed(where, f"pins {pin.project} to a file that is not there")


def _unique(where: str, names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Malformed(where, f"{name!r} stands twice")
        seen.add(name)
    return seen


def _ascending(where: str, names: Sequence[str]) -> None:
    for first, second in pairwise(names):
        if not first < second:
            raise Malformed(where, f"{second!r} is out of order")


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


def _project_in(node: Node) -> BundledProject:
    at = node.fields("name", "status", "reason")
    return BundledProject(
        name=at["name"].checked(_normalised), status=at["status"].text(limit=100), reason=at["reason"].text()
    )


def _sidecar_in(node: Node) -> Sidecar:
    at = node.fields("sha256", "size")
    return Sidecar(sha256=at["sha256"].checked(sha256_of_hex), size=at["size"].number())


def _file_in(node: Node) -> BundledFile:
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


def _learnt_from(text: str) -> LearntFrom:
    for known in get_args(LearntFrom):
        if text == known:
            return cast("LearntFrom", known)
    raise ValueError(f"not one of {', '.join(get_args(LearntFrom))}: {text[:80]!r}")


def _member_path(text: str) -> str:
    folded = text.casefold()
    taken = folded in _TAKEN_PATHS or (folded.startswith(_TAKEN_FOLDERS) and text != "packages/index.html")
    if taken or not _MEMBER_PATH.fullmatch(text):
        raise ValueError(f"not a path for a member: {text[:80]!r}")
    return text


def _member_in(node: Node) -> Member:
    at = node.fields("path", "size", "sha256")
    return Member(
        path=at["path"].checked(_member_path), size=at["size"].number(), sha256=at["sha256"].checked(sha256_of_hex)
    )
