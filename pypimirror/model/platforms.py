"""Platforms: what ``--platform`` may say, and what follows from it: platform tags, the best first, and four markers.

    manylinux_2_28_x86_64  musllinux_1_2_aarch64  win_amd64  macosx_11_0_arm64     a wheel's platform tag
    manylinux2014_x86_64                                                           its older names
    linux  windows  macos  x86_64-manylinux_2_28  aarch64-apple-darwin             uv's names
    rhel9-x86_64  debian12-aarch64  alpine3.20-x86_64  macos14-arm64               a system by its name

What is only another spelling of a platform tag becomes that tag; a system keeps its name, since that is what people
look for in a report. Essential reading: PEP 513, 571, 599, 600 (manylinux), 656 (musllinux).

- A floor stands for all that it can run. The order is that of ``packaging.tags`` 26.3 on such a machine.
- ``linux_<arch>`` comes first, as on every Linux: an in-house wheel that was never repaired carries that tag, and pip
  and uv install it on the machine itself and, as uv's ``--python-platform`` does, for a foreign one.
- Floors below an architecture's own beginning don't exist (glibc 2.17 for aarch64, 2.27 for riscv64, ...).
- ``macosx_X_Y_universal2`` admits only files that run on both chips; its markers are those of Apple silicon. For a
  fleet with both chips name both, ``macosx_X_Y_arm64`` and ``macosx_X_Y_x86_64``: each admits universal2 files too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain

from pypimirror.errors import UsageFault
from pypimirror.model.systems import SYSTEMS, system
from pypimirror.values import dataclass

__all__ = ["Platform", "known_platforms", "platform"]

_HIGHEST_GLIBC = 50
_HIGHEST_MUSL = 9
_MACOS = range(11, 41)
_OLDEST_INTEL_MACOS = 4  # 10.4
_NEWEST_MACOS_10 = 16  # what macOS 11 calls itself where it is asked by a program built for 10.x

_FLOORS = {  # the lowest glibc there is, or that wheels were ever made for
    "x86_64": 5,
    "i686": 5,
    "aarch64": 17,
    "armv7l": 17,
    "armv8l": 17,
    "ppc64le": 17,
    "s390x": 17,
    "riscv64": 27,
    "loongarch64": 36,
}
_OTHER_ARCHES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "i386": "i686",
    "i586": "i686",
    "x86": "i686",
    "ppc64el": "ppc64le",
}
_LOWEST_TAG = {"x86_64": 5, "i686": 5}  # elsewhere tags begin with 2.17
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_MACHINES = {"win_amd64": "AMD64", "win_arm64": "ARM64", "win32": "x86"}

_UV_NAMES = {
    "linux": "manylinux_2_28_x86_64",
    "windows": "win_amd64",
    "macos": "macosx_13_0_arm64",
    "x86_64-pc-windows-msvc": "win_amd64",
    "aarch64-pc-windows-msvc": "win_arm64",
    "i686-pc-windows-msvc": "win32",
    "aarch64-apple-darwin": "macosx_13_0_arm64",
    "x86_64-apple-darwin": "macosx_13_0_x86_64",
    "x86_64-unknown-linux-gnu": "manylinux_2_28_x86_64",
    "aarch64-unknown-linux-gnu": "manylinux_2_28_aarch64",
    "x86_64-unknown-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-unknown-linux-musl": "musllinux_1_2_aarch64",
    "riscv64-unknown-linux": "manylinux_2_39_riscv64",
}
_LEGACY_NAMES = {name: f"manylinux_2_{minor}" for minor, name in _LEGACY.items()}
_LEGACY_TAG = re.compile(r"(manylinux(?:1|2010|2014))(_.+)?")
_UV_LINUX = re.compile(r"([a-z0-9_]+)-(manylinux(?:1|2010|2014|_[0-9]+_[0-9]+)|musllinux_[0-9]+_[0-9]+)")
_LINUX_TAG = re.compile(r"(many|musl)linux_([0-9]{1,2})_([0-9]{1,2})_([a-z0-9_]+)")
_MACOS_TAG = re.compile(r"macosx_([0-9]{1,2})_([0-9]{1,2})_(x86_64|arm64|universal2)")
_MACOS_NAME = re.compile(r"macos([0-9]{2})(?:\.[0-9]+)*-(x86_64|arm64)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """An operating system with its C library or deployment floor, on an architecture. ``tags``: the best first."""

    word: str
    tags: tuple[str, ...]
    os_name: str
    platform_machine: str
    platform_system: str
    sys_platform: str


def platform(text: str) -> Platform:
    """Read one ``--platform``.

    Raises UsageFault: ``unknown-platform`` where it says nothing known (the nearest names are offered),
    ``no-such-target`` where it is understood, and there is no such thing.
    """
    word = _normalised(text)
    if word in _MACHINES:
        return _windows(word)
    if linux := _LINUX_TAG.fullmatch(word):
        libc = "glibc" if linux[1] == "many" else "musl"
        return _linux(word, libc, (int(linux[2]), int(linux[3])), _arch(text, linux[4]))
    if mac := _MACOS_TAG.fullmatch(word):
        return _macos(text, int(mac[1]), int(mac[2]), mac[3])
    name, _, arch = word.partition("-")
    found = system(name)
    if found is None or not arch:
        raise _unknown(text, word)
    arch = _arch(text, arch)
    if arch not in found.arches:
        raise UsageFault(
            f"there is no {found.name} for {arch}",
            code="no-such-target",
            hint=f"{found.name} runs on {', '.join(found.arches)}",
        )
    return _linux(f"{found.name}-{arch}", found.libc, found.floor, arch)


def known_platforms() -> Iterator[str]:
    """Every name there is, in its normal spelling; uv's are other spellings, and included."""
    return chain(
        _UV_NAMES,
        (f"{name}-{arch}" for name, each in SYSTEMS.items() for arch in each.arches),
        _MACHINES,
        (f"macosx_{major}_0_{arch}" for major in _MACOS for arch in ("arm64", "x86_64", "universal2")),
        (f"macosx_10_{minor}_x86_64" for minor in range(_OLDEST_INTEL_MACOS, _NEWEST_MACOS_10 + 1)),
        (f"musllinux_1_{minor}_{arch}" for minor in (1, 2) for arch in _FLOORS),
        (
            f"manylinux_2_{minor}_{arch}"
            for arch, lowest in _FLOORS.items()
            for minor in range(lowest, _HIGHEST_GLIBC + 1)
        ),
    )


def _normalised(text: str) -> str:
    """Lower case, and one spelling for each thing: a wheel's platform tag where there is one."""
    word = text.strip().lower()
    word = _UV_NAMES.get(word, word)
    if uv := _UV_LINUX.fullmatch(word):
        word = f"{uv[2]}_{uv[1]}"
    if legacy := _LEGACY_TAG.fullmatch(word):
        word = _LEGACY_NAMES[legacy[1]] + (legacy[2] or "")
    if mac := _MACOS_NAME.fullmatch(word):
        word = f"macosx_{mac[1]}_0_{mac[2]}"
    return word


def _arch(text: str, arch: str) -> str:
    arch = _OTHER_ARCHES.get(arch, arch)
    if arch not in _FLOORS:
        near = get_close_matches(arch, _FLOORS, n=3, cutoff=0.6)
        raise UsageFault(
            f"unknown architecture {arch!r} in the platform {text!r}",
            code="unknown-platform",
            hint=f"{'nearest' if near else 'there is'}: {', '.join(near or _FLOORS)}",
        )
    return arch


def _windows(word: str) -> Platform:
    return Platform(
        word=word,
        tags=(word,),
        os_name="nt",
        platform_machine=_MACHINES[word],
        platform_system="Windows",
        sys_platform="win32",
    )


def _macos(text: str, major: int, minor: int, arch: str) -> Platform:
    oldest = (11, 0) if arch == "arm64" else (10, _OLDEST_INTEL_MACOS)
    exists = major in _MACOS or (major == 10 and minor <= _NEWEST_MACOS_10)  # noqa: PLR2004 - macOS 10
    if not exists or (major, minor) < oldest:
        raise UsageFault(
            f"there is no macOS {major}.{minor} for {arch}, asked for as {text!r}",
            code="no-such-target",
            hint=f"the oldest is macosx_{oldest[0]}_{oldest[1]}_{arch}, a usual one macosx_{_MACOS[0]}_0_{arch}",
        )
    return Platform(
        word=f"macosx_{major}_{minor}_{arch}",
        tags=tuple(_macos_tags(major, minor, arch)),
        os_name="posix",
        platform_machine="x86_64" if arch == "x86_64" else "arm64",
        platform_system="Darwin",
        sys_platform="darwin",
    )


def _macos_tags(major: int, minor: int, arch: str) -> Iterator[str]:
    """Before 11 each year had a new minor version; since then a new major one, and tags say ``_0``."""
    formats = {
        "x86_64": ("x86_64", "intel", "fat64", "fat3", "universal2", "universal"),
        "arm64": ("arm64", "universal2"),
        "universal2": ("universal2",),
    }[arch]
    for version in range(major, 10, -1):
        yield from (f"macosx_{version}_0_{each}" for each in formats)
    # An Intel Mac runs what was made for 10.x. No such thing was made for arm64, but a universal2 file may say 10.x
    # for the sake of its Intel half.
    older = formats if arch == "x86_64" else ("universal2",)
    newest = minor if major == 10 else _NEWEST_MACOS_10  # noqa: PLR2004 - macOS 10
    for version in range(newest, _OLDEST_INTEL_MACOS - 1, -1):
        yield from (f"macosx_10_{version}_{each}" for each in older)


def _linux(word: str, libc: str, floor: tuple[int, int], arch: str) -> Platform:
    lowest, highest = ((2, _FLOORS[arch]), (2, _HIGHEST_GLIBC)) if libc == "glibc" else ((1, 0), (1, _HIGHEST_MUSL))
    prefix = "manylinux" if libc == "glibc" else "musllinux"
    if not lowest <= floor <= highest:
        edge = lowest if floor < lowest else highest
        raise UsageFault(
            f"there is no {libc} {floor[0]}.{floor[1]} for {arch}",
            code="no-such-target",
            hint=f"the {'lowest' if edge == lowest else 'highest'} is {prefix}_{edge[0]}_{edge[1]}_{arch}",
        )
    tags = _manylinux_tags if libc == "glibc" else _musllinux_tags
    # A 64-bit ARM that runs a 32-bit system can do all that an older 32-bit one could.
    arches = ("armv8l", "armv7l") if arch == "armv8l" else (arch,)
    return Platform(
        word=f"{prefix}_{floor[0]}_{floor[1]}_{arch}" if word.startswith(prefix) else word,
        tags=(*(f"linux_{each}" for each in arches), *(tag for each in arches for tag in tags(floor[1], each))),
        os_name="posix",
        platform_machine=arch,
        platform_system="Linux",
        sys_platform="linux",
    )


def _manylinux_tags(newest: int, arch: str) -> Iterator[str]:
    for minor in range(newest, _LOWEST_TAG.get(arch, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{arch}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{arch}"


def _musllinux_tags(newest: int, arch: str) -> Iterator[str]:
    return (f"musllinux_1_{minor}_{arch}" for minor in range(newest, -1, -1))


def _unknown(text: str, word: str) -> UsageFault:
    known = tuple(known_platforms())
    if found := system(word):
        word = found.name
    if whole := [name for name in known if name.startswith((f"{word}-", f"{word}_"))]:
        return UsageFault(
            f"the platform {text!r} lacks an architecture",
            code="unknown-platform",
            hint=f"name one of {', '.join(whole[:9])}",
        )
    if word.startswith("linux_"):
        arch = word.removeprefix("linux_")
        return UsageFault(
            f"the platform {text!r} does not say which C library",
            code="unknown-platform",
            hint=f"name the oldest one to serve, as manylinux_2_28_{arch} (glibc) or musllinux_1_2_{arch} (Alpine)",
        )
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    return UsageFault(
        f"unknown platform {text!r}",
        code="unknown-platform",
        hint=(f"nearest: {', '.join(near)}; " if near else "")
        + "a platform is a wheel's tag (manylinux_2_28_x86_64, win_amd64), one of uv's names (linux, windows, macos, "
        "aarch64-apple-darwin) or a system (rhel9-x86_64, debian12-aarch64, alpine3.20-x86_64)",
    )
