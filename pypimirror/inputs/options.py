"""The options of a requirements file: which there are, and how a line is split into them.

The splitting is that of pip, which hands the part of a line from the first word with a dash to ``shlex`` and then to
``optparse``: names may be cut short while they are unambiguous, a value may stick to its option.
"""

from __future__ import annotations

import difflib
import re
import shlex
from enum import Enum

from pypimirror.values import dataclass

__all__ = ["Given", "OptionFault", "OptionName", "split_line", "split_options"]


class OptionName(Enum):
    """Every option that some pip since 23.0 allows in a file; the value is the spelling for messages."""

    INDEX_URL = "--index-url"
    EXTRA_INDEX_URL = "--extra-index-url"
    NO_INDEX = "--no-index"
    FIND_LINKS = "--find-links"
    CONSTRAINT = "--constraint"
    REQUIREMENT = "--requirement"
    EDITABLE = "--editable"
    NO_BINARY = "--no-binary"
    ONLY_BINARY = "--only-binary"
    PREFER_BINARY = "--prefer-binary"
    REQUIRE_HASHES = "--require-hashes"
    NO_REQUIRE_HASHES = "--no-require-hashes"
    PRE = "--pre"
    ALL_RELEASES = "--all-releases"
    ONLY_FINAL = "--only-final"
    TRUSTED_HOST = "--trusted-host"
    USE_FEATURE = "--use-feature"
    HASH = "--hash"
    CONFIG_SETTINGS = "--config-settings"
    GLOBAL_OPTION = "--global-option"


_FLAGS = frozenset(
    {
        OptionName.NO_INDEX,
        OptionName.PREFER_BINARY,
        OptionName.REQUIRE_HASHES,
        OptionName.NO_REQUIRE_HASHES,
        OptionName.PRE,
    }
)
_LONG = {name.value: name for name in OptionName} | {
    "--pypi-url": OptionName.INDEX_URL,
    "--config-setting": OptionName.CONFIG_SETTINGS,
}
_SHORT = {
    "i": OptionName.INDEX_URL,
    "f": OptionName.FIND_LINKS,
    "c": OptionName.CONSTRAINT,
    "r": OptionName.REQUIREMENT,
    "e": OptionName.EDITABLE,
    "C": OptionName.CONFIG_SETTINGS,
}
_WORD = re.compile(r"[^ \t\r\n]+")
# A word that pip's own command line knows, and its files do not: the way out is another one.
_COMMAND_LINE_ONLY = frozenset(
    {"--cache-dir", "--cert", "--client-cert", "--exclude-newer", "--extra", "--group", "--no-cache-dir", "--platform"}
    | {"--proxy", "--python", "--python-version", "--retries", "--timeout"}
)


class OptionFault(ValueError):
    """The options of a line can't be read."""

    def __init__(self, code: str, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One option with its value, which is empty for a flag."""

    name: OptionName
    value: str = ""


def split_line(text: str) -> tuple[str, str]:
    """The requirement and the options of a line: they begin at the first word, after a blank, that has a dash first."""
    words = text.split(" ")
    for i, word in enumerate(words):
        if word.startswith("-"):
            return " ".join(words[:i]), " ".join(words[i:])
    return text, ""


def split_options(text: str) -> tuple[tuple[Given, ...], tuple[str, ...]]:
    """The options in order, and the words left over, which belong to none. Raises OptionFault."""
    words = _words(text)
    given: list[Given] = []
    left: list[str] = []
    while words:
        word = words.pop()
        if word == "--":
            left += words[::-1]
            break
        if word.startswith("--"):
            given.append(_long(word, words))
        elif word.startswith("-") and word != "-":
            given += _short(word, words)
        else:
            left.append(word)
    return tuple(given), tuple(left)


def _words(text: str) -> list[str]:
    """The words of a line as a shell splits it, the last one first."""
    if not any(letter in text for letter in "\\'\""):
        return _WORD.findall(text)[::-1]  # what shlex says of it, in a hundredth of the time
    try:
        return shlex.split(text)[::-1]
    except ValueError:
        raise OptionFault("bad-quotes", "a quote or a backslash is left open") from None


def _long(word: str, rest: list[str]) -> Given:
    spelled, equals, value = word.partition("=")
    name = _long_name(spelled)
    if name in _FLAGS:
        if equals:
            raise OptionFault("bad-option", f"{name.value} takes no value")
        return Given(name=name)
    return Given(name=name, value=value if equals else _next(name.value, rest))


def _long_name(spelled: str) -> OptionName:
    if spelled in _LONG:
        return _LONG[spelled]
    matches = sorted(long for long in _LONG if long.startswith(spelled))
    if len({_LONG[long] for long in matches}) == 1:
        return _LONG[matches[0]]
    if matches:
        raise OptionFault("unknown-option", f"ambiguous option {spelled}", f"say one of {', '.join(matches)}")
    if spelled in _COMMAND_LINE_ONLY:
        hint = "requirements files can't hold it; give it on the command line"
    else:
        near = difflib.get_close_matches(spelled[:80], _LONG, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "requirements files hold the options that pip allows there"
    raise OptionFault("unknown-option", f"unknown option {spelled[:80]}", hint)


def _short(word: str, rest: list[str]) -> list[Given]:
    """One word with a single dash. All short options take a value, which is what sticks to them or the next word."""
    name = _SHORT.get(word[1])
    if name is None:
        raise OptionFault(
            "unknown-option", f"unknown option {word[:2]}", "options of more than a letter have two dashes"
        )
    return [Given(name=name, value=word[2:] or _next(word[:2], rest))]


def _next(spelled: str, rest: list[str]) -> str:
    if not rest:
        raise OptionFault("bad-option", f"{spelled} needs a value")
    return rest.pop()
