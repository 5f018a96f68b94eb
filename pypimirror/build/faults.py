"""The errors of builds: always of the source that was built, by name."""

from __future__ import annotations

from collections.abc import Sequence

from pypimirror.errors import ResolutionFault

__all__ = ["BuildFault", "printable"]

_SHOWN = 25
_LONGEST = 400
_CHOOSE = "choose another version with a constraint, or one that has a wheel (--only-binary)"


class BuildFault(ResolutionFault):
    """A build that failed, broke a limit, or whose output can't be used.

    ``source`` is what was built, ``hook`` the step of it, ``output`` its last lines, printable only; the message ends
    with the very last of them.
    """

    def __init__(
        self, what: str, *, source: str, hook: str = "", code: str, output: Sequence[str] = (), hint: str = ""
    ) -> None:
        lines = "".join(f"\n  | {line}" for line in output[-_SHOWN:])
        super().__init__(f"{source}: {what}{lines}", code=code, hint=hint or _CHOOSE)
        self.source = source
        self.hook = hook
        self.output = tuple(output)


def printable(text: str) -> str:
    """*text* without what could steer a terminal, and no longer than a long line."""
    shown = "".join(letter if letter.isprintable() else " " if letter == "\t" else "\ufffd" for letter in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
