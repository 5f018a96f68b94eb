"""Whether pages say what the bundles say. Pure.

Pages are made anew from the accepted manifests and compared. Where bytes differ, another version of pypimirror may have
rendered them: then both are read as a client reads them, and must mean the same. A forger would make a page that our
parser reads so and another one otherwise; so only pages that every parser reads alike are compared by meaning.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pypimirror.errors import PypimirrorError
from pypimirror.index import html_page
from pypimirror.index.simple import parse_find_links, parse_page
from pypimirror.model.names import Label, NormalizedName, Sha256
from pypimirror.tree.compose import Composition, Layers, in_order, slices_of
from pypimirror.tree.contents import Contents, Served, wanted_by
from pypimirror.tree.inventory import Inventory
from pypimirror.tree.layout import LANDING, LOCKS, PACKAGES_PAGE, is_project_page
from pypimirror.tree.ledger import Ledger, slices_out
from pypimirror.tree.lists import FileRows, Head, ProjectRows, root_pages, summary
from pypimirror.tree.locks import tree_locks
from pypimirror.tree.page import Page
from pypimirror.tree.pages import project_pages
from pypimirror.tree.press import with_twins
from pypimirror.values import dataclass

__all__ = ["Comparison", "Strangers", "same_meaning"]

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
        "provenance", "tracks", "alternate-locations",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Strangers:
    """Where contents differ from what their bundles come to. ``pages`` are as they should be, and are otherwise."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    files: tuple[str, ...]
    pages: tuple[Page, ...]


class Comparison:
    """What *contents* serve beside what *composition* would have them serve: portion by portion, then the lists.

    A *plain* tree has no indexes of channels.
    """

    def __init__(self, composition: Composition, contents: Contents, *, plain: bool) -> None:
        self._composition = composition
        self._contents = contents
        self._plain = plain
        self._cuts = [slices_of(each) for each in composition.bundles]
        self._files, self._rows = FileRows(), ProjectRows()
        self._count = self._size = 0
        self._channels: dict[Label, list[NormalizedName]] = {}
        if len(composition.channels) > 1 and not plain:
            self._channels = {channel: [] for channel in composition.channels}

    def portion(self, layers: Mapping[NormalizedName, Layers], served: Inventory) -> Strangers:
        """Some projects as they should be, beside what is served of them; each of them must come once."""
        listed = served.files
        missing, files = [], []
        for each in layers.values():
            self._note(each)
            for name, wanted in wanted_by(each.files).items():
                path = f"packages/{name}"
                said = listed.pop(path, None)
                if said is None:
                    missing.append(path)
                elif said != wanted:
                    files.append(path)
        return self._strangers(self._pages_of(layers.values()), listed, missing, files)

    def lists(self) -> Strangers:
        """What is of no single project, when all were compared."""
        contents = self._contents
        listed = dict(contents.pages) | {f"{LOCKS}/{name}": each for name, each in contents.locks.files.items()}
        return self._strangers(self._list_pages(), listed, [], [])

    def unfaithful(self, ledger: Ledger) -> Iterator[NormalizedName]:
        """The projects of which a ledger says otherwise than the bundles do: what is published next would be wrong."""
        for name, value in ledger.items():
            said = slices_out(in_order(cut[name] for cut in self._cuts if name in cut))
            if not isinstance(value, dict) or any(value.get(key) != part for key, part in said.items()):
                yield name

    def _note(self, layers: Layers) -> None:
        self._files.add(layers.merged)
        self._rows.add(layers.merged)
        self._count += len(layers.merged.files)
        self._size += layers.merged.size
        for channel in layers.by_channel:
            if channel in self._channels:
                self._channels[channel].append(layers.merged.name)

    def _strangers(
        self, pages: Iterable[Page], listed: dict[str, Served], missing: list[str], files: list[str]
    ) -> Strangers:
        others = []
        for page in self._with_twins(pages):
            said = listed.pop(page.path, None)
            if said is None:
                missing.append(page.path)
            elif said != Served(Sha256(hashlib.sha256(page.data).hexdigest()), len(page.data)):
                others.append(page)
        return Strangers(missing=tuple(missing), extra=tuple(listed), files=tuple(files), pages=tuple(others))

    def _with_twins(self, pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            if self._contents.gzip and not page.path.startswith(LOCKS):
                yield from (Page(path=path, data=data) for path, data in with_twins({page.path: page.data}).items())
            else:
                yield page

    def _pages_of(self, several: Iterable[Layers]) -> Iterator[Page]:
        for layers in several:
            yield from project_pages(layers.merged)
            for channel, project in layers.by_channel.items():
                if channel in self._channels:
                    for page in project_pages(project):
                        name = page.path.rpartition("/")[2]
                        yield Page(path=f"channels/{channel}/simple/{project.name}/{name}", data=page.data)

    def _list_pages(self) -> Iterator[Page]:
        composition = self._composition
        locks = list(tree_locks(_pinned(composition)))
        head = Head(
            channels=composition.channels,
            bundles=tuple(map(summary, composition.bundles)),
            projects=len(composition.layers),
            files=self._count,
            size=self._size,
            locks=[page.path.removeprefix(f"{LOCKS}/") for page in locks],
            indexed=not self._plain,
        )
        yield self._files.page(None)
        yield self._rows.page(head, None)
        yield from root_pages(composition.layers)
        for channel, names in self._channels.items():
            yield from root_pages(names, channel)
        yield from locks


def _pinned(composition: Composition) -> Composition:
    """What locks need of it."""
    names = {
        pin.project
        for each in composition.bundles
        for resolution in each.manifest.resolutions
        for pin in resolution.pins
        if pin.project in composition.layers
    }
    return replace(composition, layers={name: composition.layers[name] for name in sorted(names)})


def same_meaning(path: str, one: bytes, other: bytes) -> bool:
    """Whether two versions of the page at *path* tell clients the same; only bytes count where it is for people."""
    if one == other:
        return True
    path = re.sub("^channels/[^/]+/", "", path)
    try:
        if path.endswith(".gz"):
            return zlib.decompress(other, wbits=31) == zlib.decompress(one, wbits=31)
        if path.endswith("/json"):
            return _without_twins(one) == _without_twins(other)
        if path == LANDING or not (_is_plain_json(other) if path.endswith(".json") else _is_plain_html(other)):
            return False
        return _meaning(path, one) == _meaning(path, other)
    except (PypimirrorError, zlib.error, ValueError, KeyError, TypeError, RecursionError):
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


def _without_twins(data: bytes) -> object:
    """Decoded JSON. Raises ValueError where an object has a key twice."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(pairs) != len(dict(pairs)):
            raise ValueError
        return dict(pairs)

    return json.loads(data, object_pairs_hook=members)


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
        return frozenset(listing.files), listing.rejected, listing.status, _said_of_all(data, kind)
    if kind == "json":
        return frozenset(each["name"] for each in json.loads(data)["projects"])
    page = html_page.scan(html_page.decode(data, "utf-8"), limit=_MANY)
    return frozenset(link.get("href") for link in page.links)


def _said_of_all(data: bytes, kind: str) -> object:
    """What a project's page says beside its files, as it stands: our own parser leaves out what it has no use for."""
    if kind == "json":
        top = json.loads(data)
        meta = {key: value for key, value in top["meta"].items() if key != "api-version"}
        return {key: value for key, value in top.items() if key not in ("files", "meta")}, meta
    page = html_page.scan(html_page.decode(data, "utf-8"), limit=_MANY)
    metas = {key: value for key, value in page.metas.items() if key != "pypi:repository-version"}
    return metas, page.tracks, page.alternate_locations
