"""The rules that make a static tree work for every client, each by its number, over a tree that our own code rendered.

The numbers and the reasons: a renderer that breaks one of them breaks a client that people use, often just one, and
often only for the one project in a hundred whose name holds a ``+``. After the rules come the findings beside them.
"""

from __future__ import annotations

import gzip
import json
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest

from pypimirror.disk import StrPath
from pypimirror.errors import PolicyFault
from pypimirror.tree.lists import bundle_members
from pypimirror.tree.revise import Edit
from tests.tree.example import LOCATIONS, SAMPLES, STATUSES, example
from tests.tree.helpers import (
    NOW,
    LinkReader,
    MemoryBundle,
    QuickDisk,
    Sample,
    bundle,
    fake,
    links,
    make_manifest,
    render,
    sha256,
    wheel,
)

EACH = ["linked", "plain"]
FILES: Mapping[str, Sample] = {each.file.filename: each for each in SAMPLES}
PROJECTS = sorted({str(each.file.project) for each in SAMPLES})
SECOND = 1_790_000_100


def second(*more: Sample) -> MemoryBundle:
    """What the next month brings to the same channel."""
    return bundle(*more, sequence=SECOND)


@pytest.fixture(scope="module", params=EACH)
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the example, in which every field says something; looked at, never changed."""
    path = tmp_path_factory.mktemp("rules") / "tree"
    render(path, example(), plain=request.param == "plain")
    return path


def pages(tree: Path) -> Iterator[tuple[str, bytes]]:
    """Every page that a client can ask for, by path."""
    for path in ("index.html", "packages/index.html", "simple/index.html", "simple/index.json"):
        yield path, (tree / path).read_bytes()
    for project in PROJECTS:
        for path in (f"simple/{project}/index.html", f"simple/{project}/index.json", f"pypi/{project}/json"):
            yield path, (tree / path).read_bytes()


def html_rows(tree: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The project and the link of every file that pages of projects list."""
    for project in PROJECTS:
        for link in links(tree / f"simple/{project}/index.html"):
            yield project, link


def json_rows(tree: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for project in PROJECTS:
        for row in json.loads((tree / f"simple/{project}/index.json").read_bytes())["files"]:
            yield project, row


def reached(tree: Path, base: str, href: str) -> Path:
    """The file that a client gets which follows *href* on the page below *base*."""
    url = urldefrag(urljoin(f"http://host/deep/{base}", href)).url
    assert url.startswith("http://host/deep/"), href
    return tree / unquote(url.removeprefix("http://host/deep/"))


# ---- what the renderer must do ---------------------------------------------------------------------------------------


def test_rule_1_pages_begin_with_the_doctype_and_links_are_relative_with_a_hash(tree: Path) -> None:
    for path, data in pages(tree):
        if path.endswith(".html"):
            assert data.startswith(b"<!DOCTYPE html>\n"), path
    seen = set()
    for project, link in html_rows(tree):
        sample = FILES[link["text"]]
        href, fragment = urldefrag(link["href"])
        assert href.startswith("../../packages/")
        assert fragment == f"sha256={sample.file.sha256}"
        assert reached(tree, f"simple/{project}/", link["href"]).read_bytes() == sample.data
        seen.add(link["text"])
    assert seen == FILES.keys()
    for project, row in json_rows(tree):
        assert row["url"].startswith("../../packages/")
        assert reached(tree, f"simple/{project}/", row["url"]).read_bytes() == FILES[row["filename"]].data


def test_rule_1_attributes_are_escaped(tree: Path) -> None:
    page = (tree / "simple/yanked-thing/index.html").read_bytes()
    assert b'data-yanked="broken: &#34;&lt;b&gt;&#34; &amp; co, use 1.2"' in page
    assert b"<b>" not in page


def test_rule_2_addresses_are_percent_encoded_and_names_on_disk_are_not(tree: Path) -> None:
    addresses = [link["href"] for _, link in html_rows(tree)] + [row["url"] for _, row in json_rows(tree)]
    addresses += [link["href"] for link in links(tree / "packages/index.html")]
    addresses += [link["data-provenance"] for _, link in html_rows(tree) if "data-provenance" in link]
    assert all(re.fullmatch(r"[A-Za-z0-9._~/%#=-]*", each) for each in addresses)
    assert sum("%2Bcpu" in each for each in addresses) == 4
    assert sum("%212.0" in each for each in addresses) == 3
    assert (tree / "packages/local_thing-2.4.0+cpu-py3-none-any.whl").is_file()
    assert (tree / "packages/epoch_thing-1!2.0-py3-none-any.whl").is_file()
    assert not list((tree / "packages").glob("*%*"))


def test_rule_3_metadata_is_advertised_under_its_new_name_only(tree: Path) -> None:
    for path, data in pages(tree):
        assert b"dist-info-metadata" not in data, path
    assert sum("data-core-metadata" in link for _, link in html_rows(tree)) == 11
    assert all(isinstance(row["core-metadata"], dict) for _, row in json_rows(tree) if "core-metadata" in row)


def test_rule_4_what_is_advertised_beside_a_file_stands_there_byte_for_byte(tree: Path) -> None:
    promised = 0
    for project, link in html_rows(tree):
        file = reached(tree, f"simple/{project}/", link["href"])
        sibling = file.with_name(f"{file.name}.metadata")
        assert ("data-core-metadata" in link) == sibling.is_file() == link["text"].endswith(".whl")
        if sibling.is_file():
            assert link["data-core-metadata"] == f"sha256={sha256(sibling.read_bytes())}"
            promised += 1
    assert promised == 11
    for _, row in json_rows(tree):
        sample = FILES[row["filename"]]
        assert row.get("core-metadata") == (sample.metadata and {"sha256": sha256(sample.metadata)})


class Watched(QuickDisk):
    """A disk that remembers what was given its final name, in order."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.named: list[str] = []

    def rename(self, source: StrPath, target: StrPath) -> None:
        super().rename(source, target)
        self.named.append(Path(target).relative_to(self.tree).as_posix())


@pytest.mark.parametrize("kind", EACH)
def test_rule_4_files_come_first_and_pages_last(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tree"
    render(path, example(), plain=kind == "plain")
    disk = Watched(path)
    more = [wheel("plain-thing", "1.2"), wheel("new-thing", "1.0", requires_dist=())]
    render(path, second(*more), plain=kind == "plain", disk=disk)
    files = [i for i, name in enumerate(disk.named) if re.fullmatch(r"packages/.*\.(whl|metadata)", name)]
    seen = [i for i, name in enumerate(disk.named) if name.endswith("/current") or re.search(r"^simple/.*index", name)]
    assert len(files) == 4
    assert seen
    assert max(files) < min(seen)


def test_rule_5_yanked_without_a_reason_is_an_empty_attribute_and_true(tree: Path) -> None:
    yanked = {link["text"]: link["data-yanked"] for _, link in html_rows(tree) if "data-yanked" in link}
    reason = 'broken: "<b>" & co, use 1.2'
    assert yanked == {"yanked_thing-1.1-py3-none-any.whl": reason, "yanked_thing-1.2-py3-none-any.whl": ""}
    assert b' data-yanked=""' in (tree / "simple/yanked-thing/index.html").read_bytes()
    assert {row["filename"]: row["yanked"] for _, row in json_rows(tree) if "yanked" in row} == {
        "yanked_thing-1.1-py3-none-any.whl": reason,
        "yanked_thing-1.2-py3-none-any.whl": True,
    }


def test_rule_6_requires_python_stands_in_every_page_as_the_index_has_it(tree: Path) -> None:
    said = {name: each.file.requires_python for name, each in FILES.items()}
    assert sum(each is not None for each in said.values()) == 3
    assert {link["text"]: link.get("data-requires-python") for _, link in html_rows(tree)} == said
    assert {row["filename"]: row.get("requires-python") for _, row in json_rows(tree)} == said
    for link in links(tree / "packages/index.html"):
        assert link.get("data-requires-python") == said[link["text"]]


def test_rule_7_upload_time_size_and_versions_are_told(tree: Path) -> None:
    for _, link in html_rows(tree):
        file = FILES[link["text"]].file
        assert (link.get("data-upload-time"), link["data-size"]) == (file.upload_time, str(file.size))
    for _, row in json_rows(tree):
        file = FILES[row["filename"]].file
        assert (row.get("upload-time"), row["size"]) == (file.upload_time, file.size)
        assert "upload-time" not in row or row["upload-time"] is not None
    for project in PROJECTS:
        said = json.loads((tree / f"simple/{project}/index.json").read_bytes())["versions"]
        assert sorted(said) == sorted({str(e.file.version) for e in SAMPLES if e.file.project == project})


def test_rule_8_the_page_of_all_files_has_every_attribute_and_no_yanked_file_but_a_pinned_one(tree: Path) -> None:
    listed = {link["text"]: link for link in links(tree / "packages/index.html")}
    assert FILES.keys() - listed.keys() == {"yanked_thing-1.2-py3-none-any.whl"}
    of_projects = {link["text"]: link for _, link in html_rows(tree)}
    for name, link in listed.items():
        assert reached(tree, "packages/", link["href"]).read_bytes() == FILES[name].data
        there = {key: value.replace("../../packages/", "") for key, value in of_projects[name].items()}
        assert link == there


@pytest.mark.parametrize("kind", EACH)
def test_rule_9_bytes_never_change_under_one_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tree"
    render(path, example(), plain=kind == "plain")
    name = "plain_thing-1.0-py3-none-any.whl"
    before = (path / "packages" / name).read_bytes()
    with pytest.raises(PolicyFault) as caught:
        render(path, second(fake(name, b"other bytes")), plain=kind == "plain")
    assert caught.value.code == "two-contents"
    assert (path / "packages" / name).read_bytes() == before


@pytest.mark.parametrize("kind", EACH)
def test_rule_10_a_changed_page_has_a_new_time(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tree"
    render(path, example(), plain=kind == "plain", now=NOW)
    changed = ["simple/plain-thing/index.html", "simple/plain-thing/index.json", "pypi/plain-thing/json"]
    same = "simple/local-thing/index.html"
    before = {each: (path / each).stat().st_mtime for each in [*changed, same, "simple/index.html", "index.html"]}
    render(path, second(wheel("plain-thing", "1.2")), plain=kind == "plain", now=NOW - 1000)  # a clock set back
    for each in [*changed, "index.html"]:
        assert (path / each).stat().st_mtime > before[each], each
    assert (path / same).stat().st_mtime == before[same]


@pytest.mark.parametrize("kind", EACH)
def test_rule_11_compressed_twins_change_and_go_with_their_pages(kind: str, tmp_path: Path) -> None:
    path, plain = tmp_path / "tree", kind == "plain"
    render(path, example(), plain=plain)
    render(path, plain=plain, edit=Edit(gzip=True))
    page, twin = path / "simple/plain-thing/index.html", path / "simple/plain-thing/index.html.gz"
    old = page.read_bytes()
    assert gzip.decompress(twin.read_bytes()) == old
    render(path, second(wheel("plain-thing", "1.2")), plain=plain)
    assert page.read_bytes() != old
    assert gzip.decompress(twin.read_bytes()) == page.read_bytes()
    assert_no_twin_is_stale(path)
    render(path, plain=plain, edit=Edit(gzip=False))
    render(path, bundle(wheel("plain-thing", "1.3"), sequence=SECOND + 1), plain=plain)
    assert_no_twin_is_stale(path)
    assert not twin.exists()


def assert_no_twin_is_stale(tree: Path) -> None:
    for folder in ("", "packages", "simple", *(f"{index}/{name}" for index in ("simple", "pypi") for name in PROJECTS)):
        for twin in (tree / folder).glob("*.gz"):
            if twin.name.endswith((".html.gz", ".json.gz")):
                assert gzip.decompress(twin.read_bytes()) == twin.with_suffix("").read_bytes(), twin


# ---- what was found beside the rules ---------------------------------------------------------------------------------


def test_one_anchor_stands_for_each_file_and_its_text_is_the_name(tree: Path) -> None:
    for project, link in html_rows(tree):
        assert reached(tree, f"simple/{project}/", link["href"]).name == link["text"]
    assert len([link for _, link in html_rows(tree)]) == len(SAMPLES)


def test_no_page_names_another_host_but_where_a_project_itself_says_so(tree: Path) -> None:
    allowed = {address for tracks, others in LOCATIONS.values() for address in (*tracks, *others)}
    for path, data in pages(tree):
        text = data.decode()
        if path == "index.html":
            continue  # it is for people, and shows what to type
        for address in allowed:
            text = text.replace(address.replace("&", "&amp;"), "").replace(address, "")
        assert "//" not in text, path
        assert "<base" not in text, path


def test_both_pages_of_a_project_say_the_same_in_the_same_order(tree: Path) -> None:
    for project in PROJECTS:
        rows = [row for name, row in json_rows(tree) if name == project]
        anchors = [link for name, link in html_rows(tree) if name == project]
        assert [row["filename"] for row in rows] == [link["text"] for link in anchors]
        assert [f"{row['url']}#sha256={row['hashes']['sha256']}" for row in rows] == [link["href"] for link in anchors]
        assert [row.get("provenance") for row in rows] == [link.get("data-provenance") for link in anchors]


def test_provenance_stands_where_pages_say_under_a_name_with_its_digest(tree: Path) -> None:
    seen = 0
    for project, row in json_rows(tree):
        sample = FILES[row["filename"]]
        assert ("provenance" in row) == (sample.provenance is not None)
        if sample.provenance is not None:
            file = reached(tree, f"simple/{project}/", row["provenance"])
            assert file.name == f"{row['filename']}.{sha256(sample.provenance)[:16]}.provenance"
            assert file.read_bytes() == sample.provenance
            seen += 1
    assert seen == 2


def test_status_and_reason_stand_in_both_pages(tree: Path) -> None:
    for project in PROJECTS:
        status, reason = STATUSES.get(project, ("active", ""))
        said = json.loads((tree / f"simple/{project}/index.json").read_bytes())["project-status"]
        assert said == ({"status": status, "reason": reason} if reason else {"status": status})
        metas = LinkReader((tree / f"simple/{project}/index.html").read_text(encoding="utf-8")).elements
        named = {meta.get("name"): meta.get("content") for tag, meta in metas if tag == "meta"}
        assert named.get("pypi:project-status", "active") == status
        assert named.get("pypi:project-status-reason", "") == reason


def test_what_a_project_tracks_and_where_else_it_stands_is_passed_on(tree: Path) -> None:
    for project in PROJECTS:
        tracks, others = LOCATIONS.get(project, ((), ()))
        page = json.loads((tree / f"simple/{project}/index.json").read_bytes())
        assert tuple(page["meta"].get("tracks", ())) == tracks
        assert tuple(page.get("alternate-locations", ())) == others
        metas = LinkReader((tree / f"simple/{project}/index.html").read_text(encoding="utf-8")).elements
        said = [(meta.get("name"), meta.get("content")) for tag, meta in metas if tag == "meta"]
        assert tuple(content for name, content in said if name == "pypi:tracks") == tracks
        assert tuple(content for name, content in said if name == "pypi:alternate-locations") == others


def test_every_page_says_the_version_that_has_all_that_is_in_it(tree: Path) -> None:
    for path, data in pages(tree):
        if path.startswith("simple/") and path.endswith(".json"):
            assert json.loads(data)["meta"]["api-version"] == "1.4", path
        elif path.startswith(("simple/", "packages/")):
            assert data.count(b'<meta name="pypi:repository-version" content="1.4">') == 1, path


def test_the_old_json_lists_every_file_by_version_and_the_newest_that_can_be_taken(tree: Path) -> None:
    for project in PROJECTS:
        page = json.loads((tree / f"pypi/{project}/json").read_bytes())
        files = [each.file for each in SAMPLES if each.file.project == project]
        assert {row["filename"] for rows in page["releases"].values() for row in rows} == {f.filename for f in files}
        for version, rows in page["releases"].items():
            for row in rows:
                file = FILES[row["filename"]].file
                assert (str(file.version), row["digests"]) == (version, {"sha256": file.sha256})
                assert (row["size"], row["requires_python"]) == (file.size, file.requires_python)
                assert (row["upload_time_iso_8601"], row["yanked"]) == (file.upload_time, file.yanked is not None)
                assert (row["yanked_reason"] or None) == (file.yanked or None)
                assert row["packagetype"] == ("bdist_wheel" if file.filename.endswith(".whl") else "sdist")
                assert row["python_version"] == ("py3" if file.filename.endswith(".whl") else "source")
                assert reached(tree, f"pypi/{project}/", row["url"]).read_bytes() == FILES[row["filename"]].data
        assert page["urls"] == page["releases"][page["info"]["version"]]
        assert page["info"]["name"] == project
    newest = {name: json.loads((tree / f"pypi/{name}/json").read_bytes())["info"]["version"] for name in PROJECTS}
    assert newest["epoch-thing"] == "1!2.0"
    assert newest["local-thing"] == "2.4.0+cpu"
    assert newest["yanked-thing"] == "1.0"


def test_pip_tools_finds_the_old_json_beside_the_page_too(tree: Path) -> None:
    there = tree / "simple/plain-thing/json"
    if there.exists():  # in a tree with links pypi/ is simple/ by another name
        assert there.read_bytes() == (tree / "pypi/plain-thing/json").read_bytes()
    else:
        assert not (tree / "pypi").is_symlink()


def test_everything_can_be_read_by_a_server_that_runs_as_somebody_else(tree: Path) -> None:
    for each in (tree, *tree.rglob("*")):
        if each.is_symlink() or ".pypimirror" in each.relative_to(tree).parts:
            continue
        assert stat.S_IMODE(each.stat().st_mode) == (0o755 if each.is_dir() else 0o644), each


def test_a_bundle_that_is_only_unpacked_has_the_same_pages(tree: Path, tmp_path: Path) -> None:
    for page in bundle_members(make_manifest(SAMPLES, statuses=STATUSES, locations=LOCATIONS)):
        target = tmp_path / page.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(page.data)
    for path, data in pages(tree):
        if path.startswith(("simple/", "pypi/")):
            assert (tmp_path / path).read_bytes() == data, path
