"""One step from what is served to what is to be served.

The order makes it safe: files, then pages, then what makes them seen, all of it synced before. What that is depends on
the tree: one rename of one link (``linked``), or page after page (``plain``). The cost follows what changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import NoReturn

from pypimirror.disk import disk_fault, require_space
from pypimirror.errors import PypimirrorError, UsageFault
from pypimirror.model.manifest_json import pieces
from pypimirror.model.names import Label, NormalizedName, Sha256
from pypimirror.reporting import Reporter
from pypimirror.tree import ledger
from pypimirror.tree.compose import Accepted, Composition, Layers, ServedProject, compose_project, layer_order
from pypimirror.tree.contents import MERGED, Contents, Locks, Served, dump
from pypimirror.tree.folder import Tree
from pypimirror.tree.importing import missing_fault
from pypimirror.tree.layout import LOCKS
from pypimirror.tree.ledger import Entry
from pypimirror.tree.linked import LinkedPress
from pypimirror.tree.listing import Lists
from pypimirror.tree.locks import tree_locks
from pypimirror.tree.page import Page
from pypimirror.tree.plain import PlainPress
from pypimirror.tree.press import Press
from pypimirror.tree.printing import enter, folder_of, indexes_before, root_pages_of, served_of, tombstone, twins_of
from pypimirror.tree.records import read_accepted
from pypimirror.tree.revise import Edit, Revised, Revision, revise
from pypimirror.tree.shards import in_shards, shard
from pypimirror.tree.stock import Missing
from pypimirror.tree.stocking import Share, Stocking
from pypimirror.tree.sweeping import sweep
from pypimirror.tree.writing import settle, telling, write_new
from pypimirror.values import dataclass

__all__ = ["Published", "print_all", "publish"]

_PAGE_BYTES = 2_000  # of a file in all pages together, about


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What is served now. ``generation`` is 0 in a plain tree; ``changed`` is False where all was so already.

    ``layers`` has the projects that were composed anew and of which clients don't see every file that bundles have;
    ``repaired`` counts files that were put back.
    """

    generation: int
    changed: bool
    contents: Contents
    layers: Mapping[NormalizedName, Layers] = field(default_factory=dict)
    repaired: int = 0


def publish(
    tree: Tree,
    digests: Iterable[Sha256] = (),
    *,
    now: int,
    channels: Sequence[Label] | None = None,
    replace: Collection[Label] = (),
    edit: Edit | None = None,
    reporter: Reporter | None = None,
) -> Published:
    """Publish the bundles that *tree* serves already, and the imported ones named by *digests*.

    *now* is in seconds since 1970, for the times of changed pages. *channels* states the order of layers, the upper
    first, from now on; None keeps what was stated before. In the channels of *replace*, older bundles are dropped.
    *edit* says it all in one, in place of these.

    Raises Incomplete where a bundle lacks a file, PolicyFault where a rule refuses, DiskFault; in each case what is
    served is unchanged.
    """
    asked = tuple(dict.fromkeys(digests))
    order = None if channels is None else tuple(channels)
    edit = edit or Edit(bundles=asked, channels=order, replace=replace)
    with telling(f"publishing {tree.shown}"):
        return _Publication(tree, edit, now=now, reporter=reporter or Reporter()).run()


def print_all(tree: Tree, edit: Edit, press: Press) -> Contents:
    """Hand *press* every page that *edit* makes of *tree*; what stands in ``packages/`` is not looked at."""
    publication = _Publication(tree, edit, now=0, reporter=Reporter(), press=press)
    return publication._publish(revise(tree, edit, publication._load, everything=True), None)  # noqa: SLF001 - of this module


class _Publication:
    """One step of one tree."""

    def __init__(self, tree: Tree, edit: Edit, *, now: int, reporter: Reporter, press: Press | None = None) -> None:
        self._tree = tree
        self._edit = edit
        self._reporter = reporter
        self._press: Press = press or (PlainPress(tree, now=now) if tree.plain else LinkedPress(tree, now=now))
        self._everything = tree.plain and tree.at.unfinished.exists()

    def run(self) -> Published:
        tree = self._tree
        self._reporter.step("Composing")
        revision = revise(tree, self._edit, self._load, everything=self._everything)
        stocking = self._stocking(revision)
        layers = self._look(revision, stocking)
        changed = self._everything or revision.contents != tree.contents
        self._reporter.step("Publishing")
        contents = tree.contents
        if changed:
            contents = self._publish(revision, stocking)
            if contents != tree.contents:  # else it was published before, and is whole again
                tree.advance(contents)
        elif stocking.steps:
            for share in self._shares(revision):
                stocking.carry_out(share)
            settle(tree.disk, tree.at.packages)
        self._tidy(changed=changed)
        return Published(
            generation=tree.generation,
            changed=changed,
            contents=contents,
            layers=layers,
            repaired=0 if changed else stocking.steps,
        )

    def _load(self, digest: Sha256) -> Accepted:
        """The manifest of a bundle that is served, was served before, or was imported."""
        tree = self._tree
        if (imported := tree.manifests.get(digest)) is not None:
            return Accepted(digest=digest, manifest=imported)
        path = tree.at.manifest(digest)
        if not path.exists():
            path = tree.at.incoming_manifest(digest)
        if not path.exists() and digest in self._edit.bundles:
            raise UsageFault(f"{tree.shown} knows no bundle {digest}", code="no-such-bundle", hint="import it first")
        return read_accepted(path, digest)

    # ---- files ------------------------------------------------------------------------------------------------------

    def _stocking(self, revision: Revision) -> Stocking:
        return Stocking(self._tree, lambda: self._shares(revision))

    def _shares(
        self, revision: Revision, tell: Callable[[NormalizedName, Revised], None] | None = None
    ) -> Iterator[Share]:
        """What is wanted in ``packages/``: by the projects that change, and by those of the bundles asked for.

        Of the latter nothing is new, but perhaps something is gone. *tell* is called with each that changes.
        """
        asked = (self._accepted(digest, revision) for digest in self._edit.bundles)
        named = {project.name for each in asked for project in each.manifest.projects}
        for part, names in in_shards(named | revision.projects.keys()):
            share = Share(shard=part, projects=names, files={})
            for name in names:
                if (revised := revision.projects.get(name)) is not None:
                    share.files.update(revised.files)
                    if tell is not None:
                        tell(name, revised)
                elif (entry := self._tree.entry(name)) is not None:
                    share.files.update(entry.files)
            yield share

    def _look(self, revision: Revision, stocking: Stocking) -> dict[NormalizedName, Layers]:
        """Compose everything once. Raises Incomplete, PolicyFault, DiskFault, before anything is written."""
        tree = self._tree
        partly: dict[NormalizedName, Layers] = {}
        files = 0

        def tell(name: NormalizedName, revised: Revised) -> None:
            nonlocal files
            files += len(revised.files)
            if revised.layers is not None and revised.hides:
                partly[name] = revised.layers

        stocking.look(self._shares(revision, tell))
        if stocking.missing:
            self._refuse(revision, stocking.missing)
        room = stocking.copied
        if revision.contents != tree.contents:
            room += _PAGE_BYTES * files + 2 * sum(each.size for each in tree.contents.pages.values())
        require_space(tree.disk, tree.at.root, room, f"publishing {tree.shown}")
        return partly

    def _refuse(self, revision: Revision, missing: tuple[Missing, ...]) -> NoReturn:
        """Say what is missing of the first of the bundles that lacks anything, or else of the tree."""
        for digest in self._edit.bundles:
            manifest = self._accepted(digest, revision).manifest
            names = {name for file in manifest.files for name in (file.filename, f"{file.filename}.metadata")}
            if own := tuple(each for each in missing if each.name in names):
                raise missing_fault(manifest.stem, own)
        raise missing_fault(self._tree.shown, missing)

    def _accepted(self, digest: Sha256, revision: Revision) -> Accepted:
        return revision.loaded.get(digest) or self._load(digest)

    # ---- pages ------------------------------------------------------------------------------------------------------

    def _publish(self, revision: Revision, stocking: Stocking | None) -> Contents:
        """Without *stocking*, what stands in ``packages/`` is not looked at."""
        self._keep_manifests(revision)
        lists = Lists(self._tree, revision)
        contents = self._print_projects(revision, stocking, lists)
        contents, locks = self._locks(revision, contents)
        roots = [*lists.pages(contents), *root_pages_of(contents)]
        if contents.gzip:
            roots = [twin for page in roots for twin in twins_of(page)]
        contents = replace(contents, pages={page.path: served_of(page.data) for page in roots})
        self._press.publish(contents, roots, locks)
        return contents

    def _keep_manifests(self, revision: Revision) -> None:
        """Copies: the ones in ``incoming/`` stay until the swap, so that a run that is cut short forgets nothing."""
        for each in revision.contents.accepted:
            path = self._tree.at.manifest(each.source.digest)
            if each.source.digest in revision.loaded and not path.exists():
                write_new(self._tree.disk, path, pieces(revision.loaded[each.source.digest].manifest))

    def _print_projects(self, revision: Revision, stocking: Stocking | None, lists: Lists) -> Contents:
        """The files, pages and ledgers of what changed, shard by shard; and contents that name them."""
        tree, old = self._tree, revision.contents
        indexes = indexes_before(tree.contents, old, plain=tree.plain)
        ledgers = dict(old.ledger)
        count, size = old.files, old.size
        for share in self._shares(revision):
            if stocking is not None:
                stocking.carry_out(share)
            group = {name: revision.projects[name] for name in share.projects if name in revision.projects}
            if not group:
                continue
            name = shard(next(iter(group)))
            entries = dict(tree.ledger(next(iter(group))))
            for project, revised in group.items():
                entry = self._print(project, revised, twins=old.gzip)
                enter(project, entry, entries, indexes)
                lists.note(project, revised)
                before = revised.before
                count += (entry.count if entry else 0) - (before.count if before else 0)
                size += (entry.size if entry else 0) - (before.size if before else 0)
            ledgers.pop(name, None)
            if entries:
                ledgers[name] = self._write_ledger(name, entries)
        return replace(old, indexes=indexes, ledger=ledgers, files=count, size=size)

    def _print(self, project: NormalizedName, revised: Revised, *, twins: bool) -> Entry | None:
        layers = revised.layers
        if layers is None:
            return tombstone(revised.slices)
        made: list[tuple[ServedProject, str]] = []
        folders: dict[str, dict[str, bytes]] = {}
        indexes: dict[str, str] = {}
        for index, served in [(MERGED, layers.merged), *layers.by_channel.items()]:
            mark = next((mark for known, mark in made if known is served or known == served), None)
            if mark is None:
                mark, folders[mark] = folder_of(served, twins=twins)
                made.append((served, mark))
            indexes[index] = mark
        self._press.put(project, folders, indexes)
        return Entry(
            slices=revised.slices,
            files=revised.files,
            pages={mark: {name: served_of(data) for name, data in pages.items()} for mark, pages in folders.items()},
            indexes=indexes,
            count=len(layers.merged.files),
            size=layers.merged.size,
        )

    def _write_ledger(self, name: str, entries: ledger.Ledger) -> Served:
        data = ledger.dump(entries)
        served = served_of(data)
        path = self._tree.at.ledger_of(name, served.sha256)
        if not path.exists():
            write_new(self._tree.disk, path, data)
        return served

    def _composed(self, name: NormalizedName, revision: Revision) -> Layers | None:
        if (revised := revision.projects.get(name)) is not None:
            return revised.layers
        entry = self._tree.entry(name)
        return None if entry is None else compose_project(name, entry.slices, revision.rules)

    # ---- locks ------------------------------------------------------------------------------------------------------

    def _locks(self, revision: Revision, contents: Contents) -> tuple[Contents, list[Page] | None]:
        """The locks of the newest bundle of each channel; None where nothing that they name changed."""
        newest: dict[Label, Sha256] = {}
        for each in sorted(contents.accepted, key=lambda each: -each.source.sequence):
            if each.resolutions:
                newest.setdefault(each.source.channel, each.source.digest)
        order = layer_order(contents.channels, newest)
        digests = tuple(newest[channel] for channel in order)
        same = digests == contents.locks.bundles and revision.projects.keys().isdisjoint(contents.locks.projects)
        if same and not self._everything:
            return contents, None
        bundles = tuple(self._accepted(digest, revision) for digest in digests)
        names = {pin.project for each in bundles for resolution in each.manifest.resolutions for pin in resolution.pins}
        layers = {name: found for name in sorted(names, key=shard) if (found := self._composed(name, revision))}
        pages = list(tree_locks(Composition(channels=order, bundles=bundles, layers=layers)))
        files = {page.path.removeprefix(f"{LOCKS}/"): served_of(page.data) for page in pages}
        return replace(contents, locks=Locks(bundles=digests, projects=tuple(sorted(names)), files=files)), pages

    # ---- afterwards -------------------------------------------------------------------------------------------------

    def _tidy(self, *, changed: bool) -> None:
        """Remove what is needed no longer. What fails here is a note: what is served is new, and whole."""
        tree = self._tree
        try:
            if tree.plain and changed and tree.at.unfinished.exists():
                if tree.previous.is_published and tree.at.unfinished.read_bytes() == dump(tree.previous):
                    tree.disk.rename(tree.at.unfinished, tree.at.previous_contents)
                else:
                    tree.disk.remove(tree.at.unfinished)
            self._clear_incoming()
            if changed:
                sweep(tree)
        except (OSError, PypimirrorError) as error:
            fault = (
                error
                if isinstance(error, PypimirrorError)
                else disk_fault(error, f"removing what {tree.shown} needs no longer")
            )
            self._reporter.note(f"{fault}; what is served is new and whole, and the next run removes the rest")

    def _clear_incoming(self) -> None:
        """A manifest that came in again, or twice, has its copy among the accepted ones."""
        for digest in self._edit.bundles:
            path = self._tree.at.incoming_manifest(digest)
            if path.exists() and self._tree.at.manifest(digest).exists():
                self._tree.disk.remove(path)
