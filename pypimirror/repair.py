"""Repairing a tree, told as a story.

repair   every entry looked at -> what is wrong made again, or taken from bundles -> looked at once more
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from pypimirror.bundle.reader import Bundle, open_bundle
from pypimirror.disk import DISK, Disk
from pypimirror.errors import IntegrityFault
from pypimirror.model import manifest_json
from pypimirror.model.findings import Finding, Kind
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256
from pypimirror.model.reading import Malformed
from pypimirror.reporting import Reporter
from pypimirror.tree.anatomy import File, Folder, Part, linked_anatomy, plain_anatomy
from pypimirror.tree.audit import TreeAudit
from pypimirror.tree.contents import Contents, Served, dump
from pypimirror.tree.folder import Tree
from pypimirror.tree.inventory import Inventory, inventory, taken_back
from pypimirror.tree.layout import MANIFEST, MARK, Layout, is_package_path
from pypimirror.tree.ledger import Ledger
from pypimirror.tree.ledger import parse as parse_ledger
from pypimirror.tree.linked import LinkedPress
from pypimirror.tree.lock import locked
from pypimirror.tree.mending import Mender
from pypimirror.tree.plain import PlainPress
from pypimirror.tree.publish import print_all
from pypimirror.tree.recalling import recall
from pypimirror.tree.records import (
    current_generation,
    damaged,
    generations,
    read_accepted,
    read_before,
    read_contents,
    read_ledger,
)
from pypimirror.tree.remaking import edit_for, remake
from pypimirror.tree.supplying import Supplier
from pypimirror.tree.sweeping import sweep
from pypimirror.tree.view import look
from pypimirror.tree.writing import put, telling
from pypimirror.values import dataclass

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Repaired:
    """What came of it. ``mended`` are paths of entries that were wrong; ``findings`` tell what still is.

    ``anew`` tells whether all pages were printed once more, ``forgot`` whether what was served before is lost: nothing
    can be turned back to it. Of a dry run, these and ``findings`` are as far as they are known.
    """

    mended: tuple[str, ...]
    anew: bool
    forgot: bool
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the findings; 0 without any."""
        return max((finding.exit_code for finding in self.findings), default=0)


def repair(
    path: Path,
    bundles: Sequence[Path | BinaryIO] = (),
    *,
    now: int,
    dry_run: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
    disk: Disk = DISK,
) -> Repaired:
    """Put back what rotted in the tree at *path*; nothing that is right is touched, nothing extra is removed.

    Files come from *bundles*, or from copies in the tree; pages, records, links and modes are made again. *now* is in
    seconds since 1970, *wait* in seconds. Raises UsageFault where there is no tree, IntegrityFault (``tree-damaged``)
    where what the tree says of itself can't be read at all, what reading *bundles* raises, BusyFault, DiskFault.
    """
    reporter = reporter or Reporter()
    at = Layout(Path(os.path.realpath(path)))
    if not at.mark.is_dir():
        look(path)  # tells what it is in place of a tree
    with ExitStack() as stack, telling(f"repairing {path}"):
        stack.enter_context(locked(at.lock, shown=str(path), disk=disk, wait=wait))
        opened = [stack.enter_context(open_bundle(each, reporter=reporter)) for each in bundles]
        job = _Repair(at, str(path), opened, disk, now=now, dry_run=dry_run, reporter=reporter)
        return job.run()


class _Repair:
    """One repair of one tree."""

    def __init__(
        self,
        at: Layout,
        shown: str,
        bundles: Sequence[Bundle],
        disk: Disk,
        *,
        now: int,
        dry_run: bool,
        reporter: Reporter,
    ) -> None:
        self._at = at
        self._shown = shown
        self._bundles = bundles
        self._disk = disk
        self._now = now
        self._dry_run = dry_run
        self._reporter = reporter
        self._plain = at.plain_mark.exists()
        self._notes: list[str] = []
        self._forgot = self._anew = False
        self._mender = Mender(at=at, disk=disk, now=now, modes=not self._plain, dry_run=dry_run, reporter=reporter)
        self._manifests: dict[Sha256, Manifest] = {}

    def run(self) -> Repaired:
        self._reporter.step("Reading")
        if not self._dry_run:
            self._mender.clear()
        number, contents = self._served()
        before, previous = self._served_before(number, contents)
        self._read_manifests(contents, previous)
        now = self._inventory(number, contents)
        then = self._inventory(before, previous)
        if then is None:
            self._forget(before)
            before, previous, then = 0, Contents(), Inventory()
        lost: list[str] = []
        if now is not None:
            lost = self._mend(self._parts(number, now, before, then), [(number, contents), (before, previous)])
        if self._dry_run:
            return self._told([_still(path) for path in lost])
        findings = self._audit()
        if any(map(_is_of_pages, findings)) and self._has_all(contents) and not self._mender.obstacles:
            self._print_anew(number, contents, before, previous)
            findings = self._audit()
        return self._told(findings)

    def _told(self, findings: Sequence[Finding]) -> Repaired:
        for path in sorted(self._mender.obstacles):
            self._notes.append(f"{path}: what stands there can't be replaced in one step; move it away, repair again")
        return Repaired(
            mended=tuple(sorted(self._mender.mended)),
            anew=self._anew,
            forgot=self._forgot,
            findings=tuple(findings),
            notes=tuple(self._notes),
        )

    # ---- what the tree says of itself -------------------------------------------------------------------------------

    def _served(self) -> tuple[int, Contents]:
        """The number of the generation that is served, 0 in a plain tree, and its contents. Raises IntegrityFault."""
        number = 0 if self._plain else self._newest()
        try:
            return number, read_contents(self._record(number))
        except IntegrityFault as fault:
            recalled = self._recalled(number)
            if recalled is None:
                if not any(self._at.ledger.glob("*.json")):
                    look(Path(self._shown))  # tells where nothing was published yet
                fault.hint = (
                    "what is there does not prove what it said, not even with the bundles given (--from): render all "
                    "bundles into a new folder, withdraw again what was withdrawn, serve that one"
                )
                raise
            return number, recalled

    def _recalled(self, number: int) -> Contents | None:
        """What the lost record said, as far as ledgers, manifests and pages prove it; it is written down again."""
        offered = {bundle.digest: bundle.manifest for bundle in self._bundles}
        found = recall(self._at, number, offered, now=self._now)
        name = self._record(number).relative_to(self._at.root).as_posix()
        if found is None or not self._mender.put_page(name, dump(found.contents)):
            return None
        self._mender.settle()
        self._notes += found.sentences
        return found.contents

    def _record(self, number: int) -> Path:
        """What the tree says of itself."""
        return (self._at.root if self._plain else self._at.generation(number)) / MANIFEST

    def _newest(self) -> int:
        """The number of the generation that is served, or is to be where none is to be seen."""
        at = self._at
        try:
            number = current_generation(at)
        except IntegrityFault:
            number = 0
        if not at.generation(number).is_dir() or not number:
            whole = [each for each in generations(at) if (at.generation(each) / MANIFEST).is_file()]
            if not whole:
                look(Path(self._shown))  # tells what is wrong with it
                raise damaged(at.current, "there is nothing that it could lead to")
            number = max(whole)
            self._notes.append(
                f"what is served was not to be seen any more; generation {number} is the newest there is"
            )
        return number

    def _served_before(self, number: int, contents: Contents) -> tuple[int, Contents]:
        """Likewise of what was served before *contents*, as far as it is there."""
        at = self._at
        older = [] if self._plain else [each for each in generations(at) if each < number]
        before = max(older, default=0)
        try:
            if self._plain:
                return 0, read_before(at, contents)
            return before, read_contents(at.generation(before) / MANIFEST, missing_ok=not before)
        except IntegrityFault:
            self._forget(before)
            return 0, Contents()

    def _forget(self, before: int) -> None:
        """What was served before can't be mended: nothing will be turned back to it."""
        self._forgot = True
        if self._dry_run:
            return
        if self._plain:
            if self._at.unfinished.exists():  # what it says is lost; that pages must be looked at is not
                put(self._disk, self._at.unfinished, b"", part=self._at.incoming / "unfinished.part")
            with suppress(FileNotFoundError):
                self._disk.remove(self._at.previous_contents)
        else:
            self._disk.remove_tree(self._at.generation(before))

    def _read_manifests(self, *states: Contents) -> None:
        """Those of the accepted bundles; a wrong one is put back from a bundle that has it."""
        offered = {bundle.digest: bundle.manifest for bundle in self._bundles}
        for digest in sorted({each.source.digest for contents in states for each in contents.accepted}):
            path = self._at.manifest(digest)
            try:
                self._manifests[digest] = read_accepted(path, digest).manifest
            except (IntegrityFault, OSError):
                if digest in offered:
                    self._manifests[digest] = offered[digest]
                    self._mender.folders({f"{MARK}/manifests": Folder()})
                    name = path.relative_to(self._at.root).as_posix()
                    self._mender.put_page(name, manifest_json.dump(offered[digest]))

    def _has_all(self, contents: Contents) -> bool:
        """Whether every manifest of it is known, so that its pages can be made again."""
        return all(each.source.digest in self._manifests for each in contents.accepted)

    def _remake(self, number: int, contents: Contents, wanted: Collection[str]) -> dict[str, bytes]:
        if not self._has_all(contents) or not contents.is_published:
            return {}
        nowhere = self._at.mark / "nowhere"
        return remake(contents, self._manifests, wanted, generation=number, nowhere=nowhere)

    def _inventory(self, number: int, contents: Contents) -> Inventory | None:
        """What is served by *contents*; None where a ledger is wrong, and can't be had from manifests as it was."""
        read: dict[str, Ledger] = {}
        wrong: dict[str, tuple[str, Served]] = {}
        for shard, served in contents.ledger.items():
            try:
                read[shard] = read_ledger(self._at, shard, contents)
            except (IntegrityFault, OSError):
                path = self._at.ledger_of(shard, served.sha256).relative_to(self._at.root).as_posix()
                wrong[path] = shard, served
        remade = self._remake(number, contents, wrong.keys())
        try:
            for path, (shard, served) in wrong.items():
                if _sha256(remade.get(path, b"")) != served.sha256:
                    return None
                read[shard] = parse_ledger(remade[path])
            return inventory(contents, read.__getitem__)
        except Malformed:
            return None

    def _parts(self, number: int, now: Inventory, before: int, then: Inventory) -> dict[str, Part]:
        if self._plain:
            records = (f"{MARK}/ledger/", f"{MARK}/manifests/")  # those of before are needed to turn back
            return {
                path: replace(part, optional=False) if isinstance(part, File) and path.startswith(records) else part
                for path, part in plain_anatomy(now, then).items()
            }
        parts = linked_anatomy({number: now, **({before: then} if before else {})}, number)
        for name in taken_back(then, now):
            parts.pop(f"packages/{name}", None)
        return parts

    # ---- one by one -------------------------------------------------------------------------------------------------

    def _mend(self, parts: Mapping[str, Part], states: Sequence[tuple[int, Contents]]) -> list[str]:
        """Make everything what it should be, as far as that is known; the paths of files that are wrong still."""
        mender = self._mender
        self._reporter.step("Mending")
        mender.folders(parts)
        wrong = mender.wrong_files(parts)
        supplier = Supplier(mender, self._bundles)
        supplier.put({path: part for path, part in wrong.items() if is_package_path(path)}, parts)
        self._notes += supplier.notes
        for number, contents in states:
            wanted = {path for path in wrong if path not in mender.sound and not is_package_path(path)}
            for path, data in self._remake(number, contents, wanted).items():
                if _sha256(data) == wrong[path].sha256:
                    mender.put_page(path, data)
        mender.links(parts)
        mender.permissions(parts)
        mender.settle()
        return [path for path in wrong if path not in mender.sound]

    # ---- all at once ------------------------------------------------------------------------------------------------

    def _print_anew(self, number: int, contents: Contents, before: int, previous: Contents) -> None:
        """Print every page once more, from the manifests, and let clients see them in one step."""
        at, disk = self._at, self._disk
        self._reporter.step("Publishing")
        served = Tree(at=at, shown=self._shown, disk=disk, plain=self._plain, contents=contents, previous=previous)
        served.generation, served.previous_generation = number, before
        with suppress(IntegrityFault):
            sweep(served)  # what a run left must not be taken for pages that were checked
        newest = int(os.lstat(self._record(number)).st_mtime)
        following = 0 if self._plain else max(generations(at))
        tree = Tree(at=at, shown=self._shown, disk=disk, plain=self._plain, generation=following)
        tree.manifests = self._manifests
        now = max(self._now, newest + 1)
        tree.contents = print_all(tree, edit_for(contents), (PlainPress if self._plain else LinkedPress)(tree, now=now))
        self._anew = True
        if self._plain:
            disk.remove(at.unfinished)
            return
        tree.generation, self._forgot = following + 1, self._forgot or bool(before)
        try:
            sweep(tree)
        except IntegrityFault:  # no telling what the old ones alone have in packages/: that stays, and is told
            for each in generations(at):
                if each != tree.generation:
                    disk.remove_tree(at.generation(each))
            sweep(tree)

    def _audit(self) -> list[Finding]:
        """What is wrong now; files that were hashed a moment ago are not hashed again."""
        try:
            audit = TreeAudit(look(self._at.root), quick=False, reporter=self._reporter, sound=self._mender.sound)
        except IntegrityFault as fault:
            return [Finding.of(fault, kind=Kind.CHANGED, path="")]
        audit.run()
        return audit.findings


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_of_pages(finding: Finding) -> bool:
    """Whether it is about what is made from manifests."""
    return finding.kind in (Kind.CHANGED, Kind.MISSING) and not is_package_path(finding.path)


def _still(path: str) -> Finding:
    what = "no bundle that was given has it" if is_package_path(path) else "it can't be made again as it was"
    return Finding(
        kind=Kind.CHANGED,
        path=path,
        message=f"{path} is wrong or missing, and {what}",
        hint="name the bundle that brought it: --from BUNDLE",
    )
