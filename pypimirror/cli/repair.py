"""``pypimirror repair``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from pypimirror.cli.options import speech_options, wait_option
from pypimirror.cli.printable import printable
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count
from pypimirror.cli.standard_input import bundles_named
from pypimirror.cli.voice import Voice
from pypimirror.repair import Repaired, repair

__all__ = ["command"]

_SHOWN = 20


@click.command(name="repair")
@click.argument("tree", metavar="TREE")
@click.option(
    "--from", "bundles", multiple=True, metavar="BUNDLE", help="Where missing and wrong files can be had; '-' is input."
)
@click.option("--dry-run", is_flag=True, help="Tell what would be mended, and what can't be; change nothing.")
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Tell what was mended as JSON on standard output.")
@speech_options
@click.pass_context
def command(
    context: click.Context, tree: str, *, bundles: tuple[str, ...], dry_run: bool, wait: float, as_json: bool
) -> None:
    """Put back what rotted in TREE: every entry is looked at, and what is wrong is made right.

    \b
    Pages, records, links and modes, which need nothing else:
      pypimirror repair /srv/pypi
    Wheels and sdists, too, out of the bundles that brought them:
      pypimirror repair /srv/pypi --from kubespray.tar --from december.tar

    The tree's own manifest.json is made again where the ledgers, the bundles' manifests and the landing page prove what
    it said, and the notes tell what is lost with it; nothing is guessed.

    What is right is not touched, what is not of the tree is left and told, and at no moment clients see less than
    before. Afterwards the tree is looked at once more: what is still wrong is told.

    Exit code: 0 all is well; 1 something is missing or extra still; 4 bytes are wrong still.
    """
    voice: Voice = context.obj
    sources = bundles_named(bundles)
    with reporting(voice) as reporter:
        repaired = repair(
            Path(tree),
            sources,
            now=int(time.time()),
            dry_run=dry_run,
            wait=wait,
            reporter=reporter,
        )
        for note in repaired.notes:
            reporter.note(printable(note))
    if as_json:
        voice.data(json.dumps(_facts(repaired, tree, dry_run=dry_run), indent=2))
    elif not voice.quiet or repaired.findings:
        voice.say("\n".join(_words(repaired, tree, dry_run=dry_run, verbose=voice.verbose)))
    context.exit(repaired.exit_code)


def _words(repaired: Repaired, tree: str, *, dry_run: bool, verbose: bool) -> Iterator[str]:
    shown = repaired.mended if verbose else repaired.mended[:_SHOWN]
    yield from (f"  {'would mend' if dry_run else 'mended'} {path}" for path in shown)
    if len(shown) < len(repaired.mended):
        yield f"  and {len(repaired.mended) - len(shown)} more (--verbose or --json shows them all)"
    if repaired.anew:
        yield "  all pages were printed once more: they were made by another version of pypimirror, or forged"
    if repaired.forgot:
        lost = "would be" if dry_run else "was"
        yield f"  what was served before {lost} given up: it can't be rolled back to"
    for finding in repaired.findings if verbose else repaired.findings[:_SHOWN]:
        yield f"  still: {finding.message}"
        if finding.hint:
            yield f"    hint: {finding.hint}"
    if len(repaired.findings) > _SHOWN and not verbose:
        yield f"  and {len(repaired.findings) - _SHOWN} more (--verbose or --json shows them all)"
    done = count(len(repaired.mended), "entry", "entries")
    if repaired.findings:
        yield f"{tree}: {done} {'to mend' if dry_run else 'mended'}, {len(repaired.findings)} can't be"
    elif dry_run:
        yield f"{tree}: {done} to mend; nothing was changed"
    else:
        yield f"{tree}: {done} mended; whole"


def _facts(repaired: Repaired, tree: str, *, dry_run: bool) -> dict[str, object]:
    return {
        "tree": tree,
        "dry_run": dry_run,
        "exit_code": repaired.exit_code,
        "mended": list(repaired.mended),
        "printed_anew": repaired.anew,
        "gave_up_previous": repaired.forgot,
        "findings": [
            {"kind": each.kind.value, "path": each.path, "message": each.message, "hint": each.hint}
            for each in repaired.findings
        ],
        "notes": list(repaired.notes),
    }
