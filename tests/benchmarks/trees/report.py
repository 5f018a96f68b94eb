"""Figures as Markdown and as bars: TREES.md and trees.svg."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tests.benchmarks.trees.jobs import FLOORS, OURS, PEERS

__all__ = ["markdown", "svg"]

Found = Mapping[str, Mapping[str, Any]]

_FIRST = "first render"
_INTRO = """\
# Trees

![bars](trees.svg)

Made by `nox -s trees`, on {cpus} cores, Python {python}; interleaved rounds, medians. Load average: {load}. Ratios
carry over to other machines, seconds don't. In brackets: seconds of CPU (user and system), megabytes at the peak.

- The material: tiny real wheels with metadata, ten versions a project, in one full bundle with ready-made pages.
- Ours reads the bundle, checks every byte of it, and writes everything that is served: files, metadata, HTML, both
  JSONs, locks, records; then it waits for the disk. The others find the wheels lying there, and write pages, or links
  to them (simple503: copies, and metadata). None of them waits for the disk.
- The floor writes as many files, links, folders and bytes as our tree has, by the plainest loop. It reads the bundle,
  too.
"""


def markdown(found: Found, facts: Mapping[str, Any]) -> str:
    results = [found[key] for key in sorted(found, key=int)]
    loads = [load for result in results for load in result["load"]]
    load = f"{min(loads):.1f} to {max(loads):.1f}"
    heads = ["", *(_title(result) for result in results)]
    parts = [_INTRO.format(**facts, load=load), "## Ours (seconds of wall time)\n"]
    parts.append(_table(heads, _rows(OURS, results)))
    parts += ["\n## The floor\n", _table(heads, [*_rows(FLOORS, results), *_ratios(FLOORS, results)])]
    parts += ["\n## Others\n", _table(heads, [*_rows(PEERS, results), *_ratios(PEERS, results)])]
    parts += ["\n## What was written: inodes, megabytes\n"]
    parts.append(_table(heads, _written([_FIRST, *PEERS], results)))
    parts += ["\n## Rounds\n", _rounds(results)]
    parts += ["\n## Peers\n", "\n".join(f"- {name}: {package} {version}" for name, (package, version) in PEERS.items())]
    return "\n".join(parts).rstrip() + "\n"


def _title(result: Mapping[str, Any]) -> str:
    medium = result.get("medium")
    return f"{result['files']:,} files" + (f", {medium}" if medium else "")


def _rows(names: Iterable[str], results: Sequence[Mapping[str, Any]]) -> Iterable[list[str]]:
    for name in names:
        cells = [_cell(result["figures"].get(name)) for result in results]
        if any(cell != "-" for cell in cells):
            yield [name, *cells]


def _cell(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{_seconds(figure['wall'])} ({_seconds(figure['cpu'])}, {figure['memory'] / 1e6:.0f})"


def _ratios(names: Iterable[str], results: Sequence[Mapping[str, Any]]) -> Iterable[list[str]]:
    """Ours as a multiple of each: of wall time, and of CPU."""
    for name in names:
        cells = []
        for result in results:
            ours, other = result["figures"].get(_FIRST), result["figures"].get(name)
            both = ours is not None and other is not None
            cells.append(f"{ours['wall'] / other['wall']:.2f}x ({ours['cpu'] / other['cpu']:.2f}x)" if both else "-")
        if any(cell != "-" for cell in cells):
            yield [f"first render / {name}", *cells]


def _written(names: Iterable[str], results: Sequence[Mapping[str, Any]]) -> Iterable[list[str]]:
    for name in names:
        cells = []
        for result in results:
            seen = result["seen"].get(name)
            cells.append("-" if seen is None else f"{seen['inodes']:,}, {seen['size'] / 1e6:,.1f}")
        yield [name, *cells]


def _rounds(results: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for result in results:
        counts = sorted(set(result["rounds"].values()))
        few = [name for name, count in result["rounds"].items() if count < counts[-1]]
        more = f"; {', '.join(few)}: {counts[0]}" if few else ""
        lines.append(f"- {result['files']:,} files: {counts[-1]}{more}")
    return "\n".join(lines)


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


# ---- bars -----------------------------------------------------------------------------------------------------------

_LABELS, _WIDE, _BAR, _GAP, _TOP, _LEFT = 190, 300, 16, 4, 66, 12
_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 } .own { font-weight: 600 } .note { fill: #59636e }
  .b0 { fill: #c8d1da } .b1 { fill: #0969da } .b2 { fill: #bc6c25; opacity: .6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 } .b0 { fill: #59636e } .b1 { fill: #4493f8 } .b2 { fill: #db8d4b }
  }
"""


def svg(found: Found) -> str:
    """A column for each size; each has a scale of its own."""
    results = [found[key] for key in sorted(found, key=int)]
    names = {"floor": 0, _FIRST: 1, **dict.fromkeys(PEERS, 2)}
    height = _TOP + len(names) * (_BAR + _GAP) + 12
    width = _LEFT * 2 + _LABELS + len(results) * _WIDE
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>Time to a tree, by tool and size</title>",
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 24, "Seconds until the index is there", "title"),
    ]
    for row, name in enumerate(names):
        shown = "pypimirror, files included" if name == _FIRST else name
        own = "own" if name == _FIRST else ""
        parts.append(_text(_LEFT + _LABELS - 8, _TOP + row * (_BAR + _GAP) + 12, shown, own, anchor="end"))
    for column, result in enumerate(results):
        x = _LEFT + _LABELS + column * _WIDE
        parts.append(_text(x, _TOP - 10, _title(result), "own"))
        walls = {name: result["figures"][name]["wall"] for name in names if name in result["figures"]}
        scale = (_WIDE - 70) / max(walls.values())
        for row, (name, kind) in enumerate(names.items()):
            y = _TOP + row * (_BAR + _GAP)
            if name in walls:
                long = max(2.0, walls[name] * scale)
                parts.append(f'<rect class="b{kind}" x="{x}" y="{y}" width="{long:.1f}" height="{_BAR}" rx="2"/>')
                own = "own" if name == _FIRST else ""
                parts.append(_text(x + long + 5, y + 12, f"{_seconds(walls[name])} s", own))
            else:
                parts.append(_text(x, y + 12, "not run", "note"))
    return "\n".join([*parts, "</svg>\n"])


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{end}>{escape(text)}</text>'
