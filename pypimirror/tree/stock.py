"""Which bytes a tree holds already, and how they come under the name they are wanted by.

Bytes are found by content: under their own name in ``packages/``, in ``incoming/``, or under any other published name
(wheels of one version often share their metadata, and a delta leaves out what the tree has).

Trust: what the current or the previous generation lists was synced before it was published, so its size is enough;
anything else may be what a crash left, and is hashed before it is believed. A file that turns out wrong counts as not
there, and is replaced by the next verified copy.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from pypimirror.errors import IntegrityFault, PolicyFault
from pypimirror.model.names import NormalizedName, Sha256
from pypimirror.tree.contents import Served
from pypimirror.tree.folder import Tree
from pypimirror.tree.writing import keep
from pypimirror.values import dataclass

__all__ = ["Missing", "Move", "Stock"]

_CHUNK = 1 << 20
_PACKAGES, _INCOMING = "packages", "incoming"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A file, or a metadata sibling, that a bundle lists and nothing brought yet. ``name`` as in ``packages/``."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One step of stocking ``packages/``. ``came_in`` tells that *source* lies in ``incoming/``."""

    name: str
    served: Served
    source: str
    is_copy: bool
    came_in: bool


class Stock:
    """The bytes that one open tree has of some projects; methods raise OSError.

    Only files that are asked for are looked at, so that the cost follows what changes, not what there is.
    """

    def __init__(self, tree: Tree, projects: Iterable[NormalizedName] = ()) -> None:
        self._tree = tree
        self._listed = tree.listed(projects)
        self._names: dict[Sha256, list[str]] = {}
        self._note_names(self._listed)
        self._folders = {_PACKAGES: str(tree.at.packages), _INCOMING: str(tree.at.incoming)}
        self._nothing_stands = False
        if not tree.contents.is_published:
            with os.scandir(tree.at.packages) as entries:
                self._nothing_stands = next(entries, None) is None  # as in a new tree, until the first step is done

    def stands(self, name: str, served: Served, *, hashed: bool = False) -> bool:
        """Whether ``packages/name`` is there with these bytes. With *hashed* its size alone is never enough."""
        if self._nothing_stands or self._size(_PACKAGES, name) != served.size or (_PACKAGES, name) in self._tree.rotten:
            return False
        if not hashed and self._listed.get(name) == served:
            return True
        return self._hashes(_PACKAGES, name, served)

    def came_in(self, served: Served) -> bool:
        """Whether ``incoming/`` has these bytes."""
        if self._size(_INCOMING, served.sha256) != served.size:
            return False
        return self._hashes(_INCOMING, served.sha256, served)

    def place_of(self, served: Served) -> str:
        """Where these bytes come in."""
        return f"{self._folders[_INCOMING]}/{served.sha256}"

    def take_note(self, served: Served) -> None:
        """These bytes were just written to ``incoming/``, and verified."""
        self._tree.rotten.discard((_INCOMING, served.sha256))
        self._tree.sound.add(f"{_INCOMING}/{served.sha256} {served.sha256}")

    def elsewhere(self, served: Served) -> str | None:
        """Another name of these bytes in ``packages/``: one that is published, or one that is wanted."""
        for name in sorted(self._names.get(served.sha256, ())):
            if self.stands(name, served, hashed=True):
                return name
        return None

    def to_come(self, wanted: Mapping[str, Served]) -> dict[str, Served]:
        """What of *wanted* is not at hand under its own name, or in ``incoming/``, or with the same projects."""
        self._note_names(wanted)  # a run that was cut short may have taken the only copy there
        return {
            name: served
            for name, served in sorted(wanted.items())
            if not (self.stands(name, served) or self.came_in(served) or self.elsewhere(served))
        }

    def moves(
        self, wanted: Mapping[str, Served], elsewhere: Mapping[Sha256, str], *, fresh: bool = False
    ) -> tuple[tuple[Move, ...], dict[str, Served]]:
        """The steps after which ``packages/`` holds all of *wanted*; and what of it can't be had here.

        What these projects don't have may be found by its digest under a name in *elsewhere*. *fresh* tells that all
        of it is known to have come in, and nothing of it to stand. Raises PolicyFault where a name is still published,
        or was a moment ago, with other bytes.
        """
        if not fresh:
            self._note_names(wanted)
        copies: list[Move] = []
        renames: dict[Sha256, Move] = {}
        lacking: dict[str, Served] = {}
        for name, served in sorted(wanted.items()):
            self._check_one_content(name, served)
            if not fresh and self.stands(name, served):
                continue
            source = self.place_of(served)
            if not fresh and not self.came_in(served):
                found = self.elsewhere(served) or elsewhere.get(served.sha256)
                if found is None:
                    lacking[name] = served
                else:
                    source = f"{self._folders[_PACKAGES]}/{found}"
                    copies.append(Move(name=name, served=served, source=source, is_copy=True, came_in=False))
            elif served.sha256 in renames:
                copies.append(Move(name=name, served=served, source=source, is_copy=True, came_in=True))
            else:
                renames[served.sha256] = Move(name=name, served=served, source=source, is_copy=False, came_in=True)
        return (*copies, *renames.values()), lacking  # what is renamed can't be copied any more

    def _note_names(self, files: Mapping[str, Served]) -> None:
        for name, served in files.items():
            names = self._names.setdefault(served.sha256, [])
            if name not in names:
                names.append(name)

    def carry_out(self, move: Move) -> None:
        """One step. Raises IntegrityFault where the source changed under our hands."""
        tree = self._tree
        source = move.source
        if move.is_copy:
            part = tree.at.incoming / f"{move.served.sha256}.copy.part"
            self._copy(Path(source), part, move.served)
            source = str(part)
        tree.disk.rename(source, f"{self._folders[_PACKAGES]}/{move.name}")
        self._nothing_stands = False
        if tree.rotten:
            tree.rotten.discard((_PACKAGES, move.name))

    def _copy(self, source: Path, target: Path, served: Served) -> None:
        digest = hashlib.sha256()
        with source.open("rb") as original, self._tree.disk.create(target) as copy:
            while chunk := original.read(_CHUNK):
                digest.update(chunk)
                self._tree.disk.write(copy, chunk)
            keep(self._tree.disk, copy)
        if digest.hexdigest() != served.sha256:
            self._tree.disk.remove(target)
            raise IntegrityFault(
                f"{source} changed while it was being read", code="tree-damaged", hint="run the same command again"
            )

    def _check_one_content(self, name: str, served: Served) -> None:
        listed = self._listed.get(name)
        if listed is not None and listed.sha256 != served.sha256:
            raise PolicyFault(
                f"{name} has two contents: sha256 {listed.sha256} was published, "
                f"sha256 {served.sha256} is to be published",
                code="two-contents",
                hint="a file name stands for one content, for ever; give the new file another version or build tag",
            )

    def _size(self, folder: str, name: str) -> int | None:
        """The size of a regular file; None where there is none. A link is none."""
        try:
            status = os.lstat(f"{self._folders[folder]}/{name}")
        except FileNotFoundError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _hashes(self, folder: str, name: str, served: Served) -> bool:
        """Whether that file has these bytes; a right answer is remembered while the tree is open."""
        if f"{folder}/{name} {served.sha256}" in self._tree.sound:
            return True
        digest = hashlib.sha256()
        path = (self._tree.at.packages if folder == _PACKAGES else self._tree.at.incoming) / name
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != served.sha256:
            self._tree.rotten.add((folder, name))
            return False
        self._tree.sound.add(f"{folder}/{name} {served.sha256}")
        return True
