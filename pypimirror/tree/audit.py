"""Everything that a tree is, looked at: every entry, every byte, every page beside what the bundles say.

Only what ``anatomy`` accounts for may be there. Nothing is written: a tree on a read-only medium will do.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from pypimirror.disk import disk_fault
from pypimirror.errors import IntegrityFault, PolicyFault
from pypimirror.index.sidecar import contradiction, oversize
from pypimirror.model.findings import Checked, Finding, Kind
from pypimirror.reporting import Reporter
from pypimirror.tree.anatomy import File, Part, linked_anatomy, plain_anatomy
from pypimirror.tree.compose import Accepted, Composition, compose
from pypimirror.tree.contents import Served
from pypimirror.tree.fidelity import compare, same_meaning, unfaithful
from pypimirror.tree.hashing import read_regular, sha256_of_all
from pypimirror.tree.inventory import Inventory, taken_back
from pypimirror.tree.layout import MANIFEST, MARK, is_package_path
from pypimirror.tree.leftovers import Leftovers
from pypimirror.tree.lists import summary
from pypimirror.tree.records import generations, read_accepted
from pypimirror.tree.view import View
from pypimirror.tree.walk import REPAIR, Walk, remedy

__all__ = ["TreeAudit"]


class TreeAudit:
    """What is found in one tree. ``accepted`` and ``composition`` are None where manifests can't be trusted."""

    def __init__(self, view: View, *, quick: bool, reporter: Reporter, sound: Collection[str] = ()) -> None:
        """*sound* are paths of files whose bytes are known to be right."""
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.accepted: tuple[Accepted, ...] = ()
        self.composition: Composition | None = None
        self._view = view
        self._quick = quick
        self._sound = sound
        self._reporter = reporter
        self._served = Inventory(contents=view.contents)
        self._files = self._size = self._pages = 0

    @property
    def checked(self) -> Checked:
        return Checked(files=self._files, size=self._size, pages=self._pages)

    def run(self) -> None:
        """Look at it all. Raises OSError where the tree can't be listed."""
        leftovers = Leftovers(self._view)
        walk = Walk(self._view.at.root, self._anatomy(), leftovers, modes=not self._view.plain)
        walk.run()
        self.findings += walk.findings
        self._hash(walk.to_hash)
        self._read_manifests()
        if self.composition is not None and not self._quick:
            self._compare(self.composition)
            self.findings += self._contradictions(self.composition)
        self.notes += [*leftovers.notes(), *walk.oddities()]

    def _anatomy(self) -> dict[str, Part]:
        view = self._view
        older = [] if view.plain else [number for number in generations(view.at) if number < view.generation]
        try:
            previous = view.previous_inventory()
        except IntegrityFault as fault:
            path = f"{MARK}/generations/{older[-1]}/{MANIFEST}" if older else f"{MARK}/previous.json"
            self.findings.append(Finding.of(fault, kind=Kind.CHANGED, path=path))
            previous, older = Inventory(), []  # what it held is accounted for as what a run left
        try:
            self._served = view.inventory()
        except IntegrityFault as fault:
            self.findings.append(Finding.of(fault, kind=Kind.CHANGED, path=f"{MARK}/ledger"))
            self.notes.append("a ledger can't be read: what only it lists looks like what is not of this tree")
        if view.plain:
            return plain_anatomy(self._served, previous)
        generation = {view.generation: self._served}
        parts = linked_anatomy({**generation, **dict.fromkeys(older[-1:], previous)}, view.generation)
        for name in taken_back(previous, self._served):
            parts.pop(f"packages/{name}", None)
        return parts

    # ---- bytes ------------------------------------------------------------------------------------------------------

    def _hash(self, files: list[tuple[str, File]]) -> None:
        is_package = {path: is_package_path(path) for path, _ in files}
        self._files = sum(
            1 for path, _ in files if is_package[path] and not path.endswith((".metadata", ".provenance"))
        )
        self._pages = sum(1 for path, _ in files if path.endswith((".html", ".json", "/json")))
        chosen = [
            (path, part) for path, part in files if path not in self._sound and not (self._quick and is_package[path])
        ]
        total = sum(part.size or 0 for _, part in chosen)
        root = self._view.at.root
        for (path, part), digest in zip(chosen, sha256_of_all([root / path for path, _ in chosen]), strict=True):
            if isinstance(digest, OSError):
                fault = disk_fault(digest, f"reading {path}")
                self.findings.append(Finding.of(fault, kind=Kind.UNREADABLE, path=path))
            elif digest != part.sha256:
                message = f"{path} is wrong: its sha256 is {digest}, not {part.sha256}"
                self.findings.append(Finding(kind=Kind.CHANGED, path=path, message=message, hint=remedy(path)))
            self._size += part.size or 0
            self._reporter.packing(done=self._size, total=total)

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
                self.findings.append(Finding(kind=Kind.CHANGED, path=MANIFEST, message=message, hint=REPAIR))
            accepted.append(read)
        if len(accepted) < len(view.contents.accepted):
            self.notes.append(
                "pages were not compared with the bundles, and nothing was solved: not every manifest can be read"
            )
            return
        self.accepted = tuple(accepted)
        try:
            self.composition = compose(
                accepted,
                channels=view.contents.channels,
                mixed=view.contents.mixed,
                withdrawn=view.contents.withdrawn,
            )
        except PolicyFault as fault:
            self.findings.append(Finding.of(fault, kind=Kind.CHANGED, path=MANIFEST))

    def _untrusted(self, path: str, error: IntegrityFault | OSError) -> None:
        """A manifest that can't be used; told once, whether its bytes are wrong or make no manifest of ours."""
        if path in self._wrong():
            return
        if isinstance(error, OSError):
            fault = disk_fault(error, f"reading {path}")
            self.findings.append(Finding.of(fault, kind=Kind.UNREADABLE, path=path))
        else:
            self.findings.append(Finding(kind=Kind.CHANGED, path=path, message=str(error), hint=REPAIR))

    def _wrong(self) -> set[str]:
        """Paths whose bytes are known to be wrong, or could not be had."""
        return {each.path for each in self.findings if each.kind in (Kind.CHANGED, Kind.MISSING, Kind.UNREADABLE)}

    def _compare(self, composition: Composition) -> None:
        """Files and pages as the manifests have them, beside those that the tree says it serves."""
        self._reporter.step("Comparing pages")
        strangers = compare(composition, self._served, plain=self._view.plain)
        for name in unfaithful(self.accepted, self._served):
            self._differs(Kind.CHANGED, f"{MARK}/ledger", f"its entry of {name} says otherwise than the bundles do")
        for path in strangers.missing:
            self._differs(Kind.MISSING, path, "the bundles have it, and the tree does not serve it")
        for path in strangers.extra:
            self._differs(Kind.EXTRA, path, "the tree serves it, and no bundle has it")
        for path in strangers.files:
            self._differs(Kind.CHANGED, path, "the bundles have other bytes under this name than the tree serves")
        others = []
        for page in strangers.pages:
            try:
                data = self._page(page.path)
            except OSError:
                continue  # told already: it is not there, or no file, or not of the size that the tree says
            if same_meaning(page.path, page.data, data):
                others.append(page.path)
            else:
                self._differs(Kind.CHANGED, page.path, "the page says otherwise than the bundles do")
        if others:
            more = f" and {len(others) - 1} more pages" if others[1:] else ""
            self.notes.append(f"{others[0]}{more}: rendered by another version of pypimirror, and meaning the same")

    @cached_property
    def _limits(self) -> dict[str, Served]:
        return self._served.files

    def _page(self, path: str) -> bytes:
        """The page that clients get under *path*, through the links of the tree. Raises OSError."""
        limit = self._limits[path].size
        return read_regular(Path(os.path.realpath(self._view.at.root / path)), limit=limit)

    def _differs(self, kind: Kind, path: str, what: str) -> None:
        self.findings.append(Finding(kind=kind, path=path, message=f"{path}: {what}", hint=REPAIR))

    def _contradictions(self, composition: Composition) -> Iterator[Finding]:
        """Solving trusts what manifests say of files: so it must be what the files say."""
        wrong = self._wrong()
        for file in composition.files:
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
