"""``pypimirror render``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from pypimirror.cli.options import mixed_option, speech_options, wait_option
from pypimirror.cli.progress import reporting
from pypimirror.cli.sizes import count, size
from pypimirror.cli.standard_input import bundles_named
from pypimirror.cli.voice import Voice
from pypimirror.closed import Rendered, render
from pypimirror.model.manifest_lists import files_of
from pypimirror.model.names import Label, NormalizedName, label
from pypimirror.tree.revise import Edit

__all__ = ["command"]


@click.command(name="render")
@click.argument("bundles", nargs=-1, metavar="BUNDLE...")
@click.argument("tree", metavar="TREE")
@click.option("--plain", is_flag=True, help="A tree of real files, without links: for FAT, Windows, object stores.")
@click.option("--replace", is_flag=True, help="Drop the older bundles of the same channel.")
@click.option("--channels", metavar="A,B", help="The order of the channels, the upper one first, from now on.")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Of each channel, drop all but the N newest bundles."
)
@click.option(
    "--gzip/--no-gzip", default=None, help="Compressed pages beside the pages, from now on (for gzip_static)."
)
@mixed_option
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Tell what was published as JSON on standard output.")
@speech_options
@click.pass_obj
def command(
    voice: Voice,
    bundles: tuple[str, ...],
    tree: str,
    *,
    plain: bool,
    replace: bool,
    channels: str | None,
    keep: int | None,
    gzip: bool | None,
    mix: tuple[NormalizedName, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Verify bundles, take them into TREE, and publish them in one step.

    \b
    A first bundle, and later the next:
      pypimirror render kubespray.tar /srv/pypi
      pypimirror render kubespray-december.tar /srv/pypi
    From a diode or another program:
      ssh relay cat wheels.tar | pypimirror render - /srv/pypi
    To serve it:
      python -m http.server --directory /srv/pypi 8000

    Clients see the old tree, whole, until the new one is whole. TREE is made where it is not there yet. Running the
    same command again after an interruption finishes the job; a bundle that is published already changes nothing.
    """
    if not bundles:
        raise click.UsageError("name the bundles first and TREE, the folder to publish in, last; there is one name")
    try:
        order = None if channels is None else [label(name.strip()) for name in channels.split(",")]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--channels") from None
    sources = bundles_named(bundles)
    with reporting(voice) as reporter:
        rendered = render(
            sources,
            Path(tree),
            now=int(time.time()),
            plain=plain,
            edit=Edit(channels=None if order is None else tuple(order), keep=keep, gzip=gzip, mix=mix),
            replace=replace,
            wait=wait,
            reporter=reporter,
        )
        notes = tuple(_not_served(rendered))
        for note in notes:
            reporter.note(note)
    if as_json:
        voice.data(json.dumps(_facts(rendered, tree, notes), indent=2))
    elif not voice.quiet:
        voice.say(_summary(rendered, tree))


def _summary(rendered: Rendered, tree: str) -> str:
    lines = [f"{each.manifest.stem}: {count(each.files, 'new file')}, {size(each.size)}" for each in rendered.imported]
    contents = rendered.published.contents
    projects, files = count(len(contents.projects), "project"), count(contents.files, "file")
    if rendered.published.changed:
        lines.append(f"{tree}: published {files} of {projects}")
    else:
        lines.append(f"{tree}: already published, nothing changed ({files} of {projects})")
    lines.append(f"to try it: python -m pip install --index-url {_address(tree)} NAME")
    return "\n".join(lines)


def _not_served(rendered: Rendered) -> Iterator[str]:
    """What a bundle brought and clients don't see: an upper channel has the same project, or it was withdrawn."""
    partly = rendered.published.layers
    if not partly:
        return
    for each in rendered.imported:
        manifest = each.manifest
        hidden: dict[Label, set[str]] = {}
        withdrawn: set[str] = set()
        brought = files_of(manifest.files)
        for file, layers in ((file, layers) for name, layers in partly.items() for file in brought(name)):
            own = layers.by_channel.get(manifest.channel)
            if own is None or all(served.filename != file.filename for served in own.files):
                withdrawn.add(f"{file.project} {file.version}")
            elif all(served.filename != file.filename for served in layers.merged.files):
                hidden.setdefault(layers.merged.channel, set()).add(f"{file.project} {file.version}")
        if withdrawn:
            yield (
                f"not served of {manifest.stem}: {', '.join(sorted(withdrawn))}, which was withdrawn "
                "('pypimirror status' tells when and why)"
            )
        for above, versions in sorted(hidden.items()):
            yield (
                f"not served of {manifest.stem}: {', '.join(sorted(versions))}; the channel {above!r} lies above "
                f"{manifest.channel!r} and has a version of its own (--channels states the order)"
            )


def _address(tree: str) -> str:
    return Path(tree).resolve().as_uri() + "/simple"


def _facts(rendered: Rendered, tree: str, notes: tuple[str, ...]) -> dict[str, object]:
    published = rendered.published
    return {
        "tree": tree,
        "changed": published.changed,
        "generation": published.generation,
        "projects": len(published.contents.projects),
        "files": published.contents.files,
        "bundles": [
            {
                "name": each.manifest.stem,
                "manifest": each.digest,
                "channel": each.manifest.channel,
                "sequence": each.manifest.sequence,
                "new_files": each.files,
                "new_bytes": each.size,
            }
            for each in rendered.imported
        ],
        "notes": list(notes),
    }
