"""Settings of what installs. A client that can't be told something is said so, never told something else. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from pypimirror.errors import UsageFault
from pypimirror.model.names import Label
from pypimirror.tree.settings.address import Address, address_fault
from pypimirror.tree.settings.quoting import check_path, in_shell, in_toml
from pypimirror.tree.settings.texts import rendered
from pypimirror.values import dataclass

__all__ = ["CLIENTS", "Client", "Source", "client_settings"]

_CA_IN_IMAGE = "/etc/ssl/mirror-ca.pem"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a client installs from: the tree at *address*, or just one channel of it.

    ``find_links``: the list of files in place of the index. ``ca``: the absolute path of the certificates, in PEM, that
    the server's own is checked against; None where the system's do.
    """

    address: Address
    channel: Label | None = None
    find_links: bool = False
    ca: str | None = None

    @property
    def index(self) -> str:
        part = "" if self.channel is None else f"channels/{quote(self.channel, safe='~')}/"
        return f"{self.address.url}{part}simple/"

    @property
    def links(self) -> str:
        return self.address.links


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """A client: what its settings are, how they are made, and whether they can name a list of files."""

    about: str
    make: Callable[[Source], str]
    lists: bool = False


def client_settings(name: str, source: Source) -> str:
    """The settings of the client *name*, a key of ``CLIENTS``.

    Raises UsageFault: ``bad-address`` where it can't install from there, ``bad-path`` where its settings can't name
    the certificates, ``usage`` where options contradict each other.
    """
    client, address = CLIENTS[name], source.address
    if source.find_links and not client.lists:
        able = ", ".join(each for each, other in CLIENTS.items() if other.lists)
        raise UsageFault(
            f"{name} is not told of a list of files here", code="usage", hint=f"--find-links is for {able}"
        )
    if source.find_links and source.channel is not None:
        hint = "leave out one of them: --channel needs the index"
        raise UsageFault("the list of files is that of all channels", code="usage", hint=hint)
    if source.ca is not None and address.scheme != "https":
        hint = "leave out --ca, or give the https: address"
        raise UsageFault(f"{address.url} has no certificate to check", code="usage", hint=hint)
    return client.make(source)


def _pip(source: Source) -> str:
    ca = None if source.ca is None else check_path(source.ca, "pip")
    return _text("pip.conf", source, ca=ca)


def _uv(source: Source) -> str:
    ca = None if source.ca is None else check_path(source.ca, "uv")
    return _text("uv.toml", source, ca=ca)


def _poetry(source: Source) -> str:
    if not source.address.host:
        hint = "serve the folder: see pypimirror config --help for servers; on one machine, pypimirror serve TREE"
        raise address_fault(source.address.url, "poetry installs from http: and https: alone", hint)
    ca = None if source.ca is None else check_path(source.ca, "poetry")
    return _text("poetry.toml", source, ca=ca)


def _pdm(source: Source) -> str:
    ca = None if source.ca is None else check_path(source.ca, "pdm")
    return _text("pdm.toml", source, ca=ca)


def _pipx(source: Source) -> str:
    return _by_environment("pipx", source)


def _hatch(source: Source) -> str:
    return _by_environment("hatch", source)


def _by_environment(program: str, source: Source) -> str:
    ca = None if source.ca is None else check_path(source.ca, program)
    return _text("environment.sh", source, ca=ca, program=program, variables=_variables(source, ca))


def _tox(source: Source) -> str:
    ca = None if source.ca is None else check_path(source.ca, "tox", "{}[]\\#|")
    return _text("tox.ini", source, ca=ca, variables=_variables(source, ca))


def _dockerfile(source: Source) -> str:
    ca = None if source.ca is None else check_path(source.ca, "the Dockerfile")
    variables = _variables(source, None if ca is None else _CA_IN_IMAGE)
    folder = source.address.quoted_path or "/"
    return _text("dockerfile", source, ca=ca, variables=variables, folder=folder)


def _variables(source: Source, ca: str | None) -> tuple[tuple[str, str], ...]:
    """What pip and uv heed in the environment, and so do all that run them."""
    named = {"PIP_INDEX_URL": source.index, "UV_DEFAULT_INDEX": source.index}
    if source.address.is_untrusted:
        named["PIP_TRUSTED_HOST"] = source.address.authority
    if ca is not None:
        named |= {"PIP_CERT": ca, "SSL_CERT_FILE": ca}
    return (*sorted(named.items()), ("PIP_DISABLE_PIP_VERSION_CHECK", "1"))


def _text(template: str, source: Source, **values: object) -> str:
    facts = {"address": source.address, "index": source.index, "find_links": source.find_links}
    return rendered(template, **facts, in_shell=in_shell, in_toml=in_toml, **values)


CLIENTS: Mapping[str, Client] = {
    "pip": Client(about="a pip.conf", make=_pip, lists=True),
    "uv": Client(about="a uv.toml", make=_uv, lists=True),
    "poetry": Client(about="a source for pyproject.toml", make=_poetry),
    "pdm": Client(about="a source for pyproject.toml", make=_pdm, lists=True),
    "pipx": Client(about="variables of the environment, for a shell", make=_pipx),
    "hatch": Client(about="variables of the environment, for a shell", make=_hatch),
    "tox": Client(about="lines for tox.ini", make=_tox),
    "dockerfile": Client(about="lines for an image that installs", make=_dockerfile),
}
"""By the name that a person types, in the order of the help."""
