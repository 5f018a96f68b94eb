"""A page of the simple API as JSON (PEP 691, 700, 708, 714, 740, 792) becomes rows.

A field of the wrong type is a fault that names its path; null stands for a field that is not there, and fields that
are not known are left alone, as PEP 691 asks. Speed matters, since a page may list 11,000 files: each row is tested by
plain type tests, and a path is only put together once a test has failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pypimirror.index.row_places import row_places
from pypimirror.index.rows import Rows, clean_text, locations, shown
from pypimirror.model.files import ProjectStatus
from pypimirror.model.names import NormalizedName, project_name
from pypimirror.model.reading import Malformed

__all__ = ["STATUSES", "TooNew", "decode", "outline", "read_rows", "read_status", "text_of"]

_DECODER = json.JSONDecoder()
_OPEN = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
_BRACKET = re.compile(r"\[[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*(?:,[ \t\n\r]*(?![\]},])|(?=[\]}]))")

STATUSES = frozenset({"active", "archived", "quarantined", "deprecated"})


class TooNew(ValueError):
    """The page is of a major version of the simple API that this program does not know."""


def text_of(data: bytes) -> str:
    """The page's text, as ``json.loads`` takes it. Raises Malformed."""
    try:
        return data.decode(json.detect_encoding(data), "surrogatepass")
    except UnicodeDecodeError as error:
        raise Malformed("", f"not JSON ({error})") from None


def decode(data: bytes) -> dict[str, object]:
    """The page as a dictionary. Raises Malformed where it is no page, TooNew for another major version."""
    try:
        top: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON ({shown(str(error))})") from None
    return _admitted(top)


def outline(text: str, *, limit: int) -> tuple[dict[str, object], list[tuple[str, int, int]]]:
    """The page as ``decode`` gives it, its ``files`` left out; and of each of those the name and where it stands.

    Raises as ``decode`` and ``read_rows`` do, but for what is wrong inside a row.
    """
    found: list[tuple[str, int, int]] = []
    top: dict[str, object] = {}
    try:
        position = _after(_OPEN, text, 0)
        while text[position] != "}":
            key, position = _DECODER.raw_decode(text, position)
            if type(key) is not str:
                raise ValueError(f"a key that is no string, before character {position}")
            position = _after(_COLON, text, position)
            if key == "files" and text[position] == "[":
                top[key], found = [], []
                position = _outline_rows(text, position, found, limit)
            else:
                top[key], position = _DECODER.raw_decode(text, position)
            position = _after(_COMMA, text, position)
        if text[position + 1 :].strip(" \t\n\r"):
            raise ValueError("something follows it")
    except Malformed:
        raise
    except (ValueError, IndexError, TypeError, RecursionError) as error:
        raise Malformed("", f"not JSON ({shown(str(error))})") from None
    top = _admitted(top)
    if not isinstance(top.get("files"), list):
        raise Malformed("files", "is missing" if top.get("files") is None else "not an array")
    return top, found


def _outline_rows(text: str, position: int, found: list[tuple[str, int, int]], limit: int) -> int:
    """Note the rows of the array that begins at *position*; the position after it."""
    decode, comma = _DECODER.raw_decode, _COMMA.match
    position = _after(_BRACKET, text, position)
    if (alike := row_places(text, position, limit=limit)) is not None:
        found += alike[0]
        return alike[1] + 1
    while text[position] != "]":
        row, end = decode(text, position)
        filename = row.get("filename") if type(row) is dict else None
        if type(filename) is not str:
            where = "" if type(row) is not dict else ".filename"
            raise Malformed(f"files[{len(found)}]{where}", "not a string" if where else "not an object")
        found.append((filename, position, end))
        if len(found) > limit:
            raise OverflowError(len(found))
        follows = comma(text, end)
        if follows is None:
            raise ValueError(f"neither a comma nor an end at character {end}")
        position = follows.end()
    return position + 1


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    if match is None:
        raise ValueError(f"unexpected at character {position}")
    return match.end()


def _admitted(top: object) -> dict[str, object]:
    if not isinstance(top, dict):
        raise Malformed("", "not an object")
    meta = top.get("meta") or {}
    if not isinstance(meta, dict):
        raise Malformed("meta", "not an object")
    version = meta.get("api-version") or "1.0"
    if not isinstance(version, str):
        raise Malformed("meta.api-version", "not a string")
    if version.partition(".")[0] != "1":
        raise TooNew(version)
    return top


def read_status(top: Mapping[str, object], project: NormalizedName | None) -> ProjectStatus:
    """What is said of the project (PEP 792 and 708); a status that is not known counts as active.

    Raises Malformed, also where the page is of another project.
    """
    name = top.get("name")
    if project is not None and name is not None:
        try:
            same = isinstance(name, str) and project_name(name) == project
        except ValueError:
            same = False
        if not same:
            raise Malformed("name", f"{shown(str(name))!r}, but {project} was asked for")
    status = top.get("project-status") or {}
    # Drafts of PEP 792 had the word alone.
    fields = {"status": status} if isinstance(status, str) else status
    if not isinstance(fields, dict):
        raise Malformed("project-status", "not an object")
    word, reason = fields.get("status") or "active", fields.get("reason") or ""
    if not isinstance(word, str) or not isinstance(reason, str):
        raise Malformed("project-status", "its members are not strings")
    known = word in STATUSES
    return ProjectStatus(
        status=word if known else "active",
        reason=clean_text(reason) if known else "",
        tracks=_locations((top.get("meta") or {}).get("tracks"), "meta.tracks"),  # type: ignore[attr-defined]  # admitted
        alternate_locations=_locations(top.get("alternate-locations"), "alternate-locations"),
    )


def _locations(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Malformed(where, "not an array of strings")
    return locations(value)


def read_rows(top: Mapping[str, object], rows: Rows, *, limit: int) -> None:
    """Judge every file. Raises Malformed; OverflowError where there are more than *limit*."""
    files = top.get("files")
    if not isinstance(files, list):
        raise Malformed("files", "is missing" if files is None else "not an array")
    if len(files) > limit:
        raise OverflowError(len(files))
    for number, row in enumerate(files):
        try:
            _read_row(row, rows)
        except _BadField as error:
            raise Malformed(f"files[{number}]{error.where}", error.what) from None


class _BadField(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what


def _read_row(row: object, rows: Rows) -> None:
    if not isinstance(row, dict):
        raise _BadField("", "not an object")
    get = row.get
    filename, url, hashes = get("filename"), get("url"), get("hashes")
    if type(filename) is not str:
        raise _BadField(".filename", "not a string")
    if type(url) is not str:
        raise _BadField(".url", "not a string")
    size, yanked = get("size"), get("yanked")
    if size is not None and (type(size) is not int or not 0 <= size < 2**53):
        raise _BadField(".size", "not a size in bytes")
    # PEP 714: the old key only counts where the new one is absent.
    key = "core-metadata" if "core-metadata" in row else "dist-info-metadata"
    core_metadata = get(key)
    if core_metadata is not None and type(core_metadata) is not dict:
        core_metadata = _flag(core_metadata, f".{key}")
    rows.add(
        filename,
        url,
        hashes=hashes if type(hashes) is dict else _absent(hashes, ".hashes"),
        requires_python=_text(get("requires-python"), ".requires-python"),
        yanked=None if yanked is None or yanked is False else _yanked(yanked),
        core_metadata=core_metadata,
        size=size,
        upload_time=_text(get("upload-time"), ".upload-time"),
        provenance=_text(get("provenance"), ".provenance"),
    )


def _text(value: object, where: str) -> str | None:
    if value is None or type(value) is str:
        return value or None
    raise _BadField(where, "not a string")


def _absent(value: object, where: str) -> Mapping[str, object]:
    if value is None:
        return {}
    raise _BadField(where, "not an object")


def _yanked(value: object) -> str | None:
    """PEP 691: a boolean, or a reason; what is not truthy is not yanked, so an empty text isn't either."""
    if value == "":
        return None
    if value is True:
        return ""
    if isinstance(value, str):
        return value
    raise _BadField(".yanked", "neither a boolean nor a string")


def _flag(value: object, where: str) -> Mapping[str, object] | None:
    """PEP 658: true stands for metadata whose hash is not told, false for none."""
    if isinstance(value, bool):
        return {} if value else None
    raise _BadField(where, "neither a boolean nor an object")
