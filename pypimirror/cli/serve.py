"""``pypimirror serve``."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import click

from pypimirror.cli.options import speech_options
from pypimirror.cli.voice import Voice
from pypimirror.tree.server import open_server

__all__ = ["command"]

_INTERRUPTED = 130


@click.command(name="serve")
@click.argument("tree", metavar="TREE")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes any that is free."
)
@speech_options
@click.pass_obj
def command(voice: Voice, *, tree: str, host: str, port: int) -> None:
    """Serve TREE over HTTP, to look at it in a browser or to try an installation. Not for production.

    \b
      pypimirror serve /srv/pypi
      python -m pip install --index-url http://127.0.0.1:8000/simple/ NAME

    TREE is a folder that 'render' made, or an unpacked bundle. With --verbose each request is told. Ctrl-C ends it.
    For production let a web server do it: 'pypimirror config nginx' prints its settings.
    """

    def log(line: str) -> None:
        with suppress(OSError):  # nobody reads it any more: no reason to fail a request
            voice.say(line)

    with open_server(Path(tree), host=host, port=port, log=log if voice.verbose else None) as server:
        voice.say(f"serving {tree} at {server.url} (Ctrl-C ends it)")
        where, trusted = server.url, ""
        if not server.is_loopback:
            where = f"http://{socket.gethostname()}:{server.server_port}/" if server.is_wildcard else where
            trusted = f" --trusted-host {where.split('/')[2]}"
            voice.note("other machines reach it, too, and without TLS; for production see: pypimirror config nginx")
        voice.tell(f"to try it: python -m pip install --index-url {where}simple/{trusted} NAME")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            voice.tell("stopped")
            raise click.exceptions.Exit(_INTERRUPTED) from None
