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
from dataclasses import dataclass
from pathlib import Path

from pypimirror.errors import IntegrityFault, PolicyFault
from pypimirror.model.names import NormalizedName, Sha256
from pypimirror.tree.contents import Served
from pypimirror.tree.folder import Tree
from pypimirror.tree.writing import keep

__all__ = ["Missing", "Move", "Stock"]

_CHUNK = 1 << 20
_MANY = 1000  # names, from which listing the folders once is less than asking for each
_PACKAGES, _INCOMING = "packages", "incoming"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A file, or a metadata sibling, that a bundle lists and nothing brought yet. ``name`` as in ``packages/``."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One step of stocking ``packages/``."""

    name: str
    served: Served
    source: Path
    is_copy: bool


class Stock:
    """The bytes that one open tree has of some projects; methods raise OSError.

    Only files that are asked for are looked at, so that the cost follows what changes, not what there is.
    """

    def __init__(self, tree: Tree, projects: Iterable[NormalizedName]) -> None:
        self._tree = tree
        self._listed = tree.listed(projects)
        self._names: dict[Sha256, list[str]] = {}
        self._note_names(self._listed)
        self._folders = {_PACKAGES: str(tree.at.packages), _INCOMING: str(tree.at.incoming)}
        self._sizes: dict[tuple[str, str], int | None] = {}
        self._present: dict[str, set[str]] = {}
        self._all_noted = False

    def listed(self, name: str) -> Served | None:
        """What this state of the tree or the one before it has under that name."""
        return self._listed.get(name)

    def stands(self, name: str, served: Served, *, hashed: bool = False) -> bool:
        """Whether ``packages/name`` is there with these bytes. With *hashed* its size alone is never enough."""
        if self._size(_PACKAGES, name) != served.size or (_PACKAGES, name) in self._tree.rotten:
            return False
        if not hashed and self._listed.get(name) == served:
            return True
        return self._hashes(_PACKAGES, name, served)

    def came_in(self, served: Served) -> bool:
        """Whether ``incoming/`` has these bytes."""
        if self._size(_INCOMING, served.sha256) != served.size:
            return False
        return self._hashes(_INCOMING, served.sha256, served)

    def take_note(self, served: Served) -> None:
        """These bytes were just written to ``incoming/``, and verified."""
        self._sizes[_INCOMING, served.sha256] = served.size
        self._vouch(_INCOMING, served.sha256)

    def elsewhere(self, served: Served) -> Path | None:
        """The path of these bytes under another name: one that is published, or one that is wanted."""
        for name in sorted(self._names.get(served.sha256, ())):
            if self.stands(name, served, hashed=True):
                return self._tree.at.packages / name
        return None

    def to_come(self, wanted: Mapping[str, Served]) -> dict[str, Served]:
        """What of *wanted* is not at hand under its own name, or in ``incoming/``, or with the same projects."""
        self._note_names(wanted)  # a run that was cut short may have taken the only copy there
        if len(wanted) > _MANY and not self._present:
            self._present = {folder: set(os.listdir(path)) for folder, path in self._folders.items()}  # noqa: PTH208 - names alone
        return {
            name: served
            for name, served in sorted(wanted.items())
            if not (self.stands(name, served) or self.came_in(served) or self.elsewhere(served))
        }

    def missing(self, wanted: Mapping[str, Served]) -> tuple[Missing, ...]:
        """What of *wanted* can be had from nowhere, by name. Only for what lacks, every project is looked through."""
        lacking = self.to_come(wanted)
        if lacking and not self._all_noted:
            self._all_noted = True
            self._note_names(self._tree.listed_of_all())
        return tuple(
            Missing(name=name, size=served.size)
            for name, served in lacking.items()
            if not (self._all_noted and self.elsewhere(served))
        )

    def moves(self, wanted: Mapping[str, Served]) -> tuple[Move, ...]:
        """The steps after which ``packages/`` holds all of *wanted*; nothing of it may be missing.

        Raises PolicyFault where a name is still published, or was a moment ago, with other bytes.
        """
        self._note_names(wanted)
        copies: list[Move] = []
        renames: dict[Sha256, Move] = {}
        for name, served in sorted(wanted.items()):
            self._check_one_content(name, served)
            if self.stands(name, served):
                continue
            source = self._tree.at.incoming_file(served.sha256)
            if not self.came_in(served):
                elsewhere = self.elsewhere(served)
                if elsewhere is None:
                    raise IntegrityFault(f"{name} vanished from {self._tree.shown}", code="tree-damaged")
                copies.append(Move(name=name, served=served, source=elsewhere, is_copy=True))
            elif served.sha256 in renames:
                copies.append(Move(name=name, served=served, source=source, is_copy=True))
            else:
                renames[served.sha256] = Move(name=name, served=served, source=source, is_copy=False)
        return (*copies, *renames.values())  # what is renamed can't be copied any more

    def _note_names(self, files: Mapping[str, Served]) -> None:
        for name, served in files.items():
            names = self._names.setdefault(served.sha256, [])
            if name not in names:
                names.append(name)

    def carry_out(self, move: Move) -> None:
        """One step. Raises IntegrityFault where the source changed under our hands."""
        tree = self._tree
        target = tree.at.packages / move.name
        source = move.source
        if move.is_copy:
            source = tree.at.incoming / f"{move.served.sha256}.copy.part"
            self._copy(move.source, source, move.served)
        else:
            self._sizes[_INCOMING, move.served.sha256] = None
        tree.disk.rename(source, target)
        self._sizes[_PACKAGES, move.name] = move.served.size
        self._vouch(_PACKAGES, move.name)

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
            return self._sizes[folder, name]
        except KeyError:
            pass
        present = self._present.get(folder)
        if present is not None and name not in present:
            return None  # not kept in mind: what is written later is noted
        try:
            status = os.lstat(f"{self._folders[folder]}/{name}")
        except FileNotFoundError:
            size = None
        else:
            size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._sizes[folder, name] = size
        return size

    def _hashes(self, folder: str, name: str, served: Served) -> bool:
        """Whether that file has these bytes; a right answer is remembered while the tree is open."""
        if (folder, name) in self._tree.sound:
            return True
        digest = hashlib.sha256()
        path = (self._tree.at.packages if folder == _PACKAGES else self._tree.at.incoming) / name
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != served.sha256:
            self._tree.rotten.add((folder, name))
            return False
        self._tree.sound.add((folder, name))
        return True

    def _vouch(self, folder: str, name: str) -> None:
        self._tree.rotten.discard((folder, name))
        self._tree.sound.add((folder, name))
