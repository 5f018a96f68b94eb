"""What the ``egg-info`` of an old sdist says it depends on: the file ``requires.txt`` of setuptools. Pure text.

It is what setup.py came to on the machine of whoever made the sdist. So it is right as a rule, and no more: conditions
that setup.py computed are gone. It is believed only where a person says so.
"""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["requires_dist"]

_SECTION = re.compile(r"\[([^\[\]:]*)(?::([^\[\]]*))?\]")
_MOST_LINES = 10_000


def requires_dist(text: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The values of Requires-Dist and of Provides-Extra that it stands for; None where a line can't be read.

    Sections are ``[extra]``, ``[:marker]`` and ``[extra:marker]``.
    """
    found: list[str] = []
    extras: dict[str, None] = {}
    extra = marker = ""
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > _MOST_LINES:
        return None
    for line in lines:
        if not line or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            extra = canonicalize_name(section[1].strip()) if section[1].strip() else ""
            marker = (section[2] or "").strip()
            if extra:
                extras[extra] = None
            continue
        wanted = _conditioned(line, marker, extra)
        if wanted is None:
            return None
        found.append(wanted)
    return tuple(found), tuple(extras)


def _conditioned(line: str, marker: str, extra: str) -> str | None:
    conditions = [f"({marker})"] if marker else []
    conditions += [f'extra == "{extra}"'] if extra else []
    try:
        requirement = Requirement(line)
        if requirement.marker is not None:
            conditions.insert(0, f"({requirement.marker})")
        requirement.marker = None
        return str(Requirement(f"{requirement} ; {' and '.join(conditions)}")) if conditions else str(requirement)
    except InvalidRequirement:
        return None
