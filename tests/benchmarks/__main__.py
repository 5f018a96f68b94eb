"""The benchmark bed by hand: record, serve, race, ceiling, flames. ``python -m tests.benchmarks COMMAND --help``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import bed, jobs, plot, profiles, races, store, tables
from tests.benchmarks.server import Line
from tests.benchmarks.suite import SUITE, Results, Wanted, needed
from tests.benchmarks.workloads import WORKLOADS, targets_named

_MOST = 3_000_000_000


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--store", type=Path, default=store.default_store(), help="where the recording lies")
    line = argparse.ArgumentParser(add_help=False)
    line.add_argument("--latency", type=float, default=0.02, help="seconds that each request waits")
    line.add_argument("--rate", type=float, default=125e6, help="bytes a second of the whole line; 0: no bound")
    line.add_argument("--per-connection", type=float, default=0, help="bytes a second of each connection; 0: no bound")
    often = argparse.ArgumentParser(add_help=False)
    often.add_argument("-n", "--rounds", type=int, default=5)
    often.add_argument(
        "--pip-rounds", type=int, default=1000, help="fewer rounds for pip, which takes most of the time"
    )
    what = argparse.ArgumentParser(add_help=False)
    what.add_argument("--workload", action="append", choices=sorted(WORKLOADS), help="repeat; all by default")
    what.add_argument("--targets", choices=("one", "six", "both"), default="one")
    what.add_argument("--face", choices=("json", "html", "both"), default="json")
    what.add_argument(
        "--pip", help="a Python whose pip is compared with; else the newest is installed beside the store"
    )
    what.add_argument("--program", type=Path, default=jobs.ROOT, help="the folder in which our package lies")
    what.add_argument("--uv", help="the uv that is compared with")
    serve = commands.add_parser("serve", parents=[shared, line], help="replay the recording; prints the address")
    serve.add_argument("--port", type=int, default=0)
    serve.add_argument("--fill", type=int, default=0, help="ask the real index for what is missing; bytes at most")
    record = commands.add_parser("record", parents=[shared, what], help="record what the tools ask for")
    record.add_argument("--most", type=int, default=_MOST, help="bytes that the store may have")
    record.add_argument("--missing", action="store_true", help="what the suite needs and was not recorded yet")
    record.add_argument("--tool", action="append", help="repeat; ours, pip, uv by default")
    race = commands.add_parser("race", parents=[shared, line, often, what], help="the tools side by side")
    race.add_argument(
        "--tool", action="append", help="repeat; ours, uv + curl, pip, floor, floor + sha256, warm plan, ..."
    )
    flames = commands.add_parser("flames", parents=[shared, line, what], help="flame graphs of what is ours")
    flames.add_argument("--out", type=Path, help="where they are written; a folder of the store by default")
    flames.add_argument("--tool", action="append", help="repeat; ours and warm plan by default")
    suite = commands.add_parser(
        "suite", parents=[shared, line, often, what], help="every race; RESULTS.md and results.svg"
    )
    suite.add_argument("--heat", action="append", choices=[heat.name for heat in SUITE], help="repeat; all by default")
    suite.add_argument("--resume", action="store_true", help="leave out what an earlier run has measured")
    suite.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the results are written")
    commands.add_parser("ceiling", parents=[shared], help="how fast the server is, without latency or bound")
    return parser


def _case(said: argparse.Namespace, wanted: Wanted, server: bed.Bed, tools: jobs.Tools) -> jobs.Case:
    name, targets, face = wanted
    return jobs.Case(
        workload=WORKLOADS[name],
        targets=targets_named(targets),
        program=said.program,
        face=face,
        address=server.address,
        tools=tools,
    )


def _cases(said: argparse.Namespace, server: bed.Bed, tools: jobs.Tools) -> Iterator[jobs.Case]:
    for name in said.workload or sorted(WORKLOADS):
        for targets in ("one", "six") if said.targets == "both" else (said.targets,):
            for face in bed.faces_of(said.face):
                yield _case(said, (name, targets, face), server, tools)


def _record(said: argparse.Namespace) -> None:
    kept = store.Store(said.store)
    missing = [each for each in needed() if not kept.recorded("-".join(each))]
    if said.missing and not missing:
        return
    tools = bed.tools_of(said.store, pip=said.pip, uv=said.uv)
    with bed.opened(said.store, latency=0, rate=0, fill=max(1, said.most - kept.size())) as server:
        cases = (_case(said, each, server, tools) for each in missing) if said.missing else _cases(said, server, tools)
        for case in cases:
            sys.stderr.write(f"recording {bed.list_name(case)} {case.face}\n")
            races.record(case, said.store, said.tool or ["ours", "pip", "uv"])
            kept.mark(f"{bed.list_name(case)}-{case.face}")
            sys.stderr.writelines(f"  {line}\n" for line in server.ask("counts")["missed"])
    sys.stderr.write(f"the store has {kept.size() / 1e6:,.0f} MB\n")


def _race(said: argparse.Namespace) -> None:
    tools = bed.tools_of(said.store, pip=said.pip, uv=said.uv)
    with bed.opened(said.store, latency=said.latency, rate=said.rate, connection=said.per_connection) as server:
        for case in _cases(said, server, tools):
            usual = (
                ["ours", "uv", "pip"]
                if case.workload.plan_only
                else ["ours", "uv + curl", "pip", "floor", "floor + sha256"]
            )
            result = races.race(
                case,
                said.tool or usual,
                rounds=said.rounds,
                pip_rounds=said.pip_rounds,
                store=said.store,
                server=server,
            )
            _print(result)


def _flames(said: argparse.Namespace) -> None:
    """A flame graph of each case, and a table of the functions of ours that have 5 % or more of it."""
    out = (said.out or said.store / "flames").absolute()
    out.mkdir(parents=True, exist_ok=True)
    with bed.opened(said.store, latency=said.latency, rate=said.rate, connection=said.per_connection) as server:
        for case in _cases(said, server, jobs.found_tools(said.pip, said.uv)):
            with races.folder_in(said.store) as folder:
                ready = replace(case, warm=races.warmed(case, folder))
                for tool in said.tool or ["ours", "warm plan"]:
                    name = f"{bed.list_name(case)}-{case.face}-{tool.replace(' ', '-')}"
                    work = folder / name
                    work.mkdir()
                    found = profiles.flame(tool, ready, work, out / f"{name}.svg")
                    sys.stdout.write(f"\n{name}: share by itself, with all that it calls of ours\n")
                    sys.stdout.writelines(f"  {s.alone:4.0%} {s.whole:4.0%}  {s.name}\n" for s in found)
                    sys.stdout.flush()
    sys.stdout.write(f"\nthe graphs are in {out}\n")


def _suite(said: argparse.Namespace) -> None:
    path = said.store / "results.json"
    if not (said.resume or said.heat or said.workload):
        path.unlink(missing_ok=True)  # the whole picture is of one version
    ceiling = races.ceiling(said.store)
    results, tools = Results(path), bed.tools_of(said.store, pip=said.pip, uv=said.uv)
    wanted = [heat for heat in SUITE if not said.heat or heat.name in said.heat]
    with bed.opened(said.store, latency=said.latency, rate=said.rate, connection=said.per_connection) as server:
        for heat in wanted:
            for name in heat.workloads:
                if said.workload and name not in said.workload:
                    continue
                if said.resume and name in results.found.get(heat.name, {}):
                    continue
                case = _case(said, (name, heat.targets, heat.face), server, tools)
                result = races.race(
                    case, heat.tools, rounds=said.rounds, pip_rounds=said.pip_rounds, store=said.store, server=server
                )
                _print(result)
                results.add(heat.name, name, result)
    _write(said, results, tools, ceiling)


def _write(said: argparse.Namespace, results: Results, tools: jobs.Tools, ceiling: tuple[float, float]) -> None:
    """RESULTS.md and results.svg. Neither names a host, nor a path of this machine."""
    loads = [float(str(result["load"])) for heat in results.found.values() for result in heat.values()]
    rounds = {int(str(result["rounds"])) for heat in results.found.values() for result in heat.values()}
    few = min(int(str(result["pip_rounds"])) for heat in results.found.values() for result in heat.values())
    facts = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "pip": " ".join(_said(tools.pip, "-m", "pip", "--version").split()[:2]),
        "uv": " ".join(_said(tools.uv, "--version").split()[:2]),
        "rounds": " to ".join(map(str, sorted({min(rounds), max(rounds)}))),
        "few": f" (of pip {few} at least)" if few < min(rounds) else "",
        "date": store.DATE[:10],
        "latency": f"{said.latency * 1000:g}",
        "rate": f"{said.rate / 1e6:g} MB/s" if said.rate else "no bound on the bandwidth",
        "ceiling": "{:,.0f} requests or {:,.0f} MB".format(*ceiling),
        "load": f"{min(loads):.1f} to {max(loads):.1f}",
    }
    (said.out / "RESULTS.md").write_text(tables.markdown(results.found, facts), encoding="utf-8")
    note = f"Cold caches, {facts['latency']} ms a request, {facts['rate']}; medians of {facts['rounds']} rounds; "
    note += "multiples are of pypimirror; each workload has its own scale"
    (said.out / "results.svg").write_text(plot.svg(results.found, note=note), encoding="utf-8")


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _print(result: races.Result) -> None:
    sys.stdout.write(f"{result.case}: {result.files} files, {result.size / 1e6:.0f} MB; load {result.load:.1f}\n")
    for tool, figure in result.figures.items():
        used = f"{figure.wall:7.2f} s wall {figure.cpu:7.2f} s CPU {figure.memory / 1e6:6.0f} MB"
        counts = ", ".join(
            f"{count} {kind}" for kind, count in sorted(result.requests[tool].items()) if kind != "control"
        )
        missed = f"  {result.missed[tool]} MISSED" if result.missed[tool] else ""
        sys.stdout.write(f"  {tool:16} {used}   {counts}{missed}\n")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> None:
    said = _arguments().parse_args(words)
    if said.command == "serve":
        line = Line(latency=said.latency, rate=said.rate, connection=said.per_connection)
        bed.serve_here(said.store, port=said.port, line=line, fill=said.fill)
    elif said.command == "record":
        _record(said)
    elif said.command == "race":
        _race(said)
    elif said.command == "flames":
        _flames(said)
    elif said.command == "ceiling":
        sys.stdout.write("{:,.0f} small requests a second, {:,.0f} MB a second\n".format(*races.ceiling(said.store)))
    elif said.command == "suite":
        _suite(said)


if __name__ == "__main__":
    main()
