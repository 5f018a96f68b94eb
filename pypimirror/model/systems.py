"""Systems by name: which C library each one brings, and the architectures that it is made for.

A version of a system stands here with the *lowest* C library that any of its updates shipped with, so that what is
chosen for ``sles15`` runs on every service pack of it. Sources: the package lists of the distributions.
"""

from __future__ import annotations

import re

from pypimirror.values import dataclass

__all__ = ["ALIASES", "SYSTEMS", "System", "system"]


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One version of a distribution. ``libc`` is ``glibc`` or ``musl``; ``floor`` is its version."""

    name: str
    libc: str
    floor: tuple[int, int]
    arches: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Family:
    """A distribution: the C library of each version of it."""

    versions: dict[str, tuple[int, int]]
    arches: tuple[str, ...]
    libc: str = "glibc"


_ENTERPRISE = ("x86_64", "aarch64", "ppc64le", "s390x")
_CLOUD = ("x86_64", "aarch64")
_ALL = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64")

_RED_HAT = {"7": (2, 17), "8": (2, 28), "9": (2, 34), "10": (2, 39)}

_FAMILIES: dict[str, _Family] = {
    "rhel": _Family(arches=_ENTERPRISE, versions=_RED_HAT),
    "centos": _Family(arches=_ENTERPRISE, versions=_RED_HAT),
    "rocky": _Family(arches=(*_ENTERPRISE, "riscv64"), versions={v: _RED_HAT[v] for v in ("8", "9", "10")}),
    "alma": _Family(arches=_ENTERPRISE, versions={v: _RED_HAT[v] for v in ("8", "9", "10")}),
    "oracle": _Family(arches=_CLOUD, versions=_RED_HAT),
    "fedora": _Family(
        arches=_ENTERPRISE,
        versions={
            "38": (2, 37),
            "39": (2, 38),
            "40": (2, 39),
            "41": (2, 40),
            "42": (2, 41),
            "43": (2, 42),
            "44": (2, 43),
            "45": (2, 44),
        },
    ),
    "amazonlinux": _Family(arches=_CLOUD, versions={"2": (2, 26), "2023": (2, 34)}),
    "sles": _Family(
        arches=_ENTERPRISE,
        versions={
            "12": (2, 19),
            "12.2": (2, 22),
            "12.3": (2, 22),
            "12.4": (2, 22),
            "12.5": (2, 22),
            "15": (2, 26),
            "15.3": (2, 31),
            "15.4": (2, 31),
            "15.5": (2, 31),
            "15.6": (2, 38),
            "15.7": (2, 38),
            "16": (2, 40),
        },
    ),
    "debian": _Family(
        arches=_ALL,
        versions={"10": (2, 28), "11": (2, 31), "12": (2, 36), "13": (2, 41)},
    ),
    "ubuntu": _Family(
        arches=_ALL,
        versions={
            "18.04": (2, 27),
            "20.04": (2, 31),
            "22.04": (2, 35),
            "24.04": (2, 39),
            "25.04": (2, 41),
            "25.10": (2, 42),
            "26.04": (2, 43),
        },
    ),
    "alpine": _Family(
        libc="musl",
        arches=_ALL,
        versions={f"3.{minor}": (1, 1) if minor < 13 else (1, 2) for minor in range(9, 25)},  # noqa: PLR2004 - musl 1.2 came with 3.13
    ),
}

ALIASES = {
    "el": "rhel",
    "redhat": "rhel",
    "rockylinux": "rocky",
    "almalinux": "alma",
    "ol": "oracle",
    "oraclelinux": "oracle",
    "al": "amazonlinux",
    "amzn": "amazonlinux",
    "amazon": "amazonlinux",
    "sle": "sles",
    "suse": "sles",
}
"""Other names that people, images and package lists use for a family."""

SYSTEMS: dict[str, System] = {
    f"{family}{version}": System(name=f"{family}{version}", libc=each.libc, floor=floor, arches=each.arches)
    for family, each in _FAMILIES.items()
    for version, floor in each.versions.items()
}

_NAME = re.compile(r"([a-z]+)([0-9]+(?:\.[0-9]+)*)")


def system(name: str) -> System | None:
    """The system of that name, or None. A minor release that is not listed counts as its major: ``rhel9.4``."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    family, version = ALIASES.get(match[1], match[1]), match[2]
    while version:
        if f"{family}{version}" in SYSTEMS:
            return SYSTEMS[f"{family}{version}"]
        version = version.rpartition(".")[0]
    return None
