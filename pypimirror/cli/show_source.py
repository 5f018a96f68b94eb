"""What ``show`` can be pointed at: a bundle, a folder that was unpacked from one, a tree; opened and read here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from pypimirror.bundle.reader import open_bundle
from pypimirror.cli.printable import printable
from pypimirror.cli.standard_input import standard_input
from pypimirror.errors import IntegrityFault
from pypimirror.model import manifest_json
from pypimirror.model.manifest import BundledFile, Manifest
from pypimirror.model.manifest_lists import FileList, files_of
from pypimirror.model.names import Label, NormalizedName, Sha256, Version
from pypimirror.model.reading import Malformed
from pypimirror.tree.compose import Accepted, Composition, compose
from pypimirror.tree.layout import MANIFEST, MARK
from pypimirror.tree.view import View, look
from pypimirror.tree.writing import telling
from pypimirror.values import dataclass

__all__ = ["Hidden", "ShownBundle", "ShownTree", "is_sdist", "moment", "open_source", "size_of"]

_LOOKS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownBundle:
    """A bundle to show. ``shown`` is its path as a person wrote it, ``size`` that of its file, None where unknown.

    ``folder`` tells whether it was unpacked.
    """

    manifest: Manifest
    digest: Sha256
    shown: str
    size: int | None = None
    folder: bool = False

    def in_hand(self) -> ShownBundle:
        """The same with its files made once, for who looks at all of them more than once."""
        return replace(self, manifest=replace(self.manifest, files=tuple(self.manifest.files)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """Versions of a project that a channel has, and clients don't see: the channel ``behind`` has the project, too."""

    project: NormalizedName
    channel: Label
    behind: Label
    versions: tuple[Version, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownTree:
    """A tree to show: what it says of itself, and what its manifests make of it."""

    view: View
    composition: Composition

    def bundles(self, channel: Label) -> list[Accepted]:
        """The bundles of one channel, the newest first."""
        return [each for each in self.composition.bundles if each.manifest.channel == channel]

    def hidden(self) -> list[Hidden]:
        """By channel in their order, then by project."""
        above = {project.name: project.channel for project in self.composition.projects}
        served = {file.filename for file in self.composition.files} if len(self.composition.channels) > 1 else set()
        found: dict[tuple[Label, NormalizedName], set[Version]] = {}
        for each in self.composition.bundles:
            channel = each.manifest.channel
            files = files_of(each.manifest.files)
            others = [project.name for project in each.manifest.projects if above[project.name] != channel]
            for file in (file for name in others for file in files(name)):
                if file.filename not in served:
                    found.setdefault((channel, file.project), set()).add(file.version)
        return [
            Hidden(project=project, channel=channel, behind=above[project], versions=tuple(sorted(versions)))
            for channel in self.composition.channels
            for (of, project), versions in sorted(found.items())
            if of == channel
        ]


def open_source(source: str) -> ShownBundle | ShownTree:
    """Open what *source* names; ``-`` is standard input. Of a bundle only the manifest is read.

    Raises UsageFault, Incomplete, IntegrityFault, DiskFault as ``open_bundle`` and ``look`` do.
    """
    if source == "-":
        with open_bundle(standard_input()) as bundle:
            return ShownBundle(manifest=bundle.manifest, digest=bundle.digest, shown=source)
    path = Path(source)
    with telling(f"reading {source}"):
        is_folder, is_file = path.is_dir(), path.is_file()
        is_tree = is_folder and (path / MARK).is_dir()
    if not is_folder:
        with open_bundle(path) as bundle, telling(f"reading {source}"):
            size = path.stat().st_size if is_file else None  # a pipe has none
            return ShownBundle(manifest=bundle.manifest, digest=bundle.digest, shown=source, size=size)
    unpacked = None if is_tree else _unpacked(path)
    return _look(path) if unpacked is None else unpacked


def _unpacked(path: Path) -> ShownBundle | None:
    """The bundle whose folder this is; None where it is none, for ``look`` to say what it may be."""
    with telling(f"reading {path / MANIFEST}"):
        if not (path / MANIFEST).is_file():
            return None
        with (path / MANIFEST).open("rb") as file:
            data = file.read(manifest_json.MAX_BYTES + 1)
    try:
        manifest = manifest_json.parse(data)
    except Malformed as error:
        if data.startswith(b'{"accepted":'):  # what a tree says of itself, without the rest of the tree
            return None
        raise IntegrityFault(
            printable(f"{path / MANIFEST} can't be used: {error}"),
            code="bad-manifest",
            hint="unpack the bundle again; 'sha256sum --check SHA256SUMS' in the folder tells what changed",
        ) from None
    return ShownBundle(manifest=manifest, digest=manifest_json.digest(data), shown=str(path), folder=True)


def _look(path: Path) -> ShownTree:
    """What the tree serves. One that was published twice meanwhile may have dropped what was looked at: look again."""
    for _ in range(_LOOKS - 1):
        view = look(path)
        try:
            return _composed(view)
        except IntegrityFault:
            with telling(f"reading {view.shown}"):
                if view.is_current():
                    raise
    return _composed(look(path))


def _composed(view: View) -> ShownTree:
    with telling(f"reading {view.shown}"):
        said = view.contents
        composition = compose(view.accepted(), channels=said.channels, mixed=said.mixed, withdrawn=said.withdrawn)
        return ShownTree(view=view, composition=composition)


# ---- what is said of it in more than one place ----------------------------------------------------------------------


def moment(sequence: int) -> datetime:
    """A sequence as a time in UTC."""
    return datetime.fromtimestamp(sequence, tz=timezone.utc)


def is_sdist(file: BundledFile) -> bool:
    return not file.filename.endswith(".whl")


def size_of(files: Iterable[BundledFile]) -> int:
    """Bytes of the files and of their metadata siblings."""
    if isinstance(files, FileList):
        return sum(part.size + (0 if part.metadata is None else part.metadata[1]) for part in files.parts())
    return sum(file.size + (file.metadata.size if file.metadata is not None else 0) for file in files)
