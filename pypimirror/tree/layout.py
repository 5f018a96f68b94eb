"""The names inside a tree, version 1. Pure: only paths are made here.

TREE/
  index.html  simple/  manifest.json        stable names: symbolic links to .pypimirror/current/...
  packages/<filename>[.metadata]            immutable; shared by generations
  packages/index.html                       a link to .pypimirror/current/packages.html
  .pypimirror/
    incoming/<sha256>                       verified files of bundles that are not published yet
    incoming/<digest>.json                  their manifests
    incoming/*.part                         being written; rubbish as soon as nobody holds the lock
    manifests/<digest>.json                 every accepted manifest
    pages/<project>-<digest>/               index.html, index.json; shared by generations
    generations/<n>/                        simple/<project> -> ../../../pages/...; index.html, packages.html,
                                            manifest.json, simple/index.html, simple/index.json
    current -> generations/<n>              the one thing that is swapped
    lock
    plain, previous.json                    only in a tree without links; see ``plain``
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pypimirror.model.names import Sha256

__all__ = [
    "IN_GENERATION",
    "LANDING",
    "MANIFEST",
    "MARK",
    "PACKAGES_PAGE",
    "STABLE_LINKS",
    "Layout",
    "is_package_path",
    "is_project_page",
    "page_folder",
]

MARK = ".pypimirror"
LANDING = "index.html"
PACKAGES_PAGE = "packages/index.html"
MANIFEST = "manifest.json"

STABLE_LINKS = {
    PACKAGES_PAGE: f"../{MARK}/current/packages.html",
    MANIFEST: f"{MARK}/current/{MANIFEST}",
    "simple": f"{MARK}/current/simple",
    LANDING: f"{MARK}/current/{LANDING}",
}
"""The links that clients see, by path, and what they say."""

IN_GENERATION = {
    "simple/index.html": "simple/index.html",
    "simple/index.json": "simple/index.json",
    PACKAGES_PAGE: "packages.html",
    LANDING: LANDING,
}
"""Pages that are no project's: their paths for clients, and where they lie in a generation."""

_PACKAGE = re.compile(r"packages/(?!index\.html$)[A-Za-z0-9][A-Za-z0-9._+!-]{0,208}")
_PROJECT_PAGE = re.compile(r"simple/[a-z0-9](?:[a-z0-9-]{0,198}[a-z0-9])?/index\.(?:html|json)")


def is_package_path(path: str) -> bool:
    """Whether *path* can be that of a published file or of its metadata sibling."""
    return _PACKAGE.fullmatch(path) is not None


def is_project_page(path: str) -> bool:
    """Whether *path* can be that of a project's page."""
    return _PROJECT_PAGE.fullmatch(path) is not None


def page_folder(project: str, pages: Iterable[Sha256]) -> str:
    """The name of the folder with these pages of a project, HTML and JSON, by their hashes.

    128 bits of a digest of both, so that no name exceeds 255 bytes.
    """
    return f"{project}-{hashlib.sha256(''.join(pages).encode('ascii')).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one tree."""

    root: Path

    @property
    def mark(self) -> Path:
        return self.root / MARK

    @property
    def packages(self) -> Path:
        return self.root / "packages"

    @property
    def incoming(self) -> Path:
        return self.mark / "incoming"

    @property
    def manifests(self) -> Path:
        return self.mark / "manifests"

    @property
    def pages(self) -> Path:
        return self.mark / "pages"

    @property
    def generations(self) -> Path:
        return self.mark / "generations"

    @property
    def current(self) -> Path:
        return self.mark / "current"

    @property
    def lock(self) -> Path:
        return self.mark / "lock"

    @property
    def plain_mark(self) -> Path:
        return self.mark / "plain"

    @property
    def previous_contents(self) -> Path:
        return self.mark / "previous.json"

    def generation(self, number: int) -> Path:
        return self.generations / str(number)

    def manifest(self, digest: Sha256) -> Path:
        return self.manifests / f"{digest}.json"

    def incoming_file(self, sha256: Sha256) -> Path:
        return self.incoming / sha256

    def incoming_manifest(self, digest: Sha256) -> Path:
        return self.incoming / f"{digest}.json"

    def stable_links(self) -> tuple[tuple[Path, str], ...]:
        """The links that clients see, and what they say."""
        return tuple((self.root / path, text) for path, text in STABLE_LINKS.items())
