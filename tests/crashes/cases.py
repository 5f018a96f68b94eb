"""What is tried: three fixtures, each as bundling, importing, publishing and both at once, linked and plain; upkeep."""

from __future__ import annotations

import functools
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pypimirror import inhouse, upkeep
from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.writer import write_bundle
from pypimirror.disk import Disk
from pypimirror.model.names import Sha256, file_name
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.publish import publish
from pypimirror.tree.revise import Edit
from pypimirror.tree.view import look
from tests.crashes.faults import Failing
from tests.crashes.journal import Journal, Place, lay_out, scan
from tests.tree.helpers import NOW, MemoryBundle, QuickDisk, bundle, channels, fake, sample, snapshot, wheel

__all__ = ["ADDING", "BUNDLING", "CASES", "TREES", "UPKEEP", "Case", "Exhibit", "Playground", "exhibit", "sources"]

OLD, NEW, NEWEST = 1_790_000_000, 1_790_000_100, 1_790_000_200
A0, A1, A2, B1, C1 = (fake(f"{stem}-py3-none-any.whl") for stem in ("a-0.9", "a-1.0", "a-2.0", "b-1.0", "c-1.0"))
B1_CP312, B1_CP313 = (fake(f"b-1.0-{tag}-{tag}-linux_x86_64.whl") for tag in ("cp312", "cp313"))
TWIN = sample("d-1.0-py3-none-any.whl", A1.data, None)
E1, F1 = (fake(f"{stem}-py3-none-any.whl") for stem in ("e-1.0", "f-1.0"))

ZEROTH = bundle(A0, B1, sequence=OLD)
FIRST = bundle(A1, B1, B1_CP312, sequence=NEW)
SECOND = bundle(A1.but(yanked="bad"), A2, B1_CP313, C1, sequence=NEWEST)
TINY = bundle(A1, sequence=NEW)
INSIDE = bundle(TWIN, E1, F1, channel="inside", sequence=NEW)


@dataclass(frozen=True)
class Case:
    """One thing that is done to a folder. ``own`` is the part of it that may change.

    ``drops``: what only the state before had is to leave.
    """

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path, Disk], None]
    own: str
    plain: bool = False
    drops: bool = False

    @property
    def is_tree(self) -> bool:
        return self.own != "out"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Exhibit:
    """A case that was run once without a fault: the folder before and after, what was served, how it went."""

    case: Case
    before: Place
    after: Place
    served_before: dict[str, bytes]
    served_after: dict[str, bytes]
    operations: tuple[str, ...]


class Playground:
    """A folder in which places are laid out, one after the other."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count()

    def new(self) -> Path:
        return self._root / str(next(self._numbers))

    def laid_out(self, place: Place) -> Path:
        path = self.new()
        lay_out(place, path)
        return path

    @staticmethod
    def clear(path: Path) -> None:
        shutil.rmtree(path)


def sources(each: MemoryBundle) -> dict[str, Path | bytes]:
    found: dict[str, Path | bytes] = {one.file.path: one.data for one in each.samples}
    for one in each.samples:
        if one.metadata is not None:
            found[f"{one.file.path}.metadata"] = one.metadata
    return found


@functools.cache
def _tar(name: str, carried: tuple[str, ...] | None = None) -> bytes:
    each = {"zeroth": ZEROTH, "first": FIRST, "second": SECOND, "tiny": TINY, "inside": INSIDE}[name]
    target = io.BytesIO()
    names = None if carried is None else frozenset(map(file_name, carried))
    write_bundle(each.manifest, sources(each), target, carried=names, members=carried is None)
    return target.getvalue()


# ---- trees -----------------------------------------------------------------------------------------------------------


def _take_in(world: Path, tree: str, names: Iterable[str], *, plain: bool, disk: Disk, **options: object) -> None:
    """The command: import every bundle, then publish them in one step. ``closed.render``, on a disk of ours."""
    with open_tree(world / tree, plain=plain, disk=disk) as opened:
        digests = []
        for name in names:
            with open_bundle(world / "medium" / name) as reading:
                digests.append(import_bundle(opened, reading, bundle_size=100_000).digest)
        publish(opened, digests, now=NOW, **options)  # type: ignore[arg-type]  # passed on as they come


def _import_only(world: Path, tree: str, names: Iterable[str], *, plain: bool, disk: Disk) -> None:
    with open_tree(world / tree, plain=plain, disk=disk) as opened:
        for name in names:
            with open_bundle(world / "medium" / name) as reading:
                import_bundle(opened, reading)


def _publish_only(
    world: Path, tree: str, digests: Sequence[Sha256], *, plain: bool, disk: Disk, **options: object
) -> None:
    """What was imported by an earlier run. Run again, it may have been published before its power went."""
    with open_tree(world / tree, plain=plain, disk=disk) as opened:
        publish(opened, digests, now=NOW, **options)  # type: ignore[arg-type]  # as above


def _world(world: Path) -> None:
    (world / "medium").mkdir(parents=True)
    (world / "somebody").mkdir()
    (world / "somebody" / "notes.txt").write_text("not ours")
    for name in ("zeroth", "first", "second", "tiny"):
        (world / "medium" / name).write_bytes(_tar(name))
    (world / "medium" / "one").write_bytes(_tar("inside", (E1.file.filename,)))
    (world / "medium" / "two").write_bytes(_tar("inside", (F1.file.filename,)))


_REPLACING: dict[str, object] = {"replace": channels("default")}
_LAYERS: dict[str, object] = {"channels": channels("inside", "default")}


def _tree_cases(*, plain: bool) -> Iterable[Case]:
    render, bring, show = (functools.partial(each, plain=plain) for each in (_take_in, _import_only, _publish_only))
    kind = "plain" if plain else "linked"
    quick = QuickDisk()

    def nothing(world: Path) -> None:
        _world(world)

    def two_before(world: Path) -> None:
        _world(world)
        for name in ("zeroth", "first"):
            render(world, "tree", [name], disk=quick, **_REPLACING)

    def one_volume(world: Path) -> None:
        _world(world)
        render(world, "tree", ["first"], disk=quick)
        bring(world, "tree", ["one"], disk=quick)

    def imported(prepare: Callable[[Path], None], tree: str, *names: str) -> Callable[[Path], None]:
        def both(world: Path) -> None:
            prepare(world)
            bring(world, tree, names, disk=quick)

        return both

    fixtures: tuple[tuple[str, Callable[[Path], None], str, tuple[str, ...], Sha256, dict[str, object]], ...] = (
        ("first", nothing, "srv/deep/tree", ("first",), FIRST.digest, {}),
        ("second", two_before, "tree", ("second",), SECOND.digest, _REPLACING),
        ("layers", one_volume, "tree", ("one", "two"), INSIDE.digest, _LAYERS),
    )
    for name, prepare, tree, names, digest, options in fixtures:
        yield Case(
            f"render-{name}-{kind}",
            prepare,
            lambda world, disk, tree=tree, names=names, options=options: render(  # type: ignore[misc]  # bound now
                world, tree, names, disk=disk, **options
            ),
            tree,
            plain,
        )
        yield Case(
            f"import-{name}-{kind}",
            prepare,
            lambda world, disk, tree=tree, names=names: bring(  # type: ignore[misc]  # bound now
                world, tree, names, disk=disk
            ),
            tree,
            plain,
        )
        yield Case(
            f"publish-{name}-{kind}",
            imported(prepare, tree, *names),
            lambda world, disk, tree=tree, digest=digest, options=options: show(  # type: ignore[misc]  # bound now
                world, tree, [digest], disk=disk, **options
            ),
            tree,
            plain,
        )


# ---- bundles ---------------------------------------------------------------------------------------------------------


def _bundle_cases() -> Iterable[Case]:
    def prepare(world: Path, *, old: bytes | None, each: MemoryBundle) -> None:
        (world / "out").mkdir(parents=True)
        (world / "out" / "neighbour.tar").write_bytes(b"not ours")
        (world / "cache").mkdir()
        for number, data in enumerate(sources(each).values()):
            assert isinstance(data, bytes)
            (world / "cache" / f"{number}.blob").write_bytes(data)
        if old is not None:
            (world / "out" / "b.tar").write_bytes(old)

    def run(world: Path, disk: Disk, *, each: MemoryBundle, carried: frozenset[str] | None) -> None:
        found: dict[str, Path | bytes] = {
            path: world / "cache" / f"{number}.blob" for number, path in enumerate(sources(each))
        }
        names = None if carried is None else frozenset(map(file_name, carried))
        write_bundle(each.manifest, found, world / "out" / "b.tar", carried=names, members=carried is None, disk=disk)

    fixtures = (
        ("first", None, FIRST, None),
        ("second", "first", SECOND, None),
        ("layers", "second", INSIDE, frozenset({E1.file.filename})),
    )
    for name, old, each, carried in fixtures:
        yield Case(
            f"bundle-{name}",
            lambda world, old=old, each=each: prepare(  # type: ignore[misc]  # bound now
                world, old=old and _tar(old), each=each
            ),
            lambda world, disk, each=each, carried=carried: run(  # type: ignore[misc]  # bound now
                world, disk, each=each, carried=carried
            ),
            "out",
        )


# ---- upkeep ----------------------------------------------------------------------------------------------------------


_LONG_AFTER = 4_000_000_000
"""Times are not kept where a world is laid out, and what was just written is in its grace."""


def _withdraw(tree: Path, disk: Disk) -> None:
    upkeep.withdraw(tree, {(A0.file.project, A0.file.version)}, reason="bad", now=NOW, disk=disk)


def _rollback(tree: Path, disk: Disk) -> None:
    """As a person does it who looks first: one who asks twice is turned back and forth."""
    if [each.source.digest for each in look(tree).contents.accepted] == [ZEROTH.digest]:
        with open_tree(tree, disk=disk) as opened:
            publish(opened, now=NOW)
    else:
        upkeep.rollback(tree, now=NOW, disk=disk)


def _rollback_to(tree: Path, disk: Disk) -> None:
    upkeep.rollback(tree, now=NOW, to=ZEROTH.manifest.stem, disk=disk)


def _prune(tree: Path, disk: Disk) -> None:
    upkeep.prune(tree, now=_LONG_AFTER, disk=disk)


def _keep(tree: Path, disk: Disk) -> None:
    upkeep.prune(tree, now=NOW, keep=1, disk=disk)


def _clear(tree: Path, disk: Disk) -> None:
    upkeep.prune(tree, now=NOW, keep=1, at_once=True, disk=disk)


def _gzip(tree: Path, disk: Disk) -> None:
    with open_tree(tree, disk=disk) as opened:
        publish(opened, now=NOW, edit=Edit(gzip=True))


def _no_gzip(tree: Path, disk: Disk) -> None:
    with open_tree(tree, disk=disk) as opened:
        publish(opened, now=NOW, edit=Edit(gzip=False))


def _upkeep_cases(*, plain: bool) -> Iterable[Case]:
    def prepare(world: Path, *, replace: bool, gzip: bool, third: bool) -> None:
        _world(world)
        for name in ("zeroth", "tiny", *(["second"] if third else ())):
            _take_in(
                world, "tree", [name], plain=plain, disk=QuickDisk(), replace=channels("default") if replace else ()
            )
        if gzip:
            _gzip(world / "tree", QuickDisk())

    cases: tuple[tuple[str, str, Callable[[Path, Disk], None]], ...] = (
        ("withdraw", "", _withdraw),
        ("rollback", "", _rollback),
        ("rollback-to", "third", _rollback_to),
        ("prune", "replace", _prune),
        ("keep", "", _keep),
        ("clear", "", _clear),
        ("gzip", "", _gzip),
        ("no-gzip", "gzip", _no_gzip),
    )
    for name, before, run in cases:
        yield Case(
            f"{name}-{'plain' if plain else 'linked'}",
            functools.partial(prepare, replace=before == "replace", gzip=before == "gzip", third=before == "third"),
            lambda world, disk, run=run: run(world / "tree", disk),  # type: ignore[misc]  # bound now
            "tree",
            plain,
            drops=run in (_prune, _clear),
        )


# ---- in-house --------------------------------------------------------------------------------------------------------


def _adding_cases(*, plain: bool) -> Iterable[Case]:
    """A file of our own that begins to hide a project; and, without links, the next one of the same channel."""
    offered = [wheel("a", "7.0"), wheel("h", "2.0")]

    def prepare(world: Path, *, before: int) -> None:
        _world(world)
        _take_in(world, "tree", ["tiny"], plain=plain, disk=QuickDisk())
        (world / "dist").mkdir()
        for each in offered:
            (world / "dist" / each.file.filename).write_bytes(each.data)
        if before:
            run(world, QuickDisk(), begin=0, end=before)

    def run(world: Path, disk: Disk, *, begin: int, end: int) -> None:
        files = [world / "dist" / each.file.filename for each in offered[begin:end]]
        inhouse.add(world / "tree", files, now=NOW, disk=disk)

    begin = 1 if plain else 0
    yield Case(
        "add-more-plain" if plain else "add-linked",
        functools.partial(prepare, before=begin),
        functools.partial(run, begin=begin, end=begin + 1),
        "tree",
        plain,
    )


BUNDLING = tuple(_bundle_cases())
TREES = (*_tree_cases(plain=False), *_tree_cases(plain=True))
UPKEEP = (*_upkeep_cases(plain=False), *_upkeep_cases(plain=True))
ADDING = (*_adding_cases(plain=False), *_adding_cases(plain=True))
CASES = {case.name: case for case in (*BUNDLING, *TREES, *UPKEEP, *ADDING)}


@functools.cache
def _prepared(case: Case, folder: Path) -> Exhibit:
    world = Path(tempfile.mkdtemp(dir=folder))
    case.prepare(world)
    before, served_before = scan(world), served(case, world)
    disk = Failing()
    case.run(world, disk)
    found = Exhibit(case, before, scan(world), served_before, served(case, world), tuple(disk.told))
    shutil.rmtree(world)
    return found


def exhibit(case: Case, folder: Path) -> Exhibit:
    """The case, run in *folder* where that was not done yet."""
    return _prepared(case, folder)


def served(case: Case, world: Path) -> dict[str, bytes]:
    """What clients see of it."""
    if case.is_tree:
        return snapshot(world / case.own)
    target = world / case.own / "b.tar"
    return {"b.tar": target.read_bytes()} if target.exists() else {}


def journal(case: Case, world: Path, **options: object) -> Journal:
    """The case, run in *world*, which is laid out, and written down."""
    disk = Journal(world, **options)  # type: ignore[arg-type]  # passed on as they come
    case.run(world, disk)
    return disk
