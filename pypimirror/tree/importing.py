"""A bundle's bytes into a tree's ``incoming/``: an idempotent union. Nothing that a client can see changes here.

A file is written under the name that it must earn, its sha256: what a run did not finish is found out by hashing, which
``stock`` does before it believes any. It is kept even when the bundle turns out to be incomplete: the next volume, or a
delta, completes it, in whatever order they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from pypimirror.disk import Disk, require_space
from pypimirror.errors import DiskFault, Incomplete
from pypimirror.model import manifest_json
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256
from pypimirror.tree.contents import Served
from pypimirror.tree.folder import Tree
from pypimirror.tree.layout import is_package_path
from pypimirror.tree.stock import Missing, Stock
from pypimirror.tree.stocking import shares_of
from pypimirror.tree.writing import keep, put, telling
from pypimirror.values import dataclass

__all__ = ["Imported", "IncomingBundle", "IncomingMember", "import_bundle", "missing_fault"]

_SHOWN = 10


class IncomingEntry(Protocol):
    """What a member is in its bundle; at ``packages/<name>`` stands what is imported here."""

    @property
    def path(self) -> str: ...

    @property
    def sha256(self) -> Sha256 | None: ...

    @property
    def size(self) -> int: ...


class IncomingMember(Protocol):
    """One member of a bundle that is being read."""

    @property
    def entry(self) -> IncomingEntry: ...

    def copy_to(self, file: BinaryIO, *, disk: Disk) -> None:
        """Write the content to *file*; it is verified when this returns. Raises IntegrityFault, OSError of writing."""
        ...


class IncomingBundle(Protocol):
    """A bundle open for reading. What is not copied is verified all the same, in passing."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def digest(self) -> Sha256: ...

    def members(self) -> Iterable[IncomingMember]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of a bundle. ``files`` and ``size`` (bytes) are of what was new."""

    digest: Sha256
    manifest: Manifest
    files: int
    size: int


def import_bundle(tree: Tree, bundle: IncomingBundle, *, bundle_size: int | None = None) -> Imported:
    """Take over every file of *bundle* that *tree* lacks, then its manifest.

    *bundle_size*, where it is known, bounds what can come (a volume carries a part of what its manifest lists).
    Raises what reading the bundle raises, and DiskFault; verified files stay in any case.
    """
    doing = f"importing {bundle.manifest.stem} into {tree.shown}"
    with telling(doing):
        _require_room(tree, bundle.manifest, bundle_size, doing)
        stock = Stock(tree)
        files = size = 0
        for member in bundle.members():
            entry = member.entry
            name = entry.path.removeprefix("packages/")
            if name == entry.path or not is_package_path(entry.path) or entry.sha256 is None:
                continue
            served = Served(entry.sha256, entry.size)
            if stock.stands(name, served, hashed=True) or not _take(tree, stock, member, served):
                continue
            stock.take_note(served)
            files += 1
            size += served.size
        path = tree.at.incoming_manifest(bundle.digest)
        if not tree.at.manifest(bundle.digest).exists() and not path.exists():
            data = manifest_json.pieces(bundle.manifest)
            put(tree.disk, path, data, part=tree.at.incoming / f"{bundle.digest}.json.part")
    tree.manifests[bundle.digest] = bundle.manifest
    return Imported(digest=bundle.digest, manifest=bundle.manifest, files=files, size=size)


def _require_room(tree: Tree, manifest: Manifest, bundle_size: int | None, doing: str) -> None:
    """Raise DiskFault where what is to come has no room. Where there is room for all of the bundle, none is counted."""
    if bundle_size is not None:
        with suppress(DiskFault):
            require_space(tree.disk, tree.at.root, bundle_size, doing)
            return
    size = sum(each.size for share in shares_of(manifest) for each in share.to_come(tree).values())
    require_space(tree.disk, tree.at.root, size if bundle_size is None else min(size, bundle_size), doing)


def missing_fault(what: str, missing: tuple[Missing, ...]) -> Incomplete:
    """``... lacks 3 files (1200 bytes): a, b, c``."""
    names = [each.name for each in missing[:_SHOWN]]
    if len(missing) > _SHOWN:
        names.append(f"and {len(missing) - _SHOWN} more")
    return Incomplete(
        f"{what} lacks {len(missing)} {'file' if len(missing) == 1 else 'files'} "
        f"({sum(each.size for each in missing)} bytes): {', '.join(names)}",
        code="bundle-incomplete",
        hint="render its other volumes, or a bundle that has them; what came was kept, and what is served is unchanged",
    )


def _take(tree: Tree, stock: Stock, member: IncomingMember, served: Served) -> bool:
    """Whether it had to come in: else it did before."""
    path = stock.place_of(served)
    try:
        file = _created(tree.disk, path)
    except FileExistsError:
        if stock.came_in(served):
            return False
        tree.disk.remove(Path(path))  # a run was cut short, or it rotted
        file = _created(tree.disk, path)
    try:
        with file:
            member.copy_to(file, disk=tree.disk)
            keep(tree.disk, file)
    except BaseException:
        with suppress(OSError):
            tree.disk.remove(Path(path))
        raise
    return True


def _created(disk: Disk, path: str) -> BinaryIO:
    """A new file. Raises FileExistsError and leaves alone what is there; whatever else fails leaves nothing."""
    try:
        return disk.create(path)
    except FileExistsError:
        raise
    except BaseException:
        with suppress(OSError):
            disk.remove(Path(path))
        raise
