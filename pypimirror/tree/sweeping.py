"""Removing what a tree needs no longer: old generations with what only they had, and rubbish of runs cut short.

Whatever no kept generation refers to, inside ``.pypimirror/``, is rubbish. Outside, in ``packages/``, nothing is ever
removed that a generation of ours did not list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pypimirror.disk import Disk
from pypimirror.tree.contents import MERGED, Contents, Served
from pypimirror.tree.inventory import Inventory, taken_back
from pypimirror.tree.layout import MANIFEST, STABLE_LINKS, ledger_file, shard_folder, stable_links
from pypimirror.tree.ledger import Ledger, files_in
from pypimirror.tree.records import generations, read_contents
from pypimirror.tree.shards import by_shard

if TYPE_CHECKING:
    from pypimirror.tree.folder import Tree

__all__ = ["drop_previous", "gone_with", "page_folders", "shard_folders", "sweep"]


class ReadLedger(Protocol):
    """The ledger of a shard as contents name it."""

    def __call__(self, shard: str, contents: Contents, *, missing_ok: bool = False) -> Ledger: ...


def sweep(tree: Tree) -> None:
    """Remove what no kept generation refers to. Raises IntegrityFault, OSError."""
    at, disk = tree.at, tree.disk
    for entry in at.incoming.iterdir():
        if entry.name.endswith(".part"):
            disk.remove(entry)
    kept = (tree.contents, tree.previous)
    if tree.plain:
        _sweep_plain(tree)
    else:
        _sweep_linked(tree)
    _remove_taken_back(tree)
    accepted = {f"{each.source.digest}.json" for contents in kept for each in contents.accepted}
    _remove_others(disk, at.manifests, accepted)
    _remove_others(disk, at.ledger, {name for contents in kept for name in ledger_files(contents)})


def drop_previous(tree: Tree) -> None:
    """Remove what only the state before the one that is served had: nothing can be turned back to it afterwards."""
    if not tree.previous.is_published or tree.previous == tree.contents:
        return
    if tree.plain:
        _sweep_plain(tree)  # first: afterwards nobody knows which pages there were
        for name in sorted(gone_with(tree.read, tree.previous, [tree.contents])):
            _remove_if_there(tree.disk, tree.at.packages / name)
        tree.disk.sync_folder(tree.at.packages)
        _remove_if_there(tree.disk, tree.at.previous_contents)
        tree.disk.sync_folder(tree.at.mark)  # before its ledgers go, or it could not be read
    else:
        number, tree.previous_generation = tree.previous_generation, 0
        tree.previous = Contents()
        _drop_generation(tree, number)
        tree.disk.sync_folder(tree.at.generations)  # before its ledgers go, or it could not be read
    tree.previous = Contents()
    sweep(tree)


# ---- what is in use -------------------------------------------------------------------------------------------------


def ledger_files(contents: Contents) -> Iterator[str]:
    """The names of the ledgers of *contents*."""
    return (ledger_file(shard, each.sha256) for shard, each in contents.ledger.items())


def page_folders(contents: Contents) -> set[str]:
    """The names of the folders in ``pages/`` that *contents* need."""
    names = {"packages"} | {f"{name}-{mark}" for index in contents.indexes.values() for name, mark in index.items()}
    if contents.is_published:
        names.add(contents.locks.folder)
    return names


def shard_folders(contents: Contents) -> Iterator[tuple[str, str, str]]:
    """Each index with each of its shards, and the name of the folder with its links."""
    for name, index in contents.indexes.items():
        for shard, part in by_shard(index).items():
            yield name, shard, shard_folder(shard, part)


def gone_with(read: ReadLedger, dropped: Contents, kept: Iterable[Contents]) -> dict[str, Served]:
    """What *dropped* has in ``packages/`` and none of *kept* has, by name. *read* gives the ledger of a shard.

    Raises what *read* raises; a ledger of *dropped* may be missing: ledgers go last, so that its files are gone.
    """
    others = list(kept)
    gone: dict[str, Served] = {}
    for shard, served in dropped.ledger.items():
        if any(contents.ledger.get(shard) == served for contents in others):
            continue
        files = _files(read(shard, dropped, missing_ok=True))
        stay = {name for contents in others for name in _files(read(shard, contents))}
        gone.update({name: each for name, each in files.items() if name not in stay})
    return gone


def _files(ledger: Ledger) -> dict[str, Served]:
    return {name: each for value in ledger.values() for name, each in files_in(value).items()}


def _taken_back(tree: Tree) -> set[str]:
    """What the state before this one had in ``packages/``, and was withdrawn since: it leaves at once."""
    found: set[str] = set()
    if not tree.contents.withdraws:
        return found
    for shard, served in tree.previous.ledger.items():
        if tree.contents.ledger.get(shard) != served:
            before, now = tree.read(shard, tree.previous), tree.read(shard, tree.contents)
            found |= taken_back(Inventory(ledger=before), Inventory(contents=tree.contents, ledger=now))
    return found


# ---- removing -------------------------------------------------------------------------------------------------------


def _sweep_linked(tree: Tree) -> None:
    at, disk = tree.at, tree.disk
    for entry in at.mark.iterdir():
        if entry.name.endswith(".part"):
            disk.remove(entry)
    kept = {tree.generation, tree.previous_generation}
    for number in generations(at):
        if number not in kept:
            _drop_generation(tree, number)
    states = (tree.contents, tree.previous)
    _remove_others(disk, at.pages, {name for contents in states for name in page_folders(contents)})
    _remove_others(disk, at.shards, {name for contents in states for _, _, name in shard_folders(contents)})
    _sweep_links(tree)


def _sweep_links(tree: Tree) -> None:
    """Links that clients see, and that lead nowhere any more."""
    at, disk = tree.at, tree.disk
    _remove_links(tree, at.simple, tree.contents.projects)
    if not tree.contents.gzip:
        for path in stable_links(twins=True).keys() - STABLE_LINKS.keys():
            _remove_if_there(disk, at.root / path)
    for channel in _folders(at.channel_indexes):
        _remove_links(tree, at.channel_indexes / channel, tree.contents.indexes.get(channel, {}))
    for channel in _folders(at.channels):
        if channel not in tree.contents.layers and tree.contents.is_published:
            for name in ("simple", "packages"):
                _remove_if_there(disk, at.channels / channel / name)
            with suppress(OSError):  # something of somebody else's lies in it
                disk.remove_folder(at.channels / channel)


def _remove_links(tree: Tree, folder: Path, index: Iterable[str]) -> None:
    """Links to projects that are served no more."""
    served = set(index)
    if not tree.contents.is_published:
        return
    with os.scandir(folder) as entries:
        strange = [
            entry.name
            for entry in entries
            if entry.name not in served and entry.is_symlink() and not entry.name.startswith("index.")
        ]
    for name in strange:
        if f"/current/{'simple' if folder == tree.at.simple else 'channels'}/" in os.readlink(folder / name):  # noqa: PTH115 - its text
            tree.disk.remove(folder / name)
    if not served and folder != tree.at.simple:
        for kind in ("html", "json"):
            _remove_if_there(tree.disk, folder / f"index.{kind}")
        with suppress(OSError):
            tree.disk.remove_folder(folder)


def _folders(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _sweep_plain(tree: Tree) -> None:
    """Pages of projects that are served no more."""
    changed: dict[Path, None] = {}
    for name in sorted(tree.previous.indexes.get(MERGED, {}).keys() - tree.contents.projects.keys()):
        for folder, pages in (("simple", ("index.html", "index.json")), ("pypi", ("json",))):
            place = tree.at.root / folder / name
            if not place.is_dir():
                continue
            for page in pages:
                _remove_if_there(tree.disk, place / page)
                _remove_if_there(tree.disk, place / f"{page}.gz")
            changed |= dict.fromkeys((place, place.parent))
            with suppress(OSError):  # something of somebody else's lies in it
                tree.disk.remove_folder(place)
    for place in changed:
        if place.is_dir():
            tree.disk.sync_folder(place)  # no power loss brings them back


def _drop_generation(tree: Tree, number: int) -> None:
    """An old generation leaves with the files that only it listed; one that never was published leaves alone."""
    folder = tree.at.generation(number)
    if number < tree.generation:
        # Without readable contents (a removal that was cut short) there is nothing left to follow from it.
        contents = read_contents(folder / MANIFEST, missing_ok=True)
        for name in sorted(gone_with(tree.read, contents, (tree.contents, tree.previous))):
            _remove_if_there(tree.disk, tree.at.packages / name)
        tree.disk.sync_folder(tree.at.packages)  # or what lists them may be gone, and they may be there for ever
        _remove_if_there(tree.disk, folder / MANIFEST)
    tree.disk.remove_tree(folder)


def _remove_taken_back(tree: Tree) -> None:
    there = [name for name in sorted(_taken_back(tree)) if (tree.at.packages / name).exists()]
    for name in there:
        _remove_if_there(tree.disk, tree.at.packages / name)
    if there:
        tree.disk.sync_folder(tree.at.packages)  # no power loss brings it back


def _remove_others(disk: Disk, folder: Path, kept: set[str]) -> None:
    try:
        with os.scandir(folder) as entries:
            strange = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name not in kept]
    except FileNotFoundError:
        return
    for name, is_folder in strange:
        if is_folder:
            disk.remove_tree(folder / name)
        else:
            disk.remove(folder / name)


def _remove_if_there(disk: Disk, path: Path) -> None:
    with suppress(FileNotFoundError):
        disk.remove(path)
