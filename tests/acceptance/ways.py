"""The ways to a tree: web servers, a store of objects, and a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from tests.acceptance.objects import object_store
from tests.tree.clients import (
    STOCK,
    Site,
    environment,
    find_nginx,
    free_port,
    http_server,
    nginx,
    open_to_all,
    our_server,
    settings,
    wait_for,
)

__all__ = ["WAYS", "Way"]

_STOCK_BELOW = 'server {{ listen 127.0.0.1:{port}; location /pypi/ {{ alias "{root}/"; }} }}'
_SUB_PATH = "/a/pypi/"

_CADDY = """\
{{
	admin off
	auto_https off
	storage file_system "{work}/storage"
}}
{site}
"""
_CADDY_LOG = """ {{
	log {{
		output file "{work}/access.log"
		format json
	}}
"""
_APACHE = """\
ServerRoot "{work}"
DefaultRuntimeDir "{work}"
PidFile "{work}/pid"
{modules}
{user}
TypesConfig /dev/null
ErrorLog "{work}/error.log"
LogFormat "%>s %r %{{Content-Type}}o" told
CustomLog "{work}/access.log" told
{site}
"""
_APACHE_MODULES = (
    "mpm_event",
    "authz_core",
    "unixd",
    "log_config",
    "mime",
    "dir",
    "headers",
    "rewrite",
    "alias",
    "env",
    "setenvif",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """*open* serves a tree, using a folder for itself. *links* for the page of all files, in place of the index.

    *negotiates* for servers that answer JSON to those that ask for it; None where their log does not tell.
    """

    open: Callable[[Path, Path], AbstractContextManager[Site]]
    links: bool = False
    negotiates: bool | None = False
    program: Callable[[], str | None] = lambda: "always here"


def _apache_program() -> str | None:
    return _which("apache2") or _which("httpd")


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@contextmanager
def _folder(tree: Path, work: Path) -> Iterator[Site]:
    del work
    yield Site(tree.as_uri() + "/", list)


def _http_server(tree: Path, work: Path) -> AbstractContextManager[Site]:
    del work
    return http_server(tree)


def _serve(tree: Path, work: Path) -> AbstractContextManager[Site]:
    del work
    return our_server(tree)


def _objects(tree: Path, work: Path) -> AbstractContextManager[Site]:
    del work
    return object_store(tree)


def _stock(tree: Path, work: Path) -> AbstractContextManager[Site]:
    return nginx(work, lambda port: STOCK.format(port=port, root=tree))


def _stock_below(tree: Path, work: Path) -> AbstractContextManager[Site]:
    return nginx(work, lambda port: _STOCK_BELOW.format(port=port, root=tree), path="/pypi/")


def _our_nginx(tree: Path, work: Path, *, path: str) -> AbstractContextManager[Site]:
    return nginx(work, lambda port: _ours("nginx", tree, port, path), path=path)


def _ours(server: str, tree: Path, port: int, path: str) -> str:
    """What ``pypimirror config`` prints for it."""
    return settings(server, "--tree", str(tree), "--url", f"http://127.0.0.1:{port}{path}")


@contextmanager
def _caddy(tree: Path, work: Path) -> Iterator[Site]:
    def conf(port: int) -> str:
        # Whatever it serves, it must tell: the one thing that is not in our settings.
        opening, _, rest = _ours("caddy", tree, port, _SUB_PATH).partition(" {\n")
        return _CADDY.format(work=work, site=f"{opening}{_CADDY_LOG.format(work=work)}{rest}")

    log, path = work / "access.log", work / "Caddyfile"
    command = [_which("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", str(path)]
    with _running(command, path, conf) as url:
        yield Site(url, lambda: [_caddy_line(line) for line in log.read_text("utf-8").splitlines()])


def _caddy_line(line: str) -> str:
    told = json.loads(line)
    kind = " ".join(told["resp_headers"].get("Content-Type", ["-"]))
    return f"{told['status']} {told['request']['method']} {told['request']['uri']} {kind}"


@contextmanager
def _apache(tree: Path, work: Path) -> Iterator[Site]:
    program = _apache_program() or "apache2"
    built_in = subprocess.run([program, "-l"], capture_output=True, text=True, check=True, timeout=30).stdout
    base = Path(program).resolve().parent.parent
    homes = [base / "lib/apache2/modules", base / "lib64/httpd/modules", base / "modules"]
    home = next((each for each in homes if each.is_dir()), base)
    modules = "\n".join(
        f'LoadModule {name}_module "{home}/mod_{name}.so"'
        for name in _APACHE_MODULES
        if f"mod_{name}.c" not in built_in
    )
    user = "User nobody\nGroup nogroup" if os.getuid() == 0 else ""  # it refuses to be root

    def conf(port: int) -> str:
        return _APACHE.format(work=work, modules=modules, user=user, site=_ours("apache", tree, port, _SUB_PATH))

    log, path = work / "access.log", work / "httpd.conf"
    open_to_all(tree)
    with _running([program, "-D", "FOREGROUND", "-f", str(path)], path, conf) as url:
        yield Site(url, lambda: log.read_text("utf-8").splitlines())


@contextmanager
def _running(command: Sequence[str], path: Path, conf: Callable[[int], str]) -> Iterator[str]:
    """A server whose settings stand in *path*; gives the address of the tree."""
    port = free_port()
    path.write_text(conf(port), encoding="utf-8")
    url = f"http://127.0.0.1:{port}{_SUB_PATH}"
    with subprocess.Popen(command, env=environment(HOME=str(path.parent)), stderr=subprocess.DEVNULL) as process:
        try:
            assert wait_for(process, f"{url}index.html"), f"{command[0]} does not answer"
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


WAYS: Mapping[str, Way] = MappingProxyType({
    "http.server": Way(open=_http_server),
    "nginx stock": Way(open=_stock, program=find_nginx),
    "nginx stock below /": Way(open=_stock_below, program=find_nginx),
    "our nginx": Way(open=partial(_our_nginx, path="/"), negotiates=True, program=find_nginx),
    "our nginx below /": Way(open=partial(_our_nginx, path=_SUB_PATH), negotiates=True, program=find_nginx),
    "our Caddy below /": Way(open=_caddy, negotiates=True, program=partial(_which, "caddy")),
    "our Apache below /": Way(open=_apache, negotiates=True, program=_apache_program),
    "S3-like": Way(open=_objects),
    "serve": Way(open=_serve, negotiates=None),
    "file index": Way(open=_folder),
    "links over http": Way(open=_http_server, links=True),
    "links in a file": Way(open=_folder, links=True),
})  # fmt: skip
"""By the names of the table's columns."""
