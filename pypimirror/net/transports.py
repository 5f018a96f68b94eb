"""What httpx does for us, over sockets of our own. The only module with httpx and httpcore.

They take 80 ms to import, so ``wire`` imports this module at the first exchange. What they offer is used through their
public doors: a transport for httpx, a network backend for httpcore. No ``httpx.Client``: it has opinions on redirects
and cookies, and costs twice the time.

Every failure leaves here as a ``WireFault`` with one line of cause; nothing is retried, redirected or decoded. One
exception: where a kept connection turns out to be closed by the other side, the request goes out once more, for nothing
was answered yet.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

import httpcore
import httpx

from pypimirror.model.urls import redact, split_credentials
from pypimirror.net.sockets import Backend, Stream, WireFault, reason_of

__all__ = ["Way"]

_KEPT_ALIVE = 30.0  # seconds that an idle connection is kept
_PIECE = 1 << 18


class Way:
    """The way to one host, through *proxy* or straight, with the connections that are kept. Safe for threads.

    ``context`` is for an https host, ``proxy_context`` for an https proxy. Methods raise WireFault, Stopped.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        host: str,
        context: ssl.SSLContext | None,
        proxy: str | None,
        proxy_context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._backend = backend
        self._host = host
        self._proxy = proxy
        self._new_lane: Callable[[], _Lane] = lambda: _Lane(
            _pool(_Network(backend), context, proxy, proxy_context), self._free
        )
        # A pool of httpcore looks at each of its connections for each request, holding a lock for which all threads
        # wait. So each connection has a pool of its own, and the one that was used last is taken first.
        self._free: list[_Lane] = []
        with self._causes():
            self._free.append(self._new_lane())
        self._ours = not _is_secure(proxy)
        self._extensions = {"timeout": httpx.Timeout(backend.timeout, pool=None).as_dict()}

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        """The head of the answer. It must be closed."""
        with self._causes():
            request = httpx.Request(method, url, headers=headers, extensions=self._extensions)
            lane = self._lane()
            try:
                return self._asked(lane, request)
            except BaseException:
                self._free.append(lane)
                raise

    def _asked(self, lane: _Lane, request: httpx.Request) -> httpx.Response:
        while True:
            self._backend.listen()
            try:
                return lane.handle_request(request)
            except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
                self._backend.drop()
                if not (self._ours and self._backend.kept and self._backend.unanswered):
                    raise
            except BaseException:
                self._backend.drop()  # httpcore forgets connections that a SOCKS proxy refused
                raise

    def pieces(self, answer: httpx.Response) -> Iterator[bytes]:
        """The body as it is on the wire."""
        with self._causes():
            yield from answer.iter_raw()

    def close(self) -> None:
        """Close every connection. No exchange may be under way."""
        while self._free:
            self._free.pop().close()

    def _lane(self) -> _Lane:
        try:
            return self._free.pop()
        except IndexError:
            return self._new_lane()

    @contextlib.contextmanager
    def _causes(self) -> Iterator[None]:
        """Translate what httpx, httpcore and the system raise into a WireFault of one line."""
        try:
            yield
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise _connect_fault(error, self._host, self._proxy) from None
        except (httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.PoolTimeout):
            raise WireFault("broken", "no answer in time") from None
        except (httpcore.ReadError, httpcore.WriteError) as error:
            raise WireFault("broken", reason_of(_root_of(error))) from None
        except httpcore.RemoteProtocolError as error:
            raise WireFault(*_protocol(str(error))) from None
        except httpcore.ProxyError as error:
            cause = f"the proxy refused: {redact(str(error))}"
            raise WireFault("fixed", cause, "check --proxy and HTTPS_PROXY") from None
        except (
            httpcore.LocalProtocolError,
            httpcore.UnsupportedProtocol,
            httpx.InvalidURL,
            httpx.HTTPError,
            httpx.StreamError,
            ValueError,
        ) as error:
            raise WireFault("fixed", redact(" ".join(str(error).split())) or type(error).__name__) from None
        except OSError as error:
            raise WireFault("broken", reason_of(error)) from None


class _Lane(httpx.BaseTransport):
    """httpx over one connection, which is made anew where it was closed; *free* again when its answer is closed."""

    def __init__(self, pool: httpcore.ConnectionPool, free: list[_Lane]) -> None:
        self._pool = pool
        self._free = free

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
        body = _Body(answer, lambda: self._free.append(self))
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions={})

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, when_closed: Callable[[], None]) -> None:
        self._answer = answer
        self._when_closed = when_closed

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer.iter_stream())

    def close(self) -> None:
        try:
            self._answer.close()
        finally:
            self._when_closed()  # httpx closes a body once


def _pool(
    network: _Network, context: ssl.SSLContext | None, proxy: str | None, proxy_context: Callable[[], ssl.SSLContext]
) -> httpcore.ConnectionPool:
    """A pool without a bound: ``gates`` says how many exchanges there are at a time."""
    if proxy is None:
        return httpcore.ConnectionPool(
            ssl_context=context, max_connections=None, keepalive_expiry=_KEPT_ALIVE, network_backend=network
        )
    bare, user, password = split_credentials(proxy if "://" in proxy else f"http://{proxy}")
    login = None if user is None and password is None else ((user or "").encode(), (password or "").encode())
    if urlsplit(bare).scheme.lower().startswith("socks"):
        try:
            return httpcore.SOCKSProxy(
                proxy_url=bare,
                proxy_auth=login,
                ssl_context=context,
                max_connections=None,
                keepalive_expiry=_KEPT_ALIVE,
                network_backend=network,
            )
        except RuntimeError:
            hint = "install it beside pypimirror: pip install socksio"
            raise WireFault("fixed", "a SOCKS proxy wants the package socksio", hint) from None
    # TLS within TLS is httpcore's own; an https proxy does without our patience and our quick end.
    secure = _is_secure(proxy)
    return httpcore.HTTPProxy(
        proxy_url=bare,
        proxy_auth=login,
        ssl_context=context,
        proxy_ssl_context=proxy_context() if secure else None,
        max_connections=None,
        keepalive_expiry=_KEPT_ALIVE,
        network_backend=httpcore.SyncBackend() if secure else network,
    )


def _is_secure(proxy: str | None) -> bool:
    return proxy is not None and proxy.lower().startswith("https:")


# ---- our sockets as httpcore wants them. How long to wait is theirs to know, so no timeout is looked at. -------------


class _Network(httpcore.NetworkBackend):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the port's signature
        local_address: str | None = None,  # noqa: ARG002 - the port's signature
        socket_options: Iterable[object] | None = None,  # noqa: ARG002 - the port's signature
    ) -> httpcore.NetworkStream:
        try:
            return _Stream(self._backend, self._backend.connect(host, port))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(error) from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(error) from error


class _Stream(httpcore.NetworkStream):
    def __init__(self, backend: Backend, stream: Stream) -> None:
        self._backend = backend
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the port's signature
        # More than it asks for suits httpcore, too, and makes fewer steps of a large file.
        try:
            return self._stream.read(max(max_bytes, _PIECE))
        except TimeoutError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the port's signature
        if not buffer:
            return
        if self._backend.kept and self._stream.stale():
            raise httpcore.ReadError("closed meanwhile")
        try:
            self._stream.write(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(error) from error
        except OSError as error:
            raise httpcore.WriteError(error) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the port's signature
    ) -> httpcore.NetworkStream:
        try:
            self._stream.secure(ssl_context, server_hostname)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout(error) from error
            if isinstance(error, OSError):
                raise httpcore.ConnectError(error) from error
            raise
        return self

    def get_extra_info(self, info: str) -> object:  # noqa: ARG002 - the port's signature
        # Not even "is_readable": httpcore would ask it of each idle connection for each request, holding a lock for
        # which all threads wait. ``write`` looks, once.
        return None


# ---- causes ---------------------------------------------------------------------------------------------------------


def _root_of(error: BaseException) -> BaseException:
    """The system's own error behind a library's: its cause, or inside it, since httpcore drops causes on the way."""
    while True:
        inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            return error
        error = inner


def _protocol(text: str) -> tuple[str, str]:
    lowered = text.lower()
    if "disconnected" in lowered:
        return "broken", "the server closed the connection without an answer"
    if "incomplete" in lowered or "without sending complete" in lowered:
        return "broken", "the connection ended before the whole answer had come"
    return "fixed", f"the answer is not valid HTTP: {redact(text)}"


def _connect_fault(error: BaseException, host: str, proxy: str | None) -> WireFault:
    cause = _root_of(error)
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
