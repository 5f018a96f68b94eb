"""From bytes to logical lines, exactly as pip reads them: decode, join, cut comments, fill in variables.

Essential reading: pip's documentation, "Requirements File Format"; PEP 263 (the encoding in a comment).
One difference is meant: where pip falls back on the locale of the host, this refuses, since the same file must mean the
same everywhere.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping

from pypimirror.values import dataclass

__all__ = ["MAX_LINE", "Line", "Undecodable", "decode", "logical_lines"]

MAX_LINE = 1024 * 1024
"""Characters of one logical line, before and after variables are filled in."""

_BOMS = (
    # UTF-32 first: the little-endian mark of UTF-16 is the beginning of its own.
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING = re.compile(rb"coding[:=]\s*([-\w.]{1,40})")
# Codecs that are not encodings of text files, or exist on one system only.
_REFUSED_CODECS = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


class Undecodable(ValueError):
    """The bytes are no text. ``line`` counts from 1, 0 where it is not known."""

    def __init__(self, what: str, *, line: int = 0, hint: str = "") -> None:
        super().__init__(what)
        self.line = line
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A logical line: continuations joined, the comment cut off.

    ``number`` is that of its first physical line, from 1. ``written`` is as it stands in the file, ``text`` with the
    variables filled in: only ``written`` may be shown to people. ``unset`` are the variables that have no value.
    """

    number: int
    written: str
    text: str
    unset: tuple[str, ...] = ()

    @property
    def filled_in(self) -> bool:
        return self.text != self.written


def decode(data: bytes) -> str:
    """The text of a file: by its byte order mark, by PEP 263's comment, else UTF-8. Raises Undecodable."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _decode(data[len(mark) :], encoding, said="its byte order mark says")
    for line in data.split(b"\n", 2)[:2]:
        match = _CODING.search(line) if line.startswith(b"#") else None
        if match is not None:
            return _decode(data, _known_codec(match[1].decode("ascii")), said="its first lines say")
    return _decode(data, "utf-8", said="")


def _known_codec(name: str) -> str:
    hint = "say an encoding that Python knows, or save the file as UTF-8 and leave the comment out"
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise Undecodable(f"unknown encoding {name!r}", line=1, hint=hint) from None
    if found.replace("_", "-") in _REFUSED_CODECS:
        raise Undecodable(f"{name!r} is not an encoding for text files", line=1, hint=hint)
    return found


def _decode(data: bytes, encoding: str, *, said: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:  # a codec that is known but makes bytes of bytes, such as "hex"
        raise Undecodable(f"{encoding!r} is not an encoding for text files", line=1, hint="save it as UTF-8") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1 if encoding == "utf-8" else 0
        if said:
            raise Undecodable(f"not {encoding}, as {said}", line=line, hint="save it as UTF-8") from None
        hint = (
            "save it as UTF-8, or say its encoding in the first line, as in '# -*- coding: latin-1 -*-'; "
            "this machine's locale is never used"
        )
        raise Undecodable(f"not UTF-8 (byte 0x{data[error.start]:02x})", line=line, hint=hint) from None
    except (UnicodeError, ValueError):
        raise Undecodable(f"not {encoding}", hint="save it as UTF-8") from None


def logical_lines(text: str, environ: Mapping[str, str]) -> Iterator[Line | int]:
    """The lines that say something. A bare number stands for the line that is longer than ``MAX_LINE``."""
    for number, joined in _joined(text):
        written = _without_comment(joined).strip()
        if not written:
            continue
        if len(written) > MAX_LINE:
            yield number
            continue
        filled, unset = _filled_in(written, environ)
        if filled is None:
            yield number
        else:
            yield Line(number=number, written=written, text=filled, unset=unset)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Physical lines joined where one ends with a backslash. A comment is never continued, but ends a continuation."""
    first = 0
    parts: list[str] = []
    for number, physical in enumerate(text.splitlines(), start=1):
        comment = physical.lstrip().startswith("#")
        if physical.endswith("\\") and not comment:
            first = first if parts else number
            # As pip: backslashes at the front go, too.
            parts.append(physical.strip("\\"))
            continue
        # The space lets "a\" followed by "# b" still end in a comment.
        line = f" {physical}" if comment else physical
        yield (first, "".join([*parts, line])) if parts else (number, line)
        parts = []
    if parts:
        yield first, "".join(parts)


def _without_comment(line: str) -> str:
    """Cut at the first ``#`` that begins the line or follows white space: ``x#sha256=...`` is no comment."""
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return line if at < 0 else line[:at]


def _filled_in(line: str, environ: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """The line with ``${NAME}`` replaced, None where that is too long; and the names without a value.

    Only upper-case names, and an empty value counts as none, as in pip. A value is not looked through again.
    """
    names = _VARIABLE.findall(line)
    if not names:
        return line, ()
    values = {name: environ.get(name) or f"${{{name}}}" for name in set(names)}
    if len(line) + sum(len(values[name]) for name in names) > MAX_LINE:
        return None, ()
    unset = tuple(name for name in dict.fromkeys(names) if not environ.get(name))
    return _VARIABLE.sub(lambda match: values[match[1]], line), unset
