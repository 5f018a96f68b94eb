"""A network of one's own: a process, and all that it starts, see a loopback interface and nothing else.

Linux only. Root needs nothing more; others need the system's leave to make a user namespace. Where neither is possible,
proxies that are not there keep clients from going elsewhere, which is less: whatever ignores proxies gets out.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

__all__ = ["POISON", "enter"]

_NOBODY = "http://127.0.0.1:9"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")

POISON: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(_PROXIES, _NOBODY) | dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
)
"""Variables of clients: proxies for everything but loopback, where nobody listens (9 is the port that discards)."""

_NEW_USER = 0x10000000  # CLONE_NEWUSER of linux/sched.h
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS of linux/sockios.h
_UP = 0x1 | 0x40  # IFF_UP, IFF_RUNNING of linux/if.h


def enter() -> bool:
    """Leave all networks but a loopback of our own, for good. To be called before any thread is started.

    False where the system does not allow it: then nothing has changed. A child tries first, since some systems allow
    the first step and forbid the next, and no step can be taken back.
    """
    child = os.fork()
    if child == 0:
        try:
            _leave()
        except BaseException:  # noqa: BLE001 - whatever it is, the answer is no
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        return False
    _leave()
    return True


def _leave() -> None:
    """Raise OSError where that is not allowed, half done."""
    user, group = os.getuid(), os.getgid()
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    if unshare(_NEW_NETWORK) != 0:
        if unshare(_NEW_USER | _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "no namespace")
        _be(user, group)
    _loopback_up()


def _be(user: int, group: int) -> None:
    """In the new user namespace, who we were outside."""
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _loopback_up() -> None:
    import fcntl  # noqa: PLC0415 - not there on Windows, where this is never reached

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket.fileno(), _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
