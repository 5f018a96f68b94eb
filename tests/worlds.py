"""What tests of whole runs share: a world to bundle from, the program as a child process, installers, a web server."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.archives import make_sdist, make_wheel
from tests.fakes.server import FakeServer

ROOT = Path(__file__).parent.parent
TARGET = ("--python", "3.12", "--platform", "manylinux_2_28_x86_64")


@dataclass(frozen=True)
class Ran:
    """A run of the program: its exit code, and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - whatever it printed
        return json.loads(self.out)


def environment(home: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which neither pip's settings nor the person's files nor proxies of this machine count."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")}
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        **(changes or {}),
    }


class Program:
    """``pypimirror`` in a folder of its own, with a home and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.work = folder / "work"
        self.work.mkdir()

    def __call__(self, *arguments: str | Path, env: Mapping[str, str] | None = None, stdin: bytes | None = None) -> Ran:
        ran = subprocess.run(
            self.command(*arguments),
            cwd=self.work,
            env=environment(self.home, env),
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout.decode(errors="replace"), ran.stderr.decode())

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "pypimirror", *map(str, arguments)]

    def interrupted(
        self, *arguments: str | Path, when: Callable[[], bool], number: int = signal.SIGINT, stdout: int | None = None
    ) -> Ran:
        """A run that gets a signal as soon as *when* is true. It must end by itself soon after."""
        # A signal may come between an open and its "with": that is no leak of a process which is about to end.
        lenient = {"PYTHONWARNINGS": "error,ignore::ResourceWarning"}
        with subprocess.Popen(
            self.command(*arguments),
            cwd=self.work,
            env=environment(self.home, lenient),
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                _until(lambda: when() or process.poll() is not None)
                process.send_signal(number)
                _, err = process.communicate(timeout=10)
            finally:
                process.kill()
        return Ran(process.returncode, "", err.decode())


def _until(true: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def fill(server: FakeServer) -> None:
    """A small world: a chain with markers, an extra, a platform's own wheels, a yank, an sdist, a ``+``, an epoch."""

    def wheel(name: str, version: str, **facts: Any) -> None:  # noqa: ANN401 - make_wheel's own
        served = {key: facts.pop(key) for key in ("yanked",) if key in facts}
        filename, data = make_wheel(name, version, **facts)
        server.add(filename, data, requires_python=facts.get("requires_python"), **served)

    wheel("app", "1.0", requires_dist=["lib>=1", "win-only; sys_platform == 'win32'", "fast; extra == 'speed'"])
    wheel("app", "2.0", requires_dist=["lib>=1", "win-only; sys_platform == 'win32'"], requires_python=">=3.8")
    wheel("lib", "1.0")
    wheel("lib", "1.1+local.1")
    wheel("lib", "1.2", yanked="broken")
    wheel("win-only", "1!0.5")
    wheel("fast", "3.0", tags=("cp312-cp312-manylinux_2_17_x86_64",))
    wheel("fast", "3.0", tags=("cp312-cp312-win_amd64",))
    filename, data = make_sdist("source", "1.0", requires_dist=["lib"])
    server.add(filename, data)


@contextmanager
def world() -> Iterator[FakeServer]:
    with FakeServer() as server:
        fill(server)
        yield server


def small_bundle(path: Path, *requirements: str, targets: tuple[str, ...] = TARGET) -> Path:
    """A real bundle of the small world, made by the program itself."""
    folder = path.parent / f"{path.stem}-making"
    folder.mkdir()
    program = Program(folder)
    with world() as server:
        asked = requirements or ("app", "fast")
        ran = program("bundle", *asked, *targets, "-i", server.index_url, "-o", path, "-q")
    assert ran.code == 0, ran.err
    return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """*folder* behind the standard library's server, as ``python -m http.server`` has it; gives the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with running(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield address


@contextmanager
def running(server: http.server.ThreadingHTTPServer) -> Iterator[str]:
    """*server* at work in a thread of its own; gives its address, and closes it in the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Installer:
    """A fresh virtual environment, and a pip or a uv that installs into it from one place and nowhere else."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        if python == sys.executable:
            venv.create(folder, with_pip=True)
        else:
            subprocess.run([python, "-m", "venv", str(folder)], check=True, env=environment(folder.parent), timeout=120)
        self.python = folder / "bin" / "python"
        self._env = environment(folder.parent)
        del self._env["PYTHONPATH"], self._env["PYTHONWARNINGS"]

    def pip(self, *arguments: str) -> str:
        return self._run([str(self.python), "-m", "pip", *arguments, "--no-cache-dir"])

    def uv(self, *arguments: str) -> str:
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        if uv is None:
            pytest.skip("uv is not installed")
        return self._run([uv, "--no-config", "--no-cache", *arguments], VIRTUAL_ENV=str(self.folder))

    def versions(self) -> dict[str, str]:
        listed = json.loads(self._run([str(self.python), "-m", "pip", "list", "--format", "json"]))
        return {each["name"]: each["version"] for each in listed if each["name"] not in ("pip", "setuptools", "wheel")}

    def _run(self, command: list[str], **changes: str) -> str:
        ran = subprocess.run(
            command, env={**self._env, **changes}, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout
