"""Needs: what somebody wants of a project, in the form that the search works with.

A project with extras is several keys: ``foo`` itself, and one for each extra. The key of an extra wants ``foo`` at the
very same version, and what the extra asks for beside; so extras of extras, and two extras at once, need no special
case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from functools import lru_cache
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pypimirror.model.files import ListedFile
from pypimirror.model.names import NormalizedName, Version
from pypimirror.model.requests import Root
from pypimirror.values import dataclass

__all__ = ["Candidate", "Key", "Need", "needs_of_requirement", "needs_of_text", "parse_requirement"]

_PINNING = ("==", "===")
_BOUNDING = ("<", "<=", "~=", *_PINNING)


class Key(NamedTuple):
    """What is searched for: a project, or one extra of it."""

    project: NormalizedName
    extra: str = ""

    def __str__(self) -> str:
        return f"{self.project}[{self.extra}]" if self.extra else self.project


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Need:
    """One want of one key. ``text`` is the requirement as its author wrote it; ``root`` the root it comes from, if any.

    ``exact`` is set where an extra wants its own project at its own version. ``pins``, ``bounds`` and ``specifies``
    tell whether the specifier has an ``==``, an upper bound, anything; they and the answers are remembered, for the
    search asks very often.
    """

    key: Key
    specifier: SpecifierSet
    text: str
    root: Root | None = None
    exact: Version | None = None
    pins: bool = field(init=False)
    bounds: bool = field(init=False)
    specifies: bool = field(init=False)
    _by_text: bool = field(init=False)  # "===" tells "1.0" from "1.0.0", which are equal
    _answers: dict[Version, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        operators = {clause.operator for clause in self.specifier}
        object.__setattr__(self, "pins", not operators.isdisjoint(_PINNING))
        object.__setattr__(self, "_by_text", "===" in operators)
        object.__setattr__(self, "bounds", not operators.isdisjoint(_BOUNDING))
        object.__setattr__(self, "specifies", bool(operators))

    def admits(self, version: Version) -> bool:
        if self.exact is not None:
            return version == self.exact
        answer = self._answers.get(version)
        if answer is None or self._by_text:
            answer = self._answers[version] = self.specifier.contains(version, prereleases=True)
        return answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One key at one version, with the file that the target would install."""

    key: Key
    version: Version
    file: ListedFile

    def __str__(self) -> str:
        return f"{self.key} {self.version}"


@lru_cache(maxsize=65536)
def parse_requirement(text: str) -> Requirement | None:
    """A requirement of somebody's metadata, remembered by text; None where it can't be read."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


@lru_cache(maxsize=65536)
def needs_of_text(text: str) -> tuple[Need, ...]:
    """The needs of a requirement of somebody's metadata, remembered by text, with what they remember themselves.

    Raises InvalidRequirement.
    """
    return tuple(needs_of_requirement(parse_requirement(text) or Requirement(text)))


def needs_of_requirement(requirement: Requirement, *, root: Root | None = None) -> Iterator[Need]:
    """The needs that one requirement stands for: the project, and each of its extras."""
    project = canonicalize_name(requirement.name)
    text = str(requirement)
    yield Need(key=Key(project), specifier=requirement.specifier, text=text, root=root)
    for extra in sorted({canonicalize_name(extra) for extra in requirement.extras}):
        yield Need(key=Key(project, extra), specifier=requirement.specifier, text=text, root=root)
