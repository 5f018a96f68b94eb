"""What is done ahead of the search changes nothing but when it is done."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypimirror.connected import bundle, connect, plan
from pypimirror.errors import IndexFault
from pypimirror.model.names import label
from pypimirror.model.plan import Plan
from pypimirror.net.ahead import Ahead
from pypimirror.net.scout import Scout
from pypimirror.net.settings import Settings
from pypimirror.reporting import Reporter
from pypimirror.resolve.likely import Guesses
from tests.fakes import server as fake
from tests.fakes.archives import make_sdist
from tests.fakes.server import FakeServer
from tests.net.helpers import TARGETS, World, add_wheel, index_source, request, settings_for


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def planned(settings: Settings, folder: Path, *requirements: str) -> Plan:
    with connect(settings, cache_folder=folder, reporter=Reporter()) as connection:
        return plan(request(*requirements), connection, Reporter())


def fill(server: FakeServer) -> None:
    """A chain, a diamond, and a pick that must be taken back: what is guessed first is not what comes out."""
    add_wheel(server, "top", requires_dist=("left", "right", "step0"))
    for version in ("1.0", "2.0", "3.0"):
        add_wheel(server, "left", version, requires_dist=("shared<3" if version != "1.0" else "shared",))
        add_wheel(server, "right", version, requires_dist=(f"shared=={version}",))
        add_wheel(server, "shared", version, requires_dist=(f"only-{version[0]}",))
        add_wheel(server, f"only-{version[0]}", version)
    for number in range(8):
        add_wheel(server, f"step{number}", requires_dist=(f"step{number + 1}",))
    add_wheel(server, "step8")


def test_whatever_arrives_first_the_plan_is_the_same(server: FakeServer, tmp_path: Path) -> None:
    fill(server)
    chance = random.Random(7)  # noqa: S311 - chance is no secret here

    def late(_: fake.Exchange) -> bool:
        time.sleep(chance.random() * 0.02)
        return False

    plans = [planned(settings_for(index_source(server)), tmp_path / "0", "top")]
    server.faults.append(fake.Fault("*", late, None))
    plans += [planned(settings_for(index_source(server)), tmp_path / str(run), "top") for run in range(1, 6)]
    plans.append(planned(settings_for(index_source(server)), tmp_path / "1", "top"))
    assert all(each == plans[0] for each in plans)


def test_a_chain_is_walked_by_the_scout_while_the_search_still_waits(server: FakeServer, tmp_path: Path) -> None:
    fill(server)
    asked: list[str] = []
    with World(tmp_path / "cache", settings_for(index_source(server))) as run:
        wishes = request("step0").sets[0]
        with Scout(run.index, [Guesses(wishes, each, run.index) for each in TARGETS]):
            until = time.monotonic() + 5
            while "/files/step8-1.0-py3-none-any.whl.metadata" not in asked and time.monotonic() < until:
                asked = server.paths("/files/*")
                time.sleep(0.01)
        assert "/files/step8-1.0-py3-none-any.whl.metadata" in asked
    assert len(asked) == len(set(asked)) == 9


def test_a_fault_of_what_nobody_asks_for_is_never_told(server: FakeServer, tmp_path: Path) -> None:
    """shared 3.0 is a guess that the search takes back: what it wants is broken."""
    fill(server)
    server.faults.append(fake.status("/simple/only-3/", 500, times=None))
    server.faults.append(fake.status("*/shared-3.0*", 500, times=None))
    add_wheel(server, "root", requires_dist=("right", "shared<3"))
    made = planned(settings_for(index_source(server), retries=0), tmp_path, "root", "right<3")
    assert {str(pin.project): str(pin.version) for pin in made.resolutions[0].pins}["shared"] == "2.0"


def test_a_fault_of_what_the_search_takes_is_told(server: FakeServer, tmp_path: Path) -> None:
    fill(server)
    server.faults.append(fake.status("/simple/step5/", 500, times=None))
    with pytest.raises(IndexFault, match="step5"):
        planned(settings_for(index_source(server), retries=0), tmp_path, "top")


def test_planning_downloads_no_file(server: FakeServer, tmp_path: Path) -> None:
    fill(server)
    server.add(*make_sdist("source", "1.0"))
    add_wheel(server, "source", "0.9")
    planned(settings_for(index_source(server)), tmp_path, "top", "source<1")
    assert {path.rpartition(".")[2] for path in server.paths("/files/*")} == {"metadata"}


def test_a_bundle_downloads_while_it_resolves_and_each_file_once(server: FakeServer, tmp_path: Path) -> None:
    fill(server)

    def late(_: fake.Exchange) -> bool:
        time.sleep(0.02)
        return False

    server.faults.append(fake.Fault("/simple/step*", late, None))
    settings = settings_for(index_source(server))
    bundles = []
    for run in ("one", "two"):
        with connect(settings, cache_folder=tmp_path / run, reporter=Reporter()) as connection:
            output = tmp_path / f"{run}.tar"
            bundle(request("top"), connection, output, channel=label("c"), sequence=9, reporter=Reporter())
            bundles.append(output.read_bytes())
    assert bundles[0] == bundles[1]
    asked = server.paths()
    wheels = [path for path in asked[: len(asked) // 2] if path.endswith(".whl")]
    assert len(wheels) == len(set(wheels))
    assert asked.index("/files/top-1.0-py3-none-any.whl") < asked.index("/simple/step8/")


def test_no_more_than_two_versions_of_a_project_and_nothing_huge_is_fetched_ahead(
    server: FakeServer, tmp_path: Path
) -> None:
    for number in range(9):
        add_wheel(server, "demo", f"{number}.0")
    add_wheel(server, "huge").size = 1 << 40
    server.faults.append(fake.status("/files/demo-0*", 404, times=None))
    with World(tmp_path / "cache", settings_for(index_source(server))) as run:
        with Ahead(run.index.downloads, run.cache) as ahead:
            for file in (*run.files().values(), run.one("huge")):
                ahead.begin(file)
                ahead.begin(file)
            until = time.monotonic() + 5
            while len(server.paths("/files/*")) < 2 and time.monotonic() < until:
                time.sleep(0.01)
        assert sorted(server.paths("/files/*")) == [f"/files/demo-{n}.0-py3-none-any.whl" for n in (0, 1)]


def test_a_kept_outline_that_lies_is_found_out(server: FakeServer, tmp_path: Path) -> None:
    """The page has changed, and the server gives no validator: then the outline of the old page must not count."""
    server.etags = False
    add_wheel(server, "demo", "1.0")
    settings = settings_for(index_source(server))
    for versions in (("1.0",), ("1.0",), ("2.0", "1.0")):
        if len(versions) > 1:
            add_wheel(server, "demo", "2.0")
        with World(tmp_path / "cache", settings) as run:
            assert sorted(str(file.name.version) for file in run.files().values()) == sorted(versions)
    record = next((tmp_path / "cache").glob("listings-*/*/*")).read_bytes()
    assert json.loads(record.split(b"\n")[1])["sha256"]
    assert record.endswith(b"\n")  # the page itself is not kept where it comes anew each time
