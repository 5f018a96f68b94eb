"""One project's page on one index: asked for, told from an earlier one, kept, opened.

A page is asked for with the validators of the one that is kept, or that somebody remembers: an answer without a body
then says that it is the same. What has no validator comes whole, and its digest tells.

RFC 9110 (conditional requests); PEP 503, 691 (what is asked for); what a page says is ``index.simple``'s.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pypimirror.errors import IndexFault
from pypimirror.model.files import Listing
from pypimirror.model.names import NormalizedName
from pypimirror.net.bodies import shown, unzipped
from pypimirror.net.cache import Cache, KeptPage
from pypimirror.net.client import Answer, Client
from pypimirror.net.memory import give_back
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.index.outline import Outline

__all__ = ["ABSENT", "Pages", "Seen"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
"""What an index is asked for (PEP 691): the first is the cheapest to read."""
ABSENT = "absent"
_ETAG, _MODIFIED, _SHA256 = "etag ", "modified ", "sha256 "
_GONE = (404, 410)
_SAME = 304
_LARGE = 1 << 17  # zipped


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What an index answered about one page.

    ``mark`` tells one state of the page from any other: its ETag, its Last-Modified, the digest of its bytes, or that
    there is none. ``answer`` is None where it is the same as ``kept``, or as what was asked about.
    """

    url: str
    mark: str
    answer: Answer | None
    kept: KeptPage | None


class Pages:
    """Asks for pages, and opens them. Safe for threads; what it was told it does not remember, the cache does."""

    def __init__(self, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    def look(self, url: str, *, mark: str = "") -> Seen:
        """Ask for the page at *url*; with a *mark*, whether it still is the one that had this. Raises IndexFault."""
        kept = None if mark else self._cache.listing(url)
        headers = {"Cache-Control": "max-age=0"}  # a proxy between is to ask, too
        asked = mark or (_mark(etag=kept.etag, modified=kept.last_modified, digest="") if kept is not None else "")
        if asked.startswith(_ETAG):
            headers["If-None-Match"] = asked[len(_ETAG) :]
        elif asked.startswith(_MODIFIED):
            headers["If-Modified-Since"] = asked[len(_MODIFIED) :]
        answer = self._client.get(url, accept=ACCEPT, limit=self._client.limits.page, headers=headers, zipped=True)
        if answer.status == _SAME and len(headers) > 1:
            return Seen(url=url, mark=asked, answer=None, kept=kept)
        if answer.status in _GONE:
            return Seen(url=url, mark=ABSENT, answer=answer, kept=None)
        if answer.status != 200:  # noqa: PLR2004 - RFC 9110
            raise IndexFault(
                f"{shown(url)}: answered {answer.status}",
                code="http-status",
                hint="open the address in a browser; is it the address of a simple index?",
            )
        etag, modified = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
        digest = "" if etag or modified else _digest(answer)
        return Seen(url=url, mark=_mark(etag=etag, modified=modified, digest=digest), answer=answer, kept=kept)

    def open(self, seen: Seen, project: NormalizedName, *, index: str) -> Listing | None:
        """What the page says; None where there is none. *index* is the name of the index."""
        if seen.mark == ABSENT:
            return None
        # Where every page is as it was, none is opened.
        from pypimirror.index import outline  # noqa: PLC0415 - see above
        from pypimirror.index.simple import open_page  # noqa: PLC0415 - see above

        answer, kept = seen.answer, seen.kept
        if answer is None:
            kept = kept or self._cache.listing(seen.url)
            if kept is None or _mark(etag=kept.etag, modified=kept.last_modified, digest="") != seen.mark:
                return self.open(self.look(seen.url), project, index=index)  # the cache has lost it, or has another
            drawn = outline.load(kept.outline)
            read = self._reader(kept)
            return open_page(read, kept.content_type, url=kept.url, project=project, index=index, outline=drawn)[0]
        digest = seen.mark[len(_SHA256) :] if seen.mark.startswith(_SHA256) else ""
        drawn = None
        if kept is None and digest:
            kept = self._cache.listing(seen.url)
        if kept is not None and digest and (digest, answer.content_type) == (kept.sha256, kept.content_type):
            drawn = outline.load(kept.outline)
        listing, made = open_page(
            self._reader(answer), answer.content_type, url=answer.url, project=project, index=index, outline=drawn
        )
        if made is not drawn:
            self._keep(seen.url, answer, digest, made)
        return listing

    def _reader(self, page: Answer | KeptPage) -> bytes | Callable[[], bytes]:
        """The page's bytes. What came as gzip is held so, and undone when it is wanted: seldom more than once."""
        if not page.is_zipped:
            return page.body
        if len(page.body) > _LARGE:
            give_back()
        return partial(unzipped, page.body, self._client.limits.page, page.url)

    def _keep(self, url: str, answer: Answer, digest: str, drawn: Outline) -> None:
        from pypimirror.index import outline  # noqa: PLC0415 - as in open

        # An address with a query may be a secret.
        if "?" not in answer.url and "no-store" not in answer.headers.get("cache-control", ""):
            self._cache.keep_listing(
                url,
                KeptPage(
                    url=answer.url,
                    content_type=answer.content_type,
                    etag=answer.headers.get("etag", ""),
                    last_modified=answer.headers.get("last-modified", ""),
                    stored=int(time.time()),
                    body=b"" if digest else answer.body,
                    outline=outline.dump(drawn),
                    sha256=digest,
                    is_zipped=answer.is_zipped,
                ),
            )


def _digest(answer: Answer) -> str:
    """Of what came; of gzip without its first ten bytes (RFC 1952), for some servers write there when they made it."""
    return hashlib.sha256(answer.body[10 if answer.is_zipped else 0 :]).hexdigest()


def _mark(*, etag: str, modified: str, digest: str) -> str:
    if etag:
        return _ETAG + etag
    if modified:
        return _MODIFIED + modified
    return _SHA256 + digest if digest else ""
