"""``pypimirror target``."""

from __future__ import annotations

import click

from pypimirror import host
from pypimirror.cli.options import speech_options
from pypimirror.cli.voice import Voice
from pypimirror.model.target_json import dump_target

__all__ = ["command"]


@click.command(name="target")
@speech_options
@click.pass_obj
def command(voice: Voice) -> None:
    """Describe this interpreter as a target: its tags in order, its marker environment, its exact version.

    \b
    On a machine of the closed network:
      pypimirror target > plant-floor.json
    On the connected host:
      pypimirror bundle -r requirements.txt --target plant-floor.json -o wheels.tar

    The description holds nothing of the machine but what installers choose files by.
    """
    voice.data(dump_target(host.this_target()).decode("utf-8").rstrip("\n"))
