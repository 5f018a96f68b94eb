"""An index cut into the shards that its generation names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby

from pypimirror.model.names import NormalizedName
from pypimirror.tree.layout import shard_of

__all__ = ["by_shard", "in_shards", "shard"]

shard = lru_cache(maxsize=1 << 17)(shard_of)
"""``shard_of``, remembered: each name is asked for many times in a run."""


def by_shard(index: Mapping[NormalizedName, str]) -> dict[str, dict[NormalizedName, str]]:
    """The projects of an index by shard, with the marks of their pages; shards in order."""
    parts: dict[str, dict[NormalizedName, str]] = {}
    for name, mark in index.items():
        parts.setdefault(shard(name), {})[name] = mark
    return dict(sorted(parts.items()))


def in_shards(projects: Iterable[NormalizedName]) -> Iterator[tuple[str, list[NormalizedName]]]:
    """Projects by shard; shards in order, and the names in each."""
    ordered = sorted(projects, key=lambda name: (shard(name), name))
    return ((name, list(group)) for name, group in groupby(ordered, key=shard))
