"""The pages and records of a tree made once more from its manifests, in memory: what repairing takes its bytes from.

The code that publishes runs on a press and a disk that keep what is asked for, and write nothing.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pypimirror.disk import FILE_MODE, Disk, StrPath
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import NormalizedName, Sha256
from pypimirror.tree.contents import MERGED, Contents, dump
from pypimirror.tree.folder import Tree
from pypimirror.tree.layout import LOCKS, MANIFEST, MARK, Layout, client_path, in_generation
from pypimirror.tree.page import Page
from pypimirror.tree.publish import print_all
from pypimirror.tree.revise import Edit
from pypimirror.values import dataclass

__all__ = ["edit_for", "remake", "said_of"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a state of a tree has its pages. *generation* is 0 in a plain tree."""

    generation: int

    def of_project(self, project: NormalizedName, mark: str, name: str) -> str:
        return f"{MARK}/pages/{project}-{mark}/{name}" if self.generation else client_path(project, name)

    def of_root(self, path: str) -> str:
        return f"{MARK}/generations/{self.generation}/{in_generation(path)}" if self.generation else path

    def of_record(self) -> str:
        return f"{MARK}/generations/{self.generation}/{MANIFEST}" if self.generation else MANIFEST

    def of_lock(self, contents: Contents, path: str) -> str:
        if not self.generation:
            return path
        return f"{MARK}/pages/{contents.locks.folder}/{path.removeprefix(f'{LOCKS}/')}"


class _Keeper:
    """A press that keeps the pages that are *wanted*, by path."""

    def __init__(self, place: _Place, wanted: Collection[str]) -> None:
        self.found: dict[str, bytes] = {}
        self._place = place
        self._wanted = wanted

    def keep(self, path: str, data: bytes) -> None:
        if path in self._wanted:
            self.found[path] = data

    def put(
        self, project: NormalizedName, pages: Mapping[str, Mapping[str, bytes]], indexes: Mapping[str, str]
    ) -> None:
        """See ``Press``."""
        for mark, several in pages.items():
            if self._place.generation or mark == indexes[MERGED]:
                for name, data in several.items():
                    self.keep(self._place.of_project(project, mark, name), data)

    def publish(self, contents: Contents, roots: Sequence[Page], locks: Sequence[Page] | None) -> None:
        """See ``Press``."""
        for page in roots:
            if self._place.generation or not page.path.startswith("channels/"):
                self.keep(self._place.of_root(page.path), page.data)
        for page in locks or ():
            self.keep(self._place.of_lock(contents, page.path), page.data)
        self.keep(self._place.of_record(), dump(contents))


class _Catcher(Disk):
    """A disk on which files are written to nowhere but *keeper*."""

    def __init__(self, root: Path, keeper: _Keeper) -> None:
        self._root = root
        self._keeper = keeper

    def create(self, path: StrPath, *, mode: int = FILE_MODE) -> BinaryIO:
        del mode
        return _Caught(Path(path).relative_to(self._root).as_posix(), self._keeper)

    def sync_file(self, file: BinaryIO) -> None:
        """Nothing is written."""


class _Caught(io.BytesIO):
    def __init__(self, path: str, keeper: _Keeper) -> None:
        super().__init__()
        self._path = path
        self._keeper = keeper

    def close(self) -> None:
        if not self.closed:
            self._keeper.keep(self._path, self.getvalue())
        super().close()


def remake(
    contents: Contents,
    manifests: Mapping[Sha256, Manifest],
    wanted: Collection[str],
    *,
    generation: int,
    nowhere: Path,
) -> dict[str, bytes]:
    """Those of the *wanted* records and pages, by path, that a tree of these rules and bundles has.

    *manifests* has all bundles that *contents* accepts. *generation* is 0 in a plain tree. At *nowhere* nothing is,
    and nothing is made.
    """
    if not wanted:
        return {}
    keeper = _Keeper(_Place(generation), wanted)
    _print(contents, manifests, keeper, plain=not generation, nowhere=nowhere)
    return keeper.found


def said_of(contents: Contents, manifests: Mapping[Sha256, Manifest], *, plain: bool, nowhere: Path) -> Contents:
    """What a tree of these rules and bundles says of itself; of *contents* nothing else counts. As ``remake``."""
    return _print(contents, manifests, _Keeper(_Place(0 if plain else 1), ()), plain=plain, nowhere=nowhere)


def _print(
    contents: Contents, manifests: Mapping[Sha256, Manifest], keeper: _Keeper, *, plain: bool, nowhere: Path
) -> Contents:
    tree = Tree(
        at=Layout(nowhere),
        shown=str(nowhere),
        disk=_Catcher(nowhere, keeper),
        plain=plain,
        manifests=dict(manifests),
    )
    return print_all(tree, edit_for(contents), keeper)


def edit_for(contents: Contents) -> Edit:
    """What makes these contents of a tree in which nothing is."""
    return Edit(
        bundles=tuple(each.source.digest for each in contents.accepted),
        channels=contents.channels,
        withdraw=contents.withdrawn,
        mix=contents.mixed,
        gzip=contents.gzip,
    )
