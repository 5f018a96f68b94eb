from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from pypimirror.disk import Disk
from pypimirror.errors import DiskFault, UsageFault
from pypimirror.model.names import Sha256
from pypimirror.net.cache import Cache, KeptPage, default_folder, metadata_key

DATA = b"a wheel, more or less" * 1000
SHA256 = Sha256(hashlib.sha256(DATA).hexdigest())
PAGE = KeptPage(
    url="https://index.example/simple/demo/",
    content_type="text/html",
    etag='"1"',
    last_modified="",
    stored=1_800_000_000,
    body=b"<a>\n\xff",
)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "cache") as opened:
        yield opened


def put(cache: Cache, data: bytes = DATA) -> Path:
    with cache.partial(Sha256(hashlib.sha256(data).hexdigest())) as partial:
        partial.append(data)
        return partial.commit(Sha256(hashlib.sha256(data).hexdigest()))


def contents(cache: Cache) -> list[str]:
    found = (path.relative_to(cache.folder).as_posix() for path in cache.folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != "CACHEDIR.TAG")


def test_what_was_kept_comes_back(cache: Cache) -> None:
    cache.keep_listing(PAGE.url, PAGE)
    key = metadata_key(file=SHA256, source="")
    cache.keep_metadata(key, b"Name: demo\n")
    assert cache.listing(PAGE.url) == PAGE
    assert cache.metadata(key) == b"Name: demo\n"
    assert cache.metadata(metadata_key(file=SHA256, source="https://index.example/x")) is None
    assert cache.listing("https://index.example/simple/other/") is None


def test_what_a_file_has_passed_is_kept_with_its_metadata_and_comes_back_for_just_that(cache: Cache) -> None:
    key = metadata_key(file=SHA256, source="")
    place = cache.keep_metadata(key, b"Name: demo\n", passed="gate-2 demo.whl")
    assert place.read_bytes().endswith(b"\nName: demo\n")
    assert cache.metadata(key) == b"Name: demo\n"
    assert cache.passed(key, "gate-2 demo.whl") == (place, b"Name: demo\n")
    assert cache.passed(key, "gate-3 demo.whl") is None
    assert cache.passed(key, "gate-2 other.whl") is None
    place.write_bytes(place.read_bytes().replace(b"gate-2", b"gate-3"))  # meddled with
    assert cache.passed(key, "gate-3 demo.whl") is None
    assert not place.exists()
    cache.keep_metadata(key, b"Name: demo\n")
    assert cache.passed(key, "gate-2 demo.whl") is None


def test_a_folder_that_is_taken_away_meanwhile_is_made_again(cache: Cache) -> None:
    for _ in range(2):
        place = put(cache)
        cache.keep_metadata("key", b"x")
        shutil.rmtree(cache.folder / "temp")
        shutil.rmtree(place.parent)
    cache.keep_metadata("key", b"y")
    assert cache.metadata("key") == b"y"


def test_a_file_is_kept_under_its_hash(cache: Cache) -> None:
    place = put(cache)
    assert cache.file(SHA256) == place
    assert place.read_bytes() == DATA
    assert contents(cache) == [f"files-v2/{SHA256[0]}/{SHA256}"]


@pytest.mark.parametrize("position", [0, 100, len(DATA) - 1])
def test_a_rotten_byte_of_a_file_is_noticed_and_the_file_dropped(cache: Cache, position: int) -> None:
    place = put(cache)
    rotten = bytearray(DATA)
    rotten[position] ^= 1
    place.write_bytes(rotten)
    assert cache.file(SHA256) is None
    assert not place.exists()
    assert cache.file(SHA256) is None


def test_a_rotten_byte_of_a_record_is_noticed_wherever_it_is(cache: Cache) -> None:
    cache.keep_listing(PAGE.url, PAGE)
    (place,) = (cache.folder / name for name in contents(cache))
    whole = place.read_bytes()
    for position in range(len(whole)):
        place.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        kept = cache.listing(PAGE.url)
        assert kept is None or kept == PAGE  # the newline after the digest carries nothing
    for size in range(len(whole)):
        place.write_bytes(whole[:size])
        assert cache.listing(PAGE.url) is None
        assert not place.exists()


def test_a_partial_transfer_stays_for_the_next_one(cache: Cache) -> None:
    with cache.partial(SHA256) as partial:
        partial.append(DATA[:500])
    with cache.partial(SHA256) as partial:
        assert partial.size == 500
        digests = partial.digests(("md5",))
        partial.append(DATA[500:])
        digests.update(DATA[500:])
        assert digests.hexdigest("sha256") == SHA256
        assert digests.hexdigest("md5") == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
        partial.commit(SHA256)
    assert cache.file(SHA256) is not None
    assert contents(cache) == [f"files-v2/{SHA256[0]}/{SHA256}"]


def test_a_partial_transfer_without_a_hash_is_not_kept(cache: Cache) -> None:
    with cache.partial(None) as partial:
        partial.append(b"abc")
    assert contents(cache) == []


def test_a_restarted_transfer_begins_at_nothing(cache: Cache) -> None:
    with cache.partial(SHA256) as partial:
        partial.append(b"wrong")
        partial.restart()
        assert partial.size == 0
        partial.append(DATA)
        partial.commit(SHA256)
    assert cache.file(SHA256) is not None


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_two_at_one_file_do_not_write_into_each_other(cache: Cache) -> None:
    with cache.partial(SHA256) as first:
        first.append(DATA[:500])
        with cache.partial(SHA256) as second:
            assert second.size == 0
            second.append(DATA)
            second.commit(SHA256)
        first.append(DATA[500:])
        first.commit(SHA256)
    assert cache.file(SHA256) is not None


def _hammer(folder: str, rounds: int) -> None:
    cache = Cache(Path(folder))
    for number in range(rounds):
        data = f"{number}".encode() * 5000
        sha256 = Sha256(hashlib.sha256(data).hexdigest())
        if cache.file(sha256) is None:
            with cache.partial(sha256) as partial:
                if partial.size:
                    partial.restart()
                for start in range(0, len(data), 1000):
                    partial.append(data[start : start + 1000])
                partial.commit(sha256)
        cache.keep_listing(PAGE.url, PAGE)
        assert cache.listing(PAGE.url) == PAGE


def test_processes_share_a_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_hammer, args=(str(tmp_path / "cache"), 60)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    cache = Cache(tmp_path / "cache")
    for number in range(60):
        assert cache.file(Sha256(hashlib.sha256(f"{number}".encode() * 5000).hexdigest())) is not None
    assert not list((cache.folder / "temp").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing there")
def test_the_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        cache = Cache(tmp_path / "deep" / "cache")
        place = put(cache)
    finally:
        os.umask(old)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing there")
def test_a_folder_that_anybody_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(UsageFault) as caught:
        Cache(tmp_path / "cache")
    assert caught.value.code == "cache-not-private"


def test_a_temporary_cache_is_gone_in_the_end() -> None:
    with Cache(None) as cache:
        put(cache)
        folder = cache.folder
        assert folder.exists()
    assert not folder.exists()


def test_a_cache_that_is_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskFault) as caught:
        Cache(tmp_path / "file" / "cache")
    assert "opening the cache" in str(caught.value)


class Full(Disk):
    """A disk that is full after so many writes."""

    def __init__(self, left: int) -> None:
        self.left = left

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "no space")
        super().write(file, data)


def test_a_full_disk_is_a_disk_fault_at_every_write_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for left in range(1, 4):
        cache = Cache(tmp_path / f"cache-{left}", disk=Full(left))
        for number in range(left - 1):
            cache.keep_metadata(f"{number}", b"x")
        with pytest.raises(DiskFault) as caught:
            cache.keep_metadata("last", b"x")
        assert caught.value.code == "disk-full"
        assert len(contents(cache)) == left - 1
    cache = Cache(tmp_path / "file", disk=Full(2))
    with cache.partial(None) as partial:
        partial.append(b"1")
        with pytest.raises(DiskFault):
            partial.append(b"2")
    assert contents(cache) == []


def test_old_leftovers_are_swept_and_young_ones_are_not(tmp_path: Path) -> None:
    temp = Cache(tmp_path / "cache").folder / "temp"
    (temp / "old").write_text("")
    (temp / "young").write_text("")
    os.utime(temp / "old", (0, 0))
    Cache(tmp_path / "cache")
    assert [path.name for path in temp.iterdir()] == ["young"]


def test_where_platforms_keep_caches() -> None:
    home = Path("/home/someone")
    assert default_folder({}, platform="linux", home=home) == home / ".cache" / "pypimirror"
    assert default_folder({"XDG_CACHE_HOME": "/fast"}, platform="linux", home=home) == Path("/fast/pypimirror")
    assert default_folder({"XDG_CACHE_HOME": "relative"}, platform="linux", home=home) == home / ".cache/pypimirror"
    assert default_folder({}, platform="darwin", home=home) == home / "Library/Caches/pypimirror"
    assert default_folder({"LOCALAPPDATA": "/local"}, platform="win32", home=home) == Path("/local/pypimirror/Cache")
