"""Keeping a tree for years, told as a story: what is taken back, turned back, cleared away.

withdraw   versions leave every index at once, and stay away until they are restored
rollback   what was served before is served again, or a channel as it was with an older bundle
prune      what is needed no longer leaves the disk
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pypimirror.disk import DISK, Disk
from pypimirror.errors import Incomplete, UsageFault
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Label, NormalizedName, Sha256, Version
from pypimirror.model.plan import Resolution
from pypimirror.reporting import Reporter
from pypimirror.standing import is_another, needless, there
from pypimirror.tree.compose import Accepted, Source, Withdrawal
from pypimirror.tree.contents import Contents, Served
from pypimirror.tree.folder import Tree, open_tree
from pypimirror.tree.layout import MANIFEST
from pypimirror.tree.ledger import entry_in
from pypimirror.tree.publish import Published, publish
from pypimirror.tree.records import read_accepted
from pypimirror.tree.revise import Edit, Revision, revise
from pypimirror.tree.sweeping import drop_previous, gone_with
from pypimirror.tree.view import look
from pypimirror.tree.writing import telling
from pypimirror.values import dataclass

__all__ = [
    "GRACE",
    "Pinned",
    "Pruned",
    "RolledBack",
    "Withdrawn",
    "prune",
    "rollback",
    "withdraw",
]

GRACE = 600
"""How long files stay after they left the pages, in seconds: uv holds on to a page for ten minutes."""


# ---- withdraw -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Pinned:
    """A set on a target that one of the versions is pinned for, as the newest such bundle of the channel has it."""

    channel: Label
    set: Label
    target: Label
    project: NormalizedName
    version: Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """What came of it. ``files`` leave ``packages/``, ``left`` are those of them that could not be removed yet.

    ``pinned`` are those who will miss the versions. ``published`` is None where it was only looked at.
    """

    files: dict[str, Served]
    pinned: tuple[Pinned, ...]
    left: tuple[str, ...]
    published: Published | None


def withdraw(
    path: Path,
    versions: Collection[tuple[NormalizedName, Version]],
    *,
    reason: str = "",
    now: int,
    restore: bool = False,
    ahead: bool = False,
    dry_run: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
    disk: Disk = DISK,
) -> Withdrawn:
    """Take versions back from every channel, whichever bundle lists them now or later; or, with *restore*, allow them.

    All of them in one step. Their files leave at once; to restore them, a bundle must bring them again. With *ahead*
    they need not be there yet. *now* in seconds since 1970, *wait* in seconds. Raises UsageFault (``no-such-version``,
    ``not-withdrawn``), Incomplete where a restored file is not there, and what ``look`` and ``publish`` raise.
    """
    look(path)  # or a slip of the pen would make a new tree
    with open_tree(path, wait=wait, disk=disk) as tree:
        with telling(f"reading {tree.shown}"):
            if not (restore or ahead):
                _check_known(tree, versions)
            edit = Edit(restore=versions) if restore else Edit(withdraw=_withdrawals(tree, versions, reason, now))
            files = _leaving(revise(tree, edit, lambda digest: _accepted(tree, digest)))
            pinned = () if restore else _pinned(tree, versions)
        if dry_run:
            return Withdrawn(files=there(tree.at, files), pinned=pinned, left=(), published=None)
        try:
            published = publish(tree, now=now, edit=edit, reporter=reporter)
        except Incomplete as error:
            if not restore:
                raise
            raise _notthere(tree, error) from None
        left = tuple(sorted(there(tree.at, files)))
    return Withdrawn(files=files, pinned=pinned, left=left, published=published)


def _notthere(tree: Tree, error: Incomplete) -> Incomplete:
    return Incomplete(
        f"{error}",
        code=error.code,
        hint=f"its files left {tree.shown} when it was withdrawn: render the bundle that has them once more, then "
        "restore it; what is served is unchanged",
    )


def _check_known(tree: Tree, versions: Collection[tuple[NormalizedName, Version]]) -> None:
    for project, version in sorted(versions):
        entry = tree.entry(project)
        known = {file.version for part in (entry.slices if entry else ()) for file in part.files}
        if version not in known:
            there = ", ".join(map(str, sorted(known))) or "none of that project"
            raise UsageFault(
                f"{tree.shown} has no {project} {version}",
                code="no-such-version",
                hint=f"it has {there}; --ahead keeps out what is still to come",
            )


def _withdrawals(
    tree: Tree, versions: Collection[tuple[NormalizedName, Version]], reason: str, now: int
) -> tuple[Withdrawal, ...]:
    """What was withdrawn before keeps its time, so that the same command again changes nothing."""
    before = {(each.project, each.version): each.time for each in tree.contents.withdrawn}
    return tuple(
        Withdrawal(project=project, version=version, reason=reason, time=before.get((project, version), now))
        for project, version in sorted(versions)
    )


def _leaving(revision: Revision) -> dict[str, Served]:
    """What is served of the projects that change, and will be no longer."""
    return {
        name: served
        for each in revision.projects.values()
        for name, served in (each.before.files if each.before else {}).items()
        if name not in each.files
    }


def _pinned(tree: Tree, versions: Collection[tuple[NormalizedName, Version]]) -> tuple[Pinned, ...]:
    """Of each set on each target the newest bundle of the channel counts: what came before it was replaced by it."""
    entries = filter(None, (tree.entry(project) for project in sorted({project for project, _ in versions})))
    oldest: dict[Label, int] = {}
    for part in (part for entry in entries for part in entry.slices if part.files):
        channel, sequence = part.source.channel, part.source.sequence
        oldest[channel] = min(sequence, oldest.get(channel, sequence))
    found: dict[tuple[Label, Label, Label], tuple[Pinned, ...]] = {}
    for each in sorted(tree.contents.accepted, key=lambda each: each.source.sequence):
        channel = each.source.channel
        if channel not in oldest or each.source.sequence < oldest[channel]:
            continue
        of_bundle: dict[tuple[Label, Label, Label], tuple[Pinned, ...]] = {}
        for resolution in _accepted(tree, each.source.digest).manifest.resolutions:  # one for each range of patches
            key = channel, resolution.set, resolution.target
            of_bundle[key] = (*of_bundle.get(key, ()), *_pins(channel, resolution, versions))
        found.update(of_bundle)
    return tuple(sorted({each for several in found.values() for each in several}))


def _pins(
    channel: Label, resolution: Resolution, versions: Collection[tuple[NormalizedName, Version]]
) -> Iterator[Pinned]:
    for pin in resolution.pins:
        if (pin.project, pin.version) in versions:
            yield Pinned(
                channel=channel,
                set=resolution.set,
                target=resolution.target,
                project=pin.project,
                version=pin.version,
            )


def _accepted(tree: Tree, digest: Sha256) -> Accepted:
    return read_accepted(tree.at.manifest(digest), digest)


# ---- rollback -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """What came of it: bundles that are ``dropped``, and those that come ``back``.

    ``withdrawn`` are versions that a dropped bundle took back, and that stay away. ``published`` is None where it was
    only looked at.
    """

    dropped: tuple[Source, ...]
    back: tuple[Source, ...]
    withdrawn: tuple[Withdrawal, ...]
    published: Published | None


def rollback(
    path: Path,
    *,
    now: int,
    to: str | None = None,
    dry_run: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
    disk: Disk = DISK,
) -> RolledBack:
    """Serve what was served before; once more, and it is as it was. What was withdrawn stays away, by whomever.

    With *to*, the name of a bundle that is served, drop the newer bundles of its channel instead; once more, and
    nothing changes. Raises UsageFault (``nothing-before``, ``no-such-bundle``), and what ``look`` and ``publish``
    raise.
    """
    look(path)
    with open_tree(path, wait=wait, disk=disk) as tree:
        if to is not None:
            like = _as_of(tree, to)
        elif is_another(tree.previous, tree.contents):
            like = tree.previous
        else:
            raise UsageFault(
                f"{tree.shown} keeps nothing else that was served before; what is withdrawn does not count",
                code="nothing-before",
                hint="render the older bundles with --replace",
            )
        with telling(f"reading {tree.shown}"):
            now_served, then = ({each.source for each in one.accepted} for one in (tree.contents, like))
            dropped, back = tuple(sorted(now_served - then)), tuple(sorted(then - now_served))
            withdrawn = tuple(_stay_away(tree, like, dropped, now))
        published = None
        if not dry_run:
            edit = Edit(like=like, withdraw=withdrawn)
            published = publish(tree, now=now, edit=edit, reporter=reporter)
    return RolledBack(dropped=dropped, back=back, withdrawn=withdrawn, published=published)


def _as_of(tree: Tree, name: str) -> Contents:
    """What is served, without the bundles of the same channel that are newer than the one with this *name*."""
    sources = {
        Manifest.stem_of(each.source.channel, each.source.sequence): each.source for each in tree.contents.accepted
    }
    last = sources.get(name)
    if last is None:
        raise UsageFault(
            f"{tree.shown} serves no bundle {name}",
            code="no-such-bundle",
            hint=f"it serves {', '.join(sorted(sources))}; what is none of these can be rendered again, with --replace",
        )
    stay = [
        each
        for each in tree.contents.accepted
        if each.source.channel != last.channel or each.source.sequence <= last.sequence
    ]
    return replace(tree.contents, accepted=tuple(stay))


def _stay_away(tree: Tree, like: Contents, dropped: Collection[Source], now: int) -> Iterator[Withdrawal]:
    """What the dropped bundles took back and the state to come would have: its files are gone, and with good reason."""
    known = {(each.project, each.version) for each in tree.contents.withdrawn}
    stay = {each.source for each in like.accepted}
    for each in tree.contents.accepted:
        for one in each.withdrawn if each.source in dropped else ():
            value = tree.ledger(one.project, like).get(one.project)
            slices = () if value is None else entry_in(value, one.project).slices
            was_there = any(
                file.version == one.version for part in slices if part.source in stay for file in part.files
            )
            if was_there and (one.project, one.version) not in known:
                known.add((one.project, one.version))
                yield Withdrawal(project=one.project, version=one.version, reason=one.reason, time=now)


# ---- prune ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """What leaves the disk: bundles that are ``dropped``, ``files`` in ``packages/``, ``waiting`` in ``incoming/``.

    ``graceful`` are files that stay for clients that still read the pages of before. Sizes in bytes.
    """

    dropped: tuple[Source, ...]
    files: Mapping[str, Served]
    graceful: Mapping[str, Served]
    waiting: Mapping[str, int]

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files.values()) + sum(self.waiting.values())


def prune(
    path: Path,
    *,
    now: int,
    keep: int | None = None,
    at_once: bool = False,
    incomplete: bool = False,
    dry_run: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
    disk: Disk = DISK,
) -> Pruned:
    """Remove from the disk what no accepted manifest needs; afterwards there is nothing to turn back to.

    With *keep*, first drop all but so many of the newest bundles of each channel.
    What left the pages less than ``GRACE`` seconds ago stays, unless *at_once*: clients may be about to fetch it.
    *incomplete*: bundles that wait for other volumes go, too. With *dry_run* nothing is changed.
    Raises what ``look`` and ``publish`` raise.
    """
    look(path)
    with open_tree(path, wait=wait, disk=disk) as tree:
        edit = Edit(keep=keep)
        with telling(f"pruning {tree.shown}"):
            revision = revise(tree, edit, lambda digest: _accepted(tree, digest))
            stay = {each.source for each in revision.contents.accepted}
            dropped = tuple(each.source for each in tree.contents.accepted if each.source not in stay)
            old = there(tree.at, gone_with(tree.read, tree.previous, [tree.contents]))
            leaving = there(tree.at, _leaving(revision))
            old_leaves = at_once or bool(dropped) or now - int((tree.at.root / MANIFEST).stat().st_mtime) >= GRACE
            waiting = needless(tree.at, incomplete=incomplete)
        pruned = Pruned(
            dropped=dropped,
            files=(old if old_leaves else {}) | (leaving if at_once else {}),
            graceful=({} if old_leaves else old) | ({} if at_once else leaving),
            waiting=waiting,
        )
        if dry_run:
            return pruned
        if dropped or tree.at.unfinished.exists():
            publish(tree, now=now, edit=edit, reporter=reporter)  # what only the state before had leaves with this
        with telling(f"pruning {tree.shown}"):
            if at_once or (old_leaves and not dropped):
                drop_previous(tree)
            _clear_incoming(tree, waiting)
    return pruned


def _clear_incoming(tree: Tree, names: Iterable[str]) -> None:
    """Manifests go first: one that is there waits for its files."""
    for name in sorted(names, key=lambda name: ("." not in name, name)):
        tree.disk.remove(tree.at.incoming / name)
