"""How a tree stands: what is served, since when, from whom; what waits; how much room there is. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from pypimirror.disk import DISK
from pypimirror.errors import IntegrityFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256, sha256_of_hex
from pypimirror.tree.compose import Accepted
from pypimirror.tree.contents import Contents, Served, wanted_by
from pypimirror.tree.layout import MANIFEST, Layout
from pypimirror.tree.records import read_accepted, read_ledger
from pypimirror.tree.sweeping import gone_with
from pypimirror.tree.view import View, look
from pypimirror.tree.writing import telling
from pypimirror.values import dataclass

__all__ = ["Status", "Waiting", "is_another", "needless", "status", "there"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A bundle that was imported and is not published: files that it still lacks, with their sizes, or none."""

    digest: Sha256
    manifest: Manifest
    missing: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What is to be known of a tree at a glance. Times in seconds since 1970, sizes in bytes.

    ``published`` is when what is served now was published. ``spare`` is what nothing that is served needs, and what
    ``prune`` would free: of the state before, and of versions that are withdrawn. ``previous`` is what ``rollback``
    would serve, None where there is nothing.
    """

    view: View
    published: int
    waiting: tuple[Waiting, ...]
    previous: Contents | None
    spare: int
    free: int


def status(path: Path) -> Status:
    """Look at the tree at *path*; no lock, nothing written. The cost does not follow the tree's size.

    Raises what ``look`` raises.
    """
    view = look(path)
    with telling(f"reading {view.shown}"):
        previous = view.previous
        gone = there(view.at, gone_with(partial(read_ledger, view.at), previous, [view.contents]))
        return Status(
            view=view,
            published=int((view.at.root / MANIFEST).stat().st_mtime),
            waiting=tuple(_waiting(view.at)),
            previous=previous if is_another(previous, view.contents) else None,
            spare=sum(each.size for each in gone.values()) + sum(needless(view.at).values()),
            free=DISK.free(view.at.root),
        )


def _waiting(at: Layout) -> Iterator[Waiting]:
    for accepted in _came_in(at):
        wanted = wanted_by(accepted.manifest.files)
        missing = {
            name: each.size
            for name, each in sorted(wanted.items())
            if each.size not in (_size(at.packages / name), _size(at.incoming_file(each.sha256)))
        }
        yield Waiting(digest=accepted.digest, manifest=accepted.manifest, missing=missing)


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def _came_in(at: Layout) -> Iterator[Accepted]:
    """The bundles in ``incoming/``; what can't be read is for ``verify`` to tell."""
    for path in sorted(at.incoming.glob("*.json")):
        try:
            yield read_accepted(path, sha256_of_hex(path.stem))
        except (IntegrityFault, FileNotFoundError, ValueError):
            continue


def needless(at: Layout, *, incomplete: bool = False) -> dict[str, int]:
    """What lies in ``incoming/`` for no bundle that waits (files of versions that are withdrawn), or all; by name."""
    wanted: set[str] = set()
    if not incomplete:
        for accepted in _came_in(at):
            wanted |= {each.sha256 for each in wanted_by(accepted.manifest.files).values()}
    entries = [path for path in sorted(at.incoming.iterdir()) if incomplete or "." not in path.name]
    return {path.name: path.stat().st_size for path in entries if path.name not in wanted}


def there(at: Layout, files: Mapping[str, Served]) -> dict[str, Served]:
    """Those that are in ``packages/``: what was withdrawn has left already."""
    return {name: each for name, each in files.items() if (at.packages / name).exists()}


def is_another(previous: Contents, contents: Contents) -> bool:
    """Whether *previous* can be turned back to: what was withdrawn since makes no difference."""
    before, now = ((each.accepted, each.channels, each.mixed) for each in (previous, contents))
    return previous.is_published and before != now
