"""What is spoken on the wire, against servers that answer what they like; and the ways through proxies."""

from __future__ import annotations

import base64
import contextlib
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from pypimirror.errors import IndexFault
from pypimirror.net import wire
from pypimirror.net.client import Client, Limits, WireFault
from pypimirror.net.gates import Gate
from tests.fakes import server as fake
from tests.fakes.server import Body, FakeServer
from tests.net.helpers import QUICK, settings_for
from tests.worlds import environment

Talk = Callable[[socket.socket], None]
HOSTS = frozenset({"index.example", "127.0.0.1"})


@contextlib.contextmanager
def serving(talk: Talk, *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that hands each connection to *talk*; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            if tls is None:
                talk(connection)
                return
            with tls.wrap_socket(connection, server_side=True) as spoken:
                talk(spoken)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=one, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for each in threads:
            each.join(5)


def head_of(connection: socket.socket) -> bytes:
    """A request's head; empty at the end."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return b""
        data += piece
    return data


def answering(*answers: bytes) -> Talk:
    """Each request of a connection gets the next answer; after the last one the connection is closed."""

    def talk(connection: socket.socket) -> None:
        for answer in answers:
            if not head_of(connection):
                return
            connection.sendall(answer)

    return talk


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\nContent-Length:5  \n\nhello",
        b"HTTP/1.0 200\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n003\r\nllo\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nX-Odd: \xe9\xff\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_an_answer_is_read_however_it_is_framed(answer: bytes) -> None:
    with serving(answering(answer)) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        assert client.get(f"http://127.0.0.1:{port}/x", limit=100).body == b"hello"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "ended before the whole answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "ended before the whole answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "not valid HTTP"),
        (b"HTTP/2 200\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, "not valid HTTP"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 100, "closed the connection without an answer"),
    ],
)
def test_an_answer_that_breaks_the_rules_is_told_in_one_line(answer: bytes, cause: str) -> None:
    with (
        serving(answering(answer)) as port,
        Client(settings_for(retries=0), limits=QUICK) as client,
        pytest.raises(IndexFault) as caught,
    ):
        client.get(f"http://127.0.0.1:{port}/x", limit=100)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_and_costs_no_try() -> None:
    connections: list[int] = []

    def talk(connection: socket.socket) -> None:
        connections.append(1)
        answering(OK, b"")(connection)  # the second request of a connection is never answered

    with serving(talk) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        for _ in range(3):
            assert client.get(f"http://127.0.0.1:{port}/x", limit=100).body == b"hello"
    assert len(connections) == 3


def test_a_connection_is_used_again_after_every_kind_of_whole_answer() -> None:
    unchanged = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    connections: list[int] = []

    def talk(connection: socket.socket) -> None:
        connections.append(1)
        answering(CHUNKED, unchanged, empty, OK)(connection)

    with serving(talk) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        bodies = [client.get(f"http://127.0.0.1:{port}/x", limit=100).body for _ in range(4)]
    assert (bodies, len(connections)) == ([b"hello", b"", b"", b"hello"], 1)


def test_a_request_holds_nothing_that_would_end_its_lines() -> None:
    with serving(answering(OK)) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        odd: list[dict[str, str]] = [{"A": "b\r\nC: d"}, {"A": "b\0"}, {"A": "b\nc"}, {"A\r\nB": "c"}, {"A": "\u00e9"}]
        for path, headers in (("/a\r\nX: 1", {}), *(("/", fields) for fields in odd)):
            with pytest.raises(IndexFault) as caught:
                client.get(f"http://127.0.0.1:{port}{path}", limit=9, headers=headers)
            assert "\n" not in str(caught.value)


def test_httpx_is_not_imported_before_something_is_asked() -> None:
    program = (
        "import sys, pypimirror.cli.bundle, pypimirror.connected\n"
        "from pypimirror.net.client import Client\n"
        "from tests.net.helpers import settings_for\n"
        "with Client(settings_for()): pass\n"
        "sys.exit(any(name in sys.modules for name in ('httpx', 'httpcore', 'h11')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_neither_httpx_nor_httpcore_is_imported_for_what_is_plain() -> None:
    program = (
        "import sys\n"
        "from pypimirror.net.client import Client\n"
        "from tests.fakes.server import Body, FakeServer\n"
        "from tests.net.helpers import settings_for\n"
        "with FakeServer() as server, Client(settings_for()) as client:\n"
        "    server.pages['/x'] = Body(data=b'fine')\n"
        "    assert client.get(server.url + '/x', limit=9).body == b'fine'\n"
        "sys.exit(any(name in sys.modules for name in ('httpx', 'httpcore', 'h11')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("answer", [OK, CHUNKED])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_connection_with_more_on_it_than_was_asked_for_is_not_used_again(
    certificate: ssl.SSLContext, answer: bytes, pause: float, *, secure: bool
) -> None:
    connections: list[int] = []

    def talk(connection: socket.socket) -> None:
        connections.append(1)
        while head_of(connection):
            head, end, body = answer.partition(b"\r\n\r\n")
            if pause:
                connection.sendall(head + end)
                time.sleep(pause)
                head = end = b""
            connection.sendall(head + end + body + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    with (
        serving(talk, tls=certificate if secure else None) as port,
        Client(settings_for(retries=0, trusted_hosts=HOSTS), limits=QUICK) as client,
    ):
        url = f"{'https' if secure else 'http'}://127.0.0.1:{port}/x"
        assert [client.get(url, limit=100).body for _ in range(3)] == [b"hello"] * 3
    assert len(connections) == 3


def test_a_connection_is_not_used_again_where_the_server_says_so() -> None:
    connections: list[int] = []

    def talk(connection: socket.socket) -> None:
        connections.append(1)
        answering(*[b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"] * 2)(connection)

    with serving(talk) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        assert [client.get(f"http://127.0.0.1:{port}/x", limit=100).body for _ in range(2)] == [b"hello"] * 2
    assert len(connections) == 2


def test_what_breaks_off_after_its_first_byte_was_an_answer_and_counts_as_a_try() -> None:
    asked: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        asked.append(head_of(connection))
        connection.sendall(OK)
        asked.append(head_of(connection))
        connection.sendall(b"H")

    with serving(talk) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        client.get(f"http://127.0.0.1:{port}/1", limit=100)
        with pytest.raises(IndexFault, match="closed the connection without an answer"):
            client.get(f"http://127.0.0.1:{port}/2", limit=100)
    assert len(asked) == 2


def test_a_server_may_answer_a_request_that_it_does_not_want_to_read() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 414 Too long\r\nContent-Length: 5\r\n\r\nhello")
        connection.shutdown(socket.SHUT_WR)
        head_of(connection)

    with serving(talk) as port, Client(settings_for(retries=0), limits=QUICK) as client:
        answer = client.get(f"http://127.0.0.1:{port}/x", limit=100)
    assert (answer.status, answer.body) == (414, b"hello")


def test_addresses_are_written_as_httpx_writes_them() -> None:
    parts = ["//", "/.", "/./", "/../", "%2F", "%2f", "%zz", "%C3%A9", "\u00e9", *map(chr, range(0x20, 0x7F))]
    chance = random.Random(5)  # noqa: S311 - the same each time
    plain = 0
    for _ in range(3000):
        host = chance.choice(
            ["index.example", "Index.Example:80", "index.example:8080", "me:x@index.example", "[::1]:1"]
        )
        url = f"http://{host}/" + "".join(chance.choices(parts, k=chance.randrange(9)))
        plain += wire._PLAIN.fullmatch(url) is not None
        try:
            expected = httpx.URL(url).raw_path.decode()
        except httpx.InvalidURL:
            with pytest.raises(WireFault):
                wire._address(url)
            continue
        scheme, place, target = wire._address(url)
        assert (scheme, place, target) == ("http", host.rpartition("@")[2].lower(), expected), url
    assert plain > 300


@pytest.mark.parametrize("place", ["index.example", "index.example:80", "index.example:8080", "INDEX.example"])
def test_a_request_names_its_host_without_the_usual_port(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(head_of(connection))
        connection.sendall(OK)

    connect = socket.socket.connect_ex
    look_up = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))]
    with serving(talk) as port:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: look_up)
        monkeypatch.setattr(socket.socket, "connect_ex", lambda self, _: connect(self, ("127.0.0.1", port)))
        with Client(settings_for(trusted_hosts=HOSTS), limits=QUICK) as client:
            client.get(f"http://{place}/x", limit=10)
    assert seen[0].split(b"\r\n")[1] == b"Host: " + place.lower().removesuffix(":80").encode()


def test_a_body_that_breaks_off_in_a_forged_record_has_not_ended(certificate: ssl.SSLContext) -> None:
    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")  # without a length: the end is the end
        time.sleep(0.1)
        connection.sendall(bytes(50_000))
        socket.socket.sendall(connection, b"\x17\x03\x03\x00\x20" + bytes(32))  # past TLS: a record of nobody's

    with serving(talk, tls=certificate) as port, Client(settings_for(trusted_hosts=HOSTS)) as client:
        url = f"https://127.0.0.1:{port}/x"
        with client.stream(url, attempts=client.attempts(url)) as stream:
            time.sleep(0.3)  # all of it is there
            with pytest.raises(WireFault, match="TLS failed"):
                list(stream.pieces)


def test_an_address_is_quoted_where_it_must_be() -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(head_of(connection).partition(b"\r\n")[0])
        connection.sendall(OK)

    with serving(talk) as port, Client(settings_for(), limits=QUICK) as client:
        client.get(f"http://127.0.0.1:{port}/a b/\u00e9%20?q=\u00fc x", limit=10)
    assert seen == [b"GET /a%20b/%C3%A9%20?q=%C3%BC%20x HTTP/1.1"]


def test_who_waits_at_a_gate_is_let_in_as_soon_as_another_leaves() -> None:
    gate = Gate(1)
    gate.enter(lambda: None)
    looks: list[float] = []
    thread = threading.Thread(target=gate.enter, args=(lambda: looks.append(time.monotonic()),))
    thread.start()
    while not looks:
        time.sleep(0.01)
    gate.leave()
    thread.join(0.1)  # of the 0.2 seconds to the next look
    assert not thread.is_alive()


def test_a_host_that_says_too_many_is_asked_for_less_at_a_time_and_slowly_for_more_again() -> None:
    gate = Gate(16)
    for _ in range(3):
        gate.heard(429)
    assert gate._width == 2
    for _ in range(32 * 3):
        gate.heard(200)
    assert gate._width == 5
    for _ in range(10):
        gate.heard(503)
    assert gate._width == 1


# ---- proxies --------------------------------------------------------------------------------------------------------


def pump(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=copy, args=(other, one), daemon=True)
    thread.start()
    copy(one, other)
    thread.join(5)


def connecting(seen: list[bytes], port: int) -> Talk:
    """An HTTP proxy that connects to *port* whatever it is asked for."""

    def talk(connection: socket.socket) -> None:
        seen.append(head_of(connection))
        with socket.create_connection(("127.0.0.1", port)) as other:
            connection.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
            pump(connection, other)

    return talk


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data)) or b"\0"
    return data


def socks(seen: list[bytes], port: int) -> Talk:
    """A SOCKS 5 proxy that wants the user ``me`` with ``secret``, and connects to *port*."""

    def talk(connection: socket.socket) -> None:
        methods = exactly(connection, exactly(connection, 2)[1])
        connection.sendall(b"\x05\x02" if 2 in methods else b"\x05\xff")
        user = exactly(connection, exactly(connection, 2)[1])
        password = exactly(connection, exactly(connection, 1)[0])
        connection.sendall(b"\x01\x00" if (user, password) == (b"me", b"secret") else b"\x01\x01")
        kind = exactly(connection, 4)[3]
        seen.append(exactly(connection, exactly(connection, 1)[0] if kind == 3 else 4))
        exactly(connection, 2)
        with socket.create_connection(("127.0.0.1", port)) as other:
            connection.sendall(b"\x05\x00\x00\x03\x04abcd\x00\x00")
            pump(connection, other)

    return talk


def unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_https_goes_through_a_tunnel_that_knows_who_asks(certificate: ssl.SSLContext) -> None:
    seen: list[bytes] = []
    with FakeServer(tls=certificate) as server:
        server.pages["/x"] = Body(data=b"fine")
        with (
            serving(connecting(seen, int(server.url.rpartition(":")[2]))) as port,
            Client(settings_for(proxy=f"http://me:secret@127.0.0.1:{port}", trusted_hosts=HOSTS)) as client,
        ):
            assert [client.get("https://index.example/x", limit=9).body for _ in range(2)] == [b"fine"] * 2
    token = base64.b64encode(b"me:secret").decode()
    place = "index.example:443"
    head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nAccept: */*\r\nProxy-Authorization: Basic {token}\r\n\r\n"
    assert seen == [head.encode()]
    assert "proxy-authorization" not in server.requests[0].headers


def test_tls_goes_inside_tls_where_the_proxy_speaks_it(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pypimirror.net.client.ssl_context", lambda *_, **__: unchecked())
    seen: list[bytes] = []
    with FakeServer(tls=certificate) as server:
        server.pages["/x"] = Body(data=b"fine" * 100_000)
        with (
            serving(connecting(seen, int(server.url.rpartition(":")[2])), tls=certificate) as port,
            Client(settings_for(proxy=f"https://127.0.0.1:{port}")) as client,
        ):
            for _ in range(2):
                assert client.get("https://index.example/x", limit=1 << 20).body == b"fine" * 100_000
    assert len(seen) == 1


def test_a_proxy_that_speaks_tls_and_says_nothing_is_given_up(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pypimirror.net.client.ssl_context", lambda *_, **__: unchecked())
    with (
        serving(answering(b""), tls=certificate) as port,
        Client(settings_for(proxy=f"https://127.0.0.1:{port}", retries=0)) as client,
        pytest.raises(IndexFault, match="closed the connection without an answer"),
    ):
        client.get("https://index.example/x", limit=9)


WITHOUT_SOCKSIO = """
import sys
sys.modules["socksio"] = None
from tests.net.helpers import settings_for
from pypimirror.errors import IndexFault
from pypimirror.net.client import Client
with Client(settings_for(proxy="socks5://127.0.0.1:9")) as client:
    try:
        client.get("https://index.example/x", limit=9)
    except IndexFault as fault:
        print(fault, fault.hint)
"""


def test_a_socks_proxy_without_the_package_for_it_is_told(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_SOCKSIO], env=environment(tmp_path), capture_output=True, text=True, check=True
    ).stdout
    assert "wants the package socksio" in told
    assert "pip install socksio" in told


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_socks_proxy_is_asked_to_find_the_host(certificate: ssl.SSLContext, scheme: str) -> None:
    seen: list[bytes] = []
    with FakeServer(tls=certificate if scheme == "https" else None) as server:
        server.pages["/x"] = Body(data=b"fine")
        with serving(socks(seen, int(server.url.rpartition(":")[2]))) as port:
            with Client(settings_for(proxy=f"socks5h://me:secret@127.0.0.1:{port}", trusted_hosts=HOSTS)) as client:
                assert client.get(f"{scheme}://index.example/x", limit=9).body == b"fine"
            with (
                Client(settings_for(proxy=f"socks5://me:wrong@127.0.0.1:{port}", trusted_hosts=HOSTS)) as client,
                pytest.raises(IndexFault, match="the proxy refused: Invalid username/password") as caught,
            ):
                client.get(f"{scheme}://index.example/x", limit=9)
    assert seen[0] == b"index.example"
    assert "wrong" not in str(caught.value)


def test_a_proxy_that_refuses_is_told() -> None:
    with (
        serving(answering(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")) as port,
        Client(settings_for(proxy=f"http://127.0.0.1:{port}", retries=0)) as client,
        pytest.raises(IndexFault, match="the proxy refused: 407 Who are you"),
    ):
        client.get("https://index.example/x", limit=9)


def test_plain_http_goes_to_the_proxy_as_a_whole_address_with_the_login_over_one_connection() -> None:
    connections: list[list[bytes]] = []

    def talk(connection: socket.socket) -> None:
        connections.append([])
        while head := head_of(connection):
            connections[-1].append(head)
            connection.sendall(OK)

    with serving(talk) as port:
        settings = settings_for(proxy=f"me:s%40t@127.0.0.1:{port}", trusted_hosts=HOSTS, retries=0)
        with Client(settings, limits=QUICK) as client:
            for _ in range(2):
                assert client.get("http://index.example:8080/x?y", limit=9).body == b"hello"
    ((first, second),) = connections
    assert first == second
    assert first.startswith(b"GET http://index.example:8080/x?y HTTP/1.1\r\nHost: index.example:8080\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:s@t") + b"\r\n" in first


@pytest.mark.parametrize("said", [b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n", b"HTTP/1.1 204\n\n", b"HTTP/1.1 200 \r\n\r\n"])
def test_a_tunnel_opens_however_a_proxy_says_so(certificate: ssl.SSLContext, said: bytes) -> None:
    with FakeServer(tls=certificate) as server:
        server.pages["/x"] = Body(data=b"fine")

        def talk(connection: socket.socket) -> None:
            head_of(connection)
            with socket.create_connection(("127.0.0.1", server.port)) as other:
                for byte in said:
                    connection.sendall(bytes([byte]))
                pump(connection, other)

        with serving(talk) as port:
            settings = settings_for(proxy=f"http://127.0.0.1:{port}", trusted_hosts=HOSTS, retries=0)
            with Client(settings, limits=QUICK) as client:
                assert client.get("https://index.example/x", limit=9).body == b"fine"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, "not valid HTTP"),
        (b"HTTP/1.1 502 \xff\x1bhttp://a:b@c/\r\n\r\n", "the proxy refused: 502 http://****@c/"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://index.example/\r\n\r\n", "the proxy refused: 302 Found"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_told_in_one_line(said: bytes, cause: str) -> None:
    with serving(answering(said)) as port:
        settings = settings_for(proxy=f"http://127.0.0.1:{port}", retries=0)
        with Client(settings, limits=QUICK) as client, pytest.raises(IndexFault) as caught:
            client.get("https://index.example/x", limit=9)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["http://", "ftp://127.0.0.1:9", "http://[::1", "http://127.0.0.1:port"])
def test_what_is_no_proxy_is_told(proxy: str) -> None:
    with Client(settings_for(proxy=proxy, retries=0), limits=QUICK) as client, pytest.raises(IndexFault) as caught:
        client.get("https://index.example/x", limit=9)
    assert caught.value.code == "unreachable"


def test_limits_hold_for_what_comes_through_a_tunnel(certificate: ssl.SSLContext) -> None:
    with FakeServer(tls=certificate) as server:
        server.faults.append(fake.silence("/x"))
        with serving(connecting([], int(server.url.rpartition(":")[2])), tls=certificate) as port:
            quick = Limits(backoff=0.01, longest_backoff=0.05)
            trusted = settings_for(proxy=f"http://127.0.0.1:{port}", timeout=0.3, retries=0, trusted_hosts=HOSTS)
            with Client(trusted, limits=quick) as client, pytest.raises(IndexFault):
                client.get("https://index.example/x", limit=9)
