"""resolvelib's search, repaired.

resolvelib 1.2.1 has faults that ``tests/resolve/test_repair.py`` shows first:

a. It recurses for ever over an orphaned cycle: two projects that want each other, once their only outside wish is
   gone. The fault is in how a finished state becomes a result; so the state is taken as it is, and ``solve`` walks it.
b. When a later pin makes an earlier one invalid, what the earlier one wanted is forgotten, but the pin stays. If it
   fits again later, it counts as satisfied, and its wishes stay forgotten: the result breaks a requirement. So a pin
   whose wishes are forgotten has to go, too.
c. Since pins may become invalid, it can run in a circle, and it can jump back over the pin that was to blame, and then
   says that there is no answer where there is one. Both are rare; then a second, plainer search is asked.
d. What an invalid pin wanted has narrowed the choice of others, and those stay pinned as they were: a version that is
   older than need be, or one that is yanked and that nobody pins any more. So ``forgotten`` tells of whom this may be
   true, and ``solve`` searches again with those looked at last.

The methods that are overridden are private to resolvelib: ``pyproject.toml`` holds it below 1.3 for that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from resolvelib import AbstractProvider, BaseReporter
from resolvelib.resolvers import (
    Criterion,
    RequirementInformation,
    RequirementsConflicted,
    Resolution,
    ResolutionImpossible,
)

from pypimirror.resolve.needs import Candidate, Key, Need

__all__ = ["PlainResolution", "RepairedResolution"]

Criteria = dict[Key, Criterion[Need, Candidate]]


class RepairedResolution(Resolution[Need, Candidate, Key]):
    """A resolution that forgets a pin together with what the pin wanted; ``forgotten`` are the keys of such pins."""

    def __init__(
        self, provider: AbstractProvider[Need, Candidate, Key], reporter: BaseReporter[Need, Candidate, Key]
    ) -> None:
        super().__init__(provider, reporter)
        self.forgotten: set[Key] = set()
        self._asked: dict[Key, tuple[Candidate, Criterion[Need, Candidate], bool]] = {}
        self._preferences: dict[Key, tuple[Criterion[Need, Candidate], Any]] = {}

    def _remove_information_from_criteria(self, criteria: Criteria, parents: Collection[Key]) -> None:
        super()._remove_information_from_criteria(criteria, parents)
        self.forgotten.update(parents)
        for parent in parents:
            self.state.mapping.pop(parent, None)

    def _is_current_pin_satisfying(self, name: Key, criterion: Criterion[Need, Candidate]) -> bool:
        """As resolvelib has it, which asks it of every key twice in each round. A criterion never changes."""
        pin = self._states[-1].mapping.get(name)
        if pin is None:
            return False
        asked = self._asked.get(name)
        if asked is None or asked[0] is not pin or asked[1] is not criterion:
            asked = (pin, criterion, all(need.admits(pin.version) for need in criterion.iter_requirement()))
            self._asked[name] = asked
        return asked[2]

    def _get_preference(self, name: Key) -> Any:  # noqa: ANN401 - resolvelib's Preference: what compares
        """As resolvelib has it, which asks for every open key in each round. Clashes and the criterion change it."""
        criterion = self._states[-1].criteria[name]
        known = self._preferences.get(name)
        if known is None or known[0] is not criterion:
            known = self._preferences[name] = (criterion, super()._get_preference(name))
        return known[1]

    def _backjump(self, causes: list[RequirementInformation[Need, Candidate]]) -> bool:
        self._preferences.clear()
        return super()._backjump(causes)


class PlainResolution(Resolution[Need, Candidate, Key]):
    """A resolution whose pins never become invalid, since what would break one is refused; it steps back one by one.

    It finds an answer wherever there is one, given time; on large worlds it may need far too much of it.
    """

    def _get_updated_criteria(self, candidate: Candidate) -> Criteria:
        criteria = super()._get_updated_criteria(candidate)
        pins = {**self.state.mapping, candidate.key: candidate}
        for need in self._p.get_dependencies(candidate):
            pin = pins.get(need.key)
            if pin is not None and not need.admits(pin.version):
                raise RequirementsConflicted(criteria[need.key])
        return criteria

    def _backjump(self, causes: list[RequirementInformation[Need, Candidate]]) -> bool:
        while len(self._states) >= 3:  # noqa: PLR2004 - the root state, one with a pin, and the one that failed
            del self._states[-1]
            broken = self._states.pop()
            if not broken.mapping:
                break
            key, candidate = broken.mapping.popitem()
            excluded = [(each, list(criterion.incompatibilities)) for each, criterion in broken.criteria.items()]
            self._push_new_state()
            if self._patch_criteria([*excluded, (key, [candidate])]):
                return True
        raise ResolutionImpossible(causes)
