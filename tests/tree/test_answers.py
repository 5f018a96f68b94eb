"""How paths are answered: the rules by themselves, and what our nginx settings and ``serve`` make of them, alike."""

from __future__ import annotations

import gzip
import http.client
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pypimirror.tree.answers import (
    HTML,
    HTML_PAGE,
    IMMUTABLE,
    JSON_PAGE,
    PAGE_POLICY,
    Asked,
    Unsatisfiable,
    byte_range,
    is_unchanged,
    landing_policy,
    negotiate,
    parse_target,
    representation,
)
from tests.tree.clients import Site, nginx, our_server, settings
from tests.tree.example import example
from tests.tree.helpers import NOW, bundle, fake, render

LATEST = "application/vnd.pypi.simple.latest+json"
GONE = Unsatisfiable.UNSATISFIABLE

# ---- negotiation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        ("text/html", HTML),
        ("text/*", HTML),
        ("application/*", JSON_PAGE),
        ("application/*;q=0.5, text/*", HTML),
        (JSON_PAGE, JSON_PAGE),
        (JSON_PAGE.upper(), JSON_PAGE),
        (LATEST, JSON_PAGE),
        (HTML_PAGE, HTML_PAGE),
        ("application/vnd.pypi.simple.latest+html", HTML_PAGE),
        (f"{JSON_PAGE}, {HTML_PAGE}; q=0.1, text/html; q=0.01", JSON_PAGE),  # pip
        (f"{JSON_PAGE}, {HTML_PAGE};q=0.2, text/html;q=0.01", JSON_PAGE),  # uv
        (f"{JSON_PAGE}, */*;q=0.1", JSON_PAGE),  # poetry
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", HTML),  # Firefox
        (f"text/html, {JSON_PAGE};q=0.9", HTML),
        (f"text/html, {JSON_PAGE}", JSON_PAGE),
        (f"{JSON_PAGE};q=0, text/html", HTML),
        (f"{JSON_PAGE}; q=0.000, */*", HTML),
        (f"{JSON_PAGE};charset=utf-8;q=0, text/html;q=0.1", HTML),
        (f"{JSON_PAGE};q=0", None),
        (f"{JSON_PAGE};q=2, text/html;q=0.1", HTML),
        (f"{JSON_PAGE};q=nan", None),
        ("application/json", None),
        ("application/vnd.pypi.simple.v2+json", None),
        (f"{JSON_PAGE}x", None),
        ("*/*;q=0", None),
        ("text/html;q=0, */*", HTML_PAGE),
        (",;=,;q=,", None),
    ],
)
def test_the_type_is_the_one_that_the_client_likes_best(accept: str | None, kind: str | None) -> None:
    assert negotiate(accept, json=True) == kind


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (JSON_PAGE, None),
        (f"{JSON_PAGE}, {HTML_PAGE}; q=0.1, text/html; q=0.01", HTML_PAGE),
        (f"{JSON_PAGE}, */*;q=0.1", HTML),
    ],
)
def test_without_a_json_page_the_client_gets_what_it_likes_next(accept: str, kind: str | None) -> None:
    assert negotiate(accept, json=False) == kind


# ---- targets, conditions, ranges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/", Asked((), folder=True)),
        ("/simple/a/", Asked(("simple", "a"), folder=True)),
        ("/simple/a?x=/../#y", Asked(("simple", "a"), folder=False)),
        ("/packages/a-1%2Bcpu.whl", Asked(("packages", "a-1+cpu.whl"), folder=False)),
        ("http://mirror:8080/simple/", Asked(("simple",), folder=True)),
        ("HTTP://[::1]/simple/", Asked(("simple",), folder=True)),
    ],
)
def test_a_target_is_the_steps_of_a_path(target: str, asked: Asked) -> None:
    assert parse_target(target) == asked


HIDDEN = [
    "/.pypimirror/lock", "/.pypimirror/", "/.pypimirror", "/%2epypimirror/lock", "/%2E%70ypimirror/lock",
    "/.PyPiMirror/lock", "/./.pypimirror/lock", "/simple/../.pypimirror/lock", "/simple/%2e%2e/.pypimirror/lock",
    "/simple/..%2f.pypimirror/lock", "//.pypimirror/lock", "/simple//.pypimirror/lock", "/.pypimirror%2flock",
    "/.pypimirror%5clock", "/.pypimirror/current/simple/plain-thing/", "/.pypimirror/current/manifest.json",
    "/packages/..%2f..%2fetc/passwd", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..%5c..%5cetc", "/simple/plain-thing/%00", "/index.html%00.txt", "/index.html%20", "/index.html%0a",
    "/x%0a/.pypimirror/lock", "/.git/config", "/.htaccess", "/packages/.hidden", "/%c0%ae%c0%ae/etc/passwd",
    "/etc/passwd", "/simple/plain-thing/.pypimirror/lock", "/packages/%252e%252e/index.html",
]  # fmt: skip


def test_what_no_tree_can_hold_is_no_target() -> None:
    for target in [*HIDDEN, "simple/", "", "*", "/a//b", "/simple//", "/caf%C3%A9", "/é", "file:///etc/passwd"]:
        asked = parse_target(target)
        assert asked is None or not {"..", ".", ""} & set(asked.steps), target
        assert asked is None or all(step[0].isalnum() and step.isascii() for step in asked.steps), target


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-0", range(1)),
        ("bytes=2-", range(2, 10)),
        ("bytes=2-99", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("Bytes = 3 - 4", range(3, 5)),
        ("bytes=10-", GONE),
        ("bytes=-0", GONE),
        (f"bytes={'9' * 39}-", GONE),
        ("bytes=4-3", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        (f"bytes={'9' * 5000}-", None),
        ("bytes=\u0661-", None),
    ],
)
def test_a_range_is_one_part_or_all_or_none(header: str | None, part: object) -> None:
    assert byte_range(header, 10) == part


def test_nothing_of_an_empty_file_can_be_asked_for() -> None:
    assert byte_range("bytes=0-", 0) is byte_range("bytes=-5", 0) is GONE


def test_a_tag_goes_before_a_time() -> None:
    known = {"tag": '"a"', "modified": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert is_unchanged('"b", W/"a"', None, **known)
    assert is_unchanged("*", None, **known)
    assert is_unchanged(None, known["modified"], **known)
    assert not is_unchanged('"b"', known["modified"], **known)
    assert not is_unchanged(None, "Fri, 02 Jan 1970 00:00:00 GMT", **known)
    assert not is_unchanged(None, None, **known)


def test_the_policy_of_the_landing_page_admits_its_script_and_no_other(tmp_path: Path) -> None:
    render(tmp_path / "tree", example())
    page = (tmp_path / "tree" / "index.html").read_text("utf-8")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']*)'", landing_policy()) == hashes
    assert len(hashes) == 1
    assert " on" not in re.sub(r">[^<]*<", "><", page.partition("<body>")[2])  # no handlers in attributes
    assert " style=" not in page
    assert "unsafe-inline" not in landing_policy().partition("script-src")[2]
    assert not re.search(r"(?:src|srcset|@import|url\()", page)


# ---- the same of every server ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def kind(self) -> str:
        return str(self.headers["Content-Type"])

    @property
    def vary(self) -> str:
        return ", ".join(self.headers.get_all("Vary", []))


@dataclass(frozen=True)
class Place:
    """A server, and how targets begin there."""

    site: Site
    tree: Path

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        where = urlsplit(self.site.url)
        connection = http.client.HTTPConnection(where.netloc, timeout=10)
        try:
            connection.putrequest(method, where.path.rstrip("/") + target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


PATHS = {"our nginx": "/", "our nginx at a path": "/o d.d/p\u00e4th/"}


@pytest.fixture(scope="module", params=["serve", *PATHS])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    tree = folder / 'odd; "tree" {\\t}\\'
    render(tree, example())
    (tree / "packages" / ".hidden").write_text("secret")
    (tree / ".htaccess").write_text("secret")
    (tree / "packages" / "folder").mkdir()
    with ExitStack() as stack:
        if request.param == "serve":
            site = stack.enter_context(our_server(tree))
        else:
            path = PATHS[request.param]
            quoted = path.replace(" ", "%20").replace("\u00e4", "%C3%A4")
            conf = partial(_conf, tree, path)
            site = stack.enter_context(nginx(folder, conf, path=quoted))
        yield Place(site, tree)


def _conf(tree: Path, path: str, port: int) -> str:
    return settings("nginx", "--tree", str(tree), "--url", f"http://localhost:{port}{path}")


WHEEL = "/packages/local_thing-2.4.0%2Bcpu-py3-none-any.whl"


@pytest.mark.parametrize(
    ("target", "kind", "caching", "policy"),
    [
        ("/", "text/html; charset=utf-8", "no-cache", landing_policy()),
        ("/index.html", "text/html; charset=utf-8", "no-cache", landing_policy()),
        ("/simple/", "text/html; charset=utf-8", "no-cache", PAGE_POLICY),
        ("/simple/index.html", "text/html; charset=utf-8", "no-cache", PAGE_POLICY),
        ("/simple/index.json", JSON_PAGE, "no-cache", PAGE_POLICY),
        ("/simple/odd-name/", "text/html; charset=utf-8", "no-cache", PAGE_POLICY),
        ("/simple/odd-name/index.html", "text/html; charset=utf-8", "no-cache", PAGE_POLICY),
        ("/simple/odd-name/index.json", JSON_PAGE, "no-cache", PAGE_POLICY),
        ("/packages/", "text/html; charset=utf-8", "no-cache", PAGE_POLICY),
        ("/packages/index.html", "text/html; charset=utf-8", "no-cache", PAGE_POLICY),
        ("/manifest.json", "application/json", "no-cache", PAGE_POLICY),
        (WHEEL, "application/octet-stream", IMMUTABLE, None),
        (WHEEL.replace("%2B", "+"), "application/octet-stream", IMMUTABLE, None),
        (f"{WHEEL}.metadata", "application/octet-stream", IMMUTABLE, None),
        ("/packages/from_source-0.1.zip", "application/octet-stream", IMMUTABLE, None),
        ("/packages/Odd.Name-1.0-py3-none-any.whl", "application/octet-stream", IMMUTABLE, None),
    ],
)
def test_every_path_has_its_headers(place: Place, target: str, kind: str, caching: str, policy: str | None) -> None:
    whole, head = place.ask(target, Accept="*/*", Accept_Encoding="gzip"), place.ask(target, "HEAD")
    assert (whole.status, head.status) == (200, 200)
    for answer in (whole, head):
        assert answer.kind == kind
        assert answer.headers["Cache-Control"] == caching
        assert answer.headers["Content-Security-Policy"] == policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["ETag"]
        assert answer.headers["Last-Modified"]
    assert head.body == b""
    plain = place.ask(target)
    assert len(plain.body) == int(head.headers["Content-Length"]) > 0
    if not target.endswith("/"):
        assert plain.body == (place.tree / target.lstrip("/").replace("%2B", "+")).read_bytes()
    if target.startswith("/packages/") and caching == IMMUTABLE:
        assert "Content-Encoding" not in whole.headers
        assert "Vary" not in whole.headers
    assert "Content-Length" not in whole.headers or len(whole.body) == int(whole.headers["Content-Length"])
    if whole.headers["Content-Encoding"]:
        assert gzip.decompress(whole.body) == plain.body


@pytest.mark.parametrize("page", ["/simple/", "/simple/plain-thing/"])
@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        (f"{JSON_PAGE}, {HTML_PAGE}; q=0.1, text/html; q=0.01", True),
        (f"{JSON_PAGE},{HTML_PAGE};q=0.2,text/html;q=0.01", True),
        (f"{JSON_PAGE}, */*;q=0.1", True),
        (LATEST, True),
        (JSON_PAGE.upper(), True),
        (f"{JSON_PAGE};q=0.001, text/html;q=0", True),
        (f"text/html;q=0.01,{JSON_PAGE} ; q=0.9", True),
        (f"{JSON_PAGE};q=0, text/html", False),
        (f"{JSON_PAGE} ; q=0.00 , text/html", False),
        (f"{JSON_PAGE}; charset=utf-8; q=0, text/html;q=0.9", False),
        (f"text/html, {JSON_PAGE}x", False),
        (f"text/html, x{JSON_PAGE}", False),
        ("*/*", False),
        ("text/html", False),
    ],
)
def test_every_server_negotiates_by_accept(place: Place, page: str, accept: str, *, is_json: bool) -> None:
    answer = place.ask(page, Accept=accept)
    assert answer.status == 200
    assert "Accept" in answer.vary.split(", ")
    assert answer.kind == (JSON_PAGE if is_json else "text/html; charset=utf-8")
    assert answer.body == (place.tree / page[1:] / f"index.{'json' if is_json else 'html'}").read_bytes()


def test_no_accept_at_all_means_html(place: Place) -> None:
    assert place.ask("/simple/").kind == "text/html; charset=utf-8"


@pytest.mark.parametrize("accept", ["*/*", JSON_PAGE])
@pytest.mark.parametrize("target", ["/", "/simple/", "/simple/odd-name/", "/packages/", "/manifest.json", WHEEL])
def test_what_the_client_has_is_not_sent_again(place: Place, target: str, accept: str) -> None:
    first = place.ask(target, Accept=accept)
    for condition in (
        {"If_None_Match": first.headers["ETag"]},
        {"If_None_Match": f'"x", W/{first.headers["ETag"]}'},
        {"If_Modified_Since": first.headers["Last-Modified"]},
    ):
        again = place.ask(target, Accept=accept, **condition)
        assert (again.status, again.body) == (304, b""), condition
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert again.vary == first.vary
    for condition in ({"If_None_Match": '"x"'}, {"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"}):
        assert place.ask(target, Accept=accept, **condition).status == 200


@pytest.mark.parametrize("target", HIDDEN)
def test_what_is_not_for_clients_is_not_found(place: Place, target: str) -> None:
    for method in ("GET", "HEAD"):
        answer = place.ask(target, method)
        assert answer.status in (400, 404), answer  # nginx: what leaves the root, or holds a NUL, is a bad request
        assert b"secret" not in answer.body
        assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "target",
    ["/nothing", "/simple/nothing/", "/simple/plain-thing/nothing.html", "/packages/nothing.whl", "/packages/folder",
     "/packages/folder/", "/simple/plain-thing/index.html/", "/simple/a/b/", "/locks/", "/manifest.json/"],
)  # fmt: skip
def test_what_is_not_there_is_not_found_and_never_listed(place: Place, target: str) -> None:
    answer = place.ask(target)
    assert answer.status == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")


@pytest.mark.parametrize("target", ["/simple", "/packages", "/simple/plain-thing"])
def test_a_folder_without_its_slash_leads_to_the_one_with_it(place: Place, target: str) -> None:
    answer = place.ask(target)
    assert answer.status == 301
    # Relative to the server: right behind a proxy, TLS, or a mapped port.
    assert answer.headers["Location"] == urlsplit(place.site.url).path.rstrip("/") + target + "/"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "ODD"])
def test_other_methods_are_refused(place: Place, method: str) -> None:
    for target in ("/", "/simple/", "/simple", "/nothing", WHEEL):
        assert place.ask(target, method, Content_Length="0").status == 405


@pytest.mark.parametrize(
    ("asked", "part"), [("bytes=0-3", slice(0, 4)), ("bytes=5-", slice(5, None)), ("bytes=-7", slice(-7, None))]
)
def test_a_part_of_a_file_can_be_asked_for(place: Place, asked: str, part: slice) -> None:
    whole = place.ask(WHEEL)
    answer = place.ask(WHEEL, Range=asked)
    assert answer.status == 206
    assert answer.body == whole.body[part]
    first, last = range(len(whole.body))[part][0], range(len(whole.body))[part][-1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.body)}"
    for tag in (whole.headers["ETag"], whole.headers["Last-Modified"]):
        assert place.ask(WHEEL, Range=asked, If_Range=tag).status == 206
    for tag in ('"other"', "Thu, 01 Jan 1970 00:00:00 GMT"):
        changed = place.ask(WHEEL, Range=asked, If_Range=tag)
        assert (changed.status, changed.body) == (200, whole.body)


def test_a_part_that_does_not_exist_is_refused(place: Place) -> None:
    answer = place.ask(WHEEL, Range="bytes=999999-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(place.ask(WHEEL).body)}"


def test_a_page_that_is_published_is_seen_at_once(place: Place) -> None:
    """Asked again with what the first answer told, as a client's cache does."""
    first = {kind: place.ask("/simple/plain-thing/", Accept=kind) for kind in (JSON_PAGE, HTML)}
    more = bundle(fake("plain_thing-9.0-py3-none-any.whl", b"more"), sequence=1_790_000_500, channel="more")
    try:
        render(place.tree, more, now=NOW, channels=None)
        render(place.tree, now=NOW, channels=["more"])  # the upper channel hides the project below
        for kind, old in first.items():
            conditions = {"If_None_Match": old.headers["ETag"], "If_Modified_Since": old.headers["Last-Modified"]}
            for headers in (conditions, {"If_Modified_Since": old.headers["Last-Modified"]}):
                new = place.ask("/simple/plain-thing/", Accept=kind, **headers)
                assert new.status == 200
                assert b"plain_thing-9.0" in new.body
                assert b"plain_thing-1.1" not in new.body
    finally:
        render(place.tree, now=NOW, channels=["default"])
    assert place.ask("/simple/plain-thing/").body == first[HTML].body


def test_where_a_json_page_is_missing_html_is_sent(place: Place) -> None:
    page = place.tree / "simple" / "epoch-thing" / "index.json"
    data = page.read_bytes()
    assert json.loads(data)["name"] == "epoch-thing"
    page.unlink()
    try:
        answer = place.ask("/simple/epoch-thing/", Accept=f"{JSON_PAGE}, {HTML_PAGE}; q=0.1, text/html; q=0.01")
    finally:
        page.write_bytes(data)
        page.chmod(0o644)
    assert answer.status == 200
    assert answer.kind in (HTML_PAGE, "text/html; charset=utf-8")
    assert b"<!DOCTYPE html>" in answer.body


def test_pages_of_text_that_a_bundle_brings_are_text() -> None:
    assert representation("README.txt").content_type == "text/plain; charset=utf-8"
    assert representation("locks/pylock.main.toml").content_type == "text/plain; charset=utf-8"
    assert representation("SHA256SUMS").content_type == "application/octet-stream"
    assert representation("packages/index.html").content_type == "text/html; charset=utf-8"
    assert representation("packages/evil.html").content_type == "application/octet-stream"


def test_provenance_and_the_old_json_have_types_of_their_own() -> None:
    of_file = representation("packages/a-1.0-py3-none-any.whl.0123456789abcdef.provenance")
    assert of_file.content_type == "application/vnd.pypi.integrity.v1+json"
    assert "immutable" in of_file.cache_control
    for path in ("pypi/a/json", "simple/a/json", "channels/in-house/simple/a/json"):
        assert (representation(path).content_type, representation(path).cache_control) == (
            "application/json",
            "no-cache",
        )
