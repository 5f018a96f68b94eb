"""Locks for closed clients: for each set on each target the very pins that were proven to install. Pure.

    locks/<set>-<target>.requirements.txt     for every pip and uv
    locks/pylock.<set>-<target>.toml          for pip 26.1 and newer, and uv; a dot in the name is an underscore
    locks/left-out.txt                        only where a tree can't keep what a bundle promised: which locks, and why

A full bundle has those of its own sets; a tree has those of the newest bundle of each channel, each made for what the
tree serves. A lock whose files are not all served - an upper channel hides them, they were withdrawn - is left out
whole, and so is one whose sdists could not be built any more. Without the one file the rest would install, and not
work; with another version in its place it would not be what was locked; and an empty file would install nothing and
say nothing. A lock that is not there is an error that any client tells.

Sets that build an sdist have no locks: clients build in an environment of their own, which ``--find-links`` feeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pypimirror.model.manifest import BundledFile, Manifest
from pypimirror.model.manifest_lists import named
from pypimirror.model.names import FileName, Label, NormalizedName, Sha256, Version, parse_file_name
from pypimirror.model.plan import Pin, Resolution
from pypimirror.model.targets import PatchRange, Target
from pypimirror.tree.compose import Accepted, Composition, compose
from pypimirror.tree.lock_files import Lock, LockedPin, covering_marker, pylock, requirements
from pypimirror.tree.page import Page
from pypimirror.values import dataclass

__all__ = ["LEFT_OUT", "lock_pages", "tree_locks"]

LEFT_OUT = "locks/left-out.txt"

_LONGEST_NAME = 150
_SHORT_DIGEST = 16
_UNWRITTEN = Sha256("0" * 64)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class _Key:
    """Which lock."""

    channel: Label
    set: Label
    target: Label


def lock_pages(manifest: Manifest) -> tuple[Page, ...]:
    """The locks of one bundle, sorted by path: those of a tree that holds this bundle alone."""
    return tuple(tree_locks(compose([Accepted(digest=_UNWRITTEN, manifest=manifest)])))


def tree_locks(composition: Composition) -> Iterator[Page]:
    """The locks of the newest bundle of each channel, as far as the tree keeps them; sorted by path."""
    shelf = _Shelf(composition)
    locks: dict[_Key, Lock] = {}
    missing: dict[_Key, str] = {}
    for manifest in _newest(composition):
        names = {key: list(_needed(manifest, resolutions)) for key, resolutions in _asked_for(manifest)}
        pinned = {name for several in names.values() for name in several}
        files = named(manifest.files, pinned)
        for key, resolutions in _asked_for(manifest):
            needed = [files[name] for name in names[key]]
            lacking = shelf.first_lacking(needed, key.channel)
            if lacking is None:
                locks[key] = _lock(manifest, resolutions, shelf)
            else:
                missing[key] = lacking
    stems = _names([*locks, *missing])
    pages = [page for key, lock in locks.items() for page in _pages(lock, stems[key])]
    if missing:
        lines = [f"{stems[key]}: {why}\n" for key, why in sorted(missing.items())]
        text = "These locks are left out, since what they name is not all served:\n\n" + "".join(lines)
        pages.append(Page(path=LEFT_OUT, data=text.encode("ascii")))
    yield from sorted(pages, key=lambda page: page.path)


def _pages(lock: Lock, stem: str) -> tuple[Page, Page]:
    """Both files. "A lock file MUST be named pylock.toml or match [...] pylock.([^.]+).toml": no dot in the name."""
    text, toml = f"{stem}.requirements.txt", f"pylock.{_respelt(stem)}.toml"
    return (
        Page(path=f"locks/{text}", data=requirements(lock, text)),
        Page(path=f"locks/{toml}", data=pylock(lock, toml)),
    )


# ---- what is locked -------------------------------------------------------------------------------------------------


def _newest(composition: Composition) -> Iterator[Manifest]:
    """The newest bundle of each channel that says anything of sets: one of in-house files alone does not."""
    seen: set[Label] = set()
    for each in composition.bundles:
        if each.manifest.resolutions and each.manifest.channel not in seen:
            seen.add(each.manifest.channel)
            yield each.manifest


def _asked_for(manifest: Manifest) -> Iterator[tuple[_Key, list[Resolution]]]:
    """The resolutions of each set that a person asked for, on each target, the oldest patch releases first."""
    asked = {each.name for each in manifest.sets if each.builds is None}
    found: dict[_Key, list[Resolution]] = {}
    for each in manifest.resolutions:
        if each.set in asked:
            found.setdefault(_Key(channel=manifest.channel, set=each.set, target=each.target), []).append(each)
    for key, resolutions in found.items():
        yield key, sorted(resolutions, key=lambda each: each.patches.lowest)


def _needed(manifest: Manifest, resolutions: Iterable[Resolution]) -> Iterator[FileName]:
    """Every file that installing takes, those that its sdists are built with among them."""
    builds = {each.builds: each.name for each in manifest.sets if each.builds is not None}
    by_place: dict[tuple[Label, Label], list[Resolution]] = {}
    for each in manifest.resolutions:
        by_place.setdefault((each.set, each.target), []).append(each)
    waiting = list(resolutions)
    seen: set[FileName] = set()
    while waiting:
        resolution = waiting.pop()
        for pin in resolution.pins:
            if pin.file not in seen:
                seen.add(pin.file)
                yield pin.file
                waiting += by_place.get((builds[pin.file], resolution.target), []) if pin.file in builds else []


class _Shelf:
    """What a composition offers to who installs by its page of links."""

    def __init__(self, composition: Composition) -> None:
        self._by_project: dict[NormalizedName, list[BundledFile]] = {}
        self._channels: dict[NormalizedName, Label] = {}
        for project in composition.projects:
            # As in the page of links: uv heeds no yank there.
            offered = [file for file in project.files if file.yanked is None or file.filename in project.pinned]
            self._by_project[project.name] = offered
            self._channels[project.name] = project.channel
        self._offered = {file.filename: file for offered in self._by_project.values() for file in offered}

    def first_lacking(self, files: Iterable[BundledFile], channel: Label) -> str | None:
        """The first by name of these files of a bundle of *channel* that can't be had, and why; None where all can."""
        lacking = min(
            (file for file in files if file.filename not in self._offered), default=None, key=lambda file: file.filename
        )
        if lacking is None:
            return None
        other = self._channels.get(lacking.project, channel)
        why = f"channel {other} hides it" if other != channel else "it was withdrawn, or is yanked"
        return f"{lacking.filename} is not offered: {why}"

    def files(self, name: FileName, ranks: Mapping[str, int]) -> tuple[BundledFile, ...]:
        """A pinned file, then wheels of its version that come after it on its target, by rank.

        Whatever would come before it was refused when the pin was made: by a hash, a format, a date.
        """
        own = self._offered[name]
        if not name.endswith(".whl"):
            return (own,)
        least = _rank(own, ranks)
        ranked = [
            (rank, file.filename, file)
            for file in self._by_project[own.project]
            if file.version == own.version
            and file.requires_python == own.requires_python
            and file.filename.endswith(".whl")
            and (rank := _rank(file, ranks)) > least
            and rank < len(ranks)
        ]
        return (own, *(file for _, _, file in sorted(ranked, key=lambda each: each[:2])))

    def stands_alone(self, pin: Pin) -> bool:
        """Whether ``==`` of its version admits another one that is offered, with a local label (PEP 440)."""
        return any(
            file.version.local is not None and Version(file.version.public) == pin.version
            for file in self._by_project[pin.project]
        )


def _rank(file: BundledFile, ranks: Mapping[str, int]) -> int:
    """The place of a wheel's best tag on a target; behind all of them where none fits."""
    tags = parse_file_name(file.filename, project=file.project).tags()
    return min((ranks.get(tag, len(ranks)) for tag in tags), default=len(ranks))


# ---- one lock -------------------------------------------------------------------------------------------------------


def _lock(manifest: Manifest, resolutions: Sequence[Resolution], shelf: _Shelf) -> Lock:
    target = next(target for target in manifest.targets if target.name == resolutions[0].target)
    name = resolutions[0].set
    covered = _joined(each.patches for each in resolutions)
    return Lock(
        set=name,
        target=target,
        bundle=manifest.stem,
        covered=covered,
        pins=tuple(_pins(resolutions, target, covered, shelf)),
        uncovered=tuple(gap for gap in manifest.uncovered if (gap.set, gap.target) == (name, target.name)),
    )


def _pins(
    resolutions: Sequence[Resolution], target: Target, covered: Sequence[PatchRange], shelf: _Shelf
) -> Iterator[LockedPin]:
    """Every pin once, with a marker where not all patch releases have it.

    Extras are left out: what they bring is pinned, too, and a line for each of two extras would be two pins.
    """
    pins: dict[tuple[NormalizedName, FileName], Pin] = {}
    wanted: dict[tuple[NormalizedName, FileName], list[PatchRange]] = {}
    for resolution in resolutions:
        for pin in resolution.pins:
            pins.setdefault((pin.project, pin.file), pin)
            wanted.setdefault((pin.project, pin.file), []).append(resolution.patches)
    ranks = {tag: rank for rank, tag in enumerate(target.tags)}
    minor = target.environment.python_version
    for key in sorted(pins, key=lambda key: (key[0], wanted[key][0].lowest)):
        pin = pins[key]
        yield LockedPin(
            project=pin.project,
            version=pin.version,
            files=shelf.files(pin.file, ranks),
            marker=covering_marker(_joined(wanted[key]), covered, minor),
            alone=shelf.stands_alone(pin),
        )


def _joined(several: Iterable[PatchRange]) -> tuple[PatchRange, ...]:
    """Neighbouring intervals as one. *several* are ascending."""
    joined: list[PatchRange] = []
    for each in several:
        if joined and joined[-1].highest is not None and joined[-1].highest + 1 == each.lowest:
            each = PatchRange(lowest=joined.pop().lowest, highest=each.highest)  # noqa: PLW2901 - the joined one
        joined.append(each)
    return tuple(joined)


# ---- names ----------------------------------------------------------------------------------------------------------


def _names(keys: Sequence[_Key]) -> dict[_Key, str]:
    """A name for each lock, which none shares on any disk: letters are folded, and dots are respelt.

    ``<set>-<target>``. Where two would be called the same, all that would be get the channel before it; where that does
    not help, a digest behind it. So a name never comes to mean another lock when one is added.
    """
    channels = len({key.channel for key in keys}) > 1
    steps = dict.fromkeys(keys, 0)
    while True:
        names = {key: _spelt(key, step, channels=channels) for key, step in steps.items()}
        sharing: dict[str, list[_Key]] = {}
        for key, name in names.items():
            sharing.setdefault(_respelt(name).casefold(), []).append(key)
        clashing = [key for several in sharing.values() if len(several) > 1 for key in several]
        if not clashing:
            return names
        for key in clashing:
            steps[key] += 1


def _spelt(key: _Key, step: int, *, channels: bool) -> str:
    parts = [key.channel] if channels and step else []
    name = "-".join([*parts, key.set, key.target])
    digest = hashlib.sha256(f"{key.channel}/{key.set}/{key.target}".encode("ascii")).hexdigest()
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - _SHORT_DIGEST - 1]}-{digest[:_SHORT_DIGEST]}"
    return f"{name}-{digest[: step * _SHORT_DIGEST // 2]}" if step > 1 or (step and not channels) else name


def _respelt(name: str) -> str:
    return name.replace(".", "_")
