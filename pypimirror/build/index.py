"""The port of ``index.port``, with builds: what no text of an sdist tells, its backend is asked, where that is allowed.

To ask a backend takes an environment with what it requires; that is resolved for this host, by the resolver and from
the index that all else comes from, and hashed like all else. A build requirement that is an sdist is built first.
What hooks answer holds for this host: markers in it are judged for the target all the same, since they stay markers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pypimirror.build.builder import Builder
from pypimirror.build.checkout import checked_out
from pypimirror.build.source import Source, read_backend
from pypimirror.disk import disk_fault
from pypimirror.errors import ResolutionFault
from pypimirror.index import sdist
from pypimirror.index.metadata import parse_core_metadata
from pypimirror.index.port import Index
from pypimirror.model.files import CoreMetadata, ListedFile, Listing
from pypimirror.model.names import FileName, NormalizedName
from pypimirror.model.requests import Consent, Constraint, SourceTree
from pypimirror.model.targets import Target
from pypimirror.resolve.answers import Answer
from pypimirror.resolve.builds import solve_environment

__all__ = ["BuildingIndex"]


class BuildingIndex:
    """An index that builds where *consent* allows it; else it is *inner*. Not for threads; answers are remembered.

    *files* gives the path of a file, its hash verified; *host* is this interpreter as a target, *constraints* bound
    what builds take.
    """

    def __init__(
        self,
        inner: Index,
        *,
        builder: Builder,
        files: Callable[[ListedFile], Path],
        consent: Consent,
        host: Target,
        constraints: tuple[Constraint, ...] = (),
    ) -> None:
        self._inner = inner
        self._builder = builder
        self._files = files
        self._consent = consent
        self._host = host
        self._constraints = constraints
        self._learnt: dict[tuple[FileName, str], CoreMetadata] = {}
        self._asking: list[FileName] = []

    def listing(self, project: NormalizedName) -> Listing | None:
        return self._inner.listing(project)

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        self._inner.expect(projects)

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        """As the port says; and what building raises (ResolutionFault)."""
        if file.name.is_wheel or not self._consent.may_build(file.name.project):
            return self._inner.core_metadata(file)
        key = (file.name.filename, file.url)
        learnt = self._learnt.get(key)
        if learnt is None:
            with self._once(file):
                learnt = self._learnt[key] = self._learn(file)
        return learnt

    @contextmanager
    def _once(self, file: ListedFile) -> Iterator[None]:
        """Whoever must be built to be built itself never ends."""
        name = file.name.filename
        if name in self._asking:
            circle = " is built with ".join([*self._asking[self._asking.index(name) :], name])
            raise ResolutionFault(
                f"{name} is needed to build itself: {circle}",
                code="build-cycle",
                hint="take a wheel of one of them: --only-binary, or bound it with --build-constraint",
            )
        self._asking.append(name)
        try:
            yield
        finally:
            self._asking.pop()

    def _learn(self, file: ListedFile) -> CoreMetadata:
        """What the texts tell, completed by what the backend tells."""
        path = self._files(file)
        try:
            with path.open("rb") as source:
                texts = sdist.read_metadata(source, file.name)
        except OSError as error:
            raise disk_fault(error, f"reading {path}") from None
        with self.environment(file.name.filename, file.name.project, texts.build_requires) as wheels:
            source_of = Source.of_sdist(path, file.name)
            more = self._builder.requires_for_wheel(source_of, wheels)
            build_requires = tuple(dict.fromkeys((*texts.build_requires, *more)))
            try:
                stated = sdist.core_metadata(texts, name=file.name, trust_egg_info=self._consent.trust_egg_info)
                return replace(stated, build_requires=build_requires, build_undecided=False)
            except ResolutionFault:
                pass
        with self.environment(file.name.filename, file.name.project, build_requires) as wheels:
            said = parse_core_metadata(self._builder.metadata(source_of, wheels), filename=file.name)
        return replace(
            said, build_requires=build_requires, languages=texts.languages, learnt_from="build", sha256=None, size=None
        )

    def build_tree(self, tree: SourceTree, project: NormalizedName, folder: Path) -> Path:
        """Build a source tree on this host, and put the wheel into *folder*. Raises ResolutionFault, IndexFault."""
        with checked_out(tree) as checkout:
            label = checkout.label
            source = Source.of_folder(checkout.folder, label=label, project=project)
            requires = read_backend(checkout.folder, label).requires
            with self.environment(label, project, requires) as wheels:
                more = self._builder.requires_for_wheel(source, wheels)
            with self.environment(label, project, dict.fromkeys((*requires, *more))) as wheels:
                return self._builder.wheel(source, wheels, folder)

    @contextmanager
    def environment(self, label: str, project: NormalizedName, requires: Iterable[str]) -> Iterator[list[Path]]:
        """The wheels that an sdist is built with on this host, under their own names, while the block lasts."""
        answer = solve_environment(
            label, project, tuple(requires), target=self._host, index=self, constraints=self._constraints
        )
        with TemporaryDirectory(prefix="pypimirror-wheels-") as folder:
            yield [self._requirement(needed, Path(folder)) for needed in _pinned(answer)]

    def _requirement(self, file: ListedFile, folder: Path) -> Path:
        """A build requirement as a wheel: as it was fetched, or built of its sdist."""
        if file.name.is_wheel:
            named = folder / file.name.filename
            named.symlink_to(self._files(file))
            return named
        return self.wheel(file, folder)

    def wheel(self, file: ListedFile, folder: Path) -> Path:
        """Build an sdist on this host, and put the wheel into *folder*. Raises ResolutionFault."""
        path, name = self._files(file), file.name
        if not self._consent.may_build(name.project):
            raise ResolutionFault(
                f"{name.filename} is needed for a build, and is an sdist itself",
                code="build-not-allowed",
                hint=f"allow it with --allow-build {name.project}, or bound it with --build-constraint",
            )
        requires = self.core_metadata(file).build_requires or ()
        with self._once(file), self.environment(name.filename, name.project, requires) as wheels:
            return self._builder.wheel(Source.of_sdist(path, name), wheels, folder)


def _pinned(answer: Answer) -> list[ListedFile]:
    files = {candidate.file.name.filename: candidate.file for candidate in answer.candidates}
    return [files[pin.file] for pin in answer.resolutions[0].pins]
