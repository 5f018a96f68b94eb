"""Where the rows of a page stand, by version: so that only rows of a version that somebody looks at are ever judged.

A page of 4000 files has a hundred versions, and a resolution looks at two or three of them. An outline holds no more
than places in the page's text: what stands there is hostile until ``rows`` has judged it, whoever made the outline. It
can be kept beside the page as JSON, and saves reading the page to its end the next time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import field
from typing import Literal

from pypimirror.model.files import ProjectStatus
from pypimirror.model.names import (
    SDIST_ENDINGS,
    NormalizedName,
    Version,
    parse_file_name,
    parse_version,
    project_name,
)
from pypimirror.values import dataclass

__all__ = ["Kind", "Outline", "draw", "dump", "load"]

Kind = Literal["json", "html"]

_WHEEL_DASHES = (4, 5)  # the latter with a build tag
_USUAL_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """``versions`` are spelt as the page first does, newest first; bit n of ``finals`` is set where the n-th is final.

    ``spans[n]`` are where the rows of the n-th version stand: start, end, start, end, ..., in characters of the text;
    ``rest`` those of rows whose file names tell no version. ``status`` and ``base`` are what the page says of itself.
    """

    kind: Kind
    versions: tuple[str, ...]
    finals: int
    spans: tuple[tuple[int, ...], ...]
    rest: tuple[int, ...] = ()
    status: ProjectStatus = field(default_factory=ProjectStatus)
    base: str | None = None


def draw(
    rows: Iterable[tuple[str, int, int]],
    *,
    kind: Kind,
    project: NormalizedName,
    status: ProjectStatus,
    base: str | None,
) -> Outline:
    """The outline of a page whose rows are these: file name, start and end. Rows side by side become one span."""
    spans: dict[str | None, list[int]] = {}
    text_of = _Texts(project).of
    span: list[int] = []
    last: str | None = ""  # of no row
    for filename, start, end in rows:
        text = text_of(filename)
        if text == last:
            span[-1] = end
        else:
            span = spans.setdefault(text, [])
            span += (start, end)
            last = text
    rest = spans.pop(None, [])
    united: dict[Version, tuple[str, list[int]]] = {}  # "1.0" and "1.0.0" are one version
    for text, places in spans.items():
        assert text is not None  # noqa: S101 - for the type checker: popped above
        united.setdefault(parse_version(text), (text, []))[1].extend(places)
    order = sorted(united, reverse=True)
    return Outline(
        kind=kind,
        versions=tuple(united[version][0] for version in order),
        finals=sum(1 << place for place, version in enumerate(order) if not version.is_prerelease),
        spans=tuple(tuple(united[version][1]) for version in order),
        rest=tuple(rest),
        status=status,
        base=base,
    )


class _Texts:
    """The version of a file name as text, as ``parse_file_name`` would find it; None where that finds none."""

    def __init__(self, project: NormalizedName) -> None:
        self._project = project
        self._heads: dict[str, bool] = {}
        self._wheels: dict[str, str | None] = {}

    def of(self, filename: str) -> str | None:
        if filename.endswith(".whl") and filename.count("-") in _WHEEL_DASHES:
            # The wheels of one version have this in common, and there may be a hundred.
            begin = filename[: filename.find("-", filename.find("-") + 1)]
            if begin not in self._wheels:
                head, _, text = begin.partition("-")
                self._wheels[begin] = text if self._is_ours(head) and self._is_version(text) else None
            return self._wheels[begin]
        ending = next((ending for ending in SDIST_ENDINGS if filename.endswith(ending)), None)
        if ending is None:
            return None
        head, _, text = filename[: -len(ending)].rpartition("-")
        if _USUAL_VERSION.fullmatch(text) and self._is_ours(head):
            return text
        try:
            return str(parse_file_name(filename, project=self._project).version)
        except ValueError:
            return None

    def _is_ours(self, head: str) -> bool:
        known = self._heads.get(head)
        if known is None:
            try:
                known = project_name(head) == self._project
            except ValueError:
                known = False
            self._heads[head] = known
        return known

    @staticmethod
    def _is_version(text: str) -> bool:
        try:
            parse_version(text)
        except ValueError:
            return False
        return True


def dump(outline: Outline) -> str:
    """One line of JSON; ``load`` reads it."""
    return json.dumps(
        [
            outline.kind,
            outline.versions,
            hex(outline.finals),
            outline.spans,
            outline.rest,
            [
                outline.status.status,
                outline.status.reason,
                outline.status.tracks,
                outline.status.alternate_locations,
            ],
            outline.base,
        ],
        separators=(",", ":"),
    )


def load(text: str) -> Outline | None:
    """What ``dump`` wrote; None for anything else."""
    try:
        kind, versions, finals, spans, rest, said, base = json.loads(text)
        if kind not in ("json", "html") or len(versions) != len(spans) or not isinstance(base, str | None):
            return None
        return Outline(
            kind=kind,
            versions=tuple(map(str, versions)),
            finals=int(finals, 16),
            spans=tuple(map(tuple, spans)),
            rest=tuple(rest),
            status=_status_in(*said),
            base=base,
        )
    except (ValueError, TypeError, RecursionError):
        return None


def _status_in(status: object, reason: object, tracks: Iterable[object], locations: Iterable[object]) -> ProjectStatus:
    return ProjectStatus(
        status=str(status),
        reason=str(reason),
        tracks=tuple(map(str, tracks)),
        alternate_locations=tuple(map(str, locations)),
    )
