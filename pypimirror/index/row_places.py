"""Where the rows of a JSON page stand, found by cutting the page where one row ends and the next begins.

An index writes all rows of a page alike, so the characters between two rows recur: ``},{"core-metadata"``, say.
Cutting there takes a fraction of the time that decoding takes. Where no backslash stands, a quote begins or ends a
string, and a key follows only where it begins one: so no text inside a string is taken for a cut. Between two objects
a comma stands in an array alone; where rows hold none, each cut is one between rows. What people write, the reason for
a yank, may hold both: it is blanked first. A page of another layout must be decoded.
"""

from __future__ import annotations

import json
import re

__all__ = ["row_places", "siblings"]

_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_FIRST_KEY = re.compile(r'\{[ \t\n\r]*"[a-z-]+"')
_END = re.compile(r"[ \t\n\r]*(?=\])")
_KEY = '"filename"'
_LAYOUTS = [(f'{_KEY}{colon}"', re.compile(f'{_KEY}(?:{colon}"([^"]*)")?')) for colon in (": ", ":")]
_YANKED = ('"yanked":', '"yanked": ')
_REASON = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_WHEEL_DASHES = (4, 5)
_NO_NAME = "\n"  # no name that can be used begins so


def siblings(name: str) -> tuple[str, str]:
    """What the wheels of the version that the wheel *name* is of begin with, and the name of its sdist; else of none.

    A page has them side by side, there may be a hundred: the version need be read from the first alone.
    """
    if name.endswith(".whl") and name.count("-") in _WHEEL_DASHES:
        stem = name[: name.find("-", name.find("-") + 1)]
        return f"{stem}-", f"{stem}.tar.gz"
    return _NO_NAME, _NO_NAME


def row_places(text: str, first: int, *, limit: int) -> tuple[list[tuple[str, int, int]], int] | None:
    """File name, start and end of each row of the array whose first row begins at *first*; and where the array ends.

    Wheels of one version that stand side by side, and its sdist behind them, are as one row, with the name of the
    first: there may be a hundred.
    None where the rows do not all have one layout, or something looks odd; or where there are more than *limit*.
    """
    row, end = _decoded(text, first)
    key, between = _FIRST_KEY.match(text, first), _BETWEEN.match(text, end)
    if key is None or between is None or type(row) is not dict:
        return None
    cut = f"}}{between[0]}{key[0]}"
    at = text.rfind(cut, first)
    last = at + 1 + len(between[0]) if at >= 0 else first
    row, end = _decoded(text, last)
    closing = _END.match(text, end)
    if closing is None or type(row) is not dict:
        return None
    plain = _blanked(text, "\\", first, end)
    plain = None if plain is None else _blanked(plain, "[", first, last)
    found = None if plain is None else _runs(plain, first, end, cut, step=1 + len(between[0]), limit=limit)
    return None if found is None else (found, closing.end())


def _blanked(text: str, letter: str, first: int, end: int) -> str | None:
    """*text*, as long as before, with no *letter* from *first* to *end*: reasons for a yank that hold it are blanked.

    None where it stands anywhere else.
    """
    done = 0
    pieces: list[str] = []
    at = text.find(letter, first, end)
    while at >= 0:
        opening = text.rfind('"', first, at)
        reason = _REASON.match(text, opening) if text.endswith(_YANKED, first, max(opening, first)) else None
        if reason is None or reason.end() <= at:
            return None
        pieces += (text[done : opening + 1], "_" * (reason.end() - opening - 2))
        done = reason.end() - 1
        at = text.find(letter, done, end)
    return "".join([*pieces, text[done:]]) if pieces else text


def _runs(text: str, first: int, end: int, cut: str, *, step: int, limit: int) -> list[tuple[str, int, int]] | None:
    """The rows from *first* to *end*. The next row begins *step* after a *cut*.

    Of a row without a name nothing is seen here: it stands with the one before it, and is a fault when it is judged.
    """
    layout = next(((key, names) for key, names in _LAYOUTS if text.startswith(key, text.find(_KEY, first))), None)
    if layout is None:
        return None
    key, pattern = layout
    names = pattern.findall(text, first, end)
    if len(names) > limit or not all(names):
        return None  # an empty one stands for a key that is written in another way, or is no key
    found: list[tuple[str, int, int]] = []
    filename, start, at = "", first, first
    run, sdist = siblings("")
    for name in names:
        if name == sdist or (name.startswith(run) and name.endswith(".whl")):
            continue
        begin = text.find(f'{key}{name}"', at)
        if filename:
            ends = text.rfind(cut, at, begin + len(_KEY))
            if ends < 0 or text.find(_KEY, ends, begin) >= 0:
                return None  # a second name in the row, or no cut before it
            found.append((filename, start, ends + 1))
            start = ends + step
        filename, at, (run, sdist) = name, begin + 1, siblings(name)
    found.append((filename, start, end))
    return found


def _decoded(text: str, start: int) -> tuple[object, int]:
    """The value at *start* and where it ends; None where there is none."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
