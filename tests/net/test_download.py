from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pypimirror.errors import DiskFault, IndexFault, IntegrityFault
from pypimirror.model.names import sha256_of_hex
from pypimirror.model.plan import PlannedFile, VerifiedFile
from pypimirror.net import download
from pypimirror.net.cache import Cache
from pypimirror.net.client import Limits
from pypimirror.net.credentials import Credentials
from tests.fakes import server as fake
from tests.fakes.archives import make_sdist
from tests.fakes.server import FakeServer
from tests.net.helpers import QUICK, World, add_wheel, index_source, settings_for

ROOT = Path(__file__).parents[2]
SIZE = 400_000


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def world(folder: Path, server: FakeServer, *, limits: Limits = QUICK, **changes: object) -> World:
    return World(folder / "cache", settings_for(index_source(server), **changes), limits=limits)


def plan(run: World, projects: Sequence[str] = ("demo",)) -> list[PlannedFile]:
    files = [file for project in projects for file in run.files(project).values()]
    return [PlannedFile(listed=file, metadata=run.index.core_metadata(file)) for file in files]


def fetch(run: World, planned: Sequence[PlannedFile]) -> tuple[VerifiedFile, ...]:
    return download.fetch(planned, client=run.client, cache=run.cache, reporter=run.reporter)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ranges(server: FakeServer, pattern: str = "/files/*.whl") -> list[str | None]:
    return [seen.headers.get("range") for seen in server.requests if fnmatch.fnmatchcase(seen.path, pattern)]


class TestGood:
    def test_files_are_fetched_once_verified_and_told_of(self, server: FakeServer, tmp_path: Path) -> None:
        small, large = add_wheel(server, "small"), add_wheel(server, "large", size=SIZE)
        server.add(*make_sdist("source", "1.0"))
        with world(tmp_path, server) as run:
            planned = plan(run, ("small", "source", "large"))
            server.forget()
            found = fetch(run, planned)
            reporter = run.reporter
        assert [file.planned for file in found] == planned
        for file, served in zip(found, (small, server.files["source-1.0.tar.gz"], large), strict=True):
            assert Path(file.path).read_bytes() == served.data
            assert (file.sha256, file.size, file.index_hash) == (sha256(served.data), len(served.data), True)
        metadata = small.sibling() or b""
        assert Path(found[0].metadata_path or "").read_bytes().endswith(b"\n" + metadata)
        assert (found[0].metadata_sha256, found[0].metadata_size) == (sha256(metadata), len(metadata))
        assert (found[1].metadata_path, found[1].metadata_sha256, found[1].metadata_size) == (None, None, None)
        # The sdist was fetched when it was resolved.
        assert sorted(server.paths()) == [f"/files/{large.filename}", f"/files/{small.filename}"]
        assert reporter.total == (3, sum(len(served.data) for served in server.files.values()))
        assert reporter.done == {small.filename: False, large.filename: False, "source-1.0.tar.gz": True}
        assert reporter.bytes[large.filename] == len(large.data)

    def test_a_second_run_fetches_nothing(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server, size=SIZE)
        for from_cache in (False, True):
            with world(tmp_path, server) as run:
                fetch(run, plan(run))
                assert run.reporter.done == {"demo-1.0-py3-none-any.whl": from_cache}
        assert len(server.paths("/files/*.whl")) == 1

    def test_a_rotten_byte_in_the_cache_is_healed(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, size=SIZE)
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        data = bytearray(served.data)
        data[1234] ^= 1
        Path(found.path).write_bytes(data)
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        assert Path(found.path).read_bytes() == served.data
        assert len(server.paths("/files/*.whl")) == 2

    def test_a_file_without_a_hash_says_so(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, hash=False)
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        assert (found.index_hash, found.sha256) == (False, sha256(served.data))

    def test_the_largest_are_begun_first(self, server: FakeServer, tmp_path: Path) -> None:
        for number in range(1, 6):
            add_wheel(server, f"demo{number}", size=number * 10_000)
        with world(tmp_path, server) as run:
            planned = plan(run, [f"demo{number}" for number in range(1, 6)])
            server.forget()
            download.fetch(planned, client=run.client, cache=run.cache, workers=1)
        assert server.paths() == [f"/files/demo{number}-1.0-py3-none-any.whl" for number in (5, 4, 3, 2, 1)]


class TestBrokenTransfers:
    """N1 to N5, N18."""

    def test_a_reset_transfer_goes_on_where_it_broke(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, size=SIZE)
        server.faults += [fake.reset("/files/*.whl", after=100_000), fake.reset("/files/*.whl", after=50_000)]
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
            assert run.reporter.bytes[served.filename] == len(served.data)
        assert Path(found.path).read_bytes() == served.data
        first, second, third = ranges(server)
        assert first is None
        assert second is not None
        assert third is not None
        assert 0 < int(second[6:-1]) < int(third[6:-1]) < SIZE
        assert server.requests[-1].headers["if-range"].startswith('"')

    def test_a_reset_that_stays_tells_what_is_safe(self, server: FakeServer, tmp_path: Path) -> None:
        names = [f"demo{number}" for number in range(6)]
        for each in names:
            add_wheel(server, each)
        server.faults.append(fake.reset("/files/demo3-1.0-py3-none-any.whl", times=None))
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            fetch(run, plan(run, names))
        fault = caught.value
        assert str(fault).endswith("/files/demo3-1.0-py3-none-any.whl: connection reset (3 tries)")
        assert "5 of 6 files are safe in the cache; run again to continue" in fault.hint
        server.faults.clear()
        server.forget()
        with world(tmp_path, server) as run:
            assert len(fetch(run, plan(run, names))) == 6
        assert server.paths("/files/*.whl") == ["/files/demo3-1.0-py3-none-any.whl"]

    @pytest.mark.parametrize("length", [True, False])
    def test_a_truncated_transfer_is_completed(self, server: FakeServer, tmp_path: Path, length: bool) -> None:  # noqa: FBT001
        served = add_wheel(server, size=SIZE)
        server.faults.append(fake.cut("/files/*.whl", after=100_000, length=length))
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        assert Path(found.path).read_bytes() == served.data

    def test_a_truncation_that_nothing_tells_of_is_caught_by_the_hash(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, size=SIZE)
        served.size = None
        server.faults.append(fake.cut("/files/*.whl", after=100_000, length=False, times=None))
        with world(tmp_path, server) as run:
            planned = plan(run)
            with pytest.raises(IntegrityFault) as caught:
                fetch(run, planned)
            assert caught.value.code == "wrong-hash"
            assert run.cache.file(sha256_of_hex(sha256(served.data))) is None
        assert len(ranges(server)) == 2

    def test_a_server_error_is_outlasted(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server)
        server.faults.append(fake.status("/files/*.whl", 503, times=2))
        with world(tmp_path, server) as run:
            assert fetch(run, plan(run))

    def test_a_server_that_forgot_ranges_makes_the_transfer_begin_again(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        served = add_wheel(server, size=SIZE)
        server.faults.append(fake.reset("/files/*.whl", after=100_000))
        server.ranges = False
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
            assert run.reporter.bytes[served.filename] == len(served.data)
        assert Path(found.path).read_bytes() == served.data

    def test_a_file_that_changed_behind_a_resumed_transfer_is_fetched_anew(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        served = add_wheel(server, size=SIZE)
        server.etags = False
        with world(tmp_path, server) as run:
            planned = plan(run)
            with run.cache.partial(planned[0].listed.sha256) as partial:
                partial.append(b"another file's beginning")
            (found,) = fetch(run, planned)
        assert Path(found.path).read_bytes() == served.data
        assert ranges(server)[0] == "bytes=24-"

    def test_a_partial_file_longer_than_the_whole_is_dropped(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server)
        with world(tmp_path, server) as run:
            planned = plan(run)
            with run.cache.partial(planned[0].listed.sha256) as partial:
                partial.append(b"x" * (len(served.data) + 1))
            assert fetch(run, planned)

    def test_nothing_left_to_fetch_is_seen_by_416(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, size=SIZE)
        served.size = None
        with world(tmp_path, server) as run:
            planned = plan(run)
            with run.cache.partial(planned[0].listed.sha256) as partial:
                partial.append(served.data)
            assert fetch(run, planned)

    def test_the_next_run_resumes(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, size=SIZE)
        server.faults.append(fake.reset("/files/*.whl", after=150_000, times=1))
        with world(tmp_path, server, retries=0) as run, pytest.raises(IndexFault):
            fetch(run, plan(run))
        server.forget()
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        (asked,) = ranges(server)
        assert asked is not None
        assert int(asked[6:-1]) > 0
        assert Path(found.path).read_bytes() == served.data


class TestWrongBytes:
    """N10, N11, N12, I4, I5."""

    def test_wrong_once_is_fetched_again_past_caches(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server)
        server.faults.append(fake.wrong_bytes("/files/*.whl", bytes(len(served.data))))
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        assert Path(found.path).read_bytes() == served.data
        assert server.requests[-1].headers["cache-control"] == "no-cache"

    def test_always_wrong_is_an_integrity_fault_with_both_hashes(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server)
        wrong = bytes(len(served.data))
        server.faults.append(fake.wrong_bytes("/files/*.whl", wrong, times=None))
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run))
        assert caught.value.code == "wrong-hash"
        for part in (served.filename, sha256(served.data), sha256(wrong), "files/"):
            assert part in str(caught.value)
        assert len(server.paths("/files/*.whl")) == 2
        assert not list((tmp_path / "cache" / "partial-v1").iterdir())

    def test_every_hash_that_the_index_gave_is_checked(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server)
        served.hashes["md5"] = "0" * 32
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run))
        assert "wrong md5" in str(caught.value)

    def test_a_weak_hash_alone_is_checked_too(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, hash={"md5": "0" * 32})
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault):
            fetch(run, plan(run))
        served.hashes["md5"] = hashlib.md5(served.data, usedforsecurity=False).hexdigest()
        with world(tmp_path, server) as run:
            (found,) = fetch(run, plan(run))
        assert not found.index_hash

    @pytest.mark.parametrize("extra", [b"and more", b""])
    def test_another_length_than_stated_is_told_with_both_sizes(
        self, server: FakeServer, tmp_path: Path, extra: bytes
    ) -> None:
        served = add_wheel(server, size=SIZE)
        data = served.data + extra if extra else served.data[:-5]
        server.faults.append(fake.wrong_bytes("/files/*.whl", data, times=None))
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run))
        assert caught.value.code == "wrong-size"
        assert str(len(served.data)) in str(caught.value)
        assert str(len(data)) in str(caught.value)

    def test_a_body_without_end_is_stopped_at_the_stated_size(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server)
        server.faults.append(fake.endless("/files/*.whl", content_type="application/octet-stream"))
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run))
        assert caught.value.code == "wrong-size"

    def test_a_page_in_place_of_a_wheel_is_a_captive_portal(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server).size = None
        server.faults.append(fake.portal("/files/*.whl"))
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            fetch(run, plan(run))
        assert caught.value.code == "not-a-file"
        assert "got text/html (title 'HotelWifi'), not a wheel: captive portal or proxy?" in str(caught.value)

    def test_a_wheel_that_is_called_a_page_is_still_a_wheel(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, size=SIZE)
        server.pages[f"/files/{served.filename}"] = fake.Body(data=served.data, content_type="text/html")
        with world(tmp_path, server) as run:
            assert fetch(run, plan(run))

    def test_a_listed_file_that_is_gone_is_named_and_the_others_are_kept(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        add_wheel(server, "here")
        add_wheel(server, "lost")
        server.faults.append(fake.status("/files/lost*.whl", 410, times=None))
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            fetch(run, plan(run, ("here", "lost")))
        assert caught.value.code == "gone"
        assert "1 of 2 files are safe" in caught.value.hint

    def test_metadata_that_is_not_what_is_inside_is_an_integrity_fault(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        lie = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
        add_wheel(server, requires_dist=("click",), metadata=lie)
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run))
        assert caught.value.code == "metadata-mismatch"

    def test_a_sibling_that_says_the_same_in_other_bytes_is_refused_too(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        served = add_wheel(server)
        served.metadata = (served.sibling() or b"") + b"\nAnother description.\n"
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run))
        assert caught.value.code == "metadata-mismatch"

    def test_a_wheel_with_a_smuggled_member_is_refused(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server)
        evil = add_wheel(server, "evil")
        evil.data = b"#!/bin/sh\n" + evil.data
        evil.hashes, evil.size = {"sha256": sha256(evil.data)}, len(evil.data)
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            fetch(run, plan(run, ("demo", "evil")))
        assert caught.value.code == "bad-wheel"
        assert served.filename not in str(caught.value)


class TestCredentials:
    def test_a_login_is_not_sent_to_where_the_files_are(self, server: FakeServer, tmp_path: Path) -> None:
        secret = "hunter2-canary"  # noqa: S105 - a canary
        credentials = Credentials(environ={})
        credentials.split(server.url.replace("http://", f"http://someone:{secret}@"))
        server.auth = ("someone", secret)
        with FakeServer() as files:
            served = add_wheel(files)
            page = files.json_page("demo", [served]).replace(b"../../files", f"{files.url}/files".encode())
            server.pages["/simple/demo/"] = fake.Body(data=page, content_type=fake.JSON)
            with world(tmp_path, server, credentials=credentials) as run:
                assert fetch(run, plan(run))
            assert all("authorization" not in seen.headers for seen in files.requests)
        for path in (tmp_path / "cache").rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes()


class TestDisk:
    def test_a_disk_that_is_too_small_is_seen_before_anything_is_fetched(
        self, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_wheel(server, size=SIZE)
        monkeypatch.setattr(Cache, "free", lambda _: 1000)
        with world(tmp_path, server) as run:
            planned = plan(run)
            server.forget()
            with pytest.raises(DiskFault) as caught:
                fetch(run, planned)
        assert caught.value.code == "disk-full"
        assert "need 0.4 MB, 0.0 MB are free" in str(caught.value)
        assert server.paths() == []


class TestOffline:
    """N19."""

    def test_a_dead_host_ends_the_run_soon_and_in_one_line(self, tmp_path: Path) -> None:
        names = [f"demo{number}" for number in range(42)]
        with FakeServer() as server:
            for each in names:
                add_wheel(server, each)
            with world(tmp_path, server) as run:
                planned = plan(run, names)
        begun = time.monotonic()
        with world(tmp_path, server, limits=Limits(), retries=5) as run, pytest.raises(IndexFault) as caught:
            fetch(run, planned)
        assert time.monotonic() - begun < 10
        assert str(caught.value) == f"127.0.0.1:{server.port}: connection refused (6 tries)"


CHILD = """
import json, sys
from pathlib import Path
from pypimirror.net import download
from pypimirror.net.client import Limits
from tests.net.helpers import World, settings_for, name
from pypimirror.net.settings import Source
from pypimirror.model.names import sha256_of_hex
from pypimirror.model.plan import PlannedFile

folder, url, projects = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
settings = settings_for(Source(name="index.example", url=url, kind="index"), timeout=30.0)
world = World(Path(folder), settings, limits=Limits())
try:
    with world as run:
        files = [run.one(project) for project in projects]
        planned = [PlannedFile(listed=file, metadata=run.index.core_metadata(file)) for file in files]
        print("fetching", flush=True)
        found = download.fetch(planned, client=run.client, cache=run.cache, reporter=run.reporter)
        print(json.dumps(sorted(file.sha256 for file in found)))
except KeyboardInterrupt:
    sys.exit(130)
"""


def child(folder: Path, url: str, projects: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder / "cache"), url, ",".join(projects)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are others there")
class TestInterrupt:
    @pytest.mark.parametrize("trouble", ["silence", "slow", "backoff"])
    def test_ctrl_c_ends_within_two_seconds_and_a_rerun_fetches_only_the_rest(
        self, server: FakeServer, tmp_path: Path, trouble: str
    ) -> None:
        names = [f"demo{number}" for number in range(5)]
        data = {each: add_wheel(server, each, size=50_000).data for each in names}
        path = "/files/demo3-1.0-py3-none-any.whl"
        faults = {
            "silence": fake.silence(path),
            "slow": fake.slow(path, pause=0.1, piece=500),
            "backoff": fake.status(path, 503, headers={"Retry-After": "60"}, times=None),
        }
        server.faults.append(faults[trouble])
        process = child(tmp_path, server.index_url, names)
        assert process.stdout is not None
        assert process.stdout.readline() == "fetching\n"
        cache = Cache(tmp_path / "cache")
        safe = [sha256_of_hex(sha256(data[each])) for each in names if each != "demo3"]
        end = time.monotonic() + 20
        while not all(cache.file(each) for each in safe) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output, errors) == (130, "", "")
        assert time.monotonic() - begun < 2
        server.faults.clear()
        server.forget()
        again = child(tmp_path, server.index_url, names)
        output, errors = again.communicate(timeout=30)
        assert errors == ""
        assert json.loads(output.splitlines()[-1]) == sorted(sha256(each) for each in data.values())
        assert server.paths("/files/*.whl") == [path]
        if trouble == "slow":
            assert ranges(server, path)[0] is not None


class TestProcesses:
    """C1."""

    def test_processes_that_share_a_cache_all_finish_and_fetch_little_twice(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        names = [f"demo{number}" for number in range(4)]
        for each in names:
            add_wheel(server, each, size=200_000)
        server.latency = 0.02
        processes = [child(tmp_path, server.index_url, names) for _ in range(4)]
        outputs = {process.communicate(timeout=60) for process in processes}
        assert len(outputs) == 1
        assert [process.returncode for process in processes] == [0] * 4
        for each in names:
            assert 1 <= len(server.paths(f"/files/{each}-*.whl")) <= 2
        assert not list((tmp_path / "cache" / "temp").iterdir())
        assert not list((tmp_path / "cache" / "partial-v1").iterdir())
