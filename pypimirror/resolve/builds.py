"""What building takes: for each sdist that a resolution installs, a set of its own, solved for the same target.

pip and uv build an sdist in an environment of its own, which they fill from the index: what ``build-system.requires``
says, and what the backend adds to it. So that is a set as any other, whose roots the sdist wrote; a build tool that is
an sdist has its own set, and so on until nothing but wheels is left. Essential reading: PEP 517 and 518.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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

__all__ = ["set_name", "solve_builds", "solve_environment"]

_LONGEST_NAME = 100
_WITHOUT_WHEEL = Version("70.1")
"""From here on setuptools makes wheels by itself; before, its hooks ask for ``wheel``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """An sdist to be built on a target, with the rules of the set that installs it, and the jobs it is built for."""

    file: ListedFile
    target: Target
    policy: Policy
    above: tuple[FileName, ...]

    @property
    def filename(self) -> FileName:
        return self.file.name.filename


def solve_builds(answers: Iterable[Answer], index: Index, constraints: tuple[Constraint, ...] = ()) -> Iterator[Answer]:
    """The answers of the sets that build what *answers* install from source, and what those in turn need built.

    *constraints* bound build requirements alone, as pip's build constraints do.

    Raises ResolutionFault: ``build-cycle`` where an sdist is needed to build itself, ``bad-build-requirement``, and
    what solving raises, with the sdist named; what the index raises.
    """
    waiting = [job for answer in answers for job in _jobs(answer, ())]
    done: set[tuple[FileName, Label]] = set()
    while waiting:
        job = waiting.pop(0)
        _refuse_cycle(job)
        if (job.filename, job.target.name) in done or not index.core_metadata(job.file).build_requires:
            continue
        done.add((job.filename, job.target.name))
        try:
            answer = _solve(job, index.core_metadata(job.file).build_requires or (), index, constraints)
        except ResolutionFault as fault:
            raise _named(fault, job) from None
        yield answer
        waiting += _jobs(answer, (*job.above, job.filename))


def solve_environment(
    file: ListedFile,
    requires: tuple[str, ...],
    *,
    target: Target,
    policy: Policy,
    index: Index,
    constraints: tuple[Constraint, ...],
) -> Answer:
    """What building one sdist on one target takes, given what it *requires*. Raises as ``solve_builds`` does."""
    job = _Job(file=file, target=target, policy=policy, above=())
    try:
        return _solve(job, requires, index, constraints)
    except ResolutionFault as fault:
        raise _named(fault, job) from None


def set_name(filename: FileName, *, with_wheel: bool = False) -> Label:
    """The name of the set that builds an sdist: ``build-docopt-0.6.2.tar.gz``."""
    name = f"build-{filename}{'-with-wheel' if with_wheel else ''}".replace("!", "_")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(filename.encode("ascii")).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return label(name)


def _jobs(answer: Answer, above: tuple[FileName, ...]) -> Iterator[_Job]:
    """The sdists of an answer, by name."""
    pinned = {pin.file for resolution in answer.resolutions for pin in resolution.pins}
    files = {candidate.file.name.filename: candidate.file for candidate in answer.candidates}
    for filename in sorted(pinned):
        if not files[filename].name.is_wheel:
            yield _Job(file=files[filename], target=answer.target, policy=answer.wishes.policy, above=above)


def _solve(job: _Job, requires: tuple[str, ...], index: Index, constraints: tuple[Constraint, ...]) -> Answer:
    wishes = _wishes(job, requires, constraints)
    answer = solve_target(wishes, job.target, index)
    if any(map(_wants_wheel, answer.resolutions)):
        name = set_name(job.filename, with_wheel=True)  # a set of its own: another target may do without
        root = Root(requirement=Requirement("wheel"), origin=_origin(job))
        answer = solve_target(replace(wishes, name=name, roots=(*wishes.roots, root)), job.target, index)
    return answer


def _wishes(job: _Job, requires: tuple[str, ...], constraints: tuple[Constraint, ...]) -> WishSet:
    """The set that builds an sdist. As in pip, formats and pre-releases are handed down to it, hashes are not."""
    policy = replace(job.policy, require_hashes=False, align=False)
    roots = tuple(_root(text, job) for text in requires)
    return WishSet(
        name=set_name(job.filename), roots=roots, constraints=constraints, policy=policy, builds=job.filename
    )


def _root(text: str, job: _Job) -> Root:
    requirement = parse_requirement(text)
    if requirement is None or requirement.url is not None:
        what = "can't be read" if requirement is None else "is an address, which can't cross the gap"
        raise ResolutionFault(
            f"the build requirement {text[:200]!r} {what}",
            code="bad-build-requirement",
            hint=f"choose another version of {job.file.name.project}, or one that has a wheel",
        )
    return Root(requirement=requirement, origin=_origin(job))


def _origin(job: _Job) -> Origin:
    return Origin(path=f"{job.filename} (build)")


def _wants_wheel(resolution: Resolution) -> bool:
    pins: dict[NormalizedName, Pin] = {pin.project: pin for pin in resolution.pins}
    setuptools = pins.get(NormalizedName("setuptools"))
    return setuptools is not None and setuptools.version < _WITHOUT_WHEEL and "wheel" not in pins


def _refuse_cycle(job: _Job) -> None:
    """Whoever installs it would build without an end; so it is told before anything is carried."""
    if job.filename not in job.above:
        return
    circle = [*job.above[job.above.index(job.filename) :], job.filename]
    project = job.file.name.project
    raise ResolutionFault(
        f"{job.target.name}: {job.filename} is needed to build itself: {' is built with '.join(circle)}",
        code="build-cycle",
        hint=f"take a wheel of one of them: --only-binary {project}, or bound it with --build-constraint",
    )


def _named(fault: ResolutionFault, job: _Job) -> PypimirrorError:
    chain = "".join(f", which builds {name}" for name in reversed(job.above))
    fault.message = f"to build {job.filename}{chain}: {fault}"
    fault.args = (fault.message,)
    if not fault.hint:
        fault.hint = "bound what builds take with --build-constraint, or take a version that has a wheel"
    return fault
