"""A page: the one thing that everything that renders makes. Pure."""

from __future__ import annotations

from pypimirror.values import dataclass

__all__ = ["Page"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One rendered file of a tree or a bundle. ``path`` is relative to the served folder."""

    path: str
    data: bytes
