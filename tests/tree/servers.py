"""Real web servers by the settings that ``pypimirror config`` prints, and what they answer."""

from __future__ import annotations

import base64
import functools
import getpass
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import pytest

from tests.tree.clients import environment, free_port, nginx_command, open_to_all

__all__ = ["Answer", "Authority", "Served", "add_siblings", "authority", "checked", "passwords", "program", "running"]

USER, PASSWORD = "reader", "s3cret!pass"
_BCRYPT = "$2y$04$sbo.wO/oGiFpGfUZT8i18.H3.SZUeRlVq/6KfV.qqDe4xcVWHs2A."  # of that password, at the lowest cost

_PLACES = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
_APACHE_MODULES = Path("/usr/lib/apache2/modules")
_MODULES = [
    "alias", "auth_basic", "authn_core", "authn_file", "authz_core", "authz_user", "autoindex", "deflate", "dir", "env",
    "filter", "headers", "mime", "mpm_event", "negotiation", "rewrite", "setenvif", "socache_shmcb", "ssl",
]  # fmt: skip

# Listings, encodings, charsets and MultiViews are on, as some systems have them: our settings must not need them off.
_APACHE = """\
ServerRoot "{work}"
PidFile "{work}/pid"
ErrorLog "{work}/error.log"
{modules}
{user}
TypesConfig /etc/mime.types
{odd}
AddOutputFilterByType DEFLATE text/html application/vnd.pypi.simple.v1+json application/octet-stream
Mutex pthread
<Directory />
    AllowOverride None
    Options FollowSymLinks Indexes MultiViews
    Require all denied
</Directory>
{conf}
"""
_ODD_APACHE = "AddType application/x-gzip .gz\nAddEncoding x-gzip .gz\nAddHandler type-map .php"
_APACHE_OF_OTHERS = """\
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    DocumentRoot "{root}"
    <Directory "{root}">
        AllowOverride FileInfo Indexes Options AuthConfig
        Require all granted
    </Directory>
</VirtualHost>
"""

_CADDY = """\
{{
	admin off
	auto_https disable_redirects
	skip_install_trust
	storage file_system "{work}/storage"
}}
{conf}
"""


def program(name: str) -> str:
    """The path of a server. Its test is skipped where this machine has none: ``.ci/run`` installs them."""
    found = shutil.which({"apache": "apache2", "htaccess": "apache2"}.get(name, name), path=_PLACES)
    if found is None:
        pytest.skip(f"no {name} here; .ci/run installs it, where it may")
    return found


def _command(name: str, work: Path, conf: str) -> list[str]:
    """An own server in *work*, by the text *conf* of our settings."""
    if name == "nginx":
        program(name)
        return nginx_command(work, conf)
    if name == "caddy":
        path = work / "Caddyfile"
        path.write_text(_CADDY.format(work=work, conf=conf.rstrip("\n")), encoding="utf-8")
        return [program(name), "run", "--adapter", "caddyfile", "--config", str(path)]
    modules = "\n".join(
        f'LoadModule {each}_module "{path}"'
        for each in _MODULES
        if (path := _APACHE_MODULES / f"mod_{each}.so").exists()
    )
    user = "User www-data\nGroup www-data" if getpass.getuser() == "root" else ""
    odd = _ODD_APACHE if name == "apache" else ""
    path = work / "httpd.conf"
    path.write_text(_APACHE.format(work=work, modules=modules, user=user, odd=odd, conf=conf), encoding="utf-8")
    return [program(name), "-d", str(work), "-f", str(path)]


def checked(name: str, work: Path, conf: str) -> str:
    """What the server itself says of the settings: it must take them."""
    work.mkdir(exist_ok=True, parents=True)
    command = _command(name, work, conf)
    command = [command[0], "validate", *command[2:]] if name == "caddy" else [*command, "-t"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=environment(HOME=str(work))
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@contextmanager
def running(name: str, work: Path, conf: Callable[[int], str], *, above: Path | None = None) -> Iterator[int]:
    """A server by the settings that *conf* has for a port; gives the port.

    *above*, for ``htaccess``: the folder that others' Apache serves, in which the text becomes ``.htaccess``.
    """
    work.mkdir(exist_ok=True, parents=True)
    program(name)
    open_to_all(work)
    for _ in range(5):
        # Between the probe and the server another program may take the port: then it ends, and another port is tried.
        port = free_port()
        text = conf(port)
        if above is not None:
            (above / ".htaccess").write_text(text, encoding="utf-8")
            text = _APACHE_OF_OTHERS.format(port=port, root=above)
        command = _command(name, work, text) + ([] if name in ("nginx", "caddy") else ["-DFOREGROUND"])
        with (
            (work / "said").open("wb") as said,
            subprocess.Popen(command, env=environment(HOME=str(work)), stdout=said, stderr=said) as process,
        ):
            try:
                if _listens(process, port):
                    yield port
                    return
            finally:
                process.terminate()
                process.wait(timeout=30)
    said_at_last = (work / "said").read_text("utf-8", "replace")
    raise AssertionError(f"{name} does not answer: {said_at_last}")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether what *process* is to be listens within half a minute."""
    for _ in range(1500):
        if process.poll() is not None:
            return False
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.02)
    return False


# ---- answers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def of(self, name: str) -> str:
        return ", ".join(self.headers.get_all(name, []))

    @property
    def plain(self) -> bytes:
        return gzip.decompress(self.body) if self.of("Content-Encoding") == "gzip" else self.body


@dataclass(frozen=True)
class Served:
    """A running server: asks for paths below *url*."""

    url: str
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers={**self.headers, **named}, method=method)  # noqa: S310 - loopback
        try:
            with self._opener.open(request, timeout=10) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    @functools.cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        return urllib.request.build_opener(_Staying(), urllib.request.HTTPSHandler(context=self.context))


class _Staying(urllib.request.HTTPRedirectHandler):
    """A redirection is an answer, too."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


# ---- passwords, certificates, compressed pages ----------------------------------------------------------------------


def passwords(name: str, path: Path) -> Path:
    """A file with one user, in the form of the server."""
    if name == "caddy":
        path.write_text(f"{USER} {_BCRYPT}\n", encoding="ascii")
        return path
    said = subprocess.run(
        ["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True, timeout=60
    )
    path.write_text(f"{USER}:{said.stdout.strip()}\n", encoding="ascii")
    return path


@dataclass(frozen=True)
class Authority:
    """A private authority, and a certificate of a server at 127.0.0.1 that it signed."""

    ca: Path
    cert: Path
    key: Path

    @functools.cached_property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


def authority(folder: Path) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the certificates")
    folder.mkdir()
    names = {name: folder / name for name in ("our ca.pem", "ca.key", "server.pem", "server.key", "request", "more")}
    names["more"].write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="ascii")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for arguments in (
        ["req", "-x509", *new, "-keyout", names["ca.key"], "-out", names["our ca.pem"], "-subj", "/CN=Ours",
         "-days", "9", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        ["req", *new, "-keyout", names["server.key"], "-out", names["request"], "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", names["request"], "-CA", names["our ca.pem"], "-CAkey", names["ca.key"], "-days", "9",
         "-CAcreateserial", "-extfile", names["more"], "-out", names["server.pem"]],
    ):  # fmt: skip
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
    return Authority(names["our ca.pem"], names["server.pem"], names["server.key"])


def add_siblings(folder: Path) -> None:
    """What ``render --gzip`` does: a ``.gz`` beside each page, here with a comment in it by which it is told apart."""
    for page in [*folder.rglob("index.html"), *folder.rglob("index.json")]:
        page.with_name(f"{page.name}.gz").write_bytes(gzip.compress(page.read_bytes() + b" ", mtime=0))
