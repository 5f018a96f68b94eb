"""Pages made to do harm are read in bounded time, and no name out of them is unsafe."""

from __future__ import annotations

import json
import random
import re
import time
import unicodedata
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from pypimirror.errors import IndexFault
from pypimirror.index import html_page as scanner
from tests.index.pages import HTML, JSON, html_page, json_page, listing, row

_TAIL = "some_thing-1.0-py3-none-any.whl"
_RESERVED = ("CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "con.whl", "CON.tar.gz", "nul-1.0.tar.gz")
_PREFIXES = (
    "../", "..\\", "/", "\\", "./", "//", "C:", "C:\\", "c:/", "~/", "~root/", "%2e%2e/", "%2e%2e%2f", "..%2f", "..%5c",
    "%00", "\0", ".", "..", "...", " ", "\t", "\n", "\r\n", "-", "_", "+", "!", "$(id)", "`id`", ";id;", "|", "&", "*",
    "?", "#", "<script>", "'", '"', "\u202e", "\u200b", "\ufeff", "\u2215", "\uff0f", "\u2024\u2024/", "\uff0e\uff0e/",
    "\u0430", "\u0455", "\ud800", "\x7f", "\x1b[2J", "a" * 300, "file:///", "http://x/", "\\\\host\\share\\", "a/b/",
)  # fmt: skip
_SUFFIXES = (
    "/",
    "\\",
    "/..",
    "/.",
    "\0",
    "%00.whl",
    " ",
    ".",
    "\n",
    "\u202e",
    ":stream",
    "::$DATA",
    "~",
    "?x.whl",
    "#.whl",
)
_NASTY = [
    *(prefix + _TAIL for prefix in _PREFIXES),
    *(prefix + "some_thing-1.0.tar.gz" for prefix in _PREFIXES),
    *(_TAIL + suffix for suffix in _SUFFIXES),
    *(f"some_thing-1.0-py3-none-any{suffix}.whl" for suffix in _SUFFIXES),
    *(f"some_thing-{part}1.0.zip" for part in _PREFIXES),
    *_RESERVED, ".whl", ".whl/", ".tar.gz", "..whl", "", "-.whl", "----.whl", "some_thing-1.0-py3-none-any.whl.whl",
]  # fmt: skip
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}")


def test_the_corpus_has_at_least_two_hundred_names() -> None:
    assert len(set(_NASTY)) >= 200


@pytest.mark.parametrize("name", _NASTY, ids=ascii)
def test_no_name_of_the_corpus_becomes_an_unsafe_file_name(name: str) -> None:
    raw = {"filename": name, "url": "https://files.example/x", "hashes": {}}
    encoded = quote(name.encode("utf-8", "surrogatepass"), safe="")
    twice = quote(encoded, safe="")
    for data, kind in (
        (json_page([raw]), JSON),
        (html_page([row(_TAIL), row("x", url=f"../{encoded}"), row("x", url=f"../{twice}")]), HTML),
        (html_page([row(_TAIL), row("x", url=name.encode("utf-8", "replace").decode())]), HTML),
    ):
        read = listing(data, kind)
        for file in read.files:
            assert _SAFE.fullmatch(file.name.filename)
            assert file.name.project == "some-thing"
            assert file.url.startswith(("https://", "http://"))
        for rejection in read.rejected:
            assert rejection.filename.isprintable()
            assert rejection.detail.isprintable()
            assert len(rejection.filename) < 1500
            assert not any(unicodedata.category(letter) == "Cf" for letter in rejection.filename)


def test_free_text_with_what_cannot_be_written_is_made_writable() -> None:
    page = json_page([row(_TAIL, yanked="a\0b\ud800c" + "x" * 10_000)])
    yanked = listing(page, JSON).files[0].yanked
    assert yanked is not None
    assert yanked.startswith("a\ufffdb?c")
    assert len(yanked) <= 4096


def _seconds(data: bytes, kind: str) -> float:
    begun = time.perf_counter()
    with pytest.raises(IndexFault):
        listing(data, kind)
    return time.perf_counter() - begun


def test_json_of_any_depth_or_size_is_a_fault_in_bounded_time() -> None:
    assert _seconds(b"[" * 100_000, JSON) < 5
    assert _seconds(b'{"files":' * 100_000, JSON) < 5
    assert _seconds(b'{"meta":{},"files":[' + b'{"a":[],"filename":1},' * 10 + b"1" * 5000 + b"]}", JSON) < 5
    many = b'{"files":[' + b",".join([b"{}"] * 200_001) + b"]}"
    assert _seconds(many, JSON) < 5


@pytest.mark.parametrize("anchor", [b'<a href="x">x</a>', b"<a href=x>", b"<A HREF='x'>"])
def test_a_million_anchors_are_a_fault_in_bounded_time(anchor: bytes) -> None:
    assert _seconds(b"<html>" + anchor * 1_000_000, HTML) < 10


@pytest.mark.parametrize(
    "piece",
    [b"<", b"<a ", b'<a href="', b"<a href='x", b"<!--", b"<!", b"<title>", b"<script>", b"</", b"<a =", b"<a x= ",
     b"<a\n/", b'<a x="" ', b"<?", b"&", b"<a href=&amp;", b"<!-->", b"<h1>", b"<base href=", b"<a href=x <",
     b"<A HREF='x'"],
)  # fmt: skip
def test_no_repeated_piece_of_markup_costs_more_than_linear_time(piece: bytes) -> None:
    times = []
    for count in (100_000, 200_000):
        text = (piece * count).decode()
        begun = time.process_time()
        scanner.scan(text, limit=10**9)
        times.append(time.process_time() - begun)
    assert times[1] < max(5 * times[0], 1.0)


def test_a_character_reference_that_python_cannot_read_is_left_alone() -> None:
    page = f'<html><a href="{_TAIL}" data-yanked="&#{"1" * 5000};">x</a><a href=&#{"1" * 5000};>y</a>'
    yanked = listing(page.encode(), HTML).files[0].yanked
    assert yanked is not None
    assert yanked.startswith("&#111")


class _Reference(HTMLParser):
    """The standard library's parser, asked the same."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(reversed(attrs))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes)


def _that_matter(links: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    return [{key: value for key, value in link.items() if key in scanner._ATTRIBUTES} for link in links]


_PIECES = (
    '<a href="x.whl#sha256=1">x</a>', "<a href='y' data-yanked>", "<A HREF=z>", '<a\nhref = "q&amp;r"\n>t</a>',
    "<a name=n>", '<a href="1" href="2">', "<!-- <a href=no> -->", "<script><a href=no></script>", "<br/>", "a > b",
    '<a data-requires-python="&gt;=3.8" href="w">w</a><br />', "<p title='<a href=no>'>", "</a>", "<a href>", "<td>",
    '<a class="c" href="&#x2e;&#46;/u">u</a>', "<title>a</title>", "<a href=a/b?c=d>", "<!DOCTYPE html>", "< a href=n>",
    '<a href="two\nlines">', "<style>a{}</style>", '<a href="s"/>', "<abbr href=no>",
    """<a data-yanked="a 'b'" href=k>""",
)  # fmt: skip


def test_the_scanner_finds_what_the_standard_parser_finds() -> None:
    chosen = random.Random(7)  # noqa: S311  a test's dice
    for _ in range(1500):
        text = "".join(chosen.choices(_PIECES, k=chosen.randint(1, 12)))
        assert _that_matter(scanner.scan(text, limit=100).links) == _that_matter(_Reference(text).links), text


def test_random_damage_to_a_page_never_escapes_as_another_exception() -> None:
    chosen = random.Random(11)  # noqa: S311  a test's dice
    rows = [row(_TAIL, hashes={"sha256": "0" * 64}, yanked="why"), row("some_thing-1.0.tar.gz", size=3)]
    for data, kind in ((json_page(rows), JSON), (html_page(rows), HTML)):
        for _ in range(3000):
            damaged = bytearray(data)
            for _ in range(chosen.randint(1, 4)):
                damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
            try:
                read = listing(bytes(damaged), kind)
            except IndexFault:
                continue
            assert all(_SAFE.fullmatch(file.name.filename) for file in read.files)


def test_json_values_of_every_type_in_every_field_never_escape_as_another_exception() -> None:
    values: list[object] = [
        None,
        True,
        False,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        [],
        [1],
        {},
        {"sha256": 1},
        {"a": {}},
        "\ud800",
    ]
    for key in ("filename", "url", "hashes", "size", "yanked", "requires-python", "core-metadata", "upload-time",
                "dist-info-metadata", "provenance"):  # fmt: skip
        for value in values:
            try:
                listing(json_page([row(_TAIL) | {key: value}]), JSON)
            except IndexFault as fault:
                assert f"files[0].{key}" in str(fault)  # noqa: PT017  most of the values pass
    for key in ("meta", "name", "files", "project-status"):
        for value in values:
            page = json.dumps({"meta": {}, "files": [], key: value}).encode()
            try:
                listing(page, JSON)
            except IndexFault as fault:
                assert fault.code in ("unreadable-page", "index-too-new")  # noqa: PT017  most of the values pass
