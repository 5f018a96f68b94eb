"""What the parts of a manifest must be to one another. Raises Malformed, whose text names the part at fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Version
from pypimirror.model.reading import Malformed

__all__ = ["check_references", "check_withdrawn"]


def check_references(manifest: Manifest) -> None:
    """Names are unique, lists are sorted, and whatever is referred to is there."""
    targets = _unique("targets", (target.name for target in manifest.targets))
    sets = _unique("sets", (each.name for each in manifest.sets))
    files = {file.filename: file for file in manifest.files}
    _ascending("files", [file.filename for file in manifest.files])
    _unique("files", (file.filename.casefold() for file in manifest.files))
    _ascending("projects", [project.name for project in manifest.projects])
    _ascending("members", [member.path for member in manifest.members])
    paths = _unique("members", (member.path.casefold() for member in manifest.members))
    for path in paths:
        if any("/".join(path.split("/")[:depth]) in paths for depth in range(1, path.count("/") + 1)):
            raise Malformed("members", f"{path!r} lies in what is no folder")
    if {file.project for file in manifest.files} != {project.name for project in manifest.projects}:
        raise Malformed("projects", "not the projects of the files")
    for i, each in enumerate(manifest.sets):
        if each.builds is not None and (each.builds not in files or each.builds.endswith(".whl")):
            raise Malformed(f"sets[{i}].builds", f"{each.builds!r} is no sdist that is there")
    for i, resolution in enumerate(manifest.resolutions):
        where = f"resolutions[{i}]"
        if resolution.set not in sets or resolution.target not in targets:
            raise Malformed(where, "names a set or a target that is not there")
        _ascending(f"{where}.pins", [pin.project for pin in resolution.pins])
        for pin in resolution.pins:
            file = files.get(pin.file)
            if file is None or (file.project, file.version) != (pin.project, pin.version):
                raise Malformed(where, f"pins {pin.project} to a file that is not there")


def check_withdrawn(manifest: Manifest) -> None:
    """A bundle takes back what older ones had, not what it has."""
    taken_back = [(each.project, each.version) for each in manifest.withdrawn]
    _ascending("withdrawn", taken_back)
    if taken_back and not {(file.project, file.version) for file in manifest.files}.isdisjoint(taken_back):
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
