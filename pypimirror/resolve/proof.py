"""The proof that a bundle installs: every resolution of a manifest solved again, from manifests alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from packaging.requirements import Requirement

from pypimirror.errors import Incomplete, ResolutionFault
from pypimirror.index.manifest_index import ManifestIndex, listed
from pypimirror.index.port import Index
from pypimirror.model.manifest import BundledFile, BundledSet, Manifest, WrittenRequirement
from pypimirror.model.manifest_lists import named
from pypimirror.model.names import FileName, Label, NormalizedName
from pypimirror.model.plan import Pin, Resolution
from pypimirror.model.requests import Constraint, FormatControl, Origin, Policy, Root, WishSet
from pypimirror.model.targets import PatchRange, Target
from pypimirror.resolve.explain import explain
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.solve import Clash, solve
from pypimirror.values import dataclass

__all__ = ["Proof", "check", "prove", "wish_set"]

_AGAIN = "bundle it again, and render that bundle"
_HIDDEN = (
    "its own files suffice, so something else that is served is in the way: give the channel that hides what it needs "
    "a version that will do, let both add up with '--allow-mixed NAME', or state another order by 'render --channels'"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What came of solving again: for each resolution that fails a fault that names set, target and what is missing."""

    faults: tuple[Incomplete, ...]
    notes: tuple[str, ...]
    resolutions: int


def prove(manifest: Manifest) -> tuple[str, ...]:
    """The notes of ``check``. Raises the first Incomplete that it finds."""
    checked = check(manifest)
    for fault in checked.faults:
        fault.hint = "nothing was written; please report this, with the command that led here"
        raise fault
    return checked.notes


def check(
    manifest: Manifest,
    served: Index | None = None,
    *,
    absent: Callable[[Pin], str] = lambda _: "",
    about: Collection[NormalizedName] | None = None,
) -> Proof:
    """Solve every set on every target, for every interval of patch releases, twice.

    Once with the files of its own pins alone: the answer must be those pins. And once with the whole manifest, unless
    there is nothing more in it, or with all that is *served*, as a client meets it: there must be an answer; where it
    has other pins, a note says so. *absent* tells why a pin is not served, for people, and nothing of one that is.

    With *about*, only what pins one of these projects is solved, and only from what is served.
    """
    files = _named(manifest)
    sets = {each.name: _wish_set(each, files) for each in manifest.sets}
    targets = {target.name: target for target in manifest.targets}
    whole = served or ManifestIndex(manifest.files, manifest.projects)
    faults: list[Incomplete] = []
    notes: dict[str, None] = {}
    judges: dict[tuple[Label, int], Judge] = {}
    chosen = [each for each in manifest.resolutions if about is None or any(p.project in about for p in each.pins)]
    for resolution in chosen:
        wishes, target = sets[resolution.set], targets[resolution.target]
        pinned = _files(resolution.pins)
        own = ManifestIndex([files[name] for name in sorted(pinned)], manifest.projects)
        why = "; ".join(filter(None, map(absent, resolution.pins))) if served is not None else None
        try:
            for pins in _solve_again(wishes, target, resolution, own, judges) if about is None else ():
                if _files(pins) != pinned:
                    raise _other_pins(resolution, pins)
            if served is None and len(pinned) == len(manifest.files):
                continue
            for pins in _solve_again(wishes, target, resolution, whole, judges, why=why):
                notes.update(dict.fromkeys(_differences(resolution, pins)))
        except Incomplete as fault:
            faults.append(fault)
    if about is None:
        faults += _not_built(manifest)
    return Proof(faults=tuple(faults), notes=tuple(notes), resolutions=len(chosen))


def wish_set(each: BundledSet, manifest: Manifest) -> WishSet:
    """A set as it was asked for, made again of what the manifest says."""
    return _wish_set(each, _named(manifest))


def _named(manifest: Manifest) -> dict[FileName, BundledFile]:
    """The files that a pin or a written requirement names; of a large manifest all would be too many to hold."""
    names = {pin.file for each in manifest.resolutions for pin in each.pins}
    names.update(
        text.filename
        for each in manifest.sets
        for text in (*each.roots, *each.constraints)
        if text.filename is not None
    )
    return named(manifest.files, names)


def _wish_set(each: BundledSet, files: Mapping[FileName, BundledFile]) -> WishSet:
    def written(text: WrittenRequirement) -> Root:
        file = files.get(text.filename) if text.filename is not None else None
        return Root(
            requirement=Requirement(text.requirement),
            origin=_origin(text.origin),
            direct=listed(file) if file is not None else None,
        )

    return WishSet(
        name=each.name,
        roots=tuple(map(written, each.roots)),
        constraints=tuple(
            Constraint(requirement=root.requirement, origin=root.origin, direct=root.direct)
            for root in map(written, each.constraints)
        ),
        policy=Policy(
            prereleases=each.prereleases,
            formats=FormatControl(only_binary=frozenset(each.only_binary), no_binary=frozenset(each.no_binary)),
            prefer_binary=each.prefer_binary,
        ),
        builds=each.builds,
    )


def _not_built(manifest: Manifest) -> Iterator[Incomplete]:
    """The sdists that a resolution installs and no set builds, for that target and those patch releases."""
    builds = {each.name: each.builds for each in manifest.sets if each.builds is not None}
    spans: dict[tuple[FileName, Label], list[PatchRange]] = {}
    said = [(each.set, each.target, each.patches) for each in manifest.resolutions]
    said += [(gap.set, gap.target, gap.patches) for gap in manifest.uncovered]  # told when it was bundled
    for name, target, patches in said:
        if (filename := builds.get(name)) is not None:
            spans.setdefault((filename, target), []).append(patches)
    sdists = {
        file.filename for file in _named(manifest).values() if file.build_requires
    }  # a backend of its own needs nothing
    for resolution in manifest.resolutions:
        for pin in resolution.pins:
            if pin.file in sdists and not _covers(spans.get((pin.file, resolution.target), []), resolution.patches):
                yield Incomplete(
                    f"set {resolution.set} on {resolution.target}: nothing says what {pin.file} is built with",
                    code="incomplete",
                    hint=_AGAIN,
                )


def _covers(spans: list[PatchRange], wanted: PatchRange) -> bool:
    """Whether *spans* hold every patch release of *wanted*."""
    reached: int | None = wanted.lowest
    for span in sorted(spans, key=lambda span: span.lowest):
        if reached is not None and span.lowest <= reached:
            reached = None if span.highest is None else max(reached, span.highest + 1)
    return reached is None or (wanted.highest is not None and reached > wanted.highest)


def _origin(text: str) -> Origin:
    path, colon, line = text.rpartition(":")
    return Origin(path=path, line=int(line)) if colon and line.isdecimal() and int(line) else Origin(path=text)


def _solve_again(
    wishes: WishSet,
    target: Target,
    resolution: Resolution,
    index: Index,
    judges: dict[tuple[Label, int], Judge],
    *,
    why: str | None = None,
) -> Iterator[tuple[Pin, ...]]:
    """The pins for each interval of the resolution's patch releases, cut where an answer of this solve turns.

    *why* tells what of its pins is not served; None where it is not about what is served.
    """
    waiting = [resolution.patches]
    while waiting:
        interval = waiting.pop()
        # What a judge has found out holds for every set; breakpoints of another solve make more intervals at worst.
        place = (target.name, interval.lowest)
        judge = judges[place] = judges.get(place) or Judge(target, interval.lowest)
        try:
            yield solve(wishes, judge, index, accept_older=True).pins
        except Clash as clash:
            raise _incomplete(resolution, explain(clash, wishes, judge, index), why=why) from None
        except ResolutionFault as fault:
            raise _incomplete(resolution, fault, why=why) from None
        *newer, _ = interval.split(frozenset(judge.breakpoints))
        waiting.extend(newer)


def _incomplete(resolution: Resolution, fault: ResolutionFault, *, why: str | None) -> Incomplete:
    among = "these files alone" if why is None else "what is served"
    cause = f"{why}\n" if why else ""
    return Incomplete(
        f"set {resolution.set} can't be installed on {resolution.target} from {among}: {cause}{fault}",
        code="incomplete",
        hint=_AGAIN if why is None else _HIDDEN,
    )


def _other_pins(resolution: Resolution, pins: tuple[Pin, ...]) -> Incomplete:
    wanted, found = _files(resolution.pins), _files(pins)
    return Incomplete(
        f"set {resolution.set} on {resolution.target}: solved again from its own files alone, it takes other ones: "
        f"missing {sorted(wanted - found)}, extra {sorted(found - wanted)}",
        code="incomplete",
        hint=_AGAIN,
    )


def _files(pins: tuple[Pin, ...]) -> set[FileName]:
    return {pin.file for pin in pins}


def _differences(resolution: Resolution, pins: tuple[Pin, ...]) -> list[str]:
    planned = {pin.project: pin.version for pin in resolution.pins}
    found = {pin.project: pin.version for pin in pins}
    changed = [p for p in sorted(planned.keys() | found.keys()) if planned.get(p) != found.get(p)]
    if not changed:
        return []
    words = ", ".join(f"{p} {found.get(p, 'not at all')} in place of {planned.get(p, 'none')}" for p in changed)
    return [f"{resolution.target}: with all files of the bundle in sight, a client may take {words}"]
