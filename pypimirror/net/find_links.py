"""A find-links place: a folder, or a page of links to files of many projects (pip's ``--find-links``)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pypimirror.disk import disk_fault
from pypimirror.errors import IndexFault
from pypimirror.index.simple import by_project, folder_files, parse_find_links
from pypimirror.model.files import ListedFile, Listing
from pypimirror.model.names import NormalizedName
from pypimirror.net.bodies import shown
from pypimirror.net.client import Client
from pypimirror.net.file_transport import is_file_url, path_of
from pypimirror.net.settings import Source

__all__ = ["FindLinks"]

_PIECE = 1 << 20


class FindLinks:
    """One place. ``url`` identifies it."""

    def __init__(self, source: Source, client: Client) -> None:
        self.url = source.url
        self._source = source
        self._client = client

    def listings(self) -> Mapping[NormalizedName, Listing]:
        """What is there, by project. Raises IndexFault where it can't be reached, is not there, or can't be read."""
        if is_file_url(self.url) and path_of(self.url).is_dir():
            rows = folder_files(_names(path_of(self.url)), index=self._source.name)
            return by_project(
                (_hashed(row) if isinstance(row, ListedFile) else row for row in rows), index=self._source.name
            )
        answer = self._client.get(self.url, accept="text/html, */*;q=0.1", limit=self._client.limits.page)
        if answer.status != 200:  # noqa: PLR2004 - RFC 9110
            problem = "not there" if answer.status in (404, 410) else f"answered {answer.status}"
            raise IndexFault(
                f"find-links {shown(self.url)}: {problem}", code="no-find-links", hint="check the address or the path"
            )
        rows = parse_find_links(answer.body, answer.content_type, url=answer.url, index=self._source.name)
        return by_project(rows, index=self._source.name)


def _names(folder: Path) -> Iterator[tuple[str, str, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("."):
                    yield (folder / entry.name).as_uri(), entry.name, entry.stat().st_size
    except OSError as error:
        raise disk_fault(error, f"reading {folder}") from None


def _hashed(file: ListedFile) -> ListedFile:
    """A folder claims no hashes; who names it trusts what lies there now, so that is what is hashed."""
    path = path_of(file.url)
    machine = hashlib.sha256()
    try:
        with path.open("rb") as source:
            while piece := source.read(_PIECE):
                machine.update(piece)
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from None
    return replace(file, hashes=(("sha256", machine.hexdigest()),))
