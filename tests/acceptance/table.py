"""What is a fault in a cell, and the table in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tests.acceptance.cell import Cell
from tests.acceptance.ways import WAYS
from tests.acceptance.world import EXPECTED

__all__ = ["Requests", "faults", "markdown", "requests"]

_WHOLE, _PART, _UNCHANGED = 200, 206, 304
_ABSENT = (403, 404)
_JSON = "application/vnd.pypi.simple.v1+json"
_LINE = re.compile(r"(?P<status>\d{3}) (?:\d+ )?(?P<method>[A-Z]+) (?P<path>\S+)(?: HTTP/\S+)?(?: (?P<kind>.*))?")
_LOCAL = ("file index", "links in a file")

_NO_YANKED = "as everywhere, but a yanked file is taken: the client does not heed that in a page of links"

_UNABLE: Mapping[tuple[str, str], str] = MappingProxyType(
    {("poetry", way): "poetry takes addresses of http alone" for way in _LOCAL}
    | {("uv 0.4", "links in a file"): "of this machine it takes folders alone, and a bare folder tells too little"}
)
"""What clients can't, whatever the tree: they must fail, so that this is known to be true still."""

_HEEDLESS = frozenset((client, way) for client in ("uv 0.4", "uv") for way in ("links over http", "links in a file"))

_ASKS_HTML = ("pip 19.3",)
_ASKS_NO_METADATA = ("pip 19.3", "pip 22.3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """How many were answered. *pages*, the page of links among them, and *json* do not count what was *unchanged*.

    *parts* are HEAD and Range, *refused* the lines of answers that are not normal.
    """

    pages: int
    json: int
    metadata: int
    files: int
    unchanged: int
    parts: int
    refused: tuple[str, ...]

    def __str__(self) -> str:
        shown = [self.pages, self.json, self.metadata, self.files]
        more = [f" +{count} {word}" for count, word in ((self.unchanged, "304"), (self.parts, "parts")) if count]
        return " / ".join(map(str, shown)) + "".join(more)


def requests(client: str, lines: Sequence[str]) -> Requests:
    """Of the lines of a log. Raises ValueError for a line that is none."""
    counts, refused = Counter[str](), list[str]()
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"no line of a log: {line!r}")
        status, path = int(match["status"]), match["path"]
        if number == 0 and not path.endswith("/packages/index.html") and path.endswith("/index.html"):
            continue  # how we looked whether the server is up
        if status not in (_WHOLE, _PART, _UNCHANGED):
            # pip-compile asks for NAME/json first, and for the pages when that is not there: it is normal.
            if not (client == "pip-tools" and status in _ABSENT and path.endswith("/json")):
                refused.append(line)
            continue
        page = status != _UNCHANGED and path.endswith(("/", "/packages/index.html"))
        counts["unchanged"] += status == _UNCHANGED
        counts["parts"] += status == _PART or match["method"] == "HEAD"
        counts["pages"] += page
        counts["json"] += page and (match["kind"] or "").startswith(_JSON)
        counts["metadata"] += path.endswith(".metadata")
        counts["files"] += path.endswith((".whl", ".tar.gz")) and status == _WHOLE and match["method"] == "GET"
    kinds = ("pages", "json", "metadata", "files", "unchanged", "parts")
    return Requests(refused=tuple(refused), **{kind: counts[kind] for kind in kinds})


def faults(client: str, way: str, cell: Cell) -> list[str]:
    """All that is not as it should be, in words; nothing for a good cell."""
    if cell.broken:
        return [f"the run itself broke: {cell.error}"]
    if (client, way) in _UNABLE:
        return [] if cell.error else ["it can't, as far as we knew, and now it does"]
    found = [f"{client} failed: {cell.error}"] if cell.error else []
    chosen = {name: cell.versions.get(name, "none") for name in EXPECTED}
    if not cell.error:
        expected = _expected(client, way)
        found += [
            f"{name}: {chosen[name]}, not {expected[name]}" for name in EXPECTED if chosen[name] != expected[name]
        ]
    seen = requests(client, cell.lines)
    found += [f"answered {line}" for line in seen.refused]
    if cell.error or way in _LOCAL:
        return found
    negotiates = WAYS[way].negotiates
    if negotiates is not None:
        json = seen.pages if negotiates and client not in _ASKS_HTML else 0
        if seen.json != json:
            found.append(f"{seen.json} of {seen.pages} pages were JSON, not {json}")
    if not seen.pages or not seen.files:
        found.append("no page or no file was asked for: what was installed came from elsewhere")
    if (seen.metadata == 0) != (client in _ASKS_NO_METADATA):
        found.append(f"{seen.metadata} .metadata were asked for")
    return found


def _expected(client: str, way: str) -> dict[str, str]:
    return dict(EXPECTED) | ({"yanked-free": "1.1"} if (client, way) in _HEEDLESS else {})


def markdown(cells: Mapping[tuple[str, str], Cell], versions: Mapping[str, str]) -> str:
    """Both tables: what came out, and what was asked for. *versions* are those of the clients."""
    ways = [way for way in WAYS if any(each == way for _, each in cells)]
    clients = [client for client in versions if any(each == client for each, _ in cells)]
    notes: list[str] = []
    lines = [_row("client", *ways), _row(*["---"] * (len(ways) + 1))]
    lines += [_row(versions[client], *(_verdict(client, way, cells, notes) for way in ways)) for client in clients]
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1)), ""]
    served = [way for way in ways if way not in _LOCAL]
    lines += ["Requests: pages / of them JSON / .metadata / files (- : the log does not tell)", ""]
    lines += [_row("client", *served), _row(*["---"] * (len(served) + 1))]
    lines += [_row(versions[client], *(_counts(client, way, cells) for way in served)) for client in clients]
    return "\n".join(lines)


def _row(*values: str) -> str:
    return f"| {' | '.join(values)} |"


def _verdict(client: str, way: str, cells: Mapping[tuple[str, str], Cell], notes: list[str]) -> str:
    cell = cells.get((client, way))
    if cell is None:
        return ""
    if faults(client, way, cell):
        return "**FAIL**"
    if (client, way) in _UNABLE:
        return f"no ({_noted(_UNABLE[client, way], notes)})"
    return f"ok ({_noted(_NO_YANKED, notes)})" if (client, way) in _HEEDLESS else "ok"


def _noted(note: str, notes: list[str]) -> int:
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1


def _counts(client: str, way: str, cells: Mapping[tuple[str, str], Cell]) -> str:
    cell = cells.get((client, way))
    if cell is None:
        return ""
    told = str(requests(client, cell.lines))
    return told if WAYS[way].negotiates is not None else re.sub(r"^(\d+) / \d+", r"\1 / -", told)
