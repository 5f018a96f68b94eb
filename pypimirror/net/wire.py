"""One HTTP exchange on the wire: proxies, connections shared by threads, causes of failure. The only module with httpx.

What httpx and httpcore offer is used through their public doors; the sockets are ours (``sockets``). Every failure
leaves here as a ``WireFault`` with one line of cause; nothing is retried, redirected or decoded.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore
import httpx

from pypimirror.model.urls import redact, split_credentials
from pypimirror.net.sockets import Backend, Limits, Stopped, WireFault, reason_of, root_of

__all__ = ["Limits", "Response", "Stopped", "Wire", "WireFault"]

_KEPT_ALIVE = 30.0  # seconds that an idle connection is kept


@dataclass(frozen=True, slots=True)
class Response:
    """An answer whose body is not read yet. Header names are lower case.

    ``pieces`` gives the body as it is on the wire, and raises WireFault where it breaks off.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Callable[[], Iterator[bytes]]


class Wire:
    """Exchanges over shared connections. Safe for threads."""

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
        self._contexts: dict[bool | None, Callable[[], ssl.SSLContext | None]]
        self._contexts = {True: verified, False: unverified, None: lambda: None}
        self._proxy = proxy
        self._timeout = timeout
        self._limits = limits
        self._backend = Backend(limits, stop)
        self._transports: dict[tuple[bool | None, str | None], _Transport] = {}
        self._proxies: dict[tuple[str, str], str | None] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def exchange(
        self, url: str, headers: Mapping[str, str], *, verify: bool = True, method: str = "GET"
    ) -> Iterator[Response]:
        """Send a request and receive the head of its answer. Raises WireFault, Stopped."""
        self._backend.begin()
        proxy = self._proxy_for(url)
        with _causes(url, proxy):
            transport = self._transport(proxy, verify=verify if urlsplit(url).scheme.lower() == "https" else None)
            # No httpx.Client: it has opinions on redirects and cookies, and costs twice the time.
            timeout = httpx.Timeout(self._timeout, pool=None).as_dict()
            answer = transport.handle_request(
                httpx.Request(method, url, headers=headers, extensions={"timeout": timeout})
            )

        def pieces() -> Iterator[bytes]:
            with _causes(url, proxy):
                yield from answer.iter_raw()

        try:
            yield Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, pieces)
        finally:
            answer.close()

    def close(self) -> None:
        """Close every connection. No exchange may be under way."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()

    def _proxy_for(self, url: str) -> str | None:
        if self._proxy is not None:
            return self._proxy or None
        parts = urlsplit(url)
        place = (parts.scheme.lower(), parts.netloc.rpartition("@")[2])
        if place not in self._proxies:  # asked once: the environment is searched from end to end each time
            self._proxies[place] = _proxy_of_environment(*place)
        return self._proxies[place]

    def _transport(self, proxy: str | None, *, verify: bool | None) -> _Transport:
        with self._lock:
            if (verify, proxy) not in self._transports:
                self._transports[verify, proxy] = _Transport(self._pool(proxy, self._contexts[verify]()))
            return self._transports[verify, proxy]

    def _pool(self, proxy: str | None, context: ssl.SSLContext | None) -> httpcore.ConnectionPool:
        size = self._limits.connections
        if proxy is None:
            return httpcore.ConnectionPool(
                ssl_context=context,
                max_connections=size,
                max_keepalive_connections=size,
                keepalive_expiry=_KEPT_ALIVE,
                network_backend=self._backend,
            )
        bare, user, password = split_credentials(proxy if "://" in proxy else f"http://{proxy}")
        login = None if user is None and password is None else (user or "", password or "")
        if urlsplit(bare).scheme.lower().startswith("socks"):
            return httpcore.SOCKSProxy(
                proxy_url=bare,
                proxy_auth=login,
                ssl_context=context,
                max_connections=size,
                max_keepalive_connections=size,
                keepalive_expiry=_KEPT_ALIVE,
                network_backend=self._backend,
            )
        # TLS within TLS is httpcore's own; an https proxy does without our patience and our quick end.
        secure = urlsplit(bare).scheme.lower() == "https"
        return httpcore.HTTPProxy(
            proxy_url=bare,
            proxy_auth=login,
            ssl_context=context,
            proxy_ssl_context=self._contexts[True]() if secure else None,
            max_connections=size,
            max_keepalive_connections=size,
            keepalive_expiry=_KEPT_ALIVE,
            network_backend=httpcore.SyncBackend() if secure else self._backend,
        )


class _Transport(httpx.BaseTransport):
    """httpx over a pool of our making."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = self._pool.handle_request(
            httpcore.Request(request.method, url, headers=request.headers.raw, extensions=request.extensions)
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions={})

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer.iter_stream())

    def close(self) -> None:
        self._answer.close()


def _proxy_of_environment(scheme: str, host: str) -> str | None:
    """The proxy that this host's variables or settings name, as urllib and pip understand them."""
    if urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(scheme) or proxies.get("all") or None


@contextlib.contextmanager
def _causes(url: str, proxy: str | None) -> Iterator[None]:
    """Translate what httpx, httpcore and the system raise into a WireFault of one line."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise _connect_fault(error, url, proxy) from None
    except (httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.PoolTimeout):
        raise WireFault("broken", "no answer in time") from None
    except (httpcore.ReadError, httpcore.WriteError) as error:
        raise WireFault("broken", reason_of(root_of(error))) from None
    except httpcore.RemoteProtocolError as error:
        kind, cause = _protocol(str(error))
        raise WireFault(kind, cause) from None
    except httpcore.ProxyError as error:
        raise WireFault("fixed", f"the proxy refused: {redact(str(error))}", "check --proxy and HTTPS_PROXY") from None
    except (httpcore.UnsupportedProtocol, httpx.InvalidURL, httpx.UnsupportedProtocol, ImportError) as error:
        raise WireFault("fixed", redact(str(error).splitlines()[0])) from None
    except (httpcore.LocalProtocolError, httpx.HTTPError, httpx.StreamError, ValueError) as error:
        raise WireFault("fixed", redact(" ".join(str(error).split())) or type(error).__name__) from None
    except OSError as error:
        raise WireFault("broken", reason_of(error)) from None


def _protocol(text: str) -> tuple[str, str]:
    lowered = text.lower()
    if "disconnected" in lowered:
        return "broken", "the server closed the connection without an answer"
    if "incomplete" in lowered or "without sending complete" in lowered:
        return "broken", "the connection ended before the whole answer had come"
    return "fixed", f"the answer is not valid HTTP: {redact(text)}"


def _connect_fault(error: BaseException, url: str, proxy: str | None) -> WireFault:
    cause = root_of(error)
    host = urlsplit(url).hostname or url
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = cause.verify_message or cause.reason or "it can't be verified"
        hint = f"if {host} has a private certificate, name its authority with --cert FILE"
        if "not yet valid" in words or "expired" in words:
            hint = "check this machine's clock; else the server's certificate must be renewed"
        return WireFault("fixed", f"certificate refused: {words}", hint)
    if isinstance(cause, ssl.SSLEOFError):
        return WireFault("connect", "the connection ended during the TLS handshake")
    if isinstance(cause, ssl.SSLError):
        hint = "is this a plain http address?" if cause.reason == "WRONG_VERSION_NUMBER" else ""
        return WireFault("fixed", reason_of(cause), hint)
    if isinstance(cause, (socket.gaierror, UnicodeError)):
        words = "its name can't be resolved (DNS)"
    else:
        words = reason_of(cause)
    if proxy is not None:
        place = redact(proxy).rpartition("@")[2].rpartition("/")[2]
        return WireFault(
            "connect", f"the proxy {place}: {words}", "check --proxy, and the variables HTTPS_PROXY, NO_PROXY"
        )
    return WireFault("connect", words, "check the network, the spelling of the address, and whether a proxy is needed")
