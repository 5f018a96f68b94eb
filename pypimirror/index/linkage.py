"""What a wheel that was built here would need of the machine it is installed on; which manylinux floors it could meet.

No tag is invented from it: a wheel keeps the one that its backend gave it. It is for saying, and for refusing, what a
floor does not promise.
Essential reading: PEP 600 (manylinux_x_y), PEP 513 (the libraries that may be taken from outside).
"""

from __future__ import annotations

import re

from pypimirror.errors import IntegrityFault
from pypimirror.index import elf, zips
from pypimirror.model.names import ParsedName
from pypimirror.values import dataclass

__all__ = ["Floor", "Linkage", "LinkedModule", "linkage"]

Floor = tuple[int, int]
"""A version of glibc: (2, 17)."""

_MAX_MODULE = 1024 * 1024 * 1024
_BINARY = re.compile(r"\.(so|pyd|dylib|dll)(\.|$)|^[^.]*$")

# PEP 513 and 600: what every manylinux system has, beside glibc's own.
_SYSTEM = frozenset({
    "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1", "libresolv.so.2",
    "libnsl.so.1", "libanl.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libatomic.so.1", "libX11.so.6", "libXext.so.6",
    "libXrender.so.1", "libICE.so.6", "libSM.so.6", "libGL.so.1", "libgobject-2.0.so.0", "libgthread-2.0.so.0",
    "libglib-2.0.so.0", "libz.so.1", "libexpat.so.1",
    "ld-linux-x86-64.so.2", "ld-linux.so.2", "ld-linux-aarch64.so.1", "ld-linux-armhf.so.3", "ld64.so.1", "ld64.so.2",
    "ld-linux-riscv64-lp64d.so.1",
})  # fmt: skip

# Which glibc the first systems had that came with these: compilers' libraries age with the system they come from.
_CAME_WITH: dict[str, list[tuple[tuple[int, ...], Floor]]] = {
    "GLIBCXX": [((3, 4, 8), (2, 5)), ((3, 4, 13), (2, 12)), ((3, 4, 19), (2, 17)), ((3, 4, 22), (2, 24)),
                ((3, 4, 24), (2, 27)), ((3, 4, 28), (2, 31)), ((3, 4, 29), (2, 34)), ((3, 4, 30), (2, 35)),
                ((3, 4, 32), (2, 39))],
    "CXXABI": [((1, 3, 1), (2, 5)), ((1, 3, 3), (2, 12)), ((1, 3, 7), (2, 17)), ((1, 3, 10), (2, 24)),
               ((1, 3, 11), (2, 27)), ((1, 3, 12), (2, 31)), ((1, 3, 13), (2, 34)), ((1, 3, 14), (2, 39))],
    "GCC": [((4, 2, 0), (2, 5)), ((4, 3, 0), (2, 12)), ((4, 8, 0), (2, 17)), ((7, 0, 0), (2, 27)),
            ((12, 0, 0), (2, 36)), ((14, 0, 0), (2, 39))],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkedModule:
    """One compiled file of a wheel. ``outside`` are the libraries it needs that no manylinux floor promises."""

    path: str
    module: elf.Module
    outside: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Linkage:
    """What a wheel's compiled files need. ``is_pure``: its tags promise any platform, and there is no compiled file.

    ``floor`` is the lowest glibc on which all of their symbols are there, None where they want none of glibc (a pure
    wheel, or one of musl), or more than is known (``unknown`` says what). ``modules`` in the archive's order.
    """

    is_pure: bool
    modules: tuple[LinkedModule, ...]
    floor: Floor | None
    unknown: tuple[str, ...]

    @property
    def outside(self) -> tuple[str, ...]:
        """Every library that no floor promises, sorted."""
        return tuple(sorted({library for module in self.modules for library in module.outside}))

    def fits(self, floor: Floor) -> bool:
        """Whether the wheel runs wherever glibc is *floor* or newer, as far as its libraries tell."""
        return not self.outside and not self.unknown and (self.is_pure or (self.floor or floor) <= floor)


def linkage(source: zips.RandomAccess, *, name: ParsedName) -> Linkage:
    """Look at every compiled file of a wheel. Raises IntegrityFault (``bad-wheel``), and whatever *source* raises."""
    try:
        archive = zips.Reader(source)
        entries = zips.central(archive)
        own = {entry.name.rpartition("/")[2] for entry in entries}
        modules = tuple(
            LinkedModule(path=entry.name, module=module, outside=_outside(module, own))
            for entry in entries
            if not entry.is_folder and entry.size and (module := _module(archive, entry)) is not None
        )
    except (zips.BadZip, elf.BadElf) as error:
        raise IntegrityFault(f"{name.filename}: {error}", code="bad-wheel") from None
    versions = {version for module in modules for _, version in module.module.versions}
    floors, unknown = _floors(versions)
    return Linkage(
        is_pure=not modules and set(name.platforms) == {"any"},
        modules=modules,
        floor=max(floors, default=None) if not unknown else None,
        unknown=tuple(sorted(unknown)),
    )


def _module(archive: zips.Bytes, entry: zips.Entry) -> elf.Module | None:
    """The compiled file that *entry* may be. Only what is named like one is unpacked: a wheel may hold gigabytes."""
    if not _BINARY.search(entry.name.rpartition("/")[2]):
        return None
    data = zips.unpack(archive, entry, limit=_MAX_MODULE)
    return elf.read_module(data) if elf.is_elf(data) else None


def _outside(module: elf.Module, own: set[str]) -> tuple[str, ...]:
    return tuple(library for library in module.needed if library not in _SYSTEM and library not in own)


def _floors(versions: set[str]) -> tuple[list[Floor], list[str]]:
    """The floors that *versions* ask for, and those of them that are beyond what is known."""
    floors: list[Floor] = []
    unknown: list[str] = []
    for version in versions:
        family, _, text = version.partition("_")
        numbers = (
            tuple(int(part) for part in text.split(".")) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})*", text) else ()
        )
        if family == "GLIBC" and len(numbers) >= 2:  # noqa: PLR2004 - 2.17, 2.2.5
            floors.append((numbers[0], numbers[1]))
        elif family in _CAME_WITH and numbers:
            floor = next((floor for most, floor in _CAME_WITH[family] if numbers <= most), None)
            if floor is None:
                unknown.append(version)
            else:
                floors.append(floor)
        elif family in ("GLIBC", "GLIBCXX", "CXXABI", "GCC") and text not in ("ABI_DT_RELR", "TM_1"):
            unknown.append(version)
    return floors, unknown
