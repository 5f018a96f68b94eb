"""Sets x targets x patch releases -> resolutions -> one plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from packaging.requirements import Requirement

from pypimirror.errors import IntegrityFault, PolicyFault, ResolutionFault
from pypimirror.index.languages import compiler_note
from pypimirror.index.port import Index
from pypimirror.model.files import ListedFile, ProjectStatus
from pypimirror.model.names import Label, NormalizedName, Version
from pypimirror.model.plan import Plan, PlannedFile, Uncovered
from pypimirror.model.requests import Constraint, Origin, WishSet
from pypimirror.model.targets import Target
from pypimirror.reporting import Reporter
from pypimirror.resolve.answers import Answer, solve_target
from pypimirror.resolve.builds import solve_builds
from pypimirror.resolve.judge import NEWEST_PATCH

__all__ = ["make_plan"]


def make_plan(
    sets: tuple[WishSet, ...],
    targets: tuple[Target, ...],
    index: Index,
    reporter: Reporter,
    *,
    build_constraints: tuple[Constraint, ...] = (),
) -> Plan:
    """Solve every set on every target, then what building their sdists takes, and unite the answers.

    Raises ResolutionFault for the first set and target without an answer, and what the index raises.
    """
    answers: list[Answer] = []
    notes: list[str] = []
    total = len(sets) * len(targets)
    for wishes in sets:
        of_set: list[Answer] = []
        for target in targets:
            reporter.resolving(set_name=wishes.name, target=target.name, done=len(answers) + len(of_set), total=total)
            of_set.append(solve_target(wishes, target, index))
        if wishes.policy.align and len(targets) > 1:
            of_set, unaligned = _align(of_set, index)
            notes += unaligned
        answers += [_with_sdists(answer, index) for answer in of_set]
    builds: dict[Label, WishSet] = {}
    for built in solve_builds(tuple(answers), index, build_constraints):
        builds[built.wishes.name] = built.wishes
        answers.append(built)
    return _unite((*sets, *(builds[name] for name in sorted(builds))), targets, answers, notes, index)


# ---- one version of a project over all targets ----------------------------------------------------------------------


def _align(answers: list[Answer], index: Index) -> tuple[list[Answer], list[str]]:
    """Ask for one version of each project on all targets: the newest of those chosen that works on each.

    A project for which none does is left as it was, and told.
    """
    notes: list[str] = []
    given_up: set[NormalizedName] = set()
    while (split := _first_split(answers, given_up)) is not None:
        project, versions = split
        aligned = _aligned_on(answers, project, versions, index)
        if aligned is None:
            given_up.add(project)
            chosen = ", ".join(map(str, versions))
            notes.append(f"{project} could not be aligned: no single version of {chosen} works on every target")
        else:
            answers = aligned
    return answers, notes


def _first_split(
    answers: list[Answer], given_up: set[NormalizedName]
) -> tuple[NormalizedName, tuple[Version, ...]] | None:
    versions: dict[NormalizedName, set[Version]] = {}
    for answer in answers:
        for resolution in answer.resolutions:
            for pin in resolution.pins:
                versions.setdefault(pin.project, set()).add(pin.version)
    for project, several in sorted(versions.items()):
        if len(several) > 1 and project not in given_up:
            return project, tuple(sorted(several, reverse=True))
    return None


def _aligned_on(
    answers: list[Answer], project: NormalizedName, versions: Iterable[Version], index: Index
) -> list[Answer] | None:
    """The answers with *project* at the first of *versions* that leaves no patch release uncovered; None without one.

    ``===``, since ``==2.4`` would admit 2.4+cpu, too.
    """
    for version in versions:
        bound = Constraint(requirement=Requirement(f"{project}==={version}"), origin=Origin(path="--align"))
        try:
            return [_bound(answer, project, version, bound, index) for answer in answers]
        except ResolutionFault:
            continue
    return None


def _bound(answer: Answer, project: NormalizedName, version: Version, bound: Constraint, index: Index) -> Answer:
    """An answer under one more constraint. Raises ResolutionFault where less can be had than before."""
    wishes = replace(answer.wishes, constraints=(*answer.wishes.constraints, bound))
    chosen = {pin.version for each in answer.resolutions for pin in each.pins if pin.project == project}
    if chosen <= {version}:
        return replace(answer, wishes=wishes)
    solved = solve_target(wishes, answer.target, index)
    if not _covered(answer) <= _covered(solved):
        raise ResolutionFault(f"{project} {version} is not for every patch release", code="uncovered")
    return solved


def _covered(answer: Answer) -> set[int]:
    """The patch releases that an answer is for."""
    return {
        patch
        for patches in (each.patches for each in answer.resolutions)
        for patch in range(patches.lowest, max(patches.lowest, patches.highest or NEWEST_PATCH) + 1)
    }


# ---- sources that come along ----------------------------------------------------------------------------------------


def _with_sdists(answer: Answer, index: Index) -> Answer:
    """With the sdist of each version that is taken as a wheel, where the set's policy wants it and there is one."""
    if not answer.wishes.policy.carry_sdists:
        return answer
    beside: dict[str, ListedFile] = {}
    notes: list[str] = []
    for candidate in answer.candidates:
        if not candidate.file.name.is_wheel:
            continue
        listing = index.listing(candidate.key.project)
        files = listing.files if listing is not None else ()
        sdists = [each for each in files if not each.name.is_wheel and each.name.version == candidate.version]
        try:
            if sdists:
                index.core_metadata(sdists[0])
                beside[sdists[0].name.filename] = sdists[0]
                continue
            why = "there is none"
        except (ResolutionFault, IntegrityFault) as fault:
            why = str(fault)
        notes.append(f"the sdist of {candidate.key.project} {candidate.version} does not come along: {why}")
    return replace(answer, beside=tuple(beside.values()), notes=(*answer.notes, *dict.fromkeys(notes)))


# ---- all answers, one plan ------------------------------------------------------------------------------------------


def _unite(
    sets: tuple[WishSet, ...], targets: tuple[Target, ...], answers: list[Answer], notes: list[str], index: Index
) -> Plan:
    files: dict[str, PlannedFile] = {}
    for answer in answers:
        for listed in (*(candidate.file for candidate in answer.candidates), *answer.beside):
            planned = PlannedFile(listed=listed, metadata=index.core_metadata(listed))
            known = files.setdefault(planned.filename.casefold(), planned)
            if known.listed != planned.listed:
                _refuse_two_contents(known, planned)
        notes = [*notes, *answer.notes]
    direct = {each.direct.url for wishes in sets for each in wishes.roots if each.direct}
    direct |= {each.direct.url for wishes in sets for each in wishes.constraints if each.direct}
    statuses, told = _listing_notes(files.values(), direct, index)
    uncovered = tuple(gap for answer in answers for gap in answer.uncovered)
    notes += told
    notes += [
        f"{g.target}: Python {_patches(g, targets)} is not covered: {g.reason.splitlines()[0]}" for g in uncovered
    ]
    return Plan(
        targets=targets,
        sets=sets,
        resolutions=tuple(resolution for answer in answers for resolution in answer.resolutions),
        uncovered=uncovered,
        files=tuple(sorted(files.values(), key=lambda file: file.filename)),
        statuses=statuses,
        notes=tuple(dict.fromkeys(notes)),
    )


def _patches(gap: Uncovered, targets: tuple[Target, ...]) -> str:
    target = next(target for target in targets if target.name == gap.target)
    return gap.patches.describe(target.environment.python_version)


def _refuse_two_contents(known: PlannedFile, other: PlannedFile) -> None:
    mine, theirs = dict(known.listed.hashes), dict(other.listed.hashes)
    shared = mine.keys() & theirs.keys()
    same = all(mine[algorithm] == theirs[algorithm] for algorithm in shared)
    if known.filename == other.filename and same and (shared or known.listed.url == other.listed.url):
        return
    raise PolicyFault(
        f"{known.filename} stands for two different files: from {_place(known)} and from {_place(other)}",
        code="two-contents",
        hint="one name can hold one content: leave one of the two out, or give it another version or build tag",
    )


def _place(file: PlannedFile) -> str:
    return "a direct reference" if file.listed.index in ("", "direct") else file.listed.index


def _listing_notes(
    files: Iterable[PlannedFile], direct: set[str], index: Index
) -> tuple[tuple[tuple[NormalizedName, ProjectStatus], ...], list[str]]:
    """The status of every project, and what its listing gives to say. What was named as a file has no listing."""
    notes: list[str] = []
    statuses: dict[NormalizedName, ProjectStatus] = {}
    for file in sorted(files, key=lambda file: file.filename):
        name = file.listed.name
        if file.listed.yanked is not None:
            reason = f": {file.listed.yanked}" if file.listed.yanked else ""
            notes.append(f"{file.filename} is yanked, and taken since a pin asks for exactly it{reason}")
        if not name.is_wheel:
            notes.append(_sdist_note(file))
        if name.project in statuses or file.listed.url in direct:
            continue
        listing = index.listing(name.project)
        statuses[name.project] = listing.status if listing is not None else ProjectStatus()
        if listing is None:
            continue
        if listing.also_on:
            others = ", ".join(listing.also_on)
            notes.append(f"{name.project} is taken from {listing.index}, and stands on {others} too")
        if listing.status.status != "active":
            reason = f": {listing.status.reason}" if listing.status.reason else ""
            notes.append(f"{name.project} is {listing.status.status}{reason}")
    return tuple(sorted(statuses.items())), notes


def _sdist_note(file: PlannedFile) -> str:
    compiler = compiler_note(file.metadata.languages, file.listed.name.project)
    but = f"; but {compiler} must be there" if compiler else ""
    if file.metadata.build_undecided:
        but += f"; its setup.py decides what else that is: --allow-build {file.listed.name.project} finds out"
    return f"{file.filename} is an sdist: whoever installs it builds it; what that takes comes along{but}"
