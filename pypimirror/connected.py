"""The connected half, told as a story: wishes -> plan -> files -> manifest -> proof -> one bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pypimirror import __version__
from pypimirror.bundle.sealing import make_manifest, with_members
from pypimirror.bundle.writer import Written, write_bundle
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Label
from pypimirror.model.plan import Plan, VerifiedFile
from pypimirror.model.requests import Constraint, WishSet
from pypimirror.model.targets import Target
from pypimirror.net.cache import Cache
from pypimirror.net.client import Client
from pypimirror.net.download import fetch
from pypimirror.net.online_index import OnlineIndex
from pypimirror.net.settings import Settings
from pypimirror.reporting import Reporter
from pypimirror.resolve.planning import make_plan
from pypimirror.resolve.proof import prove
from pypimirror.tree.pages import bundle_members

__all__ = ["Bundled", "Connection", "Request", "bundle", "connect", "plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is asked for: every set on every target. ``build_constraints`` bound what building sdists takes."""

    sets: tuple[WishSet, ...]
    targets: tuple[Target, ...]
    build_constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """The connected world: the network, what was kept of it, and both as one index."""

    client: Client
    cache: Cache
    index: OnlineIndex


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """A bundle that was written and proven, and what a person should read about it."""

    plan: Plan
    manifest: Manifest
    written: Written
    notes: tuple[str, ...]


@contextmanager
def connect(
    settings: Settings, *, cache_folder: Path | None, reporter: Reporter, trust_egg_info: bool = False
) -> Iterator[Connection]:
    """Open the connected world. Without a *cache_folder* nothing is kept for the next run.

    With *trust_egg_info* old sdists are taken at their word as to what they depend on.
    """
    with (
        Cache(cache_folder) as cache,
        Client(settings, reporter=reporter) as client,
        OnlineIndex(client, cache, settings, reporter, trust_egg_info=trust_egg_info) as index,
    ):
        yield Connection(client=client, cache=cache, index=index)


def plan(request: Request, connection: Connection, reporter: Reporter) -> Plan:
    """What a bundle would hold. Downloads nothing but what resolving has to look into."""
    reporter.step("Resolving")
    made = make_plan(
        request.sets, request.targets, connection.index, reporter, build_constraints=request.build_constraints
    )
    return replace(made, notes=(*made.notes, *_left_empty(made)))


def _left_empty(made: Plan) -> Iterator[str]:
    """Targets that get nothing. That may be right, but is rarely what was meant."""
    for each in made.resolutions:
        if not each.pins:
            of_set = "" if each.set == "default" else f" of {each.set}"
            yield f"{each.target} gets nothing: the markers of all requirements{of_set} leave it out"


def bundle(
    request: Request,
    connection: Connection,
    output: Path | BinaryIO,
    *,
    channel: Label,
    sequence: int,
    reporter: Reporter,
) -> Bundled:
    """Plan, fetch, prove, pack. *sequence* is in seconds since 1970. Whatever goes wrong, *output* is as it was."""
    made = plan(request, connection, reporter)
    reporter.step("Downloading")
    verified = fetch(
        made.files,
        client=connection.client,
        cache=connection.cache,
        reporter=reporter,
        downloads=connection.index.downloads,
    )
    manifest = make_manifest(made, verified, channel=channel, sequence=sequence, tool=f"pypimirror {__version__}")
    reporter.step("Proving")
    told = prove(manifest)
    reporter.step("Packing")
    pages = {page.path: page.data for page in bundle_members(manifest)}
    manifest = with_members(manifest, pages)
    written = write_bundle(manifest, {**_sources(verified), **pages}, output, reporter=reporter)
    return Bundled(plan=made, manifest=manifest, written=written, notes=(*made.notes, *told))


def _sources(verified: tuple[VerifiedFile, ...]) -> dict[str, Path | bytes]:
    """Where the content of each member lies on this host."""
    sources: dict[str, Path | bytes] = {}
    for file in verified:
        path = f"packages/{file.planned.filename}"
        sources[path] = Path(file.path)
        if file.metadata_path is not None:
            sources[f"{path}.metadata"] = Path(file.metadata_path)
    return sources
