"""The connected half, told as a story: wishes -> plan -> files -> manifest -> proof -> one bundle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from packaging.utils import canonicalize_name

from pypimirror import __version__
from pypimirror.errors import ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.names import Label
from pypimirror.model.plan import Plan, VerifiedFile
from pypimirror.model.requests import Consent, Constraint, WishSet
from pypimirror.model.targets import Target
from pypimirror.net.cache import Cache
from pypimirror.net.client import Client
from pypimirror.net.online_index import OnlineIndex
from pypimirror.net.settings import Settings
from pypimirror.remembered import Remembered
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.build.ahead import AheadIndex
    from pypimirror.build.builder import Builder
    from pypimirror.bundle.writer import Source, Written
    from pypimirror.model.manifest import BuildRecord, Manifest, WithdrawnVersion

__all__ = ["Bundled", "Connection", "Request", "bundle", "connect", "plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is asked for: every set on every target. ``build_constraints`` bound what building sdists takes.

    With ``build_wheels`` sdists are built on this host, where that serves the targets. ``withdrawn`` is what the bundle
    takes back from older ones; the policies of the sets must know of it.
    """

    sets: tuple[WishSet, ...]
    targets: tuple[Target, ...]
    build_constraints: tuple[Constraint, ...] = ()
    build_wheels: bool = False
    withdrawn: tuple[WithdrawnVersion, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """The connected world: the network, what was kept of it, and both as one index; with builds where allowed."""

    settings: Settings
    client: Client
    cache: Cache
    online: OnlineIndex
    index: Index
    consent: Consent
    builder: Builder | None = None
    ahead: AheadIndex | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """A bundle that was written and proven, and what a person should read about it."""

    plan: Plan
    manifest: Manifest
    written: Written
    notes: tuple[str, ...]


@contextmanager
def connect(
    settings: Settings,
    *,
    cache_folder: Path | None,
    reporter: Reporter,
    consent: Consent | None = None,
    build_constraints: tuple[Constraint, ...] = (),
) -> Iterator[Connection]:
    """Open the connected world. Without a *cache_folder* nothing is kept for the next run.

    Where *consent* allows builds, their environments are bounded by *build_constraints*. Raises PolicyFault
    (``no-sandbox``) where this system has no sandbox for them.
    """
    consent = consent or Consent()
    with (
        Cache(cache_folder) as cache,
        Client(settings, reporter=reporter) as client,
        OnlineIndex(client, cache, settings, reporter, trust_egg_info=consent.trust_egg_info) as online,
        ExitStack() as stack,
    ):
        connection = Connection(
            settings=settings, client=client, cache=cache, online=online, index=online, consent=consent
        )
        if consent.builds:
            connection = stack.enter_context(_with_builds(connection, consent, build_constraints, reporter))
        yield connection


@contextmanager
def _with_builds(
    connection: Connection, consent: Consent, constraints: tuple[Constraint, ...], reporter: Reporter
) -> Iterator[Connection]:
    """The same world, with build backends that may be asked."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - nothing of builds is imported where none is allowed

    from pypimirror import host  # noqa: PLC0415 - likewise
    from pypimirror.build.ahead import AheadIndex  # noqa: PLC0415 - likewise
    from pypimirror.build.builder import Builder  # noqa: PLC0415 - likewise
    from pypimirror.build.index import BuildingIndex  # noqa: PLC0415 - likewise
    from pypimirror.build.sandbox import Sandbox  # noqa: PLC0415 - likewise

    here = host.this_target()
    with (
        Builder(sandbox=Sandbox() if consent.sandboxed else None, reporter=reporter) as builder,
        TemporaryDirectory(prefix="pypimirror-built-") as folder,
    ):
        index = BuildingIndex(
            connection.online,
            builder=builder,
            files=lambda file: connection.online.downloads.whole(file).path,
            consent=consent,
            host=here,
            constraints=constraints,
        )
        ahead = AheadIndex(index, consent=consent, host=here, folder=Path(folder))
        yield replace(connection, index=index, builder=builder, ahead=ahead)


def plan(request: Request, connection: Connection, reporter: Reporter) -> Plan:
    """What a bundle would hold. Downloads nothing but what resolving has to look into."""
    request = _without_trees(request, connection)
    reporter.step("Resolving")
    made = _planned(request, connection, reporter)
    if request.build_wheels and connection.ahead is not None:
        ahead = connection.ahead
        while ahead.build(made):
            made = _solve(request, ahead, reporter)
        made = replace(made, notes=(*made.notes, *ahead.notes))
    return replace(made, notes=(*made.notes, *_left_empty(made)))


def _planned(request: Request, connection: Connection, reporter: Reporter) -> Plan:
    """The plan, remembered where it was made before, and where nothing else was said since."""
    remembered = _remembered(request, connection)
    made = remembered.recall() if remembered is not None else None
    if made is None:
        made = _searched(request, connection, reporter)
        if remembered is not None:
            remembered.keep(made)
    return made


def _remembered(request: Request, connection: Connection) -> Remembered | None:
    """The plans that were made for this request before; None where a backend is asked, for its answers have no mark."""
    if connection.index is not connection.online:
        return None
    return Remembered(
        request.sets,
        request.targets,
        request.build_constraints,
        online=connection.online,
        cache=connection.cache,
        beside=connection.consent,
    )


def _searched(request: Request, connection: Connection, reporter: Reporter) -> Plan:
    # The first pages are on their way while the search is imported.
    roots = [root for wishes in request.sets for root in wishes.roots if root.direct is None]
    connection.online.expect(
        canonicalize_name(root.requirement.name) for root in roots if root.requirement.marker is None
    )
    from pypimirror.net.scout import Scout  # noqa: PLC0415 - nothing of the search is imported where none is
    from pypimirror.resolve.likely import Guesses  # noqa: PLC0415 - likewise

    views = (Guesses(wishes, target, connection.online) for wishes in request.sets for target in request.targets)
    with Scout(connection.online, views):
        return _solve(request, connection.index, reporter)


def _without_trees(request: Request, connection: Connection) -> Request:
    """The same wishes; each source tree is built, and its wheel asked for in its place."""
    for root in (root for wishes in request.sets for root in wishes.roots if root.source is not None):
        project = canonicalize_name(root.requirement.name)
        if connection.ahead is None or not connection.consent.may_build(project):
            raise ResolutionFault(
                f"{root.requirement.name} @ {root.source} must be built, and that runs its code",
                code="build-not-allowed",
                hint=f"allow it: --allow-build {project}",
            )
    ahead = connection.ahead
    if ahead is None:
        return request
    sets = tuple(
        replace(wishes, roots=tuple(ahead.built_root(root, request.targets) for root in wishes.roots))
        for wishes in request.sets
    )
    return replace(request, sets=sets)


def _solve(request: Request, index: Index, reporter: Reporter) -> Plan:
    from pypimirror.resolve.planning import make_plan  # noqa: PLC0415 - as in _searched

    return make_plan(request.sets, request.targets, index, reporter, build_constraints=request.build_constraints)


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
    hashed: bool = True,
) -> Bundled:
    """Plan, fetch, prove, pack. *sequence* is in seconds since 1970. Whatever goes wrong, *output* is as it was.

    Unless *hashed*, the sha256 of the whole tar is left out: the manifest's names the bundle, and lists all of it.
    """
    from pypimirror.net.ahead import Ahead  # noqa: PLC0415 - nothing that plan needs
    from pypimirror.net.download import fetch  # noqa: PLC0415 - likewise
    from pypimirror.net.provenance import ProvenanceSource  # noqa: PLC0415 - likewise

    with _porter(request, connection):
        with Ahead(connection.online.downloads, connection.cache) as ahead:
            connection.online.when_taken = ahead.begin
            made = plan(request, connection, reporter)
            connection.online.when_taken = None
        packing = threading.Thread(target=_prepare_packing, name="imports", daemon=True)
        packing.start()
        reporter.step("Downloading")
        with ProvenanceSource(made.files, client=connection.client, cache=connection.cache) as provenance:
            fetched = fetch(
                made.files,
                client=connection.client,
                cache=connection.cache,
                reporter=reporter,
                downloads=connection.online.downloads,
            )
            verified, lacking = provenance.attach(fetched)
    packing.join()
    from pypimirror.bundle.sealing import make_manifest, with_members  # noqa: PLC0415 - they have just been imported
    from pypimirror.bundle.writer import write_bundle  # noqa: PLC0415 - likewise
    from pypimirror.resolve.proof import prove  # noqa: PLC0415 - likewise
    from pypimirror.tree.lists import bundle_members  # noqa: PLC0415 - likewise

    built = _records(connection.builder)
    manifest = make_manifest(
        made,
        verified,
        channel=channel,
        sequence=sequence,
        tool=f"pypimirror {__version__}",
        built=built,
        withdrawn=request.withdrawn,
    )
    told: list[str] = []

    def proof(_: object = None) -> None:
        reporter.step("Proving")
        told.extend(prove(manifest))

    # What has a name of its own is proven while it goes to the medium; what is streamed, before its first byte.
    if not isinstance(output, Path):
        proof()
    reporter.step("Packing")
    pages = {page.path: page.data for page in bundle_members(manifest)}
    manifest = with_members(manifest, pages)
    written = write_bundle(
        manifest, {**_sources(verified), **pages}, output, before_naming=proof, hashed=hashed, reporter=reporter
    )
    notes = (*made.notes, *lacking, *told, *_built_notes(manifest))
    return Bundled(plan=made, manifest=manifest, written=written, notes=notes)


def _porter(request: Request, connection: Connection) -> AbstractContextManager[None]:
    """Another process for the files, where there will be some to fetch. It must come before any thread does."""
    remembered = _remembered(request, connection)
    if remembered is not None and remembered.known:  # then hardly any file is new
        return nullcontext()
    from pypimirror.net.carrying import carrying  # noqa: PLC0415 - nothing that plan needs

    return carrying(
        connection.online.downloads,
        settings=connection.settings,
        cache=connection.cache,
        stopping=connection.client.stopping,
    )


def _prepare_packing() -> None:
    """Import what is slow to import, and compile what is slow to compile, while files arrive."""
    import pypimirror.bundle.writer  # noqa: PLC0415 - not before the first downloads are under way
    import pypimirror.resolve.proof  # noqa: F401, PLC0415 - likewise
    from pypimirror.tree.pages import compile_templates  # noqa: PLC0415 - likewise

    compile_templates()


def _records(builder: Builder | None) -> tuple[BuildRecord, ...]:
    """What was built, or asked, once for each environment."""
    from pypimirror.model.manifest import BuildRecord  # noqa: PLC0415 - as in bundle

    records = [
        BuildRecord(
            source=each.source,
            sha256=each.sdist_sha256,
            backend=each.backend,
            requirements=each.requirements,
            sandboxed=each.sandboxed,
            output=each.output,
        )
        for each in (builder.built if builder is not None else ())
    ]
    return tuple(dict.fromkeys(records))


def _built_notes(manifest: Manifest) -> Iterator[str]:
    """What ran here, with what; and that it answered for this host, where the targets are others."""
    tools: dict[tuple[str, str, bool], dict[str, None]] = {}
    for each in manifest.built:
        known = tools.setdefault((each.source, each.backend, each.sandboxed), {})
        known.update((filename, None) for filename, _ in each.requirements)
    for (source, backend, sandboxed), filenames in tools.items():
        place = "in a sandbox" if sandboxed else "without a sandbox"
        yield f"{source}: its backend {backend} was run {place}, with {', '.join(filenames) or 'nothing else'}"
    if not tools:
        return
    from pypimirror import host  # noqa: PLC0415 - only where something was built

    here = host.this_target()
    others = [target.name for target in manifest.targets if target.tags != here.tags]
    if others:
        yield f"what backends said holds for this host ({here.name}): {', '.join(others)} may need other things"


def _sources(verified: tuple[VerifiedFile, ...]) -> dict[str, Source]:
    """Where the content of each member lies on this host."""
    from pypimirror.bundle.writer import Hashed, Tail  # noqa: PLC0415 - as in bundle
    from pypimirror.model.manifest import provenance_path  # noqa: PLC0415 - likewise

    sources: dict[str, Source] = {}
    for file in verified:
        path = f"packages/{file.planned.filename}"
        place = Path(file.path)
        sources[path] = place if file.stamp is None else Hashed(path=place, stamp=file.stamp)
        if file.metadata_path is not None:
            sources[f"{path}.metadata"] = Tail(path=Path(file.metadata_path))
        if file.provenance_path is not None and file.provenance_sha256 is not None:
            sources[provenance_path(file.planned.filename, file.provenance_sha256)] = Path(file.provenance_path)
    return sources
