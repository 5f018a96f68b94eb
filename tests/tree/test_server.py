"""``serve`` below the command: connections, files that are not the tree's, clients that misbehave."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pypimirror.errors import Incomplete, PypimirrorError, UsageFault
from pypimirror.tree import server as module
from pypimirror.tree.layout import Layout
from pypimirror.tree.server import TreeServer, open_server
from tests.tree.example import example
from tests.tree.helpers import NOW, bundle, fake, render

JSON_PAGE = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    render(path, example())
    return path


@contextmanager
def running(tree: Path, log: Callable[[str], None] | None = None) -> Iterator[TreeServer]:
    with open_server(tree, host="127.0.0.1", port=0, log=log) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def talk(server: TreeServer, *pieces: bytes, wait: float = 0) -> bytes:
    """All that the server says on one connection until it closes it."""
    with closing(socket.create_connection(("127.0.0.1", server.server_port), timeout=20)) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(wait)
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
        return said


def get(server: TreeServer, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


# ---- connections ----------------------------------------------------------------------------------------------------


def test_one_connection_carries_many_requests(tree: Path) -> None:
    with running(tree) as server, closing(http.client.HTTPConnection("127.0.0.1", server.server_port)) as connection:
        connection.connect()
        first = connection.sock
        for path, status in [("/simple/", 200), ("/nothing", 404), ("/simple", 301), ("/.x", 404), ("/", 200)]:
            for method in ("GET", "HEAD"):
                connection.request(method, path)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == status
                assert answer.version == 11
        assert connection.sock is first


def test_requests_may_come_all_at_once(tree: Path) -> None:
    one = b"GET /simple/index.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(tree) as server:
        said = talk(server, one * 3, one.replace(b"Host", b"Connection: close\r\nHost"))
    assert said.count(b"HTTP/1.1 200 OK") == 4
    assert said.count((tree / "simple" / "index.json").read_bytes()) == 4


def test_an_old_client_is_answered_and_let_go(tree: Path) -> None:
    with running(tree) as server:
        assert b"\r\nConnection: close\r\n" in talk(server, b"GET / HTTP/1.0\r\n\r\n")
        assert b"<!DOCTYPE html>" in talk(server, b"GET /\r\n\r\n")
        kept = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + b"GET / HTTP/1.0\r\n\r\n"
        assert talk(server, kept).count(b"<!DOCTYPE html>") == 2


def test_a_body_is_never_taken_for_a_request(tree: Path) -> None:
    hidden = b"GET /manifest.json HTTP/1.1\r\nHost: x\r\n\r\n"
    for head in (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(hidden),
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(hidden),
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"ODD / HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with running(tree) as server:
            said = talk(server, head + hidden)
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in said


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"GET /\xff\xfe\x1b[31m HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
        (b"GET /%s HTTP/1.1\r\nConnection: close\r\n\r\n" % (b"a" * 60000), 404),
        (b"GET http://user@x:1/simple/ HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ],
)
def test_a_bad_request_gets_one_plain_answer(tree: Path, request_: bytes, status: int) -> None:
    with running(tree) as server:
        try:
            said = talk(server, request_)
        except ConnectionResetError:
            assert status in (414, 431)  # what was sent in excess is not read
            return
        assert get(server, "/simple/")[0] == 200
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert b"nosniff" in said
    if status != 200:
        assert b"Content-Type: text/plain" in said


def test_406_only_if_nothing_at_all_is_acceptable(tree: Path) -> None:
    with running(tree) as server:
        assert get(server, "/simple/", Accept="application/json")[0] == 406
        assert get(server, "/simple/nothing/", Accept="application/json")[0] == 404
        assert get(server, "/manifest.json", Accept="text/html")[0] == 200
        status, body = get(server, "/simple/", Accept="image/png")
    assert JSON_PAGE.encode() in body
    assert status == 406


# ---- patience -------------------------------------------------------------------------------------------------------


def test_a_client_that_says_nothing_or_little_is_let_go(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    with running(tree) as server:
        began = time.monotonic()
        assert talk(server) == b""
        assert talk(server, b"GET / HT") == b""
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            talk(server, *([b"G"] * 50), wait=0.1)  # a byte now and then does not count as progress
        assert time.monotonic() - began < 4
        assert get(server, "/simple/")[0] == 200


def test_a_client_that_takes_nothing_is_let_go(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    (tree / "packages" / "big.whl").write_bytes(b"x" * 30_000_000)
    told: list[str] = []
    with running(tree, told.append) as server:
        with closing(socket.create_connection(("127.0.0.1", server.server_port), timeout=20)) as connection:
            connection.sendall(b"GET /packages/big.whl HTTP/1.1\r\nHost: x\r\n\r\n")
            deadline = time.monotonic() + 15
            while not told and time.monotonic() < deadline:
                time.sleep(0.05)
        assert told == ["127.0.0.1 200 0 GET /packages/big.whl HTTP/1.1"]
        assert get(server, "/packages/big.whl", Range="bytes=-5")[1] == b"xxxxx"


def test_a_client_that_hangs_up_is_nothing_to_speak_of(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "packages" / "big.whl").write_bytes(b"x" * 30_000_000)
    told: list[str] = []
    with running(tree, told.append) as server:
        for _ in range(5):
            connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=20)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            connection.sendall(b"GET /packages/big.whl HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1000)
            connection.close()
        assert get(server, "/simple/")[0] == 200
    assert not [line for line in told if "error" in line]
    assert capfd.readouterr() == ("", "")


# ---- files ----------------------------------------------------------------------------------------------------------


def test_only_links_of_the_tree_are_followed(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "simple").mkdir(parents=True)
    (outside / "secret.whl").write_bytes(b"secret")
    (outside / "index.html").write_bytes(b"secret")
    packages = tree / "packages"
    planted: dict[str, str | Path] = {
        "absolute.whl": outside / "secret.whl",
        "relative.whl": "../../outside/secret.whl",
        "folder": outside,
        "lock.whl": "../.pypimirror/lock",
        "circle.whl": "circle.whl",
        "nowhere.whl": "nothing",
        "page.whl": "../simple/a/index.html",
        "other.whl": "plain_thing-1.1-py3-none-any.whl",
    }
    for name, goal in planted.items():
        (packages / name).symlink_to(goal)
    (tree / ".pypimirror" / "current" / "simple" / "evil").symlink_to(outside)
    (tree / "out").symlink_to(outside)
    os.mkfifo(packages / "pipe.whl")
    asked = [f"/packages/{name}" for name in [*planted, "pipe.whl", "folder/secret.whl"]]
    with running(tree) as server:
        for path in [*asked, "/simple/evil/", "/simple/evil/index.html", "/out/secret.whl", "/out/"]:
            status, body = get(server, path)
            assert status == 404, path
            assert b"secret" not in body
        assert get(server, "/simple/plain-thing/")[0] == 200


def test_what_may_not_be_read_is_forbidden_and_not_a_crash(tree: Path) -> None:
    page = tree / "packages" / "private.whl"
    page.write_bytes(b"x")
    page.chmod(0)
    if os.access(page, os.R_OK):
        pytest.skip("root reads everything")
    with running(tree) as server:
        assert get(server, "/packages/private.whl")[0] == 403


def test_a_tree_behind_a_link_follows_the_link_whenever_it_is_asked(tree: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tree)
    render(tmp_path / "other", bundle(fake("other-1.0-py3-none-any.whl")))
    with running(link) as server:
        assert get(server, "/simple/other/")[0] == 404
        link.unlink()
        link.symlink_to(tmp_path / "other")
        assert get(server, "/simple/other/")[0] == 200


def test_an_answer_is_made_of_one_file_whatever_is_published_meanwhile(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    old, new = b"o" * 20_000_000, b"n" * 10
    render(tree, bundle(fake("a-1.0-py3-none-any.whl")), plain=True)
    path = tree / "packages" / "big.whl"
    path.write_bytes(old)
    with running(tree) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        with closing(connection):
            connection.request("GET", "/packages/big.whl")
            answer = connection.getresponse()
            first = answer.read(1000)
            (tree / "new").write_bytes(new)
            (tree / "new").replace(path)
            assert first + answer.read() == old
        assert get(server, "/packages/big.whl") == (200, new)


def test_a_file_that_is_cut_short_breaks_the_connection(tree: Path) -> None:
    path = tree / "packages" / "big.whl"
    path.write_bytes(b"x" * 30_000_000)
    with running(tree) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        with closing(connection):
            connection.request("GET", "/packages/big.whl")
            answer = connection.getresponse()
            answer.read(1000)
            os.truncate(path, 20_000_000)
            with pytest.raises(http.client.IncompleteRead):
                answer.read()


def test_no_reader_meets_a_hole_while_bundles_are_published(tmp_path: Path) -> None:
    """Three readers, forty generations: always whole, always an answer, time and bytes always of one page."""
    tree = tmp_path / "tree"
    render(tree, bundle(fake("a-1.0-py3-none-any.whl"), sequence=1_790_000_000), now=NOW)
    over = threading.Event()
    faults: list[str] = []
    answers: list[int] = []

    def read(server: TreeServer, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        with closing(connection):
            while not over.is_set():
                for path in ("/simple/a/", "/simple/", "/manifest.json", "/packages/index.html"):
                    connection.request("GET", path, headers={"Accept": JSON_PAGE})
                    answer = connection.getresponse()
                    body = answer.read()
                    answers.append(answer.status)
                    if answer.status != 200 or (path == "/simple/a/" and not json.loads(body)["files"]):
                        faults.append(f"{number} {path} {answer.status} {body[:200]!r}")

    with running(tree) as server:
        readers = [threading.Thread(target=read, args=(server, number)) for number in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(1, 41):
                more = fake(f"a-{number}.5-py3-none-any.whl")
                render(tree, bundle(more, sequence=1_790_000_000 + number), now=NOW + number)
        finally:
            over.set()
            for reader in readers:
                reader.join()
    assert faults == []
    assert len(answers) > 100


def test_a_file_that_a_render_took_away_is_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between finding where a page lies and opening it, three generations are published: the found one is gone."""
    tree = tmp_path / "tree"
    render(tree, bundle(fake("a-1.0-py3-none-any.whl"), sequence=1_790_000_000))
    find = os.path.realpath
    rendered: list[str] = []

    def find_slowly(path: str, **options: bool) -> str:
        found = find(path, **options)
        if str(path).endswith("index.json") and not rendered:
            rendered.append(path)
            for number in range(1, 4):
                more = fake(f"a-{number}.5-py3-none-any.whl")
                render(tree, bundle(more, sequence=1_790_000_000 + number), now=NOW + number)
        return found

    with running(tree) as server:
        monkeypatch.setattr(os.path, "realpath", find_slowly)
        status, body = get(server, "/simple/a/", Accept=JSON_PAGE)
    assert rendered
    assert status == 200
    assert b"a-3.5" in body


def test_pages_at_one_address_have_tags_of_their_own(tmp_path: Path) -> None:
    """One time and one size: a cache that holds the HTML page must not take it for the JSON page."""
    tree = tmp_path / "tree"
    render(tree, bundle(fake("a-1.0-py3-none-any.whl")), plain=True)
    for name in ("index.html", "index.json"):
        (tree / "simple" / "a" / name).write_bytes(name.encode())
        os.utime(tree / "simple" / "a" / name, (1, 1))
    with running(tree) as server:
        tags = set()
        for kind in (JSON_PAGE, "text/html"):
            said = talk(server, b"GET /simple/a/ HTTP/1.0\r\nAccept: %s\r\n\r\n" % kind.encode())
            tags.add(said.partition(b"ETag: ")[2].partition(b"\r\n")[0])
    assert len(tags) == 2


# ---- starting -------------------------------------------------------------------------------------------------------


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.tar").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("file.tar", "folder", "nothing"):
        with pytest.raises(UsageFault) as caught, open_server(tmp_path / name, host="127.0.0.1", port=0):
            pass
        assert caught.value.code == "not-a-tree"
        assert "render" in caught.value.hint


def test_a_tree_where_nothing_is_published_yet_is_told(tmp_path: Path) -> None:
    Layout(tmp_path).mark.mkdir()
    with pytest.raises(Incomplete) as caught, open_server(tmp_path, host="127.0.0.1", port=0):
        pass
    assert (caught.value.code, caught.value.exit_code) == ("not-published", 1)


@pytest.mark.parametrize(
    ("host", "port", "code"),
    [
        ("127.0.0.1", None, "port-taken"),
        ("198.51.100.77", 0, "no-such-address"),
        ("no such host", 0, "no-such-address"),
        ("a" * 70, 0, "no-such-address"),
    ],
)
def test_a_place_that_can_not_be_had_is_told(tree: Path, host: str, port: int | None, code: str) -> None:
    with running(tree) as first, pytest.raises(PypimirrorError) as caught:
        open_server(tree, host=host, port=first.server_port if port is None else port)
    assert caught.value.code == code
    assert "--port" in caught.value.hint or "--host" in caught.value.hint


def test_it_listens_on_ipv6_as_well(tree: Path) -> None:
    try:
        server = open_server(tree, host="::1", port=0)
    except UsageFault:
        pytest.skip("no IPv6 here")
    with server:
        assert server.url == f"http://[::1]:{server.server_port}/"
        assert server.is_loopback
        assert not server.is_wildcard


def test_each_request_is_told_on_one_line_that_no_client_can_break(tree: Path) -> None:
    told: list[str] = []
    with running(tree, told.append) as server:
        talk(server, b"GET /\x1b[31m\x07\xff\x7f\x9b HTTP/1.1\r\nConnection: close\r\n\r\n")
        talk(server, b"GET http://user:s3cret@x/?token=s3cret HTTP/1.1\r\nConnection: close\r\n\r\n")
        talk(server, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n")
        get(server, "/simple/plain-thing/")
    assert len(told) == 4
    assert all(line.isascii() and line.isprintable() and len(line) < 400 for line in told)
    assert "s3cret" not in "".join(told)
    size = (tree / "simple" / "plain-thing" / "index.html").stat().st_size
    assert told[3] == f"127.0.0.1 200 {size} GET /simple/plain-thing/ HTTP/1.1"


def test_the_server_needs_none_of_the_libraries(tree: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('httpx', 'httpcore', 'resolvelib', 'jinja2', 'rich', 'pip'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from pypimirror.tree.server import open_server\n"
        f"with open_server(Path({str(tree)!r}), host='127.0.0.1', port=0) as server: print(server.url)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("http://127.0.0.1:")
