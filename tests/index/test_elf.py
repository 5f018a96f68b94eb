"""What compiled modules need: of real ones as readelf says it, of damaged ones nothing but a refusal."""

# ruff: noqa: S311 - chance, and no secret

from __future__ import annotations

import io
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pypimirror.errors import IntegrityFault
from pypimirror.index.elf import BadElf, is_elf, read_module
from pypimirror.index.linkage import Linkage, linkage
from pypimirror.model.names import parse_file_name
from tests.fakes.archives import make_wheel


def make_module(
    needed: list[str], versions: dict[str, list[str]], *, wide: bool = True, order: str = "<", machine: int = 62
) -> bytes:
    """The parts of a shared library that a loader looks at first."""
    head, program, entry, word = (64, 56, 16, "Q") if wide else (52, 32, 8, "L")
    strings = b"\0"

    def named(text: str) -> int:
        nonlocal strings
        strings += text.encode() + b"\0"
        return len(strings) - len(text) - 1

    dynamic = [(1, named(name)) for name in needed]
    table = b""
    for number, (library, texts) in enumerate(versions.items(), 1):
        step = 16 * (1 + len(texts)) if number < len(versions) else 0
        table += struct.pack(f"{order}HHLLL", 1, len(texts), named(library), 16, step)
        for inner, text in enumerate(texts, 1):
            table += struct.pack(f"{order}LHHLL", 0, 0, 0, named(text), 16 if inner < len(texts) else 0)
    base = 0x10000
    at = head + 2 * program
    dynamic += [(5, base + at), (10, len(strings)), (0x6FFFFFFE, base + at + len(strings)), (0x6FFFFFFF, len(versions))]
    where = at + len(strings) + len(table)
    section = b"".join(struct.pack(f"{order}{word}{word}", *each) for each in [*dynamic, (0, 0)])
    total = where + len(section)

    def segment(kind: int, offset: int, address: int, size: int) -> bytes:
        if wide:
            return struct.pack(f"{order}LLQQQQQQ", kind, 4, offset, address, address, size, size, 1)
        return struct.pack(f"{order}LLLLLLLL", kind, offset, address, address, size, size, 4, 1)

    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    header = ident + struct.pack(f"{order}HHL{word}{word}{word}L", 3, machine, 1, 0, head, 0, 0)
    header += struct.pack(f"{order}HHHHHH", head, program, 2, 0, 0, 0)
    segments = segment(1, 0, base, total) + segment(2, where, base + where, entry * (len(dynamic) + 1))
    return header + segments + strings + table + section


def of_wheel(files: dict[str, bytes], tag: str = "cp312-cp312-linux_x86_64") -> Linkage:
    name, data = make_wheel("thing", "1.0", tags=[tag], files=dict(files))
    return linkage(io.BytesIO(data), name=parse_file_name(name))


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_needs_and_versions_are_read_in_every_layout(wide: bool, order: str) -> None:  # noqa: FBT001 - a parameter
    data = make_module(
        ["libc.so.6", "libfoo.so.1"], {"libc.so.6": ["GLIBC_2.17", "GLIBC_2.4"], "b": ["X_1"]}, wide=wide, order=order
    )
    found = read_module(data)
    assert found.machine == "x86_64"
    assert found.needed == ("libc.so.6", "libfoo.so.1")
    assert found.versions == (("b", "X_1"), ("libc.so.6", "GLIBC_2.17"), ("libc.so.6", "GLIBC_2.4"))


def test_real_modules_are_read_as_readelf_reads_them() -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("no readelf here")
    files = [path for path in sorted(Path("/usr/bin").iterdir()) if path.is_file() and is_elf(path.read_bytes()[:4])]
    for path in random.Random(3).sample(files, min(40, len(files))):
        found = read_module(path.read_bytes())
        said = subprocess.run([readelf, "-dVW", str(path)], check=True, capture_output=True, text=True).stdout
        assert list(found.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", said)
        needs = said.partition("Version needs section")[2]
        assert sorted({version for _, version in found.versions}) == sorted(
            set(re.findall(r"Name: (\S+)  Flags", needs))
        )


def test_damaged_modules_are_refused_or_read_never_more() -> None:
    data = make_module(["libc.so.6"], {"libc.so.6": ["GLIBC_2.17"] * 3})
    chance = random.Random(11)
    for _ in range(20_000):
        changed = bytearray(data[: chance.choice((len(data), chance.randrange(len(data))))])
        for _ in range(chance.randrange(1, 5)):
            if changed:
                changed[chance.randrange(len(changed))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            read_module(bytes(changed))
        except BadElf:
            continue


def test_tables_that_point_to_themselves_end() -> None:
    data = bytearray(make_module([], {"libc.so.6": ["A_1"], "x": ["B_1"]}))
    at = data.index(struct.pack("<HHLL", 1, 1, 1, 16))
    data[at + 2 : at + 4] = b"\xff\xff"
    data[at + 12 : at + 16] = b"\0\0\0\0"
    read_module(bytes(data))


def test_a_pure_wheel_is_known() -> None:
    found = of_wheel({"thing.py": b"x = 1\n", "LICENSE": b"free"}, "py3-none-any")
    assert found.is_pure
    assert found.fits((2, 5))
    assert not of_wheel({"thing.py": b"x = 1\n"}).is_pure
    hidden = of_wheel({"thing.so": make_module(["libc.so.6"], {"libc.so.6": ["GLIBC_2.5"]})}, "py3-none-any")
    assert not hidden.is_pure


def test_the_floor_is_that_of_the_newest_symbol() -> None:
    one = make_module(["libc.so.6"], {"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.14"]})
    two = make_module(
        ["libstdc++.so.6"], {"libstdc++.so.6": ["GLIBCXX_3.4.21", "CXXABI_1.3"], "libc.so.6": ["GLIBC_2.3.4"]}
    )
    found = of_wheel({"a.cpython-312-x86_64-linux-gnu.so": one, "lib/two.so.1": two})
    assert [module.path for module in found.modules] == ["a.cpython-312-x86_64-linux-gnu.so", "lib/two.so.1"]
    assert found.floor == (2, 24)
    assert found.fits((2, 28))
    assert not found.fits((2, 17))
    assert of_wheel({"a.so": one}).floor == (2, 14)


def test_libraries_from_outside_are_named() -> None:
    module = make_module(["libssl.so.3", "libc.so.6", "libown-1234.so.1"], {"libc.so.6": ["GLIBC_2.4"]})
    found = of_wheel({"thing/a.so": module, "thing.libs/libown-1234.so.1": make_module([], {})})
    assert found.outside == ("libssl.so.3",)
    assert not found.fits((2, 99))


@pytest.mark.parametrize("version", ["GLIBC_PRIVATE", "GLIBCXX_9.9.9", "GLIBC_x.y", "CXXABI_LDBL_1.3"])
def test_versions_beyond_what_is_known_fit_nowhere(version: str) -> None:
    found = of_wheel({"a.so": make_module(["libc.so.6"], {"libc.so.6": [version]})})
    assert found.unknown == (version,)
    assert found.floor is None
    assert not found.fits((2, 99))


def test_a_module_that_cant_be_read_is_refused() -> None:
    with pytest.raises(IntegrityFault, match=r"thing-1\.0"):
        of_wheel({"a.so": b"\x7fELF"})
