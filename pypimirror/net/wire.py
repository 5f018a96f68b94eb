"""One HTTP exchange on the wire: which way it goes, and how many at a time.

Straight to the host or through a usual proxy (``direct``), or through one that speaks TLS or SOCKS (``transports``,
imported when first needed); the sockets are ours either way (``sockets``). Every failure leaves here as a ``WireFault``
with one line of cause; nothing is retried, redirected or decoded.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pypimirror.net.causes import fixed_fault
from pypimirror.net.direct import Direct, Reply
from pypimirror.net.gates import Gate
from pypimirror.net.sockets import Backend, Limits, Stopped, WireFault
from pypimirror.net.tunnel import plain_proxy

if TYPE_CHECKING:
    from pypimirror.net.transports import Proxied

__all__ = ["Limits", "Response", "Stopped", "Wire", "WireFault"]

# An address that is written on the wire as it stands. Others are httpx's business: see ``_Address``.
_SAFE = r"[A-Za-z0-9._~!$&()*+,;=:@/-]"
_SAFE_QUERY = r"[A-Za-z0-9._~!$&()*+,;=:@/?-]"
_PLAIN = re.compile(
    r"(?P<scheme>https?)://(?P<place>(?P<host>[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?)(?::(?P<port>[0-9]{1,5}))?)"
    rf"(?P<target>/{_SAFE}*(?:%[0-9A-Fa-f]{{2}}{_SAFE}*)*(?:\?{_SAFE_QUERY}*(?:%[0-9A-Fa-f]{{2}}{_SAFE_QUERY}*)*)?)"
)


class Response:
    """An answer whose body is not read yet. Header names are lower case. It must be closed, once or more."""

    __slots__ = ("_done", "_reply", "headers", "status")

    def __init__(self, reply: Reply, done: Callable[[], None]) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply: Reply | None = reply
        self._done = done

    def pieces(self) -> Iterator[bytes]:
        """The body as it is on the wire, for once. Raises WireFault where it breaks off, Stopped."""
        return iter(()) if self._reply is None else self._reply.pieces()

    def close(self) -> None:
        """The connection is free for another exchange where the body was read to its end."""
        reply, self._reply = self._reply, None
        if reply is not None:
            try:
                reply.close()
            finally:
                self._done()


class Wire:
    """Exchanges over shared connections. Safe for threads. The contexts are made when they are first needed."""

    def __init__(
        self,
        *,
        verified: Callable[[], ssl.SSLContext],
        unverified: Callable[[], ssl.SSLContext],
        proxy: str | None,
        timeout: float,
        limits: Limits,
        stop: threading.Event,
    ) -> None:
        self._contexts = {True: verified, False: unverified}
        self._proxy = proxy
        self._limits = limits
        self._backend = Backend(limits, stop, timeout)
        self._ways: dict[tuple[str, str, bool], Direct | Proxied] = {}
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()
        self._under_way = 0
        self._closed = False

    def ask(self, url: str, headers: Mapping[str, str], *, verify: bool = True) -> Response:
        """Send a GET and receive the head of its answer. Raises WireFault, Stopped."""
        self._backend.begin()
        scheme, place, target = _address(url)
        gate = self._gates.get(place) or self._gates.setdefault(place, Gate(self._limits.connections))
        gate.enter(self._backend.check)
        with self._lock:
            self._under_way += 1

        def done() -> None:
            with self._lock:
                self._under_way -= 1
                self._close_if_idle()
            gate.leave()

        try:
            way = self._ways.get((scheme, place, verify)) or self._way(scheme, place, url, verify=verify)
            reply = way.ask(target, headers)
        except BaseException:
            done()
            raise
        gate.heard(reply.status)
        return Response(reply, done)

    def close(self) -> None:
        """Close every connection: now, or as soon as the exchanges under way are done."""
        with self._lock:
            self._closed = True
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closed and not self._under_way:
            for way in self._ways.values():
                way.close()
            self._ways.clear()

    def _way(self, scheme: str, place: str, url: str, *, verify: bool) -> Direct | Proxied:
        with self._lock:
            found = self._ways.get((scheme, place, verify))
            if found is None:
                found = self._ways[scheme, place, verify] = self._new_way(scheme, place, url, verify=verify)
            return found

    def _new_way(self, scheme: str, place: str, url: str, *, verify: bool) -> Direct | Proxied:
        plain = _PLAIN.fullmatch(url)
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise fixed_fault(error) from None
        if plain is None:
            from pypimirror.net.transports import quoted  # noqa: PLC0415 - slow to import, and hardly ever needed

            host, _ = quoted(url)
        context = self._contexts[verify]() if scheme == "https" else None
        if port == {"http": 80, "https": 443}[scheme]:
            port = None
        proxy = self._proxy_for(scheme, place)
        via = None if proxy is None else plain_proxy(proxy)
        if proxy is None or via is not None:
            return Direct(self._backend, host=host, port=port, context=context, via=via)
        from pypimirror.net.transports import Proxied  # noqa: PLC0415 - slow to import, and most have no such proxy

        return Proxied(
            self._backend, host=host, port=port, context=context, proxy=proxy, proxy_context=self._contexts[True]
        )

    def _proxy_for(self, scheme: str, netloc: str) -> str | None:
        """The settings' proxy, else the one that this host's variables name, as urllib and pip understand them."""
        if self._proxy is not None:
            return self._proxy or None
        if not _may_have_proxies():
            return None
        import urllib.request  # noqa: PLC0415 - slow to import

        if urllib.request.proxy_bypass(netloc):
            return None
        proxies = urllib.request.getproxies()
        return proxies.get(scheme) or proxies.get("all") or None


def _may_have_proxies() -> bool:
    """Whether it is worth to ask urllib: where there is no system to ask, its answers come from variables alone."""
    names = {name.lower() for name in os.environ} - {"no_proxy"}
    return sys.platform in ("win32", "darwin") or any(name.endswith("_proxy") for name in names)


def _address(url: str) -> tuple[str, str, str]:
    """Scheme, host with port, path with query: as written where that is plain, else as httpx quotes them.

    A login is left out. Raises WireFault.
    """
    match = _PLAIN.fullmatch(url)
    if match is not None and "/." not in url:
        return match["scheme"], match["place"], match["target"]
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise fixed_fault(error) from None
    from pypimirror.net.transports import quoted  # noqa: PLC0415 - slow to import, and hardly ever needed

    return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower(), quoted(url)[1]
