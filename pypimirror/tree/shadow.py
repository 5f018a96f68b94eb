"""What a change of a tree takes from clients' sight, and which sets can't be installed then; known beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from pypimirror.errors import Incomplete
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Label, NormalizedName, Sha256, Version
from pypimirror.model.plan import Pin
from pypimirror.tree.compose import Accepted, Layers, compose_project
from pypimirror.tree.folder import Tree
from pypimirror.tree.hiding import hidden_versions, why_absent
from pypimirror.tree.revise import Revision, rules_of
from pypimirror.tree.served_index import ServedIndex
from pypimirror.values import dataclass

__all__ = ["Hidden", "Shadow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """Versions of one project, by channel, that clients saw, and that the added files hide from them.

    ``sets`` pin one of them, as (set, target); ``broken`` tells which of these can't be installed any more, and why.
    """

    project: NormalizedName
    versions: dict[Label, tuple[Version, ...]]
    sets: tuple[tuple[Label, Label], ...] = ()
    broken: tuple[Incomplete, ...] = ()


class Shadow:
    """What *revision* hides in *tree*. *load* reads accepted manifests. Methods raise what that raises, and OSError."""

    def __init__(self, tree: Tree, revision: Revision, load: Callable[[Sha256], Accepted]) -> None:
        self._tree = tree
        self._revision = revision
        self._load = load

    def hidden(self) -> Iterator[Hidden]:
        """Each project of which clients see less for it."""
        before = rules_of(self._tree.contents)
        for name, each in self._revision.projects.items():
            old = None if each.before is None else compose_project(name, each.before.slices, before)
            versions = hidden_versions(old, each.layers)
            if versions:
                yield self._told(name, versions)

    def _told(self, name: NormalizedName, versions: dict[Label, tuple[Version, ...]]) -> Hidden:
        """With the sets that pin a hidden version, solved again. Only bundles that have the project are read."""
        gone = {version for several in versions.values() for version in several}
        sets: dict[tuple[Label, Label], None] = {}
        broken: list[Incomplete] = []
        solved = {each.source.digest for each in self._revision.contents.accepted if each.resolutions}
        sources = {part.source.digest: None for part in self._revision.projects[name].slices}
        for digest in sources:
            if digest not in solved:
                continue
            manifest = self._load(digest).manifest
            pinning = [
                each
                for each in manifest.resolutions
                if any(pin.project == name and pin.version in gone for pin in each.pins)
            ]
            sets.update(dict.fromkeys((each.set, each.target) for each in pinning))
            broken += self._solve(dataclasses.replace(manifest, resolutions=tuple(pinning)), name)
        return Hidden(project=name, versions=versions, sets=tuple(sets), broken=tuple(broken))

    def _solve(self, manifest: Manifest, about: NormalizedName) -> Sequence[Incomplete]:
        from pypimirror.resolve.proof import check  # noqa: PLC0415 - most additions hide nothing

        return check(manifest, ServedIndex(self.layers), absent=self._why_absent, about={about}).faults

    def _why_absent(self, pin: Pin) -> str:
        return why_absent(pin, self.layers(pin.project))

    def layers(self, name: NormalizedName) -> Layers | None:
        """A project as it will be."""
        if (revised := self._revision.projects.get(name)) is not None:
            return revised.layers
        entry = self._tree.entry(name)
        return None if entry is None else compose_project(name, entry.slices, self._revision.rules)
