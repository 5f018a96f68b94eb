"""Our ``dataclass`` against the standard library's: the same meaning, for every way in which we make values."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

import pytest

import pypimirror
from pypimirror.values import dataclass

WAYS = [
    {"frozen": True, "kw_only": True, "slots": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "kw_only": True},
    {"kw_only": True, "slots": True},
    {"frozen": True, "kw_only": True, "slots": True, "eq": False},
    {"frozen": True, "kw_only": True, "slots": True, "order": True},
    {},
]


def _several(make: Callable[..., Any]) -> list[Any]:
    class Place:
        """A place."""

        x: int
        y: tuple[int, ...] = ()
        hidden: str = field(default="s", repr=False)
        aside: int = field(default=0, compare=False)

    Point = make(Place)  # noqa: N806 - a class
    return [Point(x=1), Point(x=1, y=(2,)), Point(x=1, hidden="t"), Point(x=1, aside=3), Point(x=1)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_values_compare_hash_and_read_as_those_of_the_standard_library(way: dict[str, bool]) -> None:
    theirs, ours = _several(dataclasses.dataclass(**way)), _several(dataclass(**way))
    assert [repr(each) for each in ours] == [repr(each) for each in theirs]
    pairs = [(a, b) for a in range(5) for b in range(5)]
    assert [ours[a] == ours[b] for a, b in pairs] == [theirs[a] == theirs[b] for a, b in pairs]
    assert all(ours[a] != theirs[a] for a in range(5))
    assert (type(ours[0]).__hash__ is None) == (type(theirs[0]).__hash__ is None)
    if type(ours[0]).__hash__ is not None and way.get("eq", True):
        assert len(set(ours)) == len(set(theirs)) == 3
    assert replace(ours[0], x=5).x == 5
    assert hasattr(ours[0], "__dict__") == hasattr(theirs[0], "__dict__")
    assert type(ours[0]).__doc__ == "A place."


def test_a_method_that_a_class_writes_itself_stays() -> None:
    @dataclass(frozen=True)
    class Own:
        x: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert (repr(Own(1)), Own(1) == 3, hash(Own(1))) == ("own", True, 7)


def test_a_class_without_fields_has_equal_values() -> None:
    @dataclass(frozen=True, slots=True)
    class Nothing:
        """Nothing."""

    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1
    assert repr(Nothing()).endswith("Nothing()")


def test_every_dataclass_of_ours_is_made_this_way() -> None:
    """One that is made by the standard library's costs each run a millisecond."""
    slow = []
    for module in pkgutil.walk_packages(pypimirror.__path__, "pypimirror."):
        if module.name.startswith("pypimirror.build.inside") or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if not (isinstance(value, type) and dataclasses.is_dataclass(value) and "pypimirror" in value.__module__):
                continue
            # What has an order, or is said to have no value of its own, is left to the standard library.
            written = vars(value).get("__eq__")
            if written is not None and "__lt__" not in vars(value) and written.__module__ != "pypimirror.values":
                slow.append(f"{module.name}.{name}")
    assert slow == []
