"""A tree looked at, not touched: no lock, nothing written, whatever the mode of the medium.

``current`` is read once; what follows is of that one generation, whose pages never change and whose files stay for
one generation more. So looking needs no lock, and nobody waits for one who looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pypimirror.errors import Incomplete, IntegrityFault, UsageFault
from pypimirror.tree.compose import Accepted
from pypimirror.tree.contents import Contents
from pypimirror.tree.inventory import Inventory
from pypimirror.tree.layout import MANIFEST, MARK, STABLE_LINKS, Layout
from pypimirror.tree.records import (
    current_generation,
    damaged,
    generations,
    inventory_of,
    read_accepted,
    read_before,
    read_contents,
    read_generation,
)
from pypimirror.tree.writing import telling
from pypimirror.values import dataclass

__all__ = ["View", "look"]

_LOOKS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What a tree serves. ``generation`` is 0 in a plain tree; ``shown`` is the path as a person wrote it."""

    at: Layout
    shown: str
    plain: bool
    generation: int
    contents: Contents

    @property
    def previous(self) -> Contents:
        """What was served before; it may be gone. Raises IntegrityFault, OSError."""
        if self.plain:
            return read_before(self.at, self.contents)
        older = [number for number in generations(self.at) if number < self.generation]
        return read_generation(self.at, max(older), leaving=True) if older else Contents()

    def accepted(self) -> Iterator[Accepted]:
        """The manifests that the tree is composed of. Raises IntegrityFault, OSError."""
        for each in self.contents.accepted:
            yield read_accepted(self.at.manifest(each.source.digest), each.source.digest)

    def inventory(self) -> Inventory:
        """Every file and page that is served. Raises IntegrityFault, OSError."""
        return inventory_of(self.at, self.contents)

    def previous_inventory(self) -> Inventory:
        """Those that were served before. Raises IntegrityFault, OSError."""
        return inventory_of(self.at, self.previous)

    def is_current(self) -> bool:
        """Whether this is still what is served. Raises IntegrityFault, OSError."""
        if self.plain:
            return read_contents(self.at.root / MANIFEST) == self.contents
        return current_generation(self.at) == self.generation


def look(path: Path) -> View:
    """Look at the tree at *path*.

    Raises UsageFault (``not-a-tree``) where *path* is none, Incomplete (``nothing-published``) where nothing is served
    yet, IntegrityFault (``tree-damaged``) where its records can't be trusted, DiskFault.
    """
    shown = str(path)
    at = Layout(Path(os.path.realpath(path)))
    with telling(f"reading {shown}"):
        if not at.root.is_dir() or not at.mark.is_dir():
            raise _not_ours(at.root, shown)
        plain = at.plain_mark.exists()
        number, contents = (0, read_contents(at.root / MANIFEST, missing_ok=True)) if plain else _served(at)
        if plain and not contents.is_published and at.previous_contents.exists():
            raise damaged(at.root / MANIFEST, "it is gone, though something was published")
    if not contents.is_published:
        raise Incomplete(
            f"{shown} is a tree in which nothing is published yet",
            code="nothing-published",
            hint="render a bundle into it",
        )
    return View(at=at, shown=shown, plain=plain, generation=number, contents=contents)


def _served(at: Layout) -> tuple[int, Contents]:
    """The generation that is served. One that was published over twice between two looks is gone: look again."""
    for _ in range(_LOOKS - 1):
        number = current_generation(at)
        try:
            return number, read_generation(at, number)
        except IntegrityFault:
            if current_generation(at) == number:
                raise
    number = current_generation(at)
    return number, read_generation(at, number)


def _not_ours(root: Path, shown: str) -> UsageFault:
    if not root.exists():
        return UsageFault(f"there is no {shown}", code="not-a-tree", hint="check the path")
    if not root.is_dir():
        return UsageFault(f"{shown} is not a folder", code="not-a-tree", hint="check the path")
    hint = "name the folder that was rendered into"
    if any((root / path).is_symlink() and str((root / path).readlink()) == text for path, text in STABLE_LINKS.items()):
        hint = f"it was one: bring back its {MARK}, which a copy without hidden files leaves out, or render it anew"
    elif (root / MANIFEST).is_file() and (root / "simple").is_dir():
        hint = (
            "if it was unpacked from a bundle, check it with 'sha256sum --check SHA256SUMS' in it, or verify the .tar"
        )
    return UsageFault(f"{shown} is no tree of ours: it has no {MARK} in it", code="not-a-tree", hint=hint)
