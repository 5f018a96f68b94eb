"""What a bundle says in its own words stays words: in every page, for every parser, and it comes back as it went in."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pypimirror.index.simple import parse_find_links, parse_page
from pypimirror.model import manifest_json
from pypimirror.model.files import ListedFile
from pypimirror.model.manifest import BundledFile, BundledProject, Manifest, Sidecar, WrittenRequirement
from pypimirror.model.names import Sha256, label
from pypimirror.model.plan import Uncovered
from pypimirror.model.reading import Malformed
from pypimirror.model.targets import PatchRange
from pypimirror.tree.compose import ServedProject, compose
from pypimirror.tree.lists import Change, packages_page, root_pages, tree_pages
from pypimirror.tree.pages import project_pages
from tests.tree.helpers import TARGET, LinkReader, accepted, fake, make_manifest, project, sha256
from tests.worlds import served

ELEMENTS = {"html", "head", "meta", "title", "body", "h1", "a", "br"}
ATTRIBUTES = {
    "charset", "name", "content", "href", "data-requires-python", "data-yanked", "data-core-metadata",
    "data-provenance", "data-upload-time", "data-size",
}  # fmt: skip
WHEEL = "a-1.0-py3-none-any.whl"
COUNT = 500

PIECES = [
    "<", ">", "&", '"', "'", "=", "/", "`", "\\", ";", "#", "]]>", "-->", "<!--", "--!>", "<![CDATA[", "<script>",
    "</script>", "</a>", "<img src=x onerror=hit()>", "<svg/onload=hit()>", "<svg><script>hit()</script>",
    "javascript:hit()", "<a href=javascript:hit()>", "<iframe srcdoc='<script>hit()</script>'>",
    "<base href=//evil.example/>", "<meta http-equiv=refresh content=0;url=/hit>", "<link rel=stylesheet href=/hit>",
    "<style>@import '/hit';</style>",
    "<object data=/hit>", "<plaintext>", "<textarea>", "<noscript>", "<template>",
    "<math><mi//xlink:href='data:x,hit'>",
    "' autofocus onfocus=hit() x='", '" autofocus onfocus=hit() x="', "` onmouseover=hit() `", "<ScRiPt>hit()</sCrIpT>",
    "<scr<script>ipt>", "%3Cscript%3E", "\\u003cscript\\u003e", "&lt;script&gt;", "&#x3c;script&#x3e;", "&#60", "&lt",
    "&lt;", "&#39;", "&amp", "&amp;amp;", "&#13;", "&#10;", "&#0;", "&notin;", "&NewLine;", "{{ 7*7 }}", "{{7*7}}",
    "{% raw %}", "{% endraw %}", "{#", "#}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "<!--rows-->", "</a><br>\n",
    "\n", "\r", "\r\n", "\t", " ", "  ", "\x0b", "\x0c", "\x01", "\x1b[31m", "\x7f", "\x85", "\xa0", "\u2028", "\u2029",
    "\u202e", "\u2066", "\u200b", "\ufeff", "\ufffd", "\ufffe", "\U0001f600", "\U0010ffff", "\u00e9", "e\u0301",
    "</title>", "</style>", "'><b>", '" onload="', "a", "1.0", "</body></html>",
    "\xbcscript\xbe", "\u2039", "\uff1cscript\uff1e",
]  # fmt: skip


def payloads(count: int = COUNT) -> Iterator[str]:
    """The pieces, each by itself, then such as are put together of several."""
    assert len(PIECES) < count
    yield from PIECES
    dice = random.Random(20261121)  # noqa: S311 - a seed, so that a failure can be had again
    for _ in range(count - len(PIECES)):
        yield "".join(dice.choices(PIECES, k=dice.randint(2, 8)))


def alone(said: BundledProject, *files: BundledFile) -> ServedProject:
    return ServedProject(name=said.name, channel=label("default"), files=files, said=said)


# ---- strictly read ---------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"(?P<doctype><!DOCTYPE html>)|</(?P<end>[a-z0-9]+)>"
    r"|<(?P<start>[a-z0-9]+)(?P<attributes>(?: [a-z-]+=\"[^\"<>]*\")*)>|(?P<text>[^<>]+)"
)
_PAIR = re.compile(r' ([a-z-]+)="([^"]*)"')
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|#[0-9]{2});")


def strictly(text: str) -> list[tuple[str, dict[str, str]]]:
    """The elements of a page in which nothing stands that two parsers could read in two ways."""
    found, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        assert token is not None, text[position : position + 200]
        position = token.end()
        pairs = _PAIR.findall(token["attributes"] or "")
        assert len(pairs) == len(dict(pairs))
        for value in (token["text"] or "", *(value for _, value in pairs)):
            assert "&" not in _REFERENCE.sub("", value), value
        if token["start"]:
            found.append((token["start"], {key: unescape(value) for key, value in pairs}))
    return found


def assert_plain(data: bytes) -> LinkReader:
    """Two parsers, the strict one and the standard library's, see the same few elements with the same attributes."""
    text = data.decode("utf-8")
    reader, strict = LinkReader(text), strictly(text)
    assert {element for element, _ in strict} <= ELEMENTS
    assert {name for _, attributes in strict for name in attributes} <= ATTRIBUTES
    assert strict == reader.elements
    # A raw carriage return would be read as a line feed by a browser, and by every HTML5 parser.
    assert b"\r" not in data
    return reader


def test_payloads_in_every_field_of_a_file_and_a_project_come_back_as_they_went_in() -> None:
    for text in payloads():
        file = replace(fake(WHEEL).file, requires_python=text, yanked=text, upload_time=text, index=text)
        said = BundledProject(name=project("a"), status=text, reason=text, tracks=(text,), alternate_locations=(text,))
        served = replace(alone(said, file), pinned=frozenset({file.filename}))
        html, in_json, legacy = project_pages(served)
        for page in (html, packages_page(Change(added=[served]))):
            (link,) = assert_plain(page.data).links
            assert link["text"] == WHEEL
            assert [link[f"data-{key}"] for key in ("requires-python", "yanked", "upload-time")] == [text] * 3
        metas = [attributes for _, attributes in LinkReader(html.data.decode()).elements if "name" in attributes]
        assert [meta["content"] for meta in metas] == ["1.4", *[text] * 4]
        page = json.loads(in_json.data)
        assert [page["files"][0][key] for key in ("requires-python", "yanked", "upload-time")] == [text] * 3
        assert page["project-status"] == {"status": text, "reason": text}
        assert page["meta"]["tracks"] == page["alternate-locations"] == [text]
        (row,) = json.loads(legacy.data)["urls"]
        assert [row[key] for key in ("requires_python", "yanked_reason", "upload_time_iso_8601")] == [text] * 3
        for each in (in_json, legacy):
            assert each.data.isascii()
            assert b"\n" not in each.data[:-1]


def test_json_pages_are_canonical_though_their_rows_are_made_by_hand() -> None:
    for seed in range(50):
        made = anything(random.Random(seed))  # noqa: S311 - a test's dice
        _, in_json, _ = project_pages(made)
        canonical = json.dumps(json.loads(in_json.data), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert in_json.data == canonical.encode() + b"\n"


# ---- the landing page ------------------------------------------------------------------------------------------------


def landing(manifest: Manifest) -> str:
    (page,) = (page for page in tree_pages(compose([accepted(manifest)])) if page.path == "index.html")
    return page.data.decode()


def loud(text: str) -> Manifest:
    """A manifest with *text* wherever people see something on the landing page; not all of it would pass the gate."""
    manifest = make_manifest([fake(WHEEL)])
    said = (replace(manifest.projects[0], status=text, reason=text),)
    wishes = replace(manifest.sets[0], roots=(WrittenRequirement(requirement=text, origin=text),))
    gap = Uncovered(set=wishes.name, target=TARGET.name, patches=PatchRange(), reason=text)
    return replace(manifest, sets=(wishes,), uncovered=(gap,), tool=text, projects=said)


def test_payloads_on_the_landing_page_stay_text() -> None:
    quiet = LinkReader(landing(loud("x")))
    for text in payloads():
        page = landing(loud(text))
        reader = LinkReader(page)
        assert reader.elements == quiet.elements, text
        shown = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
        strictly(shown)
        assert unescape(re.sub("<[^<>]*>", "", shown)).count(text) >= 3, text


# ---- the gate --------------------------------------------------------------------------------------------------------

FIELDS: dict[str, Callable[[Manifest, str], Manifest]] = {
    "yanked": lambda m, text: replace(m, files=(replace(m.files[0], yanked=text),)),
    "requires_python": lambda m, text: replace(m, files=(replace(m.files[0], requires_python=text),)),
    "upload_time": lambda m, text: replace(m, files=(replace(m.files[0], upload_time=text),)),
    "index": lambda m, text: replace(m, files=(replace(m.files[0], index=text),)),
    "requires_dist": lambda m, text: replace(m, files=(replace(m.files[0], requires_dist=(text,)),)),
    "status": lambda m, text: replace(m, projects=(replace(m.projects[0], status=text),)),
    "reason": lambda m, text: replace(m, projects=(replace(m.projects[0], reason=text),)),
    "tracks": lambda m, text: replace(m, projects=(replace(m.projects[0], tracks=(text,)),)),
    "alternate_locations": lambda m, text: replace(m, projects=(replace(m.projects[0], alternate_locations=(text,)),)),
    "tool": lambda m, text: replace(m, tool=text),
    "root": lambda m, text: replace(
        m, sets=(replace(m.sets[0], roots=(WrittenRequirement(requirement=text, origin="x"),)),)
    ),
    "origin": lambda m, text: replace(
        m, sets=(replace(m.sets[0], roots=(WrittenRequirement(requirement="a", origin=text),)),)
    ),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\udfff x", "\udc80<script>"])
def test_what_is_no_text_is_refused_at_the_gate(field: str, text: str) -> None:
    with pytest.raises(Malformed):
        manifest_json.parse(manifest_json.dump(FIELDS[field](make_manifest([fake(WHEEL)]), text)))


@pytest.mark.parametrize("field", ["tracks", "alternate_locations"])
def test_an_address_is_published_only_if_it_is_a_plain_one(field: str) -> None:
    manifest = make_manifest([fake(WHEEL)])
    secret = ["https://u:p@index.example/a/", "https://index.example/a/?token=x", "https://index.example/a/#x", "/a/"]
    for text in [*payloads(), *secret, "ftp://index.example/", "javascript://index.example/%0ahit()", "https://"]:
        with pytest.raises(Malformed):
            manifest_json.parse(manifest_json.dump(FIELDS[field](manifest, text)))
    for text in ("https://index.example/simple/a/", "http://[::1]:8080/a/", "https://index.example/it's&so/"):
        made = FIELDS[field](manifest, text)
        assert manifest_json.parse(manifest_json.dump(made)) == made


# ---- there and back --------------------------------------------------------------------------------------------------

SPELLINGS = [
    "1.0",
    "1.0.0",
    "01.1",
    "1!2.0",
    "2.4.0+cpu",
    "1.0a1",
    "1.0.post1",
    "2.0.dev3",
    "1.0rc2",
    "0",
    "2026.11.22",
]
ENDS = ["-py3-none-any.whl", "-1b-py2.py3-none-any.whl", "-cp312-cp312-manylinux_2_17_x86_64.whl", ".tar.gz", ".zip"]
PYTHONS = [None, ">=3.8", ">=3.8,<4,!=3.9.*", "~=3.10", "==3.*", ">= 3.6, < 4", "<3 , >=2.7"]
TIMES = [None, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901Z", "1999-12-31T23:59:59.9Z"]
PLACES = ["https://index.example/simple/a/", "http://127.0.0.1:8000/a/", "https://other.example/it's&so(1)/a/"]


def some_text(dice: random.Random) -> str:
    return "".join(dice.choices(PIECES, k=dice.randint(0, 6))).strip()


def anything(dice: random.Random, letter: str = "a") -> ServedProject:
    """A project about which everything is drawn at random."""
    names = {
        f"{dice.choice([letter, letter.upper()])}-{dice.choice(SPELLINGS)}{dice.choice(ENDS)}"
        for _ in range(dice.randint(0, 12))
    }
    files = []
    for name in sorted(names, key=str.casefold):
        side = [Sidecar(sha256=sha256(dice.randbytes(4)), size=dice.randrange(10**6)) for _ in range(2)]
        files.append(
            replace(
                fake(name).file,
                sha256=Sha256(dice.randbytes(32).hex()),
                size=dice.choice([0, 1, 10**6, 2**40]),
                requires_python=dice.choice(PYTHONS),
                yanked=dice.choice([None, None, "", some_text(dice)]),
                upload_time=dice.choice(TIMES),
                metadata=dice.choice([None, side[0]]),
                provenance=dice.choice([None, side[1]]),
            )
        )
    said = BundledProject(
        name=project(letter),
        status=dice.choice(["active", "archived", "quarantined", "deprecated"]),
        reason=dice.choice(["", some_text(dice)]),
        tracks=tuple(dice.sample(PLACES, dice.randrange(3))),
        alternate_locations=tuple(dice.sample(PLACES, dice.randrange(3))),
    )
    return alone(said, *sorted(files, key=lambda file: (file.version, file.filename)))


def all_pinned(served: ServedProject) -> ServedProject:
    """So that every file is listed, yanked or not."""
    return replace(served, pinned=frozenset(file.filename for file in served.files))


def as_read(file: ListedFile) -> dict[str, object]:
    return {
        "filename": file.name.filename,
        "url": file.url,
        "hashes": file.hashes,
        "size": file.size,
        "requires_python": file.requires_python,
        "yanked": file.yanked,
        "core_metadata": file.core_metadata,
        "upload_time": file.upload_time,
        "provenance": file.provenance,
    }


def as_made(file: BundledFile, base: str) -> dict[str, object]:
    def address(path: str) -> str:
        return f"{base}/{path}".replace("+", "%2B").replace("!", "%21")

    return {
        "filename": file.filename,
        "url": address(file.path),
        "hashes": (("sha256", file.sha256),),
        "size": file.size,
        "requires_python": file.requires_python,
        "yanked": file.yanked,
        "core_metadata": None if file.metadata is None else (("sha256", file.metadata.sha256),),
        "upload_time": file.upload_time,
        "provenance": None if file.provenance is None else address(file.provenance_path),
    }


@pytest.mark.parametrize("base", ["https://index.example/deep", "file:///srv/tree"])
def test_our_own_reader_reads_back_all_that_was_written_whatever_it_is(base: str) -> None:
    for seed in range(200):
        made = anything(random.Random(seed))  # noqa: S311 - a test's dice
        html, in_json, _ = project_pages(made)
        for page, kind in ((html, "text/html"), (in_json, "application/vnd.pypi.simple.v1+json")):
            url = f"{base}/simple/a/"
            listing = parse_page(page.data, kind, url=url, project=made.name, index="index")
            assert [as_read(file) for file in listing.files] == [as_made(file, base) for file in made.files], seed
            assert listing.rejected == ()
            status = listing.status
            assert (status.status, status.reason) == (made.status, made.reason), seed
            assert (status.tracks, status.alternate_locations) == (made.said.tracks, made.said.alternate_locations)
        page = packages_page(Change(added=[all_pinned(made)]))
        rows = parse_find_links(page.data, "text/html", url=f"{base}/packages/index.html", index="index")
        found = {row.name.filename: as_read(row) for row in rows if isinstance(row, ListedFile)}
        assert found == {file.filename: as_made(file, base) for file in made.files}, seed


def test_a_page_of_all_files_that_is_mended_is_the_one_that_is_made_anew() -> None:
    for seed in range(30):
        dice = random.Random(seed)  # noqa: S311 - a test's dice
        stays, before, after = (all_pinned(anything(dice, letter)) for letter in "baa")
        old = packages_page(Change(added=[before, stays]))
        mended = packages_page(Change(added=[after], dropped=[before], old={old.path: old.data}))
        assert mended == packages_page(Change(added=[after, stays])), seed


# ---- a browser -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_script_runs_in_a_browser_and_no_request_leaves(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium here")
    site = tmp_path / "site"
    files = [
        replace(fake(f"a-{number}.0-py3-none-any.whl").file, yanked=text, requires_python=text, upload_time=text)
        for number, text in enumerate(payloads())
    ]
    said = BundledProject(name=project("a"), status="archived", reason="".join(payloads(200)))
    served_project = replace(alone(said, *files), pinned=frozenset(file.filename for file in files))
    pages = [*project_pages(served_project), packages_page(Change(added=[served_project])), *root_pages([project("a")])]
    for page in pages:
        (site / page.path).parent.mkdir(parents=True, exist_ok=True)
        (site / page.path).write_bytes(page.data)
    (site / "index.html").write_text(landing(loud("".join(payloads()))), encoding="utf-8", newline="")
    asked: list[str] = []
    with served(site) as url:
        for path in ("simple/a/", "packages/index.html", "index.html"):
            dom = _dom(chromium, f"{url}/{path}", tmp_path, asked)
            reader = LinkReader(dom)
            own = (
                {element for element, _ in LinkReader((site / path).read_text(encoding="utf-8")).elements}
                if (path == "index.html")
                else ELEMENTS
            )
            assert {element for element, _ in reader.elements} <= own | {"tbody"}, path
            assert not [name for _, names in reader.elements for name in names if name.startswith("on")], path
            if path != "index.html":
                assert [link["data-yanked"] for link in by_number(reader)] == list(payloads())
    assert asked
    assert [each for each in asked if "hit" in each or "evil" in each] == []


def by_number(reader: LinkReader) -> list[dict[str, str]]:
    return sorted(reader.links, key=lambda link: int(link["text"].split("-")[1].partition(".")[0]))


def _dom(chromium: str, url: str, folder: Path, asked: list[str]) -> str:
    """What a browser makes of a page, scripts allowed. Every request that it makes is noted."""
    log = folder / "net.json"
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
        "--no-first-run", "--disable-background-networking", f"--log-net-log={log}", "--virtual-time-budget=3000",
        "--dump-dom", url,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, timeout=120, check=True)
    asked += re.findall(r'"url":"([^"]*)"', log.read_text(encoding="utf-8", errors="replace"))
    return ran.stdout.decode("utf-8", "replace")


def test_anything_at_all_is_in_what_is_drawn() -> None:
    """Else the tests above would prove less than they say."""
    drawn = [anything(random.Random(seed)) for seed in range(200)]  # noqa: S311 - a test's dice
    files = [file for made in drawn for file in made.files]
    kinds: dict[str, Callable[[Any], bool]] = {
        "no file": lambda _: any(not made.files for made in drawn),
        "reason": lambda file: bool(file.yanked and "<" in file.yanked),
        "yanked": lambda file: file.yanked == "",
        "no time": lambda file: file.upload_time is None,
        "both": lambda file: file.metadata is not None and file.provenance is not None,
        "local": lambda file: "+" in file.filename,
        "epoch": lambda file: "!" in file.filename,
    }
    for name, test in kinds.items():
        assert any(map(test, files)), name
    assert any(made.said.tracks and made.said.alternate_locations and made.reason for made in drawn)
