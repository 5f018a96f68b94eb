"""What a publication writes down: page folders and their marks, entries of ledgers, indexes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from pypimirror.model.names import Label, NormalizedName, Sha256
from pypimirror.tree.compose import ServedProject, Slice
from pypimirror.tree.contents import MERGED, Contents, Served
from pypimirror.tree.layout import page_folder
from pypimirror.tree.ledger import Entry, Ledger, entry_out
from pypimirror.tree.lists import root_pages
from pypimirror.tree.page import Page
from pypimirror.tree.pages import project_pages
from pypimirror.tree.press import with_twins

__all__ = ["enter", "folder_of", "indexes_before", "root_pages_of", "served_of", "tombstone", "twins_of"]


def served_of(data: bytes) -> Served:
    return Served(Sha256(hashlib.sha256(data).hexdigest()), len(data))


def twins_of(page: Page) -> Iterator[Page]:
    for name, data in with_twins({page.path: page.data}).items():
        yield Page(path=name, data=data)


def folder_of(served: ServedProject, *, twins: bool) -> tuple[str, dict[str, bytes]]:
    """The mark and the pages of a project's folder."""
    pages = {page.path.rpartition("/")[2]: page.data for page in project_pages(served)}
    if twins:
        pages = with_twins(pages)
    folder = page_folder(served.name, ((name, served_of(data).sha256) for name, data in pages.items()))
    return folder.rpartition("-")[2], pages


def tombstone(slices: tuple[Slice, ...]) -> Entry | None:
    """What is remembered of a project without files: versions taken back of older bundles that may still come."""
    if not any(each.withdrawn for each in slices):
        return None
    return Entry(slices=slices, files={}, pages={}, indexes={}, count=0, size=0)


def indexes_before(old: Contents, new: Contents, *, plain: bool) -> dict[str, dict[NormalizedName, str]]:
    """The indexes of the next state, as they are served now. A channel that has all needs none of its own.

    A *plain* tree has the merged one alone.
    """
    names = [MERGED, *(new.layers if len(new.layers) > 1 and not plain else ())]
    alone = {channel for channel in old.layers if channel not in old.indexes}
    return {name: dict(old.indexes.get(name, old.projects if name in alone else {})) for name in names}


def enter(
    project: NormalizedName,
    entry: Entry | None,
    entries: Ledger,
    indexes: Mapping[str, dict[NormalizedName, str]],
) -> None:
    """Write an entry down where it belongs, and nowhere else."""
    entries.pop(project, None)
    if entry is not None:
        entries[project] = entry_out(entry)
    for name, index in indexes.items():
        index.pop(project, None)
        if entry is not None and name in entry.indexes:
            index[project] = entry.indexes[name]


def root_pages_of(contents: Contents) -> Iterator[Page]:
    for name, index in contents.indexes.items():
        yield from root_pages(index, None if name == MERGED else Label(name))
