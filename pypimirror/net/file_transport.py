"""``file:`` addresses. Read only, and only where a person named such an address (or a folder).

RFC 8089. An address of a folder stands for its ``index.html``, as with pip.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from pypimirror.disk import disk_fault
from pypimirror.errors import IndexFault

__all__ = ["content_type", "is_file_url", "open_file", "path_of"]

_TYPES = {
    ".html": "text/html",
    ".htm": "text/html",
    ".json": "application/vnd.pypi.simple.v1+json",
}


def is_file_url(url: str) -> bool:
    return url[:5].lower() == "file:"


def path_of(url: str) -> Path:
    """The local path that a ``file:`` address means. Raises IndexFault where it names another host, or a NUL."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") and os.name != "nt":
        raise IndexFault(
            f"{url}: a file: address can't name another host",
            code="bad-address",
            hint="write file:///path with three slashes",
        )
    if "\0" in unquote(parts.path):
        raise IndexFault(f"{url!r}: not a path", code="bad-address", hint="check the address")
    host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
    return Path(_path_name(host + parts.path))


def _path_name(path: str) -> str:
    if os.name != "nt":
        return unquote(path)
    from urllib.request import url2pathname  # noqa: PLC0415 - slow to import, and for drives only

    return url2pathname(path)


def open_file(url: str) -> BinaryIO | None:
    """The file open for reading; None where there is none. Raises DiskFault where it can't be read."""
    path = path_of(url)
    try:
        if path.is_dir():
            found = next((path / name for name in ("index.html", "index.json") if (path / name).is_file()), None)
            return None if found is None else found.open("rb")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from None


def content_type(name: str) -> str:
    """What a page's file name says of it; anything unusual is bytes."""
    return _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
