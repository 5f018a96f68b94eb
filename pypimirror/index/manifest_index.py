"""Bundled files as an index: the same port, so that the same resolver answers "does this bundle install?"."""

from __future__ import annotations

from collections.abc import Iterable

from pypimirror.model.files import CoreMetadata, ListedFile, Listing, ProjectStatus
from pypimirror.model.manifest import BundledFile, BundledProject
from pypimirror.model.names import NormalizedName, parse_file_name

__all__ = ["ManifestIndex", "listed"]


class ManifestIndex:
    """What manifests list: those *files*, and what the indexes they came from say of their *projects*."""

    def __init__(self, files: Iterable[BundledFile], projects: Iterable[BundledProject]) -> None:
        self._files: dict[NormalizedName, list[BundledFile]] = {}
        self._by_name: dict[str, BundledFile] = {}
        for file in files:
            self._files.setdefault(file.project, []).append(file)
            self._by_name[file.filename] = file
        self._statuses = {
            project.name: ProjectStatus(
                status=project.status,
                reason=project.reason,
                tracks=project.tracks,
                alternate_locations=project.alternate_locations,
            )
            for project in projects
        }

    def listing(self, project: NormalizedName) -> Listing | None:
        files = self._files.get(project)
        if files is None:
            return None
        return Listing(
            project=project,
            index=files[0].index,
            files=tuple(listed(file) for file in files),
            status=self._statuses.get(project, ProjectStatus()),
        )

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        bundled = self._by_name[file.name.filename]
        return CoreMetadata(
            project=bundled.project,
            version=bundled.version,
            requires_dist=bundled.requires_dist,
            provides_extra=bundled.provides_extra,
            requires_python=bundled.requires_python,
            build_requires=bundled.build_requires,
            languages=bundled.languages,
            learnt_from=bundled.learnt_from,
        )

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        """Nothing to work ahead for: everything is here."""


def listed(file: BundledFile) -> ListedFile:
    """A bundled file as a listing shows it."""
    return ListedFile(
        name=parse_file_name(file.filename, project=file.project),
        url="",
        hashes=(("sha256", file.sha256),),
        size=file.size,
        requires_python=file.requires_python,
        yanked=file.yanked,
        upload_time=file.upload_time,
        index=file.index,
    )
