"""Tiny real wheels, made by hand: 100,000 in seconds. Pure.

Each installs: a zip with one module, METADATA, WHEEL and RECORD. Ten versions a project; one version in fifty is
yanked, each project but the first few requires two that come before it.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import pack

__all__ = ["PER_PROJECT", "Wheel", "make_wheel", "project_name", "wheels"]

PER_PROJECT = 10
_YANKED = 50
_WHEEL = b"Wheel-Version: 1.0\nGenerator: benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_TIME, _DATE = 0, 0x21  # 1980-01-01
_MODE = 0o100644 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A wheel with its bytes, and what an index would say of it."""

    filename: str
    project: str
    version: str
    data: bytes
    metadata: bytes
    requires_python: str
    requires_dist: tuple[str, ...]
    yanked: str | None

    @property
    def upload_time(self) -> str:
        minor = int(self.version.partition(".")[0])
        return f"2026-{minor % 12 + 1:02}-{minor % 28 + 1:02}T10:20:30.123456Z"


def project_name(number: int) -> str:
    return f"project{number:05}"


def wheels(projects: int, *, begin: int = 0) -> Iterator[Wheel]:
    """Ten versions of each of so many projects."""
    for number in range(begin, begin + projects):
        for version in range(PER_PROJECT):
            yield make_wheel(number, version)


def make_wheel(number: int, version: int, *, alone: bool = False) -> Wheel:
    """One version of one project; versions count from 0. The first ten projects require nothing, nor one *alone*."""
    project, text = project_name(number), f"{version}.0"
    wanted = (
        tuple(f"{project_name(number // part)}>={version % 3}.0" for part in (2, 3))
        if number >= PER_PROJECT and not alone
        else ()
    )
    python = ">=3.8" if version < PER_PROJECT // 2 else ">=3.9"
    lines = ["Metadata-Version: 2.1", f"Name: {project}", f"Version: {text}", f"Requires-Python: {python}"]
    lines += ["Summary: A tiny wheel", *(f"Requires-Dist: {each}" for each in wanted), "", "It is tiny.\n"]
    metadata = "\n".join(lines).encode()
    info = f"{project}-{text}.dist-info"
    members = [(f"{project}.py", f'VERSION = "{text}"\n'.encode() * 20), (f"{info}/METADATA", metadata)]
    members += [(f"{info}/WHEEL", _WHEEL)]
    record = "".join(f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in members)
    members.append((f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
    return Wheel(
        filename=f"{project}-{text}-py3-none-any.whl",
        project=project,
        version=text,
        data=_zip(members),
        metadata=metadata,
        requires_python=python,
        requires_dist=wanted,
        yanked="it was broken" if (number + version) % _YANKED == 0 and version < PER_PROJECT - 1 else None,
    )


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")


def _zip(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of stored members; ``zipfile`` would take ten times as long."""
    parts, central, offset = [], [], 0
    for path, data in members:
        name = path.encode("ascii")
        shared = pack("<HHHHHLLLHH", 20, 0, 0, _TIME, _DATE, zlib.crc32(data), len(data), len(data), len(name), 0)
        parts += [b"PK\3\4", shared, name, data]
        central += [b"PK\1\2", pack("<H", 0x0314), shared, pack("<HHHLL", 0, 0, 0, _MODE, offset), name]
        offset += 30 + len(name) + len(data)
    index = b"".join(central)
    end = pack("<4sHHHHLLH", b"PK\5\6", 0, 0, len(members), len(members), len(index), offset, 0)
    return b"".join([*parts, index, end])
