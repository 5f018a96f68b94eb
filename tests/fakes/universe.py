"""A real index in memory: the port, implemented over a small universe of projects that tests write down.

    universe = Universe()
    universe.add("flask", "3.0", requires=["werkzeug>=3"], requires_python=">=3.8")
    universe.add("numpy", "2.0", files=["cp312-cp312-win_amd64", "sdist"])

It can be changed by assignment between questions, and records every question in ``asked``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from packaging.utils import canonicalize_name

from pypimirror.errors import PypimirrorError, ResolutionFault
from pypimirror.model.files import CoreMetadata, ListedFile, Listing, ProjectStatus
from pypimirror.model.names import NormalizedName, parse_file_name, parse_version


@dataclass(kw_only=True)
class Release:
    """One version: its files by tag (``sdist`` for a source distribution) and its metadata."""

    files: list[ListedFile]
    metadata: CoreMetadata
    static: bool = True


@dataclass
class Universe:
    """Projects by name; ``faults`` are raised when a project is asked for; ``direct`` are files of no project."""

    projects: dict[NormalizedName, dict[str, Release]] = field(default_factory=dict)
    statuses: dict[NormalizedName, ProjectStatus] = field(default_factory=dict)
    also_on: dict[NormalizedName, tuple[str, ...]] = field(default_factory=dict)
    faults: dict[NormalizedName, PypimirrorError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    expected: set[NormalizedName] = field(default_factory=set)
    direct: dict[str, CoreMetadata] = field(default_factory=dict)

    def add(
        self,
        project: str,
        version: str,
        *,
        files: Sequence[str] = ("py3-none-any",),
        requires: Sequence[str] = (),
        extras: Sequence[str] = (),
        requires_python: str | None = None,
        metadata_python: str | None = None,
        yanked: str | None = None,
        hashes: Sequence[str] = ("sha256",),
        upload_time: str | None = None,
        static: bool = True,
        build: str = "",
        build_requires: Sequence[str] = (),
    ) -> None:
        """Add a version, or more files to it. *metadata_python* is what only the file's own metadata says.

        *build* is the wheels' build tag; *build_requires* is what building the sdist takes.
        """
        name = canonicalize_name(project)
        listed = [
            _file(
                project, version, tag, build, hashes, requires_python=requires_python, yanked=yanked, time=upload_time
            )
            for tag in files
        ]
        metadata = CoreMetadata(
            project=name,
            version=parse_version(version),
            requires_dist=tuple(requires),
            provides_extra=tuple(extras) or _extras_of(requires),
            requires_python=metadata_python or requires_python,
            build_requires=tuple(build_requires),
        )
        release = self.projects.setdefault(name, {}).setdefault(version, Release(files=[], metadata=metadata))
        release.files += listed
        release.static = release.static and static

    # ---- the port -------------------------------------------------------------------------------------------------

    def listing(self, project: NormalizedName) -> Listing | None:
        self.asked.append(f"listing {project}")
        if project in self.faults:
            raise self.faults[project]
        if project not in self.projects:
            return None
        return Listing(
            project=project,
            index="index.example",
            files=tuple(file for release in self.projects[project].values() for file in release.files),
            status=self.statuses.get(project, ProjectStatus()),
            also_on=self.also_on.get(project, ()),
        )

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        self.asked.append(f"metadata {file.name.filename}")
        if file.name.filename in self.direct:
            return self.direct[file.name.filename]
        for release in self.projects[file.name.project].values():
            if file in release.files:
                if not file.name.is_wheel and not release.static:
                    raise ResolutionFault(
                        f"the metadata of {file.name.filename} is not static", code="metadata-not-static"
                    )
                return replace(release.metadata, build_requires=None) if file.name.is_wheel else release.metadata
        raise AssertionError(f"never listed: {file.name.filename}")

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        self.expected.update(projects)


def _file(
    project: str,
    version: str,
    tag: str,
    build: str,
    hashes: Sequence[str],
    *,
    requires_python: str | None,
    yanked: str | None,
    time: str | None,
) -> ListedFile:
    stem = f"{project.replace('-', '_')}-{version}"
    filename = f"{stem}.tar.gz" if tag == "sdist" else f"{stem}{'-' + build if build else ''}-{tag}.whl"
    return ListedFile(
        name=parse_file_name(filename, project=canonicalize_name(project)),
        url=f"https://files.example/{filename}",
        hashes=tuple((algorithm, hashlib.new(algorithm, filename.encode()).hexdigest()) for algorithm in hashes),
        size=len(filename),
        requires_python=requires_python,
        yanked=yanked,
        upload_time=time,
        index="index.example",
    )


def _extras_of(requires: Iterable[str]) -> tuple[str, ...]:
    """The extras that requirements name in their markers."""
    found = []
    for text in requires:
        _, _, rest = text.partition("extra ==")
        name = rest.strip().strip("'\" )")
        if name and name not in found:
            found.append(name)
    return tuple(found)
