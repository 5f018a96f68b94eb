"""Proxies that are spoken to in plain HTTP: how a connection goes through one (RFC 9110, 9.3.6 and 11.7.2).

Those that want TLS or speak SOCKS are httpcore's business (``transports``).
"""

from __future__ import annotations

import base64
import re
from urllib.parse import urlsplit

from pypimirror.model.urls import redact, split_credentials
from pypimirror.net.causes import fixed_fault, protocol_fault
from pypimirror.net.sockets import Stream, WireFault, reason_of
from pypimirror.values import dataclass

__all__ = ["Via", "open_tunnel", "plain_proxy"]

_LONGEST = 1 << 16  # bytes of the answer's head
_HEAD = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n(?:[^\r\n]+\r?\n)*\r?\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Via:
    """A proxy: ``written`` is what the person wrote, ``login`` the line of a request that says who asks, or nothing."""

    written: str
    host: str
    port: int
    login: str


def plain_proxy(proxy: str) -> Via | None:
    """*proxy*, where it is spoken to in plain HTTP. Raises WireFault where it is no address."""
    try:
        bare, user, password = split_credentials(proxy if "://" in proxy else f"http://{proxy}")
        parts = urlsplit(bare)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise fixed_fault(error) from None
    scheme = parts.scheme.lower()
    if not host or not (scheme in ("http", "https") or scheme.startswith("socks")):
        raise WireFault("fixed", f"{redact(proxy)} is not the address of a proxy", "check --proxy and HTTPS_PROXY")
    if scheme != "http":
        return None
    login = ""
    if user is not None or password is not None:
        token = base64.b64encode(f"{user or ''}:{password or ''}".encode()).decode()
        login = f"Proxy-Authorization: Basic {token}\r\n"
    return Via(written=proxy, host=host, port=80 if port is None else port, login=login)


def open_tunnel(stream: Stream, via: Via, place: str) -> None:
    """Have the proxy at the other end of *stream* connect to *place*, a host with port. Raises WireFault, Stopped."""
    request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nAccept: */*\r\n{via.login}\r\n"
    answer = b""
    try:
        stream.write(request.encode())
        while (match := _HEAD.match(answer)) is None and len(answer) < _LONGEST:
            piece = stream.read(_LONGEST)
            if not piece:
                raise WireFault("broken", "the server closed the connection without an answer")
            answer += piece
    except OSError as error:
        raise WireFault("broken", reason_of(error)) from None
    if match is None:
        raise protocol_fault("a proxy's answer without an end")
    status, reason = int(match[1]), re.sub(r"[^ -~]", "", (match[2] or b"").decode("ascii", "ignore"))
    if not 200 <= status <= 299:  # noqa: PLR2004 - RFC 9110
        raise WireFault("fixed", f"the proxy refused: {redact(f'{status} {reason}')}", "check --proxy and HTTPS_PROXY")
    if match.end() < len(answer):
        raise protocol_fault("more than a proxy's answer before anything was asked")
