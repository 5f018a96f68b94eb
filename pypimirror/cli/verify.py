"""``pypimirror verify``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pypimirror.cli.options import speech_options
from pypimirror.cli.printable import printable, screen
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count, size
from pypimirror.cli.standard_input import standard_input
from pypimirror.cli.voice import Voice
from pypimirror.closed import verify
from pypimirror.model.findings import Finding, Kind, Report

__all__ = ["command"]

_SHOWN = 20
_HEADINGS = {
    Kind.CHANGED: "changed",
    Kind.UNREADABLE: "can't be read",
    Kind.MISSING: "missing",
    Kind.EXTRA: "not of it",
    Kind.MODE: "wrong modes",
    Kind.UNSOLVABLE: "can't be installed",
}


@click.command(name="verify")
@click.argument("source", metavar="BUNDLE|TREE")
@click.option(
    "--quick", is_flag=True, help="Sizes in place of the hashes of files; pages are not compared, nothing is solved."
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output.")
@speech_options
@click.pass_context
def command(context: click.Context, source: str, *, quick: bool, as_json: bool) -> None:
    """Look at every byte of a bundle or a tree, and solve every set on every target again.

    \b
    Before the gap, or behind it:
      pypimirror verify wheels.tar
      ssh relay cat wheels.tar | pypimirror verify -
    What is served, say each night:
      pypimirror verify /srv/pypi --quiet

    Of a tree, every entry is accounted for: files, pages, links and modes; what is not of it is named. Nothing is
    written, and no lock is held, so a medium that is read-only will do.

    Exit code: 0 all is well; 1 something is missing, extra, not readable for clients, or can't be installed; 4 bytes
    are wrong.
    """
    voice: Voice = context.obj
    with reporting(voice) as reporter:
        report = verify(standard_input() if source == "-" else Path(source), quick=quick, reporter=reporter)
        for note in report.notes:
            reporter.note(printable(note))
    if as_json:
        voice.data(json.dumps(_facts(report), indent=2))
    else:
        lines = list(_words(report, verbose=voice.verbose))
        if not voice.quiet or report.findings:
            lines += _verdict(report)
        if lines:
            voice.data(screen(lines, sys.stdout.encoding or "ascii"))
    context.exit(report.exit_code)


def _words(report: Report, *, verbose: bool) -> Iterator[str]:
    """The findings, kind by kind; each with what to do, where that is not said of the one before."""
    for kind, heading in _HEADINGS.items():
        found = [finding for finding in report.findings if finding.kind is kind]
        if not found:
            continue
        yield f"{heading} ({len(found)}):"
        shown = found if verbose else found[:_SHOWN]
        for position, finding in enumerate(shown):
            yield from _indented("  ", finding.message)
            if finding.hint and (position + 1 == len(shown) or shown[position + 1].hint != finding.hint):
                yield from _indented("    hint: ", finding.hint)
        if len(found) > len(shown):
            yield f"  and {len(found) - len(shown)} more (--verbose or --json shows them all)"


def _indented(start: str, text: str) -> Iterator[str]:
    first, *rest = text.split("\n")
    yield f"{start}{first}"
    yield from (f"    {line}" for line in rest)


def _verdict(report: Report) -> Iterator[str]:
    checked = report.checked
    looked = [
        count(checked.files, "file"),
        count(checked.pages, "page"),
        *([] if report.quick else [f"{size(checked.size)} hashed", f"{count(checked.resolutions, 'set')} solved"]),
    ]
    if report.findings:
        verdict = {4: "DAMAGED", 1: "NOT WHOLE"}[report.exit_code]
        yield f"{report.name}: {verdict}, {count(len(report.findings), 'finding')}; looked at {', '.join(looked)}"
        return
    how = "nothing amiss at a quick look" if report.quick else "whole"
    yield f"{report.name}: {how}: {', '.join(looked)}; unsigned"
    yield from (f"  {stem}  manifest sha256 {digest}" for stem, digest in report.bundles)


def _facts(report: Report) -> dict[str, object]:
    return {
        "kind": report.what,
        "name": report.name,
        "exit_code": report.exit_code,
        "quick": report.quick,
        "bundles": [{"name": stem, "manifest": digest} for stem, digest in report.bundles],
        "checked": {
            "files": report.checked.files,
            "bytes": report.checked.size,
            "pages": report.checked.pages,
            "resolutions": report.checked.resolutions,
        },
        "findings": [_finding_facts(finding) for finding in report.findings],
        "notes": list(report.notes),
    }


def _finding_facts(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "path": finding.path,
        "message": finding.message,
        "hint": finding.hint,
        "exit_code": finding.exit_code,
    }
