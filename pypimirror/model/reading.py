"""Typed reading of decoded JSON, for formats that are hostile until checked: every fault names the path to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from pypimirror.values import dataclass

__all__ = ["Malformed", "Node"]

T = TypeVar("T")

_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(ValueError):
    """A value is not what the format says. ``where`` is the path to it: ``files[3].sha256``."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where or 'top level'}: {what}")
        self.where = where
        self.what = what


@dataclass(frozen=True, slots=True)
class Node:
    """A decoded JSON value and the path that led to it. Methods raise Malformed."""

    value: object
    where: str = ""

    def fields(self, *required: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """The members of an object that has all of *required*, perhaps some of *optional*, and no others."""
        if not isinstance(self.value, dict):
            raise Malformed(self.where, "not an object")
        for key in required:
            if key not in self.value:
                raise Malformed(self.where, f"{key!r} is missing")
        for key in self.value:
            if key not in required and key not in optional:
                raise Malformed(self.where, f"unknown member {str(key)[:80]!r}")
        return {key: Node(value, f"{self.where}.{key}" if self.where else key) for key, value in self.value.items()}

    def items(self) -> Iterator[Node]:
        """The elements of an array."""
        if not isinstance(self.value, list):
            raise Malformed(self.where, "not an array")
        return (Node(value, f"{self.where}[{i}]") for i, value in enumerate(self.value))

    def text(self, *, limit: int = 65_536) -> str:
        """A string of at most *limit* characters that can be written as UTF-8 and holds no NUL."""
        if not isinstance(self.value, str):
            raise Malformed(self.where, "not a string")
        if len(self.value) > limit:
            raise Malformed(self.where, f"longer than {limit} characters")
        if "\0" in self.value or (not self.value.isascii() and _SURROGATE.search(self.value)):
            raise Malformed(self.where, "not valid text")
        return self.value

    def texts(self) -> tuple[str, ...]:
        return tuple(node.text() for node in self.items())

    def number(self, *, low: int = 0, high: int = 2**53) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise Malformed(self.where, "not a whole number")
        if not low <= self.value <= high:
            raise Malformed(self.where, f"not between {low} and {high}")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise Malformed(self.where, "neither true nor false")
        return self.value

    def checked(self, check: Callable[[str], T], *, limit: int = 65_536) -> T:
        """A string passed through a checker that raises ValueError."""
        text = self.text(limit=limit)
        try:
            return check(text)
        except ValueError as error:
            raise Malformed(self.where, str(error)) from None

    def maybe(self, read: Callable[[Node], T]) -> T | None:
        """None for null, else what *read* makes of it."""
        return None if self.value is None else read(self)
