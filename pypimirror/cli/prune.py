"""``pypimirror prune``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from pypimirror.cli.options import speech_options, wait_option
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count, size
from pypimirror.cli.voice import Voice
from pypimirror.model.manifest import Manifest
from pypimirror.tree.contents import Served
from pypimirror.upkeep import GRACE, Pruned, prune

__all__ = ["command"]

_SHOWN = 20


@click.command(name="prune")
@click.argument("tree", metavar="TREE")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="First drop all but the N newest bundles of each channel."
)
@click.option("--at-once", is_flag=True, help=f"Also files that left the pages less than {GRACE // 60} minutes ago.")
@click.option("--incomplete", is_flag=True, help="Also bundles that wait for other volumes, with what came of them.")
@click.option("--dry-run", is_flag=True, help="Tell what would leave, with sizes; change nothing.")
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Tell what was removed as JSON on standard output.")
@speech_options
@click.pass_obj
def command(
    voice: Voice,
    tree: str,
    *,
    keep: int | None,
    at_once: bool,
    incomplete: bool,
    dry_run: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Remove from the disk what nothing that TREE serves needs.

    \b
    The disk fills. What would it free?
      pypimirror prune /srv/pypi --dry-run
      pypimirror prune /srv/pypi --keep 3 --dry-run
    Do it:
      pypimirror prune /srv/pypi --keep 3

    What is served stays whole, unless --keep drops bundles: then what only those had leaves the pages now, and the
    disk with the next prune, since clients may be about to fetch it (--at-once does not wait). After a prune that drops
    nothing, 'rollback' has nothing to turn back to. Only files that a bundle brought are ever removed.
    """
    with reporting(voice) as reporter:
        pruned = prune(
            Path(tree),
            now=int(time.time()),
            keep=keep,
            at_once=at_once,
            incomplete=incomplete,
            dry_run=dry_run,
            wait=wait,
            reporter=reporter,
        )
    if as_json:
        voice.data(json.dumps(_facts(pruned, tree, dry_run=dry_run), indent=2))
    elif not voice.quiet:
        voice.say("\n".join(_words(pruned, tree, dry_run=dry_run, verbose=voice.verbose)))


def _words(pruned: Pruned, tree: str, *, dry_run: bool, verbose: bool) -> Iterator[str]:
    would = "would be " if dry_run else ""
    for each in pruned.dropped:
        yield f"{would}dropped: {Manifest.stem_of(each.channel, each.sequence)}"
    if not pruned.files and not pruned.waiting:
        yield f"{tree}: nothing to remove{'' if pruned.graceful else ': all that is there is served'}"
    else:
        yield f"{tree}: {would}freed: {size(pruned.size)}"
    if pruned.files:
        yield f"  {_total(pruned.files)} that nothing served needs"
        yield from _names(pruned.files, verbose=verbose)
    if pruned.waiting:
        freed = size(sum(pruned.waiting.values()))
        yield f"  {count(len(pruned.waiting), 'file')} of what came in and is not served, {freed}"
    if pruned.graceful:
        yield f"  {_total(pruned.graceful)} for the next prune: clients may be about to fetch (--at-once does not wait)"
        yield from _names(pruned.graceful, verbose=verbose)


def _total(files: Mapping[str, Served]) -> str:
    return f"{count(len(files), 'file')}, {size(sum(each.size for each in files.values()))}"


def _names(files: Iterable[str], *, verbose: bool) -> Iterator[str]:
    names = sorted(files)
    yield from (f"    {name}" for name in (names if verbose else names[:_SHOWN]))
    if len(names) > _SHOWN and not verbose:
        yield f"    and {len(names) - _SHOWN} more (--verbose or --json shows them all)"


def _facts(pruned: Pruned, tree: str, *, dry_run: bool) -> dict[str, object]:
    return {
        "tree": tree,
        "dry_run": dry_run,
        "dropped": [
            {"name": Manifest.stem_of(each.channel, each.sequence), "manifest": each.digest} for each in pruned.dropped
        ],
        "bytes": pruned.size,
        "files": [{"name": name, "size": each.size} for name, each in sorted(pruned.files.items())],
        "graceful": [{"name": name, "size": each.size} for name, each in sorted(pruned.graceful.items())],
        "waiting": [{"name": name, "size": each} for name, each in sorted(pruned.waiting.items())],
    }
