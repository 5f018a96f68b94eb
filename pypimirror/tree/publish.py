"""One step from what is served to what is to be served.

The order makes it safe: files, then pages, then the generation, all of it synced, and then one rename of one link. A
process that dies before the rename changed nothing that a client sees; one that dies after it left only rubbish.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pypimirror.disk import Disk, disk_fault, require_space
from pypimirror.errors import DiskFault, PolicyFault, UsageFault
from pypimirror.model import manifest_json
from pypimirror.model.names import Label, NormalizedName, Sha256
from pypimirror.reporting import Reporter
from pypimirror.tree import contents as contents_of_tree
from pypimirror.tree.compose import Accepted, Composition, compose
from pypimirror.tree.contents import AcceptedBundle, Contents, Served, wanted_by
from pypimirror.tree.folder import Tree, sweep
from pypimirror.tree.importing import missing_fault
from pypimirror.tree.layout import IN_GENERATION, MANIFEST, page_folder
from pypimirror.tree.pages import Page, tree_pages
from pypimirror.tree.plain import publish_plain
from pypimirror.tree.records import read_accepted
from pypimirror.tree.stock import Stock
from pypimirror.tree.writing import keep_names, settle, telling, write_new

__all__ = ["Published", "publish"]

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What is served now. ``generation`` is 0 in a plain tree; ``changed`` is False where all was so already."""

    generation: int
    changed: bool
    composition: Composition
    repaired: int = 0


def publish(
    tree: Tree,
    digests: Iterable[Sha256] = (),
    *,
    now: int,
    channels: Sequence[Label] | None = None,
    replace: Collection[Label] = (),
    reporter: Reporter | None = None,
) -> Published:
    """Publish the bundles that *tree* serves already, and the imported ones named by *digests*.

    *now* is in seconds since 1970, for the times of changed pages. *channels* states the order of layers, the upper
    first, from now on; None keeps what was stated before. In the channels of *replace*, older bundles are dropped.

    Raises Incomplete where a bundle lacks a file, PolicyFault where a rule refuses, DiskFault; in each case what is
    served is unchanged.
    """
    reporter = reporter or Reporter()
    doing = f"publishing {tree.shown}"
    with telling(doing):
        reporter.step("Composing")
        stated = tree.contents.channels if channels is None else tuple(dict.fromkeys(channels))
        asked = tuple(dict.fromkeys(digests))
        accepted = _load(tree, asked)
        composition = compose(accepted, channels=stated, replaced=replace)
        _check_replaced(composition, asked)
        stock = Stock(tree)
        for each in accepted:
            if each.digest in asked and (missing := stock.missing(wanted_by(each.manifest.files))):
                raise missing_fault(each.manifest.stem, missing)
        wanted = wanted_by(composition.files)
        if missing := stock.missing(wanted):
            raise missing_fault(tree.shown, missing)
        moves = stock.moves(wanted)
        pages = tuple(tree_pages(composition))
        contents = _contents(stated, composition, wanted, pages)

        reporter.step("Publishing")
        changed = contents != tree.contents
        room = sum(len(page.data) for page in pages if changed) + sum(
            move.served.size for move in moves if move.is_copy
        )
        require_space(tree.disk, tree.at.root, room, doing)
        for move in moves:
            stock.carry_out(move)
        if changed:
            _keep_manifests(tree, composition)
            if tree.plain:
                publish_plain(tree, pages, contents, now=now)
            else:
                _publish_linked(tree, pages, contents, now=now)
        elif moves:
            settle(tree.disk, tree.at.packages)
        if changed:
            tree.advance(contents)
        _tidy(tree, asked, changed=changed, reporter=reporter)
    return Published(
        generation=tree.generation,
        changed=changed,
        composition=composition,
        repaired=0 if changed else len(moves),
    )


# ---- what to publish ------------------------------------------------------------------------------------------------


def _load(tree: Tree, asked: Sequence[Sha256]) -> list[Accepted]:
    """The manifests of the bundles that are served, and of those that are asked for."""
    accepted = []
    for digest in dict.fromkeys([*(each.digest for each in tree.contents.accepted), *asked]):
        if (imported := tree.manifests.get(digest)) is not None:
            accepted.append(Accepted(digest=digest, manifest=imported))
            continue
        path = tree.at.manifest(digest)
        if not path.exists():
            path = tree.at.incoming_manifest(digest)
        if not path.exists() and digest in asked:
            raise UsageFault(f"{tree.shown} knows no bundle {digest}", code="no-such-bundle", hint="import it first")
        accepted.append(read_accepted(path, digest))
    return accepted


def _check_replaced(composition: Composition, asked: Sequence[Sha256]) -> None:
    """A bundle that was asked for must count, or a person believes to have published what nobody sees."""
    count = {each.digest for each in composition.bundles}
    for digest in asked:
        if digest not in count:
            raise PolicyFault(
                f"bundle {digest} is older than the newest one of its channel, which replaces all others",
                code="older-bundle",
                hint="leave --replace out, so that both add up",
            )


def _contents(
    stated: tuple[Label, ...], composition: Composition, wanted: dict[str, Served], pages: Iterable[Page]
) -> Contents:
    files = {f"packages/{name}": served for name, served in wanted.items()}
    files.update((page.path, Served(_sha256(page.data), len(page.data))) for page in pages)
    accepted = sorted(
        AcceptedBundle(channel=each.manifest.channel, sequence=each.manifest.sequence, digest=each.digest)
        for each in composition.bundles
    )
    return Contents(channels=stated, accepted=tuple(accepted), files=files)


def _sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


# ---- the steps ------------------------------------------------------------------------------------------------------


def _keep_manifests(tree: Tree, composition: Composition) -> None:
    """Copies: the ones in ``incoming/`` stay until the swap, so that a run that is cut short forgets nothing."""
    for each in composition.bundles:
        path = tree.at.manifest(each.digest)
        if not path.exists():
            write_new(tree.disk, path, manifest_json.dump(each.manifest))


def _tidy(tree: Tree, asked: Iterable[Sha256], *, changed: bool, reporter: Reporter) -> None:
    """Remove what is needed no longer. What fails here is a note: a failed command changes nothing that clients see."""
    try:
        _clear_incoming(tree, asked)
        if changed:
            sweep(tree)
    except OSError as error:
        fault = disk_fault(error, f"removing what {tree.shown} needs no longer")
        reporter.note(f"{fault}; what is served is new and whole, and the next run removes the rest")


def _clear_incoming(tree: Tree, asked: Iterable[Sha256]) -> None:
    """A manifest that came in again, or twice, has its copy among the accepted ones."""
    for digest in asked:
        path = tree.at.incoming_manifest(digest)
        if path.exists() and tree.at.manifest(digest).exists():
            tree.disk.remove(path)


def _publish_linked(tree: Tree, pages: Sequence[Page], contents: Contents, *, now: int) -> None:
    at, disk = tree.at, tree.disk
    number = tree.generation + 1
    folder = at.generation(number)
    disk.make_folder(folder)
    disk.make_folder(folder / "simple")
    clock = _PageClock(at.generation(tree.generation) if tree.generation else None, tree.contents, now)
    for name, both in _by_project(pages).items():
        target = _page_folder(tree, name, both, contents, clock)
        _link(disk, f"../../../pages/{target}", folder / "simple" / name)
    roots = [page for page in pages if page.path in IN_GENERATION]
    for page in roots:
        path = IN_GENERATION[page.path]
        write_new(disk, folder / path, page.data, time=clock.time(page.path, contents, path))
    data = contents_of_tree.dump(contents)
    write_new(disk, folder / MANIFEST, data, time=clock.time(MANIFEST, contents, MANIFEST))
    _make_stable_links(tree)
    settle(disk, at.packages, at.pages, at.generations, folder, folder / "simple", at.manifests, at.root, at.mark)
    following = at.mark / "current.part"
    if following.is_symlink():
        disk.remove(following)
    _link(disk, f"generations/{number}", following)
    disk.rename(following, at.current)
    disk.sync_folder(at.mark)


@dataclass(frozen=True, slots=True)
class _PageClock:
    """Times of pages. A changed page is newer than the one it replaces, or nginx and http.server say "not modified"."""

    served: Path | None
    old: Contents
    now: int

    def time(self, path: str, new: Contents, inside: str) -> int:
        """The time of the page at *path*, which lies at *inside* in a generation."""
        try:
            before = (self.served / inside).stat().st_mtime if self.served else None
        except FileNotFoundError:
            before = None
        if before is None:
            return self.now
        if path in new.files and self.old.files.get(path) == new.files[path]:
            return int(before)
        return max(self.now, int(before) + 1)


def _by_project(pages: Iterable[Page]) -> dict[NormalizedName, list[Page]]:
    by_project: dict[NormalizedName, list[Page]] = {}
    for page in pages:
        parts = page.path.split("/")
        if len(parts) == len(("simple", "project", "page")):
            by_project.setdefault(NormalizedName(parts[1]), []).append(page)
    return by_project


def _page_folder(
    tree: Tree, project: NormalizedName, pages: Sequence[Page], contents: Contents, clock: _PageClock
) -> str:
    """The name of the folder with these pages of a project: the one that is there, or a new one."""
    hashes = [contents.files[page.path].sha256 for page in pages]
    name = page_folder(project, hashes)
    if all(tree.contents.files.get(page.path) == contents.files[page.path] for page in pages):
        return name  # served already
    folder = tree.at.pages / name
    exists = folder.is_dir()  # then it is in use by a kept generation, and was synced: see ``sweep``
    if not exists:
        tree.disk.make_folder(folder)
    for page in pages:
        path = folder / page.path.rpartition("/")[2]
        time = clock.time(page.path, contents, f"simple/{project}/{path.name}")
        if not exists:
            write_new(tree.disk, path, page.data, time=time)
        elif path.stat().st_mtime < time:
            tree.disk.set_time(path, time)  # what comes back is newer than what it replaces, too
    if not exists:
        keep_names(tree.disk, folder)
    return name


def _make_stable_links(tree: Tree) -> None:
    """The links that clients see. Until the first swap they lead nowhere, so the swap alone publishes."""
    for path, text in tree.at.stable_links():
        if path.is_symlink() and path.readlink().as_posix() == text:
            continue
        if path.is_dir() and not path.is_symlink():
            raise UsageFault(
                f"{path} is in the way: a folder stands where a link of the tree belongs",
                code="not-a-tree",
                hint="move it elsewhere, then run the same command again",
            )
        _replace_link(tree.disk, path, text, tree.at.mark / "link.part")


def _replace_link(disk: Disk, path: Path, text: str, part: Path) -> None:
    if part.is_symlink():
        disk.remove(part)
    _link(disk, text, part, folder=path.name == "simple")
    disk.rename(part, path)


def _link(disk: Disk, text: str, path: Path, *, folder: bool = True) -> None:
    try:
        disk.symlink(text, path, folder=folder)
    except OSError as error:
        if error.errno not in _NO_LINKS and os.name != "nt":
            raise
        raise DiskFault(
            f"no symbolic link can be made at {path}: {error.strerror}",
            code="no-links",
            hint="render into another folder with --plain: a tree of real files",
        ) from error
