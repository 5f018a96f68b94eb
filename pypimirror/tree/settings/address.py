"""The address of a tree, as a person writes it: read, checked, and quoted again. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from pypimirror.errors import UsageFault
from pypimirror.model.urls import redact
from pypimirror.tree.settings.quoting import shown
from pypimirror.values import dataclass

__all__ = ["Address", "address_fault", "parse_address"]

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
        raise address_fault(text, "it has invisible characters in it", "type it by hand")
    if (found := re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text)) is None:
        hint = (
            f"write http://{text}" if re.match(r"[\w.-]+(?::\d+)?(?:/|$)", text) else "begin with http:// or https://"
        )
        raise address_fault(
            text, "it does not say how to get there", f"{redact(hint)}, or the absolute path of a folder"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise address_fault(text, str(error), "write it like http://mirror.internal:8080/pypi/") from None
    if parts.scheme not in (*_PORTS, "file"):
        scheme = found[0].rstrip("/")
        raise address_fault(text, f"{scheme} is nothing that pip and uv install from", "use http:, https: or file:")
    if "@" in parts.netloc:
        hint = "leave them out; pip and uv take them from ~/.netrc or a keyring, where others can't read them"
        raise address_fault(text, "a user name or password stands in it", hint)
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        hint = "leave out what stands behind the path; in a path, write %3F for ? and %23 for #"
        raise address_fault(text, "an index has neither a query nor a fragment", hint)
    if port == 0:
        raise address_fault(text, "no server has the port 0", f"name one from 1 to {_HIGHEST_PORT}")
    return Address(scheme=parts.scheme, host=_host(text, parts), port=port, path=_path(text, parts))


def _host(text: str, parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if parts.scheme == "file":
        if parts.netloc.lower() not in ("", "localhost"):
            raise address_fault(
                text, "a file: address names a folder of this machine", "write it with three slashes, file:///"
            )
        return ""
    if ":" in host:
        try:
            return str(IPv6Address(host if "%" not in host else ""))
        except ValueError:
            raise address_fault(text, "that is no IPv6 address", "write it like http://[fd00::5]:8080/") from None
    if not _HOST.fullmatch(host):
        what = "it names no host" if not host else f"{host!a} is no name of a host"
        raise address_fault(
            text, what, "a name of letters, digits, dots and dashes; others in their ASCII form (xn--...)"
        )
    return host


def _path(text: str, parts: SplitResult) -> tuple[str, ...]:
    """The steps to the served folder. What a server would read in another way than a client is refused."""
    raw = parts.path.strip("/")
    steps: list[str] = []
    for each in raw.split("/") if raw else ():
        try:
            step = unquote_to_bytes(each).decode("utf-8")
        except UnicodeDecodeError:
            raise address_fault(text, "its path is not in UTF-8", "rename the folder, or quote it as UTF-8") from None
        if step in ("", ".", "..") or "/" in step or not step.isprintable():
            hint = "write the path plainly: no empty step, no '.' or '..', no %2F, no control characters"
            raise address_fault(text, "its path can be read in more than one way", hint)
        steps.append(step)
    for ending in _ENDINGS:
        if tuple(steps[-len(ending) :]) == ending:
            del steps[-len(ending) :]
            break
    return tuple(steps)


def address_fault(text: str, what: str, hint: str) -> UsageFault:
    """The refusal of an address, without any password that stands in it."""
    return UsageFault(f"the address {shown(redact(text))} can't be used: {what}", code="bad-address", hint=hint)
