"""The long lists of a manifest as sequences that are kept as the bytes they were read from.

What a file says takes a few kilobytes as objects, and half of one as canonical JSON. So an element is made whenever it
is asked for, of bytes that were checked, and nobody keeps more of them than he works on.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, overload

from pypimirror.model.manifest import BundledFile, Member, Sidecar
from pypimirror.model.manifest_rows import Slices
from pypimirror.model.names import FileName, NormalizedName, Sha256, parse_version

__all__ = ["FileList", "Parts", "Roll", "Rows", "file_of", "files_of", "member_of", "named", "parts_of", "size_of"]

_AT_ONCE = 256
_PIECE = 1 << 20  # bytes
_NAME = '"filename":"'
_PART = r'\{"sha256":"([0-9a-f]{64})","size":([0-9]+)\}'
_BESIDE = re.compile(f'"metadata":(?:null|{_PART}),"project":"[^"]+","provenance":(?:null|{_PART}),')
_OWN = re.compile('"sha256":"([0-9a-f]{64})","size":([0-9]+),')
_STEPS = 20  # of a search among a million

T = TypeVar("T")


class Parts(NamedTuple):
    """Of a file just what stands for its bytes, and for those that belong to it: as sha256 and size."""

    filename: FileName
    sha256: Sha256
    size: int
    metadata: tuple[Sha256, int] | None
    provenance: tuple[Sha256, int] | None


class Rows(Sequence[T], Generic[T]):
    """The elements that *make* makes of the rows in *data*, which are canonical and were checked.

    *begins* are their positions, and at its end that behind the comma or bracket after the last one.
    """

    __slots__ = ("_begins", "_data", "_make")

    def __init__(self, data: Slices, begins: array[int], make: Callable[[dict[str, Any]], T]) -> None:
        self._data = data
        self._begins = begins
        self._make = make

    def __len__(self) -> int:
        return len(self._begins) - 1

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        chosen = range(len(self))[index]
        if isinstance(chosen, int):
            return self._some(chosen, chosen + 1)[0]
        if chosen.step == 1:
            return tuple(self._some(chosen.start, chosen.stop))
        return tuple(self[each] for each in chosen)

    def __iter__(self) -> Iterator[T]:
        for begin in range(0, len(self), _AT_ONCE):
            yield from self._some(begin, min(begin + _AT_ONCE, len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Rows, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"

    def raw(self) -> Iterator[bytes]:
        """The rows as they stand, with the commas between them, in pieces."""
        end = self._begins[-1] - 1
        for begin in range(self._begins[0], end, _PIECE):
            yield bytes(self._data[begin : min(begin + _PIECE, end)])

    def _some(self, begin: int, end: int) -> list[T]:
        if begin >= end:
            return []
        rows = json.loads(b"[%b]" % self._bytes(begin, end))
        return [self._make(row) for row in rows]

    def _bytes(self, begin: int, end: int) -> bytes:
        return bytes(self._data[self._begins[begin] : self._begins[end] - 1])


class FileList(Rows[BundledFile]):
    """The files of a manifest, by name; and those of each project."""

    __slots__ = ("_by_project", "size")

    def __init__(self, data: Slices, begins: array[int], roll: Roll) -> None:
        super().__init__(data, begins, file_of)
        self._by_project = roll.by_project
        self.size = roll.size

    def of(self, project: NormalizedName) -> tuple[BundledFile, ...]:
        """Those of one project, by name."""
        numbers = self._by_project.get(project)
        if not numbers:
            return ()
        first, last = numbers[0], numbers[-1]
        if last - first + 1 == len(numbers):
            return self[first : last + 1]
        return tuple(self[number] for number in numbers)

    def parts(self) -> Iterator[Parts]:
        """What ``parts_of`` gives: nothing but that is decoded."""
        for begin in range(0, len(self), _AT_ONCE):
            end = min(begin + _AT_ONCE, len(self))
            text = self._bytes(begin, end).decode("ascii")
            first = self._begins[begin]
            for start in self._begins[begin:end]:
                yield _parts_at(text, start - first)


def files_of(files: Sequence[BundledFile]) -> Callable[[NormalizedName], Sequence[BundledFile]]:
    """What gives the files of a project among *files*, in their order."""
    if isinstance(files, FileList):
        return files.of
    by_project: dict[NormalizedName, list[BundledFile]] = {}
    for file in files:
        by_project.setdefault(file.project, []).append(file)
    return lambda project: by_project.get(project, ())


def parts_of(files: Sequence[BundledFile]) -> Iterator[Parts]:
    """The parts of each of *files*, in their order."""
    if isinstance(files, FileList):
        return files.parts()
    return (
        Parts(each.filename, each.sha256, each.size, _part(each.metadata), _part(each.provenance)) for each in files
    )


def _part(sidecar: Sidecar | None) -> tuple[Sha256, int] | None:
    return None if sidecar is None else (sidecar.sha256, sidecar.size)


def size_of(files: Sequence[BundledFile]) -> int:
    """What they weigh together, in bytes."""
    return files.size if isinstance(files, FileList) else sum(file.size for file in files)


def named(files: Sequence[BundledFile], names: Collection[str]) -> dict[FileName, BundledFile]:
    """Those of *files*, which are in the order of their names, that have one of *names*."""
    if len(names) * _STEPS > len(files):
        return {file.filename: file for file in files if file.filename in names}
    places = (bisect_left(files, name, key=lambda file: file.filename) for name in sorted(names))
    found = (files[place] for place in places if place < len(files))
    return {file.filename: file for file in found if file.filename in names}


class Roll:
    """The names and projects of files that are read one after the other, and their size in all (bytes)."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.by_project: dict[NormalizedName, array[int]] = {}
        self.size = 0

    def add(self, name: FileName, project: NormalizedName, size: int) -> None:
        """The next file. Raises ValueError where it is out of order."""
        if self.names and not self.names[-1] < name:
            raise ValueError(name)
        numbers = self.by_project.get(project)
        if numbers is None:
            numbers = self.by_project[project] = array("I")
        numbers.append(len(self.names))
        self.names.append(name)
        self.size += size

    def check_unique(self) -> None:
        """Raise ValueError where two names differ in the case of their letters alone."""
        folded: set[str] = set()  # of those that are not folded as they stand: all others are unique, since in order
        for name in self.names:
            if (small := name.casefold()) != name:
                if small in folded or self.find(small) is not None:
                    raise ValueError(name)
                folded.add(small)

    def find(self, name: str) -> int | None:
        """The place of the file of that name."""
        at = bisect_left(self.names, name)
        return at if at < len(self.names) and self.names[at] == name else None


# ---- rows that were checked -----------------------------------------------------------------------------------------


def file_of(row: dict[str, Any]) -> BundledFile:
    """The file of a row that ``manifest_rows`` took. Its members are called as the attributes are."""
    row["version"] = parse_version(row["version"])
    row["requires_dist"] = tuple(row["requires_dist"])
    row["provides_extra"] = tuple(row["provides_extra"])
    row["languages"] = tuple(row["languages"])
    if row["build_requires"] is not None:
        row["build_requires"] = tuple(row["build_requires"])
    if row["metadata"] is not None:
        row["metadata"] = Sidecar(**row["metadata"])
    if row["provenance"] is not None:
        row["provenance"] = Sidecar(**row["provenance"])
    return BundledFile(**row)


def _parts_at(text: str, at: int) -> Parts:
    """The parts of the row of a file that begins there, which was checked.

    Its keys are in order, and since a quote in a text is escaped, no text can look like a key.
    """
    begin = text.index(_NAME, at) + len(_NAME)
    end = text.index('"', begin)
    beside = _BESIDE.search(text, end)
    own = beside and _OWN.search(text, beside.end())
    if not beside or not own:
        raise ValueError(text[begin:end])
    metadata, size, provenance, length = beside.groups()
    return Parts(
        FileName(text[begin:end]),
        Sha256(own[1]),
        int(own[2]),
        (Sha256(metadata), int(size)) if metadata else None,
        (Sha256(provenance), int(length)) if provenance else None,
    )


def member_of(row: dict[str, Any]) -> Member:
    """The member of a row that was checked."""
    return Member(**row)
