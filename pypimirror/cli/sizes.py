"""Sizes and times for people."""

from __future__ import annotations

__all__ = ["count", "size"]

_KILO = 1000


def size(number: int) -> str:
    """``812 B``, ``1.3 kB``, ``24.1 MB``: decimal units, as disks and networks are sold."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _KILO:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KILO
    return f"{value:.1f} TB"


def count(number: int, one: str, many: str = "") -> str:
    """``1 file``, ``3 files``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
