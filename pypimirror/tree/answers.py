"""How a served path is answered: types, caching, negotiation, ranges. Pure: the rules of ``server`` and ``settings``.

Essential reading: PEP 691 (types and negotiation), RFC 9110 (sections 12.5.1 Accept, 13 conditions, 14 ranges).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from importlib.resources import files as resources
from urllib.parse import unquote

from pypimirror.tree.layout import LANDING, PACKAGES_PAGE
from pypimirror.values import dataclass

__all__ = [
    "FRESH",
    "HTML",
    "HTML_PAGE",
    "IMMUTABLE",
    "JSON_PAGE",
    "NAME",
    "OCTETS",
    "PAGE_POLICY",
    "PROVENANCE",
    "TEXT",
    "Asked",
    "Representation",
    "Unsatisfiable",
    "byte_range",
    "is_unchanged",
    "landing_policy",
    "negotiate",
    "parse_target",
    "representation",
]

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
HTML_PAGE = "application/vnd.pypi.simple.v1+html"
HTML = "text/html"
TEXT = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"
PROVENANCE = "application/vnd.pypi.integrity.v1+json"

FRESH = "no-cache"
"""For whatever may change: kept, and asked for again each time. Without it uv takes a page for new for 10 minutes."""
IMMUTABLE = "public, max-age=31536000, immutable"
"""For files, whose bytes never change under one name."""

NAME = "[A-Za-z0-9][A-Za-z0-9._+!-]*"
"""One step of a path that is served, as an ASCII pattern: no dot in front, no quoting, nothing that a shell minds."""

_SAFE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = f"default-src 'none'; {_SAFE}"
"""Content-Security-Policy of every page but the landing page."""

_NAME = re.compile(NAME)
_LONGEST_NAME = 255
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_MANY_DIGITS = 40
_RANGE = re.compile(rf"bytes=([0-9]{{0,{_MANY_DIGITS}}})-([0-9]{{0,{_MANY_DIGITS}}})")
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")  # RFC 9110, 12.4.2


@lru_cache(maxsize=1)
def landing_policy() -> str:
    """Content-Security-Policy of the landing page: its own style, and by its hash the one script that it has.

    The page of another version may bring another script; it is not run then, and the page says HOST for the address.
    """
    template = resources("pypimirror.tree").joinpath("templates/landing.html.j2").read_text(encoding="utf-8")
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}'"
        for script in _SCRIPT.findall(template)
    )
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes or chr(39) + 'none' + chr(39)}; {_SAFE}"


# ---- what is asked for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A path of a tree: its steps, and whether a slash stands at its end."""

    steps: tuple[str, ...]
    folder: bool

    @property
    def path(self) -> str:
        return "/".join(self.steps)

    @property
    def is_index_page(self) -> bool:
        """Whether it is a page of the index, that of a project or the root page: these are negotiated."""
        return self.folder and self.steps[:1] == ("simple",) and len(self.steps) <= len(("simple", "project"))

    @property
    def page(self) -> str | None:
        """The page for people in this folder; None where the folder has none, for nothing is ever listed."""
        if self.is_index_page:
            return f"{self.path}/index.html"
        return {(): LANDING, ("packages",): PACKAGES_PAGE}.get(self.steps) if self.folder else None


def parse_target(target: str) -> Asked | None:
    """The target of a request, as its line has it; None for what no tree can hold, in whatever way it is quoted.

    That is a step that is empty or begins with a dot, a backslash, a control character, anything outside ASCII.
    """
    target = _AUTHORITY.sub("", target, count=1)
    path = unquote(target.partition("?")[0].partition("#")[0])
    if not path.startswith("/"):
        return None
    steps = path[1:].split("/")
    folder = steps[-1] == ""
    if folder:
        del steps[-1]
    if not all(len(step) <= _LONGEST_NAME and _NAME.fullmatch(step) for step in steps):
        return None
    return Asked(tuple(steps), folder)


# ---- what is answered -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Representation:
    """The headers that a path has whenever it is served. ``policy`` is empty for what is no page."""

    content_type: str
    cache_control: str
    policy: str = ""


def representation(path: str) -> Representation:
    """Of a file at *path*, relative to the tree and without any slash in front."""
    if path.startswith("packages/") and path != PACKAGES_PAGE:
        kind = PROVENANCE if path.endswith(".provenance") else OCTETS
        return Representation(content_type=kind, cache_control=IMMUTABLE)
    if path == LANDING:
        return Representation(content_type=_charset(HTML), cache_control=FRESH, policy=landing_policy())
    if path.startswith("simple/") and path.endswith("/index.json"):
        return Representation(content_type=JSON_PAGE, cache_control=FRESH, policy=PAGE_POLICY)
    types = {"html": _charset(HTML), "json": "application/json", "txt": TEXT, "toml": TEXT}
    name = path.rpartition("/")[2]
    kind = types.get(name.rpartition(".")[2], OCTETS)  # the page of the old JSON API is called json, and nothing else
    return Representation(content_type=kind, cache_control=FRESH, policy=PAGE_POLICY)


def _charset(content_type: str) -> str:
    return f"{content_type}; charset=utf-8"


def negotiate(accept: str | None, *, json: bool) -> str | None:
    """The type of an index page for a client that sent *accept*; None where it takes none of ours (406).

    *json* says whether there is a JSON page. The highest weight wins; of equal ones the type that was named, then
    JSON. A client that takes anything gets ``text/html``, as do those that say nothing.
    """
    if accept is None or not accept.strip():
        return HTML
    offered = [*([JSON_PAGE] if json else []), HTML_PAGE, HTML]
    ranges = list(_accepted(accept))
    best: tuple[float, int, int] | None = None
    chosen = None
    for rank, kind in enumerate(offered):
        precision, weight = max(((p, w) for p, w in (_fits(kind, *each) for each in ranges) if p), default=(0, 0.0))
        # Of equals, anything at all means text/html; else what comes first in our list.
        order = (weight, precision, rank if precision == 1 else -rank)
        if weight > 0 and (best is None or order > best):
            best, chosen = order, kind
    return chosen


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    """Each media range with its weight; what can't be read is left out."""
    for each in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        weight = next((part[2:].strip() for part in parameters if part.startswith("q=")), "1")
        if kind and _WEIGHT.fullmatch(weight):
            yield kind, float(weight)


def _fits(kind: str, media_range: str, weight: float) -> tuple[int, float]:
    """How precisely a media range names *kind* (3 by its name, 2 by its first half, 1 as anything, 0 not at all)."""
    if media_range in (kind, kind.replace(".v1+", ".latest+")):  # PEP 691: latest stands for what we have
        return 3, weight
    if media_range == f"{kind.partition('/')[0]}/*":
        return 2, weight
    return (1, weight) if media_range == "*/*" else (0, weight)


def is_unchanged(if_none_match: str | None, if_modified_since: str | None, *, tag: str, modified: str) -> bool:
    """Whether the client has what would be sent: then 304 is the answer.

    As in nginx a time counts only where it is the very one that we sent: a tree may be replaced by an older one.
    """
    if if_none_match is not None:
        tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
        return tag in tags or "*" in tags
    return if_modified_since is not None and if_modified_since.strip() == modified


class Unsatisfiable(Enum):
    """The one value that says: none of the bytes asked for exist (416)."""

    UNSATISFIABLE = "unsatisfiable"


def byte_range(header: str | None, size: int) -> range | Unsatisfiable | None:
    """The bytes that a ``Range`` header asks for. None means all: no header, several ranges, or a malformed one."""
    match = _RANGE.fullmatch((header or "").replace(" ", "").lower())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    return range(start, stop) if start < stop else Unsatisfiable.UNSATISFIABLE
