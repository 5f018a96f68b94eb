"""Figures as Markdown: RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.suite import SUITE
from tests.benchmarks.workloads import WORKLOADS

__all__ = ["markdown", "ratio"]

Found = Mapping[str, Mapping[str, Mapping[str, Any]]]

_SHOWN = {"ours": "pypimirror", "pip": "pip", "uv": "uv pip compile", "uv + curl": "uv + curl"}
_SHOWN |= {"again": "bundle again", "copy": "cp", "plan": "plan, cold", "warm plan": "plan, warm"}

_TITLES = {
    "cold": "`bundle`, cold caches, one target (seconds of wall time)",
    "six": "The same for six targets",
    "html": "The same for one target, from an index that answers HTML without metadata and sizes",
    "resolving": "Resolving alone (seconds of CPU)",
    "airflow": "Resolving airflow (seconds of wall time)",
    "again": "`bundle` again, nothing new, and copying its bytes (seconds of wall time)",
    "start": "Start-up (milliseconds of CPU)",
}

_SUMMED = ("W1", "W2", "W4")

_INTRO = """\
# Results

![bars](results.svg)

Made by `nox -s benchmarks`, on {cpus} cores, Python {python}, against {pip} and {uv}; {rounds} interleaved
rounds{few}, medians. The index is a recording of {date}, replayed on the loopback: {latency} ms for each request,
{rate} for all connections together, plain HTTP. Where nothing holds them back the server and curl manage
{ceiling} a second. Load average before the races: {load}. Ratios carry over to other machines, seconds don't.
In brackets: seconds of CPU, megabytes at the peak. A star: something was asked that was not recorded. What is compared
exactly: `NOTES.md`.
"""


def ratio(result: Mapping[str, Any], one: str, other: str, what: str = "wall") -> float | None:
    """How many times *one* is of *other*; None where either was not run."""
    figures = result["figures"]
    if one not in figures or other not in figures:
        return None
    return float(figures[one][what]) / float(figures[other][what])


def markdown(found: Found, facts: Mapping[str, Any]) -> str:
    parts = [_INTRO.format(**facts)]
    for heat in SUITE:
        results = found.get(heat.name)
        if not results:
            continue
        parts.append(f"\n## {_TITLES[heat.name]}\n")
        if heat.name == "start":
            parts.append(_start(results))
        elif heat.name == "resolving":
            parts.append(_resolving(results, heat.tools))
        else:
            parts.append(_wall(results, heat.tools))
    parts.append("\n## Where it must arrive\n")
    parts.append(_table(["goal", *(name for name in WORKLOADS)], _goals(found)))
    parts += ["\nBold: arrived. Ratios of wall time unless CPU is said.\n", *_sums(found)]
    return "\n".join(parts).rstrip() + "\n"


def _wall(results: Mapping[str, Mapping[str, Any]], tools: Sequence[str]) -> str:
    rows = []
    for name, result in results.items():
        cells = []
        for tool in tools:
            figure = result["figures"].get(tool)
            missed = " *" if figure and result["missed"].get(tool) else ""
            cells.append("-" if figure is None else _cell(figure) + missed)
        rows.append([_workload(name, result), *cells])
    return _table(["", *(_SHOWN.get(tool, tool) for tool in tools)], rows)


def _cell(figure: Mapping[str, float]) -> str:
    return f"{_seconds(figure['wall'])} ({_seconds(figure['cpu'])}, {figure['memory'] / 1e6:.0f})"


def _resolving(results: Mapping[str, Mapping[str, Any]], tools: Sequence[str]) -> str:
    rows = [
        [_workload(name, result), *(_seconds(result["figures"][tool]["cpu"]) for tool in tools)]
        for name, result in results.items()
    ]
    return _table(["", *(_SHOWN.get(tool, tool) for tool in tools)], rows)


def _start(results: Mapping[str, Mapping[str, Any]]) -> str:
    figures = next(iter(results.values()))["figures"]
    return _table(
        ["python alone", "pypimirror --help"], [[f"{figures[k]['cpu'] * 1000:.0f}" for k in ("python", "--help")]]
    )


def _workload(name: str, result: Mapping[str, Any]) -> str:
    what = f": {result['files']} files, {result['size'] / 1e6:.0f} MB" if result["files"] else ""
    return f"{name} {WORKLOADS[name].title}{what}"


def _goals(found: Found) -> Iterable[list[str]]:
    """The targets of the issue on speed, one row each."""
    goals = [
        ("cold, no slower than uv + curl", "cold", "ours", "uv + curl", 1.0),
        ("cold, 3x faster than pip download", "cold", "ours", "pip", 1 / 3),
        ("cold, within 1.3x of floor + hashing", "cold", "ours", "floor + sha256", 1.3),
        ("HTML, no slower than uv + curl", "html", "ours", "uv + curl", 1.0),
        ("HTML, 3x faster than pip download", "html", "ours", "pip", 1 / 3),
        ("six, under half of uv + curl", "six", "ours", "uv + curl", 0.5),
        ("six, 12x faster than pip download", "six", "ours", "pip", 1 / 12),
        ("six, within 1.3x of floor + hashing", "six", "ours", "floor + sha256", 1.3),
        ("again, within 1.3x of cp", "again", "again", "copy", 1.3),
    ]
    for title, heat, one, other, most in goals:
        row = [title]
        for name in WORKLOADS:
            result = found.get(heat, {}).get(name)
            times = ratio(result, one, other) if result else None
            row.append("" if times is None else _judged(times, most, f"{times:.2f}x"))
        yield row
    for title, tool, bounds in (
        ("resolving cold: CPU s", "plan", {"W2": 0.3, "W3": 1.3}),
        ("resolving warm: CPU s", "warm plan", {"W2": 0.1}),
    ):
        row = [title]
        for name in WORKLOADS:
            result = found.get("resolving", {}).get(name)
            used = float(result["figures"][tool]["cpu"]) if result else None
            row.append("" if used is None or name not in bounds else _judged(used, bounds[name], _seconds(used)))
        yield row
    yield ["peak memory under 150 MB", *(_memory(found, name) for name in WORKLOADS)]


def _sums(found: Found) -> Iterable[str]:
    """The goals that are not of one workload."""
    warm = found.get("resolving", {})
    if all(name in warm for name in _SUMMED):
        used = sum(float(warm[name]["figures"]["warm plan"]["cpu"]) for name in _SUMMED)
        yield f"- Warm plans of {', '.join(_SUMMED)}, in all under 0.35 s of CPU: {_judged(used, 0.35, _seconds(used))}"
    for result in found.get("start", {}).values():
        used = float(result["figures"]["--help"]["cpu"])
        yield f"- `--help` under 70 ms of CPU: {_judged(used, 0.07, f'{used * 1000:.0f} ms')}"


def _memory(found: Found, name: str) -> str:
    peaks = [found[heat][name]["figures"]["ours"]["memory"] for heat in ("cold", "six") if name in found.get(heat, {})]
    return _judged(max(peaks), 150e6, f"{max(peaks) / 1e6:.0f} MB") if peaks else ""


def _judged(value: float, most: float, text: str) -> str:
    return f"**{text}**" if value <= most else text


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
