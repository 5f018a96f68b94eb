"""A disk whose operations fail: the nth, with an error number, once or from then on, before anything or half-way."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from tests.tree.helpers import QuickDisk

__all__ = ["CODES", "Failing"]

CODES = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EIO: "disk-broken",
    errno.EROFS: "disk-read-only",
    errno.EMFILE: "too-many-open-files",
}
"""The numbers that are tried, and the code of the DiskFault that each becomes."""

_OPERATIONS = (
    "create", "reopen", "write", "truncate", "sync_file", "sync_folder", "sync_all", "make_folder", "rename", "link",
    "symlink", "remove", "remove_folder", "set_time", "set_mode", "lock", "free",
    "copy_into",
)  # fmt: skip


class Failing(QuickDisk):
    """Operation number *at* (from 0) fails with *number*; with *for_ever*, each one after it does, too.

    With *half*, a write that fails has written half of its bytes. ``told`` has every operation that was begun.
    """

    def __init__(self, at: int = -1, number: int = errno.EIO, *, for_ever: bool = False, half: bool = False) -> None:
        self.told: list[str] = []
        self._at = at
        self._number = number
        self._for_ever = for_ever
        self._half = half
        for name in _OPERATIONS:
            setattr(self, name, self._counted(name, getattr(super(), name)))

    @property
    def first(self) -> str:
        """The operation that failed, or the first of those that did."""
        return self.told[self._at]

    def remove_tree(self, path: Path) -> None:
        """Name by name, as the real one does, so that it can fail in the middle."""
        for each in sorted(path.iterdir()):
            if each.is_dir() and not each.is_symlink():
                self.remove_tree(each)
            else:
                self.remove(each)
        self.remove_folder(path)

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on as they come
            count = len(self.told)
            self.told.append(f"{name} {args[-1] if args and name != 'write' else ''}".strip())
            if count == self._at or (self._for_ever and 0 <= self._at < count):
                if name == "write" and self._half:
                    _write_half(real, *args)
                raise OSError(self._number, os.strerror(self._number))
            return real(*args, **kwargs)

        return operate


def _write_half(real: Callable[..., Any], file: BinaryIO, data: bytes | memoryview) -> None:
    real(file, bytes(data)[: len(data) // 2])
