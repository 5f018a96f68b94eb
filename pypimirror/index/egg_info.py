"""What the ``egg-info`` of an old sdist says it depends on: the file ``requires.txt`` of setuptools. Pure text.

It is what setup.py came to on the machine of whoever made the sdist. So it is right as a rule, and no more: conditions
that setup.py computed are gone. It is believed only where a person says so.
"""

from __future__ import annotations

import re

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from pypimirror.model.names import project_name

__all__ = ["requires_dist"]

_SECTION = re.compile(r"\[([^\[\]:]*)(?::([^\[\]]*))?\]")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_MOST_LINES, _LONGEST = 10_000, 16_384


def requires_dist(text: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The values of Requires-Dist and of Provides-Extra that it stands for; None where a line can't be read.

    Sections are ``[extra]``, ``[:marker]`` and ``[extra:marker]``.
    """
    found: list[str] = []
    extras: dict[str, None] = {}
    extra: str | None = ""
    marker = ""
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > _MOST_LINES:
        return None
    for line in lines:
        if not line or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            extra = _extra(section[1].strip())
            marker = (section[2] or "").strip()
            if extra:
                extras[extra] = None
            continue
        if extra is None:  # no requirement can ask for it, so nothing is lost
            continue
        wanted = _conditioned(line, marker, extra)
        if wanted is None:
            return None
        found.append(wanted)
    return tuple(found), tuple(extras)


def _extra(text: str) -> str | None:
    """The name under which the wheel has an extra; empty for no extra, None where it can't be named."""
    try:
        return project_name(_UNSAFE.sub("_", text)) if text else ""
    except ValueError:
        return None


def _conditioned(line: str, marker: str, extra: str) -> str | None:
    if len(line) + len(marker) > _LONGEST:
        return None
    try:
        conditions = [f"({Marker(marker)})"] if marker else []  # whole by itself: it closes no parenthesis of ours
        requirement = Requirement(line)
        if requirement.marker is not None:
            conditions.insert(0, f"({requirement.marker})")
        if extra:
            conditions.append(f'extra == "{extra}"')
        requirement.marker = None
        return str(Requirement(f"{requirement} ; {' and '.join(conditions)}")) if conditions else str(requirement)
    except (InvalidRequirement, InvalidMarker, RecursionError):
        return None
