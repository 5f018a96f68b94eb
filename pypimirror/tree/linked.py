"""Publishing with links: pages, shards, a generation, all of it synced, and then one rename of one link.

A process that dies before the rename changed nothing that a client sees; one that dies after it left only rubbish.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pypimirror.errors import DiskFault, UsageFault
from pypimirror.model.names import Label, NormalizedName
from pypimirror.tree import contents as contents_of_tree
from pypimirror.tree.contents import MERGED, Contents
from pypimirror.tree.folder import Tree
from pypimirror.tree.layout import (
    LOCKS,
    MANIFEST,
    channel_index,
    channel_links,
    in_generation,
    project_link,
    shard_folder,
    stable_links,
)
from pypimirror.tree.page import Page
from pypimirror.tree.shards import by_shard
from pypimirror.tree.writing import ensure_folder, keep_names, settle, write_new

__all__ = ["LinkedPress"]

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class LinkedPress:
    """The press of a tree with links. *now* is in seconds since 1970, for the times of changed pages."""

    def __init__(self, tree: Tree, *, now: int) -> None:
        self._tree = tree
        self._now = now
        self._disk = tree.disk
        self._old = tree.contents

    # ---- pages of projects ------------------------------------------------------------------------------------------

    def put(
        self, project: NormalizedName, pages: Mapping[str, Mapping[str, bytes]], indexes: Mapping[str, str]
    ) -> None:
        """See ``Press``. A folder that is there is shared: it is in use by a kept generation, and was synced."""
        before = {name: index[project] for name, index in self._indexes().items() if project in index}
        for mark, several in pages.items():
            replaced = [old for name, old in before.items() if indexes.get(name) == mark and old != mark]
            time = self._newer(self._tree.at.pages / f"{project}-{old}" for old in replaced)
            folder = self._tree.at.pages / f"{project}-{mark}"
            if folder.is_dir():
                if replaced:
                    self._touch(folder, several, time)
                continue
            self._disk.make_folder(folder)
            for name, data in several.items():
                write_new(self._disk, folder / name, data, time=time)
            keep_names(self._disk, folder)

    def _indexes(self) -> dict[str, Mapping[NormalizedName, str]]:
        """The indexes that are served; where a channel has all, it is the merged one under two names."""
        found = dict(self._old.indexes)
        for channel in self._old.layers:
            found.setdefault(channel, self._old.projects)
        return found

    def _newer(self, folders: Iterator[Path]) -> int:
        """A changed page is newer than those it replaces, or nginx and http.server say "not modified"."""
        times = [
            int(path.stat().st_mtime) + 1 for folder in folders for path in (folder / "index.html",) if path.exists()
        ]
        return max([self._now, *times])

    def _touch(self, folder: Path, pages: Mapping[str, bytes], time: int) -> None:
        """What comes back is newer than what it replaces, too."""
        for name in pages:
            if (folder / name).stat().st_mtime < time:
                self._disk.set_time(folder / name, time)

    # ---- the generation ---------------------------------------------------------------------------------------------

    def publish(self, contents: Contents, roots: Sequence[Page], locks: Sequence[Page] | None) -> None:
        """See ``Press``."""
        tree, at, disk = self._tree, self._tree.at, self._disk
        number = tree.generation + 1
        folder = at.generation(number)
        disk.make_folder(folder)
        disk.make_folder(folder / "simple")
        self._make_locks(contents, locks)
        self._link(f"../../pages/{contents.locks.folder}", folder / LOCKS)
        self._make_channels(folder, contents)
        self._make_shards(folder, contents)
        self._write_roots(folder, contents, roots)
        self._make_stable_links(contents)
        settle(disk, *self._folders(folder, contents))
        following = at.mark / "current.part"
        if following.is_symlink():
            disk.remove(following)
        self._link(f"generations/{number}", following)
        disk.rename(following, at.current)
        disk.sync_folder(at.mark)

    def _folders(self, generation: Path, contents: Contents) -> Iterator[Path]:
        """Those that got new names, but for folders that are new themselves and were synced."""
        at = self._tree.at
        yield from (at.packages, at.pages, at.shards, at.ledger, at.manifests, at.generations, at.simple)
        yield from (generation, generation / "simple", generation / "channels", at.channels, at.channel_indexes)
        for channel in contents.layers:
            yield from (generation / "channels" / channel, at.channels / channel)
            if channel in contents.indexes:
                yield at.channel_indexes / channel
        yield from (at.root, at.mark)

    def _write_roots(self, folder: Path, contents: Contents, roots: Sequence[Page]) -> None:
        served = self._tree.at.generation(self._tree.generation) if self._tree.generation else None
        data = contents_of_tree.dump(contents)
        pages = [(page.path, in_generation(page.path), page.data) for page in roots]
        for path, inside, bytes_ in [*pages, (MANIFEST, MANIFEST, data)]:
            before = _time(served / inside) if served is not None else None
            time = self._now
            if before is not None:
                same = path in contents.pages and self._old.pages.get(path) == contents.pages[path]
                time = before if same else max(self._now, before + 1)
            write_new(self._disk, folder / inside, bytes_, time=time)

    def _make_locks(self, contents: Contents, locks: Sequence[Page] | None) -> None:
        folder = self._tree.at.pages / contents.locks.folder
        if folder.is_dir():
            return
        self._disk.make_folder(folder)
        for page in locks or ():
            write_new(self._disk, folder / page.path.rpartition("/")[2], page.data, time=self._now)
        keep_names(self._disk, folder)

    def _make_shards(self, generation: Path, contents: Contents) -> None:
        """A link for each shard of each index; the folder of a shard that is served already is there."""
        for name, index in contents.indexes.items():
            inside = "simple" if name == MERGED else f"channels/{name}"
            up = "../" * (inside.count("/") + 3)
            for shard, part in by_shard(index).items():
                folder = shard_folder(shard, part)
                self._make_shard(self._tree.at.shards / folder, part)
                self._link(f"{up}shards/{folder}", generation / inside / shard)

    def _make_shard(self, folder: Path, part: Mapping[NormalizedName, str]) -> None:
        if folder.is_dir():
            return
        self._disk.make_folder(folder)
        for project, mark in sorted(part.items()):
            self._link(f"../../pages/{project}-{mark}", folder / project)
        keep_names(self._disk, folder)

    def _make_channels(self, generation: Path, contents: Contents) -> None:
        """What a generation has for each channel, but for its shards."""
        self._disk.make_folder(generation / "channels")
        for channel in contents.layers:
            folder = generation / "channels" / channel
            self._disk.make_folder(folder)
            self._link(channel_index(channel, alone=channel not in contents.indexes), folder / "simple")

    # ---- stable links -----------------------------------------------------------------------------------------------

    def _make_stable_links(self, contents: Contents) -> None:
        """The links that clients see. Until the swap, new ones lead nowhere, so the swap alone publishes."""
        at = self._tree.at
        for path, text in stable_links(twins=contents.gzip).items():
            self._stable(path, text)
        ensure_folder(self._disk, at.channels)
        ensure_folder(self._disk, at.channel_indexes)
        for channel in contents.layers:
            alone = channel not in contents.indexes
            ensure_folder(self._disk, at.channels / channel)
            if not alone:
                ensure_folder(self._disk, at.channel_indexes / channel)
            for path, text in channel_links(channel, alone=alone, twins=contents.gzip).items():
                self._stable(path, text)
        for name, index in contents.indexes.items():
            of = None if name == MERGED else Label(name)
            old = self._old.indexes.get(name, {})
            for project in index:
                if project not in old:
                    self._stable(*project_link(project, of))

    def _stable(self, path: str, text: str) -> None:
        place = self._tree.at.root / path
        try:
            if os.readlink(place) == text:  # noqa: PTH115 - ten thousand of them
                return
        except FileNotFoundError:
            self._link(text, place)
            return
        except OSError:
            if place.is_dir():
                raise UsageFault(
                    f"{place} is in the way: a folder stands where a link of the tree belongs",
                    code="not-a-tree",
                    hint="move it elsewhere, then run the same command again",
                ) from None
        part = self._tree.at.mark / "link.part"
        if part.is_symlink():
            self._disk.remove(part)
        self._link(text, part)
        self._disk.rename(part, place)

    def _link(self, text: str, path: Path) -> None:
        try:
            self._disk.symlink(text, path, folder=not text.endswith((".html", ".json")))
        except OSError as error:
            if error.errno not in _NO_LINKS and os.name != "nt":
                raise
            raise DiskFault(
                f"no symbolic link can be made at {path}: {error.strerror}",
                code="no-links",
                hint="render into another folder with --plain: a tree of real files",
            ) from error


def _time(path: Path) -> int | None:
    try:
        return int(path.stat().st_mtime)
    except FileNotFoundError:
        return None
