"""What a compiled Linux module needs of the system it is loaded on: libraries, and versions of their symbols.

Every number in such a file is hostile: each read is checked against the end of the data, each count is bounded, and no
table is followed twice. What lies is a BadElf, or it is not there.
Essential reading: the System V ABI, chapters 4 and 5 (ELF header, program headers, dynamic section); the Linux Standard
Base, "Symbol Versioning" (verneed).
"""

from __future__ import annotations

import struct

from pypimirror.values import dataclass

__all__ = ["BadElf", "Module", "is_elf", "read_module"]

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ = 0, 1, 5, 10
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_MOST_ENTRIES = 4096
_LONGEST_NAME = 256
_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64", 22: "s390x"}


class BadElf(ValueError):
    """The data is no module that can be loaded, or parts of it lie outside of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """``machine`` as platform tags have it, or empty; ``needed`` libraries in the file's order, as DT_NEEDED has them.

    ``versions`` are the versioned symbols it wants: pairs (library, version), such as (libc.so.6, GLIBC_2.17), sorted.
    """

    machine: str
    needed: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]


def is_elf(head: bytes) -> bool:
    """Whether a file that begins so is one of the kind."""
    return head.startswith(b"\x7fELF")


def read_module(data: bytes) -> Module:
    """Raises BadElf."""
    return _Reader(data).module()


class _Reader:
    def __init__(self, data: bytes) -> None:
        if not is_elf(data) or len(data) < 20 or data[4] not in (1, 2) or data[5] not in (1, 2):  # noqa: PLR2004 - e_ident
            raise BadElf("it is no ELF file")
        self._data = data
        self._wide = data[4] == 2  # noqa: PLR2004 - ELFCLASS64
        self._order = "<" if data[5] == 1 else ">"
        self._loads: list[tuple[int, int, int]] = []

    def _numbers(self, layout: str, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + layout, self._data, at)
        except (struct.error, OverflowError):
            raise BadElf("a part of it lies outside of it") from None

    def module(self) -> Module:
        (machine,) = self._numbers("H", 18)
        start = end = 0
        for kind, offset, address, size in self._segments():
            if kind == _PT_LOAD:
                self._loads.append((address, offset, size))
            elif kind == _PT_DYNAMIC:
                start, end = offset, offset + size
        entries = self._dynamic(start, end)
        strings = self._strings(entries)
        needed = [self._name(strings, value) for tag, value in entries if tag == _DT_NEEDED]
        return Module(
            machine=_MACHINES.get(machine, ""),
            needed=tuple(dict.fromkeys(needed)),
            versions=tuple(sorted(set(self._versions(entries, strings)))),
        )

    def _segments(self) -> list[tuple[int, int, int, int]]:
        """(type, offset, address, size in the file) of each program header."""
        (table,) = self._numbers("Q", 32) if self._wide else self._numbers("L", 28)
        size, count = self._numbers("HH", 54 if self._wide else 42)
        if count > _MOST_ENTRIES:
            raise BadElf("it has too many segments")
        found: list[tuple[int, int, int, int]] = []
        for number in range(count):
            at = table + number * size
            if self._wide:
                kind, _, offset, address, _, length = self._numbers("LLQQQQ", at)
            else:
                kind, offset, address, _, length = self._numbers("LLLLL", at)
            found.append((kind, offset, address, length))
        return found

    def _dynamic(self, start: int, end: int) -> list[tuple[int, int]]:
        """The entries of the dynamic section: (tag, value)."""
        size = 16 if self._wide else 8
        found: list[tuple[int, int]] = []
        for at in range(start, min(end, start + _MOST_ENTRIES * size), size):
            tag, value = self._numbers("QQ" if self._wide else "LL", at)
            if tag == _DT_NULL:
                break
            found.append((tag, value))
        return found

    def _offset(self, address: int) -> int:
        """Where in the file lies what is loaded at *address*."""
        for first, offset, size in self._loads:
            if first <= address < first + size:
                return offset + address - first
        raise BadElf("a part of it is not loaded from it")

    def _strings(self, entries: list[tuple[int, int]]) -> bytes:
        values = dict(entries)
        if _DT_STRTAB not in values:
            return b""
        at = self._offset(values[_DT_STRTAB])
        return self._data[at : at + values.get(_DT_STRSZ, 0)]

    def _name(self, strings: bytes, at: int) -> str:
        end = strings.find(b"\0", at, at + _LONGEST_NAME)
        try:
            name = strings[at:end].decode("ascii") if 0 <= at <= end else ""
        except UnicodeDecodeError:
            name = ""
        if not name or not name.isprintable():
            raise BadElf("a name in it can't be read")
        return name

    def _versions(self, entries: list[tuple[int, int]], strings: bytes) -> list[tuple[str, str]]:
        values = dict(entries)
        if _DT_VERNEED not in values:
            return []
        found: list[tuple[str, str]] = []
        at = self._offset(values[_DT_VERNEED])
        for _ in range(min(values.get(_DT_VERNEEDNUM, 0), _MOST_ENTRIES)):
            _, count, file, first, following = self._numbers("HHLLL", at)
            library, inner = self._name(strings, file), at + first
            for _ in range(count):
                _, _, _, name, step = self._numbers("LHHLL", inner)
                found.append((library, self._name(strings, name)))
                if len(found) > _MOST_ENTRIES:
                    raise BadElf("it wants too many versions")
                if not step:
                    break
                inner += step
            if not following:
                break
            at += following
        return found
