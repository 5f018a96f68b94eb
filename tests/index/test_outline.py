"""What is read of a page when it is looked at is what reading all of it gives."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from pypimirror.errors import IndexFault
from pypimirror.index import outline
from pypimirror.index.drawers import drawers
from pypimirror.index.row_places import row_places
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


def opened(
    data: bytes | Callable[[], bytes], content_type: str, drawn: outline.Outline | None = None
) -> tuple[Listing, outline.Outline]:
    return open_page(data, content_type, url=URL, project=project_name("some-thing"), index="main", outline=drawn)


def assert_same(data: bytes, kind: str) -> None:
    """What is looked at when it is wanted is what reading all gives, with an outline that is new, or was kept."""
    whole = listing(data, kind)
    first, drawn = opened(data, kind)
    again, _ = opened(lambda: data, kind, outline.load(outline.dump(drawn)))
    for lazy in (first, again):
        assert list(drawers(lazy).versions) == list(drawers(whole).versions)
        assert drawers(lazy).finals == drawers(whole).finals
        for place in range(len(drawers(whole).versions)):
            assert drawers(lazy)[place] == drawers(whole)[place]
        assert tuple(lazy.files) == whole.files
        assert tuple(lazy.rejected) == whole.rejected


@pytest.mark.parametrize("kind", [JSON, HTML])
def test_a_page_that_is_judged_when_it_is_looked_at_is_the_page_read_at_once(kind: str) -> None:
    data = json_page(ROWS) if kind == JSON else html_page(ROWS)
    assert_same(data, kind)
    assert drawers(opened(data, kind)[0]).versions[0] == Version("1!3.0+cpu")


HEADS = ("some_thing", "some_thing", "some_thing", "some.thing", "Some-Thing", "other")
VERSIONS = ("1.0", "1.0.0", "1", "2.0rc1", "2.0", "10.0.post1", "10.0.dev3", "3", "3.1", "0.1-1", "1.0-2", "x", "1!1")
TAILS = (
    "-py3-none-any.whl", "-cp312-cp312-win32.whl", "-cp312-cp312-win_amd64.whl", "-1-py3-none-any.whl", ".tar.gz",
    ".tar.gz", ".zip", ".tar.bz2", ".egg", "-a-b-c-d-e.whl", "-py3.whl", ".exe",
)  # fmt: skip
REASONS = (
    None,
    False,
    True,
    "",
    "bad",
    'said "no"',
    "see [1], {2}",
    'a "]}" and a {"',
    "\\",
    '\\"yanked": "',
    "\u2028\n",
    '"',
)


def any_rows(dice: random.Random) -> list[dict[str, object]]:
    rows = []
    for _ in range(dice.randrange(1, 40)):
        name = dice.choice(HEADS) + "-" + dice.choice(VERSIONS)
        tails = dice.sample(TAILS, dice.randrange(1, 6))
        rows += [row(name + tail, yanked=dice.choice(REASONS), size=dice.randrange(99)) for tail in tails]
    if dice.random() < 0.5:
        rows.sort(key=lambda each: str(each["filename"]))
    return rows


@pytest.mark.parametrize("seed", range(120))
def test_any_page_is_the_page_read_at_once(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same pages every time
    rows = any_rows(dice)
    if seed % 3 == 0:
        page = html_page(rows).decode()
        breaks = (
            "</a><br>",
            dice.choice(["</a>", "</a><br/>\n", "</a><!-- <a href='x'> -->", "</A><hr><a name=1>", "<br>"]),
        )
        assert_same(page.replace(*breaks, dice.choice([1, -1])).encode(), HTML)
        return
    separators = dice.choice([(",", ":"), (", ", ": "), (" ,\n", " : ")])
    top = {"name": "some-thing", "files": rows, "meta": {"api-version": "1.1"}}
    assert_same(json.dumps(top, separators=separators, sort_keys=dice.random() < 0.5).encode(), JSON)


@pytest.mark.parametrize("link", ["", "&#10;", "#", "&#10;.whl", "?x", "%0A", "/"])
def test_a_link_without_a_name_is_told_of_wherever_it_stands(link: str) -> None:
    rows = html_page([row("some_thing-1-py3-none-any.whl"), row("some_thing-2-py3-none-any.whl")])
    for page in (rows.replace(b"<a ", f'<a href="{link}">x</a><a '.encode(), times) for times in (1, 2)):
        assert_same(page, HTML)
        assert opened(page, HTML)[0].rejected


class Source:
    """A page that counts how often it is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return self.data


@pytest.mark.parametrize("kind", [JSON, HTML])
def test_for_the_newest_releases_a_page_is_not_read_again(kind: str) -> None:
    rows = [row(f"some_thing-{number}{tail}") for number in range(1, 101) for tail in (".tar.gz", "rc1.tar.gz")]
    source = Source(json_page(rows) if kind == JSON else html_page(rows))
    lazy, drawn = opened(source, kind)
    kept, _ = opened(source, kind, outline.load(outline.dump(drawn)))
    for each in (lazy, kept):
        assert [str(drawers(each)[place][0].name.version) for place in (0, 2)] == ["100", "99"]
    assert source.times == 1
    assert drawers(lazy)[1][0].name.filename == "some_thing-100rc1.tar.gz"
    assert source.times == 2


def test_who_looks_at_all_old_versions_reads_a_page_a_few_times() -> None:
    source = Source(json_page([row(f"some_thing-{number}.tar.gz") for number in range(1000)]))
    lazy, _ = opened(source, JSON)
    for place in range(1000):
        assert drawers(lazy)[place][0].name.version == Version(str(999 - place))
    assert source.times < 10


def test_a_page_without_a_final_release_has_its_newest_versions_at_hand() -> None:
    source = Source(json_page([row(f"some_thing-1.0rc{number}.tar.gz") for number in range(9)]))
    lazy, _ = opened(source, JSON)
    assert drawers(lazy)[0][0].name.filename == "some_thing-1.0rc8.tar.gz"
    assert source.times == 1


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


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[1,2,3,4,5,6,7,8]", '["html",["1"],"0x1",[],[],[],["active","",[],[]],null]\n',
     '["json",["1"],"0x1",[[1,2]],[],[[0,5]],["active","",[],[]],null]\n{}',
     '["json",["1"],"0x1",[[1,2]],[],[[0,1]],["active","",[],[]],null]\n{}'],
)  # fmt: skip
def test_what_is_no_outline_is_none(text: str) -> None:
    assert outline.load(text) is None


FILE = '"filename":"some_thing-{}.tar.gz","url":"{}","hashes":{{}}'


def page_of(*rows: str, between: str = ",") -> bytes:
    return (
        '{"meta":{"api-version":"1.4"},"files":[' + between.join(rows) + '],"versions":["1"],"name":"some-thing"}'
    ).encode()


ALIKE = [
    '{"core-metadata":{"sha256":"' + "0" * 64 + '"},' + FILE.format(number, number) + "}" for number in range(1, 6)
]
LEADING = ["{" + FILE.format(number, number) + "}" for number in range(1, 6)]
ODD = {
    "a cut in a string": '{"core-metadata":false,' + FILE.format(9, 9) + ',"yanked":"},{\\"core-metadata\\":{}"}',
    "half a cut in a string": '{"core-metadata":false,' + FILE.format(9, 9) + ',"yanked":"},{"}',
    "a name in a string": '{"core-metadata":false,"yanked":"\\"filename\\":\\"x\\"",' + FILE.format(9, 9) + "}",
    "objects in a row": '{"core-metadata":false,"x":[{"core-metadata":1},{"core-metadata":{"filename":"y"}}],'
    + FILE.format(9, 9)
    + "}",
    "another first key": '{"size":1,"core-metadata":false,' + FILE.format(9, 9) + "}",
    "an escaped name": '{"core-metadata":false,"file\\u006eame":"some_thing-9.tar.gz","url":"9"}',
    "an escape in a name": '{"core-metadata":false,"filename":"some_thing-9.tar\\u002egz","url":"9"}',
    "blanks": '{ "core-metadata" : false , ' + FILE.format(9, 9) + " }",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("place", [0, 2, 5])
@pytest.mark.parametrize("between", [",", ", ", " ,\n  "])
def test_rows_that_are_not_alike_are_all_found(odd: str, place: int, between: str) -> None:
    page = page_of(*ALIKE[:place], odd, *ALIKE[place:], between=between)
    lazy, whole = opened(page, JSON)[0], listing(page, JSON)
    assert [str(version) for version in drawers(lazy).versions] == ["9", "5", "4", "3", "2", "1"]
    assert [drawers(lazy)[place][0] for place in range(6)] == [drawers(whole)[place][0] for place in range(6)]
    assert tuple(lazy.files) == whole.files


@pytest.mark.parametrize("rows", [ALIKE, LEADING, ALIKE[:2], LEADING[:2]])
@pytest.mark.parametrize("between", [",", ", ", "\n,"])
def test_rows_that_are_alike_are_found_without_decoding_each(rows: list[str], between: str) -> None:
    text = page_of(*rows, between=between).decode()
    first = text.index("[") + 1
    found = row_places(text, first, limit=9)
    assert found is not None
    assert [json.loads(text[start:end]) for _, start, end in found[0]] == [json.loads(each) for each in rows]
    assert [name for name, _, _ in found[0]] == [json.loads(each)["filename"] for each in rows]
    assert text[found[1]] == "]"
    assert row_places(text, first, limit=len(rows) - 2) is None


@pytest.mark.parametrize("reason", ['a "quoted\\\\" word', "see [1], [2]", '"', "\\\\", "\\u005b\n"])
def test_a_reason_for_a_yank_may_hold_anything(reason: str) -> None:
    rows = [{"filename": f"some_thing-{n}.tar.gz", "url": "x", "hashes": {}, "yanked": reason} for n in range(5)]
    text = json.dumps({"files": rows})
    found = row_places(text, text.index("[") + 1, limit=9)
    assert found is not None
    assert [json.loads(text[start:end]) for _, start, end in found[0]] == rows


def test_what_is_written_like_a_reason_for_a_yank_and_is_none_is_decoded() -> None:
    for odd in ('"x\\"yanked":"\\"filename\\""', '"x":"\\"yanked\\":\\"y"', '"yanked":["a"]', '"tags":{"yanked":[1]}'):
        text = page_of(*LEADING[:2], "{" + FILE.format(9, 9) + "," + odd + "}", *LEADING[2:]).decode()
        json.loads(text)
        assert row_places(text, text.index("[") + 1, limit=99) is None, odd


def test_a_name_inside_a_row_is_no_row() -> None:
    nested = '{"x":{"filename":"some_thing-7-py3-none-any.whl"},"filename":"some_thing-9-py3-none-any.whl","url":"9"}'
    wheels = [f'{{"x":1,"filename":"some_thing-{number}-py3-none-any.whl","url":"{number}"}}' for number in (7, 8)]
    behind = (
        '{"x":1,"filename":"some_thing-7-py3-none-x.whl","y":{"filename":"some_thing-9-py3-none-any.whl"},"url":"7"}'
    )
    for rows in ([*wheels, nested], [wheels[0], nested, wheels[1]], [nested, *wheels], [wheels[0], behind]):
        assert_same(page_of(*rows).replace(b'"url"', b'"hashes":{},"url"'), JSON)


def test_wheels_of_one_version_side_by_side_are_as_one_row() -> None:
    row = '{{"hashes":{{}},"filename":"some_thing-{}-py3-none-{}.whl","url":"{}"}}'
    rows = [row.format(version, name, name) for version in ("2", "1", "1.0") for name in ("any", "win32", "win_amd64")]
    text = page_of(*rows).decode()
    found = row_places(text, text.index("[") + 1, limit=9)
    assert found is not None
    assert [len(json.loads(f"[{text[start:end]}]")) for _, start, end in found[0]] == [3, 3, 3]
    lazy, whole = opened(text.encode(), JSON)[0], listing(text.encode(), JSON)
    assert [len(drawers(lazy)[place]) for place in range(2)] == [3, 6]
    assert tuple(lazy.files) == whole.files


@pytest.mark.parametrize("odd", [each for each in ODD if "in a string" not in each])
def test_what_might_be_misread_is_decoded(odd: str) -> None:
    text = page_of(*ALIKE[:2], ODD[odd], *ALIKE[2:]).decode()
    assert row_places(text, text.index("[") + 1, limit=99) is None


def test_of_two_names_in_a_row_the_last_one_counts() -> None:
    page = page_of(*LEADING[:2], "{" + FILE.format(9, 9) + ',"filename":"some_thing-8.tar.gz"}')
    assert [file.name.filename for file in drawers(opened(page, JSON)[0])[0]] == ["some_thing-8.tar.gz"]


def test_only_rows_that_are_looked_at_are_judged() -> None:
    rows = [row(f"some_thing-{number}.0.tar.gz", url=7) for number in range(50)] + [row("some_thing-99.0.tar.gz")]
    lazy, _ = opened(json.dumps({"files": rows}).encode(), JSON)
    assert drawers(lazy)[0][0].name.filename == "some_thing-99.0.tar.gz"
