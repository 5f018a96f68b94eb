"""What a build may use. Each limit that is broken ends the build, and is named."""

from __future__ import annotations

from pypimirror.values import dataclass

__all__ = ["Limits"]

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds for one hook, and for the archive that it is given. Sizes in bytes, times in seconds.

    ``seconds`` by the monotonic clock; ``cpu_seconds`` of any one process. ``memory`` is what all processes of the
    build hold together, looked at several times a second; any one may reserve twice as much. ``file`` is the largest
    file that may be written, ``disk`` all that lies in the build's folder, ``files`` how many there are. ``output`` is
    what may be printed. ``unpacked`` and ``members`` bound an sdist, ``unpacked`` a wheel that comes out, too.
    """

    seconds: float = 1800.0
    cpu_seconds: int = 3600
    memory: int = 4 * _GIB
    file: int = 2 * _GIB
    disk: int = 4 * _GIB
    files: int = 400_000
    processes: int = 256
    open_files: int = 1024
    output: int = 64 * _MIB
    unpacked: int = 1 * _GIB
    members: int = 100_000
