"""What the parts of a manifest must be to one another. Raises Malformed, whose text names the part at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

from pypimirror.model.manifest import BundledFile, Manifest
from pypimirror.model.manifest_lists import Roll
from pypimirror.model.names import FileName, NormalizedName, Version
from pypimirror.model.reading import Malformed

__all__ = ["check_references", "check_withdrawn"]

_REMEMBERED = 16_384  # files
_Find: TypeAlias = "Callable[[FileName], BundledFile | None]"


def check_references(manifest: Manifest, roll: Roll | None = None) -> None:
    """Names are unique, lists are sorted, and whatever is referred to is there.

    *roll* was made of the files, and tells that they are in order; without it, all of it is looked at here.
    """
    targets = _unique("targets", (target.name for target in manifest.targets))
    sets = _unique("sets", (each.name for each in manifest.sets))
    find, projects = _looked_at(manifest) if roll is None else _rolled(manifest, roll)
    _ascending("projects", [project.name for project in manifest.projects])
    members = [member.path for member in manifest.members]
    _ascending("members", members)
    paths = _unique("members", (path.casefold() for path in members))
    for path in paths:
        if any("/".join(path.split("/")[:depth]) in paths for depth in range(1, path.count("/") + 1)):
            raise Malformed("members", f"{path!r} lies in what is no folder")
    if projects != {project.name for project in manifest.projects}:
        raise Malformed("projects", "not the projects of the files")
    for i, each in enumerate(manifest.sets):
        if each.builds is not None and (find(each.builds) is None or each.builds.endswith(".whl")):
            raise Malformed(f"sets[{i}].builds", f"{each.builds!r} is no sdist that is there")
    for i, resolution in enumerate(manifest.resolutions):
        where = f"resolutions[{i}]"
        if resolution.set not in sets or resolution.target not in targets:
            raise Malformed(where, "names a set or a target that is not there")
        _ascending(f"{where}.pins", [pin.project for pin in resolution.pins])
        for pin in resolution.pins:
            file = find(pin.file)
            if file is None or (file.project, file.version) != (pin.project, pin.version):
                raise Malformed(where, f"pins {pin.project} to a file that is not there")


def _looked_at(manifest: Manifest) -> tuple[_Find, set[NormalizedName]]:
    """What finds files by their names, and their projects."""
    _ascending("files", [file.filename for file in manifest.files])
    _unique("files", (file.filename.casefold() for file in manifest.files))
    return {file.filename: file for file in manifest.files}.get, {file.project for file in manifest.files}


def _rolled(manifest: Manifest, roll: Roll) -> tuple[_Find, set[NormalizedName]]:
    def find(name: FileName) -> BundledFile | None:
        place = roll.find(name)
        return None if place is None else manifest.files[place]

    return lru_cache(maxsize=_REMEMBERED)(find), set(roll.by_project)  # most pins stand in several resolutions


def check_withdrawn(manifest: Manifest) -> None:
    """A bundle takes back what older ones had, not what it has."""
    taken_back = [(each.project, each.version) for each in manifest.withdrawn]
    _ascending("withdrawn", taken_back)
    if taken_back and not set(taken_back).isdisjoint((file.project, file.version) for file in manifest.files):
        raise Malformed("withdrawn", "a version that the bundle itself has")


def _unique(where: str, names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Malformed(where, f"{name!r} stands twice")
        seen.add(name)
    return seen


def _ascending(where: str, names: Sequence[str] | Sequence[tuple[str, Version]]) -> None:
    for first, second in pairwise(names):
        if not first < second:  # type: ignore[operator]  # both of one kind
            raise Malformed(where, f"{second!r} is out of order")
