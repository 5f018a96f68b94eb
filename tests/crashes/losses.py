"""What a machine may show when its power is back.

Names and contents that were not synced may be there or not, in any choice that a file system has: each name for itself,
but two changes of one name in their order; a rename is one thing, old or new. Of contents there may be all, nothing, a
part, or zeros.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.crashes.journal import ROOT, Entry, Inode, Place, State, set_names

__all__ = ["EVERYTHING", "Loss", "left", "losses"]


class Loss(NamedTuple):
    """What a power loss spares: of the pending changes those for which ``name`` says so, and what of contents."""

    model: str
    name: Callable[[int], bool]
    content: Callable[[Inode], bytes]


def left(state: State, loss: Loss) -> Place:
    """The folder as it is found when the power is back."""
    names = {folder: dict(each) for folder, each in state.durable.items()}
    blocked: set[tuple[int, str]] = set()
    for position, change in enumerate(state.pending):
        if change.keys & blocked or not loss.name(position):
            blocked |= change.keys
        else:
            set_names(names, change)
    place: Place = {}

    def walk(folder: int, prefix: str) -> None:
        for name, number in sorted(names.get(folder, {}).items()):
            inode = state.inodes[number]
            data = loss.content(inode) if inode.unsynced else inode.live
            place[prefix + name] = Entry(inode.kind, data, inode.mode, inode.time)
            if inode.kind == "folder":
                walk(number, f"{prefix}{name}/")

    walk(ROOT, "")
    return place


def _all(_: int) -> bool:
    return True


EVERYTHING = Loss("everything survived", _all, lambda inode: inode.live)
NOTHING = Loss("nothing unsynced survived", lambda _: False, lambda inode: inode.durable)
ORDERED = (
    Loss("names without contents", _all, lambda inode: inode.durable),
    Loss("names with half the contents", _all, lambda inode: inode.live[: len(inode.live) // 2]),
    Loss("names with zeros", _all, lambda inode: bytes(len(inode.live))),
)


def losses(state: State, *, seeds: int, brief: bool, at: int = 0) -> Iterator[Loss]:
    """The ways to lose power here: each model, each name that may be lost or saved alone, and *seeds* by chance.

    *brief* leaves out the single names, half contents, and what a kill leaves as well.
    """
    yield NOTHING
    yield from ORDERED[::2] if brief else ORDERED
    if not brief:
        yield EVERYTHING
        for number in range(len(state.pending)):
            yield all_but(number)
            yield all_lost_but(number)
    for seed in range(seeds):
        yield chance(at * 1000 + seed)


def all_but(number: int) -> Loss:
    return Loss(f"all but change {number}", lambda position: position != number, lambda inode: inode.live)


def all_lost_but(number: int) -> Loss:
    return Loss(f"change {number} alone", lambda position: position == number, lambda inode: inode.live)


def chance(seed: int) -> Loss:
    """Each name and each content by the dice."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    likely = dice.choice((0.1, 0.5, 0.5, 0.9))

    def content(inode: Inode) -> bytes:
        whole = inode.live
        cut = dice.randrange(len(whole) + 1)
        choices = (whole, whole, inode.durable, whole[:cut], whole[:cut] + bytes(len(whole) - cut), bytes(len(whole)))
        return dice.choice(choices)

    return Loss(f"chance {seed}", lambda _: dice.random() < likely, content)
