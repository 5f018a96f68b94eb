"""``pypimirror rollback``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from pypimirror.cli.options import speech_options, wait_option
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count
from pypimirror.cli.voice import Voice
from pypimirror.model.manifest import Manifest
from pypimirror.tree.compose import Source
from pypimirror.upkeep import RolledBack, rollback

__all__ = ["command"]


@click.command(name="rollback")
@click.argument("tree", metavar="TREE")
@click.option(
    "--to", metavar="BUNDLE", help="Drop the bundles of its channel that are newer than this one; 'status' names them."
)
@click.option("--dry-run", is_flag=True, help="Tell which bundles would go and come back; change nothing.")
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Tell what was done as JSON on standard output.")
@speech_options
@click.pass_obj
def command(voice: Voice, tree: str, *, to: str | None, dry_run: bool, wait: float, as_json: bool) -> None:
    """Serve again what was served before the last change of TREE, or before some of its bundles came.

    \b
    The new bundle breaks something:
      pypimirror rollback /srv/pypi
    Which bundles would go, and which would come back:
      pypimirror rollback /srv/pypi --dry-run
    Further back, to a bundle that is still served beside the newer ones:
      pypimirror rollback /srv/pypi --to default-20261121T213000Z

    One step is kept, and each change is one: a withdrawal, too. A second rollback undoes the first, so after an
    interruption ask 'pypimirror status' first; with --to, once more changes nothing. What was withdrawn stays
    withdrawn, whether in TREE or by a bundle that is dropped. A bundle that was dropped can be rendered again; 'prune'
    removes the one step, and with --keep older bundles.
    """
    with reporting(voice) as reporter:
        done = rollback(Path(tree), now=int(time.time()), to=to, dry_run=dry_run, wait=wait, reporter=reporter)
    if as_json:
        voice.data(json.dumps(_facts(done, tree), indent=2))
    elif not voice.quiet:
        voice.say("\n".join(_words(done, tree, to)))


def _words(done: RolledBack, tree: str, to: str | None) -> Iterator[str]:
    before = "what was served before" if to is None else f"{to} as the newest bundle of its channel"
    if (published := done.published) is None:
        yield f"{tree}: a rollback would serve {before}"
    else:
        contents = published.contents
        projects, files = count(len(contents.projects), "project"), count(contents.files, "file")
        yield f"{tree}: {'serves' if published.changed else 'served already'} {before}: {files} of {projects}"
    yield from (f"  without {_stem(each)}" for each in done.dropped)
    yield from (f"  with {_stem(each)} again" for each in done.back)
    yield from (f"  {each.project} {each.version} stays withdrawn" for each in done.withdrawn)


def _stem(source: Source) -> str:
    return Manifest.stem_of(source.channel, source.sequence)


def _facts(done: RolledBack, tree: str) -> dict[str, object]:
    published = done.published
    return {
        "tree": tree,
        "dry_run": published is None,
        "changed": published is not None and published.changed,
        "generation": None if published is None else published.generation,
        "dropped": [{"name": _stem(each), "manifest": each.digest} for each in done.dropped],
        "back": [{"name": _stem(each), "manifest": each.digest} for each in done.back],
        "stays_withdrawn": [f"{each.project} {each.version}" for each in done.withdrawn],
    }
