"""The pages of one publication that list every file or project: as they were, but for what changed."""

from __future__ import annotations

from collections.abc import Iterator

from pypimirror.errors import IntegrityFault
from pypimirror.model.names import NormalizedName
from pypimirror.tree.compose import ServedProject, compose_project
from pypimirror.tree.contents import Contents
from pypimirror.tree.folder import Tree
from pypimirror.tree.hashing import read_regular
from pypimirror.tree.layout import LANDING, PACKAGES_PAGE, in_generation
from pypimirror.tree.lists import FileRows, Head, ProjectRows
from pypimirror.tree.page import Page
from pypimirror.tree.printing import served_of
from pypimirror.tree.revise import Revised, Revision, rules_of
from pypimirror.tree.shards import in_shards

__all__ = ["Lists"]


class Lists:
    """What *revision* makes of the lists of *tree*: first ``note`` each project that changes, then make the ``pages``.

    Methods raise OSError, and what reading ledgers raises.
    """

    def __init__(self, tree: Tree, revision: Revision) -> None:
        self._tree = tree
        self._revision = revision
        self._before = rules_of(tree.contents)
        self._files = FileRows()
        self._projects = ProjectRows()

    def note(self, name: NormalizedName, revised: Revised) -> None:
        """A project as it was, and as it will be."""
        if revised.before is not None and not self._revision.everything:
            before = compose_project(name, revised.before.slices, self._before)
            if before is not None:
                self._files.drop(before.merged)
                self._projects.drop(before.merged)
        if revised.layers is not None:
            self._add(revised.layers.merged)

    def pages(self, contents: Contents) -> tuple[Page, Page]:
        """The page of all files, and the landing page of what will be served."""
        head = Head(
            channels=contents.channels,
            bundles=contents.accepted,
            projects=len(contents.projects),
            files=contents.files,
            size=contents.size,
            locks=tuple(contents.locks.files),
            indexed=not self._tree.plain,
        )
        old: dict[str, bytes] = {}
        if not self._revision.everything:
            try:
                old = {path: self._page(path) for path in (PACKAGES_PAGE, LANDING)}
            except (OSError, IntegrityFault):  # not to be built upon
                for project in self._others():
                    self._add(project)
        return self._files.page(old.get(PACKAGES_PAGE)), self._projects.page(head, old.get(LANDING))

    def _add(self, project: ServedProject) -> None:
        self._files.add(project)
        self._projects.add(project)

    def _page(self, path: str) -> bytes:
        """A page that is served now. Raises IntegrityFault where it is not as it was published, OSError."""
        tree = self._tree
        served = tree.contents.pages[path]
        place = tree.at.root / path
        if not tree.plain:
            place = tree.at.generation(tree.generation) / in_generation(path)
        data = read_regular(place, limit=served.size)
        if served_of(data) != served:
            raise IntegrityFault(f"{path} changed", code="tree-damaged")
        return data

    def _others(self) -> Iterator[ServedProject]:
        """The projects that do not change, in the merged index."""
        for _, names in in_shards(self._tree.contents.projects.keys() - self._revision.projects.keys()):
            for name in names:
                entry = self._tree.entry(name)
                if entry is not None and (layers := compose_project(name, entry.slices, self._revision.rules)):
                    yield layers.merged
