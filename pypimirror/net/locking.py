"""A lock on an open file that ends with the process that holds it. Where the system has none, no lock is ever had."""

from __future__ import annotations

from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module is either there or not

__all__ = ["LOCKS", "try_lock"]

LOCKS = fcntl is not None
"""Whether this system has such locks."""


def try_lock(file: BinaryIO) -> bool:
    """Take the exclusive lock on *file*, at once or not at all. It is let go when the file is closed."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):
        return False
    return True
