"""Settings of clients and servers, ready to paste: an address, and a folder -> text. Pure.

Whatever goes into a text is checked or quoted here, so that no address and no path can say more than it is meant to.
Why each line stands there, and which client wants it, is told beside it in the templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files as resources
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from jinja2 import Environment, FunctionLoader, StrictUndefined

from pypimirror.errors import UsageFault
from pypimirror.model.urls import redact
from pypimirror.tree.answers import FRESH, IMMUTABLE, JSON_PAGE, NAME, OCTETS, PAGE_POLICY, landing_policy

__all__ = ["Address", "nginx_settings", "parse_address", "pip_settings", "uv_settings"]

_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62}){0,20}")
# What people copy: the served folder itself, its index, or one of its two lists.
_ENDINGS = (("simple",), ("simple", "index.html"), ("packages", "index.html"), ("index.html",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where clients see a tree. ``host`` is empty for a folder; ``path`` has the steps to the folder, unquoted."""

    scheme: str
    host: str
    port: int | None
    path: tuple[str, ...]

    @property
    def authority(self) -> str:
        """``mirror:8080``; an IPv6 host in brackets, the port where it was written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def quoted_path(self) -> str:
        """The path as addresses have it, with a slash in front and none behind; empty at the root."""
        return "".join(f"/{quote(step, safe='~')}" for step in self.path)

    @property
    def url(self) -> str:
        """The address of the served folder, with a slash at its end."""
        return f"{self.scheme}://{self.authority}{self.quoted_path}/"

    @property
    def index(self) -> str:
        return f"{self.url}simple/"

    @property
    def links(self) -> str:
        return f"{self.url}packages/index.html"

    @property
    def is_loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_untrusted(self) -> bool:
        """Whether pip refuses it unless it is named as trusted: plain http, from another machine."""
        return self.scheme == "http" and not self.is_loopback


def parse_address(text: str) -> Address:
    """An ``http``, ``https`` or ``file`` address, of the served folder or of the ``simple/`` in it.

    Raises UsageFault (``bad-address``) for whatever can't be meant, or can't be written safely into settings.
    """
    text = text.strip()
    if not text.isprintable():
        raise _fault(text, "it has invisible characters in it", "type it by hand")
    if (found := re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text)) is None:
        hint = (
            f"write http://{text}" if re.match(r"[\w.-]+(?::\d+)?(?:/|$)", text) else "begin with http:// or https://"
        )
        raise _fault(text, "it does not say how to get there", f"{redact(hint)}, or the absolute path of a folder")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _fault(text, str(error), "write it like http://mirror.internal:8080/pypi/") from None
    if parts.scheme not in (*_PORTS, "file"):
        scheme = found[0].rstrip("/")
        raise _fault(text, f"{scheme} is nothing that pip and uv install from", "use http:, https: or file:")
    if "@" in parts.netloc:
        hint = "leave them out; pip and uv take them from ~/.netrc or a keyring, where others can't read them"
        raise _fault(text, "a user name or password stands in it", hint)
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        hint = "leave out what stands behind the path; in a path, write %3F for ? and %23 for #"
        raise _fault(text, "an index has neither a query nor a fragment", hint)
    if port == 0:
        raise _fault(text, "no server has the port 0", f"name one from 1 to {_HIGHEST_PORT}")
    return Address(scheme=parts.scheme, host=_host(text, parts), port=port, path=_path(text, parts))


def _host(text: str, parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if parts.scheme == "file":
        if parts.netloc.lower() not in ("", "localhost"):
            raise _fault(
                text, "a file: address names a folder of this machine", "write it with three slashes, file:///"
            )
        return ""
    if ":" in host:
        try:
            return str(IPv6Address(host if "%" not in host else ""))
        except ValueError:
            raise _fault(text, "that is no IPv6 address", "write it like http://[fd00::5]:8080/") from None
    if not _HOST.fullmatch(host):
        what = "it names no host" if not host else f"{host!a} is no name of a host"
        raise _fault(text, what, "a name of letters, digits, dots and dashes; others in their ASCII form (xn--...)")
    return host


def _path(text: str, parts: SplitResult) -> tuple[str, ...]:
    """The steps to the served folder. What a server would read in another way than a client is refused."""
    raw = parts.path.strip("/")
    steps: list[str] = []
    for each in raw.split("/") if raw else ():
        try:
            step = unquote_to_bytes(each).decode("utf-8")
        except UnicodeDecodeError:
            raise _fault(text, "its path is not in UTF-8", "rename the folder, or quote it as UTF-8") from None
        if step in ("", ".", "..") or "/" in step or not step.isprintable():
            hint = "write the path plainly: no empty step, no '.' or '..', no %2F, no control characters"
            raise _fault(text, "its path can be read in more than one way", hint)
        steps.append(step)
    for ending in _ENDINGS:
        if tuple(steps[-len(ending) :]) == ending:
            del steps[-len(ending) :]
            break
    return tuple(steps)


def _fault(text: str, what: str, hint: str) -> UsageFault:
    shown = redact(text).encode("ascii", "backslashreplace").decode("ascii")
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in shown)
    return UsageFault(f"the address {shown} can't be used: {what}", code="bad-address", hint=hint)


# ---- clients --------------------------------------------------------------------------------------------------------


def pip_settings(address: Address, *, find_links: bool = False) -> str:
    """A ``pip.conf``. With *find_links* its source is the list of files, in place of the index."""
    return _rendered("pip.conf.j2", address=address, find_links=find_links)


def uv_settings(address: Address, *, find_links: bool = False) -> str:
    """A ``uv.toml``. With *find_links* its source is the list of files, in place of the index."""
    return _rendered("uv.toml.j2", address=address, find_links=find_links)


# ---- nginx ----------------------------------------------------------------------------------------------------------


def nginx_settings(address: Address, tree: str) -> str:
    """A ``server`` with the ``map`` that it needs, for nginx's ``conf.d``. *tree* is an absolute path.

    Raises UsageFault: ``bad-address`` where nginx can't serve it, ``bad-path`` where *tree* can't be written down.
    """
    if not address.host:
        raise _fault(address.url, "nginx is reached by http", "name the address that clients are to use")
    if any(step.startswith(".") for step in address.path):
        hint = "choose a path without a leading dot: whatever begins with one is hidden from clients"
        raise _fault(address.url, "a part of its path begins with a dot", hint)
    if not tree.isprintable() or "$" in tree:
        hint = "nginx reads '$' as the begin of a variable, and can't quote it; rename the folder, or give it a link"
        shown = tree.encode("ascii", "backslashreplace").decode("ascii")
        raise UsageFault(f"the path {shown!a} can't be written into nginx's settings", code="bad-path", hint=hint)
    return _rendered(
        "nginx.conf.j2",
        address=address,
        tree=tree,
        root=_in_quotes(tree),
        prefix=_in_quotes("".join(f"/{step}" for step in address.path)),
        pattern=_in_quotes("".join(f"/{re.escape(step)}" for step in address.path)),
        server_name=address.authority.partition("]")[0] + "]" if ":" in address.host else address.host,
        listens=tuple(_listens(address)),
        name=NAME,
        json_page=JSON_PAGE,
        octets=OCTETS,
        fresh=FRESH,
        immutable=IMMUTABLE,
        page_policy=PAGE_POLICY,
        landing_policy=landing_policy(),
    )


def _listens(address: Address) -> Iterator[str]:
    """On the loopback address where clients are asked to come there; on all addresses otherwise."""
    port = address.port or _PORTS[address.scheme]
    tls = " ssl" if address.scheme == "https" else ""
    if ":" in address.host:
        host = f"[{address.host}]:" if address.is_loopback else "[::]:"
    else:
        host = f"{'127.0.0.1' if address.host == 'localhost' else address.host}:" if address.is_loopback else ""
    yield f"{host}{port}{tls}"


def _in_quotes(text: str) -> str:
    """*text* as it stands between double quotes in nginx's settings."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(template).render(values).rstrip("\n") + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    folder = resources("pypimirror.tree").joinpath("templates")
    return Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=False,  # noqa: S701 - no HTML: what goes in is quoted for each format above
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
