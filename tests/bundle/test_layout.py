"""The container as a pure function: headers, order, folders, checksums."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.bundle.layout import END, Kind, header, padding
from pypimirror.model import manifest_json
from pypimirror.model.manifest import Manifest, Member
from pypimirror.model.names import FileName
from pypimirror.model.reading import Malformed
from tests.bundle.making import LONG, SEQUENCE, layout_of, make, packed, sha256, small

GIB = 1024**3


def parsed(raw: bytes, size: int = 0) -> tarfile.TarInfo:
    """What Python's tarfile makes of a header."""
    with tarfile.open(fileobj=io.BytesIO(raw + bytes(size + padding(size)) + END)) as tar:
        info = tar.next()
    assert info is not None
    return info


def test_a_short_name_has_the_very_headers_that_gnu_tar_writes(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir(mode=0o755)
    (tmp_path / "packages/a-1-py3-none-any.whl").write_bytes(b"x" * 1234)
    (tmp_path / "packages/a-1-py3-none-any.whl").chmod(0o644)
    command = ["tar", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{SEQUENCE}", "-c"]
    made = subprocess.run([*command, "packages"], cwd=tmp_path, check=True, capture_output=True).stdout
    assert made[:512] == header("packages/", size=0, time=SEQUENCE, folder=True)
    assert made[512:1024] == header("packages/a-1-py3-none-any.whl", size=1234, time=SEQUENCE)


@pytest.mark.parametrize(("length", "records"), [(99, 1), (100, 1), (101, 3), (255, 3), (490, 3), (600, 4)])
def test_a_name_over_100_bytes_has_a_pax_header_and_a_shorter_one_has_none(length: int, records: int) -> None:
    raw = header("p/" + "n" * (length - 2), size=0, time=SEQUENCE)
    assert len(raw) == records * 512
    assert parsed(raw).name == "p/" + "n" * (length - 2)


@pytest.mark.parametrize(("size", "records"), [(8 * GIB - 1, 1), (8 * GIB, 3), (2**53, 3)])
def test_a_size_of_8_gib_has_a_pax_header_and_a_smaller_one_has_none(size: int, records: int) -> None:
    raw = header("big", size=size, time=SEQUENCE)
    assert len(raw) == records * 512
    info = tarfile.TarInfo.frombuf(raw[-512:], "ascii", "strict")
    assert info.size == (size if records == 1 else 0)
    assert (b"%d size=%d\n" % (len(f" size={size}\n") + 2, size) in raw) is (records == 3)


def test_a_long_name_and_a_great_size_share_one_pax_header() -> None:
    raw = header("n" * 150, size=9 * GIB, time=SEQUENCE)
    assert raw[512:].startswith(b"160 path=" + b"n" * 150 + b"\n19 size=9663676416\n")


@pytest.mark.parametrize("length", [*range(90, 105), *range(985, 1000)])
def test_a_pax_record_counts_its_own_digits(length: int) -> None:
    raw = header("n" * length, size=0, time=0)
    assert parsed(raw).name == "n" * length


def test_the_last_time_that_fits_is_the_last_sequence_that_the_manifest_admits() -> None:
    last = make(small(), sequence=8**11 - 1)
    assert last.stem == "default-22420316T125631Z"
    assert parsed(layout_of(last).opening()[0].header).mtime == 8**11 - 1
    assert manifest_json.parse(manifest_json.dump(last)) == last
    with pytest.raises(Malformed, match="sequence"):
        manifest_json.parse(manifest_json.dump(make(small(), sequence=8**11)))


def test_the_order_is_manifest_checksums_files_with_sidecars_members_and_each_folder_stands_once() -> None:
    assert [entry.path for entry in layout_of(make(small())).entries()] == [
        "",
        "manifest.json",
        "SHA256SUMS",
        "packages/",
        "packages/alpha-1.0-py3-none-any.whl",
        "packages/alpha-1.0-py3-none-any.whl.metadata",
        "packages/beta-2.0.tar.gz",
        "packages/beta-2.0.tar.gz.44136fa355b3678a.provenance",
        f"packages/{LONG}",
        f"packages/{LONG}.metadata",
        "README.txt",
        "index.html",
        "packages/index.html",
        "simple/",
        "simple/alpha/",
        "simple/alpha/index.html",
        "simple/alpha/index.json",
        "simple/beta/",
        "simple/beta/index.html",
        "simple/index.html",
    ]


def test_a_volume_has_the_folders_of_what_it_carries_and_no_others() -> None:
    entries = layout_of(make(small())).entries(carried=frozenset({FileName(LONG)}), members=False)
    assert [entry.path for entry in entries][3:] == ["packages/", f"packages/{LONG}", f"packages/{LONG}.metadata"]


def test_no_entry_is_the_folder_that_is_unpacked_into() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(small()))) as tar:
        names = tar.getnames()
    assert all(name.split("/")[0] == "default-20261121T213000Z" for name in names)
    assert names[0] == "default-20261121T213000Z"


def test_the_checksums_list_everything_but_folders_and_themselves() -> None:
    layout = layout_of(make(small()))
    lines = b"".join(layout.sums()).decode().splitlines()
    expected = [
        f"{entry.sha256}  {entry.path}" for entry in layout.entries() if entry.kind not in {Kind.FOLDER, Kind.SUMS}
    ]
    assert lines == expected


def with_members(*paths: str) -> Manifest:
    members = tuple(Member(path=path, size=1, sha256=sha256(b"x")) for path in sorted(paths))
    return replace(make({}), members=members)


@pytest.mark.parametrize(
    "path",
    ["SHA256SUMS", "sha256sums", "manifest.json", "Manifest.JSON", "packages/x.html", "Packages/index.html", "packages",
     "../x", "/x", "a//b", "a/../b", ".hidden", "a/./b", "a\\b", "a b", "a/", ""],
)  # fmt: skip
def test_a_member_can_have_no_path_that_the_layout_owns_or_that_leads_away(path: str) -> None:
    with pytest.raises(Malformed, match="not a path for a member"):
        manifest_json.parse(manifest_json.dump(with_members(path)))


@pytest.mark.parametrize("paths", [("simple", "simple/a"), ("A", "a/b/c"), ("a/b", "a/b/c")])
def test_a_member_can_not_lie_in_another_member(paths: tuple[str, ...]) -> None:
    with pytest.raises(Malformed, match="lies in what is no folder"):
        manifest_json.parse(manifest_json.dump(with_members(*paths)))
