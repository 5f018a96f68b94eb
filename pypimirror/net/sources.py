"""The places to look for files, and how what people write of them is read: addresses, folders, pages.

A place may be an address (``https://index.example/simple``), a ``file:`` address or a path; a path is relative to the
working folder, as with pip. What can't be a place is a UsageFault that names the option, the variable or the file it
stands in, its secrets left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pypimirror.errors import UsageFault
from pypimirror.model.urls import redact, split_fragment
from pypimirror.net.credentials import Credentials
from pypimirror.values import dataclass

__all__ = ["Kind", "Said", "Source", "bad_setting", "local_path", "named", "place", "shown"]

Kind = Literal["index", "find-links"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One place to look for files.

    ``name`` is what the manifest records: the host (with its port if one was written), with the path where two
    sources share it; the last part of a folder's path, the last two where two sources share it. Never a user, a
    password or a query. ``url`` is absolute (http, https or file), without credentials and fragment; an index's does
    not end with ``/`` and has no query. A find-links address may have one, and a token in it: ``repr`` hides that.
    """

    name: str
    url: str
    kind: Kind

    def __repr__(self) -> str:
        return f"Source(name={self.name!r}, url={redact(self.url)!r}, kind={self.kind!r})"


@dataclass(frozen=True, slots=True)
class Said:
    """A text, and where it was said: ``--index-url``, ``PIP_INDEX_URL``, ``/etc/pip.conf [global] index-url``."""

    text: str = field(repr=False)
    where: str


def bad_setting(said: Said, what: str, hint: str) -> UsageFault:
    """The fault of one setting; *what* may quote it."""
    return UsageFault(f"{redact(said.where)}: {redact(what)}", code="bad-setting", hint=hint)


def shown(text: str) -> str:
    """*text* for quoting, without its secrets, even where a person forgot the scheme: ``user:secret@host``."""
    scheme, slashes, rest = text.rpartition("://")
    if slashes and scheme.lower() != "file":
        return redact(text)
    # A folder's name may hold an "@", a host's may not.
    user, at, host = rest.partition("/")[0].rpartition("@")
    return f"{scheme}{slashes}****@{host}{rest[len(user + at + host) :]}" if at else redact(text)


def local_path(url: str) -> Path:
    """The path that a ``file:`` address stands for (RFC 8089)."""
    return Path(_path_name(urlsplit(url).path))


def _path_name(path: str) -> str:
    if os.name != "nt":
        return unquote(path)
    from urllib.request import url2pathname  # noqa: PLC0415 - a tenth of a second, for drives only

    return url2pathname(path)


def place(said: Said, *, kind: Kind, credentials: Credentials, home: Path) -> str:
    """The address of a place, its credentials handed over. Raises UsageFault (``bad-setting``)."""
    text = said.text.strip()
    scheme = text.partition(":")[0].lower() if ":" in text else ""
    if scheme in ("http", "https"):
        return _remote(said, text, kind=kind, credentials=credentials)
    if scheme == "file":
        return _local(said, _file_path(said, text))
    if "://" in text:
        raise bad_setting(
            said, f"{shown(text)!r} is no address that can be read", "write an https:// address or a path"
        )
    if text[:1] == "~":
        text = str(home) + text[1:] if text[1:2] in ("", "/", os.sep) else os.path.expanduser(text)  # noqa: PTH111 - a user's name may follow
    return _local(said, Path(text))


def _remote(said: Said, text: str, *, kind: Kind, credentials: Credentials) -> str:
    try:
        url = credentials.split(split_fragment(text)[0])
        parts = urlsplit(url)
    except ValueError:
        raise bad_setting(said, f"{shown(text)!r} is no address", "check its host and its port") from None
    if not parts.hostname:
        raise bad_setting(said, f"{shown(text)!r} names no host", "write https://HOST/PATH")
    if kind == "find-links":
        return url
    if parts.query:
        # A project's page is found by its name behind the path, and there is no saying where that goes.
        raise bad_setting(
            said, f"the address of an index can't have a query: {shown(text)!r}", "leave out what follows the ?"
        )
    return url.rstrip("/")


def _file_path(said: Said, text: str) -> Path:
    try:
        parts = urlsplit(split_fragment(text)[0])
    except ValueError:
        raise bad_setting(said, f"{shown(text)!r} is no address", "write file:///PATH") from None
    if parts.netloc not in ("", "localhost") and os.name != "nt":
        host = parts.netloc.rpartition("@")[2]
        raise bad_setting(said, f"it names a file of another host, {host!r}", "write file:///PATH, with three slashes")
    path = parts.path if parts.netloc in ("", "localhost") else f"//{parts.netloc}{parts.path}"
    return Path(_path_name(path))


def _local(said: Said, path: Path) -> str:
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        raise bad_setting(
            said,
            f"there is no {shown(str(path))!r}",
            "write an address with https:// in front, or a folder that exists",
        )
    # Not resolved: a link that a person keeps up to date should be read as it stands at each run.
    return Path(os.path.abspath(path)).as_uri()  # noqa: PTH100 - Path.absolute keeps "..", which an address must not


def named(places: Iterable[tuple[str, Kind]]) -> tuple[Source, ...]:
    """The places as sources, each with a name of its own, as short as tells them apart.

    Where not even that does (a query differs) the later ones are counted: ``files.example/wheels#2``.
    """
    found = tuple(places)
    short = Counter(_short_name(url) for url, _ in found)
    names = [name if short[name := _short_name(url)] == 1 else _long_name(url) for url, _ in found]
    used: Counter[str] = Counter()
    sources = []
    for name, (url, kind) in zip(names, found, strict=True):
        used[name] += 1
        sources.append(Source(name=name if used[name] == 1 else f"{name}#{used[name]}", url=url, kind=kind))
    return tuple(sources)


def _short_name(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return local_path(url).name or "/"
    return parts.netloc.lower()


def _long_name(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "/".join(local_path(url).parts[-2:]) or "/"
    return parts.netloc.lower() + unquote(parts.path).rstrip("/")
