"""What the fixture server answers: as a real one would, so that a race is a fair one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import frozen
from tests.benchmarks.server import Answer, Line, Replay, Request
from tests.benchmarks.store import Store

WHEEL = "a0-12-cp311-cp311-manylinux_2_17_x86_64.whl"
JSON = {"accept": "application/vnd.pypi.simple.v1+json"}


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return Replay(frozen.make_store(tmp_path_factory.mktemp("store")), Line(latency=0))


def get(replay: Replay, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replay.answer(Request(method="GET", path=path, query="", headers=named))


def sent(replay: Replay, answer: Answer) -> bytes:
    """The bytes of a file that would go over the wire."""
    del replay
    assert answer.file is not None
    return answer.file.read_bytes()[answer.start : answer.start + answer.size]


@pytest.mark.parametrize(
    ("asked", "start", "end"), [("bytes=-10", -10, None), ("bytes=5-9", 5, 10), ("bytes=20-", 20, None)]
)
def test_a_range_is_answered_with_just_these_bytes(replay: Replay, asked: str, start: int, end: int | None) -> None:
    whole = (replay.store.folder / "files" / WHEEL).read_bytes()
    answer = get(replay, f"/json/packages/{WHEEL}", range=asked)
    assert (answer.status, answer.kind) == (206, "range")
    assert sent(replay, answer) == whole[start:end]


def test_a_range_of_another_version_of_the_file_gets_the_whole(replay: Replay) -> None:
    answer = get(replay, f"/json/packages/{WHEEL}", range="bytes=5-9", if_range='"another"')
    assert (answer.status, answer.start) == (200, 0)


def test_a_range_behind_the_end_is_refused(replay: Replay) -> None:
    assert get(replay, f"/json/packages/{WHEEL}", range="bytes=9999999-").status == 416


def test_a_page_that_has_not_changed_is_not_sent_again(replay: Replay) -> None:
    first = get(replay, "/json/simple/a0/", **JSON)
    again = get(replay, "/json/simple/a0/", **JSON, if_none_match=dict(first.headers)["ETag"])
    assert (again.status, again.body) == (304, b"")


def test_every_wheel_advertises_metadata_but_only_recorded_ones_have_them(replay: Replay) -> None:
    rows = json.loads(get(replay, "/json/simple/a0/", **JSON).body)["files"]
    assert all(len(row["core-metadata"]["sha256"]) == 64 for row in rows)
    assert get(replay, f"/json/packages/{WHEEL}.metadata").body.startswith(b"Metadata-Version")
    replay.reset()
    assert get(replay, f"/json/packages/{rows[0]['filename']}.metadata").status == 404
    assert replay.counts["miss"] == 1


def test_the_other_face_knows_neither_json_nor_metadata_nor_sizes(replay: Replay) -> None:
    page = get(replay, "/html/simple/a0/", **JSON)
    assert b"data-requires-python" in page.body
    assert b"metadata" not in page.body
    assert get(replay, f"/html/packages/{WHEEL}.metadata").status == 404


def test_what_shares_a_line_waits_for_what_went_before() -> None:
    line = Line(latency=0, rate=100.0)
    assert [line.wait(50, now=1.0), line.wait(50, now=1.0), line.wait(50, now=9.0)] == [0.5, 1.0, 0.5]


def test_a_bound_of_each_connection_makes_up_for_what_a_sleep_took_too_long() -> None:
    line = Line(rate=100.0, slack=0.5)
    assert [line.wait(50, now=1.0), line.wait(50, now=1.25), line.wait(50, now=9.0)] == [0.0, 0.25, 0.0]


def test_the_line_can_be_changed_while_it_is_used(replay: Replay) -> None:
    asked = Request(method="GET", path="/-/line", query="latency=0&rate=0&connection=15e6", headers={})
    assert replay.answer(asked).kind == "control"
    assert (replay.line.latency, replay.line.rate, replay.line.connection) == (0.0, 0.0, 15e6)
    replay.line.connection = 0.0


def test_a_recording_leaves_out_what_came_too_late_and_has_addresses_of_its_own(tmp_path: Path) -> None:
    row = {"hashes": {"sha256": "0" * 64}, "requires-python": None, "size": 1, "yanked": False}

    class Index:
        def page(self, project: str) -> bytes | None:
            address = f"https://files.example/packages/ab/{project}-"
            files = [
                {
                    **row,
                    "filename": f"{project}-{version}.tar.gz",
                    "url": f"{address}{version}.tar.gz",
                    "upload-time": time,
                }
                for version, time in (("1", "2026-11-01T00:00:00Z"), ("2", "2026-11-21T00:00:00Z"))
            ]
            return json.dumps({"meta": {}, "name": project, "files": files}).encode() if project == "demo" else None

        def metadata(self, filename: str, url: str) -> bytes | None:
            raise AssertionError((filename, url))

        def file(self, url: str, sha256: str, target: Path) -> None:
            assert sha256 == "0" * 64
            target.write_text(url)

    replay = Replay(Store(tmp_path, Index()), Line(latency=0))
    (only,) = json.loads(get(replay, "/json/simple/demo/", **JSON).body)["files"]
    assert (only["filename"], only["url"]) == ("demo-1.tar.gz", "../../packages/ab/demo-1.tar.gz")
    assert sent(replay, get(replay, "/json/packages/ab/demo-1.tar.gz")).startswith(b"https://files.example/")
    assert get(replay, "/json/simple/nothing/", **JSON).kind == "no project"
    Store(tmp_path).freeze()
    thawed = Replay(Store(tmp_path), Line(latency=0))
    assert b"demo-1.tar.gz" in get(thawed, "/html/simple/demo/").body
    assert get(thawed, "/json/simple/nothing/", **JSON).kind == "no project"
