"""Whether pages say what the bundles say. Pure.

Pages are made anew from the accepted manifests and compared. Where bytes differ, another version of pypimirror may have
rendered them: then both are read as a client reads them, and must mean the same. A forger would make a page that our
parser reads so and another one otherwise; so only pages that every parser reads alike are compared by meaning.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from pypimirror.errors import PypimirrorError
from pypimirror.index import html_page
from pypimirror.index.simple import parse_find_links, parse_page
from pypimirror.model.names import NormalizedName, Sha256
from pypimirror.tree.compose import Composition
from pypimirror.tree.contents import Contents, Served, wanted_by
from pypimirror.tree.layout import LANDING, PACKAGES_PAGE, is_project_page
from pypimirror.tree.pages import Page, tree_pages

__all__ = ["Strangers", "compare", "same_meaning"]

_TYPES = {"html": "text/html; charset=utf-8", "json": "application/vnd.pypi.simple.v1+json"}
_MANY = 10**9

_DOCTYPE = "<!DOCTYPE html>"
_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z-]+)="[^"]*"')
_TEXT = re.compile(r"[^<>\0]*")
_TAGS = frozenset({"html", "head", "meta", "title", "body", "h1", "h2", "p", "ul", "li", "a", "br"})
_ATTRIBUTES = {
    "html": frozenset({"lang"}),
    "meta": frozenset({"charset", "name", "content"}),
    "a": frozenset(
        {
            "href", "data-requires-python", "data-yanked", "data-core-metadata", "data-upload-time", "data-size",
            "data-provenance",
        }
    ),
}  # fmt: skip
_KEYS = frozenset(
    {
        "meta", "api-version", "name", "versions", "projects", "project-status", "status", "reason", "files",
        "filename", "url", "hashes", "sha256", "size", "requires-python", "upload-time", "yanked", "core-metadata",
        "provenance",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Strangers:
    """Where contents differ from what their bundles come to. ``pages`` are as they should be, and are otherwise."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    files: tuple[str, ...]
    pages: tuple[Page, ...]


def compare(composition: Composition, contents: Contents) -> Strangers:
    """What *contents* list otherwise than *composition* would have it."""
    listed = dict(contents.files)
    missing, files, pages = [], [], []
    for name, served in wanted_by(composition.files).items():
        path = f"packages/{name}"
        said = listed.pop(path, None)
        if said is None:
            missing.append(path)
        elif said != served:
            files.append(path)
    for page in tree_pages(composition):
        said = listed.pop(page.path, None)
        if said is None:
            missing.append(page.path)
        elif said != Served(Sha256(hashlib.sha256(page.data).hexdigest()), len(page.data)):
            pages.append(page)
    return Strangers(missing=tuple(missing), extra=tuple(listed), files=tuple(files), pages=tuple(pages))


def same_meaning(path: str, one: bytes, other: bytes) -> bool:
    """Whether two versions of the page at *path* tell clients the same; only bytes count where it is for people."""
    if one == other:
        return True
    try:
        if path == LANDING or not (_is_plain_json(other) if path.endswith(".json") else _is_plain_html(other)):
            return False
        return _meaning(path, one) == _meaning(path, other)
    except (PypimirrorError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_plain_html(data: bytes) -> bool:
    """Whether nothing but plain tags and text is in it: no script, comment, base, odd quoting, unknown attribute."""
    text = data.decode("utf-8")
    if not text.startswith(_DOCTYPE):
        return False
    end, inside_title = len(_DOCTYPE), False
    for tag in _TAG.finditer(text, end):
        between, end = text[end : tag.start()], tag.end()
        names = _ATTRIBUTE.findall(tag[3])
        if (
            not _TEXT.fullmatch(between)
            or tag[2] not in _TAGS
            or len(names) != len(set(names))
            or not _ATTRIBUTES.get(tag[2], frozenset()).issuperset(names)
            or (inside_title and tag[0] != "</title>")
        ):
            return False
        inside_title = tag[0] == "<title>"
    return _TEXT.fullmatch(text[end:]) is not None


def _is_plain_json(data: bytes) -> bool:
    """Whether it has keys that a page of ours may have, and none twice."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)) or not _KEYS.issuperset(keys):
            raise ValueError
        return dict(pairs)

    json.loads(data, object_pairs_hook=members)
    return True


def _meaning(path: str, data: bytes) -> object:
    kind = path.rpartition(".")[2]
    url = f"file:///{path}"
    if path == PACKAGES_PAGE:
        return frozenset(parse_find_links(data, _TYPES[kind], url=url, index=""))
    if is_project_page(path):
        project = NormalizedName(path.split("/")[1])
        listing = parse_page(data, _TYPES[kind], url=url, project=project, index="")
        versions = json.loads(data).get("versions") if kind == "json" else None
        return frozenset(listing.files), listing.rejected, listing.status, versions
    if kind == "json":
        return frozenset(each["name"] for each in json.loads(data)["projects"])
    page = html_page.scan(html_page.decode(data, "utf-8"), limit=_MANY)
    return frozenset(link.get("href") for link in page.links)
