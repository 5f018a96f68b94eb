"""``pypimirror add``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from pypimirror.cli.bundle import sequence
from pypimirror.cli.options import mixed_option, speech_options, wait_option
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count, size
from pypimirror.cli.voice import Voice
from pypimirror.inhouse import IN_HOUSE, Added, add
from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import Label, NormalizedName, label
from pypimirror.tree.shadow import Hidden

__all__ = ["command"]

_SHOWN = 10


def _channel(ctx: click.Context, param: click.Parameter, value: str) -> Label:
    del ctx, param
    try:
        return label(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(name="add")
@click.argument("tree", metavar="TREE")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--channel", default=IN_HOUSE, show_default=True, callback=_channel, help="The channel that they join.")
@click.option("--dry-run", is_flag=True, help="Check and tell all, change nothing.")
@mixed_option
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Tell what was added as JSON on standard output.")
@speech_options
@click.pass_obj
def command(
    voice: Voice,
    tree: str,
    files: tuple[str, ...],
    *,
    channel: Label,
    dry_run: bool,
    mix: tuple[NormalizedName, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Add wheels and sdists of your own to TREE, in a channel above all others.

    \b
    What a build left:
      pypimirror add /srv/pypi dist/*.whl dist/*.tar.gz
    Look first:
      pypimirror add /srv/pypi dist/*.whl --dry-run

    Each file is looked through: name and version are those of its metadata, the archive is one that every installer
    reads alike, its RECORD lists what is in it. A project that is added hides the same project of all channels below,
    whole, so that no file from outside can take its place; --allow-mixed NAME lets both add up.

    All files come in, in one step, or none. The same file once more changes nothing; its name with other bytes is
    refused.
    """
    with reporting(voice) as reporter:
        added = add(
            Path(tree),
            [Path(name) for name in files],
            now=int(time.time()),
            sequence=sequence(),
            channel=channel,
            mix=mix,
            dry_run=dry_run,
            wait=wait,
            reporter=reporter,
        )
        notes = tuple(_notes(added))
        for note in notes:
            reporter.note(note)
    if as_json:
        voice.data(json.dumps(_facts(added, tree, notes), indent=2))
    elif not voice.quiet:
        voice.say(_summary(added, tree))


def _summary(added: Added, tree: str) -> str:
    lines = [f"  {file.filename}, {size(file.size)}" for file in added.new[:_SHOWN]]
    if len(added.new) > _SHOWN:
        lines.append(f"  and {len(added.new) - _SHOWN} more")
    if added.known:
        lines.append(f"{count(len(added.known), 'file')} there already, with the same bytes")
    what = count(len(added.new), "new file")
    if added.published is None:
        return "\n".join([f"{tree}: would add {what} to channel {added.channel!r}; nothing was changed", *lines])
    if not added.published.changed:
        mended = f", {count(added.published.repaired, 'file')} put back" if added.published.repaired else ""
        return "\n".join([f"{tree}: nothing to add{mended}", *lines])
    if not added.new:
        return "\n".join([f"{tree}: no new file; published by the rules as they are now", *lines])
    return "\n".join([f"{tree}: added {what} to channel {added.channel!r}", *lines])


def _notes(added: Added) -> Iterator[str]:
    if added.order is not None and len(added.order) > 1:
        yield (
            f"order of the channels from now on, the upper one first: {', '.join(added.order)} "
            "(render --channels states another)"
        )
    if added.unseen:
        yield (
            f"clients don't see {_names(added.unseen)} in the merged index: a channel that lies above has the same "
            "project (render --channels states the order)"
        )
    for file in added.withdrawn:
        yield f"{file.filename} is withdrawn; it was kept, and 'pypimirror withdraw ... --restore' brings it back"
    for file in added.new:
        if file.learnt_from == "egg-info":
            yield f"{file.filename}: what it depends on is taken from its PKG-INFO; only a build could tell for certain"
    for hidden in added.hidden:
        yield from _hidden(hidden, added.channel)


def _names(files: tuple[BundledFile, ...]) -> str:
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(file.filename for file in files[:_SHOWN]) + more


def _hidden(hidden: Hidden, channel: Label) -> Iterator[str]:
    what = "; ".join(
        f"{', '.join(map(str, versions))} of channel {below!r}" for below, versions in hidden.versions.items()
    )
    yield (
        f"{hidden.project} of channel {channel!r} hides {hidden.project} {what} from now on "
        f"(--allow-mixed {hidden.project} lets both add up)"
    )
    broken = {str(fault) for fault in hidden.broken}
    if hidden.sets and not broken:
        sets = ", ".join(f"{name} on {target}" for name, target in hidden.sets)
        yield f"sets that were made with a version of {hidden.project} that is hidden, and install with another: {sets}"
    yield from broken


def _facts(added: Added, tree: str, notes: tuple[str, ...]) -> dict[str, object]:
    published = added.published
    return {
        "tree": tree,
        "channel": added.channel,
        "dry_run": published is None,
        "changed": published is not None and published.changed,
        "sequence": None if added.manifest is None else added.manifest.sequence,
        "new": [_file(file) for file in added.new],
        "known": [_file(file) for file in added.known],
        "unseen": [file.filename for file in added.unseen],
        "channels": list(added.order or ()),
        "hidden": [
            {
                "project": each.project,
                "versions": {channel: list(map(str, versions)) for channel, versions in each.versions.items()},
                "sets": [{"set": name, "target": target} for name, target in each.sets],
                "broken": [str(fault) for fault in each.broken],
            }
            for each in added.hidden
        ],
        "notes": list(notes),
    }


def _file(file: BundledFile) -> dict[str, object]:
    return {
        "filename": file.filename,
        "project": file.project,
        "version": str(file.version),
        "sha256": file.sha256,
        "size": file.size,
    }
