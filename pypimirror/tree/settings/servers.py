"""Settings of what serves a tree. All answer alike: what ``answers`` says, as far as the program can. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from pypimirror.errors import UsageFault
from pypimirror.tree.answers import FRESH, IMMUTABLE, JSON_PAGE, NAME, OCTETS, PAGE_POLICY, PROVENANCE, landing_policy
from pypimirror.tree.settings.address import Address, address_fault
from pypimirror.tree.settings.quoting import check_path, in_double_quotes, in_shell, in_unit
from pypimirror.tree.settings.texts import rendered
from pypimirror.values import dataclass

__all__ = ["SERVERS", "Server", "Site", "server_settings"]

_PORTS = {"http": 80, "https": 443}
_PRIVILEGED = 1024
_PLAIN_STEP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")

# JSON is named, and not refused (q=0). For PCRE, whatever the case of letters.
_WANTS_JSON = (
    r"(?:^|[\s,])application/vnd\.pypi\.simple\.(?:v1|latest)\+json\s*"
    r"(?:$|,|;(?!(?:[^,]*[;\s])?q=0(?:\.0*)?\s*(?:[,;]|$)))"
)
_CHANNEL = f"(?:/channels/{NAME})?"
_IN_CONTAINER = "/srv/pypi"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What is served: *tree*, an absolute path, where clients see it at *address*.

    ``auth``: the absolute path of a file with users and passwords, in the form of the server. ``tls``: the paths of the
    certificate with its chain, and of its key, both in PEM.
    """

    address: Address
    tree: str
    auth: str | None = None
    tls: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server: what its settings are, how they are made, and whether they can ask for passwords and speak TLS."""

    about: str
    make: Callable[[Site], str]
    auth: bool = True
    tls: bool = True


def server_settings(name: str, site: Site) -> str:
    """The settings of the server *name*, a key of ``SERVERS``.

    Raises UsageFault: ``bad-address`` where it can't serve there, ``bad-path`` where it can't be told a path, ``usage``
    where options contradict each other.
    """
    server, address = SERVERS[name], site.address
    if not address.host:
        raise address_fault(address.url, "a server is reached by http", "name the address that clients are to use")
    if any(step.startswith(".") for step in address.path):
        hint = "choose a path without a leading dot: whatever begins with one is hidden from clients"
        raise address_fault(address.url, "a part of its path begins with a dot", hint)
    if site.auth is not None and not server.auth:
        able = ", ".join(each for each, other in SERVERS.items() if other.auth)
        raise UsageFault(f"{name} can't ask for passwords", code="usage", hint=f"--auth is for {able}")
    if site.tls is not None and not server.tls:
        able = ", ".join(each for each, other in SERVERS.items() if other.tls)
        raise UsageFault(f"{name} can't name a certificate", code="usage", hint=f"--tls is for {able}")
    if site.tls is not None and address.scheme != "https":
        hint = "give the https: address, or leave out --tls"
        raise UsageFault(f"{address.url} is plain http, without any certificate", code="usage", hint=hint)
    return server.make(site)


def _nginx(site: Site, *, everywhere: bool = False) -> str:
    """A ``server`` with the ``map`` that it needs, for nginx's ``conf.d``. *everywhere*: on loopback addresses, too."""
    address = site.address
    # nginx reads "$" as the begin of a variable, and can't quote it.
    quoted = {name: in_double_quotes(check_path(path, "nginx", "$")) for name, path in _paths(site).items()}
    prefix = "".join(f"/{step}" for step in address.path)
    return rendered(
        "nginx.conf",
        **(_facts(site) | quoted),
        prefix=in_double_quotes(prefix) if prefix else "",
        pattern=in_double_quotes("".join(f"/{re.escape(step)}" for step in address.path))[1:-1],
        server_name=_host(address),
        listens=(_listen(address, everywhere=everywhere) + (" ssl" if address.scheme == "https" else ""),),
    )


def _listen(address: Address, *, everywhere: bool) -> str:
    """On the loopback address where clients are asked to come there; on all addresses otherwise."""
    port = _port(address)
    if address.is_loopback and not everywhere:
        return f"{_loopback(address)}:{port}"
    return f"[::]:{port}" if ":" in address.host else f"{port}"


def _caddy(site: Site) -> str:
    """A site for a Caddyfile. Braces and backslashes mean something there, quoted or not."""
    _plain_path(site.address, "Caddy")
    quoted = {name: f'"{check_path(path, "Caddy", _CADDY_MINDS)}"' for name, path in _paths(site).items()}
    return rendered(
        "caddyfile",
        **(_facts(site) | quoted),
        site=f"{site.address.scheme}://{site.address.authority}",
        bind=_loopback(site.address) if site.address.is_loopback else "",
    )


_CADDY_MINDS = '{}"`\\*'
_APACHE_MINDS = '$"\\*?[]{}%'


def _apache(site: Site, *, template: str = "apache.conf") -> str:
    """A virtual host; or an ``.htaccess``. Folders of ``<Directory>`` are patterns there, and ``${}`` is replaced."""
    address, port = site.address, _port(site.address)
    _plain_path(address, "Apache")
    paths = {**_paths(site), "prefix": address.quoted_path}
    quoted = {name: in_double_quotes(check_path(path, "Apache", _APACHE_MINDS)) for name, path in paths.items() if path}
    facts = {**_facts(site), **quoted}
    pattern = "".join(f"/{re.escape(step)}" for step in address.path)
    at = f"{_loopback(address)}:{port}" if address.is_loopback else f"*:{port}"
    rules = rendered("apache_rules", **facts, pattern=pattern).rstrip("\n")
    return rendered(
        template,
        **facts,
        rules=rules,
        host=at,
        listen="" if port in _PORTS.values() else at.removeprefix("*:"),
        server_name=f"{_host(address)}:{port}",
    )


def _systemd(site: Site) -> str:
    """A service that runs Python's own web server."""
    address, port = site.address, _port(site.address)
    able = ", ".join(name for name, server in SERVERS.items() if server.tls)
    if address.scheme != "http":
        raise address_fault(address.url, "Python's web server speaks plain http alone", f"choose one of {able}")
    if address.path:
        raise address_fault(address.url, "Python's web server knows no path", f"leave it out, or choose one of {able}")
    check_path(site.tree, "systemd", UNIT_MINDS)
    everywhere = "::" if ":" in address.host else "0.0.0.0"  # noqa: S104 - clients on other machines are asked to come
    return rendered(
        "systemd.service",
        **_facts(site),
        root=in_unit(site.tree),
        root_argument=in_unit(site.tree).replace("$", "$$"),
        description=site.tree.replace("%", "%%"),
        bind=_loopback(address) if address.is_loopback else everywhere,
        port=port,
        capability=port < _PRIVILEGED,
    )


UNIT_MINDS = "\\\"':"
"""What would end a path in one of the lists of a unit, whatever the quotes."""


def _containerfile(site: Site) -> str:
    """An image with nginx and these settings, written by a shell in it: every builder can do that."""
    check_path(site.tree, "the container", "\\:")
    inside = Site(address=site.address, tree=_IN_CONTAINER, auth=site.auth, tls=site.tls)
    mounted = [path for name, path in _paths(inside).items() if name != "root"]
    for path in mounted:
        check_path(path, "the container", "\\:")
    port, told = _port(site.address), _nginx(inside, everywhere=True).splitlines()
    return rendered(
        "containerfile",
        **_facts(site),
        lines=[in_shell(line) for line in told if line.strip() and not line.lstrip().startswith("#")],
        port=port,
        publish=f"{port}:{port}",
        volumes=[in_shell(f"{site.tree}:{_IN_CONTAINER}:ro"), *(in_shell(f"{each}:{each}:ro") for each in mounted)],
        copied=in_shell(site.tree),
    )


def _facts(site: Site) -> dict[str, object]:
    """What every template of a server may say."""
    return {
        "address": site.address,
        "tree": site.tree,
        "tls": site.tls,
        "auth": None,
        "wants_json": _WANTS_JSON,
        "channel": _CHANNEL,
        "name": NAME,
        "json_page": JSON_PAGE,
        "octets": OCTETS,
        "provenance": PROVENANCE,
        "fresh": FRESH,
        # What only those with a password may see must not lie in the cache of a proxy.
        "immutable": IMMUTABLE if site.auth is None else IMMUTABLE.replace("public", "private"),
        "page_policy": PAGE_POLICY,
        "landing_policy": landing_policy(),
    }


def _paths(site: Site) -> dict[str, str]:
    """The paths that the settings name; a certificate for https where none was named."""
    paths = {"root": site.tree}
    if site.auth is not None:
        paths["auth"] = site.auth
    if site.address.scheme == "https":
        host = site.address.host.replace(":", "-")
        default = (f"/etc/ssl/certs/{host}.pem", f"/etc/ssl/private/{host}.key")
        paths["cert"], paths["key"] = site.tls or default
    return paths


def _plain_path(address: Address, program: str) -> None:
    if not all(_PLAIN_STEP.fullmatch(step) for step in address.path):
        hint = "choose a path of letters, digits, dots, dashes and underscores"
        raise address_fault(address.url, f"its path would mean something else to {program}", hint)


def _port(address: Address) -> int:
    return address.port or _PORTS[address.scheme]


def _host(address: Address) -> str:
    return f"[{address.host}]" if ":" in address.host else address.host


def _loopback(address: Address) -> str:
    return "127.0.0.1" if address.host == "localhost" else _host(address)


SERVERS: Mapping[str, Server] = {
    "nginx": Server(about="a server for conf.d", make=_nginx),
    "caddy": Server(about="a site for a Caddyfile", make=_caddy),
    "apache": Server(about="a virtual host", make=_apache),
    "htaccess": Server(
        about="an .htaccess, where Apache is run by others", make=partial(_apache, template="htaccess"), tls=False
    ),
    "systemd": Server(about="a service that runs Python's own web server", make=_systemd, auth=False, tls=False),
    "containerfile": Server(about="an image with nginx", make=_containerfile),
}
"""By the name that a person types, in the order of the help."""
