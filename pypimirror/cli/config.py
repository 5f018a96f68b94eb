"""``pypimirror config``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from pypimirror.cli.options import speech_options
from pypimirror.cli.voice import Voice
from pypimirror.errors import UsageFault
from pypimirror.model.names import Label, label
from pypimirror.tree.settings import (
    CLIENTS,
    SERVERS,
    UNITS,
    Address,
    Drop,
    Site,
    Source,
    client_settings,
    parse_address,
    server_settings,
    unit_settings,
)

__all__ = ["command"]

_LOCAL = re.compile(r"/|\.\.?(?:[/\\]|$)|~(?:/|$)|[A-Za-z]:[/\\]")
_KINDS = {
    "Clients (--url or --tree, --channel, --find-links, --ca)": {name: each.about for name, each in CLIENTS.items()},
    "Servers (--url, --tree, --auth, --tls)": {name: each.about for name, each in SERVERS.items()},
    "Bundles that arrive (--drop, --tree)": {name: each.about for name, each in UNITS.items()},
}


class _Command(click.Command):
    """Its help lists the programs by kind."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for kind, programs in _KINDS.items():
            with formatter.section(kind):
                formatter.write_dl([*programs.items()], col_max=20)
        super().format_options(ctx, formatter)


@click.command(name="config", cls=_Command)
@click.argument("program", metavar="PROGRAM", type=click.Choice([*CLIENTS, *SERVERS, *UNITS]))
@click.option("--url", metavar="ADDRESS", help="Where clients see the tree: http://mirror.internal:8080/pypi/.")
@click.option("--tree", metavar="TREE", help="The folder that is served.")
@click.option("--channel", metavar="NAME", help="For clients: this channel alone, in place of the merged index.")
@click.option("--find-links", is_flag=True, help="For pip, uv and pdm: the list of all files, in place of the index.")
@click.option(
    "--ca", metavar="FILE", help="For clients: the private authority behind the server's certificate, in PEM."
)
@click.option("--auth", metavar="FILE", help="For servers: ask for the passwords in FILE.")
@click.option("--tls", metavar="CERT KEY", nargs=2, type=str, help="For servers: the certificate and its key, in PEM.")
@click.option("--drop", metavar="FOLDER", help="For systemd-render and systemd-watch: where bundles arrive.")
@speech_options
@click.pass_obj
def command(
    voice: Voice,
    *,
    program: str,
    url: str | None,
    tree: str | None,
    channel: str | None,
    find_links: bool,
    ca: str | None,
    auth: str | None,
    tls: tuple[str, str] | None,
    drop: str | None,
) -> None:
    """Print settings for PROGRAM, ready to paste: one text for one file, whose first lines say where it goes.

    \b
    A web server on this machine, and those who install from it:
      pypimirror config nginx --tree /srv/pypi --url http://mirror.internal:8080/pypi/
      pypimirror config pip --url http://mirror.internal:8080/pypi/
    With passwords and TLS:
      pypimirror config nginx --tree /srv/pypi --url https://mirror.internal/ \\
        --auth /etc/nginx/pypi.htpasswd --tls /etc/ssl/mirror.pem /etc/ssl/mirror.key
      pypimirror config uv --url https://mirror.internal/ --ca /etc/ssl/our-ca.pem
    Without any server, from a folder or a share:
      pypimirror config pip --tree /srv/pypi

    Port, name and path of a server are those of the address, which may be that of the folder or of simple/ in it.
    """
    given = {"url": url, "tree": tree, "channel": channel, "find-links": find_links, "ca": ca, "auth": auth, "tls": tls}
    _only_known(program, {name for name, value in {**given, "drop": drop}.items() if value})
    if program in CLIENTS:
        if (url is None) == (tree is None):
            raise click.UsageError("name one of them: --url, where clients see the tree, or --tree, the folder itself")
        address = _address(url) if url is not None else _folder(tree or "")
        source = Source(address=address, channel=_channel(channel), find_links=find_links, ca=ca and _path(ca))
        text = client_settings(program, source)
    elif program in SERVERS:
        if url is None or tree is None:
            raise click.UsageError(
                f"{program} needs both: --tree, the folder to serve, and --url, where clients see it"
            )
        both = None if tls is None else (_path(tls[0]), _path(tls[1]))
        site = Site(address=_address(url), tree=_path(tree), auth=auth and _path(auth), tls=both)
        text = server_settings(program, site)
    else:
        if tree is None or drop is None:
            raise click.UsageError(f"{program} needs both: --drop, where bundles arrive, and --tree, what they go into")
        text = unit_settings(program, Drop(folder=_path(drop), tree=_path(tree)))
    voice.data(text.rstrip("\n"))


def _only_known(program: str, given: set[str]) -> None:
    """Raise click's UsageError for an option that means nothing to *program*: it would be left out in silence."""
    kind = next(kind for kind, programs in _KINDS.items() if program in programs)
    for name in sorted(given):
        if f"--{name}" not in kind:
            owner = next(other for other in _KINDS if f"--{name}" in other).partition(" (")[0].lower()
            raise click.UsageError(f"--{name} is for {owner}, and {program} is none of them")


def _channel(text: str | None) -> Label | None:
    try:
        return None if text is None else label(text)
    except ValueError as error:
        raise UsageFault(
            f"no channel can have that name: {error}", code="bad-name", hint="pypimirror show TREE lists them"
        ) from None


def _path(text: str) -> str:
    return os.path.abspath(Path(text).expanduser()) if text else ""  # noqa: PTH100 - Path.resolve would follow links


def _address(text: str) -> Address:
    """What ``--url`` says: an address, or the path of a folder."""
    return _folder(text) if _LOCAL.match(text) or (":" not in text and Path(text).is_dir()) else parse_address(text)


def _folder(path: str) -> Address:
    try:
        return parse_address(Path(_path(path)).as_uri())
    except (RuntimeError, UnicodeError, ValueError) as error:
        raise UsageFault(f"{path!a} is no path: {error}", code="bad-path", hint="name the folder of the tree") from None
