"""Where the bytes of files in ``packages/`` that are wrong or missing can be had: in the tree, and in bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pypimirror.bundle.faults import BundleFault
from pypimirror.bundle.reader import Bundle
from pypimirror.errors import IntegrityFault
from pypimirror.model.names import Sha256
from pypimirror.tree.anatomy import File, Part
from pypimirror.tree.mending import Copy, Mender, Supply

__all__ = ["Supplier"]


class Supplier:
    """Has *mender* put what can be had, out of *bundles* last. ``notes`` tell of bundles that are damaged."""

    def __init__(self, mender: Mender, bundles: Sequence[Bundle]) -> None:
        self.notes: list[str] = []
        self._mender = mender
        self._bundles = bundles

    def put(self, wrong: Mapping[str, File], parts: Mapping[str, Part]) -> None:
        """Files in ``packages/``: from under other names, from ``incoming/``, from bundles."""
        sound = self._mender.sound
        copies = {part.sha256: path for path, part in parts.items() if path in sound and isinstance(part, File)}
        wanted: dict[Sha256, list[str]] = {}
        for path, part in wrong.items():
            if part.sha256 is not None:
                wanted.setdefault(part.sha256, []).append(path)
        for sha256, paths in list(wanted.items()):
            places = [self._mender.at.root / copies[sha256]] if sha256 in copies else []
            for place in (*places, self._mender.at.incoming_file(sha256)):
                if place.is_file() and self._put_copies(Copy(path=place, sha256=sha256), sha256, paths):
                    del wanted[sha256]
                    break
        for bundle in self._bundles:
            if wanted:
                self._take_from(bundle, wanted)

    def _take_from(self, bundle: Bundle, wanted: dict[Sha256, list[str]]) -> None:
        """What *bundle* has of *wanted*; a bundle that is damaged is read as far as it goes."""
        try:
            for member in bundle.members():
                sha256 = member.entry.sha256
                if sha256 is not None and sha256 in wanted and self._put_copies(member, sha256, wanted[sha256]):
                    del wanted[sha256]
        except BundleFault as fault:
            self.notes.append(f"{bundle.name}: {fault}")

    def _put_copies(self, supply: Supply, sha256: Sha256, paths: Sequence[str]) -> bool:
        """Put it under each of *paths*; False where it turned out to be wrong itself."""
        first, *others = paths
        try:
            done = self._mender.put_file(first, supply)
        except BundleFault:
            raise
        except IntegrityFault:
            return False
        for path in others:
            source = first if done else path
            self._mender.put_file(path, Copy(path=self._mender.at.root / source, sha256=sha256))
        return True
