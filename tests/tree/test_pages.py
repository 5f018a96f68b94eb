"""The rules of a static tree, one by one: see the first paragraphs of ``pages`` for the standards behind them."""

# ruff: noqa: ANN401 - fields are passed on as they come

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from pypimirror.index.simple import parse_find_links, parse_page
from pypimirror.model.files import ListedFile
from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import label
from pypimirror.tree.compose import Composition, ServedProject, compose
from pypimirror.tree.pages import landing_page, packages_page, project_pages, root_pages, size_text, tree_pages
from tests.tree.example import SAMPLES, example
from tests.tree.helpers import LinkReader, accepted, fake, make_manifest, project

ELEMENTS = {"html", "head", "meta", "title", "body", "h1", "a", "br"}
ATTRIBUTES = {
    "charset", "name", "content", "href", "data-requires-python", "data-yanked", "data-core-metadata",
    "data-upload-time", "data-size",
}  # fmt: skip
WHEEL = "a-1.0-py3-none-any.whl"


def one_file(**attributes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """The link and the JSON row of one file."""
    filename = str(attributes.pop("filename", WHEEL))
    (served,) = compose([accepted(make_manifest([fake(filename, **attributes)]))]).projects
    html, in_json = project_pages(served)
    (link,) = LinkReader(html.data.decode()).links
    (row,) = json.loads(in_json.data)["files"]
    return link, row


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
    page = packages_page(small)
    assert page.path == "packages/index.html"
    rows = {link["text"]: link for link in LinkReader(page.data.decode()).links}
    left_out = {each.file.filename for each in SAMPLES} - rows.keys()
    assert left_out == {"yanked_thing-1.2-py3-none-any.whl"}
    pinned = rows["yanked_thing-1.1-py3-none-any.whl"]
    assert pinned["data-yanked"] == 'broken: "<b>" & co, use 1.2'
    assert pinned["href"].startswith("yanked_thing-1.1-py3-none-any.whl#sha256=")


def test_the_root_pages_name_every_project(small: Composition) -> None:
    html, in_json = root_pages(small)
    names = [each.name for each in small.projects]
    assert [(link["href"], link["text"]) for link in LinkReader(html.data.decode()).links] == [
        (f"{n}/", n) for n in names
    ]
    assert json.loads(in_json.data) == {"meta": {"api-version": "1.4"}, "projects": [{"name": n} for n in names]}


def test_the_landing_page_leads_only_inside_and_shows_what_is_there(small: Composition) -> None:
    text = landing_page(small).data.decode()
    hrefs = [link["href"] for link in LinkReader(text).links]
    assert all(re.fullmatch(r"(simple/([a-z0-9-]+/)?|packages/index\.html|manifest\.json)", href) for href in hrefs)
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
        html, in_json = project_pages(served)
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
        packages_page(small).data, "text/html", url="https://index.example/packages/index.html", index="index"
    )
    assert {row.url for row in rows if isinstance(row, ListedFile)} >= {
        "https://index.example/packages/epoch_thing-1%212.0-py3-none-any.whl"
    }


def _facts(file: ListedFile) -> tuple[object, ...]:
    assert file.url.startswith("https://index.example/packages/")
    return file.name.filename, file.sha256, file.size, file.requires_python, file.yanked, file.upload_time


def _expected(file: BundledFile) -> tuple[object, ...]:
    return file.filename, file.sha256, file.size, file.requires_python, file.yanked, file.upload_time


# ---- markup ---------------------------------------------------------------------------------------------------------

PIECES = [
    "<", ">", "&", '"', "'", "=", "/", "`", "\\", ";", "#", "]]>", "-->", "<!--", "<script>", "</script>", "</a>",
    "<img src=x onerror=alert(1)>", "javascript:", "&lt;", "&#39;", "&amp", "&#13;", "{{ 7*7 }}", "{% raw %}", "${x}",
    "\n", "\r", "\r\n", "\t", " ", "  ", "\x0b", "\x0c", "\x01", "\x1b[31m", "\x7f", "\x85", "\xa0", "\u2028", "\u202e",
    "\ufeff", "\ufffd", "\U0001f600", "\u00e9", "e\u0301",
    "</title>", "'><b>", '" onload="', "a", "1.0", "</body></html>",
]  # fmt: skip


def payloads(count: int) -> Iterator[str]:
    yield from PIECES
    generator = random.Random(20261121)  # noqa: S311 - a seed, so that a failure can be had again
    for _ in range(count - len(PIECES)):
        yield "".join(generator.choices(PIECES, k=generator.randint(1, 8)))


def test_five_hundred_payloads_of_markup_come_back_as_they_went_in() -> None:
    count = 0
    for text in payloads(500):
        file = replace(fake(WHEEL).file, requires_python=text, yanked=text, upload_time=text)
        served = ServedProject(name=project("a"), channel=label("default"), files=(file,), status=text, reason=text)
        composition = Composition(channels=(), bundles=(), projects=(served,), pinned=frozenset({file.filename}))
        html, in_json = project_pages(served)
        for page in (html, packages_page(composition), root_pages(composition)[0]):
            reader = LinkReader(page.data.decode())
            assert {element for element, _ in reader.elements} <= ELEMENTS
            assert {name for _, attributes in reader.elements for name in attributes} <= ATTRIBUTES
            # A raw carriage return would be read as a line feed by a browser, and by every HTML5 parser.
            assert b"\r" not in page.data
            for link in reader.links if page.path != "simple/index.html" else ():
                assert link["text"] == WHEEL
                assert [link[f"data-{key}"] for key in ("requires-python", "yanked", "upload-time")] == [text] * 3
        metas = {
            attributes.get("name"): attributes.get("content")
            for _, attributes in LinkReader(html.data.decode()).elements
        }
        assert metas["pypi:project-status"] == metas["pypi:project-status-reason"] == text
        row = json.loads(in_json.data)["files"][0]
        assert [row[key] for key in ("requires-python", "yanked", "upload-time")] == [text] * 3
        assert json.loads(in_json.data)["project-status"] == {"status": text, "reason": text}
        count += 1
    assert count == 500


def test_markup_in_a_bundle_does_not_reach_the_landing_page() -> None:
    plain = LinkReader(landing_page(compose([accepted(make_manifest([fake(WHEEL)]))])).data.decode())
    for text in payloads(100):
        manifest = make_manifest([fake(WHEEL)], statuses={"a": (text, text)})
        page = landing_page(compose([accepted(manifest)])).data.decode()
        reader = LinkReader(page)
        assert {element for element, _ in reader.elements} - {"span"} <= {element for element, _ in plain.elements}
        assert f'<span class="mark">{text}</span>' in unescape(page)


def test_sizes_are_said_for_people() -> None:
    assert [size_text(size) for size in (0, 999, 1000, 812_499, 1_449_999_999, 2 * 10**12)] == [
        "0 bytes", "999 bytes", "1 kB", "812 kB", "1.4 GB", "2.0 TB"
    ]  # fmt: skip
