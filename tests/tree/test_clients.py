"""Real clients install from a rendered tree: over HTTP, from file://, and from the find-links page."""

# ruff: noqa: S310 - loopback addresses

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tree.example import example
from tests.tree.helpers import NOW, bundle, fake, render

WISHES = ["plain-thing", "yanked-thing==1.1", "epoch-thing", "local-thing", "Odd.Name", "from_source"]
SECONDS = 120


class Handler(SimpleHTTPRequestHandler):
    """The standard library's server, keeping its log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        self.server.log.append((format, args))  # type: ignore[attr-defined]  # a list put there below


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """An address, and the status codes that were answered."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    log: list[tuple[str, tuple[object, ...]]] = []
    server.log = log  # type: ignore[attr-defined]  # for the handler
    codes: list[str] = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", codes
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        codes += [f"{args[1]} {args[0]}" for format_, args in log if format_.startswith('"%s" %s')]


def environment() -> dict[str, str]:
    """Without whatever this machine tells its clients."""
    kept = {
        key: value for key, value in os.environ.items() if not key.upper().startswith(("PIP_", "UV_", "VIRTUAL_ENV"))
    }
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": ""}


def other_pythons() -> list[str]:
    """Pythons that lie about, each with the pip it has."""
    found = []
    for minor in (8, 11, 13, 14):
        if sys.version_info[1] == minor:
            continue
        installed = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        other = str(installed[-1]) if installed else shutil.which(f"python3.{minor}")
        if other is not None:
            found.append(other)
    return found


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(
        command, env=environment(), cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def where(way: str, base: str, tree: Path) -> list[str]:
    return {
        "http": ["--index-url", f"{base}/simple/"],
        "file": ["--index-url", f"{tree.as_uri()}/simple/"],
        "find-links": ["--no-index", "--find-links", str(tree / "packages" / "index.html")],
        "find-links over http": ["--no-index", "--find-links", f"{base}/packages/index.html"],
    }[way]


def pip(python: str, target: Path, *arguments: str) -> None:
    target.parent.mkdir(exist_ok=True)
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
        "--target",
        str(target),
        *arguments,
        cwd=target.parent,
    )


def uv(target: Path, *arguments: str) -> None:
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("no uv here")
    target.parent.mkdir(exist_ok=True)
    run(
        program, "--no-config", "--no-cache", "pip", "install", "--quiet", "--python", sys.executable,
        "--target", str(target), *arguments, cwd=target.parent,
    )  # fmt: skip


def installed(target: Path) -> dict[str, str]:
    names = [path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info")]
    return {name.rpartition("-")[0].lower().replace(".", "_"): name.rpartition("-")[2] for name in names}


EXPECTED = {
    "plain_thing": "1.1",
    "yanked_thing": "1.1",
    "epoch_thing": "1!2.0",
    "local_thing": "2.4.0+cpu",
    "odd_name": "1.0",
    "from_source": "0.1",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "a tree"
    render(path, example())
    return path


WAYS = ["http", "file", "find-links", "find-links over http"]


def _each_way(tree: Path, target: Path, way: str, install: Callable[..., None], *, heeds_yanked: bool = True) -> None:
    with serving(tree) as (base, codes):
        install(target / "pinned", *where(way, base, tree), *WISHES)
        if heeds_yanked:
            install(target / "free", *where(way, base, tree), "--no-deps", "yanked-thing")
    assert installed(target / "pinned") == EXPECTED
    assert installed(target / "free") == ({"yanked_thing": "1.0"} if heeds_yanked else {})
    assert {code.split()[0] for code in codes} <= {"200", "206", "304"}, codes


@pytest.mark.parametrize("way", WAYS)
def test_this_pip_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    _each_way(tree, tmp_path, way, functools.partial(pip, sys.executable))


@pytest.mark.parametrize("way", ["http", "find-links"])
@pytest.mark.parametrize("python", other_pythons(), ids=lambda path: Path(path).parent.parent.name)
def test_the_pip_of_another_python_installs_what_it_should(tree: Path, tmp_path: Path, python: str, way: str) -> None:
    _each_way(tree, tmp_path, way, functools.partial(pip, python))


@pytest.mark.parametrize("way", WAYS)
def test_uv_installs_what_it_should(tree: Path, tmp_path: Path, way: str) -> None:
    # uv never heeds yanked in a page of links.
    _each_way(tree, tmp_path, way, uv, heeds_yanked="find-links" not in way)


def test_a_plain_tree_installs_as_well(tmp_path: Path) -> None:
    render(tmp_path / "tree", example(), plain=True)
    _each_way(tmp_path / "tree", tmp_path / "pip", "http", functools.partial(pip, sys.executable))
    _each_way(tmp_path / "tree", tmp_path / "uv", "file", uv)


# ---- nginx ----------------------------------------------------------------------------------------------------------

_NGINX = """\
daemon off;
pid {work}/pid;
error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{
  types {{ text/html html; application/vnd.pypi.simple.v1+json json; }}
  default_type application/octet-stream;
  access_log {work}/access.log;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{ listen 127.0.0.1:{port}; root "{root}"; }}
}}
"""


@contextmanager
def nginx(folder: Path, work: Path) -> Iterator[str]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    if program is None:
        pytest.skip("no nginx here")
    for _ in range(5):
        # Between the probe and nginx another program may take the port: then nginx ends, and another port is tried.
        probe = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = probe.server_port
        probe.server_close()
        (work / "nginx.conf").write_text(_NGINX.format(work=work, port=port, root=folder))
        command = [program, "-e", str(work / "error.log"), "-p", str(work), "-c", str(work / "nginx.conf")]
        with subprocess.Popen(command) as process:
            try:
                if _answers(process, f"http://127.0.0.1:{port}/index.html"):
                    yield f"http://127.0.0.1:{port}"
                    return
            finally:
                process.terminate()
    raise AssertionError(f"nginx does not answer: {(work / 'error.log').read_text('utf-8')}")


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Whether the server that *process* is to be answers within half a minute."""
    for _ in range(600):
        if process.poll() is not None:
            return False
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _open_to_all(path: Path) -> None:
    """nginx's workers are nobody: pytest's folders are private, and the tree itself is not."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)


def test_nginx_serves_a_tree_and_never_an_old_page_as_not_modified(tmp_path: Path) -> None:
    """Its ETag is time and size: two pages of one size, published in one second, must still differ."""
    tree = tmp_path / "tree"
    first, second = (fake("a-1.0-py3-none-any.whl", yanked=reason) for reason in ("bad", "sad"))
    render(tree, bundle(first, sequence=1_790_000_000))
    _open_to_all(tmp_path)
    with nginx(tree, tmp_path) as base:
        with urllib.request.urlopen(f"{base}/simple/a/", timeout=5) as answer:
            tag, before = answer.headers["ETag"], answer.read()
        render(tree, bundle(second, sequence=1_790_000_001), now=NOW)
        request = urllib.request.Request(f"{base}/simple/a/", headers={"If-None-Match": tag})
        with urllib.request.urlopen(request, timeout=5) as answer:
            after = answer.read()
    assert len(before) == len(after)
    assert b"bad" in before
    assert b"sad" in after


def test_clients_install_through_a_stock_nginx_whatever_the_umask_was(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        (tmp_path / "work").mkdir()
        render(tmp_path / "tree", example())
    finally:
        os.umask(old)
    _open_to_all(tmp_path)
    with nginx(tmp_path / "tree", tmp_path / "work") as base:
        uv(tmp_path / "uv", "--index-url", f"{base}/simple/", *WISHES)
        pip(sys.executable, tmp_path / "pip", "--index-url", f"{base}/simple/", *WISHES)
    assert installed(tmp_path / "uv") == installed(tmp_path / "pip") == EXPECTED
