"""One process of a build, from its start until nothing of it is left: time, disk and output are bounded from here.

Memory and processes are looked after by ``inside``, from within.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pypimirror.build.faults import printable
from pypimirror.build.limits import Limits
from pypimirror.values import dataclass

__all__ = ["Mapping", "Outcome", "base_python", "run"]

_KEPT = 64 * 1024
_LINES = 100
_TICK = 0.1
_SLOWLY = 0.25
_GRACE = 10.0  # seconds for ``inside`` to end what it started, once told to
_RESERVE = 256 * 1024 * 1024
_MOST_STATUS = 64 * 1024
_SCRIPT = Path(__file__).with_name("inside.py")


def base_python() -> Path:
    """The running Python itself, without the environment that it may run in."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapping:
    """The user and the group of ours that those of a new namespace stand for; whether they are others than our own."""

    user: int
    group: int
    foreign: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a command ended: by itself (``exit``), by a ``signal``, or by us, over the ``limit`` of that name.

    ``fault`` is why it could not even begin. ``output`` are its last lines, printable only.
    """

    exit: int | None = None
    signal: int | None = None
    limit: str | None = None
    fault: str | None = None
    output: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.exit == 0

    def __str__(self) -> str:
        if self.fault is not None:
            return f"could not be started: {self.fault}"
        if self.limit is not None:
            return f"broke the limit of {self.limit}"
        return f"ended by signal {self.signal}" if self.signal is not None else f"exit status {self.exit}"


def run(order: dict[str, Any], *, folder: Path, limits: Limits, mapping: Mapping | None = None) -> Outcome:
    """Let ``inside`` carry out *order*; *folder* is where the command may write. *mapping* is for its namespaces.

    When this returns, or raises, no process of it is left. Raises OSError.
    """
    return _Run(order, folder, limits, mapping).outcome()


class _Run:
    def __init__(self, order: dict[str, Any], folder: Path, limits: Limits, mapping: Mapping | None) -> None:
        self._order = order
        self._limits = limits
        self._mapping = mapping
        self._tail = bytearray()
        self._printed = 0
        self._said = bytearray()
        self._heard: dict[str, Any] = {}
        self._limit: str | None = None
        self._disk = _DiskWatch(folder, limits)

    def outcome(self) -> Outcome:
        reading, writing = os.pipe()
        self._order["status"] = writing
        try:
            process = subprocess.Popen(  # noqa: S603 - our own script, run by our own Python
                [str(base_python()), "-I", "-S", "-B", str(_SCRIPT), json.dumps(self._order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                cwd="/",
                env={},
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        try:
            self._watch(process, reading)
        finally:
            self._end(process, reading)
        return self._found()

    def _watch(self, process: subprocess.Popen[bytes], status: int) -> None:
        """Read what comes until both pipes end, or a limit is broken."""
        assert process.stdout is not None  # noqa: S101 - for the type checker
        until = time.monotonic() + self._limits.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, self._print)
            selector.register(status, selectors.EVENT_READ, self._hear)
            while selector.get_map() and self._limit is None:
                for key, _ in selector.select(_TICK):
                    data = os.read(key.fd, 65_536)
                    if not data:
                        selector.unregister(key.fileobj)
                    key.data(data)
                if self._heard.pop("unshared", False):
                    self._map(process)
                if {"exit", "signal", "limit", "fault"} & self._heard.keys() and not selector.select(0):
                    return
                if time.monotonic() > until:
                    self._limit = "time"
                elif self._limit is None:
                    self._limit = self._disk.broken()

    def _print(self, data: bytes) -> None:
        self._printed += len(data)
        self._tail += data
        del self._tail[:-_KEPT]
        if self._printed > self._limits.output:
            self._limit = "output"

    def _hear(self, data: bytes) -> None:
        self._said += data[: _MOST_STATUS - len(self._said)]
        while b"\n" in self._said:
            line, _, rest = self._said.partition(b"\n")
            self._said = bytearray(rest)
            self._heard |= json.loads(line)

    def _map(self, process: subprocess.Popen[bytes]) -> None:
        """Say whom the users of the new namespace stand for, which only its parent may say freely."""
        assert self._mapping is not None  # noqa: S101 - for the type checker
        assert process.stdin is not None  # noqa: S101 - for the type checker
        folder = Path("/proc") / str(process.pid)
        try:
            if not self._mapping.foreign:
                (folder / "setgroups").write_text("deny")
            (folder / "uid_map").write_text(f"{self._order['uid']} {self._mapping.user} 1")
            (folder / "gid_map").write_text(f"{self._order['gid']} {self._mapping.group} 1")
            process.stdin.write(b"+")
        except OSError as error:
            self._heard["fault"] = f"mapping the user: {error.strerror}"

    def _end(self, process: subprocess.Popen[bytes], status: int) -> None:
        """Nothing of it is left when this returns."""
        assert process.stdin is not None  # noqa: S101 - for the type checker
        assert process.stdout is not None  # noqa: S101 - for the type checker
        process.stdin.close()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.set_blocking(process.stdout.fileno(), False)
            try:
                self._print(process.stdout.read(_KEPT) or b"")
            finally:
                process.stdout.close()
                os.close(status)

    def _found(self) -> Outcome:
        lines = [line for line in self._tail.decode("utf-8", "replace").replace("\r", "\n").split("\n") if line.strip()]
        output = tuple(printable(line) for line in lines[-_LINES:])
        heard = self._heard
        if self._limit is not None or "limit" in heard:
            return Outcome(limit=self._limit or str(heard["limit"]), output=output)
        if "fault" in heard:
            return Outcome(fault=printable(str(heard["fault"])), output=output)
        if "signal" in heard:
            return Outcome(signal=int(heard["signal"]), output=output)
        if "exit" in heard:
            return Outcome(exit=int(heard["exit"]), output=output)
        return Outcome(fault="the process that watches it ended", output=output)


class _DiskWatch:
    """What lies in a folder, measured now and then: the larger it is, the more seldom."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._next = 0.0

    def broken(self) -> str | None:
        begun = time.monotonic()
        if begun < self._next:
            return None
        over = self._over()
        took = time.monotonic() - begun
        self._next = time.monotonic() + max(_SLOWLY, 5 * took)
        return "disk" if over else None

    def _over(self) -> bool:
        space = os.statvfs(self._folder)
        if space.f_bavail * space.f_frsize < min(_RESERVE, space.f_blocks * space.f_frsize // 20):
            return True
        size = count = 0
        waiting = [str(self._folder)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        count += 1
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        if size > self._limits.disk or count > self._limits.files:
                            return True
            except FileNotFoundError:
                continue
            except OSError:
                # A folder that we may not read, or one nested so deep that its path is too long: it could hide
                # anything. No build needs either.
                return True
        return False
