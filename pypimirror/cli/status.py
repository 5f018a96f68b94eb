"""``pypimirror status``.

With ``--json``, one object on standard output. Its keys are stable; more may come. Sizes are in bytes, times in ISO
8601, ages in seconds, ``null`` stands for "none":

tree, plain, generation, published, age, projects, files, size, gzip, channels [name, newest_age, too_old, in_house,
targets, bundles [name, sequence, time, age, manifest, tool, files, size, withdrawn]], withdrawn [project, version,
reason, by (null: in this tree), time], mixed, waiting [name, channel, manifest, missing, missing_size],
rollback {without, with}, rollback_to (names of bundles), prune_size, free
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import click

from pypimirror.cli.options import speech_options
from pypimirror.cli.printable import screen
from pypimirror.cli.sizes import count, size
from pypimirror.cli.voice import Voice
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Label
from pypimirror.standing import Status, status
from pypimirror.tree.compose import Source, layer_order
from pypimirror.tree.contents import AcceptedBundle, Contents
from pypimirror.values import dataclass

__all__ = ["command"]

_UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_SHOWN = 5


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    del ctx, param
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", value.strip())
    if match is None:
        raise click.BadParameter("a number of days, hours or weeks: 30d, 36h, 5w")
    return int(match[1]) * _UNITS[match[2]]


@click.command(name="status")
@click.argument("tree", metavar="TREE")
@click.option(
    "--max-age", metavar="AGE", callback=_seconds, help="Exit 1 where a channel's newest bundle is older: 30d, 36h, 5w."
)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON on standard output.")
@speech_options
@click.pass_context
def command(context: click.Context, tree: str, *, max_age: int | None, as_json: bool) -> None:
    """Tell at a glance what TREE serves, how old it is, from whom, what waits, and how much room there is.

    \b
    By hand:
      pypimirror status /srv/pypi
    From monitoring, silent while all is well:
      pypimirror status /srv/pypi --max-age 35d --quiet

    Nothing is written, no lock is held, no file is hashed: that is what 'verify' does. A channel without sets, such as
    one of in-house packages, is never too old.

    Exit code: 0; 1 where a channel's newest bundle is older than --max-age, or nothing is published yet.
    """
    voice: Voice = context.obj
    shown = _Shown(status=status(Path(tree)), now=int(time.time()), max_age=max_age)
    late = [channel for channel in shown.channels if shown.too_old(channel)]
    if as_json:
        voice.data(json.dumps(_facts(shown), indent=2))
    elif late or not voice.quiet:
        lines = [f"{tree}: channel {each}: {shown.lateness(each)}" for each in late] if voice.quiet else _words(shown)
        voice.data(screen(lines, sys.stdout.encoding or "ascii"))
    context.exit(1 if late else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """A status at a moment. *max_age* is in seconds."""

    status: Status
    now: int
    max_age: int | None

    @property
    def contents(self) -> Contents:
        return self.status.view.contents

    @property
    def channels(self) -> tuple[Label, ...]:
        return layer_order(self.contents.channels, self.contents.layers)

    def bundles(self, channel: Label) -> list[AcceptedBundle]:
        """The newest first."""
        found = [each for each in self.contents.accepted if each.source.channel == channel]
        return sorted(found, key=lambda each: -each.source.sequence)

    def age(self, moment: int) -> int:
        return max(0, self.now - moment)

    def is_in_house(self, channel: Label) -> bool:
        return not any(each.resolutions for each in self.bundles(channel))

    def too_old(self, channel: Label) -> bool:
        newest = self.age(self.bundles(channel)[0].source.sequence)
        return self.max_age is not None and newest > self.max_age and not self.is_in_house(channel)

    def lateness(self, channel: Label) -> str:
        newest = self.bundles(channel)[0].source.sequence
        return f"the newest bundle is {_age(self.age(newest))} old, more than {_age(self.max_age or 0)}"


# ---- words ----------------------------------------------------------------------------------------------------------


def _words(shown: _Shown) -> Iterator[str]:
    now, contents = shown.status, shown.contents
    projects, files = count(len(contents.projects), "project"), count(contents.files, "file")
    generation = "a plain tree" if now.view.plain else f"generation {now.view.generation}"
    yield now.view.shown
    yield f"  {'serves':<7} {files} of {projects}, {size(contents.size)}"
    yield f"  {'since':<7} {_moment(now.published)} UTC ({_age(shown.age(now.published))} ago), {generation}"
    yield f"  {'free':<7} {size(now.free)}; 'pypimirror prune' would free {size(now.spare)}"
    for position, channel in enumerate(shown.channels):
        upper = " (above the others)" if position == 0 and len(shown.channels) > 1 else ""
        yield from ("", f"Channel {channel}{upper}", *_channel(shown, channel))
    if withdrawn := list(_withdrawn(shown)):
        yield from ("", "Withdrawn", *withdrawn)
    if contents.mixed:
        yield from ("", "Mixed: the channels of these add up", f"  {', '.join(contents.mixed)}")
    if now.waiting:
        yield from ("", "Waiting: came in, and is not published", *_waiting(now))
    yield from ("", *_rollback(shown))


def _channel(shown: _Shown, channel: Label) -> Iterator[str]:
    bundles = shown.bundles(channel)
    for each in bundles:
        age = _age(shown.age(each.source.sequence))
        yield f"  {_stem(each.source)}: {age} old, {count(each.files, 'file')}, {size(each.size)}, by {each.tool}"
    if targets := bundles[0].targets:
        yield f"  for {', '.join(targets)}"
    yield from (f"  not covered: {each}" for each in bundles[0].uncovered[:_SHOWN])
    if shown.too_old(channel):
        yield f"  TOO OLD: {shown.lateness(channel)}"


def _withdrawn(shown: _Shown) -> Iterator[str]:
    for each in shown.contents.withdrawn:
        yield f"  {each.project} {each.version}: {each.reason} (here, {_moment(each.time)} UTC)"
    for channel in shown.channels:
        for bundle in shown.bundles(channel):
            for one in bundle.withdrawn:
                reason = one.reason or "no reason given"
                yield f"  {one.project} {one.version}: {reason} (by {_stem(bundle.source)}, from older ones)"


def _waiting(now: Status) -> Iterator[str]:
    for each in now.waiting:
        if not each.missing:
            yield f"  {each.manifest.stem}: it is whole; render it again to publish it"
            continue
        names = ", ".join(list(each.missing)[:_SHOWN]) + (", ..." if len(each.missing) > _SHOWN else "")
        lacks = f"{count(len(each.missing), 'file')}, {size(sum(each.missing.values()))}"
        yield f"  {each.manifest.stem}: lacks {lacks}: {names}"


def _rollback(shown: _Shown) -> Iterator[str]:
    older = list(_older(shown))
    if shown.status.previous is not None:
        without, again = _changes(shown.contents, shown.status.previous)
        told = [f"without {_stem(each)}" for each in without] + [f"with {_stem(each)} again" for each in again]
        yield f"A rollback would serve what was served before{': ' if told else ''}{', '.join(told)}"
    elif not older:
        yield "Nothing to roll back to"
    if older:
        several = ", ".join(older[:_SHOWN]) + (", ..." if len(older) > _SHOWN else "")
        yield f"'rollback --to' drops what is newer than one of: {several}"


def _older(shown: _Shown) -> Iterator[str]:
    """The bundles that newer ones of their channel came upon, and that can be gone back to."""
    for channel in shown.channels:
        yield from (_stem(each.source) for each in shown.bundles(channel)[1:])


def _changes(contents: Contents, previous: Contents) -> tuple[list[Source], list[Source]]:
    """The bundles that a rollback drops, and those that it brings back."""
    now, before = ({each.source for each in one.accepted} for one in (contents, previous))
    return sorted(now - before), sorted(before - now)


def _stem(source: Source) -> str:
    return Manifest.stem_of(source.channel, source.sequence)


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%Y-%m-%d %H:%M:%S}"


def _age(seconds: int) -> str:
    """``3 days``, ``5 hours``, ``12 minutes``."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or (unit == "day" and seconds >= length):
            return count(seconds // length, unit)
    return count(seconds, "second")


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _facts(shown: _Shown) -> dict[str, object]:
    now, contents = shown.status, shown.contents
    without, again = _changes(contents, now.previous or contents)
    return {
        "tree": now.view.shown,
        "plain": now.view.plain,
        "generation": now.view.generation,
        "published": _iso(now.published),
        "age": shown.age(now.published),
        "projects": len(contents.projects),
        "files": contents.files,
        "size": contents.size,
        "gzip": contents.gzip,
        "channels": [_channel_facts(shown, channel) for channel in shown.channels],
        "withdrawn": list(_withdrawn_facts(shown)),
        "mixed": list(contents.mixed),
        "waiting": [
            {
                "name": each.manifest.stem,
                "channel": each.manifest.channel,
                "manifest": each.digest,
                "missing": list(each.missing),
                "missing_size": sum(each.missing.values()),
            }
            for each in now.waiting
        ],
        "rollback": None
        if now.previous is None
        else {"without": [_stem(each) for each in without], "with": [_stem(each) for each in again]},
        "rollback_to": list(_older(shown)),
        "prune_size": now.spare,
        "free": now.free,
    }


def _channel_facts(shown: _Shown, channel: Label) -> dict[str, object]:
    bundles = shown.bundles(channel)
    return {
        "name": channel,
        "newest_age": shown.age(bundles[0].source.sequence),
        "too_old": shown.too_old(channel),
        "in_house": shown.is_in_house(channel),
        "targets": list(bundles[0].targets),
        "bundles": [
            {
                "name": _stem(each.source),
                "sequence": each.source.sequence,
                "time": _iso(each.source.sequence),
                "age": shown.age(each.source.sequence),
                "manifest": each.source.digest,
                "tool": each.tool,
                "files": each.files,
                "size": each.size,
                "withdrawn": [f"{one.project} {one.version}" for one in each.withdrawn],
            }
            for each in bundles
        ],
    }


def _withdrawn_facts(shown: _Shown) -> Iterator[dict[str, object]]:
    for here in shown.contents.withdrawn:
        yield {
            "project": here.project,
            "version": str(here.version),
            "reason": here.reason,
            "by": None,
            "time": _iso(here.time),
        }
    for channel in shown.channels:
        for bundle in shown.bundles(channel):
            for one in bundle.withdrawn:
                yield {
                    "project": one.project,
                    "version": str(one.version),
                    "reason": one.reason,
                    "by": _stem(bundle.source),
                    "time": _iso(bundle.source.sequence),
                }


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
