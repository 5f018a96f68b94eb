"""Sdists that are unpacked as they are, and evil ones that are refused: in bounded time and memory, nothing written."""

# ruff: noqa: S311 - chance, and no secret

from __future__ import annotations

import bz2
import gzip
import io
import os
import random
import resource
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.build.faults import BuildFault
from pypimirror.build.limits import Limits
from pypimirror.build.reading import Unreadable, opened, sweep
from pypimirror.build.source import read_backend
from pypimirror.build.unpacking import copy_folder, unpack
from pypimirror.disk import DISK
from tests.build.helpers import SMALL
from tests.fakes.archives import make_tar, make_zip

NAME = "thing-1.0.tar.gz"


def entry(path: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


def packed(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 1)


def unpacked(tmp_path: Path, data: bytes, name: str = NAME, limits: Limits = SMALL) -> Path:
    folder = tmp_path / "fresh"
    folder.mkdir()
    return unpack(io.BytesIO(data), name, folder, limits=limits, disk=DISK)


def refusal(tmp_path: Path, data: bytes, name: str = NAME, limits: Limits = SMALL) -> str:
    """Why the archive is refused; it took no long time, and nothing was written."""
    began = time.monotonic()
    with pytest.raises(BuildFault) as caught:
        unpacked(tmp_path, data, name, limits)
    assert time.monotonic() - began < 15
    assert (caught.value.code, caught.value.exit_code) == ("bad-sdist", 6)
    assert str(caught.value).startswith(f"{name}: ")
    assert list((tmp_path / "fresh").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["fresh"]
    return str(caught.value)


def test_files_folders_and_their_execute_bits_come_out(tmp_path: Path) -> None:
    top = unpacked(
        tmp_path,
        packed(
            entry("thing-1.0", tarfile.DIRTYPE, mode=0),
            (entry("thing-1.0/configure", mode=0o4755), b"#!/bin/sh\n"),
            (entry("thing-1.0/deep/er/file", mode=0o600), b"x" * 600_000),
            entry("thing-1.0/" + "long/" * 30 + "ä" * 60),
        ),
    )
    assert top == tmp_path / "fresh" / "thing-1.0"
    assert (top / "configure").stat().st_mode & 0o7777 == 0o755
    assert (top / "deep" / "er" / "file").read_bytes() == b"x" * 600_000
    assert (top / "deep" / "er" / "file").stat().st_mode & 0o7777 == 0o644
    assert (top / ("long/" * 30 + "ä" * 60)).read_bytes() == b""
    assert top.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_links_to_files_become_copies_and_links_to_folders_stay_inside(tmp_path: Path, form: int) -> None:
    long = "thing-1.0/" + "/".join(["l" * 40] * (3 if form != tarfile.USTAR_FORMAT else 1))
    top = unpacked(
        tmp_path,
        packed(
            entry("thing-1.0/docs/readme", tarfile.SYMTYPE, target="../README"),
            (entry("thing-1.0/README", mode=0o755), b"hello"),
            entry("thing-1.0/again", tarfile.SYMTYPE, target="docs/readme"),
            entry("thing-1.0/hard", tarfile.LNKTYPE, target="thing-1.0/README"),
            entry("thing-1.0/folder", tarfile.SYMTYPE, target="docs"),
            (entry(long), b"long"),
            entry("thing-1.0/to-long", tarfile.LNKTYPE, target=long),
            form=form,
        ),
    )
    for name in ("docs/readme", "again", "hard"):
        assert not (top / name).is_symlink()
        assert (top / name).read_bytes() == b"hello"
        assert os.access(top / name, os.X_OK)
        assert (top / name).stat().st_nlink == 1
    assert (top / "folder").readlink() == Path("docs")
    assert (top / "to-long").read_bytes() == b"long"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/planted",
        "../planted",
        "thing-1.0/../../planted",
        "thing-1.0/a/../b",
        "./../x",
        "C:/planted",
        "thing-1.0\\..\\planted",
        "other/file",
        "file-at-the-top",
        "thing-1.0/" + "n" * 300,
        "thing-1.0/" + "d/" * 100 + "f",
        "thing-1.0/" + "dir-name/" * 200 + "f",
        "thing-1.0/bell\x07",
        "thing-1.0/new\nline",
        "thing-1.0/\x1b[31m",
        "thing-1.0/bad\udcff",
    ],
)
def test_names_that_lead_out_or_are_none_are_refused(tmp_path: Path, path: str) -> None:
    refusal(tmp_path, packed((entry("thing-1.0/ok"), b"1"), entry(path)))


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    archive = gzip.decompress(packed(entry("thing-1.0/QQQQ"), form=tarfile.USTAR_FORMAT))
    block = bytearray(archive[:512].replace(b"QQQQ", b"\xff\xfe\xfd\xfc"))
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    assert "UTF-8" in refusal(tmp_path, gzip.compress(bytes(block) + archive[512:]))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../etc/passwd"),
        (tarfile.SYMTYPE, "sub/../../../etc"),
        (tarfile.SYMTYPE, ".."),
        (tarfile.SYMTYPE, "../other/x"),
        (tarfile.SYMTYPE, "nowhere"),
        (tarfile.SYMTYPE, "."),
        (tarfile.SYMTYPE, ""),
        (tarfile.SYMTYPE, "link"),
        (tarfile.SYMTYPE, "sub/../ok"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "../etc/passwd"),
        (tarfile.LNKTYPE, "thing-1.0/nowhere"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (b"Z", ""),
        (tarfile.GNUTYPE_SPARSE, ""),
    ],
)
def test_links_that_lead_out_and_special_files_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    refusal(tmp_path, packed((entry("thing-1.0/ok"), b"1"), entry("thing-1.0/link", kind, target=target)))


@pytest.mark.parametrize(
    "second", ["thing-1.0/link/x", "thing-1.0/link", "thing-1.0/ok", "thing-1.0/OK", "THING-1.0/x"]
)
def test_one_name_means_one_thing(tmp_path: Path, second: str) -> None:
    """Among them the classic: a link, and then a file that is written through it."""
    link = entry("thing-1.0/link", tarfile.SYMTYPE, target="sub")
    refusal(tmp_path, packed((entry("thing-1.0/ok"), b"1"), entry("thing-1.0/sub/f"), link, (entry(second), b"2")))


def test_names_that_differ_only_in_how_they_are_composed_are_refused(tmp_path: Path) -> None:
    assert "case" in refusal(tmp_path, packed(entry("thing-1.0/\u00e9"), entry("thing-1.0/e\u0301")))


def bomb_of_zeros() -> bytes:
    return gzip.compress(gzip.decompress(packed((entry("thing-1.0/zeros"), bytes(70 << 20)))), 9)


def many_members() -> bytes:
    block = gzip.decompress(packed(entry("thing-1.0/f", tarfile.DIRTYPE)))[:512]
    return gzip.compress(block * 1_000_000, 1)


def endless_header() -> bytes:
    header = bytearray(gzip.decompress(packed(entry("thing-1.0/f")))[:512])
    header[156:157], header[124:136], header[148:156] = b"x", b"00700000000\0", b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return gzip.compress(bytes(header) + bytes(200 << 20), 1)


def links_upon_a_large_file() -> bytes:
    links = [entry(f"thing-1.0/{n}", tarfile.LNKTYPE, target="thing-1.0/large") for n in range(900)]
    return packed((entry("thing-1.0/large"), random.Random(1).randbytes(1 << 20)), *links)


def folders_of_one_name() -> bytes:
    return packed(*(entry("thing-1.0/" + f"{n}/" * 60 + "f") for n in range(900)))


@pytest.mark.parametrize(
    "make", [bomb_of_zeros, many_members, endless_header, links_upon_a_large_file, folders_of_one_name]
)
def test_bombs_are_refused_in_bounded_memory(tmp_path: Path, make: Callable[[], bytes]) -> None:
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(tmp_path, data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_what_packs_too_well_is_refused_whatever_the_limit(tmp_path: Path) -> None:
    assert "larger than" in refusal(tmp_path, bomb_of_zeros(), limits=Limits())


@pytest.mark.parametrize("cut", range(0, 400, 37))
def test_damaged_archives_are_refused(tmp_path: Path, cut: int) -> None:
    data = packed((entry("thing-1.0/f"), os.urandom(300)))
    refusal(tmp_path, data[:cut])


@pytest.mark.parametrize("name", ["thing-1.0.tar.Z", "thing-1.0.rar", "thing-1.0.zip", "thing-1.0.tar.xz"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    refusal(tmp_path, packed(entry("thing-1.0/f")), name)


def test_every_flip_of_an_archive_gives_a_folder_or_a_refusal(tmp_path: Path) -> None:
    data = bytearray(make_tar([("thing-1.0/a", b"1" * 40), ("thing-1.0/" + "b" * 120, b"2")]))
    for number, position in enumerate(random.Random(7).sample(range(len(data) - 9000), 600)):
        folder = tmp_path / str(number)
        folder.mkdir()
        flipped = bytes(data[:position]) + bytes([data[position] ^ 0x41]) + bytes(data[position + 1 :])
        try:
            unpack(io.BytesIO(flipped), "thing-1.0.tar", folder, limits=SMALL, disk=DISK)
        except BuildFault:
            assert list(folder.iterdir()) == []
    assert len(list(tmp_path.iterdir())) == 600


def test_zips_are_read_strictly(tmp_path: Path) -> None:
    good = make_zip([("thing-1.0/a", b"a" * 5000), ("thing-1.0/run", b"#!/bin/sh\n"), ("thing-1.0/sub/b", b"")])
    top = unpacked(tmp_path, good, "thing-1.0.zip")
    assert (top / "a").read_bytes() == b"a" * 5000
    assert os.access(top / "run", os.X_OK)
    assert not os.access(top / "a", os.X_OK) or os.geteuid() == 0
    assert (top / "sub" / "b").read_bytes() == b""
    sweep(tmp_path / "fresh")
    refusal(tmp_path, make_zip([("thing-1.0/a", b""), ("thing-1.0/../../x", b"")]), "thing-1.0.zip")
    sweep(tmp_path / "fresh")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = make_zip([("thing-1.0/a", b"1"), ("thing-1.0/a", b"2")])
    assert "twice" in refusal(tmp_path, twice, "thing-1.0.zip")


def test_a_zip_that_unpacks_to_more_than_it_states_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("thing-1.0/zeros", bytes(10 << 20))
    data = buffer.getvalue().replace((10 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    # The sizes are judged first, the data while it is written: then the build's folder, which is swept, holds the rest.
    folder = tmp_path / "fresh"
    folder.mkdir()
    with pytest.raises(BuildFault, match="damaged"):
        unpack(io.BytesIO(data), "thing-1.0.zip", folder, limits=SMALL, disk=DISK)
    assert sum(path.stat().st_size for path in folder.rglob("*")) <= 100


def test_a_file_after_the_limit_is_refused(tmp_path: Path) -> None:
    data = packed(*((entry(f"thing-1.0/{n}"), b"x") for n in range(50)))
    assert "more than 49 members" in refusal(tmp_path, data, limits=replace(SMALL, members=49))


def test_bz2_is_read(tmp_path: Path) -> None:
    assert (unpacked(tmp_path, bz2.compress(make_tar([("t/a", b"1")])), "t-1.tar.bz2") / "a").read_bytes() == b"1"


def test_a_folder_that_is_too_large_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    for number in range(20):
        (tmp_path / "project" / str(number)).write_bytes(b"x" * 100)
    os.mkfifo(tmp_path / "project" / "pipe")
    copy_folder(tmp_path / "project", tmp_path / "one", label="p", limits=SMALL, disk=DISK)
    assert not (tmp_path / "one" / "pipe").exists()
    for limits in (replace(SMALL, members=10), replace(SMALL, unpacked=1000)):
        with pytest.raises(BuildFault, match="the folder holds more") as caught:
            copy_folder(tmp_path / "project", tmp_path / str(limits.members), label="p", limits=limits, disk=DISK)
        assert caught.value.code == "source-too-large"


def test_links_of_a_folder_lead_to_its_copy(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    (project / "kept").write_text("kept")
    (project / "sub" / "around").symlink_to("../../project/kept")
    (project / "sub" / "out").symlink_to("../../other")
    left_out = copy_folder(project, tmp_path / "copy", label="p", limits=SMALL, disk=DISK)
    assert left_out == ("sub/out",)
    assert (tmp_path / "copy" / "sub" / "around").readlink() == Path("../kept")


def test_nothing_is_too_deep_to_be_swept(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    folder = tmp_path / "deep"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for number in range(1000):
        os.mkdir("d" * 200, dir_fd=here)
        os.symlink(outside, "link", dir_fd=here)
        os.mkdir(f".{number}", dir_fd=here)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.fchmod(here, 0)
    os.close(here)
    sweep(folder)
    assert not folder.exists()
    assert (outside / "kept").exists()


@pytest.mark.parametrize("path", ["../x", "", "a//b", "link", "link/f", "pipe", "folder", "none", "large", "sub/\0"])
def test_only_regular_files_are_opened(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "f").write_text("f")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "large").write_bytes(b"x" * 11)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable), opened(tmp_path, path, limit=10):
        pass
    with opened(tmp_path, "folder/f", limit=10) as file:
        assert file.read() == b"f"


def test_the_backend_is_read_with_its_defaults(tmp_path: Path) -> None:
    assert read_backend(tmp_path, "x").name == "setuptools.build_meta:__legacy__"
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["a"]\n')
    assert read_backend(tmp_path, "x").requires == ("a",)
    assert read_backend(tmp_path, "x").name == "setuptools.build_meta:__legacy__"
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "a.b:c.d"\nbackend-path = ["."]'
    )
    assert (read_backend(tmp_path, "x").name, read_backend(tmp_path, "x").path) == ("a.b:c.d", (".",))
    (tmp_path / "pyproject.toml").write_bytes(b"#" * (17 << 20))
    with pytest.raises(BuildFault, match="larger than"):
        read_backend(tmp_path, "x")


def test_a_header_is_never_read_whole_when_it_is_long(tmp_path: Path) -> None:
    assert "the extended header of a member is too long" in refusal(tmp_path, endless_header())
