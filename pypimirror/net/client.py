"""Requests with manners: redirects, credentials, retries, caps. What is spoken on the wire is ``wire``'s business.

The rules, each for a reason that reliability.md names:

    scheme       https; http of this machine or of a trusted host; file: where a person named it, never by redirect
    redirects    at most ten; never from https to http; a login goes to the origin it belongs to and to no other
    pages        capped in *decompressed* bytes, read piece by piece; one gzip layer, nothing else
    files        asked for as they are (identity), resumed by range
    401, 403     the keyring is asked once, then the fault names the host
    a dead host  is found dead once: later requests to it fail at once

Every address in a message is redacted.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from urllib.parse import urljoin, urlsplit

from pypimirror import __version__
from pypimirror.errors import IndexFault
from pypimirror.model.urls import origin, redact
from pypimirror.net.bodies import PIECE, drain, extent, no_portal, read_all, read_body, shown, unzipped
from pypimirror.net.file_transport import content_type, is_file_url, open_file
from pypimirror.net.retry import RETRIED, Attempts, GaveUp
from pypimirror.net.settings import Settings
from pypimirror.net.tls import ssl_context
from pypimirror.net.wire import Limits, Response, Stopped, Wire, WireFault
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["Answer", "Attempts", "Client", "Limits", "Stopped", "Stream", "WireFault"]

_USER_AGENT = f"pypimirror/{__version__}"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A whole answer. ``url`` is where it came from after redirects; header names are lower case.

    ``is_zipped``, only where that was wanted: ``body`` is gzip, as it came.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    is_zipped: bool = False

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """An answer whose body is still to be read. ``first`` is the offset of its first byte, ``total`` the whole size.

    ``pieces`` raises WireFault where the body breaks off, Stopped where the run was stopped.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    first: int
    total: int | None
    pieces: Iterator[bytes]

    @property
    def validator(self) -> str | None:
        """A strong ETag, for If-Range; None where there is none."""
        tag = self.headers.get("etag", "")
        return tag if tag.startswith('"') else None


@dataclass(frozen=True, slots=True)
class _Place:
    """What may be asked, as far as its host is concerned; ``verify``: its certificate must be one that we believe."""

    origin: str
    verify: bool


class Client:
    """The one door to the network; also opens ``file:`` addresses. Safe for threads; a context manager."""

    def __init__(self, settings: Settings, *, reporter: Reporter | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.stopping = threading.Event()
        self._settings = settings
        self._reporter = reporter or Reporter()
        self._dead: dict[str, GaveUp] = {}
        self._places: dict[str, _Place] = {}
        self._wire = Wire(
            verified=lambda: ssl_context(settings),
            unverified=lambda: ssl_context(settings, verify=False),
            proxy=settings.proxy,
            timeout=settings.timeout,
            limits=self.limits,
            stop=self.stopping,
        )

    def __enter__(self) -> Client:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._wire.close()

    def stop(self) -> None:
        """End every request and every wait within half a second, for good: they raise Stopped."""
        self.stopping.set()

    def get(
        self,
        url: str,
        *,
        limit: int,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
        zipped: bool = False,
    ) -> Answer:
        """The whole answer, at most *limit* bytes when decompressed. 404, 304 and the like are answers, too.

        With *zipped*, a body that is gzip is left so, for ``bodies.unzipped``, which looks after the limit.
        """
        if is_file_url(url):
            return self._local(url, limit)
        fields = {"Accept": accept, "Accept-Encoding": "gzip", **(headers or {})}
        attempts = self.attempts(url)
        while True:
            response, final = self._open(url, fields, attempts)
            try:
                body, is_zipped = read_body(response, limit, final)
                if is_zipped and not zipped:
                    body = unzipped(body, limit, final)
            except WireFault as fault:
                broken = fault
            else:
                is_zipped = is_zipped and zipped
                return Answer(
                    status=response.status, url=final, headers=response.headers, body=body, is_zipped=is_zipped
                )
            finally:
                response.close()
            attempts.broke(broken)

    def range(self, url: str, *, suffix: int = 0, start: int = 0, end: int = 0, limit: int | None = None) -> Answer:
        """The last *suffix* bytes, or those from *start* up to *end* (not included): 206 where the server heeds it.

        With another status than 206 the body is left unread and empty.
        """
        wanted = f"bytes=-{suffix}" if suffix else f"bytes={start}-{end - 1}"
        fields = {"Accept": "*/*", "Accept-Encoding": "identity", "Range": wanted}
        attempts = self.attempts(url)
        size = suffix or end - start
        while True:
            response, final = self._open(url, fields, attempts)
            try:
                ours = response.status == 206 and "content-encoding" not in response.headers  # noqa: PLR2004 - RFC 9110
                body = read_all(response.pieces(), limit or size, final) if ours else b""
            except WireFault as fault:
                broken = fault
            else:
                return Answer(status=response.status, url=final, headers=response.headers, body=body)
            finally:
                response.close()
            attempts.broke(broken)

    @contextlib.contextmanager
    def stream(
        self,
        url: str,
        *,
        attempts: Attempts,
        start: int = 0,
        end: int | None = None,
        validator: str | None = None,
        fresh: bool = False,
    ) -> Iterator[Stream]:
        """A file, from byte *start* on where the server can do that: look at ``first``. *fresh* goes past caches.

        *end*, where *start* isn't 0, is where to stop; a server that can't do ranges sends all.
        Raises IndexFault with code ``not-a-file`` for a page of HTML in its place.
        """
        if is_file_url(url):
            with self._local_stream(url, start) as stream:
                yield stream
            return
        fields = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if fresh:
            fields["Cache-Control"] = "no-cache"
        if start:
            fields["Range"] = f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"
            if validator:
                fields["If-Range"] = validator
        response, final = self._open(url, fields, attempts)
        try:
            first, total = extent(response)
            pieces = response.pieces()
            if response.status in (200, 206) and "html" in response.headers.get("content-type", ""):
                pieces = no_portal(pieces, final)
            yield Stream(
                status=response.status, url=final, headers=response.headers, first=first, total=total, pieces=pieces
            )
        finally:
            response.close()

    def attempts(self, url: str) -> Attempts:
        """The tries for one address; ``stream`` shares them with whoever reads its body."""
        return Attempts(
            url,
            retries=self._settings.retries,
            limits=self.limits,
            stop=self.stopping,
            reporter=self._reporter,
        )

    def _open(self, url: str, fields: Mapping[str, str], attempts: Attempts) -> tuple[Response, str]:
        """The head of an answer that is neither a redirect nor a passing trouble, and its address."""
        while True:
            try:
                response, final = self._hops(url, fields)
                if response.status not in RETRIED:
                    return response, final
                drain(response)
            except WireFault as fault:
                self._failed(fault, attempts)
            else:
                attempts.refused(response.status, response.headers)

    def _failed(self, fault: WireFault, attempts: Attempts) -> None:
        try:
            attempts.broke(fault)
        except GaveUp as dead:
            if fault.kind == "connect":
                message = f"{urlsplit(fault.place).netloc}: {dead.message.partition(': ')[2]}"
                self._dead[fault.place] = GaveUp(message, code=dead.code, hint=dead.hint, kind=dead.kind)
                raise self._dead[fault.place] from None
            raise

    def _hops(self, url: str, fields: Mapping[str, str]) -> tuple[Response, str]:
        here = url
        for _ in range(self.limits.redirects + 1):
            response = self._authorised(here, fields)
            if response.status not in _REDIRECTS or "location" not in response.headers:
                return response, here
            drain(response)
            target = urljoin(here, response.headers["location"])
            self._may_follow(here, target)
            here = target.partition("#")[0]
        raise IndexFault(
            f"{shown(url)}: more than {self.limits.redirects} redirects",
            code="redirect-loop",
            hint="check the index's address; a proxy or a login page may be in the way",
        )

    def _authorised(self, url: str, fields: Mapping[str, str]) -> Response:
        """One exchange, and a second with the keyring's login where the first was refused."""
        place = self._place(url)
        dead = self._dead.get(place.origin)
        if dead is not None:
            raise GaveUp(dead.message, code=dead.code, hint=dead.hint, kind=dead.kind)
        login = self._settings.credentials.for_url(url)
        asked = False
        while True:
            headers = {"User-Agent": _USER_AGENT, **fields}
            if login is not None:
                token = base64.b64encode(":".join(login).encode()).decode()
                headers["Authorization"] = f"Basic {token}"
            try:
                response = self._wire.ask(url, headers, verify=place.verify)
            except WireFault as fault:
                fault.place = place.origin
                raise
            if response.status not in (401, 403):
                return response
            drain(response)
            found = None if asked else self._settings.credentials.after_refusal(url, sent=login)
            if found is None:
                break
            login, asked = found, True
        status = response.status
        host = urlsplit(url).netloc.rpartition("@")[2]
        said = "refused the user name and password" if login else "wants a user name and a password"
        raise IndexFault(
            f"needs credentials for {host}: it {said} (answered {status})",
            code="needs-credentials",
            hint=f"put them into ~/.netrc for {host.partition(':')[0]}, into the keyring, or into the index's address",
        )

    def _place(self, url: str) -> _Place:
        """Where *url* leads to, looked at once for all addresses that begin alike. Raises IndexFault."""
        # With these beginnings alone the host ends at the next slash at the latest.
        end = url.find("/", len("https://")) if url.startswith(("http://", "https://")) else -1
        start = url if end < 0 else url[:end]
        known = self._places.get(start)
        if known is None:
            self._may_ask(url)
            known = self._places[start] = _Place(origin(url), not self._trusted(url))
        return known

    def _may_ask(self, url: str) -> None:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "")
        if scheme not in ("http", "https") or not host:
            raise IndexFault(f"{shown(url)}: not an address that can be asked", code="bad-address", hint="use https")
        if scheme == "http" and not _is_this_machine(host) and not self._trusted(url):
            raise IndexFault(
                f"{shown(url)}: plain http is not trusted",
                code="untrusted-host",
                hint=f"use https, or say --trusted-host {host}",
            )

    def _may_follow(self, url: str, target: str) -> None:
        before, after = urlsplit(url).scheme.lower(), urlsplit(target).scheme.lower()
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise IndexFault(
                f"{shown(url)}: redirects to {redact(target)[:200]}, which is not followed",
                code="bad-redirect",
                hint="an index may redirect to https only",
            )

    def _trusted(self, url: str) -> bool:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme.lower())
        return bool({host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"} & self._settings.trusted_hosts)

    def _local(self, url: str, limit: int) -> Answer:
        file = open_file(url)
        if file is None:
            return Answer(status=404, url=url, headers={}, body=b"")
        with file:
            body = read_all(iter(lambda: file.read(PIECE), b""), limit, url)
            return Answer(status=200, url=url, headers={"content-type": content_type(file.name)}, body=body)

    @contextlib.contextmanager
    def _local_stream(self, url: str, start: int) -> Iterator[Stream]:
        file = open_file(url)
        if file is None:
            yield Stream(status=404, url=url, headers={}, first=0, total=None, pieces=iter(()))
            return
        with file:
            total = file.seek(0, 2)
            first = start if start < total else 0
            file.seek(first)

            def pieces() -> Iterator[bytes]:
                while piece := file.read(1 << 20):
                    if self.stopping.is_set():
                        raise Stopped
                    yield piece

            yield Stream(status=206 if first else 200, url=url, headers={}, first=first, total=total, pieces=pieces())


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    import ipaddress  # noqa: PLC0415 - slow to import, and plain http is rare

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
