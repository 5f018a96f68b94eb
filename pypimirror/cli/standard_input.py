"""Where ``-`` stands for a bundle."""

from __future__ import annotations

import sys
from typing import BinaryIO

from pypimirror.errors import UsageFault

__all__ = ["standard_input"]


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises UsageFault where the process was started without one (``<&-``, a daemon)."""
    if sys.stdin is None:
        raise UsageFault(
            "there is no standard input", code="no-standard-input", hint="name the bundle, or give it by a pipe"
        )
    return sys.stdin.buffer
