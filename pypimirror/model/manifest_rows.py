"""The long lists of a manifest, checked row by row: what makes a manifest of 100,000 files quick to read, and small.

Only what is canonical and right is taken here. At anything else ``Unusual`` is raised, and the thorough reader of
``manifest_json``, which names the path to each fault, has the word: nothing is refused here, and nothing is accepted
that it would refuse.

The decoded rows are never there all together: they are looked at a few hundred at a time, and what is left of them is
where each begins (``manifest_lists``).
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any, Protocol, TypeAlias, TypeGuard, get_args

from pypimirror.model.files import LearntFrom
from pypimirror.model.names import (
    FileName,
    NormalizedName,
    parse_file_name,
    parse_version,
    project_name,
)
from pypimirror.values import dataclass

__all__ = ["ENCODER", "FileRows", "Octets", "Slices", "Unusual", "is_sha256", "is_size", "rows_in", "value_at"]

Octets: TypeAlias = "bytes | bytearray"


class Slices(Protocol):
    """Bytes of which parts can be had, wherever they are."""

    def __getitem__(self, part: slice, /) -> Octets: ...


ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
"""Canonical JSON, but for the newline at its end."""

scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # not in typeshed
"""What ``raw_decode`` calls: the value at a position, and where it ends. Raises ValueError, StopIteration."""

_AT_ONCE = 256
_WINDOW = 1 << 17  # bytes that are decoded at a time, as long as they hold a row
_WIDER = 4
_REMEMBERED = 1024  # texts
_FILE_KEYS = 17
_SIDECAR_KEYS = 2
_LONGEST = 65_536
_LONGEST_TIME = 100
_LONGEST_INDEX = 1000
_MOST = 2**53
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[^\0\ud800-\udfff]*")
_LEARNT: frozenset[object] = frozenset(get_args(LearntFrom))


class Unusual(ValueError):
    """Not what is read here; the other reader takes over."""


def value_at(data: Octets, at: int) -> tuple[object, int]:
    """The value in *data* at *at*, where it is in canonical form; and where it ends, which is not the end of all.

    Raises ValueError, StopIteration, RecursionError.
    """
    size = _WINDOW
    while True:
        window = data[at : at + size].decode("ascii")
        whole = at + size >= len(data)
        try:
            value, end = scan(window, 0)
        except (ValueError, StopIteration):
            if whole:
                raise
        else:
            if end < len(window):  # else a number may go on
                if ENCODER.encode(value) != window[:end]:
                    raise Unusual
                return value, at + end
            if whole:
                raise Unusual
        size *= _WIDER


def rows_in(data: Octets, begin: int, check: Callable[[dict[str, object]], None]) -> tuple[array[int], int]:
    """Where each row of the array of objects in *data* at *begin* begins, each being checked; and where it ends.

    The last position is that behind the comma or bracket after the last row. Raises ValueError, RecursionError where
    anything is out of the ordinary. *check* may raise these, KeyError and TypeError.
    """
    if not data.startswith(b"[", begin):
        raise Unusual
    begins = array("I", [begin + 1])
    if data.startswith(b"]", begin + 1):
        return begins, begin + 2
    try:
        for rows, ends in _groups(data, begin + 1):
            for row in rows:
                check(row)
            begins.extend(ends)
    except (KeyError, TypeError):
        raise Unusual from None
    return begins, begins[-1]


def _groups(data: Octets, at: int) -> Iterator[tuple[list[dict[str, object]], list[int]]]:
    """A few hundred decoded rows at a time, in canonical form; and the position behind each, and what ends it."""
    size, more = _WINDOW, True
    while more:
        window = data[at : at + size].decode("ascii")
        rows: list[dict[str, object]] = []
        ends: list[int] = []
        here = 0
        while more and len(rows) < _AT_ONCE:
            try:
                row, end = scan(window, here)
            except (ValueError, StopIteration):  # it may go on behind the window
                break
            if end == len(window):
                break
            if window[end] not in ",]":
                raise Unusual
            more = window[end] == ","
            here = end + 1
            rows.append(row)
            ends.append(at + here)
        if not rows:
            if at + size >= len(data):
                raise Unusual
            size *= _WIDER
            continue
        if ENCODER.encode(rows)[1:-1] != window[: here - 1]:
            raise Unusual
        yield rows, ends
        at += here


@dataclass(slots=True)
class FileRows:
    """Checks decoded rows of files, which are in canonical form. It remembers what stands in many of them."""

    _texts: set[str] = field(default_factory=set)
    _projects: dict[str, NormalizedName] = field(default_factory=dict)

    def check(self, row: dict[str, object]) -> tuple[FileName, NormalizedName, int]:
        """The name, project and size of a file that ``manifest_json.file_in`` takes, too.

        Raises ValueError, KeyError, TypeError.
        """
        if len(row) != _FILE_KEYS:
            raise Unusual
        filename, size, time = row["filename"], row["size"], row["upload_time"]
        sha256, index, hashed = row["sha256"], row["index"], row["index_hash"]
        if type(filename) is not str or not _FILE_NAME.fullmatch(filename) or type(hashed) is not bool:
            raise Unusual
        if not is_sha256(sha256) or not is_size(size):
            raise Unusual
        if type(index) is not str or len(index) > _LONGEST_INDEX:
            raise Unusual
        if time is not None and (type(time) is not str or len(time) > _LONGEST_TIME or not _PLAIN.fullmatch(time)):
            raise Unusual
        if row["learnt_from"] not in _LEARNT:  # a TypeError is an answer
            raise Unusual
        self._check_text(index)
        self._check_rest(row)
        project = self._project(row["project"])
        _check_version(row["version"], filename, project)
        return FileName(filename), project, size

    def _check_rest(self, row: dict[str, object]) -> None:
        for key in ("requires_python", "yanked"):
            if row[key] is not None:
                self._check_text(row[key])
        if row["build_requires"] is not None:
            self._check_texts(row["build_requires"])
        for key in ("requires_dist", "provides_extra", "languages"):
            self._check_texts(row[key])
        _check_sidecar(row["metadata"])
        _check_sidecar(row["provenance"])

    def _project(self, value: object) -> NormalizedName:
        if type(value) is not str:
            raise Unusual
        known = self._projects.get(value)
        if known is None:
            known = project_name(value)
            if known != value:
                raise Unusual
            self._projects[value] = known
        return known

    def _check_text(self, value: object) -> None:
        if value in self._texts:
            return
        if type(value) is not str or len(value) > _LONGEST or not _PLAIN.fullmatch(value):
            raise Unusual
        if len(self._texts) >= _REMEMBERED:
            self._texts.clear()
        self._texts.add(value)

    def _check_texts(self, value: object) -> None:
        if type(value) is not list:
            raise Unusual
        for each in value:
            self._check_text(each)


def _check_version(value: object, filename: str, project: NormalizedName) -> None:
    """It is the one that the file's name has, and spelt as it is written."""
    if type(value) is not str:
        raise Unusual
    version = parse_version(value)
    if str(version) != value or parse_file_name(filename, project=project).version != version:
        raise Unusual


def _check_sidecar(value: object) -> None:
    if value is None:
        return
    if type(value) is not dict or len(value) != _SIDECAR_KEYS:
        raise Unusual
    sha256, size = value["sha256"], value["size"]
    if not is_sha256(sha256) or not is_size(size):
        raise Unusual


def is_sha256(value: object) -> TypeGuard[str]:
    return type(value) is str and _SHA256.fullmatch(value) is not None


def is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST
