"""Another process fetches the files: what it brings, what becomes of what it can't, and that it never stays behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import server as fake
from tests.fakes.server import FakeServer
from tests.net.helpers import add_wheel
from tests.worlds import ROOT, environment

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there is no porter elsewhere"),
    pytest.mark.skipif(
        sys.platform == "linux" and len(os.sched_getaffinity(0)) < 2, reason="on one processor there is no porter"
    ),
]

SIZE = 600_000

SCRIPT = """\
    import json, os, signal, sys, threading, time
    from pathlib import Path
    from pypimirror.errors import PypimirrorError
    from pypimirror.model.files import ListedFile
    from pypimirror.model.names import parse_file_name
    from pypimirror.net.cache import Cache
    from pypimirror.net.carrying import carrying
    from pypimirror.net.client import Client
    from pypimirror.net.credentials import Credentials
    from pypimirror.net.download import Downloads
    from pypimirror.net.settings import Settings
    from pypimirror.reporting import Reporter

    class Counted(Reporter):
        came = 0

        def download_bytes(self, *, filename, count):
            self.came += count

    def children():
        return [int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]

    def kill_when_begun():
        while not any(part.stat().st_size for part in Path(sys.argv[1]).glob("partial-v1/*")):
            time.sleep(0.01)
        os.kill(children()[0], signal.SIGKILL)

    settings = Settings(sources=(), credentials=Credentials(environ={}), timeout=5.0, retries=0)
    reporter = Counted()
    cache = Cache(Path(sys.argv[1]))
    files = [
        ListedFile(name=parse_file_name(url.rpartition("/")[2]), url=url, hashes=(("sha256", digest),), size=size)
        for url, digest, size in json.loads(sys.argv[2])
    ]
    said = {"faults": []}
    with Client(settings, reporter=reporter) as client:
        downloads = Downloads(client, cache, reporter)
        downloads.tell()
        with carrying(downloads, settings=settings, cache=cache, stopping=client.stopping):
            said["children"] = len(children())
            for file in files:
                try:
                    HERE
                    said["stored"] = [str(downloads.whole(file).path), downloads.whole(file).size]
                except PypimirrorError as fault:
                    said["faults"].append(fault.code)
            said["came"] = reporter.came
        said["left"] = len(children())
    print(json.dumps(said))
"""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def asked(server: FakeServer) -> str:
    rows = [
        (server.file_url(name), hashlib.sha256(served.data).hexdigest(), len(served.data))
        for name, served in server.files.items()
    ]
    return json.dumps(rows)


def command(server: FakeServer, folder: Path, here: str) -> list[str]:
    script = textwrap.dedent(SCRIPT).replace("HERE", here)
    return [sys.executable, "-c", script, str(folder / "cache"), asked(server)]


def run(server: FakeServer, folder: Path, *, here: str = "pass") -> Any:  # noqa: ANN401 - what the script said
    ran = subprocess.run(
        command(server, folder, here), cwd=ROOT, env=environment(folder), capture_output=True, timeout=60, check=False
    )
    assert ran.stderr.decode() == ""
    return json.loads(ran.stdout)


def agents(server: FakeServer) -> int:
    """How many connections asked for files."""
    return len(server.paths("/files/*"))


def test_a_file_comes_by_the_child_and_every_byte_of_it_is_told(server: FakeServer, tmp_path: Path) -> None:
    served = add_wheel(server, size=9_000_000)
    said = run(server, tmp_path)
    assert said == {
        "faults": [],
        "children": 1,
        "stored": [str(next((tmp_path / "cache" / "files-v2").rglob("*/*"))), len(served.data)],
        "came": len(served.data),
        "left": 0,
    }
    assert Path(said["stored"][0]).read_bytes() == served.data
    assert agents(server) == 1
    assert len(list((tmp_path / "cache" / "metadata-v2").rglob("*/*"))) == 1, "it was looked into, too"


def test_where_the_child_dies_this_process_fetches_the_file_itself(server: FakeServer, tmp_path: Path) -> None:
    served = add_wheel(server, size=SIZE)
    server.faults.append(fake.slow("/files/*", pause=0.2, piece=100_000, times=1))
    kill = "threading.Thread(target=kill_when_begun).start()"
    said = run(server, tmp_path, here=kill)
    assert (said["faults"], said["stored"][1], said["left"]) == ([], len(served.data), 0)
    assert Path(said["stored"][0]).read_bytes() == served.data
    assert said["came"] == len(served.data)
    assert agents(server) == 2


@pytest.mark.parametrize("what", ["gone", "wrong bytes", "away"])
def test_what_the_child_can_not_do_is_told_by_this_process(server: FakeServer, tmp_path: Path, what: str) -> None:
    served = add_wheel(server, size=SIZE)
    if what == "gone":
        server.faults.append(fake.status("/files/*", 404, times=None))
    elif what == "wrong bytes":
        server.faults.append(fake.wrong_bytes("/files/*", b"x" * len(served.data), times=None))
    else:
        server.faults.append(fake.status("/files/*", 500, times=None))
    said = run(server, tmp_path)
    assert said["faults"] == [{"gone": "gone", "wrong bytes": "wrong-hash", "away": "server-error"}[what]]
    assert (said["came"], said["left"]) == (0, 0)


def test_one_attempt_of_the_child_that_fails_is_made_good_here(server: FakeServer, tmp_path: Path) -> None:
    served = add_wheel(server, size=SIZE)
    server.faults.append(fake.cut("/files/*", after=1000, times=1))
    said = run(server, tmp_path)
    assert (said["faults"], said["stored"][1], said["came"]) == ([], len(served.data), len(served.data))


def test_a_wheel_that_is_broken_inside_is_fetched_once_and_left_for_the_inspection(
    server: FakeServer, tmp_path: Path
) -> None:
    server.add("demo-1.0-py3-none-any.whl", b"no zip" * 1000)
    said = run(server, tmp_path)
    assert (said["faults"], said["stored"][1]) == ([], 6000)
    assert agents(server) == 1


def test_no_child_where_another_thread_runs(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server, size=SIZE)
    script = command(server, tmp_path, "pass")
    script[2] = script[2].replace("reporter = Counted()", "reporter = Counted(); threading.Timer(60, print).start()")
    script[2] = script[2].replace("print(json.dumps(said))", "print(json.dumps(said), flush=True); os._exit(0)")
    ran = subprocess.run(script, cwd=ROOT, env=environment(tmp_path), capture_output=True, timeout=60, check=True)
    assert json.loads(ran.stdout)["children"] == 0
    assert json.loads(ran.stdout)["faults"] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_child_does_not_outlive_this_process(server: FakeServer, tmp_path: Path, number: signal.Signals) -> None:
    add_wheel(server, size=SIZE)
    server.faults.append(fake.slow("/files/*", pause=0.2, piece=1000, times=None))
    tell = "print(*children(), flush=True)"
    parent = subprocess.Popen(
        command(server, tmp_path, tell),
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 20
    while not agents(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(number)
    parent.communicate(timeout=20)
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
