"""A page that came as gzip is held and kept so: what it says is the same."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypimirror.errors import IndexFault
from pypimirror.index.drawers import drawers
from pypimirror.net.memory import give_back
from tests.fakes import server as fake
from tests.fakes.server import FakeServer
from tests.net.helpers import World, add_wheel, index_source, name, settings_for


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        running.compress = True
        yield running


def world(folder: Path, server: FakeServer) -> World:
    return World(folder / "cache", settings_for(index_source(server)))


@pytest.mark.parametrize("form", ["json", "html"])
def test_it_is_kept_as_it_came_and_says_the_same_in_the_next_run(server: FakeServer, tmp_path: Path, form: str) -> None:
    server.format = form
    for number in range(1, 8):
        add_wheel(server, version=f"{number}.0")
    told = []
    for _ in range(2):
        with world(tmp_path, server) as run:
            listing = run.index.listing(name("demo"))
            assert listing is not None
            told.append([drawers(listing)[place] for place in range(7)])
    assert told[0] == told[1]
    (record,) = (tmp_path / "cache").glob("listings-*/*/*")
    page = record.read_bytes().split(b"\n", 2)[2]
    assert b"demo-1.0" in gzip.decompress(page)


def test_gzip_that_is_broken_or_a_bomb_is_told_when_the_page_is_read(server: FakeServer, tmp_path: Path) -> None:
    server.faults.append(fake.bomb("/simple/demo/", size=128 << 20))
    with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
        run.index.listing(name("demo"))
    assert caught.value.code == "too-large"


def test_to_give_memory_back_works_or_does_nothing_on_any_system() -> None:
    give_back()
    give_back()
