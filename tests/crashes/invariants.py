"""The one judge: what must be true after every fault, and after the same command was run again.

V1  what is served is one whole generation, the old one or the new one (a plain tree promises less, see below);
V2  files that the current or the previous generation names still have their hashes; a withdrawn one leaves at once,
    and what only the previous one had may leave where a prune is to remove it;
V3  nothing unverified is believed: a file in ``incoming/`` may be what a crash left (names there are not synced), so
    the code hashes before it believes, and the second run proves it; temporary files are gone after it;
V4  the same command, run again, completes, and leaves byte for byte what a run without a fault leaves;
V5  an error number becomes a DiskFault with its code and a hint, and then nothing that clients see has changed;
V6  nothing outside the tree, or beside the bundle, has changed;
V8  a run that fails does not do much more than one that does not.

A plain tree: each page is whole, old or new, and each file that a served page names is there and is what it says. A
folder's pages may be of two generations until the next run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pypimirror.bundle.reader import open_bundle
from pypimirror.errors import DiskFault, PypimirrorError
from pypimirror.tree import contents
from pypimirror.tree.inventory import taken_back
from pypimirror.tree.layout import Layout
from pypimirror.tree.records import inventory_of
from pypimirror.tree.view import look
from tests.crashes.cases import Case, Exhibit, served
from tests.crashes.faults import CODES, Failing
from tests.crashes.journal import Place, scan
from tests.tree.helpers import QuickDisk, check_tree, links

__all__ = ["invariants", "judge_fault", "run_again"]


def invariants(exhibit: Exhibit, world: Path, *, finished: bool = False) -> list[str]:
    """What is wrong in *world* right after a fault. *finished*: the run had reported success, so old is wrong, too."""
    try:
        return [*_look(exhibit, world, finished=finished)]
    except (OSError, PypimirrorError, ValueError, KeyError, AssertionError) as error:
        return [f"what is there can't even be read: {error!r}"]


def _look(exhibit: Exhibit, world: Path, *, finished: bool) -> Iterator[str]:
    case = exhibit.case
    yield from (f"V6 {fault}" for fault in _outside(exhibit, scan(world)))
    seen = served(case, world)
    if case.plain and not finished:
        yield from (f"V1 {fault}" for fault in _weaker(exhibit, world / case.own, seen))
    elif seen not in ((exhibit.served_after,) if finished else (exhibit.served_before, exhibit.served_after)):
        yield f"V1 neither old nor new is served, but {_difference(exhibit, seen)}"
    if not case.is_tree:
        for name in seen:
            with open_bundle(world / case.own / name) as bundle:
                bundle.verify()
        return
    tree = world / case.own
    if not case.plain or finished:
        yield from (f"V1 {fault}" for fault in check_tree(tree))
    yield from (f"V2 {fault}" for fault in _kept(tree, case, finished=finished))


def _difference(exhibit: Exhibit, seen: dict[str, bytes]) -> str:
    facts = []
    for name, known in (("old", exhibit.served_before), ("new", exhibit.served_after)):
        other = sorted(path for path in seen.keys() | known.keys() if seen.get(path) != known.get(path))
        facts.append(f"{len(other)} of {len(known)} differ from {name} ({', '.join(other[:3])})")
    return "; ".join(facts)


def _weaker(exhibit: Exhibit, tree: Path, seen: dict[str, bytes]) -> Iterator[str]:
    before, after = exhibit.served_before, exhibit.served_after
    for path, data in seen.items():
        if data not in (before.get(path), after.get(path)):
            yield f"{path} is neither old nor new"
    for path in before.keys() & after.keys() - seen.keys():
        yield f"{path} is gone, though old and new have it"
    for page in [*(tree / "simple").glob("*/index.html"), *tree.glob("packages/index.html")]:
        for link in links(page):
            name, _, digest = link["href"].rpartition("/")[2].partition("#sha256=")
            file = tree / "packages" / name
            if not file.is_file() or _sha256(file) != digest:
                yield f"{page.relative_to(tree)} names {name}, which is missing or not what it says"


def _kept(tree: Path, case: Case, *, finished: bool) -> Iterator[str]:
    """The files of the current and of the previous generation, by what each says of itself."""
    inside = tree / ".pypimirror"
    if case.plain:
        said = [path for path in (tree / "manifest.json", inside / "previous.json") if path.exists()]
        said = said[:1]  # what left by the step before this one has had its time
    elif (inside / "current").is_symlink():
        current = int((inside / "current").readlink().name)
        numbers = [int(each.name) for each in (inside / "generations").iterdir() if int(each.name) <= current]
        said = [inside / "generations" / str(number) / "manifest.json" for number in sorted(numbers)[-2:]]
        said = [path for path in said if path.exists() or path is said[-1]]  # the older one may be about to leave
    else:
        said = []
    at = Layout(tree)
    states = [inventory_of(at, contents.parse(path.read_bytes())) for path in said]
    gone = taken_back(states[0], states[-1]) if states else set()
    if finished and said:
        view = look(tree)
        left = {
            name for name in taken_back(view.previous_inventory(), view.inventory()) if (at.packages / name).exists()
        }
        yield from (f"{name} was withdrawn, and is still there" for name in left)
    if case.drops:
        said, states = said[-1:], states[-1:]
    for path, state in zip(said, states, strict=True):
        for name, facts in state.packages.items():
            if name in gone and state is not states[-1]:
                continue
            if not (tree / "packages" / name).is_file() or _sha256(tree / "packages" / name) != facts.sha256:
                yield f"{name} of {path.relative_to(tree)} is missing or has other bytes"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _outside(exhibit: Exhibit, place: Place) -> Iterator[str]:
    own = exhibit.case.own

    def is_ours(path: str) -> bool:
        if not exhibit.case.is_tree:
            return path == "out/b.tar" or path.startswith("out/.b.tar.part-")
        return path == own or path.startswith(f"{own}/") or own.startswith(f"{path}/")

    for path in exhibit.before.keys() | place.keys():
        if exhibit.before.get(path) != place.get(path) and not is_ours(path):
            yield f"{path} changed"


def run_again(exhibit: Exhibit, world: Path) -> list[str]:
    """What is wrong after the same command on a healthy disk."""
    case = exhibit.case
    try:
        case.run(world, QuickDisk())
    except (OSError, PypimirrorError, AssertionError) as error:
        return [f"V4 run again, it fails: {error!r}"]
    place, wanted = _comparable(case, scan(world)), _comparable(case, exhibit.after)
    if place == wanted:  # byte for byte what a run without a fault left, and that was looked at
        return []
    faults = invariants(exhibit, world, finished=True)
    for path in sorted(place.keys() | wanted.keys()):
        if path not in wanted:
            faults.append(f"V{3 if '.part' in path else 4} run again, {path} is left over")
        elif path not in place:
            faults.append(f"V4 run again, {path} is missing")
        elif place[path] != wanted[path]:
            faults.append(f"V4 run again, {path} differs")
    return faults


def _comparable(case: Case, place: Place) -> Place:
    """But for the lock, which names the process."""
    return {path: entry for path, entry in place.items() if path != f"{case.own}/.pypimirror/lock"}


def judge_fault(exhibit: Exhibit, world: Path, disk: Failing, number: int, error: BaseException | None) -> list[str]:
    """V5 and V8: how the run took it. *error* is what it raised, if it did."""
    faults = []
    seen, after = served(exhibit.case, world), exhibit.served_after
    # Without links a page that no page leads to any more may stay until the next run, as a note says.
    done = seen == after or (exhibit.case.plain and after.items() <= seen.items())
    if error is None:
        if not done:
            faults.append("V5 it succeeds, and the new state is not served")
    elif not isinstance(error, DiskFault):
        faults.append(f"V5 not a DiskFault, but {error!r}")
    else:
        if error.code != CODES[number] or not error.hint or exhibit.case.own.rpartition("/")[2] not in str(error):
            faults.append(f"V5 {error.code}: {error} ({error.hint or 'no hint'})")
        changed = exhibit.served_before != exhibit.served_after
        # It is there, but may not be after a power loss; or what comes after it failed, as it is told.
        if done and changed and not disk.first.startswith("sync_") and not exhibit.case.drops:
            faults.append(f"V5 it fails, and the new state is served all the same: {error}")
    if len(disk.told) > 2 * len(exhibit.operations) + 20:
        faults.append(f"V8 {len(disk.told)} operations, where a run without a fault takes {len(exhibit.operations)}")
    return faults
