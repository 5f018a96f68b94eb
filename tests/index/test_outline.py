"""What is read of a page when it is looked at is what reading all of it gives."""

from __future__ import annotations

import json

import pytest

from pypimirror.errors import IndexFault
from pypimirror.index import outline
from pypimirror.index.drawers import drawers
from pypimirror.index.simple import open_page
from pypimirror.model.files import Listing
from pypimirror.model.names import Version, project_name
from tests.index.pages import HTML, JSON, URL, html_page, json_page, listing, row

ROWS = [
    row("some_thing-1.0-py3-none-any.whl", hashes={"sha256": "0123456789abcdef" * 4}),
    row("some_thing-2.0rc1-py3-none-any.whl"),
    row("some_thing-1.0.tar.gz", yanked='a "]}" and a {"'),
    row("some_thing-1.0.0-cp312-cp312-win_amd64.whl", **{"requires-python": ">=3.8, <4"}),
    row("some.thing-0.1-1.zip"),
    row("some_thing-1!3.0+cpu-1x-py2.py3-none-any.whl", size=7),
    row("some_thing-3.0.exe"),
    row("other-9.0-py3-none-any.whl"),
    row("some_thing-nonsense-py3-none-any.whl"),
    row("some_thing-1.0-py3-none-any.whl"),
]


def opened(data: bytes, content_type: str, drawn: outline.Outline | None = None) -> tuple[Listing, outline.Outline]:
    return open_page(data, content_type, url=URL, project=project_name("some-thing"), index="main", outline=drawn)


@pytest.mark.parametrize("kind", [JSON, HTML])
def test_a_page_that_is_judged_when_it_is_looked_at_is_the_page_read_at_once(kind: str) -> None:
    data = json_page(ROWS) if kind == JSON else html_page(ROWS)
    whole = listing(data, kind)
    first, drawn = opened(data, kind)
    again, _ = opened(data, kind, outline.load(outline.dump(drawn)))
    for lazy in (first, again):
        assert drawers(lazy).versions[0] == Version("1!3.0+cpu")
        assert list(drawers(lazy).versions) == list(drawers(whole).versions)
        assert drawers(lazy).finals == drawers(whole).finals
        for place in range(len(drawers(whole).versions)):
            assert drawers(lazy)[place] == drawers(whole)[place]
        assert tuple(lazy.files) == whole.files
        assert tuple(lazy.rejected) == whole.rejected


@pytest.mark.parametrize("page", [json_page([]), json_page(ROWS[:1]), b'\xef\xbb\xbf {"files" : [ ] , "x" : [1,{}] } '])
def test_json_of_any_layout_is_outlined(page: bytes) -> None:
    assert tuple(opened(page, JSON)[0].files) == listing(page, JSON).files


@pytest.mark.parametrize(
    "page",
    [
        b"", b"[]", b"{", b'{"files": [}', b'{"files": [{"filename": "a"},]}', b'{"files": [] "x": 1}', b'{"files": []',
        b'{"files": [],}', b'{"files": []} x', b'{"files": [1]}', b'{"files": [{"filename": 1}]}', b'{"files": {}}',
        b'{1: 2, "files": []}', b'{"name": "x"}', b'{"files": [{"filename": "a"} {"filename": "b"}]}', b"\xff\xfe{",
        b'{"files": [' + b"[" * 100_000, b'{"name": "other", "files": []}', b"<html><title>HotelWifi</title>",
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_when_it_is_opened(page: bytes) -> None:
    with pytest.raises(IndexFault) as caught:
        opened(page, JSON)
    assert caught.value.code == "unreadable-page"
    with pytest.raises(IndexFault):
        listing(page, JSON)


def test_what_is_wrong_inside_a_row_is_told_when_its_version_is_looked_at() -> None:
    lazy, _ = opened(json_page([*ROWS, row("some_thing-5.0.tar.gz", size="big")]), JSON)
    assert [str(file.name.version) for file in drawers(lazy)[0]] == ["1!3.0+cpu"]
    with pytest.raises(IndexFault) as caught:
        drawers(lazy)[1]
    assert (caught.value.code, "size" in str(caught.value)) == ("unreadable-page", True)


def test_an_outline_of_another_page_can_name_no_file_that_is_not_on_this_one() -> None:
    drawn = opened(json_page([row("some_thing-9.0.tar.gz"), *ROWS]), JSON)[1]
    lazy, _ = opened(json_page(ROWS[:1]), JSON, drawn)
    with pytest.raises(IndexFault):
        tuple(lazy.files)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1,2,3,4,5,6,7]", '["html",["1"],"0x1",[],[],["active",""],null]'])
def test_what_is_no_outline_is_none(text: str) -> None:
    assert outline.load(text) is None


def test_only_rows_that_are_looked_at_are_judged() -> None:
    rows = [row(f"some_thing-{number}.0.tar.gz", url=7) for number in range(50)] + [row("some_thing-99.0.tar.gz")]
    lazy, _ = opened(json.dumps({"files": rows}).encode(), JSON)
    assert drawers(lazy)[0][0].name.filename == "some_thing-99.0.tar.gz"
