"""What pages say is read, whichever form they have."""

from __future__ import annotations

import json

import pytest

from pypimirror.errors import IndexFault
from pypimirror.index.simple import by_project, folder_files, parse_find_links
from pypimirror.model.files import ListedFile, ProjectStatus, Refusal, Rejection
from pypimirror.model.names import project_name
from tests.index.pages import HTML, JSON, URL, html_page, json_page, listing, row

SHA = "0123456789abcdef" * 4
WHEEL = "some_thing-1.0-py3-none-any.whl"
ROWS = [
    row(WHEEL, hashes={"sha256": SHA}, **{"requires-python": ">=3.8, <4", "core-metadata": {"sha256": SHA[::-1]}}),
    row("some_thing-1.0.tar.gz", hashes={"md5": "a" * 32, "sha256": SHA, "blake2b": "b" * 128}, yanked=True, size=7),
    row("Some.Thing-0.9-cp311-abi3-win_amd64.whl", yanked='broken: "<b>" & more', **{"core-metadata": True}),
    row("some_thing-2.0+cpu-1x-py2.py3-none-any.whl", **{"upload-time": "2024-01-02T03:04:05.678901Z"}),
    row("some-thing-0.1-1.zip", provenance="https://index.example/integrity/some-thing/0.1/provenance"),
    row("some_thing-3.0.exe"),
    row("other-1.0.tar.gz"),
    row(WHEEL, hashes={"sha256": SHA[::-1]}),
]


def test_the_same_content_as_json_and_as_html_gives_the_same_listing() -> None:
    assert listing(json_page(ROWS), JSON) == listing(html_page(ROWS), HTML)


def test_every_field_of_a_row_is_read() -> None:
    read = listing(json_page(ROWS), JSON)
    wheel, sdist, old, local, dashed = read.files
    assert wheel.url == "https://index.example/packages/some_thing-1.0-py3-none-any.whl"
    assert (wheel.sha256, wheel.requires_python, wheel.core_metadata) == (SHA, ">=3.8, <4", (("sha256", SHA[::-1]),))
    assert (wheel.yanked, wheel.size, wheel.index) == (None, None, "main")
    assert sdist.hashes == (("blake2b", "b" * 128), ("md5", "a" * 32), ("sha256", SHA))
    assert (sdist.yanked, sdist.size, sdist.core_metadata) == ("", 7, None)
    assert (old.yanked, old.core_metadata) == ('broken: "<b>" & more', ())
    assert (str(local.name.version), local.name.build) == ("2.0+cpu", (1, "x"))
    assert local.upload_time == "2024-01-02T03:04:05.678901Z"
    assert local.url.endswith("/some_thing-2.0%2Bcpu-1x-py2.py3-none-any.whl")
    assert str(dashed.name.version) == "0.1.post1"
    assert dashed.provenance == "https://index.example/integrity/some-thing/0.1/provenance"


def test_rows_that_are_no_usable_files_are_kept_as_rejections_with_their_reasons() -> None:
    rejected = listing(json_page(ROWS), JSON).rejected
    assert [(each.filename, each.reason, each.detail) for each in rejected] == [
        ("some_thing-3.0.exe", Refusal.BAD_NAME, "not a wheel or an sdist"),
        ("other-1.0.tar.gz", Refusal.BAD_NAME, "no project and version in other-1.0.tar.gz"),
        (WHEEL, Refusal.BAD_NAME, "listed twice, with different hashes"),
    ]


@pytest.mark.parametrize("ending", [".egg", ".exe", ".msi", ".rpm", ".deb", ".whl.asc", ".tar.gz.sig", ".dmg"])
def test_other_types_of_files_are_said_to_be_neither_wheel_nor_sdist(ending: str) -> None:
    for read in (
        listing(json_page([row(f"some_thing-1.0{ending}")]), JSON),
        listing(html_page([row(f"some_thing-1.0{ending}")]), HTML),
    ):
        assert not read.files
        assert [each.detail for each in read.rejected] == ["not a wheel or an sdist"]


def test_the_base_of_a_page_is_heeded_and_links_are_relative_to_the_final_address() -> None:
    page = html_page([row(WHEEL, url=WHEEL)], head='<base href="../../pool/">')
    assert listing(page, HTML).files[0].url == f"https://index.example/pool/{WHEEL}"
    moved = listing(html_page([row(WHEEL, url=f"../x/{WHEEL}")]), HTML, url="http://other.example/a/some-thing/")
    assert moved.files[0].url == f"http://other.example/a/x/{WHEEL}"


@pytest.mark.parametrize(
    ("link", "url"),
    [
        (f"/pool/{WHEEL}", f"https://index.example/pool/{WHEEL}"),
        (f"//files.example/{WHEEL}", f"https://files.example/{WHEEL}"),
        (f"https://user:pass@files.example/{WHEEL}", f"https://files.example/{WHEEL}"),
        (f"http://files.example:8080/a/{WHEEL}?token=1", f"http://files.example:8080/a/{WHEEL}?token=1"),
        (f"a b/{WHEEL}", f"{URL}a%20b/{WHEEL}"),
        (f"a?b/{WHEEL}", f"{URL}a?b/{WHEEL}"),
        (f"a/#b/{WHEEL}", f"{URL}a/"),
        (f"//{WHEEL}", f"https://{WHEEL}"),
        (f"https:///{WHEEL}", f"https://index.example/{WHEEL}"),
        (f"h\u00e9/{WHEEL}", f"{URL}h%C3%A9/{WHEEL}"),
    ],
)
def test_a_link_of_any_shape_becomes_an_absolute_address_without_credentials(link: str, url: str) -> None:
    assert listing(json_page([row(WHEEL, url=link)]), JSON).files[0].url == url


def test_credentials_of_the_page_do_not_reach_the_files() -> None:
    read = listing(html_page([row(WHEEL)]), HTML, url="https://me:secret@index.example/simple/some-thing/")
    assert read.files[0].url == f"https://index.example/packages/{WHEEL}"


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (f"file:///etc/{WHEEL}", "leads to a file"),
        (f"ftp://files.example/{WHEEL}", "neither http nor https: ftp"),
        (f"data:text/plain,/{WHEEL}", "neither http nor https: data"),
        (f"javascript:alert(1)//{WHEEL}", "neither http nor https: javascript"),
        (f"C:/{WHEEL}", "neither http nor https: c"),
        (f"https://h\u00e9.example/{WHEEL}", "no usable host"),
        (f"https://files.example/\x01/{WHEEL}", "control characters"),
        (f"https://[/{WHEEL}", "Invalid IPv6 URL"),
        (f"https://files.example/{'x' * 9000}/{WHEEL}", "longer than 8192"),
    ],
)
def test_a_link_that_does_not_lead_to_an_index_is_a_rejection(link: str, why: str) -> None:
    read = listing(json_page([row(WHEEL, url=link)]), JSON)
    assert not read.files
    assert why in read.rejected[0].detail


def test_a_page_that_is_a_file_may_link_to_files() -> None:
    read = listing(html_page([row(WHEEL)]), HTML, url="file:///srv/simple/some-thing/index.html")
    assert read.files[0].url == f"file:///srv/packages/{WHEEL}"


@pytest.mark.parametrize(
    ("hashes", "why"),
    [
        ({"sha256": "abc"}, "its sha256 is not 64 hexadecimal digits"),
        ({"sha256": ""}, "its sha256 is not 64 hexadecimal digits"),
        ({"sha256": SHA, "md5": "x" * 32}, "its md5 is not 32 hexadecimal digits"),
        ({"sha256": SHA, "SHA256": SHA[::-1]}, "two values of its sha256 disagree"),
    ],
)
def test_a_hash_that_is_none_makes_a_rejection_and_not_a_file_without_hash(hashes: dict[str, str], why: str) -> None:
    for read in (
        listing(json_page([row(WHEEL, hashes=hashes)]), JSON),
        listing(html_page([row(WHEEL, hashes=hashes)]), HTML),
    ):
        assert not read.files
        assert (read.rejected[0].reason, read.rejected[0].detail) == (Refusal.NO_HASH, why)


def test_upper_case_digests_are_folded_and_unknown_algorithms_left_out() -> None:
    read = listing(json_page([row(WHEEL, hashes={"sha256": SHA.upper(), "rot13": "x"})]), JSON)
    assert read.files[0].hashes == (("sha256", SHA),)


def test_old_names_of_the_metadata_field_are_read_where_the_new_one_is_absent() -> None:
    old = {"data-dist-info-metadata": f"sha256={SHA}"}
    page = f'<!doctype html><a href="{WHEEL}" data-dist-info-metadata="{old["data-dist-info-metadata"]}">x</a>'
    assert listing(page.encode(), HTML).files[0].core_metadata == (("sha256", SHA),)
    both = row(WHEEL, **{"core-metadata": False, "dist-info-metadata": True})
    assert listing(json_page([both]), JSON).files[0].core_metadata is None
    assert listing(json_page([row(WHEEL, **{"dist-info-metadata": True})]), JSON).files[0].core_metadata == ()


@pytest.mark.parametrize(
    ("attribute", "yanked"),
    [
        ("", None),
        ("data-yanked", ""),
        ('data-yanked=""', ""),
        ("data-yanked='a &amp; b'", "a & b"),
        ("DATA-YANKED=x", "x"),
    ],
)
def test_yanked_in_html_may_have_a_value_or_none(attribute: str, yanked: str | None) -> None:
    page = f"<!doctype html><a {attribute} href={WHEEL}>x</a>"
    assert listing(page.encode(), HTML).files[0].yanked == yanked


@pytest.mark.parametrize(("value", "yanked"), [(None, None), (False, None), ("", None), (True, ""), ("why", "why")])
def test_yanked_in_json_is_what_is_truthy(value: object, yanked: str | None) -> None:
    assert listing(json_page([row(WHEEL, yanked=value)]), JSON).files[0].yanked == yanked


@pytest.mark.parametrize("text", [">=3.8.*", "not a specifier", "", "3"])
def test_a_broken_requires_python_is_ignored_as_pip_does(text: str) -> None:
    for read in (
        listing(json_page([row(WHEEL, **{"requires-python": text})]), JSON),
        listing(html_page([row(WHEEL, **{"requires-python": text})]), HTML),
    ):
        assert read.files[0].requires_python is None


@pytest.mark.parametrize(
    "text", ["yesterday", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00+02:00"]
)
def test_an_upload_time_that_is_not_one_in_utc_is_as_none(text: str) -> None:
    assert listing(json_page([row(WHEEL, **{"upload-time": text})]), JSON).files[0].upload_time is None


def test_the_status_of_a_project_is_read_from_both_forms() -> None:
    expected = ProjectStatus(status="quarantined", reason="under review")
    page = json_page([], **{"project-status": {"status": "quarantined", "reason": "under review"}})
    assert listing(page, JSON).status == expected
    head = '<meta name="pypi:project-status" content="quarantined">'
    head += '<meta name="pypi:project-status-reason" content="under review">'
    assert listing(html_page([], head=head), HTML).status == expected
    assert listing(json_page([], **{"project-status": {"status": "new-word"}}), JSON).status == ProjectStatus()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (json_page([]), JSON),
        (json_page([]), "application/json"),
        (json_page([]), "APPLICATION/vnd.pypi.simple.latest+json ; charset=utf-8"),
        (html_page([]), HTML),
        (html_page([]), "application/vnd.pypi.simple.v1+html"),
        (html_page([]), "application/xhtml+xml; charset=utf-8"),
        (b"<!DOCTYPE html><html><body></body></html>", HTML),
        (b'<meta name="pypi:repository-version" content="1.0">', HTML),
        (b"<html><head><title>Index of /simple/some-thing</title></head></html>", HTML),
        (b"<html><head><title>Some_Thing</title></head></html>", HTML),
    ],
)
def test_a_page_without_files_is_a_listing_without_files(data: bytes, kind: str) -> None:
    assert listing(data, kind).files == ()


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"<html><title>HotelWifi</title><a href='/login'>Log in</a>", HTML, "got text/html (title 'HotelWifi')"),
        (b"<html><title>HotelWifi</title></html>", JSON, "(title 'HotelWifi'), not a page of the simple API"),
        (b"<html><body><form></form></body></html>", HTML, "got text/html, not a page"),
        (b"", HTML, "got text/html, not a page"),
        (json_page([]), HTML, "got text/html, not a page"),
        (b"Forbidden", HTML, "got text/html, not a page"),
        (b"", JSON, "not JSON"),
        (b"[]", JSON, "top level: not an object"),
        (b"{}", "application/json", "files: is missing"),
        (json_page([]), "text/plain", "got text/plain"),
        (json_page([]), "", "got no content type"),
        (json_page([], name="evil"), JSON, "name: 'evil', but some-thing was asked for"),
        (json_page([{"url": "x"}]), JSON, "files[0].filename: not a string"),
        (json_page([row(WHEEL), row(WHEEL, hashes=[])]), JSON, "files[1].hashes: not an object"),
        (json_page([row(WHEEL, yanked=1)]), JSON, "files[0].yanked: neither a boolean nor a string"),
        (json_page([row(WHEEL, size=-1)]), JSON, "files[0].size: not a size in bytes"),
        (json_page([row(WHEEL, size=True)]), JSON, "files[0].size: not a size in bytes"),
        (json_page([row(WHEEL, **{"requires-python": 3})]), JSON, "files[0].requires-python: not a string"),
        (
            json_page([row(WHEEL, **{"core-metadata": "x"})]),
            JSON,
            "files[0].core-metadata: neither a boolean nor an object",
        ),
        (json_page(["x"]), JSON, "files[0]: not an object"),
        (json_page([], files={}), JSON, "files: not an array"),
        (json_page([], meta=[1]), JSON, "meta: not an object"),
    ],
)
def test_what_is_no_page_is_a_fault_that_says_what_came(data: bytes, kind: str, said: str) -> None:
    with pytest.raises(IndexFault) as caught:
        listing(data, kind, url="https://me:secret@index.example/simple/some-thing/")
    assert caught.value.code == "unreadable-page"
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (json_page([], meta={"api-version": "2.0"}), JSON),
        (json_page([]), "application/vnd.pypi.simple.v2+json"),
        (html_page([], head='<meta name="pypi:repository-version" content="2.0">'), HTML),
    ],
)
def test_another_major_version_of_the_api_is_refused_by_name(data: bytes, kind: str) -> None:
    with pytest.raises(IndexFault, match=r"version 2(\.0)? of the simple API") as caught:
        listing(data, kind)
    assert caught.value.code == "index-too-new"


def test_fields_that_are_not_known_are_left_alone() -> None:
    page = json_page([row(WHEEL, new=[1])], versions=["1.0"], alternates=[], _last=3)
    assert len(listing(page, JSON).files) == 1


def test_a_page_of_many_projects_is_grouped_by_project() -> None:
    names = [
        "b-1.0.tar.gz",
        "a-2-py3-none-any.whl",
        "b_x-3.0.zip",
        "a-1-py3-none-any.whl",
        "README.txt",
        "b-0.9.tar.gz",
    ]
    page = html_page([row(name) for name in names], title="Our downloads")
    rows = parse_find_links(page, HTML, url="https://files.example/", index="links")
    files = [each.name.filename for each in rows if isinstance(each, ListedFile)]
    assert files == ["a-2-py3-none-any.whl", "a-1-py3-none-any.whl", "b-1.0.tar.gz", "b-0.9.tar.gz", "b_x-3.0.zip"]
    assert [each.filename for each in rows if isinstance(each, Rejection)] == ["README.txt"]
    assert list(by_project(rows, index="links")) == ["a", "b", "b-x"]
    assert len(by_project(rows, index="links")[project_name("a")].files) == 2


def test_a_folder_gives_the_same_files_in_whatever_order_it_is_listed() -> None:
    names = [(f"file:///srv/{name}", name, 5) for name in ("b-1.0.tar.gz", "a-1.0.zip", "notes.txt")]
    rows = folder_files(names, index="folder")
    assert rows == folder_files(reversed(names), index="folder")
    first = rows[0]
    assert isinstance(first, ListedFile)
    assert (first.url, first.size, first.hashes) == ("file:///srv/a-1.0.zip", 5, ())
    assert isinstance(rows[-1], Rejection)


def test_a_login_page_in_place_of_find_links_is_a_fault() -> None:
    with pytest.raises(IndexFault, match="HotelWifi"):
        parse_find_links(
            b"<html><title>HotelWifi</title><form></form>", HTML, url="https://files.example/", index="links"
        )


def test_a_json_page_in_another_unicode_encoding_or_with_a_mark_is_read() -> None:
    text = json.dumps({"files": [row(WHEEL)]})
    for data in (text.encode("utf-8-sig"), text.encode("utf-16")):
        assert len(listing(data, JSON).files) == 1
