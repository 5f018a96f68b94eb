"""The server as a process of its own, so that it shares no lock with what it is asked by; and recording over it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import jobs
from tests.benchmarks.server import Line, Replay, serve
from tests.benchmarks.store import Face, Store

__all__ = ["Bed", "opened", "serve_here", "tools_of"]

_ROOT = Path(__file__).parent.parent.parent
_PATIENCE = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bed:
    """A server that runs, at ``address``."""

    address: str

    def ask(self, what: str) -> Any:  # noqa: ANN401  JSON
        """``counts``, ``reset``, ``line?latency=0.02&rate=0&connection=0``."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"{self.address}/-/{what}", timeout=10
        ) as answer:
            return json.load(answer)


@contextlib.contextmanager
def opened(store: Path, *, latency: float, rate: float, connection: float = 0, fill: int = 0) -> Iterator[Bed]:
    """A server for *store*; with *fill* it asks the real index for what is missing, so many bytes at most."""
    command = [sys.executable, "-m", "tests.benchmarks", "serve", "--store", str(store)]
    command += ["--latency", str(latency), "--rate", str(rate), "--per-connection", str(connection)]
    command += ["--fill", str(fill)] if fill else []
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline().strip()
            if not line:
                raise SystemExit("the server did not start")
            yield Bed(address=line)
        finally:
            child.terminate()


def serve_here(folder: Path, *, port: int, line: Line, fill: int) -> None:
    """Serve until killed; the first line of output is the address."""

    def ready(number: int) -> None:
        sys.stdout.write(f"http://127.0.0.1:{number}\n")
        sys.stdout.flush()

    with contextlib.ExitStack() as stack:
        if fill:  # replaying needs nothing of ours, so that a checkout that is being worked on can't break it
            from tests.benchmarks import upstream  # noqa: PLC0415 - see above

            filler = stack.enter_context(upstream.open_upstream(most=fill))
        else:
            filler = None
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(Replay(Store(folder, filler), line), port=port, ready=ready))


def tools_of(store: Path, *, pip: str | None, uv: str | None) -> jobs.Tools:
    """The tools to compare with. Unless one is named, the newest pip is installed beside the store, once."""
    if pip is None:
        folder = store / "newest-pip"
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", "--upgrade", "pip"], check=True)
        pip = str(python)
    return jobs.found_tools(pip, uv)


def final_files(store: Path, case: jobs.Case) -> tuple[str, ...]:
    """What the workload came to when it was recorded."""
    return tuple(json.loads((store / "lists" / f"{list_name(case)}.json").read_text()))


def list_name(case: jobs.Case) -> str:
    return f"{case.workload.name}-{'one' if len(case.targets) == 1 else 'six'}"


def keep_list(store: Path, case: jobs.Case, folder: Path) -> None:
    """Remember the files of the bundle that was made in *folder*."""
    with tarfile.open(folder / "bundle.tar") as tar:
        names = [name.rpartition("/")[2] for name in tar.getnames() if "/packages/" in name]
    kept = sorted(name for name in names if name.endswith((".whl", ".tar.gz", ".zip")))
    (store / "lists" / f"{list_name(case)}.json").write_text(json.dumps(kept, indent=0))


def faces_of(case_faces: str) -> tuple[Face, ...]:
    return ("json", "html") if case_faces == "both" else (("html",) if case_faces == "html" else ("json",))
