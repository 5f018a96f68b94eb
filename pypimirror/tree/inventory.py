"""Every file and page that a tree says it serves, from its contents and ledgers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace

from pypimirror.model.names import NormalizedName
from pypimirror.tree.contents import MERGED, Contents, Locks, Served
from pypimirror.tree.layout import LOCKS, client_path
from pypimirror.tree.ledger import Ledger, files_in, pages_in, withdrawn_files
from pypimirror.values import dataclass

__all__ = ["Inventory", "frame", "inventory", "portion", "taken_back"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """*packages* by their names; *folders* are those of pages, by name; *ledgers* are the entries of all shards."""

    contents: Contents = field(default_factory=Contents)
    packages: Mapping[str, Served] = field(default_factory=dict)
    folders: Mapping[str, Mapping[str, Served]] = field(default_factory=dict)
    ledger: Mapping[NormalizedName, object] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Served]:
        """Everything that clients can fetch, by path, but the contents themselves."""
        found = {f"packages/{name}": each for name, each in self.packages.items()}
        found.update(self.contents.pages)
        found.update({f"{LOCKS}/{name}": each for name, each in self.contents.locks.files.items()})
        found.update(self._project_pages())
        return found

    def _project_pages(self) -> Iterator[tuple[str, Served]]:
        for name, index in self.contents.indexes.items():
            for project, mark in index.items():
                for page, each in self.folders.get(f"{project}-{mark}", {}).items():
                    if name == MERGED:
                        yield client_path(project, page), each
                    else:
                        yield f"channels/{name}/simple/{project}/{page}", each


def inventory(contents: Contents, read: Callable[[str], Ledger]) -> Inventory:
    """What *contents* serve. *read* gives the ledger of a shard. Raises what *read* raises, and Malformed."""
    packages: dict[str, Served] = {}
    folders: dict[str, Mapping[str, Served]] = {}
    entries: dict[NormalizedName, object] = {}
    for shard in contents.ledger:
        for project, value in read(shard).items():
            entries[project] = value
            packages.update(files_in(value, project))
            for mark, pages in pages_in(value, project).items():
                folders[f"{project}-{mark}"] = pages
    if contents.is_published:
        folders[contents.locks.folder] = contents.locks.files
    return Inventory(contents=contents, packages=packages, folders=folders, ledger=entries)


def portion(contents: Contents, shard: str, ledger: Ledger) -> Inventory:
    """What *contents* serve of one shard, whose *ledger* it is. Raises Malformed."""
    indexes = {
        name: {each: index[each] for each in ledger if each in index} for name, index in contents.indexes.items()
    }
    ledgers = {shard: contents.ledger[shard]} if shard in contents.ledger else {}
    own = replace(contents, accepted=(), indexes=indexes, ledger=ledgers, pages={}, locks=Locks())
    return inventory(own, lambda _: ledger)


def frame(contents: Contents) -> Inventory:
    """What *contents* serve beside their shards."""
    folders = {contents.locks.folder: contents.locks.files} if contents.is_published else {}
    return Inventory(contents=contents, folders=folders)


def taken_back(before: Inventory, now: Inventory) -> set[str]:
    """What *before* has in ``packages/``, and was withdrawn since: it left at once. Raises Malformed."""
    found: set[str] = set()
    for name, value in before.ledger.items():
        after = now.ledger.get(name)
        if after is not None and after != value:
            gone = files_in(value).keys() - files_in(after).keys()
            found |= gone & withdrawn_files(name, value, after, now.contents.withdrawn) if gone else set()
    return found
