"""What is to be served, and what that changes, project by project. Nothing is written here.

Only projects that a bundle which comes or goes names, or that a rule is about, are composed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pypimirror.errors import PolicyFault, UsageFault
from pypimirror.model.names import Label, NormalizedName, Sha256, Version
from pypimirror.tree.compose import (
    Accepted,
    Layers,
    Rules,
    Slice,
    Withdrawal,
    compose_project,
    in_order,
    layer_order,
    refuse_twins,
    slices_of,
)
from pypimirror.tree.contents import AcceptedBundle, Contents, Served, wanted_by
from pypimirror.tree.folder import Tree
from pypimirror.tree.ledger import Entry
from pypimirror.tree.lists import summary
from pypimirror.tree.shards import in_shards
from pypimirror.tree.slices import MadeByName
from pypimirror.values import dataclass

__all__ = ["NOTHING", "Edit", "Revised", "Revising", "Revision", "revise", "rules_of"]

_REMEMBERED = 4096  # files that bundles speak of
_FIRST = 16_384  # likewise


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """How the next state of a tree differs from what is served.

    ``bundles`` come to those that are accepted. ``channels`` is the order of layers, the upper first, from now on; None
    keeps what was stated. In the channels of ``replace`` older bundles are dropped; with ``keep``, all but so many of
    the newest of each channel. ``withdraw`` and ``restore`` are about versions, ``mix`` and ``unmix`` about projects
    whose layers may mix. ``like`` takes bundles and order from another state instead: withdrawals are never undone so.
    """

    bundles: tuple[Sha256, ...] = ()
    channels: tuple[Label, ...] | None = None
    replace: Collection[Label] = ()
    keep: int | None = None
    withdraw: tuple[Withdrawal, ...] = ()
    restore: Collection[tuple[NormalizedName, Version]] = ()
    mix: Collection[NormalizedName] = ()
    unmix: Collection[NormalizedName] = ()
    gzip: bool | None = None
    like: Contents | None = None


NOTHING = Edit()
"""No change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revised:
    """One project that is composed anew. ``layers`` is None where no bundle has a file of it any more."""

    before: Entry | None
    slices: tuple[Slice, ...]
    layers: Layers | None

    @property
    def files(self) -> dict[str, Served]:
        return {} if self.layers is None else wanted_by(self.layers.files)

    @property
    def hides(self) -> bool:
        """Whether clients of the merged index don't see every file that bundles have."""
        seen = {file.filename for file in self.layers.merged.files} if self.layers is not None else set()
        return any(file.filename not in seen for part in self.slices for file in part.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """The next state, as far as it is known before anything is rendered.

    ``contents`` has its rules and bundles, and everything else as it is served now. ``loaded`` are manifests that had
    to be read. ``everything`` tells whether ``projects`` are all that there are. Each of them is composed when it is
    looked at, which raises PolicyFault where a rule refuses: who is to change anything looks at all of them first.
    """

    contents: Contents
    projects: Mapping[NormalizedName, Revised]
    loaded: Mapping[Sha256, Accepted]
    everything: bool

    @property
    def rules(self) -> Rules:
        return rules_of(self.contents)


def revise(tree: Tree, edit: Edit, load: Callable[[Sha256], Accepted], *, everything: bool = False) -> Revision:
    """What *edit* makes of *tree*. With *everything*, every project is composed anew.

    Raises PolicyFault where a rule refuses bundles, what *load* raises, IntegrityFault, OSError.
    """
    now = tree.contents
    loaded: dict[Sha256, Accepted] = {}

    def loading(digest: Sha256) -> Accepted:
        if digest not in loaded:
            loaded[digest] = load(digest)
        return loaded[digest]

    following = _contents(now, edit, loading)
    refuse_twins(each.source for each in following.accepted)
    before, after = _digests(now), _digests(following)
    coming = [loading(digest) for digest in after if digest not in before]
    going = [loading(digest) for digest in before if digest not in after]
    everything = everything or not now.is_published or _all_change(now, following)
    cuts = [slices_of(each) for each in coming]
    names = {name for each in cuts for name in each} | _named(going) | _ruled(now, following)
    if everything:
        names |= {name for each in now.ledger for name in tree.names_of(each)}
    projects = Revising(tree, names, cuts, bundles=after, rules=rules_of(following))
    return Revision(contents=following, projects=projects, loaded=loaded, everything=everything)


class Revising(MadeByName[Revised]):
    """The projects that change, shard by shard; each is composed when it is asked for, and few are remembered.

    *cuts* are the bundles that come, *bundles* all that stay. What asks raises PolicyFault, IntegrityFault, OSError.
    """

    def __init__(
        self,
        tree: Tree,
        names: Iterable[NormalizedName],
        cuts: Sequence[Mapping[NormalizedName, Slice]],
        *,
        bundles: Collection[Sha256],
        rules: Rules,
    ) -> None:
        self._tree = tree
        super().__init__(name for _, several in in_shards(names) for name in several)
        self._cuts = cuts
        self._bundles = bundles
        self._rules = rules
        self._made: dict[NormalizedName, Revised] = {}
        self._size = 0
        self._first: dict[NormalizedName, Revised] = {}
        self._left = _FIRST

    def __getitem__(self, name: NormalizedName) -> Revised:
        if (known := self._first.get(name) or self._made.get(name)) is not None:
            return known
        if name not in self._names:
            raise KeyError(name)
        made = self._compose(name)
        self._remember(name, made)
        return made

    def _compose(self, name: NormalizedName) -> Revised:
        entry = self._tree.entry(name)
        kept = [each for each in (entry.slices if entry else ()) if each.source.digest in self._bundles]
        parts = in_order([*kept, *(cut[name] for cut in self._cuts if name in cut)])
        return Revised(before=entry, slices=parts, layers=compose_project(name, parts, self._rules))

    def _remember(self, name: NormalizedName, made: Revised) -> None:
        """All of a small change, so that it is composed once; of a large one the first, and the last asked for.

        A change is gone through more than once, from its beginning to its end.
        """
        weight = _weight(made)
        if weight <= self._left:
            self._left -= weight
            self._first[name] = made
            return
        self._made[name] = made
        self._size += weight
        while self._size > _REMEMBERED and len(self._made) > 1:
            oldest = next(iter(self._made))
            self._size -= _weight(self._made.pop(oldest))


def _weight(revised: Revised) -> int:
    return 1 + sum(len(each.files) for each in revised.slices)


def rules_of(contents: Contents) -> Rules:
    """The rules by which *contents* are composed."""
    return Rules(
        channels=layer_order(contents.channels, contents.layers),
        mixed=frozenset(contents.mixed),
        withdrawn=frozenset((each.project, each.version) for each in contents.withdrawn),
    )


def _digests(contents: Contents) -> dict[Sha256, None]:
    return dict.fromkeys(each.source.digest for each in contents.accepted)


def _named(several: Iterable[Accepted]) -> set[NormalizedName]:
    names = {project.name for each in several for project in each.manifest.projects}
    return names | {taken.project for each in several for taken in each.manifest.withdrawn}


def _ruled(now: Contents, following: Contents) -> set[NormalizedName]:
    """Projects that a rule is about which was made, or taken away."""
    withdrawn = {each.project for each in set(now.withdrawn) ^ set(following.withdrawn)}
    return withdrawn | (set(now.mixed) ^ set(following.mixed))


def _all_change(now: Contents, following: Contents) -> bool:
    """Whether each project may look otherwise: channels changed their places, or pages get other companions."""
    old, new = (layer_order(each.channels, each.layers) for each in (now, following))
    return [name for name in old if name in new] != [name for name in new if name in old] or now.gzip != following.gzip


# ---- the rules and bundles of the next state ------------------------------------------------------------------------


def _contents(now: Contents, edit: Edit, load: Callable[[Sha256], Accepted]) -> Contents:
    base = edit.like or now
    accepted = {each.source.digest: each for each in base.accepted}
    for digest in edit.bundles:
        if digest not in accepted:
            accepted[digest] = summary(load(digest))
    counting = _counting(accepted.values(), edit)
    for digest in edit.bundles:
        if digest not in {each.source.digest for each in counting}:
            raise PolicyFault(
                f"bundle {digest} is older than the newest one of its channel, which replaces all others",
                code="older-bundle",
                hint="leave --replace and --keep out, so that both add up",
            )
    withdrawn = {(each.project, each.version): each for each in now.withdrawn}
    withdrawn.update({(each.project, each.version): each for each in edit.withdraw})
    for restored in edit.restore:
        if withdrawn.pop(restored, None) is None:
            raise UsageFault(
                f"{restored[0]} {restored[1]} is not withdrawn here",
                code="not-withdrawn",
                hint="'pypimirror status TREE' lists what is",
            )
    return replace(
        now,
        channels=base.channels if edit.channels is None else tuple(dict.fromkeys(edit.channels)),
        accepted=tuple(sorted(counting, key=lambda each: each.source)),
        withdrawn=tuple(sorted(withdrawn.values())),
        mixed=tuple(sorted({*base.mixed, *edit.mix} - set(edit.unmix))),
        gzip=now.gzip if edit.gzip is None else edit.gzip,
    )


def _counting(accepted: Iterable[AcceptedBundle], edit: Edit) -> Sequence[AcceptedBundle]:
    """Those that are not dropped for newer ones of their channel."""
    by_channel: dict[Label, list[AcceptedBundle]] = {}
    for each in sorted(accepted, key=lambda each: -each.source.sequence):
        by_channel.setdefault(each.source.channel, []).append(each)
    counting = []
    for channel, bundles in by_channel.items():
        refuse_twins(each.source for each in bundles)
        counting += bundles[: 1 if channel in edit.replace else edit.keep]
    return counting
