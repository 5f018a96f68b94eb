"""What a tree said of itself, recalled from everything else that it has, when its ``manifest.json`` is lost.

The ledgers name the bundles that count, and the manifests of those are kept. From them everything is composed anew, in
memory. Where that gives the very ledgers that are there and the landing page that is served, byte for byte, it is what
the lost record said, but for what shows nowhere: why a version was withdrawn by the last change, versions that were
withdrawn ahead of their coming, rules about projects that are not there. Of these the state before is taken.
Where it gives anything else, nothing is recalled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pypimirror.errors import IntegrityFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Label, NormalizedName, Sha256, sha256_of_hex
from pypimirror.model.reading import Malformed
from pypimirror.tree.compose import (
    Accepted,
    Rules,
    Slice,
    Withdrawal,
    compose_project,
    in_order,
    layer_order,
    slices_of,
)
from pypimirror.tree.contents import MERGED, Contents, Served
from pypimirror.tree.hashing import read_regular
from pypimirror.tree.layout import LANDING, Layout, client_path, in_generation, ledger_file, shard_of
from pypimirror.tree.ledger import Entry, Ledger, entry_in
from pypimirror.tree.ledger import parse as parse_ledger
from pypimirror.tree.lists import summary
from pypimirror.tree.printing import served_of
from pypimirror.tree.records import generations, read_accepted, read_before, read_generation
from pypimirror.tree.remaking import said_of
from pypimirror.values import dataclass

__all__ = ["Recalled", "recall"]

_MAX_BYTES = 1 << 28
_LOST = "withdrawn; the reason was lost with the tree's manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalled:
    """What was recalled, and what a person must be told of it."""

    contents: Contents
    sentences: tuple[str, ...]


def recall(at: Layout, number: int, offered: Mapping[Sha256, Manifest], *, now: int) -> Recalled | None:
    """What the generation *number* said of itself, or a plain tree (0); None where nothing is proven.

    *offered* are manifests of bundles at hand. *now* is in seconds since 1970. Raises OSError.
    """
    before = _before(at, number)
    standing = _Standing(at, number)
    ledgers = standing.ledgers(before)
    try:
        entries = {name: entry_in(value, name) for _, each in ledgers.values() for name, value in each.items()}
    except Malformed:
        return None
    digests = {part.source.digest for entry in entries.values() for part in entry.slices}
    manifests = dict(_manifests(at, digests, offered))
    landing = standing.page(LANDING)
    if not digests or digests != manifests.keys() or landing is None:
        return None
    accepted = [Accepted(digest=digest, manifest=each) for digest, each in manifests.items()]
    for order in _orders({each.source.channel for each in accepted}, landing, before):
        said = _said(order, accepted, entries, before, now)
        made = said_of(said, manifests, plain=not number, nowhere=at.mark / "nowhere")
        if made.ledger == {shard: served for shard, (served, _) in ledgers.items()} and (
            made.pages[LANDING] == served_of(landing)
        ):
            return Recalled(contents=made, sentences=tuple(_sentences(made, before)))
    return None


def _before(at: Layout, number: int) -> Contents:
    """What was served before, as far as that can be read."""
    try:
        if not number:
            return read_before(at, Contents())
        return read_generation(at, max((each for each in generations(at) if each < number), default=0))
    except IntegrityFault:
        return Contents()


def _sentences(made: Contents, before: Contents) -> Iterator[str]:
    yield (
        "manifest.json, what the tree says of itself, was lost: it was made again from the ledgers and the bundles' "
        "manifests, and what is served proves it"
    )
    since = "since the change before the last one" if before.is_published else "at any time"
    yield (
        f"what shows in no page is lost if it was said {since}: versions withdrawn ahead of their coming, "
        "--allow-mixed for projects that are not there; say it again ('pypimirror status' tells what is known)"
    )
    lost = [f"{each.project} {each.version}" for each in made.withdrawn if each.reason == _LOST]
    if lost:
        yield f"it stays withdrawn, and nobody knows why any more: {', '.join(lost)}"


# ---- what there is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Standing:
    """The pages of a generation, or of a plain tree (0), and the ledgers, as they stand. Methods raise OSError."""

    at: Layout
    number: int

    def page(self, path: str) -> bytes | None:
        """A page by its path for clients; None where there is none."""
        place = self.at.root / path
        if self.number:
            inside = path
            if path.startswith("simple/"):
                _, project, name = path.split("/")
                inside = f"simple/{shard_of(NormalizedName(project))}/{project}/{name}"
            else:
                inside = in_generation(path)
            place = self.at.generation(self.number) / inside
        try:
            return read_regular(Path(os.path.realpath(place)), limit=_MAX_BYTES)
        except OSError:
            return None

    def ledgers(self, before: Contents) -> dict[str, tuple[Served, Ledger]]:
        """Of each shard the one in use: whose pages are served, or else the one that *before* does not name."""
        best: dict[str, tuple[tuple[int, bool], Served, Ledger]] = {}
        for shard, served, ledger in self._whole_ledgers():
            pages = list(self._pages(ledger))
            rank = sum(right for _, right in pages), before.ledger.get(shard) != served
            is_served = not pages or any(there for there, _ in pages)
            if is_served and (shard not in best or rank > best[shard][0]):
                best[shard] = rank, served, ledger
        return {shard: (served, ledger) for shard, (_, served, ledger) in sorted(best.items())}

    def _whole_ledgers(self) -> Iterator[tuple[str, Served, Ledger]]:
        for path in sorted(self.at.ledger.glob("*.json")):
            try:
                data = read_regular(path, limit=_MAX_BYTES)
                served = Served(Sha256(hashlib.sha256(data).hexdigest()), len(data))
                if ledger_file(path.name[:2], served.sha256) == path.name:
                    yield path.name[:2], served, parse_ledger(data)
            except (Malformed, ValueError, OSError):
                continue

    def _pages(self, ledger: Ledger) -> Iterator[tuple[bool, bool]]:
        """Of each project whether its page is there, and whether it is the one that the ledger knows."""
        for project, value in ledger.items():
            try:
                entry = entry_in(value, project)
            except Malformed:
                continue
            if MERGED in entry.indexes:
                mark, folder = entry.indexes[MERGED], self._folder(project)
                data = self.page(client_path(project, "index.html"))
                shown = data is not None and served_of(data) == entry.pages[mark].get("index.html")
                yield folder is not None or data is not None, shown if folder is None else folder == f"{project}-{mark}"

    def _folder(self, project: NormalizedName) -> str | None:
        """The name of the folder with its pages, which tells their bytes; None in a plain tree, or where it is lost."""
        if not self.number:
            return None
        try:
            return (self.at.generation(self.number) / "simple" / shard_of(project) / project).readlink().name
        except OSError:
            return None


def _manifests(
    at: Layout, digests: set[Sha256], offered: Mapping[Sha256, Manifest]
) -> Iterator[tuple[Sha256, Manifest]]:
    for digest in sorted(digests):
        try:
            yield digest, read_accepted(at.manifest(sha256_of_hex(digest)), digest).manifest
        except (IntegrityFault, OSError):
            if digest in offered:
                yield digest, offered[digest]


# ---- what it says ----------------------------------------------------------------------------------------------------


def _orders(channels: set[Label], landing: bytes, before: Contents) -> Iterator[tuple[Label, ...]]:
    """Of the layers: as was stated before, or as the landing page has them."""
    yield before.channels
    shown = tuple(sorted(channels, key=lambda channel: landing.find(f">{channel}<".encode())))
    if layer_order(before.channels, channels) != shown:
        yield shown


def _said(
    order: tuple[Label, ...],
    accepted: list[Accepted],
    entries: Mapping[NormalizedName, Entry],
    before: Contents,
    now: int,
) -> Contents:
    """The rules and the bundles, as far as they show in the entries."""
    mixed = _mixed(entries, before)
    rules = Rules(channels=layer_order(order, {each.source.channel for each in accepted}), mixed=mixed)
    slices: dict[NormalizedName, list[Slice]] = {}
    for each in accepted:
        for name, part in slices_of(each).items():
            slices.setdefault(name, []).append(part)
    withdrawn = {(each.project, each.version): each for each in before.withdrawn}
    for name, parts in slices.items():
        layers = compose_project(name, in_order(parts), rules)
        files = entries[name].files if name in entries else {}
        for file in layers.files if layers else ():
            key = file.project, file.version
            if file.filename in files:
                withdrawn.pop(key, None)
            else:
                withdrawn.setdefault(key, Withdrawal(project=key[0], version=key[1], reason=_LOST, time=now))
    return Contents(
        channels=order,
        accepted=tuple(sorted(map(summary, accepted), key=lambda each: each.source)),
        withdrawn=tuple(sorted(withdrawn.values())),
        mixed=tuple(sorted(mixed)),
        gzip=any(name.endswith(".gz") for entry in entries.values() for each in entry.pages.values() for name in each),
    )


def _mixed(entries: Mapping[NormalizedName, Entry], before: Contents) -> frozenset[NormalizedName]:
    """Projects whose page in the merged index is none of those in the indexes of channels."""
    mixed = set(before.mixed)
    for name, entry in entries.items():
        marks = {mark for index, mark in entry.indexes.items() if index != MERGED}
        if len(entry.indexes) > 2 and entry.indexes[MERGED] in marks:  # noqa: PLR2004 - the merged one and two others
            mixed.discard(name)
        elif len(entry.indexes) > 2:  # noqa: PLR2004 - likewise
            mixed.add(name)
    return frozenset(mixed)
