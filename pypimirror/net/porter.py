"""Another process that fetches files while this one searches.

Python runs one thread at a time. While a search keeps it busy, every piece of a file waits for its turn, and over TLS a
piece is 16 KiB. So where this system can fork, a child fetches the files, hashes them and looks into them. It only ever
makes things faster: what it can't do at once it leaves to this process, which has all the patience, and the words.

    parent   a thread that wants a file takes a lane, sends it (as ``model.plain`` writes it), and reads what comes
    child    a thread for each lane: ["bytes", 4194304] now and then, at last ["stored", ...], or ["failed"]

A lane is a pair of sockets, a message is a length and JSON. The child ends when the parent's ends are closed, however
that came about; then what it was at lies in the cache as any transfer that broke off.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pypimirror.errors import PypimirrorError
from pypimirror.model.files import ListedFile
from pypimirror.model.names import sha256_of_hex
from pypimirror.model.plain import plain, value_of
from pypimirror.net.sockets import Stopped
from pypimirror.net.transfer import Stored
from pypimirror.reporting import Reporter

__all__ = ["Fetch", "Porter", "porter"]

Fetch = Callable[[ListedFile], Stored]

_LANES = 14  # as many as threads that ask
_TOLD = 4 << 20  # bytes between two words about them: each wakes a thread of the parent
_LOOK = 0.2  # seconds between two looks whether to stop
_LENGTH = struct.Struct("<I")
_LONGEST = 1 << 20


class _Lane:
    """Messages over a socket. Raises OSError, also where the other side is gone; ValueError for what is none."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.close = end.close

    def send(self, message: object) -> None:
        data = json.dumps(message).encode()
        self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, stopping: threading.Event | None = None) -> list[object]:
        """The next message. Raises Stopped where *stopping* is set meanwhile."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size, stopping))
        if length > _LONGEST:
            raise ValueError("too long")
        message = json.loads(self._exactly(length, stopping))
        if not isinstance(message, list):
            raise ValueError("no list")  # noqa: TRY004 - as for any other wrong message
        return message

    def _exactly(self, size: int, stopping: threading.Event | None) -> bytes:
        self._end.settimeout(None if stopping is None else _LOOK)
        data = b""
        while len(data) < size:
            try:
                piece = self._end.recv(size - len(data))
            except TimeoutError:
                if stopping is not None and stopping.is_set():
                    raise Stopped from None
                continue
            if not piece:
                raise ConnectionResetError("the other side is gone")
            data += piece
        return data


class Porter:
    """The parent's side. Safe for threads."""

    def __init__(self, lanes: list[_Lane], stopping: threading.Event) -> None:
        self._end, *self._free = lanes  # nobody takes the first: while it is open, the child goes on
        self._stopping = stopping

    def carry(self, file: ListedFile, told: Callable[[int], None]) -> Stored | None:
        """The file, verified, by the child; None where it can't. *told* is called with numbers of bytes that came.

        Raises Stopped.
        """
        try:
            lane = self._free.pop()
        except IndexError:
            return None
        try:
            lane.send(plain(file))
            while True:
                word, *said = lane.receive(self._stopping)
                if word != "bytes":
                    break
                told(int(str(said[0])))
            self._free.append(lane)
            return _stored(said) if word == "stored" else None
        except (OSError, ValueError, TypeError):
            lane.close()
            return None
        except BaseException:
            lane.close()  # the child gives up what it is at
            raise

    def close(self) -> None:
        """End the child, whatever it is at."""
        self._end.close()
        while self._free:
            self._free.pop().close()


def _stored(said: list[object]) -> Stored:
    path, sha256, size, from_cache, *stamp = said
    return Stored(
        path=Path(str(path)),
        sha256=sha256_of_hex(str(sha256)),
        size=int(str(size)),
        from_cache=from_cache is True,
        stamp=tuple(int(str(each)) for each in stamp),
    )


def _can_fork() -> bool:
    """Whether a child would be sound, and of use: no other thread runs, and there is another processor for it."""
    if sys.platform != "linux":  # elsewhere a system's own libraries may not survive a fork
        return False
    return threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


@contextmanager
def porter(make_fetch: Callable[[Reporter], Fetch], *, stopping: threading.Event) -> Iterator[Porter | None]:
    """A child that carries files with what *make_fetch* makes there; None where that can't be, or is of no use.

    What the child fetches with must be made in the child: a connection belongs to one process.
    """
    if not _can_fork():
        yield None
        return
    pairs = [socket.socketpair() for _ in range(_LANES + 1)]
    child = os.fork()
    if child == 0:
        _serve_and_end(make_fetch, pairs)
    for _, theirs in pairs:
        theirs.close()
    made = Porter([_Lane(ours) for ours, _ in pairs], stopping)
    try:
        yield made
    finally:
        made.close()
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def _serve_and_end(
    make_fetch: Callable[[Reporter], Fetch], pairs: list[tuple[socket.socket, socket.socket]]
) -> NoReturn:
    """The child: from here on there is no way back into what the parent was at."""
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
        for ours, _ in pairs:
            ours.close()
        told = _Told()
        fetch, ended = make_fetch(told), threading.Event()
        for _, theirs in pairs:
            threading.Thread(target=_serve, args=(fetch, _Lane(theirs), told, ended), daemon=True).start()
        ended.wait()
    finally:
        os._exit(0)


class _Told(Reporter):
    """Tells the parent how much of a file came, in large pieces, by the lane that asked for it."""

    def __init__(self) -> None:
        self._lanes: dict[str, tuple[_Lane, int]] = {}
        self._lock = threading.Lock()

    def begin(self, filename: str, lane: _Lane) -> None:
        with self._lock:
            self._lanes[filename] = (lane, 0)

    def download_bytes(self, *, filename: str, count: int) -> None:
        with self._lock:
            if filename not in self._lanes:  # of two files with one name, from two places, one is not told of
                return
            lane, held = self._lanes[filename]
            held += count
            if abs(held) >= _TOLD:
                lane.send(["bytes", held])
                held = 0
            self._lanes[filename] = (lane, held)

    def end(self, filename: str) -> int:
        """What was not told yet."""
        with self._lock:
            _, held = self._lanes.pop(filename, (None, 0))
            return held


def _serve(fetch: Fetch, lane: _Lane, told: _Told, ended: threading.Event) -> None:
    try:
        while True:
            file = value_of(ListedFile, lane.receive())
            told.begin(file.name.filename, lane)
            try:
                stored = fetch(file)
            except PypimirrorError:
                stored = None
            if rest := told.end(file.name.filename):
                lane.send(["bytes", rest])
            if stored is None:
                lane.send(["failed"])
            else:
                lane.send(["stored", str(stored.path), stored.sha256, stored.size, stored.from_cache, *stored.stamp])
    except (OSError, ValueError):
        pass  # the parent is gone, or has enough
    finally:
        ended.set()
