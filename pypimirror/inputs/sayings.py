"""Why a requirement is refused, in words that say what to write instead."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement

__all__ = ["FOLDER_HINT", "VERSION_CONTROL_HINT", "Refused", "explain"]

VERSION_CONTROL_HINT = (
    "build a wheel of it (pip wheel --no-deps 'git+https://...'), then name the wheel by its path: "
    "./name-1.0-py3-none-any.whl"
)
FOLDER_HINT = (
    "build a wheel of it (pip wheel --no-deps FOLDER), then name the wheel by its path: ./name-1.0-py3-none-any.whl"
)
_EXAMPLE = 'a requirement is like: name[extra] >= 1.0, < 2 ; python_version < "3.12"'
_NAME = r"\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*"
# The first that fits gives the hint.
_HINTS = (
    (re.compile(rf"{_NAME}(?:=>|=<).*", re.DOTALL), "write '>=' or '<='"),
    (re.compile(rf"{_NAME}=(?!=).*", re.DOTALL), "write '==' for an exact version"),
    (re.compile(r"[^;\[]*[<>=~!][^;\[]*\[.*", re.DOTALL), "extras stand before the version: name[extra]>=1.0"),
    (re.compile(r"[^;#]*[^\s;#]#.*", re.DOTALL), "a comment needs a blank before its '#'"),
    (re.compile(rf"{_NAME}\^.*", re.DOTALL), "pip does not know '^'; write '~=' or a range such as '>=1.2,<2'"),
    (re.compile(rf"{_NAME}(?:[<>]|[=~!<>]=)[^;]*\s+and\s.*", re.DOTALL), "write a comma between bounds: '>=1.0,<2'"),
    (re.compile(rf"{_NAME}\s[A-Za-z0-9][\w.-]*\s*", re.DOTALL), "one requirement a line, with '==' before a version"),
)  # fmt: skip


class Refused(ValueError):
    """A requirement that can't be used.

    ``what`` continues a sentence that begins with the requirement, and quotes nothing of it; ``detail`` may quote, so
    it is shown only where no variable was filled in.
    """

    def __init__(self, code: str, what: str, hint: str = "", *, detail: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.hint = hint
        self.detail = detail

    @classmethod
    def bad_marker(cls) -> Refused:
        return cls(
            "bad-marker",
            "has a bad marker",
            'a marker is like: python_version < "3.12" and sys_platform == "win32"',
        )


def explain(text: str, *, is_file: bool) -> Refused:
    """The refusal of *text*, which packaging could not read as a requirement, with the likeliest remedy."""
    if is_file:
        return Refused(
            "bad-requirement", "is not a requirement", "it is a file: to read requirements from it, say '-r'"
        )
    head, semicolon, tail = text.partition(";")
    if semicolon and tail.strip() and _reads(head):
        return Refused.bad_marker()
    for pattern, hint in _HINTS:
        if pattern.fullmatch(head[:200]):
            return Refused("bad-requirement", "is not a requirement", hint)
    return Refused("bad-requirement", "is not a requirement", _EXAMPLE)


def _reads(text: str) -> bool:
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True
