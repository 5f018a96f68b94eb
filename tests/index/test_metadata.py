"""Headers are read as pip reads them, and are checked against the name of the file that they are of."""

from __future__ import annotations

import email.parser
import hashlib
import random

import pytest

from pypimirror.errors import IntegrityFault
from pypimirror.index import metadata
from pypimirror.index.metadata import parse_core_metadata, usable_requires_python
from pypimirror.model.names import ParsedName, parse_file_name

NAME = parse_file_name("some_thing-1.0-py3-none-any.whl")


def _text(*lines: str, name: str = "Some.Thing", version: str = "1.0.0") -> bytes:
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, "", "body"]).encode()


def test_the_fields_that_resolving_needs_are_read() -> None:
    data = _text(
        "Requires-Python: >=3.8",
        "Provides-Extra: Dev_Tools",
        "provides-extra: dev-tools",
        "Provides-Extra: not a name",
        "Requires-Dist: a (>=1.0)",
        "REQUIRES-DIST: b>=1.0.*",
        "Requires-Dist: c[x] ; extra == 'dev-tools'",
        "Requires-Dist:",
        "Dynamic: Requires-Dist",
    )
    read = parse_core_metadata(data, filename=NAME)
    assert read.project == "some-thing"
    assert read.version == NAME.version
    assert read.requires_dist == ("a (>=1.0)", "b>=1.0.*", "c[x] ; extra == 'dev-tools'")
    assert read.provides_extra == ("dev-tools",)
    assert (read.requires_python, read.metadata_version) == (">=3.8", "2.1")
    assert read.dynamic == {"requires-dist"}
    assert (read.sha256, read.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert read.build_requires is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (_text(name="other"), "metadata-mismatch"),
        (_text(version="1.0.1"), "metadata-mismatch"),
        (_text(version="1.0+local"), "metadata-mismatch"),
        (_text(version="not a version"), "metadata-mismatch"),
        (_text(name="not a name"), "metadata-mismatch"),
        (b"", "bad-metadata"),
        (b"\n\nName: some-thing\nVersion: 1.0", "bad-metadata"),
        (b"Name: some-thing\n", "bad-metadata"),
        (b"<html>portal</html>", "bad-metadata"),
        (_text("Requires-Dist: a" + "x" * 70_000), "bad-metadata"),
    ],
)
def test_metadata_of_something_else_is_an_integrity_fault(data: bytes, code: str) -> None:
    with pytest.raises(IntegrityFault) as caught:
        parse_core_metadata(data, filename=NAME)
    assert caught.value.code == code
    assert NAME.filename in str(caught.value)


def test_metadata_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MAX_BYTES", 50)
    with pytest.raises(IntegrityFault, match="larger than 50 bytes"):
        parse_core_metadata(_text(), filename=NAME)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + _text("Requires-Dist: a"),
        _text("Author: Fran\u00e7ois", "Requires-Dist: a").decode().encode("latin-1"),
        _text("Description: first", "        |second", "\t", "Requires-Dist: a"),
        _text("Author: x\x0b\x85y", "Requires-Dist: a"),
        _text("Keywords: \0", "Requires-Dist: a").replace(b"\n", b"\r\n"),
        _text("Requires-Dist:a").replace(b"\n", b"\r"),
        _text("Requires-Dist: a").rpartition(b"\n\n")[0],
        _text("X: \u2028 Requires-Dist: no", "Requires-Dist: a"),
    ],
)
def test_metadata_as_old_tools_wrote_it_is_tolerated(data: bytes) -> None:
    assert parse_core_metadata(data, filename=NAME).requires_dist == ("a",)


def test_a_folded_requirement_is_one_requirement() -> None:
    read = parse_core_metadata(_text("Requires-Dist: a", "  >=1.0;", '\textra == "x"'), filename=NAME)
    assert read.requires_dist == ('a >=1.0; extra == "x"',)


@pytest.mark.parametrize("text", [">=3.8.*", ">= three", ""])
def test_a_broken_requires_python_is_ignored(text: str) -> None:
    assert usable_requires_python(text) is None
    assert parse_core_metadata(_text(f"Requires-Python: {text}"), filename=NAME).requires_python is None


_LINES = (
    "Requires-Dist: a>=1",
    "Requires-Dist:b",
    "requires-dist:   c ",
    " folded",
    "\tfolded",
    "no header",
    "",
    ":",
    "X:",
)


def test_headers_are_those_that_the_mail_parser_finds() -> None:
    chosen = random.Random(3)  # noqa: S311  a test's dice
    for _ in range(2000):
        end = chosen.choice(["\n", "\r\n"])
        data = _text(*chosen.choices(_LINES, k=chosen.randint(0, 8))).decode().replace("\n", end).encode()
        reference = email.parser.BytesHeaderParser().parsebytes(data).get_all("Requires-Dist") or []
        mine = [value for key, value in metadata.headers(data) if key == "requires-dist"]
        assert mine == [" ".join(str(value).split()) for value in reference], data


def test_random_bytes_never_escape_as_another_exception() -> None:
    chosen = random.Random(5)  # noqa: S311  a test's dice
    valid = _text("Requires-Dist: a", "Requires-Python: >=3")
    name: ParsedName = NAME
    for _ in range(3000):
        damaged = bytearray(valid)
        for _ in range(chosen.randint(1, 5)):
            damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
        try:
            read = parse_core_metadata(bytes(damaged), filename=name)
        except IntegrityFault:
            continue
        "".join(read.requires_dist).encode()  # it can be written: no lone surrogates
