"""The port through which inputs see the world: four questions."""

from __future__ import annotations

from typing import Protocol

__all__ = ["MAX_FILE_SIZE", "Reader"]

MAX_FILE_SIZE = 16 * 1024 * 1024
"""Bytes of one input file. A reader may stop one byte later; a longer file is refused whole."""


class Reader(Protocol):
    """Reads what inputs name. A path is as a person typed it; a relative one counts from the current folder."""

    def read(self, path: str) -> bytes:
        """The bytes of a local path, a ``file:`` address or an ``http(s):`` address.

        Raises OSError where a local file can't be read, a PypimirrorError for anything else.
        """
        ...

    def is_file(self, path: str) -> bool:
        """Whether a local path or a ``file:`` address is a file. Never raises."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether a local path or a ``file:`` address is a folder. Never raises."""
        ...

    def absolute(self, path: str) -> str:
        """The absolute ``file:`` address, quoted and without ``..``, of a local path or a ``file:`` address."""
        ...
