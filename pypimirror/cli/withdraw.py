"""``pypimirror withdraw``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from pypimirror.cli.options import speech_options, wait_option
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count, size
from pypimirror.cli.versions import named_version
from pypimirror.cli.voice import Voice
from pypimirror.upkeep import Withdrawn, withdraw

__all__ = ["command"]

_SHOWN = 20


@click.command(name="withdraw")
@click.argument("tree", metavar="TREE")
@click.argument("versions", nargs=-1, required=True, metavar="PROJECT==VERSION...")
@click.option("--reason", metavar="TEXT", help="Why; 'status' shows it. Needed, unless --restore is given.")
@click.option("--restore", is_flag=True, help="Allow these versions again.")
@click.option("--ahead", is_flag=True, help="Also where TREE does not have such a version yet.")
@click.option("--dry-run", is_flag=True, help="Tell what would leave, and who would miss it; change nothing.")
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Tell what was done as JSON on standard output.")
@speech_options
@click.pass_context
def command(
    context: click.Context,
    tree: str,
    versions: tuple[str, ...],
    *,
    reason: str | None,
    restore: bool,
    ahead: bool,
    dry_run: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Take versions back from every index of TREE at once, whichever bundle lists them now or later.

    \b
    Tonight:
      pypimirror withdraw /srv/pypi 'evil==1.0' 'evil==1.1' --reason 'steals passwords, CVE-2026-1'
    Look first who needs it:
      pypimirror withdraw /srv/pypi 'evil==1.0' --reason 'see CVE-2026-1' --dry-run
    It was a false alarm: render the bundle that has it once more, then
      pypimirror withdraw /srv/pypi 'evil==1.0' --restore

    The pages stop listing them and their files are removed, all in one step; no rollback brings them back. What pip
    has installed, and what caches and proxies keep, is theirs to clear. 'pypimirror verify TREE' tells which sets
    don't install any more. In the next bundle, 'bundle --withdraw' does the same for its channel.

    Exit code: 0 done; 1 something is missing (a restored file, or a file that could not be removed yet); 2 TREE has no
    such version.
    """
    voice: Voice = context.obj
    if restore and (ahead or reason):
        raise click.UsageError("--restore goes without --reason and --ahead")
    if not restore and not (reason or "").strip():
        raise click.UsageError("say why: --reason TEXT")
    named = dict.fromkeys(named_version(text, hint="PROJECT==VERSION") for text in versions)
    with reporting(voice) as reporter:
        done = withdraw(
            Path(tree),
            named.keys(),
            reason=(reason or "").strip(),
            now=int(time.time()),
            restore=restore,
            ahead=ahead,
            dry_run=dry_run,
            wait=wait,
            reporter=reporter,
        )
        for name in done.left:
            reporter.note(f"{name} is on no page any more, but could not be removed: run the same command again")
    shown = [f"{project} {version}" for project, version in named]
    if as_json:
        voice.data(json.dumps(_facts(done, tree, shown, restore=restore), indent=2))
    elif not voice.quiet:
        voice.say("\n".join(_words(done, tree, shown, restore=restore)))
    context.exit(1 if done.left else 0)


def _words(done: Withdrawn, tree: str, shown: list[str], *, restore: bool) -> Iterator[str]:
    what = ", ".join(shown)
    if restore:
        yield f"{tree}: {what} {'would be' if done.published is None else 'is'} served again, where a bundle has it"
        return
    files = f"{count(len(done.files), 'file')}, {size(sum(each.size for each in done.files.values()))}"
    if done.published is None:
        yield f"{tree}: {what} would be withdrawn; {files} would leave"
    elif not done.published.changed:
        yield f"{tree}: {what} was withdrawn already, nothing changed"
    else:
        yield f"{tree}: {what} is withdrawn; {files} left"
    for each in done.pinned[:_SHOWN]:
        yield f"  pinned by set {each.set} on {each.target} (channel {each.channel}): {each.project} {each.version}"
    if len(done.pinned) > _SHOWN:
        yield f"  and {len(done.pinned) - _SHOWN} more (--json shows them all)"
    if done.pinned:
        yield f"these install only where another version will do: 'pypimirror verify {tree}' tells"


def _facts(done: Withdrawn, tree: str, shown: list[str], *, restore: bool) -> dict[str, object]:
    published = done.published
    return {
        "tree": tree,
        "restored" if restore else "withdrawn": shown,
        "dry_run": published is None,
        "changed": published is not None and published.changed,
        "generation": None if published is None else published.generation,
        "files": [{"name": name, "size": each.size} for name, each in sorted(done.files.items())],
        "left": list(done.left),
        "pinned": [
            {
                "channel": each.channel,
                "set": each.set,
                "target": each.target,
                "project": each.project,
                "version": str(each.version),
            }
            for each in done.pinned
        ],
    }
