"""Plans that were made before: where no page says anything else since, the answer is the same, and nothing is solved.

A plan is a function of the wishes, the targets and the pages that were heeded; what else it was made of, metadata, goes
by the digests in those pages. So it is kept under a digest of the wishes, with a mark of each page; and it holds again
when every page still has its mark. Whatever makes that doubtful (find-links places, which have no mark, and files
without a digest) is not remembered.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import packaging

from pypimirror import __version__
from pypimirror.model.plain import plain, value_of, values_of
from pypimirror.model.plan import Plan
from pypimirror.model.reading import Malformed
from pypimirror.model.requests import Constraint, WishSet
from pypimirror.model.targets import Target
from pypimirror.net.cache import Cache
from pypimirror.net.online_index import OnlineIndex, Witness

__all__ = ["Remembered"]

_RULES = 1  # another number whenever the same wishes and pages may lead to another plan


class Remembered:
    """The plans of one question: these sets, on these targets, asked of *online*. *beside* is what else decides."""

    def __init__(
        self,
        sets: tuple[WishSet, ...],
        targets: tuple[Target, ...],
        build_constraints: tuple[Constraint, ...],
        *,
        online: OnlineIndex,
        cache: Cache,
        beside: object = None,
    ) -> None:
        self._targets = targets
        self._online = online
        self._cache = cache
        rules = [_RULES, __version__, packaging.__version__]
        asked = [*rules, *map(plain, (online.sources, beside, sets, targets, build_constraints))]
        self._wishes = hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    @property
    def known(self) -> bool:
        """Whether there is a plan from before, be it valid or not: it is not looked into."""
        return self._cache.has_plan(self._wishes)

    def recall(self) -> Plan | None:
        """The plan that was made before, where every page that it rests on is as it was."""
        data = self._cache.plan(self._wishes)
        if data is None:
            return None
        try:
            witnesses, planned = json.loads(data)
            rests_on = values_of(Witness, witnesses)
        except (ValueError, TypeError, RecursionError):
            return None
        if not self._online.still(rests_on):
            return None
        try:
            return replace(value_of(Plan, planned), targets=self._targets)
        except (Malformed, RecursionError):
            return None

    def keep(self, made: Plan) -> None:
        """Remember *made*, which ``online`` was asked for, unless something in it may change behind the pages' back."""
        witnesses = self._online.witnesses()
        if witnesses and all(file.listed.sha256 is not None for file in made.files):
            kept = json.dumps([plain(witnesses), plain(replace(made, targets=()))], separators=(",", ":"))
            self._cache.keep_plan(self._wishes, kept.encode())
