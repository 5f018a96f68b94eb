"""Pages of another version mean the same; pages of a forger do not, whatever our own parser makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from pypimirror.tree.compose import compose
from pypimirror.tree.fidelity import same_meaning
from pypimirror.tree.layout import LANDING
from pypimirror.tree.lists import tree_pages
from tests.tree.example import example
from tests.tree.helpers import accepted

PAGES = {page.path: page.data for page in tree_pages(compose([accepted(example().manifest)]))}
HTML, JSON = next(
    (path, path.replace(".html", ".json"))
    for path, data in PAGES.items()
    if path.startswith("simple/") and b"data-core-metadata" in data and path.endswith(".html")
)
(ROW, *_) = re.findall(rb"<a href[^>]*>[^<]*</a>", PAGES[HTML])
EVIL = b'<a href="http://files.example/app-9-py3-none-any.whl">x</a>'


@pytest.mark.parametrize("path", [path for path in PAGES if path != LANDING])
def test_other_spaces_mean_the_same(path: str) -> None:
    page = PAGES[path]
    other = page + b"\n" if path.endswith("json") else page.replace(b"<body>", b"<body> ")
    assert other != page
    assert same_meaning(path, page, other)


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "a row more": lambda page: page.replace(ROW, ROW + EVIL),
    "after a comment that not all end alike": lambda page: page.replace(ROW, ROW + b"<!-- --!>" + EVIL + b"-->"),
    "in a script": lambda page: page.replace(ROW, ROW + b"<script>" + EVIL + b"</script>"),
    "in a text area": lambda page: page.replace(ROW, ROW + b"<textarea>" + EVIL + b"</textarea>"),
    "in the title": lambda page: page.replace(b"<title>", b"<title>" + EVIL),
    "one attribute twice": lambda page: page.replace(ROW, ROW.replace(b">", b' href="http://files.example/">', 1)),
    "the old metadata attribute": lambda page: page.replace(
        b" data-core", b' data-dist-info-metadata="true" data-core'
    ),
    "a script": lambda page: page.replace(b"</body>", b"<script>alert(1)</script></body>"),
    "a base": lambda page: page.replace(b"<head>", b'<head><base href="http://files.example/">'),
    "a refresh": lambda page: page.replace(b"<head>", b'<head><meta http-equiv="refresh" content="0">'),
    "another place that it tracks": lambda page: page.replace(
        b"<title>", b'<meta name="pypi:tracks" content="/simple/x/"><title>'
    ),
    "no hash": lambda page: re.sub(rb"#sha256=[0-9a-f]+", b"", page),
    "another encoding": lambda page: page.decode().encode("utf-16"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_page_does_not_mean_the_same(name: str) -> None:
    forged = FORGED[name](PAGES[HTML])
    assert forged != PAGES[HTML]
    assert not same_meaning(HTML, PAGES[HTML], forged)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"url":', b'"url":"http://files.example/x","url":'),
        (b'"core-metadata":', b'"dist-info-metadata":true,"core-metadata":'),
        (b'"meta":{', b'"meta":{"tracks":["x"],'),
        (b'"versions":[', b'"versions":["99",'),
    ],
)
def test_a_forged_json_page_does_not_mean_the_same(old: bytes, new: bytes) -> None:
    assert old in PAGES[JSON]
    assert not same_meaning(JSON, PAGES[JSON], PAGES[JSON].replace(old, new, 1))


def test_a_base_in_the_list_of_projects_is_none_of_ours() -> None:
    page = PAGES["simple/index.html"]
    assert not same_meaning(
        "simple/index.html", page, page.replace(b"<head>", b'<head><base href="http://files.example/">')
    )
