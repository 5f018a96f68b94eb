"""Real clients and real web servers: how tests run them, and what each server answered."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.worlds import ROOT, running

__all__ = [
    "EXPECTED",
    "STOCK",
    "WISHES",
    "Site",
    "environment",
    "find_nginx",
    "free_port",
    "http_server",
    "installed",
    "nginx",
    "nginx_program",
    "open_to_all",
    "our_server",
    "pip",
    "settings",
    "uv",
    "wait_for",
]

WISHES = ["plain-thing", "yanked-thing==1.1", "epoch-thing", "local-thing", "Odd.Name", "from_source"]
EXPECTED = {
    "plain_thing": "1.1",
    "yanked_thing": "1.1",
    "epoch_thing": "1!2.0",
    "local_thing": "2.4.0+cpu",
    "odd_name": "1.0",
    "from_source": "0.1",
}
SECONDS = 120


# ---- clients --------------------------------------------------------------------------------------------------------


def environment(**changes: str) -> dict[str, str]:
    """Without whatever this machine tells its clients."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.upper().startswith(("PIP_", "UV_", "VIRTUAL_ENV", "PYTHON", "XDG_"))
        and not key.upper().endswith("_PROXY")
    }
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | changes


def run(*command: str, cwd: Path, **changes: str) -> str:
    done = subprocess.run(
        command, env=environment(**changes), cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(target: Path, *arguments: str, python: str = sys.executable, config: str | None = None) -> None:
    """Install into *target*; by *config*, the text of a pip.conf, where there is one."""
    command = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--target", str(target), *arguments]
    run(*command, cwd=_home(target), **_configured("PIP_CONFIG_FILE", target, config))


def uv(target: Path, *arguments: str, config: str | None = None) -> None:
    """As ``pip``; *config* is the text of a uv.toml."""
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("no uv here")
    command = [program, "--no-cache", *([] if config else ["--no-config"]), "pip", "install", "--quiet"]
    command += ["--python", sys.executable, "--target", str(target), *arguments]
    run(*command, cwd=_home(target), **_configured("UV_CONFIG_FILE", target, config))


def _home(target: Path) -> Path:
    target.parent.mkdir(exist_ok=True, parents=True)
    return target.parent


def _configured(variable: str, target: Path, config: str | None) -> dict[str, str]:
    """The person's own files must not count beside it: pip reads them, too, when a file is named."""
    home = {"HOME": str(target.parent)}
    if config is None:
        return home
    path = target.with_name(f"{target.name}.settings")
    path.write_text(config, encoding="utf-8")
    return home | {variable: str(path)}


def installed(target: Path) -> dict[str, str]:
    names = [path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info")]
    return {name.rpartition("-")[0].lower().replace(".", "_"): name.rpartition("-")[2] for name in names}


def settings(*arguments: str) -> str:
    """What ``pypimirror config`` prints."""
    command = [sys.executable, "-m", "pypimirror", "config", *arguments]
    return run(*command, cwd=ROOT, PYTHONPATH=str(ROOT), PYTHONWARNINGS="error")


# ---- servers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """A running server: the address of the served folder, and a line for each answer, its status first."""

    url: str
    lines: Callable[[], Sequence[str]]

    def statuses(self) -> set[str]:
        return {line.split()[0] for line in self.lines()}


class _Handler(SimpleHTTPRequestHandler):
    """The standard library's server, keeping its log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del size
        self.server.log.append(f"{int(code)} {self.requestline}")  # type: ignore[attr-defined]  # a list put there below

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        pass


@contextmanager
def http_server(folder: Path) -> Iterator[Site]:
    """``python -m http.server``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    log: list[str] = []
    server.log = log  # type: ignore[attr-defined]  # for the handler
    with running(server) as address:
        yield Site(f"{address}/", lambda: log)


@contextmanager
def our_server(folder: Path) -> Iterator[Site]:
    """``pypimirror serve``, as a person starts it."""
    command = [sys.executable, "-m", "pypimirror", "serve", str(folder), "--port", "0", "--verbose"]
    told: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert " at http://" in first, first + process.stderr.read()
        reader = threading.Thread(target=told.extend, args=(process.stderr,))
        reader.start()
        try:
            yield Site(first.split(" at ")[1].split()[0], lambda: _requests(told))
        finally:
            process.terminate()
            process.wait(timeout=30)
            reader.join(timeout=30)


def _requests(told: Sequence[str]) -> list[str]:
    return [line.split(" ", 1)[1].strip() for line in told if line.startswith("127.0.0.1 ")]


STOCK = 'server {{ listen 127.0.0.1:{port}; root "{root}"; }}'
"""nginx as Debian has it, and nothing said but which folder."""

_NGINX = """\
{user}daemon off;
pid "{work}/pid";
error_log "{work}/error.log";
events {{ worker_connections 64; }}
http {{
  types {{ text/html html; application/vnd.pypi.simple.v1+json json; }}
  default_type application/octet-stream;
  log_format told '$status $request_method $request_uri $sent_http_content_type';
  access_log "{work}/access.log" told;
  client_body_temp_path "{work}/body"; proxy_temp_path "{work}/proxy"; fastcgi_temp_path "{work}/fastcgi";
  uwsgi_temp_path "{work}/uwsgi"; scgi_temp_path "{work}/scgi";
  include "{work}/conf.d/*.conf";
}}
"""


def find_nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")


def nginx_program() -> str:
    program = find_nginx()
    if program is None:
        pytest.skip("no nginx here")
    return program


def nginx_command(work: Path, conf: str, *, stranger: bool = False) -> list[str]:
    """An nginx of its own in *work*, whose conf.d has *conf*. Its workers are ours, or *stranger*'s: another user's."""
    user = "user root root;\n" if os.getuid() == 0 and not stranger else ""
    (work / "conf.d").mkdir(parents=True, exist_ok=True)
    (work / "conf.d" / "tree.conf").write_text(conf, encoding="utf-8")
    (work / "nginx.conf").write_text(_NGINX.format(work=work, user=user), encoding="utf-8")
    return [nginx_program(), "-e", str(work / "error.log"), "-p", str(work), "-c", str(work / "nginx.conf")]


def free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as probe:
        return probe.server_port


@contextmanager
def nginx(work: Path, conf: Callable[[int], str], *, path: str = "/", stranger: bool = False) -> Iterator[Site]:
    """nginx with the settings that *conf* has for a port. *path* is where they show the tree."""
    log = work / "access.log"
    nginx_program()
    for _ in range(5):
        # Between the probe and nginx another program may take the port: then nginx ends, and another port is tried.
        port = free_port()
        with subprocess.Popen(nginx_command(work, conf(port), stranger=stranger)) as process:
            try:
                if wait_for(process, f"http://127.0.0.1:{port}{path}index.html"):
                    yield Site(f"http://127.0.0.1:{port}{path}", lambda: log.read_text("utf-8").splitlines())
                    return
            finally:
                process.terminate()
                process.wait(timeout=30)
    raise AssertionError(f"nginx does not answer: {(work / 'error.log').read_text('utf-8')}")


def wait_for(process: subprocess.Popen[bytes], url: str) -> bool:
    """Whether the server that *process* is to be answers within half a minute."""
    for _ in range(600):
        if process.poll() is not None:
            return False
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - a loopback address
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def open_to_all(path: Path) -> None:
    """For a stranger's workers: pytest's folders are private, and the tree itself is not."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
