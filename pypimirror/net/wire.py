"""One HTTP exchange on the wire: which way it goes, and how many at a time.

What is spoken is httpx's business (``transports``, imported at the first exchange), and the sockets are ours
(``sockets``). Every failure leaves here as a ``WireFault`` with one line of cause; nothing is retried, redirected or
decoded.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pypimirror.net.gates import Gate
from pypimirror.net.sockets import Backend, Limits, Stopped, WireFault
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.net.transports import Way

__all__ = ["Limits", "Response", "Stopped", "Wire", "WireFault"]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer whose body is not read yet. Header names are lower case.

    ``pieces`` gives the body as it is on the wire, and raises WireFault where it breaks off.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Callable[[], Iterator[bytes]]


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
        self._ways: dict[tuple[str, str, bool], Way] = {}
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()
        self._under_way = 0
        self._closed = False

    @contextlib.contextmanager
    def exchange(
        self, url: str, headers: Mapping[str, str], *, verify: bool = True, method: str = "GET"
    ) -> Iterator[Response]:
        """Send a request and receive the head of its answer. Raises WireFault, Stopped."""
        self._backend.begin()
        scheme, netloc = _place(url)
        with self._gate(netloc).passed(self._backend.check) as gate, self._counted():
            way = self._way(scheme, netloc, verify=verify)
            answer = way.ask(method, url, headers)
            try:
                gate.heard(answer.status_code)
                yield Response(answer.status_code, dict(answer.headers.items()), lambda: way.pieces(answer))
            finally:
                answer.close()

    def close(self) -> None:
        """Close every connection: now, or as soon as the exchanges under way are done."""
        with self._lock:
            self._closed = True
            self._close_if_idle()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closed and not self._under_way:
            for way in self._ways.values():
                way.close()
            self._ways.clear()

    def _gate(self, netloc: str) -> Gate:
        with self._lock:
            return self._gates.setdefault(netloc, Gate(self._limits.connections))

    def _way(self, scheme: str, netloc: str, *, verify: bool) -> Way:
        # A way for each host, not one for all: httpx looks at each connection of a pool for each request.
        with self._lock:
            key = (scheme, netloc, verify)
            if key not in self._ways:
                # With None there, httpx does without its own command line: half of the time that its import takes.
                sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # documented with ``import``
                from pypimirror.net.transports import Way  # noqa: PLC0415 - httpx is slow to import

                self._ways[key] = Way(
                    self._backend,
                    host=urlsplit(f"//{netloc}").hostname or netloc,
                    context=self._contexts[verify]() if scheme == "https" else None,
                    proxy=self._proxy_for(scheme, netloc),
                    proxy_context=self._contexts[True],
                )
            return self._ways[key]

    def _proxy_for(self, scheme: str, netloc: str) -> str | None:
        """The settings' proxy, else the one that this host's variables name, as urllib and pip understand them."""
        if self._proxy is not None:
            return self._proxy or None
        import urllib.request  # noqa: PLC0415 - slow to import, and httpx brings it along

        if urllib.request.proxy_bypass(netloc):
            return None
        proxies = urllib.request.getproxies()
        return proxies.get(scheme) or proxies.get("all") or None


def _place(url: str) -> tuple[str, str]:
    """Scheme, and host with port, without a login. Raises WireFault."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise WireFault("fixed", str(error)) from None
    return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()
