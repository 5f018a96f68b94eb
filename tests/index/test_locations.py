"""PEP 708: what a project tracks, and where else it stands, from both kinds of page."""

from __future__ import annotations

import html

import pytest

from pypimirror.errors import IndexFault
from pypimirror.index import outline
from pypimirror.index.simple import open_page
from pypimirror.model.files import ProjectStatus
from pypimirror.model.names import project_name
from tests.index.pages import HTML, JSON, URL, html_page, json_page, listing, row

ROW = row("some_thing-1.0-py3-none-any.whl")
TRACKS = ("https://index.example/simple/some-thing/", "https://other.example/it's&so/")
OTHERS = ("https://files.example/simple/some-thing/",)


def as_json(tracks: object, others: object, **more: object) -> bytes:
    return json_page([ROW], meta={"api-version": "1.2", "tracks": tracks}, **{"alternate-locations": others}, **more)


def as_html(tracks: tuple[str, ...], others: tuple[str, ...]) -> bytes:
    metas = [("pypi:tracks", each) for each in tracks] + [("pypi:alternate-locations", each) for each in others]
    head = "".join(f'<meta name="{name}" content="{html.escape(each)}">' for name, each in metas)
    return html_page([ROW], head=head)


def test_both_kinds_of_page_say_the_same() -> None:
    expected = ProjectStatus(tracks=TRACKS, alternate_locations=OTHERS)
    assert listing(as_json(TRACKS, OTHERS), JSON).status == expected
    assert listing(as_html(TRACKS, OTHERS), HTML).status == expected


def test_they_stand_beside_a_status_and_without_one() -> None:
    page = as_json(TRACKS, OTHERS, **{"project-status": {"status": "archived", "reason": "moved"}})
    assert listing(page, JSON).status == ProjectStatus(
        status="archived", reason="moved", tracks=TRACKS, alternate_locations=OTHERS
    )
    page = as_json(TRACKS, [], **{"project-status": {"status": "unheard-of", "reason": "x"}})
    assert listing(page, JSON).status == ProjectStatus(tracks=TRACKS)


@pytest.mark.parametrize("absent", [None, []])
def test_none_is_none(absent: object) -> None:
    assert listing(as_json(absent, absent), JSON).status == ProjectStatus()


def test_what_can_not_be_published_is_as_none_and_a_login_is_cut_off() -> None:
    said = (
        "https://user:secret@index.example/a/", "https://index.example/a/?token=secret", "/simple/a/", "javascript:x",
        "https://index.example/<script>/", "file:///etc/passwd", "", "https://index.example/a/", "https://[/",
    )  # fmt: skip
    for page, kind in ((as_json(said, said), JSON), (as_html(said, said), HTML)):
        status = listing(page, kind).status
        assert status.tracks == status.alternate_locations == ("https://index.example/a/",)


def test_a_page_that_names_thousands_of_places_is_believed_a_hundred() -> None:
    said = tuple(f"https://index.example/{number}/" for number in range(5000))
    for page, kind in ((as_json(said, []), JSON), (as_html(said, ()), HTML)):
        assert listing(page, kind).status.tracks == said[:100]


@pytest.mark.parametrize("wrong", ["https://index.example/", {}, [1], [None], 7])
def test_a_value_of_the_wrong_type_is_named(wrong: object) -> None:
    with pytest.raises(IndexFault, match=r"meta\.tracks: not an array of strings"):
        listing(as_json(wrong, None), JSON)
    with pytest.raises(IndexFault, match="alternate-locations: not an array of strings"):
        listing(as_json(None, wrong), JSON)


def test_an_outline_that_was_kept_remembers_them() -> None:
    project = project_name("some-thing")
    for page, kind in ((as_json(TRACKS, OTHERS), JSON), (as_html(TRACKS, OTHERS), HTML)):
        first, drawn = open_page(page, kind, url=URL, project=project, index="main")
        kept = outline.load(outline.dump(drawn))
        assert kept == drawn
        again, _ = open_page(page, kind, url=URL, project=project, index="main", outline=kept)
        assert again.status == first.status == ProjectStatus(tracks=TRACKS, alternate_locations=OTHERS)
