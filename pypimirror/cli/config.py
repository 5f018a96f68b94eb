"""``pypimirror config``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from pypimirror.cli.options import speech_options
from pypimirror.cli.voice import Voice
from pypimirror.errors import UsageFault
from pypimirror.tree.settings import Address, nginx_settings, parse_address, pip_settings, uv_settings

__all__ = ["command"]

_LOCAL = re.compile(r"/|\.\.?(?:[/\\]|$)|~(?:/|$)|[A-Za-z]:[/\\]")


@click.command(name="config")
@click.argument("client", metavar="CLIENT", type=click.Choice(["pip", "uv", "nginx"]))
@click.option("--url", metavar="ADDRESS", help="Where clients see the tree: http://mirror.internal:8080/pypi/.")
@click.option("--tree", metavar="TREE", help="The folder that is served.")
@click.option("--find-links", is_flag=True, help="For pip and uv: the list of all files, in place of the index.")
@speech_options
@click.pass_obj
def command(voice: Voice, *, client: str, url: str | None, tree: str | None, find_links: bool) -> None:
    """Print settings for CLIENT, ready to paste: pip, uv or nginx.

    \b
    A web server on this machine, and those who install from it:
      pypimirror config nginx --tree /srv/pypi --url http://mirror.internal:8080/pypi/
      pypimirror config pip --url http://mirror.internal:8080/pypi/
      pypimirror config uv --url http://mirror.internal:8080/pypi/
    Without any server, from a folder or a share:
      pypimirror config pip --tree /srv/pypi

    nginx's port, name and path are those of the address. The address may be that of the folder or of simple/ in it.
    """
    if client == "nginx":
        if find_links:
            raise click.UsageError("--find-links is for pip and uv: nginx serves both the index and the list of files")
        if url is None or tree is None:
            raise click.UsageError("nginx needs both: --tree, the folder to serve, and --url, where clients see it")
        text = nginx_settings(_address(url), os.path.abspath(tree))  # noqa: PTH100 - Path.resolve would follow links
    else:
        if (url is None) == (tree is None):
            raise click.UsageError("name one of them: --url, where clients see the tree, or --tree, the folder itself")
        address = _address(url) if url is not None else _folder(tree or "")
        text = (pip_settings if client == "pip" else uv_settings)(address, find_links=find_links)
    voice.data(text.rstrip("\n"))


def _address(text: str) -> Address:
    """What ``--url`` says: an address, or the path of a folder."""
    return _folder(text) if _LOCAL.match(text) or (":" not in text and Path(text).is_dir()) else parse_address(text)


def _folder(path: str) -> Address:
    try:
        uri = Path(os.path.abspath(Path(path).expanduser())).as_uri()  # noqa: PTH100 - Path.resolve would follow links
        return parse_address(uri)
    except (RuntimeError, UnicodeError, ValueError) as error:
        raise UsageFault(f"{path!a} is no path: {error}", code="bad-path", hint="name the folder of the tree") from None
