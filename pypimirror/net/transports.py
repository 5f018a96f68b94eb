"""What httpcore and httpx do for us, over sockets of our own. The only module with them.

They take 80 ms to import, so this module is imported where it is needed: for a proxy that speaks TLS or SOCKS, for an
answer that ``direct`` doesn't read itself, for an address that isn't plain. What they offer is used through their
public doors: pools and connections, and a network backend for httpcore.

Every failure leaves here as a ``WireFault`` with one line of cause; nothing is retried, redirected or decoded. One
exception: where a kept connection turns out to be closed by the other side, the request goes out once more, for nothing
was answered yet.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

import httpcore

from pypimirror.model.urls import redact, split_credentials
from pypimirror.net.causes import connect_fault, fixed_fault, protocol_fault, root_of
from pypimirror.net.direct import KEPT_ALIVE, PIECE, Reply, request_fields
from pypimirror.net.heads import gathered
from pypimirror.net.sockets import Backend, Stream, WireFault, reason_of

__all__ = ["Proxied", "odd_reply", "quoted"]


def quoted(url: str) -> tuple[str, str]:
    """The host of an address, and its path and query, as they are written on the wire. Raises WireFault."""
    # With None there, httpx does without its own command line: half of the time that its import takes.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # documented with ``import``
    import httpx  # noqa: PLC0415 - slow to import, and hardly ever needed

    try:
        address = httpx.URL(url)
        return address.raw_host.decode("ascii"), address.raw_path.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise fixed_fault(error) from None


def odd_reply(backend: Backend, stream: Stream, begun: bytes) -> Reply:
    """The answer that comes over *stream*, of which *begun* has come already. Its connection is not used again.

    Raises WireFault, Stopped.
    """
    origin = httpcore.Origin(b"http", b"host", 80)  # only to be told to httpcore twice: the request is out
    url = httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=b"/")
    with _causes("", None):
        connection = httpcore.HTTP11Connection(origin, _Begun(backend, stream, begun))
        answer = connection.handle_request(httpcore.Request(b"GET", url, headers=[(b"Host", b"host")]))
        return _Reply(answer, stream.close, "", None)


class Proxied:
    """The way to one host through *proxy*, https or SOCKS, with the connections that are kept. Safe for threads.

    ``context`` is for an https host, ``proxy_context`` for an https proxy. Methods raise WireFault, Stopped.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        host: str,
        port: int | None,
        context: ssl.SSLContext | None,
        proxy: str,
        proxy_context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._backend = backend
        self._host = host
        self._proxy = proxy
        self._origin = (b"http" if context is None else b"https", host.encode("ascii"), port)
        place = f"[{host}]" if ":" in host else host
        self._named = (place if port is None else f"{place}:{port}").encode("ascii")
        self._new_lane: Callable[[], httpcore.ConnectionPool] = lambda: _pool(
            _Network(backend), context, proxy, proxy_context
        )
        # A pool of httpcore looks at each of its connections for each request, holding a lock for which all threads
        # wait. So each connection has a pool of its own, and the one that was used last is taken first.
        self._free: list[httpcore.ConnectionPool] = []
        with _causes(host, proxy):
            self._free.append(self._new_lane())
        self._ours = not _is_secure(proxy)
        self._extensions = {"timeout": dict.fromkeys(("connect", "read", "write"), backend.timeout)}

    def ask(self, target: str, headers: Mapping[str, str]) -> Reply:
        """The head of the answer to a GET of *target*, which is a path and a query, quoted. It must be closed."""
        request_fields(headers)  # as strict as on the straight way
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        scheme, host, port = self._origin
        with _causes(self._host, self._proxy):
            url = httpcore.URL(scheme=scheme, host=host, port=port, target=target.encode("ascii"))
            request = httpcore.Request(
                b"GET", url, headers=[(b"Host", self._named), *fields], extensions=self._extensions
            )
            lane = self._lane()
            try:
                answer = self._asked(lane, request)
                return _Reply(answer, lambda: self._free.append(lane), self._host, self._proxy)
            except BaseException:
                self._free.append(lane)
                raise

    def _asked(self, lane: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
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

    def close(self) -> None:
        """Close every connection. No exchange may be under way."""
        while self._free:
            self._free.pop().close()

    def _lane(self) -> httpcore.ConnectionPool:
        try:
            return self._free.pop()
        except IndexError:
            return self._new_lane()


class _Reply:
    """A ``Reply`` over httpcore; *closed* is called after it."""

    def __init__(self, answer: httpcore.Response, closed: Callable[[], None], host: str, proxy: str | None) -> None:
        self.status = answer.status
        self.headers = gathered(answer.headers)
        self._answer = answer
        self._closed = closed
        self._names = (host, proxy)

    def pieces(self) -> Iterator[bytes]:
        with _causes(*self._names):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        try:
            self._answer.close()
        finally:
            self._closed()


@contextlib.contextmanager
def _causes(host: str, proxy: str | None) -> Iterator[None]:
    """Translate what httpcore and the system raise into a WireFault of one line."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise connect_fault(error, host, proxy) from None
    except (httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.PoolTimeout):
        raise WireFault("broken", "no answer in time") from None
    except (httpcore.ReadError, httpcore.WriteError) as error:
        raise WireFault("broken", reason_of(root_of(error))) from None
    except httpcore.RemoteProtocolError as error:
        raise protocol_fault(str(error)) from None
    except httpcore.ProxyError as error:
        cause = f"the proxy refused: {redact(str(error))}"
        raise WireFault("fixed", cause, "check --proxy and HTTPS_PROXY") from None
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol, ValueError) as error:
        raise fixed_fault(error) from None
    except OSError as error:
        raise WireFault("broken", reason_of(error)) from None


def _pool(
    network: _Network, context: ssl.SSLContext | None, proxy: str, proxy_context: Callable[[], ssl.SSLContext]
) -> httpcore.ConnectionPool:
    """A pool without a bound: ``gates`` says how many exchanges there are at a time."""
    bare, user, password = split_credentials(proxy if "://" in proxy else f"http://{proxy}")
    login = None if user is None and password is None else ((user or "").encode(), (password or "").encode())
    if urlsplit(bare).scheme.lower().startswith("socks"):
        try:
            return httpcore.SOCKSProxy(
                proxy_url=bare,
                proxy_auth=login,
                ssl_context=context,
                max_connections=None,
                keepalive_expiry=KEPT_ALIVE,
                network_backend=network,
            )
        except RuntimeError:
            hint = "install it beside pypimirror: pip install socksio"
            raise WireFault("fixed", "a SOCKS proxy wants the package socksio", hint) from None
    # TLS within TLS is httpcore's own; such a proxy does without our patience and our quick end.
    return httpcore.HTTPProxy(
        proxy_url=bare,
        proxy_auth=login,
        ssl_context=context,
        proxy_ssl_context=proxy_context(),
        max_connections=None,
        keepalive_expiry=KEPT_ALIVE,
        network_backend=httpcore.SyncBackend(),
    )


def _is_secure(proxy: str) -> bool:
    return proxy.lower().startswith("https:")


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
            return self._stream.read(max(max_bytes, PIECE))
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


class _Begun(_Stream):
    """A connection over which the request is out already, and *begun* of the answer came."""

    def __init__(self, backend: Backend, stream: Stream, begun: bytes) -> None:
        super().__init__(backend, stream)
        self._begun = begun

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        begun, self._begun = self._begun, b""
        return begun or super().read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass
