"""Where the rows of a JSON page stand, found by cutting the page where one row ends and the next begins.

An index writes all rows of a page alike, so the characters between two rows recur: ``},{"core-metadata"``, say.
Cutting there takes a fraction of the time that decoding takes. In JSON a quote without a backslash begins or ends a
string, and a name follows only where it begins one: so no text inside a string is taken for a cut. Between two objects
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
_NAME = re.compile(r'"filename"([ \t\n\r]*:[ \t\n\r]*")')
_END = re.compile(r"[ \t\n\r]*(?=\])")


def row_places(text: str, first: int, *, limit: int) -> tuple[list[tuple[str, int, int]], int] | None:
    """File name, start and end of each row of the array whose first row begins at *first*; and where the array ends.

    None where the rows do not all have one layout, or something looks odd; or where there are more than *limit*.
    """
    row, end = _decoded(text, first)
    key, between, name = _FIRST_KEY.match(text, first), _BETWEEN.match(text, end), _NAME.search(text, first, end)
    if key is None or between is None or name is None or type(row) is not dict:
        return None
    leading = key[0].endswith('"filename"')
    found = _before_last(
        text,
        first,
        key=len(key[0]),
        cut=f"}}{between[0]}{key[0]}",
        mark=name[1] if leading else name[0],
        limit=limit,
    )
    if found is None:
        return None
    last = found[-1][2] + len(between[0]) if found else first
    if text.find("[", first, last) >= 0:
        return None
    row, end = _decoded(text, last)
    closing, filename = _END.match(text, end), row.get("filename") if type(row) is dict else None
    if closing is None or type(filename) is not str:
        return None
    found.append((filename, last, end))
    # A row that begins with another key hides behind the one before it: then there are more names than rows.
    return (found, closing.end()) if text.count('"filename"', first, end) == len(found) else None


def _before_last(
    text: str, start: int, *, key: int, cut: str, mark: str, limit: int
) -> list[tuple[str, int, int]] | None:
    """The rows that end with a *cut*. *key* is the length of a row's beginning up to its first key.

    *mark* is what stands before a file name.
    """
    found: list[tuple[str, int, int]] = []
    find, note = text.find, found.append
    step, width = len(cut) - 1, len(mark)
    inside = start + key
    while (end := find(cut, inside)) >= 0:
        begin = find(mark, inside, end) + width
        filename = text[begin : find('"', begin, end)]
        if begin < inside + width or "\\" in filename or len(found) >= limit:
            return None
        note((filename, inside - key, end + 1))
        inside = end + 1 + step
    return found


def _decoded(text: str, start: int) -> tuple[object, int]:
    """The value at *start* and where it ends; None where there is none."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
