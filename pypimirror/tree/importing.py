"""A bundle's bytes into a tree's ``incoming/``: an idempotent union. Nothing that a client can see changes here.

A file is written under the name that it must earn, its sha256: what a run did not finish is found out by hashing, which
``stock`` does before it believes any. It is kept even when the bundle turns out to be incomplete: the next volume, or a
delta, completes it, in whatever order they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from pypimirror.disk import Disk, require_space
from pypimirror.errors import Incomplete
from pypimirror.model import manifest_json
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256
from pypimirror.tree.contents import Served, wanted_by
from pypimirror.tree.folder import Tree
from pypimirror.tree.stock import Missing, Stock
from pypimirror.tree.writing import keep, put, telling

__all__ = ["Imported", "IncomingBundle", "IncomingMember", "import_bundle", "incomplete"]

_SHOWN = 10


class IncomingEntry(Protocol):
    """Where a member stands in its bundle; ``packages/<name>`` for what is imported here."""

    @property
    def path(self) -> str: ...


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
    """What became of a bundle. ``files`` and ``size`` (bytes) are of what was new, ``missing`` is what it lacks."""

    digest: Sha256
    manifest: Manifest
    files: int
    size: int
    missing: tuple[Missing, ...]


def import_bundle(tree: Tree, bundle: IncomingBundle, *, bundle_size: int | None = None) -> Imported:
    """Take over every file of *bundle* that *tree* lacks, then its manifest.

    *bundle_size*, where it is known, bounds what can come (a volume carries a part of what its manifest lists).
    Raises what reading the bundle raises, and DiskFault; verified files stay in any case.
    """
    wanted = wanted_by(bundle.manifest.files)
    doing = f"importing {bundle.manifest.stem} into {tree.shown}"
    with telling(doing):
        stock = Stock(tree, [project.name for project in bundle.manifest.projects])
        to_come = sum(each.size for each in stock.to_come(wanted).values())
        size = to_come if bundle_size is None else min(to_come, bundle_size)
        require_space(tree.disk, tree.at.root, size, doing)
        files = size = 0
        for member in bundle.members():
            name = member.entry.path.removeprefix("packages/")
            served = wanted.get(name) if name != member.entry.path else None
            if served is None or stock.stands(name, served, hashed=True) or stock.came_in(served):
                continue
            _take(tree, member, served)
            stock.take_note(served)
            files += 1
            size += served.size
        missing = stock.missing(wanted)
        path = tree.at.incoming_manifest(bundle.digest)
        if not tree.at.manifest(bundle.digest).exists() and not path.exists():
            data = manifest_json.dump(bundle.manifest)
            put(tree.disk, path, data, part=tree.at.incoming / f"{bundle.digest}.json.part")
    tree.manifests[bundle.digest] = bundle.manifest
    return Imported(digest=bundle.digest, manifest=bundle.manifest, files=files, size=size, missing=missing)


def incomplete(imported: Imported) -> Incomplete:
    """The error for a bundle that still lacks something."""
    return missing_fault(imported.manifest.stem, imported.missing)


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


def _take(tree: Tree, member: IncomingMember, served: Served) -> None:
    path = tree.at.incoming_file(served.sha256)
    try:
        with _created(tree.disk, path) as file:
            member.copy_to(file, disk=tree.disk)
            keep(tree.disk, file)
    except BaseException:
        with suppress(OSError):
            tree.disk.remove(path)
        raise


def _created(disk: Disk, path: Path) -> BinaryIO:
    """A new file, in the place of one that a run cut short, or that rotted."""
    try:
        return disk.create(path)
    except FileExistsError:
        disk.remove(path)
        return disk.create(path)
