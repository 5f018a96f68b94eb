"""The judge: what holds on one patch release of one target. It notes every patch release at which its answers change.

A bare ``3.11`` stands for all of 3.11.0, 3.11.1, ... Most questions have one answer for all of them. Those that don't
(``python_full_version < "3.11.3"``, ``Requires-Python: !=3.11.1``) name the patch release where the answer turns: a
*breakpoint*. An interval of patch releases without a breakpoint inside is solved once.
"""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from pypimirror.model.names import ParsedName
from pypimirror.model.targets import Target

__all__ = ["NEWEST_PATCH", "Judge"]

NEWEST_PATCH = 60
"""Stands for "the newest patch release" of an interval without an end. No minor version of Python 3 had half as many,
and bounds beyond it (``<=3.9.99``) are met by every release there will be."""

# A bound with what stands before it: an operator, or nothing where a marker is written the other way round. The last
# group is what follows the numbers: a fourth number, ".*", "rc1", ".post2".
_CLAUSE = re.compile(r"(===|==|!=|<=|>=|~=|<|>)?\s*[\"']?v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?!\d)([\w.*+!-]*)")
_TURNS_ON_PATCH = ("python_full_version", "implementation_version")


class Judge:
    """Answers for one target at one patch release; ``breakpoints`` grows with each question that turns on the patch."""

    def __init__(self, target: Target, patch: int) -> None:
        self.target = target
        self.patch = patch
        self.breakpoints: set[int] = set()
        environment = target.environment_at(patch)
        self.minor = environment.python_version
        self.full_version = environment.python_full_version
        self._markers = environment.markers()
        self._ranks = {tag: rank for rank, tag in enumerate(target.tags)}
        self._pythons = frozenset(tag.rpartition("-")[0] for tag in target.tags)
        self._ranks_of: dict[tuple[tuple[str, ...], ...], int | None] = {}
        self._marker_answers: dict[tuple[str, str], bool] = {}
        # By identity, since to hash a marker makes it text anew; it is held, so that no other one takes its place.
        self._asked: dict[tuple[int, str], tuple[Marker, bool]] = {}
        self._python_answers: dict[str, bool] = {}

    def marker_holds(self, marker: Marker, extra: str = "") -> bool:
        """Whether an environment marker holds with *extra* asked for ('' for none).

        A marker that compares what can't be compared (``platform_release >= "4"`` where nothing is known of the
        release) does not hold, as in uv.
        """
        asked = self._asked.get((id(marker), extra))
        if asked is None:
            asked = self._asked[id(marker), extra] = (marker, self._holds(marker, extra))
        return asked[1]

    def _holds(self, marker: Marker, extra: str) -> bool:
        text = str(marker)
        key = (text, extra)
        answer = self._marker_answers.get(key)
        if answer is None:
            if any(name in text for name in _TURNS_ON_PATCH):
                self.breakpoints |= _breakpoints(text, self.minor)
            try:
                answer = marker.evaluate({**self._markers, "extra": extra})
            except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
                answer = False
            self._marker_answers[key] = answer
        return answer

    def python_fits(self, requires_python: str | None) -> bool:
        """Whether a Requires-Python admits this patch release. An invalid one admits all, as in pip."""
        if not requires_python:
            return True
        answer = self._python_answers.get(requires_python)
        if answer is None:
            self.breakpoints |= _breakpoints(requires_python, self.minor)
            answer = _admits(requires_python, self.full_version)
            self._python_answers[requires_python] = answer
        return answer

    def rank(self, name: ParsedName) -> int | None:
        """The place of a wheel's best tag in the target's list, 0 the best; None where none of its tags is there."""
        triple = (name.pythons, name.abis, name.platforms)
        if triple not in self._ranks_of:
            ranks = self._ranks
            self._ranks_of[triple] = min((ranks[tag] for tag in name.tags() if tag in ranks), default=None)
        return self._ranks_of[triple]

    def python_tag_fits(self, name: ParsedName) -> bool:
        """Whether this Python could install a wheel on some platform: tells "other platform" from "other Python"."""
        return any(f"{python}-{abi}" in self._pythons for python in name.pythons for abi in name.abis)


@lru_cache(maxsize=16384)
def _admits(requires_python: str, full_version: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(Version(full_version), prereleases=True)
    except InvalidSpecifier:
        return True


@lru_cache(maxsize=16384)
def _breakpoints(text: str, minor: str) -> frozenset[int]:
    """The patch releases of *minor* at which a specifier or a marker may turn. Too many do no harm."""
    found: set[int] = set()
    for operator, major, middle, micro, more in _CLAUSE.findall(text):
        if f"{int(major)}.{int(middle)}" != minor or (not micro and more == ".*"):
            continue
        # ">3.11" and "<=3.11" tell 3.11.0 from 3.11.1: a bound without a patch stands for patch 0 (PEP 440).
        patch = int(micro or 0)
        if operator in (">=", "<", "~=") and not more:
            found.add(patch)
        else:
            # ">3.11.0b1" turns at 3.11.0 already: a pre-release stands below its own final release.
            found.update((patch, patch + 1))
    return frozenset(patch for patch in found if patch <= NEWEST_PATCH)
