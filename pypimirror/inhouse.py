"""In-house packages, told as a story.

add      wheels and sdists of our own -> the next manifest of their channel -> one swap
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from pypimirror import __version__
from pypimirror.disk import DISK, Disk, disk_fault
from pypimirror.errors import IntegrityFault, PolicyFault, PypimirrorError
from pypimirror.model.manifest import BundledFile, BundledProject, Manifest
from pypimirror.model.names import Label, NormalizedName, Sha256, sha256_of_hex
from pypimirror.reporting import Reporter
from pypimirror.tree.compose import Accepted, layer_order
from pypimirror.tree.contents import Contents, wanted_by
from pypimirror.tree.folder import Tree, open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.layout import MARK
from pypimirror.tree.offered import Offer, Parcel, examine, raise_all
from pypimirror.tree.publish import Published, publish
from pypimirror.tree.records import read_accepted
from pypimirror.tree.revise import Edit, revise
from pypimirror.tree.shadow import Hidden, Shadow
from pypimirror.tree.writing import telling
from pypimirror.values import dataclass

__all__ = ["IN_HOUSE", "Added", "add"]

IN_HOUSE = Label("in-house")
"""The channel of files that are added by hand, unless another one is named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What came of it. ``new`` were not in the channel before, ``known`` were there with the same bytes.

    ``unseen`` are new ones that another channel hides, ``withdrawn`` known ones that were taken back: their bytes are
    kept, so that they can be restored. ``order`` is that of the channels, the upper first, where it is
    stated for the first time. ``published`` is None where it was only looked at.
    """

    channel: Label
    manifest: Manifest | None
    new: tuple[BundledFile, ...]
    known: tuple[BundledFile, ...]
    unseen: tuple[BundledFile, ...]
    withdrawn: tuple[BundledFile, ...]
    hidden: tuple[Hidden, ...]
    order: tuple[Label, ...] | None
    published: Published | None


def add(
    path: Path,
    files: Sequence[Path],
    *,
    now: int,
    sequence: int | None = None,
    channel: Label = IN_HOUSE,
    mix: Collection[NormalizedName] = (),
    dry_run: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
    disk: Disk = DISK,
) -> Added:
    """Check every file, put them into *channel* beside what it has, and publish them in one step.

    A new channel comes to lie on top of all others. *now* and *sequence* (*now* if None) in seconds since 1970, *wait*
    in seconds. *mix* are projects whose layers are to add up. With *dry_run* nothing is changed, and all is told.

    Raises what ``examine`` and ``publish`` raise; PolicyFault where a name stands for other bytes already
    (``two-contents``), or a version was withdrawn (``withdrawn``); of several faults SeveralFaults. Then nothing that
    clients see has changed.
    """
    reporter = reporter or Reporter()
    number = now if sequence is None else sequence
    reporter.step("Checking")
    offers = examine(files, reporter)
    if dry_run and not _is_tree(path):
        manifest = _following(None, offers, channel, number)
        return Added(
            channel=channel, manifest=manifest, new=_files(offers), known=(), unseen=(), withdrawn=(), hidden=(),
            order=(channel,), published=None,
        )  # fmt: skip
    with open_tree(path, wait=wait, disk=disk) as tree:
        with telling(f"reading {tree.shown}"):
            addition = _Addition(tree, offers, channel, number)
            edit = dataclasses.replace(addition.edit, mix=mix)
            added = addition.look(edit)
        if dry_run:
            return added
        reporter.step("Importing")
        import_bundle(tree, addition.parcel)
        published = publish(tree, now=now, edit=edit, reporter=reporter)
        try:
            _forget_earlier_tries(tree, channel)
        except OSError as error:  # no failure: what was added is served
            fault = disk_fault(error, f"removing what {tree.shown} needs no longer")
            reporter.note(f"{fault}; what is served is new and whole, and the next 'add' removes the rest")
    return dataclasses.replace(added, published=published)


def _is_tree(path: Path) -> bool:
    """Whether there is a tree at *path*, or something that is none and must be refused as such."""
    with telling(f"reading {path}"):
        return (path / MARK).is_dir() or (path.exists() and not (path.is_dir() and not any(path.iterdir())))


def _files(offers: Iterable[Offer]) -> tuple[BundledFile, ...]:
    return tuple(offer.file for offer in offers)


# ---- what is added --------------------------------------------------------------------------------------------------


class _Addition:
    """What some files make of a channel of an open tree. Raises OSError, and what the tree's records raise."""

    def __init__(self, tree: Tree, offers: tuple[Offer, ...], channel: Label, sequence: int) -> None:
        self._tree = tree
        self._offers = offers
        self._channel = channel
        self._fresh: Accepted | None = None
        own = [each for each in tree.contents.accepted if each.source.channel == channel]
        newest = max(own, key=lambda each: each.source.sequence, default=None)
        last = None if newest is None else self._load(newest.source.digest).manifest
        self._last = last
        self._refuse()
        known = {file.filename for file in last.files} if last else set()
        self._new = tuple(offer for offer in offers if offer.file.filename not in known)
        manifest = _following(last, self._new, channel, sequence) if last is None or self._new else last
        self.parcel = Parcel(manifest=manifest, offers=offers)
        self._fresh = Accepted(digest=self.parcel.digest, manifest=manifest)
        self.edit = Edit(
            bundles=(self.parcel.digest,),
            channels=_order(tree.contents, channel),
            # It is the full list; but bundles of this channel that were carried here stay, for their sets.
            replace=() if any(each.targets for each in own) else (channel,),
        )

    def look(self, edit: Edit) -> Added:
        """What comes of it, by *edit*."""
        revision = revise(self._tree, edit, self._load)
        new = _files(self._new)
        known = tuple(offer.file for offer in self._offers if offer not in self._new)
        taken = {(each.project, each.version) for each in self._tree.contents.withdrawn}
        seen = {
            file.filename for each in revision.projects.values() if each.layers for file in each.layers.merged.files
        }
        return Added(
            channel=self._channel,
            manifest=self.parcel.manifest,
            new=new,
            known=known,
            unseen=tuple(file for file in new if file.filename not in seen),
            withdrawn=tuple(file for file in known if (file.project, file.version) in taken),
            hidden=tuple(Shadow(self._tree, revision, self._load).hidden()),
            order=edit.channels,
            published=None,
        )

    def _load(self, digest: Sha256) -> Accepted:
        if self._fresh is not None and self._fresh.digest == digest:
            return self._fresh
        return read_accepted(self._tree.at.manifest(digest), digest)

    def _refuse(self) -> None:
        """Raise for every file that may not come in."""
        contents = self._tree.contents
        withdrawn = {(each.project, each.version): each for each in contents.withdrawn}
        names = {file.filename.casefold(): file for file in self._last.files} if self._last else {}
        listed = self._tree.listed({offer.file.project for offer in self._offers})
        faults: list[PypimirrorError] = []
        for offer in self._offers:
            file = offer.file
            own = names.get(file.filename.casefold())
            if own is None and (taken := withdrawn.get((file.project, file.version))) is not None:
                faults.append(
                    PolicyFault(
                        f"{file.filename}: {file.project} {file.version} was withdrawn from {self._tree.shown}"
                        f"{f': {taken.reason}' if taken.reason else ''}",
                        code="withdrawn",
                        hint="give the new file another version, or take the withdrawal back: "
                        f"pypimirror withdraw TREE {file.project}=={file.version} --restore",
                    )
                )
                continue
            others: list[tuple[str, Sha256]] = [(own.filename, own.sha256)] if own else []
            others += [(name, listed[name].sha256) for name in wanted_by([file]) if name in listed]
            wanted = {name: served.sha256 for name, served in wanted_by([file]).items()}
            if (other := next((each for each in others if wanted.get(each[0]) != each[1]), None)) is not None:
                faults.append(
                    PolicyFault(
                        f"{other[0]} has two contents: {self._tree.shown} has sha256 {other[1]}, "
                        f"{offer.path} has sha256 {wanted.get(other[0], file.sha256)}",
                        code="two-contents",
                        hint="a file name stands for one content, for ever; give the new file another version or "
                        "build tag",
                    )
                )
        raise_all(faults)


def _following(last: Manifest | None, new: Iterable[Offer], channel: Label, sequence: int) -> Manifest:
    """The full list: what the last manifest of the channel has, and the *new* files."""
    if last is not None:
        sequence = max(sequence, last.sequence + 1)
    moment = datetime.fromtimestamp(sequence, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    files = [dataclasses.replace(offer.file, index=channel, upload_time=moment) for offer in new]
    projects = {file.project: BundledProject(name=file.project) for file in files}
    if last is not None:
        files += last.files
        projects.update({project.name: project for project in last.projects})
    return Manifest(
        channel=channel,
        sequence=sequence,
        tool=f"pypimirror {__version__}",
        targets=(),
        sets=(),
        resolutions=(),
        files=tuple(sorted(files, key=lambda file: file.filename)),
        projects=tuple(projects[name] for name in sorted(projects)),
        withdrawn=() if last is None else last.withdrawn,
    )


def _order(contents: Contents, channel: Label) -> tuple[Label, ...] | None:
    """The order of channels from now on, with the new one on top; None where a person stated where it lies."""
    if channel in contents.channels or (contents.channels and channel in contents.layers):
        return None
    return (channel, *(each for each in layer_order(contents.channels, contents.layers) if each != channel))


def _forget_earlier_tries(tree: Tree, channel: Label) -> None:
    """What runs that were cut short left in ``incoming/``, to be published by nobody."""
    waiting = sorted(tree.at.incoming.glob("*.json"))
    for path in waiting:
        with suppress(IntegrityFault, ValueError):
            manifest = read_accepted(path, sha256_of_hex(path.stem)).manifest
            if manifest.channel != channel or manifest.targets:
                continue
            tree.disk.remove(path)
            if len(waiting) == 1:  # else their bytes may be what another bundle waits with
                for served in wanted_by(manifest.files).values():
                    with suppress(FileNotFoundError):
                        tree.disk.remove(tree.at.incoming_file(served.sha256))
