"""Wheels built ahead: an index in which sdists that were built here have a wheel beside them.

A plan is made, its sdists are built, and it is made again: the resolver prefers the wheel where a target admits it, and
what building took is not wanted any more. Tags are not invented: a wheel keeps what its backend gave it, and one that
wants more of the C library than a target promises is not offered at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pypimirror.build.index import BuildingIndex
from pypimirror.disk import disk_fault
from pypimirror.errors import ResolutionFault
from pypimirror.index import wheel
from pypimirror.index.linkage import Floor, Linkage, linkage
from pypimirror.index.metadata import parse_core_metadata
from pypimirror.model.files import CoreMetadata, ListedFile, Listing
from pypimirror.model.names import NormalizedName, ParsedName, parse_file_name
from pypimirror.model.plan import Plan
from pypimirror.model.requests import Consent, Root
from pypimirror.model.targets import Target

__all__ = ["BUILT_HERE", "AheadIndex"]

BUILT_HERE = "built here"
"""The name of the index that such a wheel comes from."""

_CHUNK = 1 << 20
_MANYLINUX = re.compile(r"manylinux_([0-9]+)_([0-9]+)_")


class AheadIndex:
    """*inner* with wheels of the sdists that ``build`` was given; they are kept in *folder*, which must outlive it."""

    def __init__(self, inner: BuildingIndex, *, consent: Consent, host: Target, folder: Path) -> None:
        self.notes: list[str] = []
        self._inner = inner
        self._consent = consent
        self._host = host
        self._folder = folder
        self._tried: set[tuple[str, str]] = set()
        self._built: dict[NormalizedName, dict[ListedFile, CoreMetadata]] = {}

    def build(self, plan: Plan) -> bool:
        """Build the sdists that a person's sets install, and that were not tried yet. False where there are none.

        Raises ResolutionFault: ``build-not-allowed``, and what building raises.
        """
        asked = {each.name for each in plan.sets if each.builds is None}
        pinned = {pin.file for each in plan.resolutions if each.set in asked for pin in each.pins}
        waiting = [
            file.listed
            for file in plan.files
            if not file.listed.name.is_wheel
            and file.filename in pinned
            and (file.filename, file.listed.url) not in self._tried
        ]
        for file in waiting:
            if not self._consent.may_build(file.name.project):
                raise ResolutionFault(
                    f"--build-wheels would run the code of {file.name.filename}",
                    code="build-not-allowed",
                    hint=f"allow it: --allow-build {file.name.project}",
                )
        for file in waiting:
            self._tried.add((file.name.filename, file.url))
            self._offer(file, plan.targets)
        return bool(waiting)

    def built_root(self, root: Root, targets: Iterable[Target]) -> Root:
        """A root that names a source tree, with the wheel that was built of it in its place.

        That it may be built was asked before. Raises ResolutionFault: ``build-unfit`` where a target can't have the
        wheel, and what building raises.
        """
        if root.source is None:
            return root
        project = canonicalize_name(root.requirement.name)
        path = self._inner.build_tree(root.source, project, self._folder)
        name = parse_file_name(path.name, project=project)
        listed, _, needs = _looked_at(path, name)
        unfit = [each.name for each in targets if not _fits(needs, name, each, self._host)]
        if unfit:
            raise ResolutionFault(
                f"{root.requirement.name}: {name.filename} was built of {root.source}, and can't be used on "
                f"{', '.join(unfit)}: {_more(needs)} is not promised there",
                code="build-unfit",
                hint="build it on a machine like the target, and name the wheel by its path",
            )
        requirement = Requirement(f"{root.requirement.name}==={name.version}")
        requirement.extras, requirement.marker = root.requirement.extras, root.requirement.marker
        return replace(root, requirement=requirement, direct=listed, source=None)

    def _offer(self, file: ListedFile, targets: Iterable[Target]) -> None:
        path = self._inner.wheel(file, self._folder)
        name = parse_file_name(path.name, project=file.name.project)
        listed, metadata, needs = _looked_at(path, name)
        unfit = [each.name for each in targets if not _fits(needs, name, each, self._host)]
        if unfit:
            self.notes.append(
                f"{name.filename} was built of {file.name.filename}, and left out: it needs {_more(needs)}, which "
                f"{', '.join(unfit)} does not promise; the sdist goes in its place"
            )
            return
        # What the index says of the version holds for the wheel as well.
        listed = replace(listed, yanked=file.yanked, upload_time=file.upload_time)
        self._built.setdefault(file.name.project, {})[listed] = metadata

    def listing(self, project: NormalizedName) -> Listing | None:
        found = self._inner.listing(project)
        built = self._built.get(project)
        if found is None or not built:
            return found
        return replace(found, files=(*built, *found.files))

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        """As the port says."""
        built = self._built.get(file.name.project, {}).get(file)
        return built if built is not None else self._inner.core_metadata(file)

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        self._inner.expect(projects)


def _more(needs: Linkage) -> str:
    """What a wheel needs beyond what every Linux has."""
    return ", ".join(needs.outside) or (f"glibc {needs.floor[0]}.{needs.floor[1]}" if needs.floor else "more")


def _looked_at(path: Path, name: ParsedName) -> tuple[ListedFile, CoreMetadata, Linkage]:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
            metadata = parse_core_metadata(wheel.gate(file, name=name), filename=name)
            needs = linkage(file, name=name)
            size = path.stat().st_size
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from None
    listed = ListedFile(
        name=name,
        url=path.as_uri(),
        hashes=(("sha256", digest.hexdigest()),),
        size=size,
        requires_python=metadata.requires_python,
        index=BUILT_HERE,
    )
    return listed, metadata, needs


def _fits(needs: Linkage, name: ParsedName, target: Target, host: Target) -> bool:
    """Whether *target* may have the wheel: it takes it not anyway, is as this host, or promises what it needs."""
    if needs.is_pure or target.tags == host.tags or not set(name.tags()) & set(target.tags):
        return True
    floor = _floor(target)
    return floor is not None and needs.fits(floor)


def _floor(target: Target) -> Floor | None:
    """The glibc that a target promises; None where it has none."""
    floors = (_MANYLINUX.search(tag) for tag in target.tags)
    return max(((int(match[1]), int(match[2])) for match in floors if match), default=None)
