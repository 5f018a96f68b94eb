"""Figures as bars: results.svg. Each workload has a scale of its own, since pip would flatten all others."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tests.benchmarks.workloads import WORKLOADS

__all__ = ["svg"]

_TOOLS = {"floor + sha256": "floor + sha256", "ours": "pypimirror", "uv + curl": "uv + curl", "pip": "pip download"}
_COLUMNS = {"cold": "One target", "six": "Six targets"}
_LEFT, _WIDE, _BAR, _GAP, _TOP, _COLUMN = 16, 380, 20, 5, 92, 446
_LABELS = 118

_STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 18px; font-weight: 600 }
  .head { font-size: 14px; font-weight: 600 }
  .note, .small { fill: #59636e; font-size: 12px }
  .axis { stroke: #d1d9e0 }
  .value { font-variant-numeric: tabular-nums }
  .own { font-weight: 600 }
  .b0 { fill: #c8d1da } .b1 { fill: #0969da } .b2 { fill: #8250df; opacity: .55 } .b3 { fill: #bc6c25; opacity: .6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note, .small { fill: #9198a1 } .axis { stroke: #3d444d }
    .b0 { fill: #59636e } .b1 { fill: #4493f8 } .b2 { fill: #ab7df8 } .b3 { fill: #db8d4b }
  }
"""


def svg(found: Mapping[str, Mapping[str, Mapping[str, Any]]], *, note: str) -> str:
    """A column for one target, a column for six; a group of bars for each workload."""
    names = [name for name in WORKLOADS if any(name in found.get(heat, {}) for heat in _COLUMNS)]
    group = 30 + len(_TOOLS) * (_BAR + _GAP) + 14
    width, height = _LEFT * 2 + 2 * _COLUMN, _TOP + len(names) * group + 16
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>Time to a bundle, by tool and workload</title>",
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 28, "Seconds until every file is there", "title"),
        _text(_LEFT, 48, note, "note"),
    ]
    for column, (heat, title) in enumerate(_COLUMNS.items()):
        x = _LEFT + column * _COLUMN
        parts.append(_text(x, _TOP - 14, title, "head"))
        for row, name in enumerate(names):
            result = found.get(heat, {}).get(name)
            if result is not None:
                parts += _bars(x, _TOP + row * group, name, result)
    return "\n".join([*parts, "</svg>\n"])


def _bars(x: int, y: int, name: str, result: Mapping[str, Any]) -> list[str]:
    figures = result["figures"]
    walls = {tool: float(figures[tool]["wall"]) for tool in _TOOLS if tool in figures}
    scale = (_WIDE - _LABELS - 86) / max(walls.values())
    what = f"{result['files']} files, {result['size'] / 1e6:,.0f} MB"
    parts = [_text(x, y + 16, f"{WORKLOADS[name].title} ", "own", more=what)]
    top = y + 28
    for number, (tool, shown) in enumerate(_TOOLS.items()):
        if tool not in walls:
            continue
        wall, at = walls[tool], top + number * (_BAR + _GAP)
        long, weight = max(2.0, wall * scale), "own" if tool == "ours" else ""
        parts.append(_text(x + _LABELS - 8, at + 15, shown, f"small {weight}", anchor="end"))
        parts.append(f'<rect class="b{number}" x="{x + _LABELS}" y="{at}" width="{long:.1f}" height="{_BAR}" rx="2"/>')
        times = "" if tool == "ours" else f"{wall / walls['ours']:.1f}x"
        value = f"{wall:.2f} s" if wall < 10 else f"{wall:.1f} s"
        parts.append(_text(x + _LABELS + long + 6, at + 15, value, f"value {weight}", more=times))
    down = top + len(_TOOLS) * (_BAR + _GAP) - _GAP
    parts.append(f'<line class="axis" x1="{x + _LABELS}" y1="{top - 3}" x2="{x + _LABELS}" y2="{down + 3}"/>')
    return parts


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start", more: str = "") -> str:
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    rest = f'<tspan class="note" dx="6">{escape(more)}</tspan>' if more else ""
    return f'<text class="{kind.strip()}" x="{x:g}" y="{y:g}"{end}>{escape(text)}{rest}</text>'
