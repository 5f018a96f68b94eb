"""The first code of a build's process: shuts the world out, gives its rights away, starts the command, watches it.

A script of its own, run as ``python -I -S inside.py ORDER`` with nothing but the standard library; what ``running``
starts, and nobody imports. ORDER is JSON, see ``main``. It writes one line of JSON after another to the descriptor
``status``: ``{"unshared": true}`` when its user may be mapped, at the end ``{"exit": n}``, ``{"signal": n}``,
``{"limit": "memory"}`` or ``{"fault": "..."}``. When its standard input ends, all that runs in it is ended.

    this script                 new namespaces; waits
      `- the first process      builds the file system, hides the rest, drops all rights; watches
           `- the command       limits, a session of its own, no way to new rights

When the first process of a process namespace ends, the kernel ends all others in it, daemons included. Without
namespaces this script is the first process, and as "subreaper" the parent of every orphan below it, which it ends.
Essential reading: namespaces(7), user_namespaces(7), mount_namespaces(7), pid_namespaces(7), pivot_root(2), prctl(2).
"""

# ruff: noqa: PTH103, PTH112, PTH120, PTH123, PTH208, PTH211 - pathlib takes longer to import than all of this to run
# ruff: noqa: S108 - the /dev/shm of a new file system

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, NoReturn

__all__: list[str] = []

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_NOATIME, _MS_NODIRATIME, _MS_BIND = 32, 1024, 2048, 4096
_MS_REC, _MS_PRIVATE, _MS_RELATIME = 16384, 1 << 18, 1 << 21
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 36, 38
_KEEP = {"ro": _MS_RDONLY, "nosuid": _MS_NOSUID, "nodev": _MS_NODEV, "noexec": _MS_NOEXEC,
         "noatime": _MS_NOATIME, "nodiratime": _MS_NODIRATIME, "relatime": _MS_RELATIME}  # fmt: skip
_CAPABILITIES_VERSION_3 = 0x20080522
_DEVICES = ("null", "zero", "full", "random", "urandom")
_O_PATH = getattr(os, "O_PATH", 0o10000000)
_TICK = 0.02  # seconds between two looks for the command's end
_LOOK = 0.2  # seconds between two looks at the memory
_LINUX = sys.platform == "linux"

_libc = ctypes.CDLL(None, use_errno=True)


class _Fault(Exception):
    """A step of the preparation that the system refused."""


def _call(what: str, name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        raise _Fault(f"{what}: {os.strerror(ctypes.get_errno())}")


def _prctl(option: int, value: int) -> int:
    nothing = ctypes.c_ulong(0)
    return int(_libc.prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing)) if _LINUX else 0


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    _call(
        f"mounting {target}",
        "mount",
        source.encode(),
        os.fsencode(target),
        kind and kind.encode(),
        ctypes.c_ulong(flags),
        data and data.encode(),
    )


class _Status:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def say(self, **facts: object) -> None:
        os.write(self.descriptor, json.dumps(facts).encode("ascii") + b"\n")


def main(order: dict[str, Any]) -> int:
    """Carry out *order*: ``status``, ``namespaces``, ``uid``, ``gid``, ``limits``, ``command``, ``cwd``, ``env``.

    With namespaces, besides: ``drop_groups``, ``sources`` ([source, target, writable]), ``files`` ([target, text]) and
    ``links`` ([target, text]), which are all that is seen of this machine.
    """
    status = _Status(order["status"])
    os.set_inheritable(order["status"], False)
    os.umask(0o022)
    try:
        if not order["namespaces"]:
            # No signal at the parent's death here: the end of standard input says it, and leaves time to end the rest.
            _prctl(_PR_SET_SUBREAPER, 1)
            return _Watch(order, status, alone=False).run()
        return _with_namespaces(order, status)
    except (_Fault, OSError) as error:
        status.say(fault=str(error))
        return 1


def _with_namespaces(order: dict[str, Any], status: _Status) -> int:
    flags = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    _call("new namespaces", "unshare", flags)
    status.say(unshared=True)
    if not os.read(0, 1):
        return 1
    # While we are still who we were, folders can be reached that the build's user could not go through.
    sources = [
        (os.open(source, _O_PATH | os.O_CLOEXEC), os.path.isdir(source), target, writable)
        for source, target, writable in order["sources"]
    ]
    if order["drop_groups"]:
        os.setgroups([])
    os.setresgid(order["gid"], order["gid"], order["gid"])
    os.setresuid(order["uid"], order["uid"], order["uid"])
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # only now: a change of user takes it back
    first = os.fork()
    if first:
        _, result = os.waitpid(first, 0)
        return os.waitstatus_to_exitcode(result) & 0xFF
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _build_root(order, sources)
        code = _Watch(order, status, alone=True).run()
    except Exception as error:  # noqa: BLE001 - a forked process must never return to its parent's code
        status.say(fault=f"{type(error).__name__}: {error}")
        code = 1
    os._exit(code)


def _build_root(order: dict[str, Any], sources: list[tuple[int, bool, str, bool]]) -> None:
    """A file system of nothing but what the order names; read-only, but for what it calls writable."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    root = next(place for place in ("/tmp", "/mnt", "/var", "/usr") if os.path.isdir(place))
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=4m,nr_inodes=4k")
    for name in _DEVICES:
        _bind(os.open(f"/dev/{name}", _O_PATH | os.O_CLOEXEC), root + f"/dev/{name}", folder=False)
    os.makedirs(root + "/dev/shm", exist_ok=True)
    _mount("tmpfs", root + "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=64m,nr_inodes=1k")
    for name, text in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(text, f"{root}/dev/{name}")
    for target, text in order["links"]:
        os.makedirs(os.path.dirname(root + target), exist_ok=True)
        os.symlink(text, root + target)
    for target, text in order["files"]:
        os.makedirs(os.path.dirname(root + target), exist_ok=True)
        with open(root + target, "w", encoding="utf-8") as file:
            file.write(text)
    free = {root + "/dev/shm"}
    for descriptor, folder, target, writable in sources:
        _bind(descriptor, root + target, folder=folder)
        if writable:
            free.add(root + target)
    os.makedirs(root + "/proc", exist_ok=True)
    _restrict(root, free)
    with contextlib.suppress(_Fault):  # a container that hides parts of its own /proc may not: the folder stays empty
        _mount("proc", root + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.chdir(root)
    _call("entering the new file system", "pivot_root", b".", b".")
    _call("leaving the old file system", "umount2", b"/", _MNT_DETACH)
    os.chdir("/")
    _call("the name of the machine", "sethostname", b"build", 5)
    try:
        with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
            file.write("0")  # no namespaces within: they would give rights to attack the kernel with
    except OSError:
        pass


def _bind(descriptor: int, target: str, *, folder: bool) -> None:
    if folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    _mount(f"/proc/self/fd/{descriptor}", target, None, _MS_BIND | _MS_REC)


def _restrict(root: str, free: set[str]) -> None:
    """Every mount below *root* read-only, but for those of *free*; set-user-id and devices mean nothing anywhere.

    What the kernel has locked on a mount must be said again, or it refuses.
    """
    with open("/proc/self/mountinfo", "rb") as file:
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        path = os.fsdecode(_unescaped(fields[4]))
        if path != root and not path.startswith(root + "/"):
            continue
        flags = 0
        for option in fields[5].decode("ascii").split(","):
            flags |= _KEEP.get(option, 0)
        flags |= _MS_NOSUID
        if not path.startswith(root + "/dev/"):
            flags |= _MS_NODEV
        if path not in free:
            flags |= _MS_RDONLY
        _mount("none", path, None, _MS_REMOUNT | _MS_BIND | flags)


def _unescaped(path: bytes) -> bytes:
    for code, letter in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        path = path.replace(code, letter)
    return path


class _Watch:
    """Starts the command and looks after it. With *alone*, this is the first process of a namespace."""

    def __init__(self, order: dict[str, Any], status: _Status, *, alone: bool) -> None:
        self._order = order
        self._status = status
        self._alone = alone
        self._memory: int = order["limits"]["memory"]
        self._processes: int = order["limits"]["processes"]

    def run(self) -> int:
        if self._alone:
            _drop_rights()
            _prctl(_PR_SET_DUMPABLE, 0)  # nobody in here may look into this process, or stop it
        worker = os.fork()
        if not worker:
            _start(self._order, self._status.descriptor)
        result, limit = self._wait(worker)
        # Before the end is told: who reads what the build left must find nobody writing.
        self._end_all(worker)
        if limit is not None:
            self._status.say(limit=limit)
        elif result is not None and os.WIFSIGNALED(result):
            self._status.say(signal=os.WTERMSIG(result))
        elif result is not None:
            self._status.say(exit=os.WEXITSTATUS(result))
        return 0

    def _wait(self, worker: int) -> tuple[int | None, str | None]:
        next_look = time.monotonic() + _LOOK
        while True:
            try:
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    if ended[0] == worker:
                        return ended[1], None
            except ChildProcessError:
                return None, None
            ready, _, _ = select.select([0], [], [], _TICK)
            if ready and not os.read(0, 1):
                return None, "end"
            if time.monotonic() >= next_look:
                limit = self._broken_limit()
                if limit is not None:
                    return None, limit
                next_look = time.monotonic() + _LOOK

    def _others(self) -> list[int]:
        """The processes of the build: all but the first of a namespace, or all below this one."""
        parents: dict[int, int] = {}
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
                except (OSError, IndexError, ValueError):
                    continue
        own = os.getpid()
        if self._alone:
            return [process for process in parents if process != own]
        found, level = [], {own}
        while level:
            level = {process for process, parent in parents.items() if parent in level}
            found += sorted(level)
        return found

    def _broken_limit(self) -> str | None:
        processes = self._others()
        # In a namespace the user's limit is the kernel's to keep; here it is named, for the bomb that reached it.
        if len(processes) >= self._processes:
            return "processes"
        held = 0
        for process in processes:
            try:
                with open(f"/proc/{process}/statm", "rb") as file:
                    fields = file.read().split()
                held += int(fields[1]) - int(fields[2])
            except (OSError, IndexError, ValueError):
                continue
        return "memory" if held * resource.getpagesize() > self._memory else None

    def _end_all(self, worker: int) -> None:
        """None of the build is left when this returns; at most a few seconds, for what the kernel can't end."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if self._alone:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)  # all of the namespace but this process
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(worker, signal.SIGKILL)  # all there is to do where no /proc tells of the others
                for process in self._others():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.005)


def _start(order: dict[str, Any], status: int) -> NoReturn:
    """Become the command."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if order["namespaces"]:
            _leave_keys()
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        for name, value in order["limits"]["resources"].items():
            if hasattr(resource, name):
                _limit(getattr(resource, name), value)
        os.chdir(order["cwd"])
        # Whatever else is open, nothing of it goes along: the file system that was left could be reached through it.
        os.closerange(3, status)
        os.closerange(status + 1, 65_536)
        os.execve(order["command"][0], order["command"], order["env"])  # noqa: S606 - what this is for
    except Exception as error:  # noqa: BLE001 - a forked process must never return to its parent's code
        os.write(status, json.dumps({"fault": f"starting {order['command'][0]}: {error}"}).encode("ascii") + b"\n")
    os._exit(127)


def _limit(number: int, value: int) -> None:
    _, hard = resource.getrlimit(number)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(number, (most, most))


def _leave_keys() -> None:
    """A new, empty keyring in place of the session's, which may hold tickets. No wrapper in libc, so by number."""
    number = {"x86_64": 250, "aarch64": 219, "ppc64le": 271, "s390x": 280, "riscv64": 219}.get(os.uname().machine)
    if number is not None:
        _libc.syscall(ctypes.c_long(number), ctypes.c_long(1), None)


def _drop_rights() -> None:
    """No capability, in no set, and none to be had again."""
    capability = 0
    while _prctl(_PR_CAPBSET_DROP, capability) == 0:
        capability += 1
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _call("dropping all capabilities", "capset", header, none)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
