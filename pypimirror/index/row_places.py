"""Where the rows of a JSON page stand, found by cutting the page where one row ends and the next begins.

An index writes all rows of a page alike, so the characters between two rows recur: ``},{"core-metadata"``, say.
Cutting there takes a fraction of the time that decoding takes. Where no backslash stands, a quote begins or ends a
string, and a key follows only where it begins one: so no text inside a string is taken for a cut. Between two objects
a comma stands in an array alone; where rows hold none, each cut is one between rows. A page of another layout must be
decoded.
"""

from __future__ import annotations

import json
import re

__all__ = ["row_places"]

_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_FIRST_KEY = re.compile(r'\{[ \t\n\r]*"[a-z-]+"')
_END = re.compile(r"[ \t\n\r]*(?=\])")
_KEY = '"filename"'
_NAME = re.compile(  # of a wheel, what all wheels of its version begin with; or any name
    _KEY + r'[ \t\n\r]*:[ \t\n\r]*"(?:([^-"]+-[^-"]+)(?:-[^-"]+){3,4}(?<=\.whl)|([^"]*))"'
)


def row_places(text: str, first: int, *, limit: int) -> tuple[list[tuple[str, int, int]], int] | None:
    """File name, start and end of each row of the array whose first row begins at *first*; and where the array ends.

    Wheels of one version that stand side by side are as one row, with the name of the first: there may be a hundred.
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
    if closing is None or type(row) is not dict or text.find("[", first, last) >= 0 or text.find("\\", first, end) >= 0:
        return None
    count = text.count(cut, first, end) + 1
    found = _runs(text, first, end, cut, step=1 + len(between[0]), count=count) if count <= limit else None
    return None if found is None else (found, closing.end())


def _runs(text: str, first: int, end: int, cut: str, *, step: int, count: int) -> list[tuple[str, int, int]] | None:
    """The *count* rows from *first* to *end*. The next row begins *step* after a *cut*."""
    found: list[tuple[str, int, int]] = []
    filename, start = "", first
    run, before = None, -1
    for match in _NAME.finditer(text, first, end):
        count -= 1
        begin = match[1]
        if begin is None or begin != run:
            if before >= 0:
                at = text.rfind(cut, before, match.start() + len(_KEY))
                if at < 0:
                    return None
                found.append((filename, start, at + 1))
                start = at + step
            run, filename = begin, text[match.start(match.lastindex or 0) : match.end() - 1]
        before = match.start()
    found.append((filename, start, end))
    return found if not count else None  # a row that begins with another key is behind the one before it


def _decoded(text: str, start: int) -> tuple[object, int]:
    """The value at *start* and where it ends; None where there is none."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
