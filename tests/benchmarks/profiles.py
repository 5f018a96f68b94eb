"""Where our own CPU goes: a flame graph of each workload, and a table of what is above a share. By py-spy.

Shares are of the samples in which a thread was at work, in the interpreter or outside it (hashing, unpacking); those in
which it waited for another thread or for the network, or had no frame of Python yet, are left out. What waits for the
disk counts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tests.benchmarks import jobs

__all__ = ["Share", "flame", "picture", "shares"]

_FRAME = re.compile(r"(?P<name>.+) \((?P<path>[^():]+)(?::\d+)?\)")
_WAITING = re.compile(r"(?:^|[;.])(?:wait|attempt|select|poll|recv|recv_into|connect|sleep) \([^;]*\) \d+$")
"""The innermost frame of a thread that waits, where py-spy can't tell. ``attempt`` is how our sockets read."""

_RATE = "250"
_HIGH, _WIDE, _LEAST = 17, 1200, 0.002


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A function of ours: its share of the samples, by itself and with all that it calls; 0 to 1.

    By itself is with what it calls of others: of our functions it is the innermost.
    """

    name: str
    alone: float
    whole: float


def flame(tool: str, case: jobs.Case, folder: Path, target: Path) -> list[Share]:
    """Write the flame graph of *tool* to *target*; what is above 5 %. *folder* is empty."""
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise SystemExit("flame graphs need py-spy: nox -s flames installs it")
    lines: list[str] = []
    for number, command in enumerate(jobs.commands_of(tool, case, folder)):
        counts = folder / f"counts-{number}.txt"
        words = [spy, "record", "-F", "-r", _RATE, "-f", "raw", "-o", str(counts), "--", *command]
        subprocess.run(words, cwd=folder, env=jobs.environment(folder, case.program), check=True, capture_output=True)
        lines += counts.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line[0] != " " and not _WAITING.search(line)]
    target.write_text(picture(lines, title=target.stem), encoding="utf-8")
    return shares(lines)


def shares(lines: Iterable[str], *, least: float = 0.05) -> list[Share]:
    """Of collapsed stacks (``outer;inner 17``), the functions of ours that have *least* or more by themselves."""
    alone, whole, total = Counter[str](), Counter[str](), 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        total += int(count)
        names = [name for frame in stack.split(";") if (name := _ours(frame)) is not None]
        for name in set(names):
            whole[name] += int(count)
        for name in names[-1:]:
            alone[name] += int(count)
    found = [Share(name=name, alone=count / total, whole=whole[name] / total) for name, count in alone.most_common()]
    return [share for share in found if share.alone >= least]


def _ours(frame: str) -> str | None:
    """``net/client.py get`` for a frame of our package, else None."""
    match = _FRAME.fullmatch(frame)
    if match is None:
        return None
    _, found, inside = match["path"].replace("\\", "/").rpartition("pypimirror/")
    return f"{inside} {match['name']}" if found else None


@dataclass(slots=True)
class _Node:
    count: int = 0
    inside: dict[str, _Node] = field(default_factory=dict)


def picture(lines: Iterable[str], *, title: str) -> str:
    """Collapsed stacks as a flame graph, the outermost at the top; hover over a frame to read it whole."""
    root = _Node()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        here = root
        here.count += int(count)
        for frame in stack.split(";"):
            here = here.inside.setdefault(frame, _Node())
            here.count += int(count)
    rows: list[str] = []
    deepest = _draw(root, 0.0, 1, rows, max(1, root.count))
    high = (deepest + 2) * _HIGH
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}" font-family="monospace" font-size="11">'
    )
    return "\n".join([head, f'<text x="4" y="12">{escape(title)}: {root.count} samples</text>', *rows, "</svg>\n"])


def _draw(node: _Node, left: float, depth: int, rows: list[str], total: int) -> int:
    deepest = depth
    for frame, inner in sorted(node.inside.items()):
        wide = inner.count / total * _WIDE
        if inner.count / total >= _LEAST:
            colour = "#f4a259" if _ours(frame) else "#c9d6df"
            shown = escape(frame[: int(wide / 6.7)]) if wide > 20 else ""
            rows.append(
                f'<g><title>{escape(frame)} {inner.count / total:.1%}</title><rect x="{left:.1f}" y="{depth * _HIGH}" '
                f'width="{wide:.1f}" height="{_HIGH - 1}" fill="{colour}"/>'
                f'<text x="{left + 2:.1f}" y="{depth * _HIGH + 12}">{shown}</text></g>'
            )
            deepest = max(deepest, _draw(inner, left, depth + 1, rows, total))
        left += wide
    return deepest
