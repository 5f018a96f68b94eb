"""The rules of a static tree, one by one: see the first paragraphs of ``pages`` for the standards behind them."""

# ruff: noqa: ANN401 - fields are passed on as they come

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pypimirror.index.simple import parse_find_links, parse_page
from pypimirror.model.files import ListedFile
from pypimirror.model.manifest import BundledFile
from pypimirror.tree.compose import Composition, compose
from pypimirror.tree.lists import Change, packages_page, root_pages, tree_pages
from pypimirror.tree.pages import project_pages, size_text
from tests.tree.example import SAMPLES, example
from tests.tree.helpers import LinkReader, accepted, fake, make_manifest

WHEEL = "a-1.0-py3-none-any.whl"


def one_file(**attributes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """The link and the JSON row of one file."""
    filename = str(attributes.pop("filename", WHEEL))
    (served,) = compose([accepted(make_manifest([fake(filename, **attributes)]))]).projects
    html, in_json, _ = project_pages(served)
    (link,) = LinkReader(html.data.decode()).links
    (row,) = json.loads(in_json.data)["files"]
    return link, row


def landing(composition: Composition) -> str:
    (page,) = (page for page in tree_pages(composition) if page.path == "index.html")
    return page.data.decode()


@pytest.fixture(scope="module")
def small() -> Composition:
    return compose([accepted(example().manifest)])


def test_the_doctype_comes_first_in_every_page(small: Composition) -> None:
    assert all(
        page.data.startswith(b"<!DOCTYPE html>\n<html") for page in tree_pages(small) if page.path.endswith("html")
    )


def test_links_are_relative_percent_encoded_and_carry_the_hash() -> None:
    link, row = one_file(filename="a-1!2.0+cpu-py3-none-any.whl")
    assert link["text"] == row["filename"] == "a-1!2.0+cpu-py3-none-any.whl"
    assert row["url"] == "../../packages/a-1%212.0%2Bcpu-py3-none-any.whl"
    assert link["href"] == f"{row['url']}#sha256={row['hashes']['sha256']}"


def test_only_the_new_name_of_the_metadata_attribute_is_written(small: Composition) -> None:
    for page in tree_pages(small):
        assert b"dist-info-metadata" not in page.data
    link, row = one_file()
    assert link["data-core-metadata"] == f"sha256={row['core-metadata']['sha256']}"


def test_metadata_is_advertised_only_where_there_is_some() -> None:
    link, row = one_file(filename="a-1.0.tar.gz")
    assert "data-core-metadata" not in link
    assert "core-metadata" not in row


def test_yanked_without_a_reason_is_an_empty_attribute_and_true() -> None:
    link, row = one_file(yanked="")
    assert link["data-yanked"] == ""
    assert row["yanked"] is True
    link, row = one_file(yanked="why")
    assert link["data-yanked"] == row["yanked"] == "why"
    link, row = one_file()
    assert "data-yanked" not in link
    assert "yanked" not in row


def test_requires_python_is_copied_as_it_is_and_escaped() -> None:
    link, row = one_file(requires_python=">=3.8, <4,!=3.9.*")
    assert link["data-requires-python"] == row["requires-python"] == ">=3.8, <4,!=3.9.*"
    (served,) = compose([accepted(make_manifest([fake(WHEEL, requires_python="<4")]))]).projects
    assert b'data-requires-python="&lt;4"' in project_pages(served)[0].data


def test_upload_time_and_size_stand_in_both_pages() -> None:
    link, row = one_file(upload_time="2026-01-01T00:00:00Z")
    assert link["data-upload-time"] == row["upload-time"] == "2026-01-01T00:00:00Z"
    assert link["data-size"] == str(row["size"])
    link, row = one_file(upload_time=None)
    assert "data-upload-time" not in link
    assert "upload-time" not in row


def test_the_json_page_lists_every_version_once_and_the_status(small: Composition) -> None:
    pages = {page.path: page.data for each in small.projects for page in project_pages(each)}
    page = json.loads(pages["simple/local-thing/index.json"])
    assert page["meta"] == {"api-version": "1.4"}
    assert page["versions"] == ["2.4.0", "2.4.0+cpu"]
    assert page["project-status"] == {"status": "deprecated", "reason": "use <other-thing> & be happy"}
    assert b'name="pypi:project-status" content="deprecated"' in pages["simple/local-thing/index.html"]
    assert b"project-status" not in pages["simple/plain-thing/index.html"]
    assert json.loads(pages["simple/odd-name/index.json"])["name"] == "odd-name"


def test_the_find_links_page_leaves_yanked_files_out_unless_they_are_pinned(small: Composition) -> None:
    page = packages_page(Change(added=small.projects))
    assert page.path == "packages/index.html"
    rows = {link["text"]: link for link in LinkReader(page.data.decode()).links}
    left_out = {each.file.filename for each in SAMPLES} - rows.keys()
    assert left_out == {"yanked_thing-1.2-py3-none-any.whl"}
    pinned = rows["yanked_thing-1.1-py3-none-any.whl"]
    assert pinned["data-yanked"] == 'broken: "<b>" & co, use 1.2'
    assert pinned["href"].startswith("yanked_thing-1.1-py3-none-any.whl#sha256=")


def test_the_root_pages_name_every_project(small: Composition) -> None:
    names = [each.name for each in small.projects]
    html, in_json = root_pages(names)
    assert [(link["href"], link["text"]) for link in LinkReader(html.data.decode()).links] == [
        (f"{n}/", n) for n in names
    ]
    assert json.loads(in_json.data) == {"meta": {"api-version": "1.4"}, "projects": [{"name": n} for n in names]}


def test_the_landing_page_leads_only_inside_and_shows_what_is_there(small: Composition) -> None:
    text = landing(small)
    hrefs = [link["href"] for link in LinkReader(text).links]
    assert all(
        re.fullmatch(r"(simple/([a-z0-9-]+/)?|locks/[a-z0-9._-]+|packages/index\.html|manifest\.json)", href)
        for href in hrefs
    )
    assert "//" not in re.sub(r"(http|file):///?", "", text)
    assert re.search(r"<b>6</b>projects.*<b>12</b>files", text, re.DOTALL)
    assert "2026-09-21" in text
    assert "3.12-linux" in text


def test_an_empty_composition_has_pages_too() -> None:
    assert {page.path for page in tree_pages(compose([]))} == {
        "index.html", "packages/index.html", "simple/index.html", "simple/index.json"
    }  # fmt: skip


def test_our_own_reader_reads_back_what_was_written(small: Composition) -> None:
    for served in small.projects:
        html, in_json, _ = project_pages(served)
        url = f"https://index.example/simple/{served.name}/"
        listings = [
            parse_page(page.data, kind, url=url, project=served.name, index="index")
            for page, kind in ((html, "text/html"), (in_json, "application/vnd.pypi.simple.v1+json"))
        ]
        for listing in listings:
            assert [_facts(file) for file in listing.files] == [_expected(file) for file in served.files]
            assert (listing.status.status, listing.status.reason) == (served.status, served.reason)
            assert listing.rejected == ()
    rows = parse_find_links(
        packages_page(Change(added=small.projects)).data,
        "text/html",
        url="https://index.example/packages/index.html",
        index="index",
    )
    assert {row.url for row in rows if isinstance(row, ListedFile)} >= {
        "https://index.example/packages/epoch_thing-1%212.0-py3-none-any.whl"
    }


def _facts(file: ListedFile) -> tuple[object, ...]:
    assert file.url.startswith("https://index.example/packages/")
    return file.name.filename, file.sha256, file.size, file.requires_python, file.yanked, file.upload_time


def _expected(file: BundledFile) -> tuple[object, ...]:
    return file.filename, file.sha256, file.size, file.requires_python, file.yanked, file.upload_time


def test_sizes_are_said_for_people() -> None:
    assert [size_text(size) for size in (0, 999, 1000, 812_499, 1_449_999_999, 2 * 10**12)] == [
        "0 bytes", "999 bytes", "1 kB", "812 kB", "1.4 GB", "2.0 TB"
    ]  # fmt: skip


def test_a_project_whose_every_version_was_taken_back_has_pages_without_files() -> None:
    (full,) = compose([accepted(make_manifest([fake(WHEEL)]))]).projects
    empty = replace(full, files=())
    html, in_json, legacy = project_pages(empty)
    assert LinkReader(html.data.decode()).links == []
    assert json.loads(in_json.data)["files"] == json.loads(in_json.data)["versions"] == []
    page = json.loads(legacy.data)
    assert (page["releases"], page["urls"], page["info"]["version"]) == ({}, [], None)
    for made, kind in ((html, "text/html"), (in_json, "application/vnd.pypi.simple.v1+json")):
        url = "https://index.example/simple/a/"
        assert parse_page(made.data, kind, url=url, project=empty.name, index="index").files == ()


def test_the_old_json_speaks_of_the_newest_version_that_a_plain_install_takes() -> None:
    def newest(*files: Any) -> dict[str, Any]:
        (served,) = compose([accepted(make_manifest(files))]).projects
        page: dict[str, Any] = json.loads(project_pages(served)[2].data)
        return page

    final, candidate = fake("a-1.0-py3-none-any.whl"), fake("a-2.0rc1-py3-none-any.whl")
    yanked = fake("a-3.0-py3-none-any.whl", yanked="broken")
    assert newest(final, candidate, yanked)["info"]["version"] == "1.0"
    assert newest(candidate, yanked)["info"]["version"] == "2.0rc1"
    info = newest(yanked, fake("a-3.0.tar.gz", yanked=""))["info"]
    assert (info["version"], info["yanked"], info["yanked_reason"]) == ("3.0", True, "broken")
    info = newest(fake("a-3.0.tar.gz", requires_dist=("b",), requires_python=">=3"), final)["info"]
    assert (info["requires_dist"], info["requires_python"], info["yanked"]) == (["b"], ">=3", False)
