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

__all__ = ["NotRegular", "open_regular", "read_regular", "sha256_of", "sha256_of_all", "sha256_of_each"]

_CHUNK = 1 << 20
_AT_ONCE = 1024
_TOGETHER = 32  # files that one worker takes at a time
_WORTH_A_THREAD = 32_768  # bytes
_MOST_WORKERS = 4
# A pipe that was put there since must not hold us.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotRegular(OSError):
    """What stands there is no regular file, or one larger than any that could be right."""


def sha256_of(path: Path | str) -> Sha256:
    """The digest of a file. Raises OSError, for a link as well."""
    descriptor, size = _open_regular(path)
    digest = hashlib.sha256()
    try:
        while data := os.read(descriptor, min(size + 1, _CHUNK)):  # a larger buffer for each small file would cost more
            digest.update(data)
    finally:
        os.close(descriptor)
    return Sha256(digest.hexdigest())


def read_regular(path: Path, *, limit: int) -> bytes:
    """The bytes of a file, which are at most *limit*. Raises NotRegular, and OSError otherwise."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise NotRegular(errno.EFBIG, f"larger than {limit} bytes")
        return file.readall()


def open_regular(path: Path) -> FileIO:
    """A file open for reading. Raises NotRegular for a link or anything else, and OSError otherwise."""
    return FileIO(_open_regular(path)[0], "rb")


def _open_regular(path: Path | str) -> tuple[int, int]:
    """Its descriptor and its size."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise NotRegular(error.errno, "not a regular file") from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "not a regular file")
    return descriptor, status.st_size


def sha256_of_all(paths: Sequence[Path | str]) -> Iterator[Sha256 | OSError]:
    """The digests in order, or what went wrong; hashed side by side, since hashing is what takes the time."""
    with ThreadPoolExecutor(max_workers=min(_MOST_WORKERS, os.cpu_count() or 1)) as workers:
        for begin in range(0, len(paths), _AT_ONCE):
            some = paths[begin : begin + _AT_ONCE]
            groups = [some[start : start + _TOGETHER] for start in range(0, len(some), _TOGETHER)]
            for digests in workers.map(_try_all, groups):
                yield from digests


def sha256_of_each(files: Sequence[tuple[str, int | None]]) -> Iterator[Sha256 | OSError]:
    """Likewise, given paths and sizes: small files are not worth a thread."""
    paths = [path for path, _ in files]
    small = sum(size or 0 for _, size in files) < _WORTH_A_THREAD * len(files)
    return iter(_try_all(paths)) if small else sha256_of_all(paths)


def _try_all(paths: Sequence[Path | str]) -> list[Sha256 | OSError]:
    return [_try(path) for path in paths]


def _try(path: Path | str) -> Sha256 | OSError:
    try:
        return sha256_of(path)
    except OSError as error:
        return error
