"""Plan + verified files -> manifest. Pure: here the URLs end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from packaging.specifiers import SpecifierSet

from pypimirror.errors import PolicyFault
from pypimirror.model.files import ProjectStatus
from pypimirror.model.manifest import (
    BuildRecord,
    BundledFile,
    BundledProject,
    BundledSet,
    Manifest,
    Member,
    Sidecar,
    WithdrawnVersion,
    WrittenRequirement,
)
from pypimirror.model.names import Label, NormalizedName, Sha256, sha256_of_hex
from pypimirror.model.plan import Plan, VerifiedFile
from pypimirror.model.requests import Constraint, Root, WishSet

__all__ = ["make_manifest", "with_members"]


def make_manifest(
    plan: Plan,
    verified: Sequence[VerifiedFile],
    *,
    channel: Label,
    sequence: int,
    tool: str,
    built: tuple[BuildRecord, ...] = (),
    withdrawn: Sequence[WithdrawnVersion] = (),
) -> Manifest:
    """The manifest of a full bundle, without its pages: ``with_members`` adds those.

    Raises PolicyFault (``withdrawn-version``) where it would hold a version that it takes back.
    """
    taken_back = {(each.project, each.version): each for each in withdrawn}
    for file in verified:
        listed = file.planned.listed.name
        if (listed.project, listed.version) in taken_back:
            raise PolicyFault(
                f"{listed.filename} is of {listed.project} {listed.version}, which this bundle withdraws",
                code="withdrawn-version",
                hint="ask for another version, or leave --withdraw out",
            )
    statuses = dict(plan.statuses)
    files = tuple(sorted((_bundled(file) for file in verified), key=lambda file: file.filename))
    projects = sorted({file.project for file in files})
    return Manifest(
        channel=channel,
        sequence=sequence,
        tool=tool,
        targets=plan.targets,
        sets=tuple(map(_bundled_set, plan.sets)),
        resolutions=tuple(
            replace(each, pins=tuple(replace(pin, passed_over=()) for pin in each.pins)) for each in plan.resolutions
        ),
        uncovered=plan.uncovered,
        files=files,
        projects=tuple(_bundled_project(name, statuses.get(name, ProjectStatus())) for name in projects),
        built=built,
        withdrawn=tuple(taken_back[key] for key in sorted(taken_back)),
    )


def with_members(manifest: Manifest, members: Mapping[str, bytes]) -> Manifest:
    """The manifest with its other members listed: pages, README."""
    return replace(
        manifest,
        members=tuple(
            Member(path=path, size=len(data), sha256=Sha256(hashlib.sha256(data).hexdigest()))
            for path, data in sorted(members.items())
        ),
    )


def _bundled_project(name: NormalizedName, said: ProjectStatus) -> BundledProject:
    return BundledProject(
        name=name,
        status=said.status,
        reason=said.reason,
        tracks=said.tracks,
        alternate_locations=said.alternate_locations,
    )


def _bundled(file: VerifiedFile) -> BundledFile:
    listed, metadata = file.planned.listed, file.planned.metadata
    return BundledFile(
        filename=listed.name.filename,
        project=listed.name.project,
        version=listed.name.version,
        sha256=sha256_of_hex(file.sha256),
        size=file.size,
        requires_python=_requires_python(listed.requires_python, metadata.requires_python),
        requires_dist=metadata.requires_dist,
        provides_extra=metadata.provides_extra,
        yanked=listed.yanked,
        upload_time=listed.upload_time,
        metadata=_sidecar(file.metadata_sha256, file.metadata_size),
        index=listed.index,
        index_hash=file.index_hash,
        build_requires=metadata.build_requires,
        languages=metadata.languages,
        learnt_from=metadata.learnt_from,
        provenance=_sidecar(file.provenance_sha256, file.provenance_size),
    )


def _sidecar(sha256: str | None, size: int | None) -> Sidecar | None:
    return None if sha256 is None or size is None else Sidecar(sha256=sha256_of_hex(sha256), size=size)


def _requires_python(said: str | None, inside: str | None) -> str | None:
    """What the index says, and what is inside where that is something else: the plan was made from both."""
    if said is None or inside is None or said == inside or SpecifierSet(said) == SpecifierSet(inside):
        return said or inside
    return f"{said},{inside}"


def _bundled_set(wishes: WishSet) -> BundledSet:
    return BundledSet(
        name=wishes.name,
        roots=_written(wishes.roots),
        constraints=_written(wishes.constraints),
        prereleases=wishes.policy.prereleases,
        only_binary=tuple(sorted(wishes.policy.formats.only_binary)),
        no_binary=tuple(sorted(wishes.policy.formats.no_binary)),
        prefer_binary=wishes.policy.prefer_binary,
        builds=wishes.builds,
    )


def _written(several: Iterable[Root | Constraint]) -> tuple[WrittenRequirement, ...]:
    return tuple(
        WrittenRequirement(
            requirement=str(each.requirement),
            origin=str(each.origin),
            hashes=tuple(sorted(f"{algorithm}:{digest}" for algorithm, digest in each.hashes)),
            filename=each.direct.name.filename if each.direct is not None else None,
        )
        for each in several
    )
