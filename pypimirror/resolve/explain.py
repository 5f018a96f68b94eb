"""Why there is no resolution, in sentences that a person can act on.

Who wants what, through whom, down to the line that a person wrote; what was refused and why; and the nearest thing that
would work, found by solving again with one wish less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from resolvelib.structs import RequirementInformation

from pypimirror.errors import PypimirrorError, ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import Listing, Refusal, Rejection
from pypimirror.model.names import NormalizedName, Version
from pypimirror.model.requests import Constraint, Root, WishSet
from pypimirror.model.targets import Target
from pypimirror.resolve.counting import count_rejections
from pypimirror.resolve.dependencies import IMPOSSIBLE
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need, parse_requirement
from pypimirror.resolve.provider import Provider
from pypimirror.resolve.solve import Clash, solve

__all__ = ["explain"]

_MAX_TRIES = 6
_MAX_LINES = 12
_UNKNOWN = "check the spelling, and that the right index is asked (--index-url, --extra-index-url)"


def explain(clash: Clash, wishes: WishSet, judge: Judge, index: Index) -> ResolutionFault:
    """The fault for a search that failed."""
    where = _where(wishes, judge.target)
    simple = _simple_cause(clash, where, wishes)
    if simple is not None:
        return simple
    lines = list(_conflict_lines(clash, wishes))
    if len(lines) > _MAX_LINES:
        lines = [*lines[:_MAX_LINES], f"  and {len(lines) - _MAX_LINES} more"]
    return ResolutionFault(
        "\n".join([f"{where}: these can't be had together", *lines]),
        code="conflict",
        hint=_nearest(clash, wishes, judge, index),
    )


def _where(wishes: WishSet, target: Target) -> str:
    return target.name if wishes.name == "default" else f"set {wishes.name} on {target.name}"


# ---- one project alone is the cause ---------------------------------------------------------------------------------


def _simple_cause(clash: Clash, where: str, wishes: WishSet) -> ResolutionFault | None:
    """A project that isn't there, has nothing for the target, or no version that a single want admits."""
    provider = clash.provider
    unknown = _unknown_roots(provider)
    if len(unknown) > 1:
        return ResolutionFault(
            "\n".join(f"{where}: no index has {need.key}, wanted by {_origin(need)}" for need in unknown),
            code="unknown-project",
            hint=_UNKNOWN,
        )
    for cause in clash.causes:
        project = cause.requirement.key.project
        if project == IMPOSSIBLE:
            continue
        by = _who(cause.parent, cause.requirement, clash)
        if project in provider.shelves.missing:
            return ResolutionFault(
                f"{where}: no index has {project}, wanted by {by}",
                code="unknown-project",
                hint=_UNKNOWN,
            )
        shelf = provider.shelves.of(project)
        if shelf is not None and not shelf.has_any():
            status = shelf.listing.status
            if status.status == "quarantined":  # an index then leaves its files out (PEP 792)
                why = f": {status.reason}" if status.reason else ""
                return ResolutionFault(
                    f"{where}: {project} is quarantined by the index{why}; wanted by {by}",
                    code="quarantined",
                    hint="it may be malware: do without it, and withdraw it from trees that have it",
                )
            return ResolutionFault(
                f"{where}: {project} has no usable file, wanted by {by}\n  {count_rejections(shelf.rejections())}",
                code="no-file",
                hint=_no_file_hint(shelf.rejections()),
            )
    return _no_version(clash, where, wishes)


def _unknown_roots(provider: Provider) -> list[Need]:
    """Every root that no index has: they are told together, not one a run."""
    needs = [need for need in provider.shelves.root_needs() if not need.key.extra]
    return [need for need in needs if provider.shelves.of(need.key.project) is None]


def _no_file_hint(rejections: Iterable[Rejection]) -> str:
    reasons = {rejection.reason for rejection in rejections}
    if not reasons:
        return "the index lists the project, but no file of it"
    if Refusal.NO_HASH in reasons:
        return "use an index that states sha256 hashes, or accept files without with --allow-unhashed"
    if Refusal.FORMAT_NOT_ALLOWED in reasons:
        return "--only-binary or --no-binary forbids the rest"
    if Refusal.HASH_NOT_ALLOWED in reasons:
        return "add the hash of a file that this target can use, or ask for the version that the hashes are of"
    return "choose another target, another version, or leave the project out with a marker"


def _no_version(clash: Clash, where: str, wishes: WishSet) -> ResolutionFault | None:
    """One key, and one want of it that no version meets by itself."""
    provider = clash.provider
    for cause in clash.causes:
        key, need = cause.requirement.key, cause.requirement
        shelf = provider.shelves.of(key.project) if key.project != IMPOSSIBLE else None
        if shelf is None or any(provider.shelves.candidates(Key(key.project), shelf, [need], frozenset())):
            continue
        by = _who(cause.parent, need, clash)
        constraints = [c for c in wishes.constraints if canonicalize_name(c.requirement.name) == key.project]
        if constraints and any(need.admits(version) for version in shelf.versions):
            bounds = " and ".join(f"{c.requirement} ({c.origin})" for c in constraints)
            message = (
                f"{where}: no version of {key.project} meets {need.text}, wanted by {by}, and the constraint {bounds}"
            )
            hint = "change the constraint or the requirement"
        else:
            message = f"{where}: no version of {key.project} meets {need.text}, wanted by {by}"
            hint = ""
        admitted = [version for version in shelf.versions if provider.shelves.admitted(key.project, version, [need])]
        refused = list(shelf.rejections(admitted))
        yanked = [version for version in admitted if shelf.choice(version).best is not None]
        if refused:
            message += f"\n  {count_rejections(refused)}"
        if yanked:
            message += f"\n  {', '.join(map(str, yanked))}: yanked; only an exact pin ('==') takes a yanked version"
        usable = [v for v in shelf.versions if shelf.choice(v).unyanked is not None]
        if usable:
            finals = [version for version in usable if not version.is_prerelease]
            nearest = (finals or usable)[0]
            hint = hint or f"the newest that this target can use is {nearest}{_elsewhere(shelf.listing)}"
        return ResolutionFault(message, code="no-version", hint=hint)
    return None


def _elsewhere(listing: Listing) -> str:
    """Where several indexes have a project, the first one's answer may be a surprise."""
    if not listing.also_on:
        return ""
    others = ", ".join(listing.also_on)
    return f", on {listing.index}; it stands on {others} too, but the first index that has a project is the one heeded"


# ---- several wants clash --------------------------------------------------------------------------------------------


def _conflict_lines(clash: Clash, wishes: WishSet) -> Iterator[str]:
    """One line for each want that takes part, roots first, then by project; no line twice; what can't be used last."""
    told: dict[str, None] = {}
    unusable: dict[NormalizedName, dict[Version, str]] = {}
    causes = sorted(clash.telling_causes(), key=_by_root_project_and_version)
    for cause in causes:
        need, parent = cause.requirement, cause.parent
        if need.key.project == IMPOSSIBLE and parent is not None:
            unusable.setdefault(parent.key.project, {})[parent.version] = need.text
        elif parent is None:
            told[f"  {_origin(need)} wants {need.text}"] = None
        else:
            told[f"  {parent}{_through(parent, clash)} wants {need.text}"] = None
    yield from told
    for project, reasons in unusable.items():
        newest = max(reasons)
        others = f", nor {_others(len(reasons) - 1)}" if len(reasons) > 1 else ""
        yield f"  {project} {newest} can't be used{others}: {reasons[newest]}"
    involved = {cause.requirement.key.project for cause in causes}
    for constraint in wishes.constraints:
        if canonicalize_name(constraint.requirement.name) in involved:
            yield f"  {constraint.origin} allows only {constraint.requirement}"


def _by_root_project_and_version(cause: RequirementInformation[Need, Candidate]) -> tuple[object, ...]:
    parent = cause.parent
    who = ("", Version("0")) if parent is None else (str(parent.key), parent.version)
    return cause.requirement.key, parent is not None, who, cause.requirement.text


def _others(count: int) -> str:
    return "another version" if count == 1 else f"{count} other versions"


def _origin(need: Need) -> str:
    if need.root is None:
        return "a root"
    origin = need.root.origin
    return "the command line" if not origin.line and parse_requirement(origin.path) else str(origin)


def _who(parent: Candidate | None, need: Need, clash: Clash) -> str:
    return _origin(need) if parent is None else f"{parent}{_through(parent, clash)}"


def _through(candidate: Candidate, clash: Clash) -> str:
    """``, wanted by b 2.0, wanted by requirements.txt:3``: the way from a candidate up to a root."""
    words: list[str] = []
    key, seen = candidate.key, {candidate.key}
    while (want := clash.wanted_by(key)) is not None:
        parent, need = want
        if parent is None:
            words.append(f"wanted by {_origin(need)}")
            break
        if parent.key in seen:
            break
        if parent.key.project != key.project:
            words.append(f"wanted by {parent}")
        seen.add(parent.key)
        key = parent.key
    return f" ({', '.join(words)})" if words else ""


# ---- the nearest thing that would work ------------------------------------------------------------------------------


def _nearest(clash: Clash, wishes: WishSet, judge: Judge, index: Index) -> str:
    """Loosen one wish at a time, those nearest to the clash first, and say what comes of the first that resolves."""
    for written in _loosenable(clash, wishes)[:_MAX_TRIES]:
        try:
            solution = solve(_without(wishes, written), Judge(judge.target, judge.patch), index)
        except (Clash, PypimirrorError):
            continue
        project = canonicalize_name(written.requirement.name)
        pin = next((pin for pin in solution.pins if pin.project == project), None)
        what = f"{written.requirement} ({written.origin})"
        if pin is None:
            return f"without {what} it resolves"
        return f"without the bounds of {what} it resolves, with {project} {pin.version}"
    return "loosen one of these wishes, or put them into two sets"


def _loosenable(clash: Clash, wishes: WishSet) -> list[Root | Constraint]:
    """Roots and constraints with bounds: first those of projects in the clash, then those that lead to it."""
    involved: list[NormalizedName] = [cause.requirement.key.project for cause in clash.causes]
    involved += [cause.parent.key.project for cause in clash.causes if cause.parent is not None]
    for cause in clash.causes:
        key = cause.parent.key if cause.parent is not None else None
        seen: set[Key] = set()
        while key is not None and key not in seen:
            seen.add(key)
            want = clash.wanted_by(key)
            key = want[0].key if want is not None and want[0] is not None else None
            if key is not None:
                involved.append(key.project)
    every: list[Root | Constraint] = [*wishes.roots, *wishes.constraints]
    bounded = [w for w in every if w.requirement.specifier or isinstance(w, Constraint)]
    ranks = {project: rank for rank, project in reversed(list(enumerate(involved)))}
    near = [w for w in bounded if canonicalize_name(w.requirement.name) in ranks]
    return sorted(near, key=lambda w: ranks[canonicalize_name(w.requirement.name)])


def _without(wishes: WishSet, written: Root | Constraint) -> WishSet:
    if isinstance(written, Constraint):
        return replace(wishes, constraints=tuple(c for c in wishes.constraints if c is not written))
    loose = Requirement(str(written.requirement))
    loose.specifier = SpecifierSet()
    return replace(wishes, roots=tuple(replace(r, requirement=loose) if r is written else r for r in wishes.roots))
