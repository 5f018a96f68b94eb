"""The strict and narrow reading of answers, compared with h11's wherever ours reads anything at all."""

from __future__ import annotations

import random

import h11
import pytest

from pypimirror.net.heads import END, Chunks, Head, beginning, gathered, parsed

FIELDS = [
    b"Content-Length: 5", b"Content-Length: 0", b"content-length:7 ", b"Content-Length: -5", b"Content-Length: +5",
    b"Content-Length: 5, 5", b"Content-Length: 5\x0c", b"Transfer-Encoding: chunked", b"Transfer-Encoding: CHUNKED",
    b"transfer-encoding:  chunked\t", b"Transfer-Encoding: gzip, chunked", b"Connection: close",
    b"Connection: Close, x",
    b"X: y", b"X:", b"X:  a  b ", b"X : y", b" folded", b"\tfolded", b": empty", b"X-\xe9: y", b"X: \xe9\xff",
    b"X: \xc3\xa9", b"X: a\x0bb", b"X: a\x00b", b"X: a\rb", b"X: a\nb", b"X: \x7f", b"X: a\tb",
    b"no colon", b"X: \xa0a\xa0",
]  # fmt: skip
STARTS = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 404 Not found", b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 204 x", b"HTTP/1.1 100 Go on", b"HTTP/1.0 200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK",
    b"http/1.1 200 OK", b"HTTP/1.1 2000 OK", b"HTTP/2 200 OK", b"HTTP/1.1 500 a\x00", b"HTTP/1.1 600 x",
]  # fmt: skip
CHUNKS = [
    b"3\r\nabc\r\n", b"a;x=y\r\n0123456789\r\n", b"0\r\n\r\n", b"0\r\nT: 1\r\n\r\n", b"1 \r\nz\r\n", b"01\r\nz\r\n",
    b"1;\r\nz\r\n", b"00\r\n\r\n", b"-1\r\nz\r\n", b"1\r\nzz\r\n", b"1\nz\n", b"g\r\n", b"\r\n",
]  # fmt: skip


def listening() -> h11.Connection:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    return connection


def damaged(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.7:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) * chance.randrange(2) + data[at + chance.randrange(2) :]


def test_what_is_read_here_is_what_h11_reads() -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    read = 0
    for _ in range(4000):
        lines = [chance.choice(STARTS), *chance.choices(FIELDS, k=chance.randrange(5))]
        data, end, _ = damaged(b"\r\n".join(lines) + END, chance).partition(END)
        head = parsed(data + end)
        if head is None:
            continue
        read += 1
        connection = listening()
        connection.receive_data(data + end)
        event = connection.next_event()
        assert isinstance(event, h11.Response), data
        theirs = gathered([(name, value) for name, value in event.headers])
        assert head.status == event.status_code
        assert {**head.headers, "transfer-encoding": ""} == {**theirs, "transfer-encoding": ""}, data
        assert head.lasts <= (connection.their_state is not h11.MUST_CLOSE), data
        connection.receive_data(b"1\r\nz\r\n0\r\n\r\n" if head.length is None else b"z" * head.length)
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), data
        assert body == b"z" * (1 if head.length is None else head.length), data
    assert read > 150


def test_chunks_are_what_h11_takes_them_for() -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    read = 0
    for _ in range(2000):
        data = damaged(b"".join(chance.choices(CHUNKS, k=chance.randrange(1, 6))) + b"0\r\n\r\nrest", chance)
        ours = Chunks()
        body = b""
        try:
            for at in range(0, len(data), step := chance.randrange(1, 8)):
                body += b"" if ours.done else ours.feed(data[at : at + step])
        except ValueError:
            continue
        if not ours.done:
            continue
        read += 1
        connection = listening()
        connection.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
        connection.next_event()
        theirs = b""
        while isinstance(event := connection.next_event(), h11.Data):
            theirs += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), data
        assert body == theirs, data
    assert read > 400


def test_what_comes_after_the_last_chunk_is_told() -> None:
    chunks = Chunks()
    assert chunks.feed(b"3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\nmore") == b"abcde"
    assert (chunks.done, chunks.rest) == (True, b"more")


def test_chunks_of_a_byte_come_in_one_piece() -> None:
    assert Chunks().feed(b"1\r\nz\r\n" * 50_000) == b"z" * 50_000


@pytest.mark.parametrize(
    "data",
    [b"5" * 5000, b"f" * 16 + b"\r\n", b"1;" + b"x" * 5000, b"0\r\n" + b"T: x\r\n" * 20_000, b"3\r\nabcd", b"\x00\r\n"],
)
def test_chunks_that_never_end_or_break_the_rules_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|trailers"):
        Chunks().feed(data)


def test_a_head_tells_the_length_and_whether_the_connection_lasts() -> None:
    assert parsed(b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 12\r\nx: b\r\n\r\n") == Head(
        200, {"x": "a, b", "content-length": "12"}, 12, lasts=True
    )
    ended = parsed(b"HTTP/1.1 404\r\nTransfer-Encoding: chunked\r\nConnection: x, Close\r\n\r\n")
    assert ended is not None
    assert (ended.length, ended.lasts) == (None, False)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: a\nb\r\n\r\n",
        b"",
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_others(head: bytes) -> None:
    assert parsed(head) is None


def test_a_beginning_is_told_from_what_can_never_become_a_head() -> None:
    head = b"HTTP/1.1 200 OK\r\nX: y\r\n"
    assert all(beginning(head[:end]) for end in range(len(head) + 1))
    for other in (b"HTTP/1.0", b"SSH-2.0", b"\r\n", b"HTTP/1.1 200 OK\nX: y", head + b"X: y\r\n" * 20_000):
        assert not beginning(other)
