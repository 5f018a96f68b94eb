"""``pypimirror bundle``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pypimirror.cli.options import index_options, speech_options, wish_options
from pypimirror.cli.sizes import count, size
from pypimirror.cli.voice import Voice
from pypimirror.errors import UsageFault
from pypimirror.model.names import Label, label

if TYPE_CHECKING:
    from pypimirror.connected import Bundled

__all__ = ["command"]


def _channel(ctx: click.Context, param: click.Parameter, value: str) -> Label:
    del ctx, param
    try:
        return label(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def sequence() -> int:
    """The bundle's number: the seconds since 1970, or SOURCE_DATE_EPOCH for a bundle that can be made again."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if stated is None:
        return int(time.time())
    if not stated.isdecimal():
        raise UsageFault(
            f"SOURCE_DATE_EPOCH is not a number of seconds: {stated[:40]!r}", code="bad-setting", hint="unset it"
        )
    return int(stated)


@click.command(
    name="bundle",
    epilog="The default index, proxies, certificates and passwords are those that pip uses on this host.",
)
@wish_options
@click.option("-o", "--output", required=True, metavar="FILE", help="The bundle to write; '-' for standard output.")
@click.option(
    "--channel", default="default", show_default=True, callback=_channel, help="The stream that this bundle belongs to."
)
@click.option("--json", "as_json", is_flag=True, help="Tell what was written as JSON on standard output.")
@index_options
@speech_options
@click.pass_obj
def command(voice: Voice, /, output: str, channel: Label, as_json: bool, **options: Any) -> None:  # noqa: FBT001, ANN401
    """Resolve requirements for the targets of the closed network, download what they need, pack one bundle.

    \b
    For two Pythons on Rocky Linux 9:
      pypimirror bundle -r requirements.txt --python 3.11 --python 3.12 --platform rocky9-x86_64 -o wheels.tar
    For Windows desktops and a Linux server on ARM:
      pypimirror bundle jupyterlab pandas --python 3.12 --platform windows --platform debian12-aarch64 -o lab.tar
    For this machine:
      pypimirror bundle 'django>=5' -o django.tar
    Next month, without a version that turned out bad, and to take it back behind the gap:
      pypimirror bundle -r requirements.txt -o december.tar --withdraw 'evil==1.0: steals passwords'

    The bundle is written whole or not at all. Run the same command again after an interruption: what was fetched
    is kept.
    """
    if output == "-" and as_json:
        raise click.UsageError("'-o -' and --json both want standard output")
    from pypimirror.cli.asking import Asked, ask, open_connection  # noqa: PLC0415 - nothing that --help needs
    from pypimirror.cli.progress import reporting  # noqa: PLC0415 - likewise
    from pypimirror.connected import bundle  # noqa: PLC0415 - likewise

    number = sequence()
    asked = Asked(**options)
    with reporting(voice) as reporter:
        request, settings = ask(asked, reporter)
        with open_connection(asked, request, settings, reporter) as connection:
            target = sys.stdout.buffer if output == "-" else Path(output)
            bundled = bundle(
                request, connection, target, channel=channel, sequence=number, reporter=reporter, hashed=as_json
            )
        for note in bundled.notes:
            reporter.note(note)
    if as_json:
        voice.data(json.dumps(_facts(bundled, output), indent=2))
    elif not voice.quiet:
        voice.say(_summary(bundled, output))


def _summary(bundled: Bundled, output: str) -> str:
    manifest = bundled.manifest
    projects = len(manifest.projects)
    targets = ", ".join(target.name for target in manifest.targets)
    return (
        f"{'standard output' if output == '-' else output}: {count(len(manifest.files), 'file')} of "
        f"{count(projects, 'project')} for {targets}; {size(bundled.written.size)}\n"
        f"manifest sha256:{bundled.written.digest}\n"
        f"next, behind the gap: pypimirror render {'-' if output == '-' else Path(output).name} TREE"
    )


def _facts(bundled: Bundled, output: str) -> dict[str, object]:
    manifest = bundled.manifest
    return {
        "bundle": output,
        "manifest": bundled.written.digest,
        "sha256": bundled.written.sha256,
        "size": bundled.written.size,
        "channel": manifest.channel,
        "sequence": manifest.sequence,
        "targets": [target.name for target in manifest.targets],
        "projects": len(manifest.projects),
        "files": [{"filename": file.filename, "size": file.size, "sha256": file.sha256} for file in manifest.files],
        "notes": list(bundled.notes),
    }
