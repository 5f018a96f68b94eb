"""What a tree says of itself: its ``manifest.json``. Pure.

It names the bundles that the tree is composed of, and every file and page that is served, with size and sha256. Two
trees made of the same bundles say the same, byte for byte. As with a bundle's manifest: canonical JSON, one gate in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import Label, Sha256, label, sha256_of_hex
from pypimirror.model.reading import Malformed, Node
from pypimirror.tree.layout import LANDING, PACKAGES_PAGE, is_package_path, is_project_page

__all__ = ["FORMAT", "AcceptedBundle", "Contents", "Served", "dump", "parse", "wanted_by"]

FORMAT = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROOT_PATHS = frozenset({LANDING, PACKAGES_PAGE, "simple/index.html", "simple/index.json"})


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class AcceptedBundle:
    """One bundle that the tree is composed of."""

    channel: Label
    sequence: int
    digest: Sha256


@dataclass(frozen=True, slots=True)
class Served:
    """A file or a page; size in bytes."""

    sha256: Sha256
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """``channels`` is the order of layers that a person stated, the upper first; it may name fewer than there are.

    ``files`` has every served path but that of the contents themselves.
    """

    channels: tuple[Label, ...] = ()
    accepted: tuple[AcceptedBundle, ...] = ()
    files: Mapping[str, Served] = field(default_factory=dict)

    @property
    def packages(self) -> dict[str, Served]:
        """Published files and metadata siblings, by the name they have in ``packages/``."""
        return {
            path[len("packages/") :]: each
            for path, each in self.files.items()
            if path.startswith("packages/") and path != PACKAGES_PAGE
        }


def wanted_by(files: Iterable[BundledFile]) -> dict[str, Served]:
    """What must stand in ``packages/`` for these files: each of them, and its metadata sibling."""
    wanted: dict[str, Served] = {}
    for file in files:
        wanted[file.filename] = Served(file.sha256, file.size)
        if file.metadata is not None:
            wanted[f"{file.filename}.metadata"] = Served(file.metadata.sha256, file.metadata.size)
    return wanted


def dump(contents: Contents) -> bytes:
    """The canonical bytes."""
    out = {
        "format": FORMAT,
        "channels": contents.channels,
        "accepted": [
            {"channel": each.channel, "sequence": each.sequence, "digest": each.digest} for each in contents.accepted
        ],
        "files": {path: {"sha256": each.sha256, "size": each.size} for path, each in contents.files.items()},
    }
    return json.dumps(out, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def parse(data: bytes) -> Contents:
    """Check bytes and make contents of them. Raises Malformed."""
    try:
        decoded: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}") from None
    at = Node(decoded).fields("format", "channels", "accepted", "files")
    version = at["format"].number(high=10**6)
    if version != FORMAT:
        raise Malformed("format", f"this version reads format {FORMAT}, not {version}")
    return Contents(
        channels=tuple(node.checked(label) for node in at["channels"].items()),
        accepted=tuple(map(_accepted_in, at["accepted"].items())),
        files=_files_in(at["files"]),
    )


def _accepted_in(node: Node) -> AcceptedBundle:
    at = node.fields("channel", "sequence", "digest")
    return AcceptedBundle(
        channel=at["channel"].checked(label),
        sequence=at["sequence"].number(),
        digest=at["digest"].checked(sha256_of_hex),
    )


def _files_in(node: Node) -> dict[str, Served]:
    files: dict[str, Served] = {}
    if not isinstance(node.value, dict):
        raise Malformed(node.where, "not an object")
    for path, value in node.value.items():
        if path not in _ROOT_PATHS and not is_package_path(path) and not is_project_page(path):
            raise Malformed(node.where, f"not a path of a tree: {path[:80]!r}")
        if type(value) is dict and len(value) == 2:  # noqa: PLR2004 - as nearly all of 100,000 rows are
            sha256, size = value.get("sha256"), value.get("size")
            if type(sha256) is str and _SHA256.fullmatch(sha256) and type(size) is int and size >= 0:
                files[path] = Served(Sha256(sha256), size)
                continue
        at = Node(value, f"{node.where}.{path}").fields("sha256", "size")
        files[path] = Served(at["sha256"].checked(sha256_of_hex), at["size"].number())
    return files
