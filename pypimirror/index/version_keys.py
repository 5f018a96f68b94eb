"""Versions in order, without making one of each: a page names up to 2500, and a resolution looks at some twenty.

A key is a tuple that compares as the version does (PEP 440), and equal keys are equal versions. The usual spellings
are read by one regular expression; any other goes by way of ``Version``.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from pypimirror.model.names import parse_version

__all__ = ["Key", "is_final", "version_key"]

Key: TypeAlias = tuple[int, tuple[int, ...], tuple[str, int], int, tuple[int, int], tuple[tuple[int, int, str], ...]]
"""Epoch, release without zeros at its end, pre-release, post-release, development release, local version."""

_LONGEST = 200  # as of a file's name
_USUAL = re.compile(r"([0-9]+(?:\.[0-9]+)*)(?:(a|b|rc)([0-9]+))?(?:\.post([0-9]+))?(?:\.dev([0-9]+))?")
_BEFORE_PRE, _NO_PRE = ("", 0), ("z", 0)  # around "a", "b" and "rc"
_NO_POST = -1
_NO_DEV = (1, 0)  # above each (0, n)


def version_key(text: str) -> Key | None:
    """The key of the version that *text* spells; None where it spells none."""
    if len(text) > _LONGEST:
        return None
    if text.isascii() and text.replace(".", "").isdigit():
        try:
            return (0, _release(text), _NO_PRE, _NO_POST, _NO_DEV, ())
        except ValueError:  # a dot with no number before it, or behind it
            return None
    match = _USUAL.fullmatch(text)
    if match is None:
        return _odd(text)
    release, letter, number, post, dev = match.groups()
    return (
        0,
        _release(release),
        _pre((letter, int(number)) if letter else None, is_dev_alone=post is None and dev is not None),
        int(post) if post else _NO_POST,
        (0, int(dev)) if dev else _NO_DEV,
        (),
    )


def is_final(key: Key) -> bool:
    """Whether it is neither a pre-release nor a development release."""
    return key[2] is _NO_PRE and key[4] is _NO_DEV


def _release(text: str) -> tuple[int, ...]:
    release = tuple(map(int, text.split(".")))
    return release if release[-1] else _stripped(release)


def _stripped(release: tuple[int, ...]) -> tuple[int, ...]:
    while release and not release[-1]:
        release = release[:-1]
    return release


def _pre(pre: tuple[str, int] | None, *, is_dev_alone: bool) -> tuple[str, int]:
    return pre or (_BEFORE_PRE if is_dev_alone else _NO_PRE)


def _odd(text: str) -> Key | None:
    try:
        version = parse_version(text)
    except ValueError:
        return None
    local = version.local.split(".") if version.local else ()
    return (
        version.epoch,
        _stripped(version.release),
        _pre(version.pre, is_dev_alone=version.post is None and version.dev is not None),
        _NO_POST if version.post is None else version.post,
        _NO_DEV if version.dev is None else (0, version.dev),
        tuple([(1, int(part), "") if part.isdigit() else (0, 0, part) for part in local]),
    )
