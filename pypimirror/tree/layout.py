"""The names inside a tree, version 2. Pure: only paths are made here.

TREE/
  index.html  manifest.json  locks/         stable names: symbolic links to .pypimirror/current/...
  simple/<project>                          a link to .pypimirror/current/simple/<shard>/<project>
  simple/index.html, index.json             links to .pypimirror/current/...
  pypi                                      a link to simple, for clients that ask for /pypi/<project>/json
  packages/<filename>[.metadata]            immutable; shared by generations
  packages/index.html                       a link to .pypimirror/current/packages.html
  channels/<channel>/simple                 a link to .pypimirror/current/channels/<channel>/simple
  channels/<channel>/packages               a link to packages
  .pypimirror/
    incoming/<sha256>                       verified files of bundles that are not published yet
    incoming/<digest>.json                  their manifests
    incoming/*.part                         being written; rubbish as soon as nobody holds the lock
    manifests/<digest>.json                 every accepted manifest
    ledger/<shard>-<mark>.json              what every bundle said of each project of a shard, and what is served of it
    pages/<project>-<mark>/                 index.html, index.json, json; shared by generations
    pages/_locks-<mark>/                    the locks
    pages/packages                          a link to packages: a client that reads a lock follows the link to its
                                            folder first, and looks for ../packages from there
    shards/<shard>-<mark>/                  <project> -> ../../pages/<project>-<mark>; shared by generations
    channels/<channel>/                     the index of one channel alone, made like simple/
    generations/<n>/                        simple/<shard> -> ../../../shards/...; channels/<channel>/<shard>, likewise;
                                            channels/<channel>/simple -> channels/<channel>, or simple if that is all;
                                            index.html, packages.html, simple.html, simple.json, manifest.json, locks
    current -> generations/<n>              the one thing that is swapped
    lock
    plain, previous.json, unfinished        only in a tree without links; see ``plain``

A *shard* is a share of the projects, by the digest of their names. Since a generation names shards, not projects, and a
shard that did not change is shared, publishing costs what changed, not what there is. A *mark* is a short digest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from pypimirror.model.names import Label, NormalizedName, Sha256
from pypimirror.values import dataclass

__all__ = [
    "IN_GENERATION",
    "LANDING",
    "LOCKS",
    "MANIFEST",
    "MARK",
    "PACKAGES_PAGE",
    "STABLE_LINKS",
    "Layout",
    "channel_index",
    "channel_links",
    "client_path",
    "in_generation",
    "is_package_path",
    "is_project_page",
    "ledger_file",
    "mark_of",
    "page_folder",
    "project_link",
    "shard_folder",
    "shard_of",
    "stable_links",
]

MARK = ".pypimirror"
LANDING = "index.html"
PACKAGES_PAGE = "packages/index.html"
MANIFEST = "manifest.json"
LOCKS = "locks"

STABLE_LINKS = {
    PACKAGES_PAGE: f"../{MARK}/current/packages.html",
    MANIFEST: f"{MARK}/current/{MANIFEST}",
    LOCKS: f"{MARK}/current/{LOCKS}",
    "simple/index.html": f"../{MARK}/current/simple.html",
    "simple/index.json": f"../{MARK}/current/simple.json",
    "pypi": "simple",
    f"{MARK}/pages/packages": "../../packages",
    LANDING: f"{MARK}/current/{LANDING}",
}
"""The links that clients follow, but for those of projects, by path, and what they say."""

IN_GENERATION = {
    "simple/index.html": "simple.html",
    "simple/index.json": "simple.json",
    PACKAGES_PAGE: "packages.html",
    LANDING: LANDING,
}
"""Pages that are no project's: their paths for clients, and where they lie in a generation."""

_PACKAGE = re.compile(r"packages/(?!index\.html(?:\.gz)?$)[A-Za-z0-9][A-Za-z0-9._+!-]{0,235}")
_PROJECT = r"[a-z0-9](?:[a-z0-9-]{0,198}[a-z0-9])?"
_PROJECT_PAGE = re.compile(rf"simple/{_PROJECT}/index\.(?:html|json)(?:\.gz)?|pypi/{_PROJECT}/json")


def client_path(project: NormalizedName, page: str) -> str:
    """The path for clients of a page in a project's folder."""
    return f"pypi/{project}/{page}" if page == "json" else f"simple/{project}/{page}"


def stable_links(*, twins: bool) -> dict[str, str]:
    """``STABLE_LINKS``, with those of compressed *twins* where there are some."""
    if not twins:
        return dict(STABLE_LINKS)
    return STABLE_LINKS | {f"{path}.gz": f"{STABLE_LINKS[path]}.gz" for path in IN_GENERATION}


def in_generation(path: str) -> str:
    """Where a page that is no project's lies in a generation, given its path for clients, or that of its twin."""
    whole, twin = (path[:-3], ".gz") if path.endswith(".gz") else (path, "")
    if whole.startswith("channels/"):
        _, channel, _, page = whole.split("/")
        return f"channels/{channel}/simple{page.removeprefix('index')}{twin}"
    return f"{IN_GENERATION[whole]}{twin}"


def is_package_path(path: str) -> bool:
    """Whether *path* can be that of a published file or of its metadata sibling."""
    return _PACKAGE.fullmatch(path) is not None


def is_project_page(path: str) -> bool:
    """Whether *path* can be that of a project's page in the merged index."""
    return _PROJECT_PAGE.fullmatch(path) is not None


def mark_of(texts: Iterable[str]) -> str:
    """128 bits of a digest of *texts*, in 26 characters: links with them stay short, and no name exceeds 255 bytes."""
    digest = hashlib.sha256("\n".join(texts).encode("utf-8")).digest()[:16]
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()


def page_folder(name: str, pages: Iterable[tuple[str, Sha256]]) -> str:
    """The name of the folder with these pages of a project (or of the locks), given their names and hashes."""
    return f"{name}-{mark_of(f'{page} {sha256}' for page, sha256 in sorted(pages))}"


def shard_of(project: NormalizedName) -> str:
    """The shard of a project: two hexadecimal digits. In a tree of 10,000 projects, 256 shards of 40 cost the least.

    Their number never changes, or the links to projects could not all be changed at one moment.
    """
    return hashlib.sha256(project.encode("ascii")).hexdigest()[:2]


def shard_folder(shard: str, index: Mapping[NormalizedName, str]) -> str:
    """The name of the folder with the links of a shard, given the marks of its projects' pages."""
    return f"{shard}-{mark_of(f'{project} {index[project]}' for project in sorted(index))}"


def ledger_file(shard: str, digest: Sha256) -> str:
    """The name of the ledger of a shard, by the sha256 of its bytes."""
    return f"{shard}-{digest[:32]}.json"


def project_link(project: NormalizedName, channel: Label | None = None) -> tuple[str, str]:
    """The path and the text of the link that clients meet for a project, in the merged index or in a channel's."""
    shard = shard_of(project)
    if channel is None:
        return f"simple/{project}", f"../{MARK}/current/simple/{shard}/{project}"
    return f"{MARK}/channels/{channel}/{project}", f"../../current/channels/{channel}/{shard}/{project}"


def channel_links(channel: Label, *, alone: bool, twins: bool) -> dict[str, str]:
    """The stable links of one channel's index but for those of projects. *alone*: it has all that is served."""
    links = {
        f"channels/{channel}/packages": "../../packages",
        f"channels/{channel}/simple": f"../../{MARK}/current/channels/{channel}/simple",
    }
    if alone:
        return links
    current = f"../../current/channels/{channel}"
    kinds = ("html", "json", *(("html.gz", "json.gz") if twins else ()))
    return links | {f"{MARK}/channels/{channel}/index.{kind}": f"{current}/simple.{kind}" for kind in kinds}


def channel_index(channel: Label, *, alone: bool) -> str:
    """The text of the link in a generation that leads to a channel's index, which the merged one may stand in for."""
    return "../../../../../simple" if alone else f"../../../../channels/{channel}"


@dataclass(frozen=True)
class Layout:
    """The paths of one tree, each made once: there are hundreds of thousands of joins in a run."""

    root: Path

    @cached_property
    def mark(self) -> Path:
        return self.root / MARK

    @cached_property
    def packages(self) -> Path:
        return self.root / "packages"

    @cached_property
    def simple(self) -> Path:
        return self.root / "simple"

    @cached_property
    def channels(self) -> Path:
        """Where clients find the indexes of channels."""
        return self.root / "channels"

    @cached_property
    def channel_indexes(self) -> Path:
        """Where the links in them are."""
        return self.mark / "channels"

    @cached_property
    def incoming(self) -> Path:
        return self.mark / "incoming"

    @cached_property
    def manifests(self) -> Path:
        return self.mark / "manifests"

    @cached_property
    def ledger(self) -> Path:
        return self.mark / "ledger"

    @cached_property
    def pages(self) -> Path:
        return self.mark / "pages"

    @cached_property
    def shards(self) -> Path:
        return self.mark / "shards"

    @cached_property
    def generations(self) -> Path:
        return self.mark / "generations"

    @cached_property
    def current(self) -> Path:
        return self.mark / "current"

    @cached_property
    def lock(self) -> Path:
        return self.mark / "lock"

    @cached_property
    def plain_mark(self) -> Path:
        return self.mark / "plain"

    @cached_property
    def unfinished(self) -> Path:
        """In a tree without links, while pages are being replaced: who finds it looks at every page.

        It says what was served when the run began, where anything was; in the end it becomes ``previous.json``.
        """
        return self.mark / "unfinished"

    @cached_property
    def previous_contents(self) -> Path:
        return self.mark / "previous.json"

    def generation(self, number: int) -> Path:
        return self.generations / str(number)

    def manifest(self, digest: Sha256) -> Path:
        return self.manifests / f"{digest}.json"

    def ledger_of(self, shard: str, digest: Sha256) -> Path:
        """The ledger of a shard, by the sha256 of its bytes."""
        return self.ledger / ledger_file(shard, digest)

    def incoming_file(self, sha256: Sha256) -> Path:
        return self.incoming / sha256

    def incoming_manifest(self, digest: Sha256) -> Path:
        return self.incoming / f"{digest}.json"
