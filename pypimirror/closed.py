"""The closed half, told as a story: bundles -> verified files -> pages -> one swap. No network, no resolver."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pypimirror.bundle.reader import open_bundle
from pypimirror.model.names import Label
from pypimirror.reporting import Reporter
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import Imported, import_bundle
from pypimirror.tree.publish import Published, publish

__all__ = ["Rendered", "render"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What came of each bundle, and what is served now."""

    imported: tuple[Imported, ...]
    published: Published


def render(
    bundles: Sequence[Path | BinaryIO],
    tree_path: Path,
    *,
    now: int,
    plain: bool = False,
    channels: Sequence[Label] | None = None,
    replace: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
) -> Rendered:
    """Import every bundle, then publish them all in one step. *now* in seconds since 1970, *wait* in seconds.

    Verified files are kept even when a later step fails; what clients see changes only at the very end.
    """
    reporter = reporter or Reporter()
    with open_tree(tree_path, plain=plain, wait=wait) as tree:
        imported: list[Imported] = []
        for source in bundles:
            reporter.step("Importing")
            with open_bundle(source, reporter=reporter) as bundle:
                size = source.stat().st_size if isinstance(source, Path) else None
                imported.append(import_bundle(tree, bundle, bundle_size=size))
        replaced: Collection[Label] = {each.manifest.channel for each in imported} if replace else ()
        published = publish(
            tree,
            [each.digest for each in imported],
            now=now,
            channels=channels,
            replace=replaced,
            reporter=reporter,
        )
    return Rendered(imported=tuple(imported), published=published)
