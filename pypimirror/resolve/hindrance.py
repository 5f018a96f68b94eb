"""Hindrances: newer versions that everybody would admit, and that lack something.

The metadata of an sdist that only a build can tell, a dependency that no index has, or that has nothing for the target:
pip would stop there, or fail behind the gap. To take an older version in silence would be worse, so a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from pypimirror.errors import ResolutionFault
from pypimirror.index.port import Index
from pypimirror.model.files import Rejection
from pypimirror.model.names import NormalizedName
from pypimirror.model.requests import WishSet
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.needs import Candidate, Key, Need
from pypimirror.resolve.provider import Provider
from pypimirror.resolve.search import Wants, search_hollow, walk

__all__ = ["refuse_hindered", "refuse_older", "who"]


def refuse_older(
    provider: Provider,
    mapping: Mapping[Key, Candidate],
    wants: Wants,
) -> None:
    """A newer version that fits every need was passed over for what it lacks: that is for a person to decide."""
    for (project, version), rejection in provider.dependencies.lacking():
        chosen = mapping.get(Key(project))
        if chosen is None or Key(project) not in wants or version <= chosen.version:
            continue
        needs = [need for key in wants if key.project == project for _, need in wants[key]]
        shelf = provider.shelves.of(project)
        if shelf is None or not provider.shelves.admitted(project, version, needs):
            continue
        newer = next(
            (c for c in provider.shelves.candidates(Key(project), shelf, needs, frozenset()) if c.version == version),
            None,
        )
        if newer is not None and not _clashes(provider, newer, mapping):
            raise provider.dependencies.broken.get((project, version)) or _older_version(
                project, rejection, chosen, needs
            )


def refuse_hindered(wishes: WishSet, judge: Judge, index: Index) -> None:
    """Search as if what versions lack did not matter: one that is taken nonetheless is the one to tell of.

    To step back through all older versions of all that wants it may take minutes and gigabytes, and whatever came of it
    would be an older version in silence. Raises Clash where nothing at all fits together.
    """
    found = search_hollow(wishes, judge, index)
    if found is None:
        return
    provider, mapping = found
    wants = walk(provider, mapping)
    for (project, version), rejection in provider.dependencies.lacking():
        chosen = mapping.get(Key(project))
        if chosen is None or Key(project) not in wants or chosen.version != version:
            continue
        every = [want for key in wants if key.project == project for want in wants[key]]
        by = " and ".join(sorted({who(*want) for want in every if want[0] is None or want[0].key.project != project}))
        raise provider.dependencies.broken.get((project, version)) or ResolutionFault(
            f"{judge.target.name}: {project} {version} would be taken, wanted by {by}, but {rejection.detail}",
            code="nothing-usable",
            hint=_way_out(provider, chosen, [need for _, need in every]),
        )


def _way_out(provider: Provider, chosen: Candidate, needs: list[Need]) -> str:
    """Advice: the newest older version that fits and has a wheel; else how to do without."""
    project, shelf = chosen.key.project, provider.shelves.of(chosen.key.project)
    for version in shelf.versions if shelf is not None else ():
        older = version < chosen.version and not version.is_prerelease
        if shelf is None or not older or not provider.shelves.admitted(project, version, needs):
            continue
        file = shelf.choice(version).unyanked
        if file is not None and file.name.is_wheel:
            return f"{version} has a wheel for this target: to accept it, add the constraint '{project}<={version}'"
    return (
        f"no older version of {project} that fits has a wheel for this target: choose another target; or do without "
        f"it, by the constraint '{project}!={chosen.version}': older versions of what wants it are taken then"
    )


def _clashes(provider: Provider, candidate: Candidate, mapping: Mapping[Key, Candidate]) -> bool:
    """Whether a candidate wants another version of what is pinned: then that ruled it out, not what it lacks."""
    pinned = ((need, mapping.get(need.key)) for need in provider.dependencies.of(candidate))
    return any(pin is not None and not need.admits(pin.version) for need, pin in pinned)


def _older_version(
    project: NormalizedName, rejection: Rejection, chosen: Candidate, needs: list[Need]
) -> ResolutionFault:
    wanted = " and ".join(sorted({need.text for need in needs}))
    return ResolutionFault(
        f"{project} {rejection.version} would be taken for {wanted}, but {rejection.detail}; "
        f"the newest that can be had is {chosen.version}",
        code="older-version",
        hint=f"to accept the older version, add the constraint '{project}<={chosen.version}'",
    )


def who(parent: Candidate | None, need: Need) -> str:
    """Who wants something, in short: ``flask==3.1``, or the line of a root."""
    if parent is not None:
        return f"{parent.key.project}=={parent.version}"
    return str(need.root.origin) if need.root is not None else "?"
