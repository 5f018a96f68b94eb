"""Accidents: bits that flip, ends that are missing, files that are something else."""

from __future__ import annotations

import io
import json
from bisect import bisect_right

import pytest

from pypimirror.bundle.faults import BundleFault
from pypimirror.bundle.layout import padding
from pypimirror.bundle.reader import open_bundle
from pypimirror.errors import IntegrityFault
from pypimirror.model import manifest_json
from tests.bundle.making import layout_of, make, packed, parts, read, small, tiny


def verify(data: bytes) -> None:
    with open_bundle(io.BytesIO(data), name="b.tar") as bundle:
        bundle.verify()


def regions(data: bytes) -> list[tuple[int, str]]:
    """Where each part of the bundle of *small* or *tiny* begins."""
    contents = small() if data == packed(small()) else tiny()
    layout, offset, out = layout_of(make(contents)), 0, []
    for entry in layout.entries():
        name = entry.path or "top folder"
        for part, size in (("header", len(entry.header)), ("contents", entry.size), ("padding", padding(entry.size))):
            if size:
                out.append((offset, f"{part} of {name}"))
            offset += size
    return [*out, (offset, "end")]


def flip_all(data: bytes, step: int, first: int = 0) -> int:
    """Flip every *step*th bit; each must be refused, and the part that it lies in be named."""
    places = regions(data)
    starts = [start for start, _ in places]

    def place(offset: int) -> str:
        return places[bisect_right(starts, offset) - 1][1]

    hostile = bytearray(data)
    count = 0
    for bit in range(first, len(data) * 8, step):
        where, mask = bit // 8, 1 << bit % 8
        hostile[where] ^= mask
        with pytest.raises(IntegrityFault) as caught:
            verify(bytes(hostile))
        hostile[where] ^= mask
        fault = caught.value
        assert isinstance(fault, BundleFault)
        named = {place(fault.offset)}
        if "contradict" in str(fault):
            named = {"contents of manifest.json", "contents of SHA256SUMS"}
        assert place(where) in named, f"bit {bit}: {fault}"
        assert fault.part in str(fault) or fault.code == "not-a-bundle"
        count += 1
    return count


def test_each_of_many_flipped_bits_is_refused_and_its_part_named() -> None:
    assert flip_all(packed(tiny()), 7) > 8000


@pytest.mark.slow
@pytest.mark.parametrize("share", range(16))
def test_every_flipped_bit_of_a_bundle_of_26_kb_is_refused_and_its_part_named(share: int) -> None:
    data = packed(small())
    assert flip_all(data, 16, share) * 16 == len(data) * 8 > 160_000


def test_every_length_but_the_right_one_is_refused() -> None:
    data = packed(tiny())
    for length in range(len(data)):
        with pytest.raises(BundleFault) as caught:
            verify(data[:length])
        code = caught.value.code
        assert code == ("truncated-bundle" if length else "not-a-bundle"), length
    verify(data)


def test_a_cut_is_told_with_what_was_being_read() -> None:
    data = packed(small())
    at = data.index(b"alphaalpha") + 100
    with pytest.raises(BundleFault) as caught:
        verify(data[:at])
    assert str(caught.value) == (
        f"b.tar is cut short: it ends at byte {at}, in the contents of packages/alpha-1.0-py3-none-any.whl"
    )
    assert (caught.value.exit_code, caught.value.offset) == (4, at - 100)
    assert "copy it again" in caught.value.hint


@pytest.mark.parametrize("extra", [b"\0", b"x", bytes(512), bytes(10240), b"\n"])
def test_nothing_may_follow_the_end(extra: bytes) -> None:
    with pytest.raises(BundleFault, match="something follows it"):
        verify(packed(tiny()) + extra)


def test_two_bundles_in_a_row_are_none() -> None:
    with pytest.raises(BundleFault, match="something follows it"):
        verify(packed(tiny()) * 2)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is empty"),
        (b"\x1f\x8b\x08" + bytes(600), "it is gzip-compressed"),
        (b"\xfd7zXZ\0" + bytes(600), "it is xz-compressed"),
        (b"BZh91AY" + bytes(600), "it is bzip2-compressed"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "it is zstd-compressed"),
        (b"PK\x03\x04" + bytes(600), "it is a zip archive, or a wheel"),
        (b"<!DOCTYPE html>" + b" " * 600, "it is HTML or XML, perhaps an error page"),
        (b"\n\n<html>" + b" " * 600, "it is HTML or XML, perhaps an error page"),
        (b'{"format": 1}' + b" " * 600, "it is JSON"),
        (b"x" * 5000, "it does not begin as a tar"),
        (bytes(10240), "it does not begin as a tar"),
    ],
)
def test_what_is_no_bundle_is_named(data: bytes, what: str) -> None:
    with pytest.raises(BundleFault) as caught:
        verify(data)
    assert str(caught.value) == f"b.tar is not a bundle: {what}"
    assert caught.value.code == "not-a-bundle"
    assert caught.value.hint


def test_a_short_page_of_html_is_named_too() -> None:
    with pytest.raises(BundleFault, match="HTML"):
        verify(b"<html>404</html>")


def remade(**changes: object) -> bytes:
    """A bundle whose manifest says something else, with everything that depends on it put right."""
    top = json.loads(manifest_json.dump(make(tiny()))) | changes
    data = json.dumps(top, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    whole = packed(tiny())
    old = manifest_json.dump(make(tiny()))
    digest, new = manifest_json.digest(old), manifest_json.digest(data)
    assert padding(len(old)) >= len(data) - len(old)
    whole = whole.replace(old + bytes(padding(len(old))), data + bytes(padding(len(data))))
    whole = whole.replace(digest.encode(), new.encode())
    head = bytearray(whole[512:1024])
    head[124:136] = b"%011o\0" % len(data)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return whole[:512] + bytes(head) + whole[1024:]


def test_a_newer_format_is_named_with_the_version_that_it_needs() -> None:
    with pytest.raises(BundleFault) as caught:
        verify(remade(format=2, tool="pypimirror 2.3"))
    assert "is of format 2, made by pypimirror 2.3; this is pypimirror" in str(caught.value)
    assert caught.value.code == "newer-format"
    assert "install pypimirror 2.3 or newer" in caught.value.hint


def test_a_manifest_that_the_gate_refuses_is_told_with_the_path_to_the_fault() -> None:
    with pytest.raises(BundleFault, match=r"its manifest can't be used: channel: not a usable name") as caught:
        verify(remade(channel="../up"))
    assert caught.value.code == "bad-manifest"


def test_a_manifest_changed_in_a_free_text_is_found() -> None:
    with pytest.raises(BundleFault, match=r"contents of manifest\.json or of SHA256SUMS.*contradict each other"):
        verify(packed(tiny()).replace(b"pypimirror 0.1.0", b"pypimirror 0.1.1", 1))


def test_a_missing_part_in_the_middle_is_missing_and_not_damage() -> None:
    pieces = parts(small())
    bundle, out = read(b"".join(data for path, data in pieces if "beta-2.0" not in path))
    assert bundle.missing == ("beta-2.0.tar.gz",)
    assert "packages/beta-2.0.tar.gz" not in out
