"""What a tree remembers of each project: what every bundle said of it, and what is served of it. Pure.

The projects of a shard share one ledger, a JSON object by project. Its sha256 stands in the tree's ``manifest.json``.
An entry is read only where its project changes; the others of the shard are passed on as they stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from pypimirror.model.manifest import BundledFile
from pypimirror.model.manifest_json import file_in, project_in
from pypimirror.model.manifest_out import file_out, project_out
from pypimirror.model.names import NormalizedName, Version, file_name, label, parse_version, project_name, sha256_of_hex
from pypimirror.model.reading import Malformed, Node
from pypimirror.tree.compose import Slice, Source, Withdrawal
from pypimirror.tree.contents import Served, served_in, served_out, wanted_by
from pypimirror.values import dataclass

__all__ = [
    "Entry",
    "Ledger",
    "dump",
    "entry_in",
    "entry_out",
    "files_in",
    "pages_in",
    "parse",
    "slices_out",
    "withdrawn_files",
]

Ledger = dict[NormalizedName, object]
"""The entries of a shard, each as decoded JSON."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,235}")
_PAGE = re.compile(r"(?:index\.html|index\.json)(?:\.gz)?|json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One project in a tree.

    ``slices`` are what the accepted bundles say, the newest first. ``files`` must stand in ``packages/``. ``pages`` are
    its page folders, by mark; ``indexes`` names one of them for each channel, and for the merged index (``""``).
    ``count`` and ``size`` (bytes) are of its files in the merged index.
    """

    slices: tuple[Slice, ...]
    files: Mapping[str, Served]
    pages: Mapping[str, Mapping[str, Served]]
    indexes: Mapping[str, str]
    count: int
    size: int


def dump(ledger: Ledger) -> bytes:
    """The canonical bytes."""
    return json.dumps(ledger, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def parse(data: bytes) -> Ledger:
    """The entries, unread. Raises Malformed."""
    try:
        decoded: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise Malformed("", "not an object")
    for name in decoded:
        if project_name(name) != name:
            raise Malformed("", f"not a normalised project name: {name[:80]!r}")
    return decoded


# ---- one entry ------------------------------------------------------------------------------------------------------


def entry_out(entry: Entry) -> dict[str, object]:
    return {
        **slices_out(entry.slices),
        "files": served_out(entry.files),
        "pages": {mark: served_out(pages) for mark, pages in entry.pages.items()},
        "indexes": dict(entry.indexes),
        "count": entry.count,
        "size": entry.size,
    }


def slices_out(several: Iterable[Slice]) -> dict[str, object]:
    """The part of an entry that bundles said; a statement that several of them make stands there once."""
    statements: dict[BundledFile, int] = {}
    slices = []
    for each in several:
        source = each.source
        slices.append(
            {
                "source": [source.channel, source.sequence, source.digest],
                "project": project_out(each.project),
                "files": [statements.setdefault(file, len(statements)) for file in each.files],
                "exact": sorted(each.exact),
                "withdrawn": [str(version) for version in sorted(each.withdrawn)],
            }
        )
    return {"statements": [file_out(file) for file in statements], "slices": slices}


def entry_in(value: object, where: str = "") -> Entry:
    """Check an entry and make sense of it. Raises Malformed."""
    at = Node(value, where).fields("statements", "slices", "files", "pages", "indexes", "count", "size")
    statements = [file_in(node) for node in at["statements"].items()]
    pages, indexes = pages_in(value, where), at["indexes"]
    if not isinstance(indexes.value, dict):
        raise Malformed(indexes.where, "not an object")
    if not set(indexes.value.values()) <= pages.keys():
        raise Malformed(indexes.where, "names pages that are not there")
    return Entry(
        slices=tuple(_slice_in(node, statements) for node in at["slices"].items()),
        files=served_in(at["files"], _FILE),
        pages=pages,
        indexes=dict(indexes.value),
        count=at["count"].number(),
        size=at["size"].number(),
    )


def files_in(value: object, where: str = "") -> dict[str, Served]:
    """What an entry has in ``packages/``, and nothing else of it. Raises Malformed."""
    return served_in(Node(value.get("files") if isinstance(value, dict) else None, f"{where}.files"), _FILE)


def pages_in(value: object, where: str = "") -> dict[str, dict[str, Served]]:
    """The page folders of an entry, by mark. Raises Malformed."""
    pages = value.get("pages") if isinstance(value, dict) else None
    if not isinstance(pages, dict):
        raise Malformed(where, "has no pages")
    return {mark: served_in(Node(each, f"{where}.pages.{mark}"), _PAGE) for mark, each in pages.items()}


def withdrawn_files(
    project: NormalizedName, before: object, after: object, withdrawals: Iterable[Withdrawal]
) -> set[str]:
    """What a former entry of *project* had in ``packages/`` of versions that are withdrawn now. Raises Malformed."""
    versions = {each.version for each in withdrawals if each.project == project}
    if isinstance(after, dict) and any(part["withdrawn"] for part in after["slices"]):
        versions |= {version for part in entry_in(after).slices for version in part.withdrawn}
    if not versions:
        return set()
    files = (file for part in entry_in(before).slices for file in part.files)
    return set(wanted_by(file for file in files if file.version in versions))


def _slice_in(node: Node, statements: list[BundledFile]) -> Slice:
    at = node.fields("source", "project", "files", "exact", "withdrawn")
    parts = list(at["source"].items())
    if len(parts) != 3:  # noqa: PLR2004 - channel, sequence, digest
        raise Malformed(node.where, "not a source")
    source = Source(channel=parts[0].checked(label), sequence=parts[1].number(), digest=parts[2].checked(sha256_of_hex))
    numbers = [each.number(high=len(statements) - 1) for each in at["files"].items()]
    return Slice(
        source=source,
        project=project_in(at["project"]),
        files=tuple(statements[number] for number in numbers),
        exact=frozenset(each.checked(file_name) for each in at["exact"].items()),
        withdrawn=frozenset(_versions_in(at["withdrawn"].items())),
    )


def _versions_in(nodes: Iterable[Node]) -> Iterable[Version]:
    return (node.checked(parse_version) for node in nodes)
