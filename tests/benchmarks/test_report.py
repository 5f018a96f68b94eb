"""The table and the plot: what they say of figures, and that they are what they should be."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

from tests.benchmarks import plot, tables
from tests.benchmarks.profiles import picture, shares


def result(**walls: float) -> dict[str, Any]:
    """One race: ``ours=1.0, uv=2.0``, where ``uv`` stands for uv and curl, and ``hashed`` for the floor."""
    names = {"uv": "uv + curl", "hashed": "floor + sha256"}
    figures = {names.get(key, key): {"wall": wall, "cpu": wall / 2, "memory": 50e6} for key, wall in walls.items()}
    return {"figures": figures, "missed": {}, "files": 12, "size": 62e6, "load": 1.0, "rounds": 5}


FOUND = {"cold": {"W1": result(ours=1.0, uv=2.0, pip=2.5, floor=0.5, hashed=0.9)}, "six": {"W1": result(ours=1, uv=3)}}
FACTS = dict.fromkeys(
    ("cpus", "python", "pip", "uv", "rounds", "few", "date", "latency", "rate", "load", "ceiling"), "x"
)


def test_a_goal_that_was_reached_is_bold_and_one_that_was_not_is_plain() -> None:
    rows = {row.split(" | ")[0].strip("| "): row for row in tables.markdown(FOUND, FACTS).splitlines() if "|" in row}
    assert "**0.50x**" in rows["cold, no slower than uv + curl"]
    assert "| 0.40x |" in rows["cold, 3x faster than pip download"]
    assert "**0.33x**" in rows["six, under half of uv + curl"]
    assert "x" not in rows["again, within 1.3x of cp"].partition("cp")[2]


def test_the_longest_bar_of_a_workload_is_that_of_the_slowest_tool() -> None:
    drawn = ET.fromstring(plot.svg({"cold": FOUND["cold"]}, note="a < b"))  # noqa: S314 - our own text
    bars = {bar.get("class"): float(bar.get("width", "0")) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")}
    assert bars.keys() == {"b0", "b1", "b2", "b3"}
    assert bars["b3"] > bars["b2"] > bars["b1"]
    assert "2.5x" in "".join(drawn.itertext())


STACKS = [
    "main (pypimirror/__main__.py:1);get (/x/pypimirror/net/client.py:9) 60",
    "main (pypimirror/__main__.py:1);loads (json/__init__.py:3) 38",
    "main (pypimirror/__main__.py:1);rare (pypimirror/disk.py:3) 2",
]


def test_shares_name_what_is_ours_and_above_five_percent() -> None:
    found = {share.name: (share.alone, share.whole) for share in shares(STACKS)}
    assert found == {"net/client.py get": (0.6, 0.6), "__main__.py main": (0.38, 1.0)}


def test_a_flame_graph_is_as_wide_as_its_samples() -> None:
    drawn = ET.fromstring(picture(STACKS, title="a & b"))  # noqa: S314 - our own text
    widths = [float(bar.get("width", "0")) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert sorted(widths) == [24.0, 456.0, 720.0, 1200.0]
    assert re.search(r"get .* 60\.0%", "".join(drawn.itertext()))
