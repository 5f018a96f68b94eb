"""What a build's process sees of this machine, and whether the system allows to hide the rest.

Visible, and read-only: the system's programs and libraries (``/usr`` and its like), the running Python, five devices
of no harm, and what the caller names. Everything else is not there at all: homes, caches, ``/etc`` with its keys,
``/sys``, other processes, other users' files, the network, its own loopback included, which is down. Writable is one
folder of ours, seen as ``/build``, and ``/tmp``, which lies in it. All rights are given away before the first line of
foreign code; started by root, the build runs as nobody, on a user number that owns nothing.

Linux only: on other systems, and where namespaces are forbidden, ``probe`` says so.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pypimirror.build.limits import Limits
from pypimirror.build.running import Mapping, Outcome, base_python, run
from pypimirror.values import dataclass

__all__ = ["PlainSight", "Sandbox", "View"]

_INSIDE = Path("/build")

_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
)
_FILES = (
    ("/etc/passwd", "build:x:1000:1000:build:/build/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("/etc/group", "build:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost build\n::1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
)
_USER = 1000
_NOBODY = 65534
_LAST_USER = 2**32 - 2  # known to a machine, not to a container that has a range of its users
_PROBE_SECONDS = 20.0
_EPOCH = 1577836800  # 2020-01-01: a wheel's times must not be those of the build, and zip begins in 1980


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The folders of one process. *folder* is writable, and holds ``home`` and ``tmp``.

    *readable* are pairs: a path of ours, and where in *folder* it is seen, relative to it, read-only. *python* is the
    environment whose programs come first, relative to *folder*.
    """

    folder: Path
    python: str = "env"
    readable: tuple[tuple[Path, str], ...] = ()


class PlainSight:
    """No sandbox: a process that sees what we see. Its environment is scrubbed, its limits hold, all of it is ended."""

    sandboxed = False

    def owner(self) -> tuple[int, int] | None:
        """The user and the group that a build's files must belong to; None where they are our own."""
        return None

    def seen(self, view: View, path: str) -> Path:
        """Where the process finds *path*, which is relative to the view's folder."""
        for ours, name in view.readable:
            if path == name or path.startswith(f"{name}/"):
                return ours / path[len(name) + 1 :]
        return view.folder / path

    def give(self, folder: Path) -> None:
        """Let *folder* and all in it, which is ours yet, belong to whom the build runs as. Raises OSError."""
        owner = self.owner()
        if owner is not None:
            os.chown(folder, *owner)
            for here, folders, files in os.walk(folder):
                for name in (*folders, *files):
                    os.chown(Path(here, name), *owner, follow_symlinks=False)

    def run(self, command: Sequence[str], *, cwd: str, extra: dict[str, str], view: View, limits: Limits) -> Outcome:
        """Run *command* in *cwd*, relative to the view's folder. Raises OSError."""
        order = {
            "namespaces": False,
            "limits": _resources(limits, processes=False),
            "command": list(command),
            "cwd": str(self.seen(view, cwd)),
            "env": _environment(self.seen(view, "home"), self.seen(view, "tmp"), self.seen(view, view.python)) | extra,
        }
        return run(order, folder=view.folder, limits=limits)


class Sandbox(PlainSight):
    """A place to run foreign code in. ``visible`` are folders of this machine that it may read, besides."""

    sandboxed = True

    def __init__(self, *, visible: Sequence[Path] = ()) -> None:
        self._visible = tuple(path.resolve() for path in visible)
        self._asked: list[str | None] = []

    def owner(self) -> tuple[int, int] | None:
        # The user must be another than root: the limit on processes does not hold for root, and root owns most of what
        # there is. In a container that knows no such user, root itself is none of the machine's.
        return (_NOBODY, _NOBODY) if _is_root() and _knows(_NOBODY) else None

    def probe(self) -> str | None:
        """Why the system allows no sandbox; None where it does. Found out once, by starting Python in one."""
        if not self._asked:
            self._asked.append(self._find_out())
        return self._asked[0]

    def _find_out(self) -> str | None:
        if sys.platform != "linux":
            return f"{platform.system()} has no namespaces"
        prefix = Path(sys.base_prefix).resolve()
        if prefix == Path("/") or Path.home().resolve().is_relative_to(prefix):
            return f"the running Python is installed in {prefix}, which can't be shown without what must be hidden"
        if _is_root() and self.owner() is None and _knows(_LAST_USER):
            return "root runs this, and there is no other user to run as"
        with tempfile.TemporaryDirectory(prefix="pypimirror-probe-") as name:
            folder = Path(name)
            (folder / "tmp").mkdir()
            self.give(folder)
            command = [str(base_python()), "-I", "-S", "-c", ""]
            limits = Limits(seconds=_PROBE_SECONDS)
            outcome = self.run(command, cwd=".", extra={}, view=View(folder=folder), limits=limits)
        return None if outcome.good else " ".join([str(outcome), *outcome.output[-1:]])

    def seen(self, view: View, path: str) -> Path:  # noqa: ARG002 - every view looks the same from inside
        return _INSIDE / path

    def run(self, command: Sequence[str], *, cwd: str, extra: dict[str, str], view: View, limits: Limits) -> Outcome:
        owner = self.owner()
        sources, links = self._shown(view)
        order = {
            "namespaces": True,
            "uid": _USER,
            "gid": _USER,
            "drop_groups": owner is not None,
            "sources": sources,
            "files": _FILES,
            "links": links,
            "limits": _resources(limits, processes=owner is not None or _counts_by_namespace()),
            "command": list(command),
            "cwd": str(self.seen(view, cwd)),
            "env": _environment(_INSIDE / "home", Path("/tmp"), self.seen(view, view.python)) | extra,  # noqa: S108 - private
        }
        user, group = owner or (os.geteuid(), os.getegid())
        mapping = Mapping(user=user, group=group, foreign=owner is not None)
        return run(order, folder=view.folder, limits=limits, mapping=mapping)

    def _shown(self, view: View) -> tuple[list[tuple[str, str, bool]], list[tuple[str, str]]]:
        """All that is seen of this machine, in the order of mounting: (ours, seen, writable), and (link, text)."""
        sources: list[tuple[str, str, bool]] = []
        links: list[tuple[str, str]] = []
        for name in _SYSTEM:
            path = Path(name)
            if path.is_symlink():
                links.append((name, str(path.readlink())))
            elif path.exists():
                sources.append((name, name, False))
        prefix = Path(sys.base_prefix).resolve()
        pythons = [] if prefix.is_relative_to("/usr") else [prefix]
        sources += [(str(view.folder), str(_INSIDE), True), (str(view.folder / "tmp"), "/tmp", True)]  # noqa: S108 - private
        sources += [(str(path), str(path), False) for path in (*pythons, *self._visible)]  # below /tmp, perhaps
        return sources + [(str(ours), str(_INSIDE / name), False) for ours, name in view.readable], links


def _environment(home: Path, temporary: Path, python: Path) -> dict[str, str]:
    """The whole environment of a build: nothing of ours is handed on, least of all tokens, proxies and sockets."""
    return {
        "PATH": os.pathsep.join((str(python / "bin"), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "USER": "build",
        "LOGNAME": "build",
        "VIRTUAL_ENV": str(python),
        "SOURCE_DATE_EPOCH": str(_EPOCH),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _resources(limits: Limits, *, processes: bool) -> dict[str, Any]:
    found = {
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_AS": 2 * limits.memory,
        "RLIMIT_FSIZE": limits.file,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 65_536,
        "RLIMIT_STACK": 64 * 1024 * 1024,
    }
    if processes:
        # The kernel counts threads, too; and the first process must get to see that there are too many.
        found["RLIMIT_NPROC"] = 2 * limits.processes + 16
    return {"memory": limits.memory, "processes": limits.processes, "resources": found}


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _knows(user: int) -> bool:
    """Whether this process's own namespace knows *user*, and so may hand it on."""
    try:
        lines = Path("/proc/self/uid_map").read_text("ascii").splitlines()
    except OSError:
        return False
    ranges = [tuple(map(int, line.split())) for line in lines]
    return any(first <= user < first + count for first, _, count in ranges)


def _counts_by_namespace() -> bool:
    """From Linux 5.14 on the limit on processes counts those of the namespace, not all of the same user's."""
    numbers = platform.release().split(".")[:2]
    return all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) >= (5, 14)
