"""The reader of local files: the port of ``inputs`` to this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pypimirror.errors import IndexFault
from pypimirror.inputs.reader import MAX_FILE_SIZE
from pypimirror.model.urls import redact

__all__ = ["LocalReader"]

Fetch = Callable[[str], bytes]


class LocalReader:
    """Reads local paths and ``file:`` addresses itself, and hands ``http(s):`` addresses to *fetch*.

    *base* is the folder that relative paths count from; None means the current one. *fetch* raises IndexFault.
    """

    def __init__(self, *, base: Path | None = None, fetch: Fetch | None = None) -> None:
        self._base = base
        self._fetch = fetch

    def read(self, path: str) -> bytes:
        """The bytes, of which no more than one over the limit are read: a device has no end."""
        if path.lower().startswith(("http:", "https:")):
            if self._fetch is None:
                hint = "download the file, and name its path"
                raise IndexFault(
                    f"{redact(path)}: there is no network here to read it from", code="no-network", hint=hint
                )
            return self._fetch(path)
        with self._path(path).open("rb") as file:
            return file.read(MAX_FILE_SIZE + 1)

    def is_file(self, path: str) -> bool:
        try:
            return self._path(path).is_file()
        except (OSError, ValueError):
            return False

    def is_folder(self, path: str) -> bool:
        try:
            return self._path(path).is_dir()
        except (OSError, ValueError):
            return False

    def absolute(self, path: str) -> str:
        """The address without ``..``, which is taken out by name, as pip does: links are not followed."""
        return Path(os.path.normpath(self._path(path).absolute())).as_uri()

    def _path(self, path: str) -> Path:
        """Raises OSError for a ``file:`` address of another host."""
        local = Path(_path_of_address(path) if path.lower().startswith("file:") else path)
        return local if self._base is None else self._base / local


def _path_of_address(url: str) -> str:
    """RFC 8089: an empty host and ``localhost`` are this machine."""
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} and os.name != "nt":
        raise OSError(f"a file: address of another host: {redact(url)}")
    host = f"//{parts.netloc}" if parts.netloc not in {"", "localhost"} else ""
    from urllib.request import url2pathname  # noqa: PLC0415 - slow to import, and hardly ever needed

    return url2pathname(host + parts.path)
