"""What lies in a tree and is served by nobody: of runs that were cut short, and of bundles that wait for more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property

from pypimirror.errors import IntegrityFault
from pypimirror.model.names import sha256_of_hex
from pypimirror.tree.contents import Served, wanted_by
from pypimirror.tree.hashing import sha256_of
from pypimirror.tree.records import generations, inventory_of, read_accepted, read_generation
from pypimirror.tree.view import View

__all__ = ["Leftovers"]

_PACKAGE = re.compile(r"packages/([^/]+)")
_MANIFEST = re.compile(r"[0-9a-f]{64}\.json")


class Leftovers:
    """What one tree holds beside what it serves."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._paths: list[str] = []

    def explain(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Whether a file in ``packages/`` is one that a run moved there and did not come to publish, or to remove."""
        match = _PACKAGE.fullmatch(path)
        if match is None or not entry.is_file(follow_symlinks=False):
            return False
        size = entry.stat(follow_symlinks=False).st_size
        known = [served for served in self._known.get(match[1], ()) if served.size == size]
        try:
            return bool(known) and sha256_of(self._view.at.root / path) in {served.sha256 for served in known}
        except FileNotFoundError:
            raise
        except OSError:  # what can't be read is not explained
            return False

    def add(self, path: str) -> None:
        self._paths.append(path)

    def notes(self) -> Iterator[str]:
        """What a person should know of it; nothing of it is wrong."""
        if waiting := [path for path in self._paths if path.rpartition("/")[2] in self._waiting]:
            yield f"{len(waiting)} imported, and not published yet: {', '.join(self._waiting.values())}"
        if not self._view.plain:
            for number in generations(self._view.at):
                if number > self._view.generation:
                    yield (
                        f"generation {number} is newer than {self._view.generation}, which is served: a run was cut "
                        "short before it published that, or somebody turned the tree back"
                    )
        swept = [path for path in self._paths if path not in waiting and path != "lost+found"]
        if swept:
            more = f" and {len(swept) - 1} more" if swept[1:] else ""
            yield f"{swept[0]}{more}: left by a run that was cut short, served by nobody; the next render sees to it"

    @cached_property
    def _waiting(self) -> dict[str, str]:
        """The bundles in ``incoming/``, by the names of their manifests."""
        found: dict[str, str] = {}
        incoming = self._view.at.incoming
        for name in _names(incoming):
            with suppress(IntegrityFault, OSError):
                accepted = read_accepted(incoming / name, sha256_of_hex(name.removesuffix(".json")))
                found[name] = accepted.manifest.stem
        return found

    @cached_property
    def _known(self) -> dict[str, list[Served]]:
        """What other manifests and generations than those that are served list for ``packages/``."""
        known: dict[str, list[Served]] = {}
        at = self._view.at
        for folder in (at.incoming, at.manifests):
            for name in _names(folder):
                with suppress(IntegrityFault, OSError):
                    accepted = read_accepted(folder / name, sha256_of_hex(name.removesuffix(".json")))
                    for filename, served in wanted_by(accepted.manifest.files).items():
                        known.setdefault(filename, []).append(served)
        if not self._view.plain:
            for number in generations(at):
                with suppress(IntegrityFault, OSError):
                    for filename, served in inventory_of(at, read_generation(at, number)).packages.items():
                        known.setdefault(filename, []).append(served)
        return known


def _names(folder: os.PathLike[str]) -> list[str]:
    try:
        return sorted(filter(_MANIFEST.fullmatch, os.listdir(folder)))  # noqa: PTH208 - names alone
    except OSError:
        return []
