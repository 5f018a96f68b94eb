"""Provenance comes with its file: from the index into the bundle, the tree and the pages, or with a word why not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypimirror.errors import IntegrityFault
from pypimirror.model.plan import PlannedFile, VerifiedFile
from pypimirror.net.provenance import MAX_BYTES, ProvenanceSource
from tests.fakes.server import Body, FakeServer, cut
from tests.net.helpers import World, add_wheel, index_source, settings_for
from tests.worlds import TARGET, Program

GOOD = json.dumps({"version": 1, "attestation_bundles": [{"publisher": {"kind": "x"}, "attestations": []}]}).encode()
PATH = "/integrity/demo/provenance"
TYPE = "application/vnd.pypi.integrity.v1+json"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as made:
        made.pages[PATH] = Body(data=GOOD, content_type=TYPE)
        yield made


def attached(server: FakeServer, folder: Path) -> tuple[VerifiedFile, tuple[str, ...]]:
    """What becomes of the one file in a run of its own."""
    with World(folder, settings_for(index_source(server))) as world:
        listed = world.one()
        stored = world.index.downloads.whole(listed)
        planned = PlannedFile(listed=listed, metadata=world.index.core_metadata(listed))
        verified = VerifiedFile(
            planned=planned,
            path=str(stored.path),
            sha256=stored.sha256,
            size=stored.size,
            metadata_path=None,
            metadata_sha256=None,
            metadata_size=None,
        )
        with ProvenanceSource([planned], client=world.client, cache=world.cache) as source:
            (file,), notes = source.attach([verified])
        return file, notes


@pytest.mark.parametrize("kind", ["json", "html"])
@pytest.mark.parametrize("address", [f"../..{PATH}", PATH, "absolute"])
def test_it_is_fetched_as_it_is_wherever_the_page_says_it_lies(
    server: FakeServer, kind: str, address: str, tmp_path: Path
) -> None:
    server.format = kind
    add_wheel(server, provenance=f"{server.url}{PATH}" if address == "absolute" else address)
    file, notes = attached(server, tmp_path / "cache")
    assert notes == ()
    assert file.provenance_path is not None
    assert Path(file.provenance_path).read_bytes() == GOOD
    assert file.provenance_size == len(GOOD)


def test_what_was_fetched_is_not_asked_for_again(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server, provenance=PATH)
    first, _ = attached(server, tmp_path / "cache")
    server.pages[PATH] = Body(data=GOOD + b"\n", content_type=TYPE)
    second, _ = attached(server, tmp_path / "cache")
    assert second.provenance_sha256 == first.provenance_sha256
    assert server.paths(PATH) == [PATH]


def test_nothing_is_asked_where_nothing_is_offered(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server)
    file, notes = attached(server, tmp_path / "cache")
    assert (file.provenance_path, notes) == (None, ())
    assert server.paths(PATH) == []


@pytest.mark.parametrize("status", [404, 410, 403, 503])
def test_what_can_not_be_had_is_told_and_the_file_goes_without(server: FakeServer, status: int, tmp_path: Path) -> None:
    add_wheel(server, provenance=PATH)
    server.pages[PATH] = Body(data=b"no", code=status)
    file, (note,) = attached(server, tmp_path / "cache")
    assert file.provenance_path is None
    assert note.startswith("no provenance for demo-1.0-py3-none-any.whl, though the index offers it: ")
    assert str(status) in note


def test_a_host_that_is_out_of_reach_is_told(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server, provenance="http://127.0.0.1:9/provenance")
    file, (note,) = attached(server, tmp_path / "cache")
    assert file.provenance_path is None
    assert "127.0.0.1:9" in note


def test_more_than_any_provenance_holds_is_not_taken(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server, provenance=PATH)
    server.pages[PATH] = Body(data=b" " * (MAX_BYTES + 1))
    file, (note,) = attached(server, tmp_path / "cache")
    assert file.provenance_path is None
    assert f"more than {MAX_BYTES} bytes" in note


WRONG = {
    "a page": b"<!DOCTYPE html><title>Log in</title>",
    "cut short": GOOD[:-3],
    "an array": b"[]",
    "no version": b'{"attestation_bundles": []}',
    "a version that is none": b'{"version": true, "attestation_bundles": []}',
    "no bundles": b'{"version": 1}',
    "bundles that are none": b'{"version": 1, "attestation_bundles": {}}',
    "another encoding": GOOD.decode().encode("utf-16"),
    "too deep": b'{"version": 1, "attestation_bundles": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_provenance_is_refused_and_the_file_named(server: FakeServer, wrong: str, tmp_path: Path) -> None:
    add_wheel(server, provenance=PATH)
    server.pages[PATH] = Body(data=WRONG[wrong])
    with pytest.raises(IntegrityFault, match=r"^demo-1\.0-py3-none-any\.whl: what came is no provenance: ") as caught:
        attached(server, tmp_path / "cache")
    assert caught.value.code == "bad-provenance"
    server.pages[PATH] = Body(data=GOOD)
    assert attached(server, tmp_path / "cache")[0].provenance_size == len(GOOD)  # nothing of it was kept


def test_a_connection_that_breaks_is_tried_again(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server, provenance=PATH)
    server.faults.append(cut(PATH, after=20))
    file, notes = attached(server, tmp_path / "cache")
    assert (file.provenance_size, notes) == (len(GOOD), ())
    assert server.paths(PATH) == [PATH, PATH]


def test_it_crosses_the_gap_and_is_served_where_the_pages_say(server: FakeServer, tmp_path: Path) -> None:
    add_wheel(server, provenance=PATH)
    add_wheel(server, "other", "1.0", provenance="/integrity/lost")
    program = Program(tmp_path)
    ran = program("bundle", "demo", "other", *TARGET, "-i", server.index_url, "-o", "b.tar")
    assert ran.code == 0, ran.err
    assert "no provenance for other-1.0-py3-none-any.whl" in " ".join(ran.err.split())
    (program.work / "unpacked").mkdir()
    subprocess.run(["tar", "xf", program.work / "b.tar", "-C", program.work / "unpacked"], check=True)
    assert program("render", "b.tar", "tree").code == 0
    assert program("verify", "tree").code == 0
    (unpacked,) = (program.work / "unpacked").iterdir()
    for root in (unpacked, program.work / "tree"):
        (row,) = json.loads((root / "simple/demo/index.json").read_bytes())["files"]
        assert row["provenance"].startswith("../../packages/demo-1.0-py3-none-any.whl.")
        assert (root / row["provenance"].removeprefix("../../")).read_bytes() == GOOD
        (row,) = json.loads((root / "simple/other/index.json").read_bytes())["files"]
        assert "provenance" not in row
