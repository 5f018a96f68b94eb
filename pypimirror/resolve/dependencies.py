"""What candidates want; and versions that are refused for what their metadata says, or for what they lack."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import CoreMetadata, Refusal, Rejection
from pypimirror.model.names import NormalizedName, Version
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need, needs_of_text, parse_requirement
from pypimirror.resolve.shelves import Shelves

__all__ = ["IMPOSSIBLE", "Dependencies", "TooManyRefused"]

IMPOSSIBLE = NormalizedName("!")
"""The project of a need that nothing can meet: it stands for a reason why a candidate is refused."""

_BROKEN = frozenset({"metadata-mismatch", "bad-metadata", "bad-wheel", "bad-sdist"})
"""The codes of faults that a file has by itself. A wrong hash or size is another matter: that ends a run."""


class TooManyRefused(Exception):
    """So many versions were refused for what they lack that it is time to ask what the search is after."""


class Dependencies:
    """The needs of candidates, remembered.

    ``refused`` collects versions whose metadata rules them out, or that want what can't be had; ``broken`` the faults
    of those whose file is not what it says it is; ``unknown_extras`` extras that a version was asked for and lacks.

    After *patience* refused versions TooManyRefused is raised. With *hollow* a version that would be refused is taken
    without what it lacks: then the answer shows what a search without such hindrances takes.
    """

    def __init__(
        self, shelves: Shelves, judge: Judge, index: Index, *, patience: int | None = None, hollow: bool = False
    ) -> None:
        self.refused: dict[tuple[NormalizedName, Version], Rejection] = {}
        self.broken: dict[tuple[NormalizedName, Version], IntegrityFault] = {}
        self.unknown_extras: set[tuple[NormalizedName, Version, str]] = set()
        self._shelves = shelves
        self._judge = judge
        self._index = index
        self._patience = patience
        self._hollow = hollow
        self._needs: dict[Candidate, tuple[Need, ...]] = {}

    def of(self, candidate: Candidate) -> tuple[Need, ...]:
        """What a candidate wants. Raises TooManyRefused, and what the index raises."""
        needs = self._needs.get(candidate)
        if needs is None:
            needs = self._needs[candidate] = tuple(self._judge_wants(candidate))
        return needs

    def _judge_wants(self, candidate: Candidate) -> Iterator[Need]:
        if candidate.key.extra:
            base = Key(candidate.key.project)
            text = f"{base}=={candidate.version}"
            yield Need(key=base, specifier=SpecifierSet(), text=text, exact=candidate.version)
        metadata = self._metadata(candidate)
        if isinstance(metadata, Rejection):
            self._note_refused(candidate, metadata)
            if not self._hollow or metadata.reason is Refusal.REQUIRES_PYTHON:
                yield _impossible(metadata.detail)
            return
        needs = list(self.wanted(candidate, metadata))
        self._index.expect({need.key.project for need in needs if not self._shelves.is_direct(need.key.project)})
        for need in needs:
            if not self._hollow:
                yield need
                self._note_unobtainable(candidate, need)
            elif need.key.project != IMPOSSIBLE and not self._note_unobtainable(candidate, need):
                yield need

    def _metadata(self, candidate: Candidate) -> CoreMetadata | Rejection:
        """The metadata, or why it rules the version out."""
        try:
            metadata = self._index.core_metadata(candidate.file)
        except ResolutionFault as fault:
            if fault.code != "metadata-not-static":
                raise  # a build that a person allowed, and that failed: older versions are not what was asked for
            return _rejection(candidate, Refusal.METADATA, str(fault))
        except IntegrityFault as fault:
            if fault.code not in _BROKEN:
                raise
            # Old releases with a wrong PKG-INFO exist. One that the search only looks at must not end it.
            self.broken[candidate.key.project, candidate.version] = fault
            return _rejection(candidate, Refusal.METADATA, str(fault))
        if not self._judge.python_fits(metadata.requires_python):
            return _rejection(candidate, Refusal.REQUIRES_PYTHON, f"needs Python {metadata.requires_python}")
        return metadata

    def wanted(self, candidate: Candidate, metadata: CoreMetadata) -> Iterator[Need]:
        """What the metadata says that a candidate wants here. Nothing is asked of the index."""
        extra = candidate.key.extra
        if extra and extra not in {canonicalize_name(known) for known in metadata.provides_extra}:
            self.unknown_extras.add((candidate.key.project, candidate.version, extra))
        for text in metadata.requires_dist:
            requirement = parse_requirement(text)
            if requirement is None:
                yield from self._refuse(
                    candidate, Refusal.METADATA, f"its metadata has an unreadable line: {text[:80]}"
                )
                continue
            marker = requirement.marker
            if marker is None:
                holds = not extra
            elif extra:
                holds = self._judge.marker_holds(marker, extra) and not self._judge.marker_holds(marker)
            else:
                holds = self._judge.marker_holds(marker)
            if not holds:
                continue
            if requirement.url is not None:
                yield from self._refuse(candidate, Refusal.DIRECT_DEPENDENCY, f"wants {requirement.name} by URL")
                continue
            yield from needs_of_text(text)

    def _refuse(self, candidate: Candidate, reason: Refusal, detail: str) -> Iterator[Need]:
        self._note_refused(candidate, _rejection(candidate, reason, detail))
        yield _impossible(detail)

    def _note_refused(self, candidate: Candidate, rejection: Rejection) -> None:
        self.refused[candidate.key.project, candidate.version] = rejection
        if self._patience is not None and len(self.lacking()) > self._patience:
            raise TooManyRefused

    def lacking(self) -> list[tuple[tuple[NormalizedName, Version], Rejection]]:
        """The versions that were refused for what they lack; another Python is no lack. In a stable order."""
        return sorted(
            (item for item in self.refused.items() if item[1].reason is not Refusal.REQUIRES_PYTHON),
            key=lambda item: item[0],
        )

    def _note_unobtainable(self, candidate: Candidate, need: Need) -> bool:
        """A version that wants a project which no index has, or that has nothing for the target, is noted as such."""
        project = need.key.project
        if project == IMPOSSIBLE:
            return False
        shelf = self._shelves.of(project)
        if shelf is None:
            detail = f"wants {need.text}, and no index has {project}"
        elif not shelf.has_any():
            detail = f"wants {need.text}, and {project} has no file for this target"
        else:
            return False
        if (candidate.key.project, candidate.version) not in self.refused:
            self._note_refused(candidate, _rejection(candidate, Refusal.METADATA, detail))
        return True


def _impossible(reason: str) -> Need:
    return Need(key=Key(IMPOSSIBLE), specifier=SpecifierSet(), text=reason)


def _rejection(candidate: Candidate, reason: Refusal, detail: str) -> Rejection:
    return Rejection(filename=candidate.file.name.filename, reason=reason, detail=detail, version=candidate.version)
