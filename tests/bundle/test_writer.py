"""A bundle is there whole, under its name, or not at all."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from pypimirror.bundle.layout import Kind
from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.writer import write_bundle
from pypimirror.disk import Disk, StrPath
from pypimirror.errors import DiskFault, Incomplete, IntegrityFault
from pypimirror.model import manifest_json
from tests.bundle.making import layout_of, make, on_disk, packed, small

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path | bytes]:
    folder = tmp_path / "cache"
    folder.mkdir()
    return on_disk(small(), folder)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "b.tar"


def left(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_a_file_a_stream_bytes_and_paths_all_give_the_same_bundle(sources: dict[str, Path | bytes], out: Path) -> None:
    written = write_bundle(make(small()), sources, out)
    assert out.read_bytes() == packed(small())
    assert left(out) == ["b.tar"]
    assert (written.size, written.digest) == (
        out.stat().st_size,
        manifest_json.digest(manifest_json.dump(make(small()))),
    )


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_is_set_whatever_the_umask(umask: int, out: Path) -> None:
    before = os.umask(umask)
    try:
        write_bundle(make(small()), small(), out)
    finally:
        os.umask(before)
    assert out.stat().st_mode & 0o7777 == 0o644


def test_a_bundle_that_is_there_is_replaced_in_one_step_also_behind_a_link(out: Path) -> None:
    out.write_bytes(b"old")
    link = out.parent / "latest.tar"
    link.symlink_to("b.tar")
    write_bundle(make(small()), small(), link)
    assert link.is_symlink()
    assert out.read_bytes() == packed(small())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda path: path.write_bytes(b"ALPHA" * 300), "changed"),
        (lambda path: path.write_bytes(b"alpha" * 299), "shorter"),
        (lambda path: path.write_bytes(b"alpha" * 300 + b"x"), "longer"),
        (lambda path: path.write_bytes(b""), "empty"),
    ],
)
def test_a_source_that_is_no_longer_what_was_verified_leaves_nothing(
    change: Callable[[Path], object], what: str, sources: dict[str, Path | bytes], out: Path
) -> None:
    assert what
    out.write_bytes(b"old")
    source = sources["packages/alpha-1.0-py3-none-any.whl"]
    assert isinstance(source, Path)
    change(source)
    with pytest.raises(IntegrityFault, match=r"packages/alpha-1\.0-py3-none-any\.whl is no longer what was") as caught:
        write_bundle(make(small()), sources, out)
    assert caught.value.code == "changed-file"
    assert str(source) in str(caught.value)
    assert (out.read_bytes(), left(out)) == (b"old", ["b.tar"])


def test_a_source_that_grew_by_a_byte_after_a_whole_chunk_is_found(out: Path) -> None:
    contents = {"packages/a-1.tar.gz": bytes(1024**2)}
    source = out.parent / "source"
    source.write_bytes(bytes(1024**2 + 1))
    with pytest.raises(IntegrityFault, match="no longer what was verified"):
        write_bundle(make(contents), {"packages/a-1.tar.gz": source}, out)
    assert left(out) == ["source"]


def test_a_source_that_is_gone_is_named(sources: dict[str, Path | bytes], out: Path) -> None:
    source = sources["index.html"]
    assert isinstance(source, Path)
    source.unlink()
    with pytest.raises(DiskFault, match=r"^reading .*\.blob: no such file"):
        write_bundle(make(small()), sources, out)
    assert left(out) == []


def test_contents_that_are_not_at_hand_are_told_before_anything_is_written(out: Path) -> None:
    lacking = {path: data for path, data in small().items() if not path.startswith("simple/alpha")}
    with pytest.raises(Incomplete, match=r"lists simple/alpha/index\.html and 1 more, but the content is not at hand"):
        write_bundle(make(small()), lacking, out)
    stream = io.BytesIO()
    with pytest.raises(Incomplete):
        write_bundle(make(small()), lacking, stream)
    assert (left(out), stream.getvalue()) == ([], b"")


def test_a_manifest_that_no_reader_would_take_is_not_written(out: Path) -> None:
    manifest = make(small())
    with pytest.raises(IntegrityFault, match=r"can't be used: files: .* is out of order"):
        write_bundle(replace(manifest, files=manifest.files[::-1]), small(), out)
    assert left(out) == []


def test_too_little_room_is_told_before_anything_is_written(out: Path) -> None:
    class Small(Disk):
        room = 20_000

        def free(self, path: Path) -> int:  # noqa: ARG002 - any
            return self.room

    disk = Small()
    with pytest.raises(DiskFault) as caught:
        write_bundle(make(small()), small(), out, disk=disk)
    assert str(caught.value) == f"writing {out} needs 28.5 kB, 20 kB free on {out.parent}"
    assert (caught.value.code, left(out)) == ("disk-full", [])
    size = len(packed(small()))
    disk.room = size + size // 20 - 1
    with pytest.raises(DiskFault):
        write_bundle(make(small()), small(), out, disk=disk)
    disk.room += 1
    write_bundle(make(small()), small(), out, disk=disk)


@pytest.mark.parametrize("place", ["folder", "device", "nowhere/b.tar"])
def test_where_no_file_can_be_is_told_and_left_alone(place: str, out: Path) -> None:
    target = out.parent / place
    if place == "folder":
        target.mkdir()
    elif place == "device":
        os.mkfifo(target)
    before = left(out)
    with pytest.raises(DiskFault, match=f"^writing {target}: "):
        write_bundle(make(small()), small(), target)
    assert left(out) == before


class Failing(Disk):
    """Fails at the nth operation of all that change something."""

    def __init__(self, nth: int, error: BaseException) -> None:
        self.left = nth
        self.error = error

    def _tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error

    def create(self, path: StrPath, *, mode: int = 0o644) -> BinaryIO:
        self._tick()
        return super().create(path, mode=mode)

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        self._tick()
        super().write(file, data)

    def sync_file(self, file: BinaryIO) -> None:
        self._tick()
        super().sync_file(file)

    def rename(self, source: StrPath, target: StrPath) -> None:
        self._tick()
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self._tick()
        super().sync_folder(path)


@pytest.mark.parametrize(
    "error",
    [OSError(code, os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)]
    + [KeyboardInterrupt(), MemoryError()],
    ids=repr,
)
def test_whatever_fails_at_whatever_moment_the_old_bundle_stands_and_nothing_else(
    error: BaseException, out: Path
) -> None:
    out.write_bytes(b"old")
    whole = packed(small())
    expected = DiskFault if isinstance(error, OSError) else type(error)
    counting = Failing(0, error)
    write_bundle(make(small()), small(), out.parent / "c.tar", disk=counting)
    (out.parent / "c.tar").unlink()
    steps = -counting.left
    assert steps > 40
    for step in range(1, steps + 1):
        with pytest.raises(expected):
            write_bundle(make(small()), small(), out, disk=Failing(step, error))
        assert left(out) == ["b.tar"]
        # Once it has its name only the sync of the folder can fail, and then the new one is whole.
        assert out.read_bytes() == (whole if step == steps else b"old")


def test_a_full_disk_that_shows_only_when_the_file_is_closed_leaves_nothing(out: Path) -> None:
    class Late(Disk):
        def sync_file(self, file: BinaryIO) -> None:
            file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFault, match=f"^writing {out}: the disk is full$"):
        write_bundle(make(small()), small(), out, disk=Late())
    assert left(out) == []


def test_the_hook_sees_the_whole_bundle_before_it_has_its_name_and_can_stop_it(out: Path) -> None:
    seen = []

    def look(path: Path) -> None:
        with open_bundle(path) as bundle:
            bundle.verify()
        seen.append((path.name, left(out)))

    write_bundle(make(small()), small(), out, before_naming=look)
    assert seen[0][0].startswith(".b.tar.part-")
    assert seen[0][1] == [seen[0][0]]
    out.unlink()

    def refuse(path: Path) -> None:
        raise IntegrityFault(f"not proven: {path.name[:7]}", code="x")

    with pytest.raises(IntegrityFault, match="not proven"):
        write_bundle(make(small()), small(), out, before_naming=refuse)
    assert left(out) == []


def test_a_stream_that_breaks_is_a_disk_fault() -> None:
    out_end, in_end = os.pipe()
    os.close(out_end)
    with (
        os.fdopen(in_end, "wb", buffering=0) as pipe,
        pytest.raises(DiskFault, match=r"^writing standard output: whoever read it went away$"),
    ):
        write_bundle(make(small()), small(), pipe)


CHILD = """\
    import sys, time
    from pathlib import Path
    from tests.bundle.making import make, small
    from pypimirror.bundle.writer import write_bundle

    def wait(path):
        print(path.name, flush=True)
        time.sleep(60)

    write_bundle(make(small()), small(), Path(sys.argv[1]), before_naming=wait)
"""


def start_child(out: Path) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def test_what_a_killed_run_left_goes_with_the_next_run_and_what_a_live_one_holds_stays(out: Path) -> None:
    child, part = start_child(out)
    try:
        (out.parent / ".b.tar.part-keepsake-folder").mkdir()
        (out.parent / ".other.tar.part-0000").write_bytes(b"another's")
        write_bundle(make(small()), small(), out)
        assert part in left(out), "the live one's file is locked"
        child.kill()
        child.wait()
        assert part in left(out)
        write_bundle(make(small()), small(), out)
        assert left(out) == [".b.tar.part-keepsake-folder", ".other.tar.part-0000", "b.tar"]
    finally:
        child.kill()
        child.communicate()


def test_an_interrupt_leaves_nothing(out: Path) -> None:
    child, part = start_child(out)
    assert part in left(out)
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    child.communicate()
    assert time.monotonic() - began < 5
    assert left(out) == []


def test_a_name_of_255_bytes_can_be_written(out: Path) -> None:
    long = out.parent / ("ä" * 125 + "b.tar")
    write_bundle(make(small()), small(), long)
    assert left(out) == [long.name]


def test_the_paths_that_sources_need_are_those_of_the_layout() -> None:
    own = {Kind.FOLDER, Kind.MANIFEST, Kind.SUMS}
    assert {entry.path for entry in layout_of(make(small())).entries() if entry.kind not in own} == set(small())
