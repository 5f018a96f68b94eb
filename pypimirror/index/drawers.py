"""The files of a listing, one drawer a version. A drawer is opened, and its rows judged, when somebody looks into it.

``drawers`` gives those of any listing: one whose page was only outlined, or one that is a plain list of files.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from pypimirror.index.outline import Outline
from pypimirror.index.rows import Rows
from pypimirror.model.files import ListedFile, Listing, Rejection
from pypimirror.model.names import Version, parse_version

__all__ = ["Drawers", "OutlinedFiles", "Refused", "drawers"]

_AHEAD = 8  # versions


class Versions(Sequence[Version]):
    """Versions, the newest first, each read from its text when it is looked at."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Version: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Version]: ...
    def __getitem__(self, place: int | slice) -> Version | Sequence[Version]:
        if isinstance(place, slice):
            return Versions(self._texts[place])
        return parse_version(self._texts[place])


class Drawers:
    """``versions`` newest first; bit n of ``finals`` is set where the n-th is a final release."""

    def __init__(
        self, versions: Sequence[Version], finals: int, look_into: Callable[[int], Iterable[ListedFile]]
    ) -> None:
        self.versions = versions
        self.finals = finals
        self._look_into = look_into
        self._opened: dict[int, tuple[ListedFile, ...]] = {}

    def place(self, version: Version) -> int | None:
        """Where *version* stands in ``versions``; None where it does not."""
        place = self.below(version)
        return place if place < len(self.versions) and self.versions[place] == version else None

    def below(self, version: Version) -> int:
        """The place of the first version that is not above *version*; their number where there is none."""
        return bisect_left(range(len(self.versions)), True, key=lambda place: self.versions[place] <= version)

    def __getitem__(self, place: int) -> tuple[ListedFile, ...]:
        """The files of the version at *place*, by name. Raises IndexFault where its rows can't be read."""
        opened = self._opened.get(place)
        if opened is None:
            files = tuple(sorted(self._look_into(place), key=lambda file: file.name.filename))
            opened = self._opened.setdefault(place, files)  # whichever thread came first: all see the same
        return opened


class RowTexts:
    """The rows of an outlined page as text. Those that are near are at hand; for others the page is read once more.

    Who looks at one old version will look at older ones: what comes with it is kept, twice as much each time.
    """

    def __init__(self, outline: Outline, read: Callable[[], str]) -> None:
        self._outline = outline
        self._read = read
        self._held = dict(outline.near)
        self._ahead = _AHEAD

    def at(self, place: int) -> str:
        """Those of one version."""
        if place not in self._held:
            text = self._read()
            for each in range(place, min(place + self._ahead, len(self._outline.spans))):
                if each not in self._held:
                    self._held[each] = self._outline.rows_at(each, text)
            self._ahead *= 2
        return self._held[place]

    def every(self) -> Iterator[str]:
        """All, in the page's order."""
        text = self._read()
        places = [*self._outline.rest, *(place for spans in self._outline.spans for place in spans)]
        places.sort()
        return (text[start:end] for start, end in zip(places[::2], places[1::2], strict=True))


class OutlinedFiles(Sequence[ListedFile]):
    """The files of a page that was only outlined. ``read`` gives its whole text, ``judge`` the rows that a text holds.

    To be asked for all of them, or how many they are, judges every row. Safe for threads.
    """

    def __init__(self, outline: Outline, read: Callable[[], str], judge: Callable[[Iterable[str]], Rows]) -> None:
        self._texts = texts = RowTexts(outline, read)
        self._judge = judge
        self._all: Rows | None = None
        self.drawers = Drawers(Versions(outline.versions), outline.finals, lambda place: judge([texts.at(place)]).files)

    def rows(self) -> Rows:
        """Every row, in the page's order."""
        if self._all is None:
            self._all = self._judge(self._texts.every())
        return self._all

    def __len__(self) -> int:
        return len(self.rows().files)

    @overload
    def __getitem__(self, place: int) -> ListedFile: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ListedFile]: ...
    def __getitem__(self, place: int | slice) -> ListedFile | Sequence[ListedFile]:
        return self.rows().files[place]

    def __iter__(self) -> Iterator[ListedFile]:
        return iter(self.rows().files)


class Refused(Sequence[Rejection]):
    """The rejections of a page that was only outlined: to look at them judges every row."""

    def __init__(self, files: OutlinedFiles) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files.rows().rejected)

    @overload
    def __getitem__(self, place: int) -> Rejection: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Rejection]: ...
    def __getitem__(self, place: int | slice) -> Rejection | Sequence[Rejection]:
        return self._files.rows().rejected[place]


def drawers(listing: Listing) -> Drawers:
    """The files of *listing* by version."""
    if isinstance(listing.files, OutlinedFiles):
        return listing.files.drawers
    groups: dict[Version, list[ListedFile]] = {}  # "1.0" and "1.0.0" are one version
    for file in listing.files:
        groups.setdefault(file.name.version, []).append(file)
    versions = tuple(sorted(groups, reverse=True))
    finals = sum(1 << place for place, version in enumerate(versions) if not version.is_prerelease)
    return Drawers(versions, finals, lambda place: groups[versions[place]])
