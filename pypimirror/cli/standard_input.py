"""Where ``-`` stands for a bundle."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click

from pypimirror.errors import UsageFault

__all__ = ["bundles_named", "standard_input"]


def bundles_named(names: Sequence[str]) -> list[Path | BinaryIO]:
    """What the bundles of a command line stand for. Raises UsageError, and what ``standard_input`` raises."""
    if names.count("-") > 1:
        raise click.UsageError("'-' stands for standard input, which can be read once")
    return [standard_input() if name == "-" else Path(name) for name in names]


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises UsageFault where the process was started without one (``<&-``, a daemon)."""
    if sys.stdin is None:
        raise UsageFault(
            "there is no standard input", code="no-standard-input", hint="name the bundle, or give it by a pipe"
        )
    return sys.stdin.buffer
