"""What the connected host is told about indexes: where to look, whom to trust, how to log in.

Precedence, as with pip: the command line, then pip's own variables and files (``pip_settings``). Lists add up:
``--extra-index-url``, ``--find-links`` and ``--trusted-host`` of the command line and of requirements files stand
beside pip's. An ``--index-url`` inside a requirements file replaces every index named elsewhere, the extra ones of the
command line and of pip's settings included; extra ones of requirements files stay. ``--no-index``, wherever it stands,
leaves no index.

Order of ``Settings.sources``: every find-links place first, then the extra indexes, then the default index; within
each, the command line's, then the requirements files', then pip's. Among the *indexes* the first that has a project
wins, as with uv. *Find-links* places take no part in that: the files they have of a project are merged into the
listing of the index that won (or make one, where no index has it), as both pip and uv do.

Proxies: ``Settings.proxy`` where it is not None (empty: none at all); else what the variables ``HTTPS_PROXY``,
``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` say, which the client reads for each address.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from pypimirror.errors import InputFaults, UsageFault
from pypimirror.net.credentials import Credentials, KeyringProvider
from pypimirror.net.default_index import default_index
from pypimirror.net.pip_settings import PipSettings, home_folder, read_pip_settings
from pypimirror.net.sources import Kind, Said, Source, bad_setting, named, place, shown
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["CommandLineOptions", "FileOptions", "Settings", "Source", "resolve_settings"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that the network side needs to know. ``timeout`` in seconds, of silence; ``retries`` after the first try.

    ``sources`` may be empty (``--no-index``): only direct references can be had then. ``trusted_hosts`` are ``host`` or
    ``host:port``, lower case: plain http and bad certificates are accepted of them. ``cert`` is a file or a folder of
    CA certificates, ``client_cert`` a file with a key and its certificate. ``proxy`` may hold a password, and is None
    where the environment's applies, empty where none must be used.
    """

    sources: tuple[Source, ...]
    credentials: Credentials
    trusted_hosts: frozenset[str] = frozenset()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float = 15.0
    retries: int = 5
    keyring: KeyringProvider = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLineOptions:
    """Our own options, as written; None where one was not given."""

    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = field(default=(), repr=False)
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float | None = None
    retries: int | None = None
    keyring: KeyringProvider | None = None
    isolated: bool = False


class FileOptions(Protocol):
    """The options that requirements files may hold, in the order of their lines."""

    @property
    def index_url(self) -> str | None: ...
    @property
    def extra_index_urls(self) -> Sequence[str]: ...
    @property
    def find_links(self) -> Sequence[str]: ...
    @property
    def no_index(self) -> bool: ...
    @property
    def trusted_hosts(self) -> Sequence[str]: ...


def resolve_settings(
    *,
    options: CommandLineOptions,
    file_options: FileOptions | None = None,
    pip: PipSettings | None = None,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    reporter: Reporter | None = None,
) -> Settings:
    """Everything that was said of indexes, united.

    *pip* is what ``read_pip_settings`` gave, where the caller has asked already. Opens no connection, starts no
    process (but see ``default_index``). Raises UsageFault (``bad-setting``, ``no-default-index``), or InputFaults.
    """
    environ = os.environ if environ is None else environ
    reporter = reporter or Reporter()
    if pip is None:
        pip = read_pip_settings(environ=environ, home=home, isolated=options.isolated, reporter=reporter)
    union = _Union(options, file_options, pip)
    home = home_folder(environ, home)
    keyring = options.keyring or pip.keyring or "auto"
    credentials = Credentials(
        environ=environ, home=home, keyring=keyring, interactive=not pip.no_input, reporter=reporter
    )
    gather = _Gather()
    settings = Settings(
        sources=_sources(union, credentials, home, reporter, gather),
        credentials=credentials,
        trusted_hosts=frozenset(host for said in union.trusted_hosts() if (host := gather(_host, said))),
        cert=gather(_existing, union.cert(environ)),
        client_cert=gather(_existing, union.one("client-cert", options.client_cert, pip.client_cert)),
        proxy=gather(_proxy, union.one("proxy", options.proxy, pip.proxy)),
        timeout=next(value for value in (options.timeout, pip.timeout, 15.0) if value is not None),
        retries=next(value for value in (options.retries, pip.retries, 5) if value is not None),
        keyring=keyring,
    )
    gather.finish()
    return settings


class _Gather:
    """Calls what may raise UsageFault, and keeps the faults: ten bad settings, ten messages, one run."""

    def __init__(self) -> None:
        self._faults: list[UsageFault] = []

    def __call__(self, read: Callable[[Said], T], said: Said | None) -> T | None:
        try:
            return None if said is None else read(said)
        except UsageFault as fault:
            self._faults.append(fault)
            return None

    def finish(self) -> None:
        if self._faults:
            raise self._faults[0] if len(self._faults) == 1 else InputFaults(tuple(self._faults))


@dataclass(frozen=True, slots=True)
class _Union:
    """What was said, from all three sides, in the order of precedence."""

    options: CommandLineOptions
    files: FileOptions | None
    pip: PipSettings

    def one(self, option: str, own: str | None, pips: str | None) -> Said | None:
        """The command line's value, else pip's. An empty text on the command line stays: ``--proxy ""`` means none."""
        if own is not None:
            return Said(own, f"--{option}")
        return None if pips is None else self._pips(option, pips)

    def cert(self, environ: Mapping[str, str]) -> Said | None:
        """Ours, pip's, or what pip's HTTP library takes. SSL_CERT_FILE and SSL_CERT_DIR are left to OpenSSL."""
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        others = (Said(environ[name], name) for name in names if environ.get(name))
        return self.one("cert", self.options.cert, self.pip.cert) or next(others, None)

    def trusted_hosts(self) -> list[Said]:
        files = self.files.trusted_hosts if self.files else ()
        return self._all("trusted-host", self.options.trusted_hosts, files, self.pip.trusted_hosts)

    def stated_find_links(self) -> list[Said]:
        return self._all("find-links", self.options.find_links, self.files.find_links if self.files else (), ())

    def pips_find_links(self) -> list[Said]:
        return self._all("find-links", (), (), self.pip.find_links)

    def indexes(self) -> list[Said]:
        options, files, pip = self.options, self.files, self.pip
        if options.no_index or pip.no_index or (files is not None and files.no_index):
            return []
        extra = files.extra_index_urls if files else ()
        if files is not None and files.index_url:
            own = Said(files.index_url, "--index-url in a requirements file")
            return [*self._all("extra-index-url", (), extra, ()), own]
        found = self._all("extra-index-url", options.extra_index_urls, extra, pip.extra_index_urls)
        default = self.one("index-url", options.index_url, pip.index_url)
        return [*found, default or Said(default_index(), "pip's built-in index")]

    def replaced(self) -> int:
        """How many indexes that a person named give way to the one in a requirements file."""
        if self.files is None or not self.files.index_url:
            return 0
        ones = (self.options.index_url or self.pip.index_url,)
        return len(list(filter(None, (*ones, *self.options.extra_index_urls, *self.pip.extra_index_urls))))

    def _all(self, option: str, own: Sequence[str], files: Sequence[str], pips: Sequence[str]) -> list[Said]:
        return [
            *(Said(text, f"--{option}") for text in own),
            *(Said(text, f"--{option} in a requirements file") for text in files),
            *(self._pips(option, text) for text in pips),
        ]

    def _pips(self, option: str, text: str) -> Said:
        return Said(text, self.pip.where.get(option, option))


def _sources(
    union: _Union, credentials: Credentials, home: Path, reporter: Reporter, gather: _Gather
) -> tuple[Source, ...]:
    found: dict[tuple[str, Kind], None] = {}

    def index(said: Said) -> None:
        found[place(said, kind="index", credentials=credentials, home=home), "index"] = None

    def links(said: Said) -> None:
        found[place(said, kind="find-links", credentials=credentials, home=home), "find-links"] = None

    for said in union.stated_find_links():
        gather(links, said)
    for said in union.pips_find_links():
        try:
            links(said)
        except UsageFault as fault:
            # pip passes over a folder that isn't there with a warning, and so such settings are left lying about.
            reporter.note(f"a find-links place of pip's settings is not used: {fault}")
    for said in union.indexes():
        gather(index, said)
    if count := union.replaced():
        reporter.note(f"--index-url in a requirements file replaces the indexes named elsewhere ({count}), as with pip")
    return named(found)


def _host(said: Said) -> str:
    """``host`` or ``host:port``; an address is taken for its host, which is all it can have been meant for."""
    text = said.text.strip().lower()
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise bad_setting(said, f"{shown(said.text)!r} is no host", "write HOST or HOST:PORT")
    return _bracketed(host) if port is None else f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _existing(said: Said) -> str:
    path = Path(said.text).expanduser()
    if not path.exists():
        raise bad_setting(said, f"there is no {str(path)!r}", "check the path")
    return str(path)


def _proxy(said: Said) -> str:
    """An address with a scheme, which pip lets people leave out; or nothing."""
    text = said.text.strip()
    if not text:
        return ""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and parts.scheme in ("http", "https", "socks5", "socks5h")
    except ValueError:
        usable = False
    if not usable:
        # Without a scheme nothing tells the password in it from the rest, so the text is not quoted.
        raise bad_setting(said, "the proxy's address can't be read", "write http://HOST:PORT")
    return url
