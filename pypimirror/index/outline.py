"""Where the rows of a page stand, by version: so that only rows of a version that somebody looks at are ever judged.

A page of 4000 files has a hundred versions, and a resolution looks at two or three of them, mostly the newest. An
outline holds places in the page's text, and the text of the newest rows: what it says is hostile until ``rows`` has
judged it, whoever made the outline. It can be kept beside the page, and saves reading the page the next time.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Literal

from pypimirror.index.version_keys import Key, is_final, version_key
from pypimirror.model.files import ProjectStatus
from pypimirror.model.names import SDIST_ENDINGS, NormalizedName, parse_file_name, project_name
from pypimirror.values import dataclass

__all__ = ["Kind", "Outline", "draw", "dump", "load"]

Kind = Literal["json", "html"]

_NEAR = 2  # of a hundred pages, three are ever looked at beyond these; with six targets one in ten
_WHEEL_DASHES = (4, 5)  # the latter with a build tag
_USUAL_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """``versions`` are spelt as the page first does, newest first; bit n of ``finals`` is set where the n-th is final.

    ``spans[n]`` are where the rows of the n-th version stand: start, end, start, end, ..., in characters of the text;
    ``rest`` those of rows whose file names tell no version. ``near`` are rows themselves, of the versions that are
    most likely looked at: the place of each, and the text that ``rows_at`` gives. ``status`` and ``base`` are what the
    page says of itself.
    """

    kind: Kind
    versions: tuple[str, ...]
    finals: int
    spans: tuple[tuple[int, ...], ...]
    rest: tuple[int, ...] = ()
    near: tuple[tuple[int, str], ...] = ()
    status: ProjectStatus = field(default_factory=ProjectStatus)
    base: str | None = None

    def rows_at(self, place: int, text: str) -> str:
        """The rows of one version side by side, out of *text*, the whole page."""
        spans = self.spans[place]
        pieces = [text[start:end] for start, end in zip(spans[::2], spans[1::2], strict=True)]
        return ("," if self.kind == "json" else "").join(pieces)


def draw(
    text: str,
    rows: Iterable[tuple[str, int, int]],
    *,
    kind: Kind,
    project: NormalizedName,
    status: ProjectStatus,
    base: str | None,
) -> Outline:
    """The outline of the page *text*, whose rows are these: file name, start and end."""
    names = _Names(project)
    spans, rest = _spans(rows, names)
    key_of = names.keys.__getitem__
    versions: list[str] = []
    keys: list[Key] = []
    for version in sorted(spans, key=key_of, reverse=True):
        key = key_of(version)
        if keys and keys[-1] == key:  # "1.0" and "1.0.0" are one version
            spans[versions[-1]] += spans[version]
        else:
            versions.append(version)
            keys.append(key)
    outline = Outline(
        kind=kind,
        versions=tuple(versions),
        finals=int("".join(["01"[is_final(key)] for key in reversed(keys)]) or "0", 2),
        spans=tuple([tuple(spans[version]) for version in versions]),
        rest=tuple(rest),
        status=status,
        base=base,
    )
    return replace(outline, near=tuple([(place, outline.rows_at(place, text)) for place in _newest(outline)]))


def _newest(outline: Outline) -> list[int]:
    """The places of the newest final releases; where there are too few, of the newest others, too."""
    places = range(len(outline.versions))
    finals = itertools.islice((place for place in places if outline.finals >> place & 1), _NEAR)
    return list(dict.fromkeys([*finals, *places[:_NEAR]]))[:_NEAR]


def _spans(rows: Iterable[tuple[str, int, int]], names: _Names) -> tuple[dict[str, list[int]], list[int]]:
    """Where the rows of each version stand, as spelt; and those of none. Rows side by side become one span."""
    spans: dict[str, list[int]] = {}
    rest: list[int] = []
    span: list[int] = []
    last: str | None = ""  # of no row
    version_in = names.version_in
    for filename, start, end in rows:
        version = version_in(filename)
        if version == last:
            span[-1] = end
            continue
        if version is None:
            span = rest
        else:
            known = spans.get(version)
            span = spans[version] = [] if known is None else known
        span += (start, end)
        last = version
    return spans, rest


class _Names:
    """The version in a file name, as spelt, where ``parse_file_name`` would find one; ``keys`` has the key of each."""

    def __init__(self, project: NormalizedName) -> None:
        self.keys: dict[str, Key] = {}
        self._project = project
        self._heads: dict[str, bool] = {}
        self._stems: dict[str, str | None] = {}

    def version_in(self, filename: str) -> str | None:
        """None where there is none."""
        if filename.endswith(".tar.gz"):
            stem = filename[:-7]
        elif filename.endswith(".whl") and filename.count("-") in _WHEEL_DASHES:
            # The wheels of one version have this in common, there may be a hundred; and the sdist has it, too.
            stem = filename[: filename.find("-", filename.find("-") + 1)]
        else:
            ending = next((ending for ending in SDIST_ENDINGS if filename.endswith(ending)), None)
            if ending is None:
                return None
            stem = filename[: -len(ending)]
        version = self._stems.get(stem, "")
        if version == "":
            version = self._stems[stem] = self._of_stem(stem, filename)
        return version

    def _of_stem(self, stem: str, filename: str) -> str | None:
        head, _, version = stem.rpartition("-")
        if filename.endswith(".whl"):
            return self._known(version) if self._is_ours(head) else None
        if _USUAL_VERSION.fullmatch(version) and self._is_ours(head):
            return self._known(version)
        return self._of_sdist(filename)

    def _of_sdist(self, filename: str) -> str | None:
        try:
            return self._known(str(parse_file_name(filename, project=self._project).version))
        except ValueError:
            return None

    def _known(self, version: str) -> str | None:
        key = version_key(version)
        if key is None:
            return None
        self.keys[version] = key
        return version

    def _is_ours(self, head: str) -> bool:
        known = self._heads.get(head)
        if known is None:
            try:
                known = project_name(head) == self._project
            except ValueError:
                known = False
            self._heads[head] = known
        return known


def dump(outline: Outline) -> str:
    """A line of JSON, and the rows that are near; ``load`` reads it."""
    status = outline.status
    head = [
        outline.kind,
        outline.versions,
        hex(outline.finals),
        outline.spans,
        outline.rest,
        [(place, len(rows)) for place, rows in outline.near],
        [status.status, status.reason, status.tracks, status.alternate_locations],
        outline.base,
    ]
    return "".join([json.dumps(head, separators=(",", ":")), "\n", *[rows for _, rows in outline.near]])


def load(text: str) -> Outline | None:
    """What ``dump`` wrote; None for anything else."""
    try:
        head, _, rows = text.partition("\n")
        kind, versions, finals, spans, rest, near, said, base = json.loads(head)
        if kind not in ("json", "html") or len(versions) != len(spans) or not isinstance(base, str | None):
            return None
        return Outline(
            kind=kind,
            versions=tuple(map(str, versions)),
            finals=int(finals, 16),
            spans=tuple(map(tuple, spans)),
            rest=tuple(rest),
            near=tuple(_cut(rows, near)),
            status=_status_in(*said),
            base=base,
        )
    except (ValueError, TypeError, RecursionError):
        return None


def _cut(rows: str, near: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    begin = 0
    for place, size in near:
        yield place, rows[begin : begin + size]
        begin += size
    if begin != len(rows):
        raise ValueError("more rows, or fewer, than were kept")


def _status_in(status: object, reason: object, tracks: Iterable[object], locations: Iterable[object]) -> ProjectStatus:
    return ProjectStatus(
        status=str(status),
        reason=str(reason),
        tracks=tuple(map(str, tracks)),
        alternate_locations=tuple(map(str, locations)),
    )
