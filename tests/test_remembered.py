"""A plan that was made before is taken where every page is as it was; and never where one is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pypimirror import connected
from pypimirror.connected import Request, connect, plan
from pypimirror.errors import IndexFault
from pypimirror.model.plan import Plan
from pypimirror.model.requests import Constraint, Origin
from pypimirror.net.settings import Settings, Source
from pypimirror.reporting import Reporter
from tests.fakes import server as fake
from tests.fakes.archives import make_sdist
from tests.fakes.server import FakeServer
from tests.net.helpers import TARGETS, add_wheel, index_source, request, settings_for


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        add_wheel(running, "top", requires_dist=("left>=1", "right"), requires_python=">=3.8")
        add_wheel(running, "left", "1.0", requires_dist=("shared",))
        add_wheel(running, "left", "2.0", requires_dist=("shared<2",))
        add_wheel(running, "right", requires_dist=("shared==2.0; sys_platform == 'win32'", "aside"))
        add_wheel(running, "shared", "1.0")
        add_wheel(running, "shared", "2.0")
        running.add(*make_sdist("aside", "1.0"))
        yield running


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that were searched for an answer, and not remembered."""
    seen: list[Request] = []
    search = connected._searched

    def watched(request: Request, *others: object) -> Plan:
        seen.append(request)
        return search(request, *others)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(connected, "_searched", watched)
    return seen


def planned(settings: Settings, folder: Path, asked: Request | None = None) -> Plan:
    with connect(settings, cache_folder=folder, reporter=Reporter()) as connection:
        return plan(asked or request("top"), connection, Reporter())


@pytest.mark.parametrize("validator", ["etag", "last-modified", "none"])
@pytest.mark.parametrize("form", ["json", "html"])
def test_where_nothing_changed_the_same_plan_comes_without_a_search(
    server: FakeServer, tmp_path: Path, searches: list[Request], validator: str, form: str
) -> None:
    server.format, server.etags = form, validator == "etag"
    server.last_modified = "Sat, 21 Nov 2026 21:30:00 GMT" if validator == "last-modified" else ""
    settings = settings_for(index_source(server))
    first = planned(settings, tmp_path)
    assert len(first.files) == 7, "two of left, two of shared, and one of the others"
    pages = sorted(server.paths("/simple/*"))
    server.forget()
    assert planned(settings, tmp_path) == first
    assert len(searches) == 1
    assert sorted(server.paths()) == pages, "each page is asked about, once; and nothing else"


def test_the_time_at_which_a_server_zipped_a_page_is_no_change(
    server: FakeServer, tmp_path: Path, searches: list[Request]
) -> None:
    server.etags, server.compress = False, True
    settings = settings_for(index_source(server))
    first = planned(settings, tmp_path)
    server.zipped_at = 1_800_000_000
    assert planned(settings, tmp_path) == first
    assert len(searches) == 1
    add_wheel(server, "right", "1.1", requires_dist=("aside",))
    assert planned(settings, tmp_path) != first


def test_a_new_version_is_found(server: FakeServer, tmp_path: Path, searches: list[Request]) -> None:
    settings = settings_for(index_source(server))
    planned(settings, tmp_path)
    add_wheel(server, "right", "1.1", requires_dist=("aside",))
    server.forget()
    again = planned(settings, tmp_path)
    assert "right-1.1-py3-none-any.whl" in {file.filename for file in again.files}
    assert len(searches) == 2
    asked = server.paths("/simple/*")
    assert len(asked) == len(set(asked)), "what was fetched to find out is not fetched again"
    assert planned(settings, tmp_path) == again
    assert len(searches) == 2, "now that is remembered"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("yanked", "left-1.0-py3-none-any.whl"),
        ("gone", "left-1.0-py3-none-any.whl"),
    ],
)
def test_what_was_taken_back_is_not_taken(server: FakeServer, tmp_path: Path, change: str, found: str) -> None:
    settings = settings_for(index_source(server))
    assert "left-2.0-py3-none-any.whl" in {file.filename for file in planned(settings, tmp_path).files}
    if change == "gone":
        del server.files["left-2.0-py3-none-any.whl"]
    else:
        served = server.files["left-2.0-py3-none-any.whl"]
        server.files[served.filename] = replace(served, yanked="broken")
    names = {file.filename for file in planned(settings, tmp_path).files}
    assert found in names
    assert "left-2.0-py3-none-any.whl" not in names


def test_a_project_that_appears_on_the_first_index_is_seen(server: FakeServer, tmp_path: Path) -> None:
    with FakeServer() as inner:
        settings = settings_for(index_source(inner, name="inner.example"), index_source(server, name="outer.example"))
        planned(settings, tmp_path)
        add_wheel(inner, "right", requires_dist=())
        taken = {str(file.filename): file.listed.index for file in planned(settings, tmp_path).files}
    assert taken["right-1.0-py3-none-any.whl"] == "inner.example"


@pytest.mark.parametrize(
    "other",
    [
        request("top", "shared"),
        request("top", prereleases=True),
        request("top", exclude_newer="2026-01-01T00:00:00Z", prereleases=True),
        replace(request("top"), targets=TARGETS[:1]),
        replace(request("top"), targets=TARGETS[::-1]),
        replace(
            request("top"),
            build_constraints=(Constraint(requirement=Requirement("setuptools<80"), origin=Origin(path="b.txt")),),
        ),
    ],
)
def test_another_question_has_another_answer(
    server: FakeServer, tmp_path: Path, searches: list[Request], other: Request
) -> None:
    settings = settings_for(index_source(server))
    planned(settings, tmp_path)
    for name, served in server.files.items():
        server.files[name] = replace(served, upload_time="2025-01-01T00:00:00Z")
    planned(settings, tmp_path, other)
    assert len(searches) == 2


def test_another_index_is_another_question(server: FakeServer, tmp_path: Path, searches: list[Request]) -> None:
    planned(settings_for(index_source(server)), tmp_path)
    planned(settings_for(index_source(server, name="other.example")), tmp_path)
    assert len(searches) == 2


@pytest.mark.parametrize("why", ["find-links", "direct", "no hash"])
def test_what_may_change_without_a_sign_is_not_remembered(
    server: FakeServer, tmp_path: Path, searches: list[Request], why: str
) -> None:
    sources, asked = [index_source(server)], request("top")
    if why == "find-links":
        (tmp_path / "links").mkdir()
        sources.append(Source(name="links", url=(tmp_path / "links").as_uri(), kind="find-links"))
    elif why == "direct":
        asked = request(f"top @ {server.file_url('top-1.0-py3-none-any.whl')}")
    else:
        asked = request("top", allow_unhashed=True)
        for name, served in server.files.items():
            server.files[name] = replace(served, hashes={})
    for _ in range(2):
        planned(settings_for(*sources), tmp_path / "cache", asked)
    assert len(searches) == 2
    assert not list((tmp_path / "cache" / "plans-v1").rglob("*/*"))


def test_an_index_that_is_away_is_told_as_ever(server: FakeServer, tmp_path: Path) -> None:
    settings = settings_for(index_source(server), retries=0)
    planned(settings, tmp_path)
    server.faults.append(fake.status("/simple/*", 500, times=None))
    with pytest.raises(IndexFault):
        planned(settings, tmp_path)


def test_a_page_that_the_cache_has_lost_is_fetched(server: FakeServer, tmp_path: Path) -> None:
    settings = settings_for(index_source(server))
    planned(settings, tmp_path)
    for record in (tmp_path / "listings-v4").rglob("*/*"):
        record.unlink()
    add_wheel(server, "right", "1.1", requires_dist=("aside",))
    assert "right-1.1-py3-none-any.whl" in {file.filename for file in planned(settings, tmp_path).files}


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"[]",
        b"[[],[]]",
        b'[[["index","top"]],{}]',
        b"[" * 100_000,
        b'[[],[[],[],[],[],"files",[],[]]]',
        b"\xff\xfe",
    ],
)
def test_a_record_that_is_none_is_as_if_there_were_none(
    server: FakeServer, tmp_path: Path, searches: list[Request], spoilt: bytes
) -> None:
    settings = settings_for(index_source(server))
    first = planned(settings, tmp_path)
    with connect(settings, cache_folder=tmp_path, reporter=Reporter()) as connection:
        for record in list((tmp_path / "plans-v1").rglob("*/*")):
            connection.cache.keep_plan(record.name, spoilt)
    assert planned(settings, tmp_path) == first
    assert len(searches) == 2


def test_a_name_that_no_file_may_have_does_not_come_out_of_a_record(server: FakeServer, tmp_path: Path) -> None:
    settings = settings_for(index_source(server))
    first = planned(settings, tmp_path)
    with connect(settings, cache_folder=tmp_path, reporter=Reporter()) as connection:
        (record,) = (tmp_path / "plans-v1").rglob("*/*")
        kept = connection.cache.plan(record.name)
        assert kept is not None
        assert json.loads(kept)
        connection.cache.keep_plan(
            record.name, kept.replace(b"top-1.0-py3-none-any.whl", b"../top-1.0-py3-none-any.whl")
        )
    assert planned(settings, tmp_path) == first
