"""The long lists of a manifest, read row by row: what makes a manifest of 100,000 files quick to read, and small.

Only what is canonical and right is taken here. At anything else ``Unusual`` is raised, and the thorough reader of
``manifest_json``, which names the path to each fault, has the word: nothing is refused here, and nothing is accepted
that it would refuse.

The decoded rows are never there all together, texts that stand in many rows are kept once, and the canonical form is
checked a few hundred rows at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard, TypeVar, get_args

from pypimirror.model.files import LearntFrom
from pypimirror.model.manifest import BundledFile, Sidecar
from pypimirror.model.names import (
    FileName,
    NormalizedName,
    Sha256,
    Version,
    parse_file_name,
    parse_version,
    project_name,
)

__all__ = ["ENCODER", "FileRows", "Unusual", "is_sha256", "is_size", "rows_in", "scan"]

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
"""Canonical JSON, but for the newline at its end."""

scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # not in typeshed
"""What ``raw_decode`` calls: the value at a position, and where it ends. Raises ValueError, StopIteration."""

_AT_ONCE = 256
_FILE_KEYS = 17
_SIDECAR_KEYS = 2
_LONGEST = 65_536
_LONGEST_TIME = 100
_LONGEST_INDEX = 1000
_MOST = 2**53
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[^\0\ud800-\udfff]*")
_LEARNT: dict[str, LearntFrom] = {known: known for known in get_args(LearntFrom)}

T = TypeVar("T")


class Unusual(ValueError):
    """Not what is read here; the other reader takes over."""


def rows_in(text: str, begin: int, read: Callable[[dict[str, object]], T]) -> tuple[tuple[T, ...], int]:
    """The array of objects in *text* at *begin*, each made into something by *read*; and where it ends.

    Raises ValueError where anything is out of the ordinary. *read* may raise that, KeyError and TypeError.
    """
    if not text.startswith("[", begin):
        raise Unusual
    if text.startswith("]", begin + 1):
        return (), begin + 2
    found: list[T] = []
    end = begin
    try:
        for rows, after in _groups(text, begin + 1):
            found.extend([read(row) for row in rows])
            end = after
    except (KeyError, TypeError):
        raise Unusual from None
    return tuple(found), end


def _groups(text: str, at: int) -> Iterator[tuple[list[dict[str, object]], int]]:
    """A few hundred decoded rows at a time, in canonical form, and the position after the comma or bracket behind."""
    while True:
        begin, more = at, True
        rows: list[dict[str, object]] = []
        while more and len(rows) < _AT_ONCE:
            try:
                row, at = scan(text, at)
            except StopIteration:
                raise Unusual from None
            rows.append(row)
            more = text.startswith(",", at)
            if not more and not text.startswith("]", at):
                raise Unusual
            at += 1
        if ENCODER.encode(rows)[1:-1] != text[begin : at - 1]:
            raise Unusual
        yield rows, at
        if not more:
            return


@dataclass(slots=True)
class FileRows:
    """Makes files of their decoded rows, which are in canonical form. It remembers what stands in many of them."""

    _texts: dict[object, str] = field(default_factory=dict)
    _projects: dict[str, NormalizedName] = field(default_factory=dict)
    _lists: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def read(self, row: dict[str, object]) -> BundledFile:
        """The same file that ``manifest_json.file_in`` makes. Raises ValueError, KeyError, TypeError."""
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
        learnt_from = _LEARNT[row["learnt_from"]]  # type: ignore[index]  # a KeyError or a TypeError is an answer
        build_requires = row["build_requires"]
        project = self._project(row["project"])
        return BundledFile(
            filename=FileName(filename),
            project=project,
            version=_version(row["version"], filename, project),
            sha256=Sha256(sha256),
            size=size,
            requires_python=self._maybe(row["requires_python"]),
            requires_dist=self._several(row["requires_dist"]),
            provides_extra=self._several(row["provides_extra"]),
            yanked=self._maybe(row["yanked"]),
            upload_time=time,
            metadata=_sidecar(row["metadata"]),
            index=self._text(index),
            index_hash=hashed,
            build_requires=None if build_requires is None else self._several(build_requires),
            languages=self._several(row["languages"]),
            learnt_from=learnt_from,
            provenance=_sidecar(row["provenance"]),
        )

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

    def _text(self, value: object) -> str:
        known = self._texts.get(value)
        if known is None:
            if type(value) is not str or len(value) > _LONGEST or not _PLAIN.fullmatch(value):
                raise Unusual
            known = self._texts[value] = value
        return known

    def _maybe(self, value: object) -> str | None:
        return None if value is None else self._text(value)

    def _several(self, value: object) -> tuple[str, ...]:
        if type(value) is not list:
            raise Unusual
        if not value:
            return ()
        several = tuple([self._text(each) for each in value])
        return self._lists.setdefault(several, several)


def _version(value: object, filename: str, project: NormalizedName) -> Version:
    """The version that both the row and the file's name have, spelt as it is written."""
    if type(value) is not str:
        raise Unusual
    version = parse_version(value)
    if str(version) != value or parse_file_name(filename, project=project).version != version:
        raise Unusual
    return version


def _sidecar(value: object) -> Sidecar | None:
    if value is None:
        return None
    if type(value) is not dict or len(value) != _SIDECAR_KEYS:
        raise Unusual
    sha256, size = value["sha256"], value["size"]
    if not is_sha256(sha256) or not is_size(size):
        raise Unusual
    return Sidecar(sha256=Sha256(sha256), size=size)


def is_sha256(value: object) -> TypeGuard[str]:
    return type(value) is str and _SHA256.fullmatch(value) is not None


def is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST
