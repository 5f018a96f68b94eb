"""Addresses: what of them may be shown, and how the secret parts are split off.

User name and password stand in the authority of an address (RFC 3986, 3.2.1), and people write tokens there or in the
query. Whatever is shown, recorded or compared goes through here first.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

__all__ = ["is_url", "origin", "public_url", "redact", "split_credentials", "split_fragment"]

# Repetitions are bounded, so that a hostile line of a megabyte costs no more than its length. The authority ends at
# "/", "?" or "#", as browsers and httpx have it; the last "@" in it ends the user's part.
_USER_PART = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}:/{1,4}|(?<![\w/.:])//)(?P<user>[^\s/?#'\"<>]{1,500})@"
)
# An unquoted "/", "?" or "#" in a password breaks that rule. It is told from a port, which is digits up to a slash.
_SLOPPY_USER_PART = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)(?P<user>[^\s/?#'\"<>@:\[]{0,200}:(?!\d{1,5}[/?#])[^\s'\"<>@]{1,500})@"
)
# Without any scheme, as people write it by mistake: "--index-url user:secret@host/simple".
_BARE_USER_PART = re.compile(
    r"(?P<scheme>(?:^|(?<=[\s='\"])))(?P<user>[^\s/:@='\"\[\]]{1,200}:[^\s/:@]{1,500})@(?=[\w\[])"
)
_SECRET_FIELD = re.compile(
    r"(?i)(?P<key>[?&;#](?:[\w.-]{0,40}(?:token|password|passwd|secret|signature|api[_-]?key)|sig|key|auth|pass|pwd)=)"
    r"(?P<value>[^\s&;#'\"<>]{1,2000})"
)
_SCHEME = re.compile(r"(?:https?|file|ftp):", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PUBLIC_URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
    r"/[A-Za-z0-9._~!$&'()*+,;=:@/%-]{0,2000}"
)
_MASK = "****"


def is_url(text: str) -> bool:
    """Whether *text* begins like an address that a file or a page can be had from."""
    return _SCHEME.match(text) is not None


def public_url(text: str) -> str:
    """Check an address that may be published: http or https, no user part, no query, no fragment. Raises ValueError."""
    if not _PUBLIC_URL.fullmatch(text):
        raise ValueError(f"not an address that can be published: {redact(text)[:80]!r}")
    return text


def redact(text: str) -> str:
    """*text*, which may be a sentence with several addresses in it, without user names, passwords and tokens.

    ``https://user:secret@host/x?token=abc`` becomes ``https://****@host/x?token=****``. Done twice, it changes nothing.
    """
    text = _SLOPPY_USER_PART.sub(_masked_user, text)
    text = _USER_PART.sub(_masked_user, text)
    text = _BARE_USER_PART.sub(_masked_user, text)
    return _SECRET_FIELD.sub(lambda match: match["key"] + _MASK, text)


def _masked_user(match: re.Match[str]) -> str:
    # "git@host" in git+ssh://git@host/ is no secret, but nothing is lost by hiding it. A local path may hold an "@".
    if match["scheme"].lower().rstrip("/").endswith("file:"):
        return match[0]
    return f"{match['scheme']}{_MASK}@"


def split_credentials(url: str) -> tuple[str, str | None, str | None]:
    """An address without its user part, the user name, and the password, both unquoted; None where there is none.

    Raises ValueError where *url* is no address at all (an unclosed ``[``).
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None, None
    name, colon, password = user.partition(":")
    bare = urlunsplit(parts._replace(netloc=host))
    return bare, unquote(name) or None, unquote(password) if colon else None


def split_fragment(url: str) -> tuple[str, str]:
    """An address without its fragment, and the fragment without its ``#``."""
    bare, _, fragment = url.partition("#")
    return bare, fragment


def origin(url: str) -> str:
    """Scheme, host and port, lower case, the default port left out: ``https://files.example``.

    Two addresses of the same origin may share credentials (RFC 6454). A ``file:`` address has the origin ``file://``.
    Raises ValueError for a port that is no number.
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    if port is None or _DEFAULT_PORTS.get(scheme) == port:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"
