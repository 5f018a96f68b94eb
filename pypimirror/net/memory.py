"""What large pages take goes back to the system when they are done with.

The C library of most Linux systems maps a large block by itself, and unmaps it when it is freed. But from the first one
that is freed it learns to keep blocks of that size in the arenas of its threads, for ever: with sixteen threads and
pages of up to eight megabytes that came to 80 MB that nobody used. A bound that is set stays as it is (mallopt(3)).
"""

from __future__ import annotations

import functools
import sys
from contextlib import suppress

__all__ = ["give_back"]

_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 19


@functools.cache
def give_back() -> None:
    """From now on, where the C library can be told so. Elsewhere nothing happens."""
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):  # no ctypes, or another C library
            import ctypes  # noqa: PLC0415 - 3 ms, and only for who reads large pages

            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
