"""What the kernel moves is in the bundle as if it had been read and written; where it can't, that is what is done."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from pypimirror.bundle.writer import Hashed, Source, Tail, write_bundle
from pypimirror.disk import Disk, stamp
from pypimirror.errors import DiskFault, Incomplete, IntegrityFault
from tests.bundle.making import make, on_disk, packed, small

Move = Callable[[int, int, int], int]


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Source]:
    (tmp_path / "cache").mkdir()
    files = on_disk(small(), tmp_path / "cache")
    return {
        name: Hashed(path=each, stamp=stamp(each.stat())) if isinstance(each, Path) else each
        for name, each in files.items()
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "b.tar"


def by_hand(source: int, target: int, size: int) -> int:
    return os.write(target, os.read(source, size))


def short(source: int, target: int, size: int) -> int:
    return by_hand(source, target, min(size, 7))


def nothing(source: int, target: int, size: int) -> int:  # noqa: ARG001 - what some file systems answer
    return 0


def refusing(code: int, *, after: int = 0) -> Move:
    """It moves *after* times, and then says *code*."""
    left = [after]

    def move(source: int, target: int, size: int) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        return short(source, target, size)

    return move


CODES = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EIO, errno.EBADF)


KERNELS: dict[str, tuple[Move, ...] | None] = {
    "this one": None,
    "one that can't": (),
    "one that can": (by_hand,),
    "one that moves little at a time": (short,),
    "one that moves nothing": (nothing,),
    "one that moves nothing at first": (nothing, short),
    **{f"one that says {errno.errorcode[code]}": (refusing(code), refusing(code)) for code in CODES},
    "one that fails halfway": (refusing(errno.EINVAL, after=3), refusing(errno.EIO, after=3)),
}


@pytest.mark.parametrize("moves", KERNELS.values(), ids=KERNELS)
def test_the_bundle_is_the_same_whatever_the_kernel_can_move(
    moves: tuple[Move, ...] | None, sources: dict[str, Source], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if moves is not None:
        monkeypatch.setattr("pypimirror.disk._MOVES", moves)
    write_bundle(make(small()), sources, out, hashed=False)
    assert out.read_bytes() == packed(small())


def test_the_kernel_is_asked_first_and_both_files_stand_behind_what_it_moved(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    disk = Disk()
    with (tmp_path / "a").open("rb", buffering=0) as source, disk.create(tmp_path / "b") as target:
        moved = disk.copy_into(target, source, 4)
        assert moved in (0, 4)
        assert source.read() == b"0123456789"[moved:]
        disk.write(target, b"x")
    assert (tmp_path / "b").read_bytes() == b"0123456789"[:moved] + b"x"


def test_no_more_is_moved_than_the_manifest_says_and_what_was_written_to_meanwhile_is_found_out(
    sources: dict[str, Source], out: Path
) -> None:
    class Meddling(Disk):
        def copy_into(self, file: BinaryIO, source: BinaryIO, size: int) -> int:
            moved = super().copy_into(file, source, size)
            path = Path(str(source.name))
            path.write_bytes(path.read_bytes())
            return moved

    with pytest.raises(IntegrityFault, match="no longer what was verified"):
        write_bundle(make(small()), sources, out, hashed=False, disk=Meddling())
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_while_the_kernel_moves_leaves_nothing(
    code: int, sources: dict[str, Source], out: Path
) -> None:
    class Failing(Disk):
        def copy_into(self, file: BinaryIO, source: BinaryIO, size: int) -> int:
            super().copy_into(file, source, size // 2)
            raise OSError(code, os.strerror(code))

    with pytest.raises(DiskFault, match=f"^writing {out}: "):
        write_bundle(make(small()), sources, out, hashed=False, disk=Failing())
    assert list(out.parent.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it needs a disk that is full")
def test_a_full_disk_is_told_of_by_the_write_that_follows(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with (
        (tmp_path / "a").open("rb", buffering=0) as source,
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        assert Disk().copy_into(full, source, 10) == 0
        with pytest.raises(OSError, match="No space left"):
            Disk().write(full, source.read())


def test_a_content_may_be_the_end_of_a_file(sources: dict[str, Source], out: Path, tmp_path: Path) -> None:
    name, data = next((name, each) for name, each in small().items() if name.endswith(".metadata"))
    record = tmp_path / "record"
    record.write_bytes(b"head\n" + bytes(data))
    write_bundle(make(small()), sources | {name: Tail(path=record)}, out)
    assert out.read_bytes() == packed(small())
    for wrong in (bytes(data)[1:], b"head\n" + bytes(data) + b"\n", b""):
        record.write_bytes(wrong)
        with pytest.raises(IntegrityFault, match="no longer what was verified"):
            write_bundle(make(small()), sources | {name: Tail(path=record)}, out)
    record.unlink()
    with pytest.raises(DiskFault, match=r"^reading "):
        write_bundle(make(small()), sources | {name: Tail(path=record)}, out)
    assert out.read_bytes() == packed(small())


def test_a_medium_that_fails_while_the_hook_looks_is_told_unless_the_hook_has_something_to_say(out: Path) -> None:
    class Broken(Disk):
        def sync_file(self, file: BinaryIO) -> None:
            file.flush()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def refuse(_: Path) -> None:
        raise Incomplete("no", code="no")

    with pytest.raises(DiskFault, match="input/output error"):
        write_bundle(make(small()), small(), out, disk=Broken(), before_naming=lambda _: None)
    with pytest.raises(Incomplete):
        write_bundle(make(small()), small(), out, disk=Broken(), before_naming=refuse)
    assert list(out.parent.iterdir()) == []
