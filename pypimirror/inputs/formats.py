"""The arithmetic of ``--only-binary`` and ``--no-binary``, as pip has it."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from pypimirror.model.requests import ALL, FormatControl

__all__ = ["no_binary", "only_binary"]

_NONE = ":none:"


def only_binary(formats: FormatControl, value: str) -> FormatControl:
    """*formats* after one more ``--only-binary VALUE``."""
    target, other = _apply(value, formats.only_binary, formats.no_binary)
    return FormatControl(only_binary=target, no_binary=other)


def no_binary(formats: FormatControl, value: str) -> FormatControl:
    """*formats* after one more ``--no-binary VALUE``."""
    target, other = _apply(value, formats.no_binary, formats.only_binary)
    return FormatControl(only_binary=other, no_binary=target)


def _apply(value: str, target: frozenset[str], other: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Names are added to *target* and leave *other*; ``:all:`` replaces both; ``:none:`` empties *target*.

    What stands before the last ``:all:`` is void, and what stands after it counts only where a ``:none:`` is there.
    """
    words = value.split(",")
    if ALL in words:
        words = words[len(words) - words[::-1].index(ALL) :]
        target, other = frozenset({ALL}), frozenset()
        if _NONE not in words:
            return target, other
    for word in words:
        if word == _NONE:
            target = frozenset()
            continue
        name = canonicalize_name(word)
        other -= {name}
        target |= {name}
    return target, other
