"""What building takes: for each sdist that a resolution installs, a set of its own, solved for the same target.

pip and uv build an sdist in an environment of its own, which they fill from the index: what ``build-system.requires``
says, and what the backend adds to it. So that is a set as any other, whose roots the sdist wrote; a build tool that is
an sdist has its own set, and so on until nothing but wheels is left. Essential reading: PEP 517 and 518.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from packaging.requirements import Requirement

from pypimirror.errors import PypimirrorError, ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import ListedFile
from pypimirror.model.names import FileName, Label, NormalizedName, Version, label
from pypimirror.model.plan import Pin, Resolution
from pypimirror.model.requests import Constraint, Origin, Policy, Root, WishSet
from pypimirror.model.targets import Target
from pypimirror.resolve.answers import Answer, solve_target
from pypimirror.resolve.needs import parse_requirement
from pypimirror.values import dataclass

__all__ = ["set_name", "solve_builds", "solve_environment"]

_LONGEST_NAME = 100
_WITHOUT_WHEEL = Version("70.1")
"""From here on setuptools makes wheels by itself; before, its hooks ask for ``wheel``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """A source to be built on a target, with the rules of the set that installs it, and the sdists it is built for.

    ``label`` names it to people: an sdist's file name, or where a source tree lies.
    """

    label: str
    project: NormalizedName
    target: Target
    policy: Policy
    above: tuple[str, ...] = ()


def solve_builds(answers: Iterable[Answer], index: Index, constraints: tuple[Constraint, ...] = ()) -> Iterator[Answer]:
    """The answers of the sets that build what *answers* install from source, and what those in turn need built.

    *constraints* bound build requirements alone, as pip's build constraints do.

    Raises ResolutionFault: ``build-cycle`` where an sdist is needed to build itself, ``bad-build-requirement``, and
    what solving raises, with the sdist named; what the index raises.
    """
    waiting = [each for answer in answers for each in _sdists(answer, ())]
    done: set[tuple[FileName, Label]] = set()
    while waiting:
        file, job = waiting.pop(0)
        filename = file.name.filename
        _refuse_cycle(job)
        requires = index.core_metadata(file).build_requires
        if (filename, job.target.name) in done or not requires:
            continue
        done.add((filename, job.target.name))
        wishes = replace(_wishes(job, requires, constraints), name=set_name(filename), builds=filename)
        answer = _solve(job, wishes, index)
        yield answer
        waiting += _sdists(answer, (*job.above, filename))


def solve_environment(
    label_: str,
    project: NormalizedName,
    requires: tuple[str, ...],
    *,
    target: Target,
    index: Index,
    constraints: tuple[Constraint, ...],
) -> Answer:
    """What building one source of *project* on one target takes, given what it *requires*; *label_* is for people.

    Raises as ``solve_builds`` does.
    """
    job = _Job(label=label_, project=project, target=target, policy=Policy())
    return _solve(job, _wishes(job, requires, constraints), index)


def set_name(filename: FileName, *, with_wheel: bool = False) -> Label:
    """The name of the set that builds an sdist: ``build-docopt-0.6.2.tar.gz``."""
    name = f"build-{filename}{'-with-wheel' if with_wheel else ''}".replace("!", "_")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(filename.encode("ascii")).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return label(name)


def _sdists(answer: Answer, above: tuple[str, ...]) -> Iterator[tuple[ListedFile, _Job]]:
    """The sdists of an answer, by name; those that come along count, too."""
    pinned = {pin.file for resolution in answer.resolutions for pin in resolution.pins}
    files = {candidate.file.name.filename: candidate.file for candidate in answer.candidates}
    files.update((file.name.filename, file) for file in answer.beside)
    for filename in sorted(pinned | {file.name.filename for file in answer.beside}):
        file = files[filename]
        if not file.name.is_wheel:
            policy = answer.wishes.policy
            yield (
                file,
                _Job(label=filename, project=file.name.project, target=answer.target, policy=policy, above=above),
            )


def _solve(job: _Job, wishes: WishSet, index: Index) -> Answer:
    try:
        answer = solve_target(wishes, job.target, index)
        if any(map(_wants_wheel, answer.resolutions)):
            # A set of its own: another target may do without.
            name = set_name(wishes.builds, with_wheel=True) if wishes.builds is not None else wishes.name
            root = Root(requirement=Requirement("wheel"), origin=_origin(job))
            answer = solve_target(replace(wishes, name=name, roots=(*wishes.roots, root)), job.target, index)
    except ResolutionFault as fault:
        raise _named(fault, job) from None
    return answer


def _wishes(job: _Job, requires: tuple[str, ...], constraints: tuple[Constraint, ...]) -> WishSet:
    """What is needed for a build. As in pip, formats and pre-releases are handed down to it, hashes are not."""
    policy = replace(job.policy, require_hashes=False, align=False, carry_sdists=False)
    try:
        roots = tuple(_root(text, job) for text in requires)
    except ResolutionFault as fault:
        raise _named(fault, job) from None
    return WishSet(name=label("build"), roots=roots, constraints=constraints, policy=policy)


def _root(text: str, job: _Job) -> Root:
    requirement = parse_requirement(text)
    if requirement is None or requirement.url is not None:
        what = "can't be read" if requirement is None else "is an address, which can't cross the gap"
        raise ResolutionFault(
            f"the build requirement {text[:200]!r} {what}",
            code="bad-build-requirement",
            hint=f"choose another version of {job.project}, or one that has a wheel",
        )
    return Root(requirement=requirement, origin=_origin(job))


def _origin(job: _Job) -> Origin:
    return Origin(path=f"{job.label} (build)")


def _wants_wheel(resolution: Resolution) -> bool:
    pins: dict[NormalizedName, Pin] = {pin.project: pin for pin in resolution.pins}
    setuptools = pins.get(NormalizedName("setuptools"))
    return setuptools is not None and setuptools.version < _WITHOUT_WHEEL and "wheel" not in pins


def _refuse_cycle(job: _Job) -> None:
    """Whoever installs it would build without an end; so it is told before anything is carried."""
    if job.label not in job.above:
        return
    circle = [*job.above[job.above.index(job.label) :], job.label]
    raise ResolutionFault(
        f"{job.target.name}: {job.label} is needed to build itself: {' is built with '.join(circle)}",
        code="build-cycle",
        hint=f"take a wheel of one of them: --only-binary {job.project}, or bound it with --build-constraint",
    )


def _named(fault: ResolutionFault, job: _Job) -> PypimirrorError:
    chain = "".join(f", which builds {name}" for name in reversed(job.above))
    fault.message = f"to build {job.label}{chain}: {fault}"
    fault.args = (fault.message,)
    if not fault.hint:
        fault.hint = "bound what builds take with --build-constraint, or take a version that has a wheel"
    return fault
