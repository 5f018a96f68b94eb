"""``pypimirror plan``."""

from __future__ import annotations

import json
from typing import Any

import click

from pypimirror.cli.options import index_options, speech_options, wish_options
from pypimirror.cli.voice import Voice

__all__ = ["command"]


@click.command(name="plan")
@wish_options
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON on standard output.")
@index_options
@speech_options
@click.pass_obj
def command(voice: Voice, /, as_json: bool, **options: Any) -> None:  # noqa: FBT001, ANN401 - click's own way
    """Show what a bundle would hold: who wants what, why each file is there, and how large it all is.

    \b
    The same wishes as for 'bundle', without -o:
      pypimirror plan -r requirements.txt --python 3.12 --platform rhel9-x86_64
      pypimirror plan 'ansible<10' --python 3.11 --platform windows --json

    Nothing is downloaded but what resolving has to look into.
    """
    from pypimirror.cli.asking import Asked, ask, open_connection  # noqa: PLC0415 - nothing that --help needs
    from pypimirror.cli.plan_view import facts, words  # noqa: PLC0415 - likewise
    from pypimirror.cli.progress import reporting  # noqa: PLC0415 - likewise
    from pypimirror.connected import plan  # noqa: PLC0415 - likewise

    asked = Asked(**options)
    with reporting(voice) as reporter:
        request, settings = ask(asked, reporter)
        with open_connection(asked, request, settings, reporter) as connection:
            made = plan(request, connection, reporter)
        for note in made.notes:
            reporter.note(note)
    voice.data(json.dumps(facts(made), indent=2) if as_json else words(made, verbose=voice.verbose))
