"""How ``packages/`` comes to hold all that is wanted: looked through share by share, and then done share by share.

A *share* is what some projects want, those of one shard: never more is in memory. What a share lacks may lie among the
files of any other project, under another name; only for that, all shares and ledgers are looked through once more.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, pairwise

from pypimirror.errors import IntegrityFault, PolicyFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.manifest_lists import files_of
from pypimirror.model.names import NormalizedName, Sha256
from pypimirror.tree.contents import Served, wanted_by
from pypimirror.tree.folder import Tree
from pypimirror.tree.shards import in_shards
from pypimirror.tree.stock import Missing, Stock
from pypimirror.values import dataclass

__all__ = ["Share", "Stocking", "missing_of", "shares_of"]

_DIGITS = 13  # of a sha256, hexadecimal: 52 of the 64 bits of a number
_BITS = 12  # for the number of a share


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What some projects want in ``packages/``, by name. They are all of one *shard*."""

    shard: str
    projects: Collection[NormalizedName]
    files: dict[str, Served]

    def to_come(self, tree: Tree) -> dict[str, Served]:
        """What of it *tree* does not have with these projects."""
        return Stock(tree, self.projects).to_come(self.files)


def shares_of(manifest: Manifest) -> Iterator[Share]:
    """What a bundle lists."""
    files = files_of(manifest.files)
    for shard, names in in_shards(project.name for project in manifest.projects):
        yield Share(shard=shard, projects=names, files=wanted_by(file for name in names for file in files(name)))


def missing_of(tree: Tree, manifest: Manifest) -> tuple[Missing, ...]:
    """What of a bundle can be had from nowhere, by name. Raises OSError."""
    stocking = Stocking(tree, lambda: shares_of(manifest))
    stocking.look()
    return stocking.missing


class Stocking:
    """What *shares* want, which gives the same each time. Methods raise IntegrityFault, OSError.

    Once ``look`` was called: ``missing`` can be had from nowhere, by name; ``copied`` are the bytes that will be there
    twice, and ``steps`` counts what is to be done.
    """

    def __init__(self, tree: Tree, shares: Callable[[], Iterable[Share]]) -> None:
        self.missing: tuple[Missing, ...] = ()
        self.copied = self.steps = 0
        self._tree = tree
        self._shares = shares
        self._elsewhere: dict[Sha256, str] = {}
        self._repeated: set[int] = set()
        self._fresh: set[str] = set()

    def look(self, shares: Iterable[Share] | None = None) -> None:
        """Find out what is to be done, where need be in *shares* that tell on their way what they are.

        Raises PolicyFault where nothing is missing, and a name has other bytes already.
        """
        lacking: dict[str, Served] = {}
        marks = array("Q")
        refused: PolicyFault | None = None
        for number, share in enumerate(shares or self._shares()):
            try:
                moves, lacks = Stock(self._tree, share.projects).moves(share.files, {})
            except PolicyFault as fault:
                refused = refused or fault
                continue
            lacking.update(lacks)
            if len(moves) == len(share.files) and all(each.came_in for each in moves):
                self._fresh.add(share.shard)
            self.steps += len(moves) + len(lacks)
            self.copied += sum(each.served.size for each in moves if each.is_copy)
            self.copied += sum(each.size for each in lacks.values())
            marks.extend(_mark(each.served.sha256) << _BITS | number for each in moves)
        self._repeated = _in_several(marks)
        if lacking:
            self._find({each.sha256 for each in lacking.values()})
        self.missing = tuple(
            Missing(name=name, size=served.size)
            for name, served in sorted(lacking.items())
            if served.sha256 not in self._elsewhere
        )
        if refused is not None and not self.missing:
            raise refused

    def carry_out(self, share: Share) -> None:
        """All steps of one share; nothing of it may be missing."""
        stock = Stock(self._tree, share.projects)
        repeated = {each.sha256 for each in share.files.values() if self._repeated and self._is_repeated(each.sha256)}
        fresh = share.shard in self._fresh and not repeated
        moves, lacking = stock.moves(share.files, self._elsewhere, fresh=fresh)
        if lacking:
            raise self._vanished(next(iter(lacking)))
        for move in moves:
            try:
                stock.carry_out(move)
            except FileNotFoundError:
                raise self._vanished(move.name) from None
            if move.served.sha256 in repeated:
                self._elsewhere.setdefault(move.served.sha256, move.name)

    def _is_repeated(self, sha256: Sha256) -> bool:
        return _mark(sha256) in self._repeated

    def _vanished(self, name: str) -> IntegrityFault:
        return IntegrityFault(f"{name} vanished from {self._tree.shown}", code="tree-damaged")

    def _find(self, digests: Collection[Sha256]) -> None:
        """Names in ``packages/`` of bytes that no share has among its own projects."""
        names: dict[Sha256, set[str]] = {}
        sizes: dict[Sha256, Served] = {}
        wanted = (each for share in self._shares() for each in share.files.items())
        for name, served in chain(self._tree.listed_of_all(), wanted):
            if served.sha256 in digests:
                names.setdefault(served.sha256, set()).add(name)
                sizes[served.sha256] = served
        stock = Stock(self._tree)
        for sha256, several in names.items():
            for name in sorted(several):
                if stock.stands(name, sizes[sha256], hashed=True):
                    self._elsewhere[sha256] = name
                    break


def _mark(sha256: Sha256) -> int:
    return int(sha256[:_DIGITS], 16)


def _in_several(marks: array[int]) -> set[int]:
    """The beginnings of digests that more than one share wants: the first share takes what came in."""
    return {one >> _BITS for one, other in pairwise(sorted(marks)) if one >> _BITS == other >> _BITS and one != other}
