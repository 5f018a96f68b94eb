"""What a setup.py asks for by ``setup_requires``, where that is written out: told by its tokens. Pure; nothing is run.

Not by ``ast``: there are setup.py whose nesting ends CPython 3.10 by a fault of its parser. Besides, tokens are the
same in each Python, and Python 2's too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pypimirror.values import dataclass

__all__ = ["Undecided", "setup_requires"]

_KEYWORD = "setup_requires"
_TOKEN = re.compile(
    r"""
    (?P<blank>  [ \t\f\r]+ | \\\r?\n | \#[^\n]* )
  | (?P<string> (?P<prefix> [A-Za-z]{0,2}) (?:
        \"\"\" (?P<long1> [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* ) \"\"\"
      | ''' (?P<long2> [^'\\]* (?: (?: \\. | '(?!'') ) [^'\\]* )* ) '''
      | " (?!"") (?P<short1> [^"\\\n]* (?: \\. [^"\\\n]* )* ) "
      | ' (?!'') (?P<short2> [^'\\\n]* (?: \\. [^'\\\n]* )* ) '
    ))
  | (?P<broken> ["'] )
  | (?P<name>   \w+ )
  | (?P<end>    [\n;] )
  | (?P<sign>   [=!<>+\-*/%&|^:@]=  | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_BODIES = ("long1", "long2", "short1", "short2")


class Undecided(ValueError):
    """Only running it would tell."""


@dataclass(frozen=True, slots=True)
class _Token:
    """``kind`` is a group of _TOKEN; ``depth`` is the number of brackets around it, of an opening one its own too."""

    kind: str
    text: str
    depth: int


def setup_requires(script: str) -> tuple[str, ...]:
    """The values of the keyword, a text or texts; none where it does not stand there. Raises Undecided.

    A name instead of a value is followed where that name is given a value once, and used once.
    """
    tokens = list(_tokens(script))
    if not any(each.kind in ("name", "string") and each.text == _KEYWORD for each in tokens):
        return ()
    mentions = Counter(
        each.text for at, each in enumerate(tokens) if each.kind == "name" and not _is_keyword(tokens, at)
    )
    found: list[str] = []
    seen = 0
    for at, each in enumerate(tokens):
        named = _is_keyword(tokens, at) or (each.kind == "string" and _sign(tokens, at + 1) == ":" and each.depth > 0)
        if not named or each.text != _KEYWORD:
            continue
        seen += 1
        value = tokens[at + 2] if at + 2 < len(tokens) else None
        if value is not None and value.kind == "name" and _sign(tokens, at + 3) in (",", ")", "}"):
            found += _assigned(tokens, value.text, mentions)
        else:
            found += _value(tokens, at + 2)
    if not seen:
        raise Undecided("it is named, but not as a keyword")
    return tuple(found)


def _tokens(script: str) -> Iterator[_Token]:
    """The tokens without blanks and comments, and without the ends of lines inside brackets."""
    depth = 0
    for match in _TOKEN.finditer(script):
        kind = "string" if match["string"] is not None else match.lastgroup or ""
        text: str | None = match[0]
        if kind == "broken":
            raise Undecided("a text has no end")
        if kind == "string":
            text = _text(match)
        elif text in ("(", "[", "{"):
            depth += 1
        if kind != "blank" and not (text == "\n" and depth > 0):
            yield _Token(kind, text, depth) if text is not None else _Token("code", "", depth)
        if kind == "sign" and text in (")", "]", "}"):
            depth -= 1
    yield _Token("end", "", depth)


def _text(match: re.Match[str]) -> str | None:
    """What a literal stands for; None where that takes more than reading it."""
    body = next(match[name] for name in _BODIES if match[name] is not None)
    prefix = match["prefix"].lower()
    if prefix not in ("", "u", "r") or (prefix != "r" and "\\" in body.replace("\\\n", "")):
        return None
    return body if prefix == "r" else body.replace("\\\n", "")


def _is_keyword(tokens: Sequence[_Token], at: int) -> bool:
    """Whether it is the name of an argument."""
    return tokens[at].kind == "name" and tokens[at].depth > 0 and _sign(tokens, at + 1) == "="


def _sign(tokens: Sequence[_Token], at: int) -> str:
    return tokens[at].text if at < len(tokens) and tokens[at].kind in ("sign", "end") else ""


def _assigned(tokens: Sequence[_Token], name: str, mentions: Counter[str]) -> list[str]:
    places = [
        at
        for at, each in enumerate(tokens)
        if each.kind == "name" and each.text == name and each.depth == 0 and _sign(tokens, at + 1) == "="
    ]
    if len(places) != 1 or mentions[name] != 2:  # noqa: PLR2004 - there and here
        raise Undecided(f"{name[:80]} is more than a name for one value")
    return _value(tokens, places[0] + 2)


def _value(tokens: Sequence[_Token], at: int) -> list[str]:
    """The texts of a literal that begins there and is a whole value. Raises Undecided."""
    opening = _sign(tokens, at)
    closing = {"[": "]", "(": ")"}.get(opening, "")
    texts: list[str] = []
    joined = False
    at += bool(closing)
    while at < len(tokens):
        each = tokens[at]
        if each.kind == "string":
            texts[-1:] = [texts[-1] + each.text] if joined else [*texts[-1:], each.text]
            joined = True
        elif closing and _sign(tokens, at) == "," and joined:
            joined = False
        else:
            break
        at += 1
    if closing:
        if _sign(tokens, at) != closing:
            raise Undecided("it is no list of texts")
        at += 1
    elif not texts:
        raise Undecided("it is no text")
    if _sign(tokens, at) not in (",", ")", "}", "\n", ";", ""):
        raise Undecided("it goes on after the list")
    if at < len(tokens) and tokens[at].kind not in ("sign", "end"):
        raise Undecided("it goes on after the list")
    return texts
