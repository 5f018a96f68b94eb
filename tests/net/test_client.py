from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from pypimirror.errors import IndexFault
from pypimirror.net.client import Client, Limits, Stopped
from pypimirror.net.credentials import Credentials
from pypimirror.net.retry import retry_after
from pypimirror.net.settings import Settings
from pypimirror.reporting import Reporter
from tests.fakes import server as fake
from tests.fakes.server import Body, FakeServer

QUICK = Limits(backoff=0.01, longest_backoff=0.05)
IMPATIENT = Limits(backoff=0.01, longest_backoff=0.05, slow_window=0.5)
SECRET = "hunter2-canary"  # noqa: S105 - a canary


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def settings(**changes: object) -> Settings:
    base: dict[str, object] = {"sources": (), "credentials": Credentials(environ={}), "timeout": 1.0, "retries": 2}
    return Settings(**{**base, **changes})  # type: ignore[arg-type]  # the tests' own keywords


def fault_of(client: Client, url: str, *, limit: int = 1 << 20) -> IndexFault:
    with pytest.raises(IndexFault) as caught:
        client.get(url, limit=limit)
    return caught.value


class Recorder(Reporter):
    def __init__(self) -> None:
        self.retries: list[str] = []

    def retrying(self, *, what: str, reason: str, attempt: int, wait: float) -> None:
        self.retries.append(f"{what}|{reason}|{attempt}|{wait >= 0}")


class TestAnswers:
    def test_a_page_is_read_and_the_connection_used_again(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"hello", content_type="text/plain")
        with Client(settings(), limits=QUICK) as client:
            answers = [client.get(f"{server.url}/x", limit=100, accept="text/plain") for _ in range(3)]
        answer = answers[-1]
        assert (answer.status, answer.body, answer.content_type) == (200, b"hello", "text/plain")
        assert answer.url == f"{server.url}/x"
        assert {seen.headers["accept"] for seen in server.requests} == {"text/plain"}

    def test_what_is_not_there_is_an_answer(self, server: FakeServer) -> None:
        with Client(settings(), limits=QUICK) as client:
            assert client.get(f"{server.url}/nothing", limit=100).status == 404
        assert len(server.requests) == 1

    def test_gzip_is_undone(self, server: FakeServer) -> None:
        server.compress = True
        server.pages["/x"] = Body(data=b"abc" * 100_000)
        with Client(settings(), limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=1 << 20).body == b"abc" * 100_000

    @pytest.mark.parametrize("limit", [1 << 12, 1 << 20])
    def test_gzip_that_ends_early_or_lies_about_its_size_is_refused(self, server: FakeServer, limit: int) -> None:
        packed = gzip.compress(b"abcdefg" * 100)
        for damaged in (b"", packed[:-9], packed[:-1], packed[:-4] + b"\xff\xff\xff\xff", packed[:20]):
            server.pages["/x"] = Body(data=damaged, headers={"Content-Encoding": "gzip"})
            with Client(settings(), limits=QUICK) as client:
                assert fault_of(client, f"{server.url}/x", limit=limit).code == "bad-encoding"

    @pytest.mark.parametrize("level", [0, 9])
    @pytest.mark.parametrize("size", [0, 1, 1000, 3_000_000])
    def test_gzip_may_be_as_large_as_the_cap_and_no_larger(self, server: FakeServer, size: int, level: int) -> None:
        server.pages["/x"] = Body(data=gzip.compress(bytes(size), level), headers={"Content-Encoding": "gzip"})
        with Client(settings(), limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=size).body == bytes(size)
            if size:
                assert fault_of(client, f"{server.url}/x", limit=size - 1).code == "too-large"

    def test_a_range_is_had_or_the_status_tells_that_not(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=bytes(range(100)))
        with Client(settings(), limits=QUICK) as client:
            assert client.range(f"{server.url}/x", suffix=3).body == bytes([97, 98, 99])
            assert client.range(f"{server.url}/x", start=5, end=7).body == bytes([5, 6])
            assert client.range(f"{server.url}/x", start=500, end=700).status == 416
            server.ranges = False
            assert client.range(f"{server.url}/x", suffix=3).status == 200

    def test_no_more_than_the_allowed_connections_are_open_at_once(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"1")
        server.latency = 0.1
        with Client(settings(), limits=Limits(connections=2)) as client:
            begun = time.monotonic()
            threads = [
                threading.Thread(target=client.get, args=(f"{server.url}/x",), kwargs={"limit": 9}) for _ in range(6)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert time.monotonic() - begun >= 0.3


class TestLimits:
    def test_a_gzip_bomb_is_given_up_at_the_cap(self, server: FakeServer) -> None:
        server.faults.append(fake.bomb("/x", size=64 << 20))
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "too-large"

    def test_an_endless_page_is_given_up_at_the_cap(self, server: FakeServer) -> None:
        server.faults.append(fake.endless("/x"))
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "too-large"

    @pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd"])
    def test_an_encoding_that_was_not_asked_for_is_refused(self, server: FakeServer, coding: str) -> None:
        server.pages["/x"] = Body(data=b"abc", headers={"Content-Encoding": coding})
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "bad-encoding"

    def test_broken_gzip_is_named(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"this is no gzip", headers={"Content-Encoding": "gzip"})
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "bad-encoding"

    def test_a_slow_loris_in_the_body_is_given_up(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"abc" * 1000)
        server.faults.append(fake.slow("/x", pause=0.05))
        begun = time.monotonic()
        with Client(settings(retries=0), limits=IMPATIENT) as client:
            fault = fault_of(client, f"{server.url}/x")
        assert fault.code == "too-slow"
        assert "below 1024 bytes a second for 0.5 seconds" in str(fault)
        assert time.monotonic() - begun < 5

    def test_a_slow_loris_in_the_head_is_given_up(self) -> None:
        def serve(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 100:
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.05)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            with Client(settings(retries=0), limits=IMPATIENT) as client:
                fault = fault_of(client, f"http://127.0.0.1:{listener.getsockname()[1]}/x")
            thread.join()
        assert fault.code == "too-slow"

    def test_a_tls_handshake_that_never_comes_is_given_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            begun = time.monotonic()
            with Client(settings(retries=0, timeout=0.5), limits=Limits()) as client:
                fault = fault_of(client, f"https://127.0.0.1:{listener.getsockname()[1]}/x")
        assert fault.code == "unreachable"
        assert time.monotonic() - begun < 3

    def test_silence_is_given_up_after_the_timeout(self, server: FakeServer) -> None:
        server.faults.append(fake.silence("/x"))
        with Client(settings(retries=0, timeout=0.3), limits=Limits()) as client:
            assert str(fault_of(client, f"{server.url}/x")).endswith("no answer in time (1 try)")


class TestRetries:
    @pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
    def test_passing_trouble_is_tried_again(self, server: FakeServer, code: int) -> None:
        server.pages["/x"] = Body(data=b"fine")
        server.faults.append(fake.status("/x", code, times=2))
        reporter = Recorder()
        with Client(settings(), reporter=reporter, limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=100).body == b"fine"
        place = f"127.0.0.1:{server.port}/x"
        assert reporter.retries == [f"{place}|answered {code}|1|True", f"{place}|answered {code}|2|True"]

    def test_trouble_that_stays_is_told_with_the_number_of_tries(self, server: FakeServer) -> None:
        server.faults.append(fake.status("/x", 503, times=None))
        with Client(settings(retries=4), limits=QUICK) as client:
            fault = fault_of(client, f"{server.url}/x")
        assert (fault.code, str(fault)) == ("server-error", f"127.0.0.1:{server.port}/x: answered 503 (5 tries)")
        assert len(server.requests) == 5

    def test_a_reset_connection_is_tried_again(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"fine" * 100)
        server.faults += [fake.reset("/x"), fake.reset("/x", after=20)]
        with Client(settings(), limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=1000).body == b"fine" * 100

    def test_a_page_cut_short_is_fetched_again(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"fine" * 100)
        server.faults.append(fake.cut("/x", after=10))
        with Client(settings(), limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=1000).body == b"fine" * 100

    def test_retry_after_is_honoured(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"fine")
        server.faults.append(fake.status("/x", 429, headers={"Retry-After": "1"}))
        begun = time.monotonic()
        with Client(settings(), limits=QUICK) as client:
            client.get(f"{server.url}/x", limit=100)
        assert time.monotonic() - begun >= 1.0

    def test_an_absurd_retry_after_ends_the_run_and_names_the_time(self, server: FakeServer) -> None:
        server.faults.append(fake.status("/x", 429, headers={"Retry-After": "86400"}))
        with Client(settings(), limits=QUICK) as client:
            fault = fault_of(client, f"{server.url}/x")
        day = datetime.now(timezone.utc) + timedelta(days=1)
        assert fault.code == "too-many-requests"
        assert f"come back after {day:%Y-%m-%d %H:}" in str(fault)
        assert len(server.requests) == 1

    def test_what_retry_after_may_say(self) -> None:
        now = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
        assert retry_after("120", now) == 120
        assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
        assert retry_after(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
        assert retry_after("9" * 5000, now) == 1e9
        for junk in (None, "", "soon", "-5", "1.5", "²", "Xxx, 99 Yyy"):
            assert retry_after(junk, now) is None

    def test_a_dead_host_is_found_dead_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with Client(settings(), limits=QUICK) as client:
            first = fault_of(client, f"http://127.0.0.1:{port}/a")
            begun = time.monotonic()
            rest = {str(fault_of(client, f"http://127.0.0.1:{port}/{number}")) for number in range(400)}
        assert time.monotonic() - begun < 1
        assert rest == {str(first)} == {f"127.0.0.1:{port}: connection refused (3 tries)"}
        assert first.code == "unreachable"

    def test_a_name_that_does_not_exist_is_told_in_one_line(self) -> None:
        with Client(settings(retries=0, trusted_hosts=frozenset({"nowhere.invalid"})), limits=QUICK) as client:
            assert "can't be resolved" in str(fault_of(client, "http://nowhere.invalid/x"))

    def test_a_proxy_that_is_down_is_named_without_its_password(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        proxy = f"http://someone:{SECRET}@127.0.0.1:{port}"
        with Client(settings(retries=0, proxy=proxy), limits=QUICK) as client:
            fault = fault_of(client, "https://index.example/x")
        assert f"the proxy 127.0.0.1:{port}: connection refused" in str(fault)
        assert SECRET not in f"{fault}{fault.hint}"

    def test_a_proxy_is_used(self, server: FakeServer) -> None:
        server.pages["/x"] = Body(data=b"through the proxy")
        hosts = frozenset({"index.example"})
        with Client(settings(proxy=server.url, trusted_hosts=hosts), limits=QUICK) as client:
            answer = client.get("http://index.example/x", limit=100)
        assert answer.body == b"through the proxy"
        assert server.requests[0].headers["host"] == "index.example"

    def test_the_variables_name_a_proxy_too(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        server.pages["/x"] = Body(data=b"through the proxy")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", server.url)
        with Client(settings(trusted_hosts=frozenset({"index.example"})), limits=QUICK) as client:
            assert client.get("http://index.example/x", limit=100).body == b"through the proxy"

    def test_no_http_at_all_is_not_tried_again(self) -> None:
        def serve(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
                connection.recv(1000)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            with Client(settings(), limits=QUICK) as client:
                fault = fault_of(client, f"http://127.0.0.1:{listener.getsockname()[1]}/x")
            thread.join()
        assert "not valid HTTP" in str(fault)


class TestRedirects:
    def test_a_redirect_is_followed_and_the_final_address_told(self, server: FakeServer) -> None:
        server.pages["/y"] = Body(data=b"here")
        server.faults.append(fake.redirect("/x", "/y#fragment"))
        with Client(settings(), limits=QUICK) as client:
            answer = client.get(f"{server.url}/x", limit=100)
        assert (answer.body, answer.url) == (b"here", f"{server.url}/y")

    def test_a_loop_ends_after_ten_hops(self, server: FakeServer) -> None:
        server.faults.append(fake.redirect("/x", "/x"))
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "redirect-loop"
        assert len(server.requests) == 11

    @pytest.mark.parametrize(
        "target", ["file:///etc/passwd", "ftp://files.example/x", "data:text/plain,x", "javascript:1"]
    )
    def test_a_redirect_to_another_scheme_is_refused(self, server: FakeServer, target: str) -> None:
        server.faults.append(fake.redirect("/x", target))
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "bad-redirect"

    def test_a_redirect_from_https_to_http_is_refused(self) -> None:
        with Client(settings(), limits=QUICK) as client, pytest.raises(IndexFault) as caught:
            client._may_follow("https://index.example/x", "http://127.0.0.1/x")
        assert caught.value.code == "bad-redirect"

    def test_a_redirect_to_plain_http_elsewhere_is_refused(self, server: FakeServer) -> None:
        server.faults.append(fake.redirect("/x", "http://files.example/x"))
        with Client(settings(), limits=QUICK) as client:
            assert fault_of(client, f"{server.url}/x").code == "untrusted-host"

    def test_plain_http_needs_trust(self) -> None:
        with Client(settings(), limits=QUICK) as client:
            fault = fault_of(client, f"http://user:{SECRET}@index.example/simple?token={SECRET}")
        assert fault.code == "untrusted-host"
        assert "--trusted-host index.example" in fault.hint
        assert SECRET not in f"{fault}{fault.hint}"


class TestCredentials:
    def login(self, url: str) -> Credentials:
        credentials = Credentials(environ={})
        credentials.split(url.replace("http://", f"http://someone:{SECRET}@"))
        return credentials

    def test_a_login_goes_to_its_origin(self, server: FakeServer) -> None:
        server.auth = ("someone", SECRET)
        server.pages["/x"] = Body(data=b"private")
        with Client(settings(credentials=self.login(server.url)), limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=100).body == b"private"
        assert len(server.requests) == 1

    def test_a_login_is_not_carried_to_another_origin(self, server: FakeServer) -> None:
        with FakeServer() as other:
            other.pages["/y"] = Body(data=b"public")
            server.faults.append(fake.redirect("/x", f"{other.url}/y"))
            with Client(settings(credentials=self.login(server.url)), limits=QUICK) as client:
                assert client.get(f"{server.url}/x", limit=100).body == b"public"
            assert "authorization" in server.requests[0].headers
            assert "authorization" not in other.requests[0].headers

    @pytest.mark.parametrize("code", [401, 403])
    def test_a_refusal_names_the_host_and_no_secret(self, server: FakeServer, code: int) -> None:
        server.faults.append(fake.status("/x", code, times=None))
        with Client(settings(credentials=self.login(server.url)), limits=QUICK) as client:
            fault = fault_of(client, f"{server.url}/x")
        assert fault.code == "needs-credentials"
        assert f"needs credentials for 127.0.0.1:{server.port}" in str(fault)
        assert SECRET not in f"{fault}{fault.hint}{fault!r}"
        assert len(server.requests) == 1

    def test_the_keyring_is_asked_once_after_a_refusal(self, server: FakeServer) -> None:
        asked: list[str] = []

        class Keyring(Credentials):
            def after_refusal(self, url: str, *, sent: tuple[str, str] | None = None) -> tuple[str, str] | None:
                assert sent is None
                asked.append(url)
                return ("someone", SECRET)

        server.auth = ("someone", SECRET)
        server.pages["/x"] = Body(data=b"private")
        with Client(settings(credentials=Keyring(environ={})), limits=QUICK) as client:
            assert client.get(f"{server.url}/x", limit=100).body == b"private"
            server.auth = ("someone", "else")
            assert fault_of(client, f"{server.url}/x").code == "needs-credentials"
        assert asked == [f"{server.url}/x"] * 2


class TestStopping:
    def test_every_wait_ends_at_once(self, server: FakeServer) -> None:
        server.pages["/body"] = Body(data=b"x" * 1000)
        server.faults += [
            fake.silence("/silence"),
            fake.status("/wait", 503, headers={"Retry-After": "60"}, times=None),
            fake.slow("/body", pause=0.1),
        ]
        ended: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            handshake = f"https://127.0.0.1:{listener.getsockname()[1]}/x"
            client = Client(settings(timeout=30.0), limits=Limits())

            def ask(url: str) -> None:
                try:
                    client.get(url, limit=10_000)
                except Stopped:
                    ended.append(url)

            urls = [f"{server.url}/silence", f"{server.url}/wait", f"{server.url}/body", handshake]
            threads = [threading.Thread(target=ask, args=(url,)) for url in urls]
            for thread in threads:
                thread.start()
            time.sleep(0.4)
            begun = time.monotonic()
            client.stop()
            for thread in threads:
                thread.join(3)
            assert time.monotonic() - begun < 1
        assert sorted(ended) == sorted(urls)
        with pytest.raises(Stopped):
            client.get(f"{server.url}/x", limit=10)
        client.__exit__(None, None, None)


class TestTls:
    def test_a_certificate_that_nobody_vouches_for_is_refused(self, certificate: ssl.SSLContext) -> None:
        with FakeServer(tls=certificate) as server, Client(settings(), limits=QUICK) as client:
            fault = fault_of(client, f"{server.url}/x")
            assert "certificate refused" in str(fault)
            assert "\n" not in str(fault)
            assert "--cert" in fault.hint
            assert server.requests == []

    def test_a_trusted_host_may_show_any_certificate(self, certificate: ssl.SSLContext) -> None:
        with FakeServer(tls=certificate) as server:
            server.pages["/x"] = Body(data=b"fine")
            with Client(settings(trusted_hosts=frozenset({"127.0.0.1"})), limits=QUICK) as client:
                assert client.get(f"{server.url}/x", limit=100).body == b"fine"
                assert client.get(f"{server.url}/x", limit=100).body == b"fine"
