"""Everything that a tree is, looked at: every entry, every byte, every page beside what the bundles say.

Only what ``anatomy`` accounts for may be there. Nothing is written: a tree on a read-only medium will do.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from pypimirror.disk import disk_fault
from pypimirror.errors import IntegrityFault, PolicyFault
from pypimirror.index.sidecar import contradiction, oversize
from pypimirror.model.findings import Checked, Finding, Kind
from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import NormalizedName
from pypimirror.model.reading import Malformed
from pypimirror.reporting import Reporter
from pypimirror.tree.anatomy import (
    LINKED_APART,
    PLAIN_APART,
    File,
    Part,
    linked_anatomy,
    linked_portion,
    plain_anatomy,
    plain_portion,
)
from pypimirror.tree.compose import Accepted, Composition, composing
from pypimirror.tree.contents import Contents, Served
from pypimirror.tree.fidelity import Comparison, Strangers, same_meaning
from pypimirror.tree.hashing import read_regular, sha256_of_each
from pypimirror.tree.inventory import Inventory, frame, portion, taken_back
from pypimirror.tree.layout import LOCKS, MANIFEST, MARK, is_package_path
from pypimirror.tree.leftovers import Leftovers
from pypimirror.tree.lists import summary
from pypimirror.tree.records import damaged, generations, read_accepted, read_ledger
from pypimirror.tree.shards import in_shards
from pypimirror.tree.view import View
from pypimirror.tree.walk import REPAIR, Walk, remedy

__all__ = ["TreeAudit"]

_UNKNOWN = "a ledger can't be read: what only it lists looks like what is not of this tree"


class TreeAudit:
    """What is found in one tree. ``accepted`` and ``composition`` are None where manifests can't be trusted."""

    def __init__(self, view: View, *, quick: bool, reporter: Reporter, sound: Collection[str] = ()) -> None:
        """*sound* are paths of files whose bytes are known to be right."""
        self.notes: list[str] = []
        self.accepted: tuple[Accepted, ...] = ()
        self.composition: Composition | None = None
        self._view = view
        self._quick = quick
        self._sound = sound
        self._reporter = reporter
        self._said: list[Finding] = []
        self._bytes: list[Finding] = []
        self._files = self._size = self._pages = 0
        self._previous = Contents()
        self._leftovers = Leftovers(view)
        self._others: list[str] = []
        apart = PLAIN_APART if view.plain else LINKED_APART
        self._walk = Walk(view.at.root, self._frame(), self._leftovers, modes=not view.plain, apart=apart)

    @property
    def checked(self) -> Checked:
        return Checked(files=self._files, size=self._size, pages=self._pages)

    @property
    def findings(self) -> list[Finding]:
        """What the tree's records say, what stands where, what is not there, what bytes are wrong, what pages say."""
        found = [sorted(several, key=lambda each: each.path) for several in (self._walk.findings, self._walk.missing)]
        return [*found[0], *found[1], *self._bytes, *self._said]

    def run(self) -> None:
        """Look at it all. Raises OSError where the tree can't be listed."""
        self._walk.run()
        self._hash(self._walk.to_hash)
        self._read_manifests()
        comparison = None
        if self.composition is not None and not self._quick:
            self._reporter.step("Comparing pages")
            comparison = Comparison(self.composition, self._view.contents, plain=self._view.plain)
        names = dict(in_shards(self.composition.layers)) if self.composition is not None and comparison else {}
        for shard in sorted({*self._view.contents.ledger, *self._previous.ledger, *names}):
            served = self._look(shard)
            if comparison is not None and served is not None and self.composition is not None:
                self._compare(comparison, names.get(shard, ()), served)
        self._walk.finish()
        if comparison is not None and self.composition is not None:
            self._tell(comparison.lists(), dict(self._frame_files()))
            if self._others:
                more = f" and {len(self._others) - 1} more pages" if self._others[1:] else ""
                self.notes.append(
                    f"{self._others[0]}{more}: rendered by another version of pypimirror, and meaning the same"
                )
        self.notes += [*self._leftovers.notes(), *self._walk.oddities()]

    # ---- what stands where ------------------------------------------------------------------------------------------

    def _frame(self) -> dict[str, Part]:
        """What belongs into the tree beside what is of a single shard."""
        view = self._view
        older = [] if view.plain else [number for number in generations(view.at) if number < view.generation]
        try:
            previous = view.previous
            self._check_ledgers(previous)
            self._previous = previous
        except IntegrityFault as fault:
            path = f"{MARK}/generations/{older[-1]}/{MANIFEST}" if older else f"{MARK}/previous.json"
            self._said.append(Finding.of(fault, kind=Kind.CHANGED, path=path))
            older = []  # what it held is accounted for as what a run left
        served, before = frame(view.contents), frame(self._previous)
        if view.plain:
            return plain_anatomy(served, before)
        return linked_anatomy({view.generation: served, **dict.fromkeys(older[-1:], before)}, view.generation)

    def _check_ledgers(self, previous: Contents) -> None:
        """Raise IntegrityFault where not all can be read; those that are served still are told of in their turn."""
        for shard, each in previous.ledger.items():
            if self._view.contents.ledger.get(shard) != each:
                self._inventory(shard, previous)

    def _inventory(self, shard: str, contents: Contents) -> Inventory:
        try:
            return portion(contents, shard, read_ledger(self._view.at, shard, contents))
        except Malformed as error:
            raise damaged(self._view.at.ledger, str(error)) from None

    def _look(self, shard: str) -> Inventory | None:
        """Look at what is of one shard; what is served of it, or None where that can't be known."""
        view = self._view
        try:
            served = self._inventory(shard, view.contents)
            before = served
            if self._previous.ledger.get(shard) != view.contents.ledger.get(shard):
                before = self._inventory(shard, self._previous)
            gone = taken_back(before, served)
        except (IntegrityFault, Malformed) as error:
            fault = error if isinstance(error, IntegrityFault) else damaged(view.at.ledger, str(error))
            self._said.append(Finding.of(fault, kind=Kind.CHANGED, path=f"{MARK}/ledger"))
            if not any(note == _UNKNOWN for note in self.notes):
                self.notes.append(_UNKNOWN)
            return None
        parts = (plain_portion if view.plain else linked_portion)(served, before)
        for name in gone if not view.plain else ():
            parts.pop(f"packages/{name}", None)
        self._walk.look(parts)
        self._hash(self._walk.to_hash)
        return served

    # ---- bytes ------------------------------------------------------------------------------------------------------

    def _hash(self, files: list[tuple[str, File]]) -> None:
        chosen = []
        for path, part in files:
            is_package = is_package_path(path)
            self._files += is_package and not path.endswith((".metadata", ".provenance"))
            self._pages += path.endswith((".html", ".json", "/json"))
            if path not in self._sound and not (self._quick and is_package):
                chosen.append((path, part))
        root = f"{self._view.at.root}{os.sep}"
        digests = sha256_of_each([(root + path, part.size) for path, part in chosen])
        for (path, part), digest in zip(chosen, digests, strict=True):
            if isinstance(digest, OSError):
                fault = disk_fault(digest, f"reading {path}")
                self._bytes.append(Finding.of(fault, kind=Kind.UNREADABLE, path=path))
            elif digest != part.sha256:
                message = f"{path} is wrong: its sha256 is {digest}, not {part.sha256}"
                self._bytes.append(Finding(kind=Kind.CHANGED, path=path, message=message, hint=remedy(path)))
            self._size += part.size or 0
        self._reporter.packing(done=self._size, total=max(self._size, 0 if self._quick else self._view.contents.size))

    # ---- what the bundles say ---------------------------------------------------------------------------------------

    def _read_manifests(self) -> None:
        view = self._view
        accepted: list[Accepted] = []
        for each in view.contents.accepted:
            digest = each.source.digest
            try:
                read = read_accepted(view.at.manifest(digest), digest)
            except (IntegrityFault, OSError) as error:
                self._untrusted(f"{MARK}/manifests/{digest}.json", error)
                continue
            if summary(read) != each:
                message = f"{MANIFEST} is wrong: it says of bundle {digest} what its manifest does not"
                self._said.append(Finding(kind=Kind.CHANGED, path=MANIFEST, message=message, hint=REPAIR))
            accepted.append(read)
        if len(accepted) < len(view.contents.accepted):
            self.notes.append(
                "pages were not compared with the bundles, and nothing was solved: not every manifest can be read"
            )
            return
        self.accepted = tuple(accepted)
        try:
            self.composition = composing(
                accepted,
                channels=view.contents.channels,
                mixed=view.contents.mixed,
                withdrawn=view.contents.withdrawn,
            )
        except PolicyFault as fault:
            self._said.append(Finding.of(fault, kind=Kind.CHANGED, path=MANIFEST))

    def _untrusted(self, path: str, error: IntegrityFault | OSError) -> None:
        """A manifest that can't be used; told once, whether its bytes are wrong or make no manifest of ours."""
        if path in self._wrong():
            return
        if isinstance(error, OSError):
            fault = disk_fault(error, f"reading {path}")
            self._said.append(Finding.of(fault, kind=Kind.UNREADABLE, path=path))
        else:
            self._said.append(Finding(kind=Kind.CHANGED, path=path, message=str(error), hint=REPAIR))

    def _wrong(self) -> set[str]:
        """Paths whose bytes are known to be wrong, or could not be had."""
        return {each.path for each in self.findings if each.kind in (Kind.CHANGED, Kind.MISSING, Kind.UNREADABLE)}

    def _compare(self, comparison: Comparison, names: Iterable[NormalizedName], served: Inventory) -> None:
        """Files and pages of some projects as the manifests have them, beside those that the tree says it serves."""
        if self.composition is None:
            return
        try:
            layers = {name: self.composition.layers[name] for name in names}
        except PolicyFault as fault:
            self._said.append(Finding.of(fault, kind=Kind.CHANGED, path=MANIFEST))
            self.composition = None
            return
        for name in comparison.unfaithful(dict(served.ledger)):
            self._differs(Kind.CHANGED, f"{MARK}/ledger", f"its entry of {name} says otherwise than the bundles do")
        self._tell(comparison.portion(layers, served), served.files)
        self._said += self._contradictions(file for each in layers.values() for file in each.merged.files)

    def _tell(self, strangers: Strangers, limits: Mapping[str, Served]) -> None:
        for path in strangers.missing:
            self._differs(Kind.MISSING, path, "the bundles have it, and the tree does not serve it")
        for path in strangers.extra:
            self._differs(Kind.EXTRA, path, "the tree serves it, and no bundle has it")
        for path in strangers.files:
            self._differs(Kind.CHANGED, path, "the bundles have other bytes under this name than the tree serves")
        for page in strangers.pages:
            try:
                data = self._page(page.path, limits[page.path].size)
            except OSError:
                continue  # told already: it is not there, or no file, or not of the size that the tree says
            if same_meaning(page.path, page.data, data):
                self._others.append(page.path)
            else:
                self._differs(Kind.CHANGED, page.path, "the page says otherwise than the bundles do")

    def _frame_files(self) -> Iterator[tuple[str, Served]]:
        contents = self._view.contents
        yield from contents.pages.items()
        yield from ((f"{LOCKS}/{name}", each) for name, each in contents.locks.files.items())

    def _page(self, path: str, limit: int) -> bytes:
        """The page that clients get under *path*, through the links of the tree. Raises OSError."""
        return read_regular(Path(os.path.realpath(self._view.at.root / path)), limit=limit)

    def _differs(self, kind: Kind, path: str, what: str) -> None:
        self._said.append(Finding(kind=kind, path=path, message=f"{path}: {what}", hint=REPAIR))

    def _contradictions(self, files: Iterable[BundledFile]) -> Iterator[Finding]:
        """Solving trusts what manifests say of files: so it must be what the files say."""
        wrong = self._wrong()
        for file in files:
            path = f"{file.path}.metadata"
            if file.metadata is None or path in wrong:
                continue
            try:
                said = oversize(file) or contradiction(
                    file, read_regular(self._view.at.root / path, limit=file.metadata.size)
                )
            except OSError:
                continue  # told already
            if said:
                message = f"{path} contradicts the manifest: {said}"
                yield Finding(kind=Kind.CHANGED, path=path, message=message, hint=REPAIR)
