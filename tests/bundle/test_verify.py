"""``verify`` on bundles: it goes on past what is wrong, and says all of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pypimirror.bundle.layout import Layout
from pypimirror.bundle.writer import write_bundle
from pypimirror.closed import verify
from pypimirror.index import metadata
from pypimirror.model import manifest_json
from pypimirror.model.findings import Kind, Report
from pypimirror.model.manifest import Manifest
from tests.tree.helpers import Sample, fake, make_manifest, sample
from tests.worlds import small_bundle

SAMPLES = tuple(fake(f"{stem}-py3-none-any.whl", data=stem.encode() * 900) for stem in ("a-1.0", "b-1.0", "c-1.0"))
PINS: dict[str, str] = {each.file.filename: each.file.project for each in SAMPLES}
MANIFEST = make_manifest(SAMPLES, pins=PINS)


def sources(*samples: Sample) -> dict[str, bytes]:
    held = {each.file.path: each.data for each in samples}
    return held | {f"{each.file.path}.metadata": each.metadata or b"" for each in samples}


def written(path: Path, manifest: Manifest = MANIFEST, *samples: Sample) -> Path:
    write_bundle(manifest, sources(*(samples or SAMPLES)), path)
    return path


def found(report: Report) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.path) for finding in report.findings]


def offset(data: bytes, path: str) -> int:
    """Where the content of a member begins."""
    data_of_manifest = manifest_json.dump(MANIFEST)
    digest = manifest_json.digest(data_of_manifest)
    layout = Layout(manifest=MANIFEST, digest=digest, size=len(data_of_manifest))
    (entry,) = [entry for entry in layout.entries() if entry.path == path]
    return data.index(entry.header) + len(entry.header)


def flipped(path: Path, *members: str) -> Path:
    data = bytearray(path.read_bytes())
    for member in members:
        data[offset(bytes(data), member)] ^= 1
    path.write_bytes(data)
    return path


def test_a_bundle_as_it_was_made_is_whole(tmp_path: Path) -> None:
    for quick in (False, True):
        report = verify(written(tmp_path / "x.tar"), quick=quick)
        assert (report.exit_code, report.findings) == (0, ())
    assert verify(tmp_path / "x.tar").checked.files == 3
    assert verify(tmp_path / "x.tar").bundles[0][0] == MANIFEST.stem


def test_a_real_bundle_is_whole_from_a_file_and_from_a_pipe(tmp_path: Path) -> None:
    path = small_bundle(tmp_path / "small.tar", "app[speed]", "source")
    report = verify(path)
    assert report.findings == ()
    assert report.checked.resolutions >= 1
    assert verify(io.BytesIO(path.read_bytes())).checked == report.checked


def test_every_damaged_member_is_named_not_the_first_alone(tmp_path: Path) -> None:
    wrong = [SAMPLES[0].file.path, f"{SAMPLES[1].file.path}.metadata", SAMPLES[2].file.path]
    path = flipped(written(tmp_path / "x.tar"), *wrong)
    report = verify(path)
    assert [each for each in found(report) if each[0] is Kind.CHANGED] == [(Kind.CHANGED, each) for each in wrong]
    assert report.exit_code == 4
    assert verify(path, quick=True).exit_code == 0, "a quick look reads no contents"


@pytest.mark.parametrize("kept", [600, 4000, -1, -512, -1500])
@pytest.mark.parametrize("quick", [False, True])
def test_a_bundle_that_is_cut_short_is_named_even_by_a_quick_look(tmp_path: Path, kept: int, *, quick: bool) -> None:
    path = written(tmp_path / "x.tar")
    path.write_bytes(path.read_bytes()[:kept])
    report = verify(path, quick=quick)
    assert report.exit_code == 4
    assert "cut short" in report.findings[0].message


def test_a_quick_look_leaps_over_large_contents_and_still_sees_where_they_end(tmp_path: Path) -> None:
    large = fake("a-1.0-py3-none-any.whl", data=b"z" * 700_000)
    pins: dict[str, str] = {each.file.filename: each.file.project for each in (large, SAMPLES[1])}
    manifest = make_manifest([large, SAMPLES[1]], pins=pins)
    path = written(tmp_path / "x.tar", manifest, large, SAMPLES[1])
    assert verify(path, quick=True).findings == ()
    data = path.read_bytes()
    for kept in (300_000, 690_000, len(data) - 5000):
        path.write_bytes(data[:kept])
        report = verify(path, quick=True)
        assert "cut short" in report.findings[0].message
    path.write_bytes(data.replace(b"zz", b"zx", 1))
    assert verify(path, quick=True).findings == ()
    assert found(verify(path)) == [(Kind.CHANGED, large.file.path)]


def test_a_header_that_is_wrong_ends_the_reading(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tar")
    data = bytearray(path.read_bytes())
    data[offset(bytes(data), SAMPLES[1].file.path) - 300] ^= 1
    path.write_bytes(data)
    report = verify(path)
    assert report.exit_code == 4
    assert "could not be looked at" in report.findings[0].hint


def test_a_volume_lacks_files_and_says_which(tmp_path: Path) -> None:
    carried = frozenset([SAMPLES[0].file.filename])
    write_bundle(MANIFEST, sources(*SAMPLES), tmp_path / "x.tar", carried=carried)
    report = verify(tmp_path / "x.tar")
    assert found(report) == [(Kind.MISSING, each.file.path) for each in SAMPLES[1:]]
    assert report.exit_code == 1


def test_a_manifest_that_contradicts_its_files_is_found(tmp_path: Path) -> None:
    """Such a bundle is consistent down to the last hash; the proof would stand on what is not so."""
    lying = SAMPLES[0].but(requires_dist=("b",))
    manifest = make_manifest((lying, *SAMPLES[1:]), pins=PINS)
    path = written(tmp_path / "x.tar", manifest, lying, *SAMPLES[1:])
    assert (Kind.CHANGED, f"{lying.file.path}.metadata") in found(verify(path))


def test_metadata_of_an_absurd_size_is_hashed_and_not_held_in_memory(tmp_path: Path) -> None:
    size = metadata.MAX_BYTES + 1
    data = f"Name: a\nVersion: 1.0\nX: {'x' * size}".encode()[:size]
    large = sample(SAMPLES[0].file.filename, SAMPLES[0].data, data)
    report = verify(written(tmp_path / "x.tar", make_manifest([large]), large))
    finding = next(each for each in report.findings if each.kind is Kind.CHANGED)
    assert "no core metadata has" in finding.message
    assert report.checked.size > size


def test_a_set_that_can_not_be_installed_is_found_though_every_byte_is_right(tmp_path: Path) -> None:
    samples = (SAMPLES[0].but(requires_dist=("nothing-there",)), *SAMPLES[1:])
    report = verify(written(tmp_path / "x.tar", make_manifest(samples, pins=PINS), *samples))
    (finding,) = [each for each in report.findings if each.kind is Kind.UNSOLVABLE]
    assert "nothing-there" in finding.message
    assert finding.exit_code == 1


def test_what_is_no_bundle_is_a_finding_too(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(1000))
    report = verify(tmp_path / "x.tar")
    assert report.exit_code == 4
    assert "gzip" in report.findings[0].message
