"""Text of others on a person's terminal: what could steer the terminal, or turn the reading order, is spelt out.

A manifest crosses the gap through many hands. Its names are checked, but reasons, origins and requirements are free
text: an escape sequence in one of them could clear the screen, retitle the window, or show another text than is there.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["printable", "screen"]

_LONGEST = 4000
"""Characters of one line that are shown: more is no text for people."""


def printable(line: str) -> str:
    r"""*line* with control characters, line breaks and marks of direction as escapes: ``\x1b``, ``\n``, ``\u202e``.

    Letters of every script stay as they are. A line of absurd length is cut, and says so.
    """
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST]} ... ({len(line) - _LONGEST} more characters)"
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in line)


def _escape(letter: str) -> str:
    return repr(letter)[1:-1]  # just what repr() calls not printable is what it escapes


def screen(lines: Iterable[str], encoding: str = "utf-8") -> str:
    """Lines as one text that is safe to show. What *encoding* can't say is escaped as well."""
    text = "\n".join(map(printable, lines))
    return text.encode(encoding, "backslashreplace").decode(encoding)
