"""Reading files that may be anything by now: only regular ones, never through a link, never more than is sensible."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

from pypimirror.model.names import Sha256

__all__ = ["NotRegular", "open_regular", "read_regular", "sha256_of", "sha256_of_all"]

_CHUNK = 1 << 20
_AT_ONCE = 1024
_TOGETHER = 32  # files that one worker takes at a time
_MOST_WORKERS = 4
# A pipe that was put there since must not hold us.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotRegular(OSError):
    """What stands there is no regular file, or one larger than any that could be right."""


def sha256_of(path: Path) -> Sha256:
    """The digest of a file. Raises OSError, for a link as well."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size < _CHUNK:  # a buffer of that size for each small file would cost more
            digest.update(file.readall())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return Sha256(digest.hexdigest())


def read_regular(path: Path, *, limit: int) -> bytes:
    """The bytes of a file, which are at most *limit*. Raises NotRegular, and OSError otherwise."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise NotRegular(errno.EFBIG, f"larger than {limit} bytes")
        return file.readall()


def open_regular(path: Path) -> FileIO:
    """A file open for reading. Raises NotRegular for a link or anything else, and OSError otherwise."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise NotRegular(error.errno, "not a regular file") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "not a regular file")
    return FileIO(descriptor, "rb")


def sha256_of_all(paths: Sequence[Path]) -> Iterator[Sha256 | OSError]:
    """The digests in order, or what went wrong; hashed side by side, since hashing is what takes the time."""
    with ThreadPoolExecutor(max_workers=min(_MOST_WORKERS, os.cpu_count() or 1)) as workers:
        for begin in range(0, len(paths), _AT_ONCE):
            some = paths[begin : begin + _AT_ONCE]
            groups = [some[start : start + _TOGETHER] for start in range(0, len(some), _TOGETHER)]
            for digests in workers.map(_try_all, groups):
                yield from digests


def _try_all(paths: Sequence[Path]) -> list[Sha256 | OSError]:
    return [_try(path) for path in paths]


def _try(path: Path) -> Sha256 | OSError:
    try:
        return sha256_of(path)
    except OSError as error:
        return error
