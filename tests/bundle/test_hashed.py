"""What was hashed once in a run is not hashed again, unless somebody may have written to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypimirror.bundle.writer import Hashed, Source, write_bundle
from pypimirror.disk import stamp
from pypimirror.errors import IntegrityFault
from tests.bundle.making import make, on_disk, packed, small


def hashed(sources: dict[str, Path | bytes]) -> dict[str, Source]:
    return {
        name: Hashed(path=each, stamp=stamp(each.stat())) if isinstance(each, Path) else each
        for name, each in sources.items()
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path | bytes]:
    (tmp_path / "cache").mkdir()
    return on_disk(small(), tmp_path / "cache")


def some_file(files: dict[str, Path | bytes]) -> Path:
    return next(each for each in files.values() if isinstance(each, Path) and each.stat().st_size)


def test_a_bundle_of_what_was_hashed_is_the_same_bundle(files: dict[str, Path | bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    written = write_bundle(make(small()), hashed(files), out, hashed=False)
    assert out.read_bytes() == packed(small())
    assert (written.sha256, written.size) == ("", out.stat().st_size)


def test_what_was_changed_since_is_found_out(files: dict[str, Path | bytes], tmp_path: Path) -> None:
    sources, path = hashed(files), some_file(files)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(IntegrityFault, match="no longer what was verified"):
        write_bundle(make(small()), sources, tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()
    path.write_bytes(data)  # somebody wrote to it, but the same: it is hashed again, and found right
    write_bundle(make(small()), sources, tmp_path / "out.tar")


def test_what_changes_while_it_is_copied_is_found_out(
    files: dict[str, Path | bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, path, asked = hashed(files), some_file(files), []
    real = os.fstat

    def meddled(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        if os.path.samestat(found, path.stat()):
            asked.append(descriptor)
            if len(asked) > 1:
                path.write_bytes(path.read_bytes())
        return real(descriptor)

    monkeypatch.setattr("pypimirror.bundle.writer.os.fstat", meddled)
    with pytest.raises(IntegrityFault, match="no longer what was verified"):
        write_bundle(make(small()), sources, tmp_path / "out.tar")
