"""Hashing files that may be anything: only regular ones are opened, and never through a link."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pypimirror.model.names import Sha256

__all__ = ["read_regular", "sha256_of", "sha256_of_all"]

_CHUNK = 1 << 20
_AT_ONCE = 256
_MOST_WORKERS = 4
# A pipe that was put there since must not hold us.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def sha256_of(path: Path) -> Sha256:
    """The digest of a file. Raises OSError, for a link as well."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, _FLAGS), "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return Sha256(digest.hexdigest())


def read_regular(path: Path) -> bytes:
    """The bytes of a small file. Raises OSError, for a link as well."""
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        return file.read()


def sha256_of_all(paths: Sequence[Path]) -> Iterator[Sha256 | OSError]:
    """The digests in order, or what went wrong; hashed side by side, since hashing is what takes the time."""
    with ThreadPoolExecutor(max_workers=min(_MOST_WORKERS, os.cpu_count() or 1)) as workers:
        for begin in range(0, len(paths), _AT_ONCE):
            yield from workers.map(_try, paths[begin : begin + _AT_ONCE])


def _try(path: Path) -> Sha256 | OSError:
    try:
        return sha256_of(path)
    except OSError as error:
        return error
