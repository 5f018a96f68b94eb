"""METADATA is found in a wheel wherever its bytes come from, and a wheel that readers read differently is refused."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest

from pypimirror.errors import IntegrityFault
from pypimirror.index import wheel, zips
from pypimirror.model.names import ParsedName, parse_file_name
from tests.fakes.archives import core_metadata_text, make_wheel, make_zip, record_line, wheel_members

NAME = parse_file_name("thing-1.0-py3-none-any.whl")
METADATA = core_metadata_text("thing", "1.0", requires_dist=["a>=1"])
Members = list[tuple[str, bytes]]


def _members(**files: str) -> Members:
    return wheel_members("thing", "1.0", files=files or None, metadata=METADATA)


def _gate(data: bytes, name: ParsedName = NAME) -> bytes:
    return wheel.gate(io.BytesIO(data), name=name)


def _refusal(data: bytes, read: Callable[[bytes], object] = _gate) -> str:
    with pytest.raises(IntegrityFault) as caught:
        read(data)
    assert caught.value.code == "bad-wheel"
    assert NAME.filename in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_wheel_passes_the_gate_and_its_metadata_is_the_exact_bytes(compressed: bool) -> None:  # noqa: FBT001  a parameter of pytest
    data = make_zip(_members(), compressed=compressed)
    assert _gate(data) == METADATA.encode()
    assert wheel.read_metadata(io.BytesIO(data), name=NAME) == METADATA.encode()


@pytest.mark.parametrize(
    ("project", "version", "build"), [("A.b-C", "1!2.0+l.1", None), ("x", "1", "3b"), ("y_z", "0.1rc1.dev2", None)]
)
def test_names_are_compared_normalised(project: str, version: str, build: str | None) -> None:
    filename, data = make_wheel(project, version, build=build)
    assert f"Name: {project}\n".encode() in _gate(data, parse_file_name(filename))


def _as_old_tools_write(members: Members, folder: str) -> bytes:
    """A wheel whose dist-info folder is spelled in its own way."""
    renamed = [(path.replace("thing-1.0.dist-info", folder), data) for path, data in members]
    return make_zip([(path, data.replace(b"thing-1.0.dist-info", folder.encode())) for path, data in renamed])


@pytest.mark.parametrize("folder", ["Thing-1.0.0.dist-info", "THING-1.0.dist-info", "thing-1.0_odd.dist-info"])
def test_a_dist_info_folder_may_be_spelled_in_another_way(folder: str) -> None:
    assert _gate(_as_old_tools_write(_members(), folder)) == METADATA.encode()


@pytest.mark.parametrize("folder", ["other-1.0.dist-info", "thing-2.0.dist-info", "other-x_y.dist-info"])
def test_a_dist_info_folder_of_something_else_is_refused(folder: str) -> None:
    assert "another project or version" in _refusal(_as_old_tools_write(_members(), folder))


def test_two_dist_info_folders_or_none_are_refused() -> None:
    two = [*_members(), ("other-1.0.dist-info/METADATA", b"")]
    assert "several .dist-info folders" in _refusal(make_zip(two))
    none = [(path, data) for path, data in _members() if ".dist-info" not in path]
    assert "no .dist-info folder" in _refusal(make_zip(none))
    assert "no .dist-info folder" in _refusal(make_zip([]))
    nested = _members(**{"thing/_vendor/other-1.0.dist-info/METADATA": "x"})
    assert _gate(make_zip(nested)) == METADATA.encode()


@pytest.mark.parametrize("missing", ["METADATA", "RECORD", "WHEEL"])
def test_a_wheel_without_one_of_its_three_files_is_refused(missing: str) -> None:
    data = make_zip([(path, data) for path, data in _members() if not path.endswith(missing)])
    assert f"{missing} is not in it" in _refusal(data)


def test_record_lists_exactly_the_members() -> None:
    members = _members()
    assert "does not list 'extra.py'" in _refusal(make_zip([*members, ("extra.py", b"")]))
    assert "lists what is not in it: 'thing.py'" in _refusal(make_zip(members[1:]))
    signatures = [("thing-1.0.dist-info/RECORD.jws", b""), ("thing-1.0.dist-info/RECORD.p7s", b""), ("empty/", b"")]
    assert _gate(make_zip([*members, *signatures])) == METADATA.encode()


def test_record_as_tools_on_windows_wrote_it_is_taken() -> None:
    members = _members(**{"a/b.py": "x", "c,d.py": "y"})
    path, record = members[-1]
    odd = record.replace(b"a/b.py", b"a\\b.py").replace(b"c,d.py", b'"./c,d.py"').replace(b"\n", b"\r\n")
    assert _gate(make_zip([*members[:-1], (path, odd)])) == METADATA.encode()


@pytest.mark.parametrize("version", ["2.0", "", "1.x", "10"])
def test_a_wheel_version_that_installers_refuse_is_refused(version: str) -> None:
    members = [
        (path, data.replace(b"Wheel-Version: 1.0", b"Wheel-Version: " + version.encode())) for path, data in _members()
    ]
    assert "Wheel-Version" in _refusal(make_zip(members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["thing.py", "thing-1.0.dist-info/METADATA", "thing.py/"])
def test_a_name_that_is_there_twice_is_refused(twin: str) -> None:
    assert "is in it twice" in _refusal(make_zip([*_members(), (twin, b"other")]))


@pytest.mark.parametrize(
    "path", ["../x.py", "/x.py", "a/../../x.py", "..\\x.py", "\\x.py", "C:x.py", "c:\\x.py", "a/.."]
)
def test_a_name_that_leads_elsewhere_is_refused_even_where_record_lists_it(path: str) -> None:
    members = _members()
    record_path, record = members[-1]
    members = [*members[:-1], (path, b"x"), (record_path, record + record_line(path, b"x").encode())]
    assert "leads out of its folder" in _refusal(make_zip(members))


def test_bytes_before_or_after_the_archive_are_refused() -> None:
    good = make_zip(_members())
    assert "bytes after its end" in _refusal(good + b"x")
    assert "bytes before it" in _refusal(b"#!/bin/sh\n" + good)
    assert "not a zip archive" in _refusal(b"<html>" * 100)
    assert "not a zip archive" in _refusal(b"")
    assert _refusal(good + good)
    assert _refusal(good[:-30])


def test_bytes_before_the_archive_are_refused_even_where_its_offsets_heed_them() -> None:
    buffer = io.BytesIO()
    buffer.write(b"#!/bin/sh\n")
    with zipfile.ZipFile(buffer, "a") as archive:
        for path, data in _members():
            archive.writestr(path, data)
    assert "bytes before it" in _refusal(buffer.getvalue())


def test_a_comment_is_no_reason_for_refusal() -> None:
    buffer = io.BytesIO(make_zip(_members()))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"made by hand"
    assert _gate(buffer.getvalue()) == METADATA.encode()
    assert "bytes after its end" in _refusal(buffer.getvalue() + b"x")


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_a_member_whose_own_header_contradicts_the_list_is_refused() -> None:
    good = make_zip(_members(), compressed=False)
    start = good.index(b"PK\x03\x04")
    for offset, new in (
        (30, b"thinG.py"),
        (8, b"\x08\0"),
        (14, b"\0\0\0\0"),
        (18, b"\1\0\0\0"),
        (22, b"\1\0\0\0"),
        (0, b"XX"),
    ):
        assert _refusal(_patched(good, start + offset, new)), offset


def test_members_over_one_another_are_refused() -> None:
    good = make_zip(_members(), compressed=False)
    second = good.index(b"PK\x01\x02", good.index(b"PK\x01\x02") + 1)
    assert "over one another" in _refusal(_patched(good, second + 42, struct.pack("<L", 0)))


def test_damage_of_any_one_byte_of_metadata_is_found() -> None:
    good = make_zip(_members(), compressed=True)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        info = archive.getinfo("thing-1.0.dist-info/METADATA")
    start = info.header_offset + 30 + len(info.filename)
    for at in range(start, start + info.compress_size):
        assert _refusal(_patched(good, at, bytes([good[at] ^ 1])))


def test_encrypted_members_are_refused() -> None:
    data = bytearray(make_zip(_members()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert "is encrypted" in _refusal(bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_no_index_admits_are_refused_by_number(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, data in _members():
            archive.writestr(path, data)
    assert f"method {method}" in _refusal(buffer.getvalue())


def test_metadata_that_would_unpack_to_more_than_the_bound_is_refused_before_unpacking() -> None:
    members = [(path, b"\0" * (17 << 20) if path.endswith("METADATA") else data) for path, data in _members()]
    data = make_zip(members)
    assert len(data) < 100_000
    assert "larger than 16777216 bytes" in _refusal(data)
    # A size that lies: the list says 100 bytes, the stream holds 17 MiB.
    central = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1) + 1)
    local = struct.unpack_from("<L", data, central + 42)[0]
    lying = _patched(_patched(data, central + 24, struct.pack("<L", 100)), local + 22, struct.pack("<L", 100))
    assert "is damaged" in _refusal(lying)


def _zip64() -> bytes:
    """A wheel each of whose members, and whose list, has the fields of zip64 though none needs them."""
    body, listed = b"", b""
    for path, data in _members():
        name, crc, offset = path.encode(), zlib.crc32(data), len(body)
        extra = struct.pack("<HHQQ", 1, 16, len(data), len(data))
        big = 0xFFFFFFFF
        body += (
            struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 33, crc, big, big, len(name), len(extra))
            + name
            + extra
            + data
        )
        extra = struct.pack("<HHQQQ", 1, 24, len(data), len(data), offset)
        listed += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 33, crc, big, big, len(name), len(extra), 0, 0, 0, 0, big
        )  # fmt: skip
        listed += name + extra
    count, end = len(_members()), len(body) + len(listed)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(listed), len(body))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + listed + record + locator + last


def test_zip64_is_read_and_its_lies_are_refused() -> None:
    good = _zip64()
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        assert archive.testzip() is None
    assert _gate(good) == METADATA.encode()
    assert wheel.metadata_from_tail(good[-900:], len(good), NAME) != METADATA.encode()
    record = good.index(b"PK\6\6")
    for offset, value in ((24, 99), (32, 99), (40, 5), (48, 1), (4, 45)):
        assert _refusal(_patched(good, record + offset, struct.pack("<Q", value))), offset


def test_every_cut_of_the_tail_leads_to_metadata_in_at_most_three_steps() -> None:
    good = make_zip(_members(**{f"thing/module_{i}.py": f"x = {i}\n" * 50 for i in range(40)}))
    for size in [*range(0, 200, 7), *range(200, len(good), 97), len(good)]:
        more: list[tuple[int, bytes]] = []
        tail = good[len(good) - size :]
        while isinstance(answer := wheel.metadata_from_tail(tail, len(good), NAME, more=more), wheel.Needed):
            assert 0 <= answer.start < answer.end <= len(good)
            more.append((answer.start, good[answer.start : answer.end]))
        assert answer == METADATA.encode()
        assert len(more) <= (2 if size >= 22 else 4)


def test_a_tail_that_holds_all_needs_no_further_range() -> None:
    good = make_zip([("big.bin", b"\0" * 200_000), *_members()], compressed=False)
    assert wheel.metadata_from_tail(good[-wheel.TAIL_SIZE :], len(good), NAME) == METADATA.encode()


def test_metadata_at_the_front_of_a_large_wheel_needs_exactly_one_further_range() -> None:
    members = _members()
    front = [*reversed(members), ("big.bin", bytes(200_000))]
    good = make_zip(front, compressed=False)
    needed = wheel.metadata_from_tail(good[-wheel.TAIL_SIZE :], len(good), NAME)
    assert isinstance(needed, wheel.Needed)
    assert needed.end - needed.start < 1000
    more = [(needed.start, good[needed.start : needed.end])]
    assert wheel.metadata_from_tail(good[-wheel.TAIL_SIZE :], len(good), NAME, more=more) == METADATA.encode()


def test_a_tail_that_is_no_wheel_is_refused() -> None:
    assert _refusal(b"<html>" * 20_000, lambda data: wheel.metadata_from_tail(data, len(data), NAME))
    assert _refusal(b"123", lambda data: wheel.metadata_from_tail(data, 2, NAME))


def test_a_file_that_ends_before_its_size_is_refused() -> None:
    class Short(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return super().seek(offset, whence) + (100 if whence == 2 else 0)

    with pytest.raises(IntegrityFault, match="ends early"):
        wheel.read_metadata(Short(make_zip(_members())), name=NAME)


def test_damage_of_any_byte_never_escapes_as_another_exception() -> None:
    good = make_zip(_members())
    for at in range(len(good)):
        for new in (0, 255, good[at] ^ 0x10):
            try:
                _gate(_patched(good, at, bytes([new])))
            except IntegrityFault:
                continue


def test_a_list_of_members_beyond_the_bound_is_refused() -> None:
    good = make_zip(_members())
    huge = _patched(good, len(good) - 10, struct.pack("<LL", 0x7FFFFFFF, 0))
    with pytest.raises(zips.BadZip, match="too long"):
        zips.central(zips.Reader(io.BytesIO(huge)))


# ---- the quick ways find what the thorough ones find -----------------------------------------------------------------


def _verdict(check: Callable[[], object]) -> str:
    try:
        check()
    except zips.BadZip as fault:
        return str(fault)
    return "fine"


def _one_by_one(data: bytes) -> None:
    archive = zips.Reader(io.BytesIO(data))
    for entry in zips.central(archive):
        zips.check_local(archive, entry)


def _at_once(data: bytes) -> None:
    archive = zips.Reader(io.BytesIO(data))
    zips.check_all(archive, zips.central(archive))


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_headers_looked_at_together_are_judged_as_one_by_one_whatever_byte_is_wrong(bits: int) -> None:
    data = make_zip([("a/b.py", b"x" * 10), ("c", b""), *_members()[-1:]])
    verdicts = set()
    for position in range(len(data)):
        wrong = bytearray(data)
        wrong[position] ^= bits
        verdict = _verdict(lambda: _at_once(bytes(wrong)))  # noqa: B023 - called at once
        assert verdict == _verdict(lambda: _one_by_one(bytes(wrong))), position  # noqa: B023 - called at once
        verdicts.add(verdict)
    assert len(verdicts) > 5


NAMES = ("a", "a/", "/a", "..", "a/..", "a..b", "c:x", "b:", "a\\b", "a/b", "\0", "", "x\n", "\ny", "/", "./a", "é")


@pytest.mark.parametrize("first", NAMES)
def test_names_that_look_plain_together_are_plain_one_by_one(first: str) -> None:
    found = set()
    for second in NAMES:
        names = ["m.py", first, second, "z/z.py"]
        found.add(plain := len(set(names)) == len(names) and wheel._is_plain(names))
        if plain:
            wheel._check_names(names)
            assert {wheel._plain(name) for name in names if not name.endswith("/")} == set(names)
    assert found == ({True, False} if first in ("a", "a/b", "é") else {False})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "rows",
    [
        ["a/b.py,sha256=x,3", "c.py,,"],
        ["a,b", "", "c"],
        ['"a,b",sha256=x,3', "c,,"],
        ['"a""b",,', "c,,"],
        ["a\\b,,", "./c,,"],
        [",,", "a/,,"],
        ["\ufeffa,,"],
        ["a\x0cb,,", "a\x1eb,,", "a\u2028b,,"],
    ],
)
def test_a_record_without_quotes_is_read_as_csv_reads_it(rows: list[str], end: str) -> None:
    text = end.join([*rows, ""])
    plain = {wheel._plain(row[0]) for row in csv.reader(io.StringIO(text, newline="")) if row and row[0]}
    assert wheel._listed(text.encode("utf-8-sig")) == plain
