"""All that resolving ever asks of the world: two questions and a hint.

Answers are immutable and remembered by whoever implements the port, so a resolution is a function of its inputs.
``net`` implements it online, a manifest implements it offline, the tests implement it in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pypimirror.model.files import CoreMetadata, ListedFile, Listing
from pypimirror.model.names import NormalizedName

__all__ = ["Index"]


class Index(Protocol):
    """An index, or several behind one face."""

    def listing(self, project: NormalizedName) -> Listing | None:
        """What there is of *project*; None where no index has it.

        Raises IndexFault where an index can't be reached or read: that is never taken for "not there".
        """
        ...

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        """The core metadata of one file that a listing named.

        Raises IndexFault where it can't be had, IntegrityFault where it contradicts its hash or its file's name,
        ResolutionFault (code ``metadata-not-static``) for an sdist whose metadata only a build can tell.
        """
        ...

    def expect(self, projects: Iterable[NormalizedName]) -> None:
        """A hint that these projects are likely to be asked for soon. Never raises, returns at once."""
        ...
