"""What a tree serves as an index that is read as far as it is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pypimirror.index.manifest_index import ManifestIndex
from pypimirror.model.files import CoreMetadata, ListedFile, Listing
from pypimirror.model.names import NormalizedName
from pypimirror.tree.compose import Layers

__all__ = ["ServedIndex"]


class ServedIndex:
    """*layers* gives a project as it is served, None where it is not."""

    def __init__(self, layers: Callable[[NormalizedName], Layers | None]) -> None:
        self._layers = layers
        self._parts: dict[NormalizedName, ManifestIndex] = {}

    def listing(self, project: NormalizedName) -> Listing | None:
        return self._part(project).listing(project)

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        return self._part(file.name.project).core_metadata(file)

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        """Nothing to work ahead for."""

    def _part(self, project: NormalizedName) -> ManifestIndex:
        if project not in self._parts:
            layers = self._layers(project)
            self._parts[project] = (
                ManifestIndex((), ()) if layers is None else ManifestIndex(layers.merged.files, [layers.merged.said])
            )
        return self._parts[project]
