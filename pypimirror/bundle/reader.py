"""Reading a bundle, trusting nothing: not a header, not a length, not an order.

The only numbers taken from the container before the manifest is known are two lengths in its first records, both
bounded. From then on every header is made from the manifest (``layout``) and compared; contents are hashed; padding
and the exact end are checked. No path of the container is ever used for a path on this disk.

Reading goes forward once, so a pipe will do. A content is verified only when ``copy_to`` returns, and a bundle only
when ``members`` is exhausted: until then, whatever was written has no name that anybody reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pypimirror.bundle.faults import BundleFault, damaged
from pypimirror.bundle.layout import END, RECORD, SUMS, Entry, Layout
from pypimirror.bundle.medium import Medium
from pypimirror.bundle.opening import read_opening
from pypimirror.disk import DISK, Disk, disk_fault
from pypimirror.errors import DiskFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import FileName, Sha256
from pypimirror.reporting import Reporter

__all__ = ["Bundle", "BundleMember", "open_bundle"]

_ZERO = bytes(RECORD)


@contextmanager
def open_bundle(source: Path | BinaryIO, *, name: str = "", reporter: Reporter | None = None) -> Iterator[Bundle]:
    """Open a bundle, and read as far as its manifest, which is checked.

    A BinaryIO is read forward, never sought in, and left open. ``name`` is what faults call the bundle.
    Raises BundleFault (``not-a-bundle``, ``damaged-bundle``, ``truncated-bundle``, ``bad-manifest``, ``newer-format``)
    and DiskFault.
    """
    reporter = reporter or Reporter()
    if not isinstance(source, Path):
        medium = Medium(source, name=name or "the bundle on standard input", total=0, reporter=reporter)
        yield Bundle(read_opening(medium), medium)
        return
    name = name or str(source)
    if source.is_dir():
        hint = "one that was unpacked from a bundle can be served as it is; name the .tar itself to render it"
        raise DiskFault(f"reading {name}: it is a folder", code="is-a-folder", hint=hint)
    try:
        stream = source.open("rb", buffering=1 << 20)
        total = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise disk_fault(error, f"reading {name}") from error
    with stream:
        medium = Medium(stream, name=name, total=total, reporter=reporter)
        yield Bundle(read_opening(medium), medium)


class BundleMember:
    """A file, a sidecar or another member of the bundle, at the moment when its content comes."""

    def __init__(self, entry: Entry, medium: Medium) -> None:
        self.entry = entry
        self._medium = medium
        self._taken = False

    def copy_to(self, file: BinaryIO, *, disk: Disk = DISK) -> None:
        """Write the content to *file*. It is verified when this returns, and not a moment before.

        Raises BundleFault or DiskFault where the bundle is at fault; an OSError of writing passes as it is.
        """
        for piece in self._content():
            disk.write(file, piece)

    def skip(self) -> None:
        """Verify the content, keep nothing. Does nothing where it was taken already."""
        if not self._taken:
            for _ in self._content():
                pass

    def leap(self) -> None:
        """Past the content without a look at it, where the bundle is a file: nothing of it is verified."""
        self._taken = True
        self._medium.leap(self.entry.size, self.entry.path)

    def _content(self) -> Iterator[bytes]:
        if self._taken:
            raise RuntimeError(f"{self.entry.path} was read already")
        self._taken = True
        entry = self.entry
        if entry.sha256 is None:
            raise RuntimeError("a folder has no content")
        return self._medium.content(entry.size, entry.sha256, entry.path)


class Bundle:
    """An open bundle. ``digest`` is its name: the sha256 of its manifest. ``name`` is what people call it."""

    def __init__(self, layout: Layout, medium: Medium) -> None:
        self.manifest: Manifest = layout.manifest
        self.digest: Sha256 = layout.digest
        self.name = medium.name
        self._layout = layout
        self._medium = medium
        self._files: list[FileName] = []
        self._members: list[str] = []
        self._begun = self._whole = False

    @property
    def missing(self) -> tuple[FileName, ...]:
        """Files that the manifest lists and this volume does not carry. Known when ``members`` is exhausted."""
        self._need_whole()
        return tuple(self._files)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Paths of other members (pages) that are listed and not carried. Known when ``members`` is exhausted."""
        self._need_whole()
        return tuple(self._members)

    def _need_whole(self) -> None:
        if not self._whole:
            raise RuntimeError("what a bundle carries is known when its members have been read")

    def members(self) -> Iterator[BundleMember]:
        """What this volume carries, in order, once. What is not copied is verified all the same.

        Raises BundleFault at the first byte that is not as the manifest says, DiskFault where the medium fails. A
        member's own methods raise for its content; who catches that may go on with the next member.
        """
        if self._begun:
            raise RuntimeError("a bundle is read once")
        self._begun = True
        walk = _Walk(self._layout, self._medium)
        while unit := walk.next_unit(self._skipped):
            for position, entry in enumerate(unit):
                if position:
                    walk.follow(entry)
                member = BundleMember(entry, self._medium)
                yield member
                member.skip()
        self._medium.zeros(len(END) - RECORD, "end")
        self._medium.end()
        self._whole = True

    def verify(self) -> None:
        """Read what is left of it, keeping nothing."""
        for _ in self.members():
            pass

    def _skipped(self, unit: tuple[Entry, ...]) -> None:
        if (owner := unit[0].owner) is not None:
            self._files.append(owner)
        else:
            self._members.append(unit[0].path)


class _Walk:
    """The headers of a volume, compared with those that its manifest allows next."""

    def __init__(self, layout: Layout, medium: Medium) -> None:
        self._layout = layout
        self._medium = medium
        self._units = layout.units()
        self._seen: set[str] = set()
        self._last = SUMS
        self._begin = 0
        self._read = b""

    def next_unit(self, skipped: Callable[[tuple[Entry, ...]], None]) -> tuple[Entry, ...] | None:
        """The next unit that is carried, its first header behind; None at the first record of the end.

        A folder's header may belong to any of the units to come; so the units are tried in order, and one that
        contradicts a header that was read can't match any more.
        """
        self._fetch()
        if self._read == _ZERO:
            for unit in self._units:
                skipped(unit)
            return None
        behind: list[str] = []
        expected = "the end"
        for unit in self._units:
            chain = self._layout.chain(unit[0], self._seen)
            if expected == "the end":
                expected = chain[0].path
            if [entry.path for entry in chain[: len(behind)]] == behind:
                while self._matches(chain[len(behind)].header):
                    if len(behind) == len(chain) - 1:
                        return self._found(unit, chain)
                    behind.append(chain[len(behind)].path)
                    expected = chain[len(behind)].path
                    self._fetch()
            skipped(unit)
        raise self._wrong(expected)

    def follow(self, entry: Entry) -> None:
        """The header of *entry* comes next, and no other."""
        chain = self._layout.chain(entry, self._seen)
        for each in chain:
            self._fetch()
            if not self._matches(each.header):
                raise self._wrong(each.path)
        self._found((entry,), chain)

    def _found(self, unit: tuple[Entry, ...], chain: list[Entry]) -> tuple[Entry, ...]:
        self._seen.update(folder.path for folder in chain[:-1])
        self._last = unit[0].path
        return unit

    def _fetch(self) -> None:
        self._begin = self._medium.offset
        self._read = self._medium.exactly(RECORD, f"header after {self._last}")

    def _matches(self, header: bytes) -> bool:
        """Whether *header* is what stands there. More is read where the first record agrees."""
        if self._read[:RECORD] != header[:RECORD]:
            return False
        if len(self._read) < len(header):
            self._read += self._medium.exactly(len(header) - len(self._read), f"header after {self._last}")
        return self._read == header

    def _wrong(self, expected: str) -> BundleFault:
        return damaged(
            self._medium.name,
            f"header after {self._last}",
            self._begin,
            f"not that of {expected}, nor of any later one",
        )
