"""What a tree says of itself: its ``manifest.json``. Pure.

It names the bundles that the tree is composed of and the rules by which, the ledgers that list every file and page of
the projects of a shard, and the pages that are no project's. Everything is named by its sha256, so that this one file
vouches for the whole tree. Two trees made of the same bundles in the same way say the same, byte for byte. As with a
bundle's manifest: canonical JSON, one gate in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TypeVar

from pypimirror.model.manifest import BundledFile, WithdrawnVersion
from pypimirror.model.names import Label, NormalizedName, Sha256, label, parse_version, project_name, sha256_of_hex
from pypimirror.model.reading import Malformed, Node
from pypimirror.tree.compose import Source, Withdrawal
from pypimirror.tree.layout import LANDING, PACKAGES_PAGE, page_folder
from pypimirror.values import dataclass

__all__ = [
    "FORMAT",
    "MERGED",
    "AcceptedBundle",
    "Contents",
    "Locks",
    "Served",
    "dump",
    "parse",
    "served_in",
    "served_out",
    "wanted_by",
]

FORMAT = 1
MERGED = ""
"""The name of the merged index among the indexes of channels."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MARK = re.compile(r"[a-z2-7]{26}")
_PROJECT = re.compile(r"(?=.{1,200}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_SHARD = re.compile(r"[0-9a-f]{2}")
_LOCK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,250}")
_ROOT_PAGE = re.compile(
    rf"(?:{re.escape(LANDING)}|{re.escape(PACKAGES_PAGE)}|(?:channels/[^/]{{1,100}}/)?simple/index\.(?:html|json))(?:\.gz)?"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """A file or a page; size in bytes."""

    sha256: Sha256
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedBundle:
    """One bundle that the tree is composed of, with what a person wants to know of it at a glance.

    ``roots`` are the first of those that were asked for; ``uncovered`` are sentences; ``withdrawn`` is what it takes
    back. ``files`` and ``size`` (bytes) are of all that it lists.
    """

    source: Source
    tool: str = ""
    files: int = 0
    size: int = 0
    resolutions: int = 0
    targets: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    withdrawn: tuple[WithdrawnVersion, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Locks:
    """The locks, by name, and what they were made of: the newest ``bundles`` with sets, the ``projects`` they pin."""

    bundles: tuple[Sha256, ...] = ()
    projects: tuple[NormalizedName, ...] = ()
    files: Mapping[str, Served] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name of the folder that they are in."""
        return page_folder("_locks", ((name, each.sha256) for name, each in self.files.items()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What is served. ``files`` and ``size`` (bytes) are totals of the merged index.

    ``channels`` is the order of layers that a person stated, the upper first; it may name fewer than there are.
    ``ledger`` has the sha256 of each shard's ledger. ``indexes`` has the mark of
    the page folder of each project, in the merged index (``""``) and in that of each channel, unless the one channel
    has all. ``pages`` are those that are no project's, by their paths for clients. *gzip*: beside each page lies its
    compressed twin.
    """

    channels: tuple[Label, ...] = ()
    accepted: tuple[AcceptedBundle, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    mixed: tuple[NormalizedName, ...] = ()
    gzip: bool = False
    files: int = 0
    size: int = 0
    ledger: Mapping[str, Served] = field(default_factory=dict)
    indexes: Mapping[str, Mapping[NormalizedName, str]] = field(default_factory=dict)
    pages: Mapping[str, Served] = field(default_factory=dict)
    locks: Locks = field(default_factory=Locks)

    @property
    def is_published(self) -> bool:
        return bool(self.accepted)

    @property
    def withdraws(self) -> bool:
        """Whether any version is withdrawn, by a person or by a bundle."""
        return bool(self.withdrawn) or any(each.withdrawn for each in self.accepted)

    @property
    def projects(self) -> Mapping[NormalizedName, str]:
        """The projects of the merged index, with the marks of their page folders."""
        return self.indexes.get(MERGED, {})

    @property
    def layers(self) -> tuple[Label, ...]:
        """The channels that there are, by name."""
        return tuple(sorted({each.source.channel for each in self.accepted}))


def wanted_by(files: Iterable[BundledFile]) -> dict[str, Served]:
    """What must stand in ``packages/`` for these files: each of them, its metadata sibling and its provenance."""
    wanted: dict[str, Served] = {}
    for file in files:
        wanted[file.filename] = Served(file.sha256, file.size)
        if file.metadata is not None:
            wanted[f"{file.filename}.metadata"] = Served(file.metadata.sha256, file.metadata.size)
        if file.provenance is not None:
            name = file.provenance_path.removeprefix("packages/")
            wanted[name] = Served(file.provenance.sha256, file.provenance.size)
    return wanted


# ---- out ------------------------------------------------------------------------------------------------------------


def dump(contents: Contents) -> bytes:
    """The canonical bytes."""
    out = {
        "format": FORMAT,
        "channels": contents.channels,
        "accepted": [_accepted_out(each) for each in contents.accepted],
        "withdrawn": [
            {"project": each.project, "version": str(each.version), "reason": each.reason, "time": each.time}
            for each in contents.withdrawn
        ],
        "mixed": contents.mixed,
        "gzip": contents.gzip,
        "files": contents.files,
        "size": contents.size,
        "ledger": served_out(contents.ledger),
        "indexes": {name: dict(index) for name, index in contents.indexes.items()},
        "pages": served_out(contents.pages),
        "locks": {
            "bundles": contents.locks.bundles,
            "projects": contents.locks.projects,
            "files": served_out(contents.locks.files),
        },
    }
    return json.dumps(out, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def _accepted_out(each: AcceptedBundle) -> dict[str, object]:
    source = each.source
    return {
        "channel": source.channel,
        "sequence": source.sequence,
        "digest": source.digest,
        "tool": each.tool,
        "files": each.files,
        "size": each.size,
        "resolutions": each.resolutions,
        "targets": each.targets,
        "roots": each.roots,
        "uncovered": each.uncovered,
        "withdrawn": [
            {"project": one.project, "version": str(one.version), "reason": one.reason} for one in each.withdrawn
        ],
    }


def served_out(several: Mapping[str, Served]) -> dict[str, dict[str, object]]:
    return {name: {"sha256": each.sha256, "size": each.size} for name, each in several.items()}


# ---- in -------------------------------------------------------------------------------------------------------------


def parse(data: bytes) -> Contents:
    """Check bytes and make contents of them. Raises Malformed."""
    try:
        decoded: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}") from None
    top = Node(decoded)
    version = Node(decoded.get("format") if isinstance(decoded, dict) else None, "format").number(high=10**6)
    if version != FORMAT:
        raise Malformed("format", f"this version reads format {FORMAT}, not {version}")
    at = top.fields(
        "format", "channels", "accepted", "withdrawn", "mixed", "gzip", "files", "size", "ledger", "indexes",
        "pages", "locks",
    )  # fmt: skip
    return Contents(
        channels=tuple(node.checked(label) for node in at["channels"].items()),
        accepted=tuple(map(_accepted_in, at["accepted"].items())),
        withdrawn=tuple(map(_withdrawal_in, at["withdrawn"].items())),
        mixed=tuple(node.checked(project_name) for node in at["mixed"].items()),
        gzip=at["gzip"].flag(),
        files=at["files"].number(),
        size=at["size"].number(),
        ledger=served_in(at["ledger"], _SHARD),
        indexes={_index_name(name): _index_in(node) for name, node in _members(at["indexes"])},
        pages=served_in(at["pages"], _ROOT_PAGE),
        locks=_locks_in(at["locks"]),
    )


def _members(node: Node) -> Iterable[tuple[str, Node]]:
    if not isinstance(node.value, dict):
        raise Malformed(node.where, "not an object")
    return [(key, Node(value, f"{node.where}.{key}")) for key, value in node.value.items()]


def served_in(node: Node, names: re.Pattern[str]) -> dict[str, Served]:
    """An object of digests and sizes by name, each of which *names* matches. Raises Malformed."""
    found: dict[str, Served] = {}
    if not isinstance(node.value, dict):
        raise Malformed(node.where, "not an object")
    for name, value in node.value.items():
        if names.fullmatch(name) is None:
            raise Malformed(node.where, f"not a name of a tree: {name[:80]!r}")
        if type(value) is dict and len(value) == 2:  # noqa: PLR2004 - as nearly all of 100,000 rows are
            sha256, size = value.get("sha256"), value.get("size")
            if type(sha256) is str and _SHA256.fullmatch(sha256) and type(size) is int and size >= 0:
                found[name] = Served(Sha256(sha256), size)
                continue
        at = Node(value, f"{node.where}.{name}").fields("sha256", "size")
        found[name] = Served(at["sha256"].checked(sha256_of_hex), at["size"].number())
    return found


def _accepted_in(node: Node) -> AcceptedBundle:
    at = node.fields(
        "channel", "sequence", "digest", "tool", "files", "size", "resolutions", "targets", "roots", "uncovered",
        "withdrawn",
    )  # fmt: skip
    return AcceptedBundle(
        source=Source(
            channel=at["channel"].checked(label),
            sequence=at["sequence"].number(),
            digest=at["digest"].checked(sha256_of_hex),
        ),
        tool=at["tool"].text(),
        files=at["files"].number(),
        size=at["size"].number(),
        resolutions=at["resolutions"].number(),
        targets=at["targets"].texts(),
        roots=at["roots"].texts(),
        uncovered=at["uncovered"].texts(),
        withdrawn=tuple(map(_taken_back_in, at["withdrawn"].items())),
    )


def _taken_back_in(node: Node) -> WithdrawnVersion:
    at = node.fields("project", "version", "reason")
    return WithdrawnVersion(
        project=at["project"].checked(project_name),
        version=at["version"].checked(parse_version),
        reason=at["reason"].text(),
    )


def _withdrawal_in(node: Node) -> Withdrawal:
    at = node.fields("project", "version", "reason", "time")
    return Withdrawal(
        project=at["project"].checked(project_name),
        version=at["version"].checked(parse_version),
        reason=at["reason"].text(),
        time=at["time"].number(),
    )


def _locks_in(node: Node) -> Locks:
    at = node.fields("bundles", "projects", "files")
    return Locks(
        bundles=tuple(each.checked(sha256_of_hex) for each in at["bundles"].items()),
        projects=tuple(each.checked(project_name) for each in at["projects"].items()),
        files=served_in(at["files"], _LOCK),
    )


def _index_name(name: str) -> str:
    return name if name == MERGED else Node(name, "indexes").checked(label)


def _index_in(node: Node) -> dict[NormalizedName, str]:
    if not isinstance(node.value, dict):
        raise Malformed(node.where, "not an object")
    for name, mark in node.value.items():
        if type(mark) is not str or not _MARK.fullmatch(mark):
            raise Malformed(f"{node.where}.{name}", "not a mark")
        if not _PROJECT.fullmatch(name):
            raise Malformed(node.where, f"not a normalised project name: {name[:80]!r}")
    return node.value
