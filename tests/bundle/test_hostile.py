"""Malice: tars that are well-formed, and not the one that the manifest makes."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator
from typing import Literal

import pytest

from pypimirror.bundle.faults import BundleFault
from pypimirror.bundle.layout import END, header, padding
from pypimirror.bundle.reader import open_bundle
from pypimirror.errors import IntegrityFault
from pypimirror.model import manifest_json
from tests.bundle.making import LONG, SEQUENCE, make, packed, parts, small

STEM = "default-20261121T213000Z"
VICTIM = "packages/alpha-1.0-py3-none-any.whl"
NAMES = [
    "/etc/passwd", "../../etc/passwd", "../up", "..", ".", "./", "", "a/../../b", f"{STEM}/../x", f"./{STEM}/{VICTIM}",
    f"{STEM}//{VICTIM}", f"{STEM}/./{VICTIM}", f"{STEM}/{VICTIM}/", f"{STEM}/{VICTIM.upper()}", f"{STEM}/{VICTIM} ",
    f"{STEM}/extra.html", f"{STEM}/packages/extra-1.0-py3-none-any.whl", f"{STEM}/packages/.hidden", "C:\\x",
    f"{STEM}\\packages\\x", "\\\\x\\y", "nul", "x" * 100, "x" * 101, "x" * 300, "\u202ename", "na\tme", "na\nme",
    "e\u0301", "%2e%2e/x", "~/x", "$HOME/x", "-rf", "--checkpoint-action=exec=sh", f"{STEM}/manifest.json",
    f"{STEM}/SHA256SUMS", STEM,
    f"{STEM}/packages", f"{STEM}/simple", "other-20261121T213000Z/index.html",
]  # fmt: skip
FORMS: tuple[tuple[Literal[1, 2], str], ...] = ((tarfile.GNU_FORMAT, "GNU"), (tarfile.PAX_FORMAT, "PAX"))
TYPES = {
    "hard link": tarfile.LNKTYPE, "symbolic link": tarfile.SYMTYPE, "fifo": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE, "block device": tarfile.BLKTYPE, "folder": tarfile.DIRTYPE,
    "contiguous": tarfile.CONTTYPE, "old file": tarfile.AREGTYPE, "sparse": tarfile.GNUTYPE_SPARSE,
    "unknown": b"Z", "volume": b"V", "multi-volume": b"M",
    "GNU dump": b"D", "ACL": b"A", "global": b"g",
}  # fmt: skip
PAX = [
    {"path": "../../evil"}, {"path": f"{STEM}/{VICTIM}"}, {"linkpath": "/etc/passwd"}, {"size": "0"},
    {"size": "99999999"}, {"mtime": "0"}, {"uid": "1000"}, {"uname": "root"}, {"comment": "hello"},
    {"GNU.sparse.major": "1"},
    {"GNU.sparse.name": "../../evil"}, {"GNU.sparse.realsize": "99999999999"},
    {"SCHILY.xattr.security.capability": "x"}, {"hdrcharset": "BINARY"}, {"charset": "ISO-IR 8859 1 1998"},
    {"LIBARCHIVE.creationtime": "1"},
]  # fmt: skip


def raw(info: tarfile.TarInfo, data: bytes = b"", form: Literal[0, 1, 2] = tarfile.GNU_FORMAT) -> bytes:
    return info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(padding(len(data)))


def info_of(name: str, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, SEQUENCE, 0o644
    return info


def victims() -> list[tuple[str, bytes]]:
    return parts(small())


def joined(pieces: list[tuple[str, bytes]]) -> bytes:
    return b"".join(data for _, data in pieces)


def instead(replacement: bytes, of: str = VICTIM) -> bytes:
    return joined([(path, replacement if path == of else data) for path, data in victims()])


def before(extra: bytes, of: str = VICTIM) -> bytes:
    return instead(extra + dict(victims())[of], of)


def strange_names() -> Iterator[tuple[str, bytes]]:
    data = small()[VICTIM]
    for name in NAMES:
        for form, word in FORMS:
            yield f"{word} {name!r} added", before(raw(info_of(name, 3), b"abc", form))
            if name:
                yield f"{word} {name!r} in place", instead(raw(info_of(name, len(data)), data, form))


def strange_types() -> Iterator[tuple[str, bytes]]:
    data = small()[VICTIM]
    for word, kind in TYPES.items():
        for size, body in ((0, b""), (len(data), data)):
            info = info_of(f"{STEM}/{VICTIM}", size)
            info.type, info.linkname = kind, "/etc/passwd" if "link" in word else ""
            yield f"{word} of size {size} in place", instead(raw(info, body))
            yield f"{word} of size {size} added", before(raw(info, body))


def strange_extensions() -> Iterator[tuple[str, bytes]]:
    data = small()[VICTIM]
    for records in PAX:
        info = info_of(f"{STEM}/{VICTIM}", len(data))
        info.pax_headers = records
        yield f"PAX {records}", instead(raw(info, data, tarfile.PAX_FORMAT))
        globally = tarfile.TarInfo.create_pax_global_header(records)
        yield f"global PAX {records}", before(globally)
        yield f"global PAX {records} first", globally + packed(small())
    twice = dict(victims())[f"packages/{LONG}"]
    yield "two PAX headers", instead(twice[:1024] + twice, f"packages/{LONG}")
    yield "a PAX header for the end", instead(twice[:1024] + END, "END")
    yield (
        "a PAX header that a ustar name makes needless",
        instead(header("n" * 101, size=0, time=SEQUENCE)[:1024] + dict(victims())[VICTIM]),
    )
    yield "another name in a PAX header", instead(twice.replace(b"/long_name", b"/LONG_name", 1), f"packages/{LONG}")
    yield (
        "another name behind a PAX header",
        instead(
            header(f"{STEM}/packages/{LONG}", size=0, time=SEQUENCE)[:1024] + header("evil", size=0, time=SEQUENCE),
            f"packages/{LONG}",
        ),
    )
    for size in (1024, 2048, 10**6, 8**11 - 1):
        block = bytearray(twice)
        block[124:136] = b"%011o\0" % size
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block[:512])
        yield f"a PAX header of {size} bytes", instead(bytes(block), f"packages/{LONG}")
        yield f"a PAX header of {size} bytes first", bytes(block) + packed(small())


def strange_fields() -> Iterator[tuple[str, bytes]]:
    data = small()[VICTIM]
    fields: dict[str, tuple[object, ...]] = {
        "mode": (0, 0o600, 0o755, 0o4755, 0o7777), "mtime": (0, 1, SEQUENCE + 1, 8**11 - 1),
        "uid": (1, 1000), "gid": (1,), "uname": ("root", "u" * 32), "gname": ("wheel",),
        "size": (0, 1, len(data) - 1, len(data) + 1, 8**11 - 1, 2**40), "linkname": ("x",), "devmajor": (1,),
    }  # fmt: skip
    for field, values in fields.items():
        for value in values:
            info = info_of(f"{STEM}/{VICTIM}", len(data))
            setattr(info, field, value)
            yield f"{field} {value}", instead(raw(info, data))
    info = info_of(f"{STEM}/{VICTIM}", len(data))
    info.uname = info.gname = ""
    yield "GNU magic", instead(raw(info, data))


def strange_orders() -> Iterator[tuple[str, bytes]]:
    pieces = victims()
    for first, second in itertools.combinations(range(1, len(pieces) - 1), 2):
        if (second - first) in {1, 2, 5}:
            swapped = list(pieces)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            yield f"{pieces[first][0]} swapped with {pieces[second][0]}", joined(swapped)
    for index in range(1, len(pieces) - 1):
        yield f"{pieces[index][0]} twice", joined([*pieces[: index + 1], *pieces[index:]])
        yield f"{pieces[index][0]} again at the end", joined([*pieces[:-1], pieces[index], pieces[-1]])
    for path in ("", "manifest.json", "SHA256SUMS", "packages/", "simple/", "simple/alpha/", VICTIM):
        yield f"without {path!r} alone", joined([piece for piece in pieces if piece[0] != path])
    yield "without a sidecar", joined([piece for piece in pieces if piece[0] != f"{VICTIM}.metadata"])
    yield "a folder that nothing lies in", joined([p for p in pieces if not p[0].startswith("simple/alpha/index")])
    yield "a folder at the end", joined([p for p in pieces if p[0] == "simple/" or not p[0].startswith("simple/")])
    yield "one record of zeros in the middle", before(bytes(512))
    yield "the end in the middle", before(END)
    yield "one record for an end", instead(bytes(512), "END")
    yield "three records for an end", instead(bytes(1536), "END")
    yield "no end", instead(b"", "END")
    yield "the end is not zero", instead(bytes(1023) + b"\1", "END")
    other = dict(parts({VICTIM: small()[VICTIM]}, make({VICTIM: small()[VICTIM]}, channel="other")))
    yield "a file of another bundle", instead(other[VICTIM])
    yield "the manifest of another bundle", instead(other["manifest.json"], "manifest.json")
    yield "the checksums of another bundle", instead(other["SHA256SUMS"], "SHA256SUMS")
    content = dict(victims())[VICTIM]
    yield "a content that is padded with data", instead(content[:-1] + b"x")
    yield "other content of the same size", instead(content.replace(b"alpha" * 3, b"omega" * 3, 1))


def take(data: bytes, given: dict[str, bytes]) -> None:
    with open_bundle(io.BytesIO(data), name="b.tar") as bundle:
        for member in bundle.members():
            sink = io.BytesIO()
            member.copy_to(sink)
            given[member.entry.path] = sink.getvalue()


VARIANTS = [*strange_names(), *strange_types(), *strange_extensions(), *strange_fields(), *strange_orders()]


def test_there_are_more_than_400_hostile_variants() -> None:
    assert len(VARIANTS) > 400


@pytest.mark.parametrize("data", [pytest.param(data, id=word) for word, data in VARIANTS])
def test_a_hostile_tar_is_refused(data: bytes) -> None:
    given: dict[str, bytes] = {}
    with pytest.raises(IntegrityFault) as caught:
        take(data, given)
    assert isinstance(caught.value, BundleFault)
    assert "b.tar" in str(caught.value)
    assert given.items() <= small().items(), "what was given out as verified is what was listed"


def test_the_pieces_that_the_variants_are_made_of_are_a_bundle() -> None:
    assert joined(victims()) == packed(small())


def test_a_length_of_the_manifest_that_is_a_lie_takes_no_memory() -> None:
    head = bytearray(packed(small())[:1024])
    for size in (manifest_json.MAX_BYTES, manifest_json.MAX_BYTES + 1, 8**11 - 1):
        head[636:648] = b"%011o\0" % size
        head[660:668] = b" " * 8
        head[660:668] = b"%06o\0 " % sum(head[512:])
        read: list[int] = []

        class Counting(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                read.append(size or 0)  # noqa: B023 - used within the loop
                return super().read(size)

        with pytest.raises(BundleFault) as caught, open_bundle(Counting(bytes(head) + bytes(5000))):
            pass
        assert max(read) <= 256 * 1024
        assert (
            caught.value.code == "truncated-bundle"
            if size == manifest_json.MAX_BYTES
            else "no manifest" in str(caught.value)
        )


def test_a_length_of_the_first_pax_header_that_is_a_lie_is_not_followed() -> None:
    head = bytearray(header("n" * 101, size=0, time=SEQUENCE, folder=True))
    head[124:136] = b"%011o\0" % 10**9
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head[:512])
    with pytest.raises(BundleFault, match="a PAX header of 1000000000 bytes"), open_bundle(io.BytesIO(head)):
        pass


def test_a_folder_of_others_can_not_stand_for_one_that_is_needed() -> None:
    pieces = dict(parts({"a/x": b"x", "b/c/y": b"y"}))
    assert list(pieces)[3:] == ["a/", "a/x", "b/", "b/c/", "b/c/y", "END"]
    for without in ({"a/x", "b/"}, {"a/x"}):
        data = b"".join(data for name, data in pieces.items() if name not in without)
        with pytest.raises(BundleFault, match="header after SHA256SUMS"):
            take(data, {})


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000, b"\xff\xfe", b"null", b"{}", b"1e999"]
)
def test_a_manifest_of_nonsense_is_refused(text: bytes) -> None:
    tar = b"".join(
        (
            header(f"{STEM}/", size=0, time=SEQUENCE, folder=True),
            header(f"{STEM}/manifest.json", size=len(text), time=SEQUENCE),
            text + bytes(padding(len(text))),
            header(f"{STEM}/SHA256SUMS", size=80, time=SEQUENCE),
            manifest_json.digest(text).encode() + b"  manifest.json\n" + bytes(432),
            END,
        )
    )
    with pytest.raises(BundleFault) as caught, open_bundle(io.BytesIO(tar)):
        pass
    assert caught.value.code == "bad-manifest"
