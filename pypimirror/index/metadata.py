"""Core metadata: the headers of METADATA and PKG-INFO, read as tolerantly as pip reads them.

Only headers are looked at: of 600 real files the result equals the whole e-mail parser's, at a seventh of its time.
Requires-Dist values stay text: whether one can be parsed is for the resolver to judge, in the light of who needs it.
Essential reading: the core metadata specification, PEP 566, 643 (Dynamic), 685 (extras are normalised).
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pypimirror.errors import IntegrityFault
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import ParsedName, Sha256, parse_version, project_name

__all__ = ["MAX_BYTES", "headers", "parse_core_metadata", "usable_requires_python"]

MAX_BYTES = 16 * 1024 * 1024
"""No core metadata is larger."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_HEADER = re.compile(r"([!-9;-~]*):[ \t]*(.*)", re.DOTALL)
_LONGEST_VALUE = 65_536  # what a manifest takes as one text
_HINT = "choose another version of this project with a constraint, or tell its maintainers"


@lru_cache(maxsize=16384)
def usable_requires_python(text: str) -> str | None:
    """*text* where it is a set of version specifiers, else None: as pip does, a broken Requires-Python is ignored.

    (uv skips such a file. pip's way keeps old releases usable that were published before indexes checked the field.)
    """
    text = text.strip()
    try:
        return text if text and len(text) < _LONGEST_VALUE and SpecifierSet(text) is not None else None
    except InvalidSpecifier:
        return None


def headers(data: bytes) -> list[tuple[str, str]]:
    """The headers in order, names in lower case, folded lines joined by a space; all after a blank line is left out.

    What is not UTF-8 becomes U+FFFD, and so does NUL. As in Python's e-mail parser, a line that is no header ends them.
    """
    end = re.search(rb"\r\n\r\n|\n\n|\r\r", data)
    text = data[: end.start() if end else len(data)].decode("utf-8-sig", "replace").replace("\0", "\ufffd")
    found: list[tuple[str, list[str]]] = []
    for line in _LINE_END.split(text):
        if line[:1] in (" ", "\t"):
            if found:
                found[-1][1].append(line.strip())
        elif match := _HEADER.match(line):
            found.append((match[1].lower(), [match[2].rstrip()]))
        else:
            break
    return [(name, " ".join(lines).strip()) for name, lines in found]


def parse_core_metadata(data: bytes, *, filename: ParsedName) -> CoreMetadata:
    """What METADATA or PKG-INFO says, checked against the name of the file that it is of.

    Raises IntegrityFault: ``metadata-mismatch`` where it is of another project or version, ``bad-metadata`` where it
    is too large or states neither. A Requires-Python that is none is ignored, extras that can't be named likewise.
    """
    file = filename.filename
    if len(data) > MAX_BYTES:
        raise IntegrityFault(f"{file}: its metadata is larger than {MAX_BYTES} bytes", code="bad-metadata", hint=_HINT)
    fields: dict[str, list[str]] = {}
    for key, value in headers(data):
        fields.setdefault(key, []).append(value)
    _check_identity(fields, filename)
    requires_dist = tuple(value for value in fields.get("requires-dist", ()) if value)
    if any(len(value) > _LONGEST_VALUE for value in requires_dist):
        raise IntegrityFault(f"{file}: a Requires-Dist of over 65,536 characters", code="bad-metadata", hint=_HINT)
    return CoreMetadata(
        project=filename.project,
        version=filename.version,
        requires_dist=requires_dist,
        provides_extra=_extras(fields.get("provides-extra", [])),
        requires_python=usable_requires_python(fields["requires-python"][0]) if "requires-python" in fields else None,
        metadata_version=fields.get("metadata-version", ["1.0"])[0][:20],
        dynamic=frozenset(value.lower() for value in fields.get("dynamic", ())),
        sha256=Sha256(hashlib.sha256(data).hexdigest()),
        size=len(data),
    )


def _check_identity(fields: dict[str, list[str]], filename: ParsedName) -> None:
    name, version = (fields.get(key, [""])[0] for key in ("name", "version"))
    if not name or not version:
        missing = "Version" if name else "Name"
        raise IntegrityFault(f"{filename.filename}: its metadata has no {missing}", code="bad-metadata", hint=_HINT)
    try:
        same = project_name(name) == filename.project and parse_version(version) == filename.version
    except ValueError:
        same = False
    if not same:
        raise IntegrityFault(
            f"{filename.filename}: its metadata is of {name[:80]!r} {version[:80]!r}",
            code="metadata-mismatch",
            hint=_HINT,
        )


def _extras(values: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        try:
            found[project_name(value)] = None
        except ValueError:  # no requirement can ask for it, so nothing is lost
            continue
    return tuple(found)
