"""How pages get into a tree: one way with links, another without. What both promise."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Protocol

from pypimirror.model.names import NormalizedName
from pypimirror.tree.contents import Contents
from pypimirror.tree.page import Page

__all__ = ["Press", "with_twins"]


class Press(Protocol):
    """What ``publish`` hands pages to. Until ``publish`` is called, clients see nothing of them."""

    def put(
        self, project: NormalizedName, pages: Mapping[str, Mapping[str, bytes]], indexes: Mapping[str, str]
    ) -> None:
        """The page folders of a project by mark, and the mark for each index. Raises OSError."""
        ...

    def publish(self, contents: Contents, roots: Sequence[Page], locks: Sequence[Page] | None) -> None:
        """Let clients see it all. *locks* is None where they are those that are served. Raises OSError."""
        ...


def with_twins(pages: Mapping[str, bytes]) -> dict[str, bytes]:
    """The pages, each with its compressed twin beside it, for servers that send those as they lie."""
    found = dict(pages)
    for name, data in pages.items():
        if name.endswith((".html", ".json")):
            found[f"{name}.gz"] = gzip.compress(data, compresslevel=9, mtime=0)
    return found
