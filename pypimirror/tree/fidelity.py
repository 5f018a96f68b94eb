"""Whether pages say what the bundles say. Pure.

Pages are made anew from the accepted manifests and compared. Where bytes differ, another version of pypimirror may have
rendered them: then both are read as a client reads them, and must mean the same.
"""

from __future__ import annotations

import hashlib
import json
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
        return path != LANDING and _meaning(path, one) == _meaning(path, other)
    except (PypimirrorError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _meaning(path: str, data: bytes) -> object:
    kind = path.rpartition(".")[2]
    url = f"file:///{path}"
    if path == PACKAGES_PAGE:
        return frozenset(parse_find_links(data, _TYPES[kind], url=url, index=""))
    if is_project_page(path):
        project = NormalizedName(path.split("/")[1])
        listing = parse_page(data, _TYPES[kind], url=url, project=project, index="")
        return frozenset(listing.files), listing.rejected, listing.status
    if kind == "json":
        return frozenset(each["name"] for each in json.loads(data)["projects"])
    page = html_page.scan(html_page.decode(data, "utf-8"), limit=_MANY)
    return frozenset(link.get("href") for link in page.links)
