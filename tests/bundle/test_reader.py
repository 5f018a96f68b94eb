"""What a good bundle gives, whole or in part, from a file or a pipe."""

from __future__ import annotations

import errno
import io
import os
import threading
from pathlib import Path

import pytest

from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.writer import write_bundle
from pypimirror.errors import DiskFault
from pypimirror.model import manifest_json
from pypimirror.model.names import FileName
from pypimirror.reporting import Reporter
from tests.bundle.making import LONG, Contents, chance, make, packed, parts, read, sha256, small


@pytest.mark.parametrize("seed", range(150))
def test_what_was_written_is_what_is_read(seed: int) -> None:
    contents = chance(seed)
    bundle, out = read(packed(contents))
    assert out == contents
    assert bundle.manifest == make(contents)
    assert bundle.digest == manifest_json.digest(manifest_json.dump(make(contents)))
    assert (bundle.missing, bundle.left_out) == ((), ())


@pytest.mark.parametrize("channel", ["c" * 69, "c" * 70, "c" * 82, "c" * 83, "c" * 100])
def test_a_channel_may_have_the_longest_name_there_is(channel: str) -> None:
    manifest = make(small(), channel=channel)
    target = io.BytesIO()
    write_bundle(manifest, small(), target)
    bundle, out = read(target.getvalue())
    assert (bundle.manifest, out) == (manifest, small())


def volume(carried: set[str], *, members: bool) -> bytes:
    target = io.BytesIO()
    files = frozenset(map(FileName, carried))
    write_bundle(make(small()), small(), target, carried=files, members=members)
    return target.getvalue()


def owned(filename: str) -> Contents:
    return {path: data for path, data in small().items() if filename in path}


@pytest.mark.parametrize("number", range(16))
def test_any_volume_is_read_and_tells_what_it_lacks(number: int) -> None:
    names = ["alpha-1.0-py3-none-any.whl", "beta-2.0.tar.gz", LONG]
    carried = {name for bit, name in enumerate(names) if number >> bit & 1}
    bundle, out = read(volume(carried, members=bool(number & 8)))
    assert bundle.missing == tuple(name for name in names if name not in carried)
    pages = {path: data for path, data in small().items() if not any(name in path for name in names)}
    expected = {path: data for name in carried for path, data in owned(name).items()} | (pages if number & 8 else {})
    assert out == expected
    assert bundle.left_out == (() if number & 8 else tuple(sorted(pages)))


def test_volumes_together_give_what_the_whole_gives() -> None:
    first = read(volume({"beta-2.0.tar.gz"}, members=True))[1]
    second = read(volume({LONG, "alpha-1.0-py3-none-any.whl"}, members=False))[1]
    assert first | second == small()


@pytest.mark.parametrize(
    "left", ["simple/alpha/index.html", "simple/alpha/index.json", "index.html", "simple/index.html"]
)
def test_a_volume_may_leave_out_any_member(left: str) -> None:
    # No writer of today does; one of tomorrow may, and this reader takes it.
    pieces = b"".join(data for path, data in parts(small()) if path != left)
    bundle, out = read(pieces)
    assert bundle.left_out == (left,)
    assert out == {path: data for path, data in small().items() if path != left}


def test_a_volume_may_leave_out_a_folder_with_all_that_is_in_it() -> None:
    pieces = b"".join(data for path, data in parts(small()) if not path.startswith("simple/alpha/"))
    assert read(pieces)[0].left_out == ("simple/alpha/index.html", "simple/alpha/index.json")


def test_members_that_nobody_copies_are_verified_all_the_same(tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    target.write_bytes(packed(small()))
    with open_bundle(target) as bundle:
        paths = [member.entry.path for member in bundle.members()]
    assert sorted(paths) == sorted(small())
    broken = target.read_bytes().replace(b"alphaalpha", b"alphaALPHA", 1)
    target.write_bytes(broken)
    with open_bundle(target) as bundle, pytest.raises(Exception, match=r"contents of packages/alpha-1.0.* differs"):
        bundle.verify()


def test_a_pipe_will_do() -> None:
    data = packed(small())
    out_end, in_end = os.pipe()

    def feed() -> None:
        with os.fdopen(in_end, "wb", buffering=0) as pipe:
            for start in range(0, len(data), 777):
                pipe.write(data[start : start + 777])

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(out_end, "rb", buffering=0) as pipe, open_bundle(pipe) as bundle:
        paths = [member.entry.path for member in bundle.members()]
    feeder.join()
    assert sorted(paths) == sorted(small())
    assert bundle.name == "the bundle on standard input"


class FailingMedium(io.BytesIO):
    """A stick that breaks at a certain byte."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data)
        self.at = at

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() + (size or 0) > self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


def test_a_broken_medium_is_told_with_the_volume_and_the_byte() -> None:
    data = packed(small())
    for at in (0, 700, 9000, len(data) - 100):
        with (
            pytest.raises(DiskFault, match=r"^reading e:/vol2\.tar at byte \d+: input/output error$") as caught,
            open_bundle(FailingMedium(data, at), name="e:/vol2.tar") as bundle,
        ):
            bundle.verify()
        assert caught.value.code == "disk-broken"


def test_an_error_of_writing_is_not_taken_for_one_of_the_medium() -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError(errno.ENOSPC, f"full, {data!r:.5}")

    with open_bundle(io.BytesIO(packed(small()))) as bundle, pytest.raises(OSError, match="full"):
        next(bundle.members()).copy_to(Full())


@pytest.mark.parametrize(
    ("make_path", "code"), [(lambda p: p / "none.tar", "no-such-file"), (lambda p: p, "is-a-folder")]
)
def test_what_can_not_be_opened_is_a_disk_fault(make_path: object, code: str, tmp_path: Path) -> None:
    assert callable(make_path)
    with pytest.raises(DiskFault) as caught, open_bundle(make_path(tmp_path)):
        pass
    assert caught.value.code == code


def test_a_member_is_read_once_and_so_is_a_bundle() -> None:
    with open_bundle(io.BytesIO(packed(small()))) as bundle:
        with pytest.raises(RuntimeError, match="when its members have been read"):
            _ = bundle.missing
        members = bundle.members()
        first = next(members)
        first.copy_to(io.BytesIO())
        with pytest.raises(RuntimeError, match="read already"):
            first.copy_to(io.BytesIO())
        second = next(members)
        next(members)
        with pytest.raises(RuntimeError, match="read already"):
            second.copy_to(io.BytesIO())
        with pytest.raises(RuntimeError, match="read once"):
            next(bundle.members())


def test_the_reporter_hears_of_bytes_and_at_the_end_of_all_of_them(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    class Listening(Reporter):
        def packing(self, *, done: int, total: int) -> None:
            told.append((done, total))

    contents = {"packages/a-1.tar.gz": bytes(20_000_000)}
    target = tmp_path / "b.tar"
    written = write_bundle(make(contents), contents, target, reporter=Listening())
    assert told[-1] == (written.size, written.size) == (target.stat().st_size,) * 2
    assert written.sha256 == sha256(target.read_bytes())
    told.clear()
    with open_bundle(target, reporter=Listening()) as bundle:
        bundle.verify()
    assert told[-1] == (written.size, written.size)
    assert len(told) > 3
    assert told == sorted(told)
