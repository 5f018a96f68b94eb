"""The proof that a bundle installs: every resolution of a manifest solved again, from the manifest alone."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import Requirement

from pypimirror.errors import Incomplete, ResolutionFault
from pypimirror.index.manifest_index import ManifestIndex, listed
from pypimirror.model.manifest import BundledSet, Manifest, WrittenRequirement
from pypimirror.model.plan import Pin, Resolution
from pypimirror.model.requests import Constraint, FormatControl, Origin, Policy, Root, WishSet
from pypimirror.model.targets import Target
from pypimirror.resolve.explain import explain
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.solve import Clash, solve

__all__ = ["prove", "wish_set"]


def prove(manifest: Manifest) -> tuple[str, ...]:
    """Solve every set on every target, for every interval of patch releases, twice.

    Once with the files of its own pins alone: the answer must be those pins. And once with the whole manifest, as a
    client meets it: there must be an answer; where it has other pins, the sentence that says so is returned.
    Raises Incomplete, naming the set, the target and what is missing.
    """
    sets = {each.name: wish_set(each, manifest) for each in manifest.sets}
    targets = {target.name: target for target in manifest.targets}
    whole = ManifestIndex(manifest)
    notes: list[str] = []
    for resolution in manifest.resolutions:
        wishes, target = sets[resolution.set], targets[resolution.target]
        own = ManifestIndex(manifest, only=frozenset(pin.file for pin in resolution.pins))
        for pins in _solve_again(wishes, target, resolution, own):
            if _files(pins) != _files(resolution.pins):
                raise _other_pins(resolution, pins)
        for pins in _solve_again(wishes, target, resolution, whole):
            notes += _differences(resolution, pins)
    return tuple(dict.fromkeys(notes))


def wish_set(each: BundledSet, manifest: Manifest) -> WishSet:
    """A set as it was asked for, made again of what the manifest says."""
    files = {file.filename: file for file in manifest.files}

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
    )


def _origin(text: str) -> Origin:
    path, colon, line = text.rpartition(":")
    return Origin(path=path, line=int(line)) if colon and line.isdecimal() and int(line) else Origin(path=text)


def _solve_again(
    wishes: WishSet, target: Target, resolution: Resolution, index: ManifestIndex
) -> Iterator[tuple[Pin, ...]]:
    """The pins for each interval of the resolution's patch releases, cut where an answer of this solve turns."""
    waiting = [resolution.patches]
    while waiting:
        interval = waiting.pop()
        judge = Judge(target, interval.lowest)
        try:
            yield solve(wishes, judge, index, accept_older=True).pins
        except Clash as clash:
            raise _incomplete(resolution, explain(clash, wishes, judge, index)) from None
        except ResolutionFault as fault:
            raise _incomplete(resolution, fault) from None
        *newer, _ = interval.split(frozenset(judge.breakpoints))
        waiting.extend(newer)


def _incomplete(resolution: Resolution, fault: ResolutionFault) -> Incomplete:
    return Incomplete(
        f"set {resolution.set} can't be installed on {resolution.target} from these files alone: {fault}",
        code="incomplete",
        hint="nothing was written; please report this, with the command that led here",
    )


def _other_pins(resolution: Resolution, pins: tuple[Pin, ...]) -> Incomplete:
    wanted, found = _files(resolution.pins), _files(pins)
    return Incomplete(
        f"set {resolution.set} on {resolution.target}: solved again from its own files alone, it takes other ones: "
        f"missing {sorted(wanted - found)}, extra {sorted(found - wanted)}",
        code="incomplete",
        hint="nothing was written; please report this, with the command that led here",
    )


def _files(pins: tuple[Pin, ...]) -> set[str]:
    return {pin.file for pin in pins}


def _differences(resolution: Resolution, pins: tuple[Pin, ...]) -> list[str]:
    planned = {pin.project: pin.version for pin in resolution.pins}
    found = {pin.project: pin.version for pin in pins}
    changed = [p for p in sorted(planned.keys() | found.keys()) if planned.get(p) != found.get(p)]
    if not changed:
        return []
    words = ", ".join(f"{p} {found.get(p, 'not at all')} in place of {planned.get(p, 'none')}" for p in changed)
    return [f"{resolution.target}: with all files of the bundle in sight, a client may take {words}"]
