"""Side connections: a large file of which one connection brings little comes by several; whatever goes wrong with
them, the file is right in the end, and a run that would have gone well without them does."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import BinaryIO

import pytest

from pypimirror.disk import Disk, StrPath
from pypimirror.errors import IntegrityFault
from pypimirror.model.files import ListedFile
from pypimirror.model.names import parse_file_name
from pypimirror.net.cache import Cache
from pypimirror.net.client import Stopped
from pypimirror.net.download import Downloads
from pypimirror.net.pace import RULES, Rules
from tests.fakes import server as fake
from tests.fakes.server import Exchange, FakeServer, Fault, ServedFile
from tests.net.helpers import QUICK, World, add_wheel, index_source, noise, settings_for

ROOT = Path(__file__).parents[2]
SIZE = 600_000
PIECE, PAUSE = 16 << 10, 0.004  # of what each connection brings: 4 MB a second
SIDE = re.compile(r"bytes=([0-9]+)-([0-9]+)")
SOON = Rules(
    least=100_000,
    fair=-10.0,  # whatever they bring
    settle=0.005,
    look=0.015,
    worth=0.0,
    smallest=32 << 10,
    largest=64 << 10,
    unjoined=1 << 20,
    stall=0.3,
)

SLOWER = fake.slow("/files/*.whl", pause=10 * PAUSE, piece=PIECE)  # what is looked at halfway must not be over before
FINE = replace(SOON, smallest=16 << 10, largest=16 << 10)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def large(server: FakeServer) -> ServedFile:
    """A file of which one connection brings little at a time."""
    served = add_wheel(server, size=SIZE)
    server.faults.append(fake.slow("/files/*.whl", pause=PAUSE, piece=PIECE))
    return served


def world(folder: Path, server: FakeServer, *, timeout: float = 2.0) -> World:
    return World(folder / "cache", settings_for(index_source(server), timeout=timeout), limits=QUICK)


def downloads(run: World, rules: Rules = SOON) -> Downloads:
    made = Downloads(run.client, run.cache, run.reporter, rules=rules)
    made.tell()
    return made


def fetched(
    folder: Path, server: FakeServer, served: ServedFile, rules: Rules = SOON, *, timeout: float = 2.0
) -> World:
    """One run that fetches the file; all that must hold of it, whatever went wrong on the way, does."""
    with world(folder, server, timeout=timeout) as run:
        stored = downloads(run, rules).whole(run.one())
    assert stored.path.read_bytes() == served.data
    assert run.reporter.bytes[served.filename] == len(served.data)
    assert left_over(folder) == []
    return run


def direct(url: str) -> ListedFile:
    """A file that an index names, and says nothing else of."""
    return ListedFile(
        name=parse_file_name(url.rpartition("/")[2]),
        url=url,
        hashes=(),
        size=None,
        requires_python=None,
        yanked=None,
        upload_time=None,
        index="index.example",
    )


def left_over(folder: Path) -> list[str]:
    end = time.monotonic() + 5
    while True:  # a side connection that nobody waits for any more may still be on its way out
        found = [*names_in(folder / "cache" / "temp"), *names_in(folder / "cache" / "partial-v1")]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.02)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def sides(server: FakeServer) -> list[tuple[int, int]]:
    """The first and the last byte of each segment that was asked for, in order of the file."""
    found = [SIDE.fullmatch(seen.headers.get("range", "")) for seen in server.requests]
    return sorted((int(match[1]), int(match[2])) for match in found if match)


def beginnings(server: FakeServer) -> int:
    """How often the file was begun: more than once where what came was thrown away."""
    return sum("range" not in seen.headers for seen in server.requests if seen.path.endswith(".whl"))


def on_sides(act: Callable[[Exchange], bool | None], times: int = 1000) -> Fault:
    """*act* answers the first *times* requests for a segment, and no others."""
    used = count()

    def chosen(exchange: Exchange) -> bool | None:
        is_side = SIDE.fullmatch(exchange.headers.get("Range", ""))
        return act(exchange) if is_side and next(used) < times else False

    return Fault("/files/*.whl", chosen, None)


class TestGood:
    def test_segments_come_side_by_side_each_once(self, server: FakeServer, large: ServedFile, tmp_path: Path) -> None:
        fetched(tmp_path, server, large)
        asked = sides(server)
        assert len(asked) > 2
        assert beginnings(server) == 1
        assert all(before[1] < after[0] for before, after in pairwise(asked))
        assert all(seen.headers["if-range"].startswith('"') for seen in server.requests if "range" in seen.headers)

    def test_files_that_the_index_redirects_elsewhere_come_so_too(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        with FakeServer() as elsewhere:
            elsewhere.pages["/kept/large"] = fake.Body(data=large.data)
            elsewhere.faults.append(fake.slow("/kept/*", pause=PAUSE, piece=PIECE))
            server.faults.insert(0, fake.redirect("/files/*.whl", f"{elsewhere.url}/kept/large"))
            fetched(tmp_path, server, large)
            assert len(sides(elsewhere)) > 2

    def test_without_a_size_in_the_index_it_is_the_same(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        large.size = None
        fetched(tmp_path, server, large)
        assert len(sides(server)) > 2
        assert beginnings(server) == 1

    def test_a_hash_is_enough_where_the_server_has_no_validator(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.etags = False
        fetched(tmp_path, server, large)
        assert len(sides(server)) > 2
        assert beginnings(server) == 1

    def test_what_lies_beside_the_beginning_is_bounded(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        asked: list[int] = []

        def late(exchange: Exchange) -> bool:
            time.sleep(0.25)  # meanwhile the others could fetch all of it
            asked.append(sum(end + 1 - start for start, end in sides(exchange.server.fake)))
            return False

        server.faults.insert(0, on_sides(late, times=1))
        fetched(tmp_path, server, large, replace(FINE, unjoined=48 << 10, steps=(4,), stall=5.0))
        assert asked[0] <= (48 << 10) + 6 * (16 << 10)

    def test_other_transfers_go_first(self, server: FakeServer, large: ServedFile, tmp_path: Path) -> None:
        with world(tmp_path, server) as run, ExitStack() as others:
            server.faults[:] = [SLOWER]
            made, file = downloads(run, FINE), run.one()
            thread = threading.Thread(target=made.whole, args=(file,))
            thread.start()
            until(lambda: len(sides(server)) > 1)
            for _ in range(SOON.places):
                others.enter_context(made._places.taken())
            asked = len(sides(server))
            thread.join(20)
            # Each ends with its segment; one may have asked for its next just then.
            assert len(sides(server)) <= asked + SOON.steps[-1]
            assert made.whole(file).path.read_bytes() == large.data

    def test_every_hash_is_made_of_the_whole(self, server: FakeServer, large: ServedFile, tmp_path: Path) -> None:
        large.hashes["md5"] = "0" * 32
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault, match="wrong md5"):
            downloads(run).whole(run.one())

    def test_a_connection_that_fills_the_line_stays_alone(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        fetched(tmp_path, server, large, replace(SOON, fair=10.0, again=60.0))
        asked = sides(server)
        assert 1 <= len(asked) <= 3
        assert sum(end - start for start, end in asked) < SIZE / 2


class TestAlone:
    """What is never split."""

    @pytest.mark.parametrize(
        "rules",
        [
            pytest.param(RULES, id="too small"),
            pytest.param(replace(SOON, places=1), id="no place"),
            pytest.param(replace(SOON, unjoined=1 << 60), id="no room on the disk"),
            pytest.param(replace(SOON, worth=60.0), id="soon over"),
        ],
    )
    def test_by_the_rules(self, server: FakeServer, large: ServedFile, tmp_path: Path, rules: Rules) -> None:
        fetched(tmp_path, server, large, rules)
        assert sides(server) == []

    def test_a_file_of_which_nothing_would_tell_that_it_changed(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.etags = False
        large.hashes.clear()
        fetched(tmp_path, server, large)
        assert sides(server) == []

    def test_a_server_that_does_not_say_that_it_knows_ranges(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.ranges = False
        fetched(tmp_path, server, large)
        assert sides(server) == []


def whole(exchange: Exchange) -> None:
    """The server ignores the range."""
    data = exchange.server.fake.files["demo-1.0-py3-none-any.whl"].data
    exchange.head(200, {"Content-Length": str(len(data)), "ETag": '"x"', "Accept-Ranges": "bytes"})
    exchange.wfile.write(data)


def part(start: int = 0, more: int = 0, etag: str | None = None) -> Callable[[Exchange], None]:
    """Other bytes than those asked for: some further back, more of them, of another version."""

    def act(exchange: Exchange) -> None:
        code, _, headers = fake._body(exchange)
        match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)", headers["Content-Range"])
        assert match is not None
        first, last = int(match[1]) + start, int(match[2]) + start + more
        changed = {"Content-Range": f"bytes {first}-{last}/{match[3]}", "Content-Length": str(last - first + 1)}
        exchange.head(code, {**headers, **changed, **({"ETag": etag} if etag else {})})
        exchange.wfile.write(bytes(last - first))
        time.sleep(0.02)  # what is wrong shows with the last piece
        exchange.wfile.write(b"\0")

    return act


class TestRefused:
    """The server doesn't do it after all: the one transfer goes on, nobody is told, and it isn't tried again."""

    @pytest.mark.parametrize(
        "act",
        [
            pytest.param(whole, id="ranges ignored"),
            pytest.param(part(start=-1), id="another part"),
            pytest.param(part(more=1), id="more than asked for"),
            pytest.param(part(etag='"another"'), id="another version"),
            pytest.param(part(etag='W/"weak"'), id="no validator any more"),
            pytest.param(fake.status("", 416).act, id="416"),
            pytest.param(fake.status("", 429, headers={"Retry-After": "60"}).act, id="429"),
            pytest.param(fake.status("", 503).act, id="503"),
            pytest.param(fake.status("", 404).act, id="404"),
        ],
    )
    def test_it_goes_on_alone(
        self, server: FakeServer, large: ServedFile, tmp_path: Path, act: Callable[[Exchange], bool | None]
    ) -> None:
        server.faults.insert(0, on_sides(act))
        run = fetched(tmp_path, server, large)
        assert run.reporter.retries == []
        assert 1 <= len(sides(server)) <= 5
        assert beginnings(server) == 1

    def test_the_next_file_is_not_split_at_all(self, server: FakeServer, large: ServedFile, tmp_path: Path) -> None:
        server.faults.insert(0, on_sides(fake.status("", 429).act))
        other = add_wheel(server, "other", size=SIZE)
        with world(tmp_path, server) as run:
            made = downloads(run)
            made.whole(run.one())
            server.forget()
            assert made.whole(run.one("other")).path.read_bytes() == other.data
        assert large.data != other.data
        assert sides(server) == []

    def test_other_bytes_than_those_of_the_hash_are_fetched_again_alone(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.etags = False
        server.faults.insert(0, on_sides(part()))
        begun = 0

        def wrong_again(exchange: Exchange) -> bool | None:
            nonlocal begun
            begun += "Range" not in exchange.headers
            if begun != 2:
                return False
            return fake.wrong_bytes("", bytes(len(large.data))).act(exchange)

        server.faults.insert(0, Fault("/files/*.whl", wrong_again, None))
        fetched(tmp_path, server, large)
        # In one piece from then on; and what side connections brought is not held against the server.
        assert [seen.headers.get("range") for seen in server.requests if seen.path.endswith(".whl")][-2:] == [None] * 2


class TestBroken:
    def test_a_side_connection_that_breaks_off_leaves_what_it_got(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.faults.insert(0, on_sides(fake.reset("", after=20_000).act, times=2))
        run = fetched(tmp_path, server, large)
        assert beginnings(server) == 1
        assert run.reporter.retries == []
        assert len(sides(server)) > 3

    def test_where_they_always_break_off_it_is_given_up(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.faults.insert(0, on_sides(fake.reset("").act))
        run = fetched(tmp_path, server, large)
        assert beginnings(server) == 1
        assert run.reporter.retries == []
        assert SOON.troubles <= len(sides(server)) <= SOON.troubles + 5

    def test_one_that_falls_silent_is_not_waited_for(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        quiet = fake.silence("", seconds=30)
        server.faults.insert(0, on_sides(quiet.act, times=1))
        begun = time.monotonic()
        run = fetched(tmp_path, server, large, timeout=30.0)
        assert run.reporter.retries == []
        assert beginnings(server) == 1
        assert time.monotonic() - begun < 10

    def test_the_beginning_may_break_off_meanwhile(self, server: FakeServer, large: ServedFile, tmp_path: Path) -> None:
        def broken(exchange: Exchange) -> bool | None:
            if "Range" in exchange.headers:
                return False
            exchange.head(200, {"Content-Length": str(len(large.data)), "ETag": '"x"', "Accept-Ranges": "bytes"})
            for at in range(0, 250_000, PIECE):
                exchange.wfile.write(large.data[at : at + PIECE])
                time.sleep(PAUSE)
            exchange.drop()
            return None

        server.etags = False
        server.faults.insert(0, Fault("/files/*.whl", broken, 1))
        run = fetched(tmp_path, server, large)
        assert len(run.reporter.retries) <= 1
        assert sides(server)

    def test_a_host_that_takes_no_more_connections_is_not_called_dead(self, tmp_path: Path) -> None:
        data, listener = noise(SIZE), socket.create_server(("127.0.0.1", 0))
        place = listener.getsockname()

        def answer(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            listener.close()
            with connection:
                connection.recv(65_536)
                head = f'HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\nAccept-Ranges: bytes\r\nETag: "x"\r\n\r\n'
                connection.sendall(head.encode())
                for at in range(0, len(data), PIECE):
                    connection.sendall(data[at : at + PIECE])
                    time.sleep(PAUSE)

        def serve() -> None:
            answer(listener)
            answer(socket.create_server(place))

        thread = threading.Thread(target=serve)
        thread.start()
        with World(tmp_path / "cache", settings_for(), limits=QUICK) as run:
            made = downloads(run)
            assert made.whole(direct(f"http://127.0.0.1:{place[1]}/demo-1.0.tar.gz")).path.read_bytes() == data
            assert run.reporter.retries == []
            made.whole(direct(f"http://127.0.0.1:{place[1]}/demo-2.0.tar.gz"))
        thread.join(10)
        assert left_over(tmp_path) == []

    def test_a_disk_that_takes_no_segment_takes_the_file(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        class Full(Disk):
            def create(self, path: StrPath, *, mode: int = 0o644) -> BinaryIO:
                if "temp" in str(path) and threading.current_thread().name == "side":
                    raise OSError(errno.ENOSPC, "full")
                return super().create(path, mode=mode)

        with world(tmp_path, server) as run:
            made = Downloads(run.client, Cache(tmp_path / "cache", disk=Full()), rules=SOON)
            assert made.whole(run.one()).path.read_bytes() == large.data
        assert sides(server) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(12))
    def test_whatever_happens_the_file_is_right(
        self, server: FakeServer, large: ServedFile, tmp_path: Path, seed: int
    ) -> None:
        chance, lock = random.Random(seed), threading.Lock()  # noqa: S311 - the same faults each time
        acts = [fake.reset("", after=9_000).act, fake.reset("").act, fake.cut("", after=30_000).act]
        acts += [fake.status("", code).act for code in (500, 502)] + [fake.silence("", seconds=0.5).act]

        def act(exchange: Exchange) -> bool | None:
            with lock:
                chosen = chance.choice(acts) if chance.random() < 0.3 else None
            return False if chosen is None else chosen(exchange)

        server.faults.insert(0, Fault("/files/*.whl", act, None))
        large.hashes["md5"] = hashlib.md5(large.data, usedforsecurity=False).hexdigest()
        settings = settings_for(index_source(server), retries=20)
        with World(tmp_path / "cache", settings, limits=QUICK) as run:
            stored = downloads(run, replace(SOON, troubles=50)).whole(run.one())
        assert stored.path.read_bytes() == large.data
        assert run.reporter.bytes[large.filename] == len(large.data)
        assert left_over(tmp_path) == []


CHILD = """
import sys
from pathlib import Path
from pypimirror.net.pace import Rules
from tests.net.test_sides import SOON, downloads
from tests.net.helpers import World, settings_for
from pypimirror.net.settings import Source

settings = settings_for(Source(name="index.example", url=sys.argv[2], kind="index"), timeout=30.0)
with World(Path(sys.argv[1]), settings) as run:
    downloads(run).whole(run.one())
"""


class TestInterrupt:
    def test_a_stop_ends_it_at_once_and_leaves_a_beginning(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.faults[:] = [SLOWER]
        with world(tmp_path, server) as run:
            made, file, raised = downloads(run), run.one(), []

            def work() -> None:
                try:
                    made.whole(file)
                except Stopped as stopped:
                    raised.append(stopped)

            thread = threading.Thread(target=work)
            thread.start()
            until(lambda: len(sides(server)) > 1)
            begun = time.monotonic()
            run.client.stop()
            thread.join(5)
            assert raised
            assert time.monotonic() - begun < 1
        assert names_in(tmp_path / "cache" / "temp") == []
        (kept,) = names_in(tmp_path / "cache" / "partial-v1")
        data = (tmp_path / "cache" / "partial-v1" / kept).read_bytes()
        assert data
        assert large.data.startswith(data)

    @pytest.mark.skipif(os.name == "nt", reason="signals are others there")
    def test_a_killed_run_leaves_a_beginning_and_nothing_else(
        self, server: FakeServer, large: ServedFile, tmp_path: Path
    ) -> None:
        server.faults[:] = [SLOWER]
        words = [sys.executable, "-c", CHILD, str(tmp_path / "cache"), server.index_url]
        with subprocess.Popen(words, cwd=ROOT) as child:
            until(lambda: len(sides(server)) > 1)
            child.send_signal(signal.SIGKILL)
        # Killed between two calls of the system, a file may still have its name; then it is empty.
        assert not any(path.stat().st_size for path in (tmp_path / "cache" / "temp").iterdir())
        (kept,) = (tmp_path / "cache" / "partial-v1").iterdir()
        had = kept.read_bytes()
        assert large.data.startswith(had)
        for path in (tmp_path / "cache" / "temp").iterdir():
            path.unlink()
        server.forget()
        server.faults.clear()
        fetched(tmp_path, server, large)
        assert f"bytes={len(had)}-" in [seen.headers.get("range") for seen in server.requests]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
