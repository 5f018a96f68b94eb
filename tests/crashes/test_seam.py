"""Nobody goes around the seam: between a bundle and a tree, only ``Disk`` changes the disk."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pypimirror

PACKAGE = Path(pypimirror.__file__).parent
WRITES_ELSEWHERE = {"server.py": "it writes to the sockets of clients, and no bundle or tree is changed with it"}
MODULES = [
    path
    for path in (*(PACKAGE / "bundle").glob("*.py"), *(PACKAGE / "tree").glob("*.py"), PACKAGE / "closed.py")
    if path.name not in WRITES_ELSEWHERE
]

OS_READS = {
    "DirEntry", "O_RDONLY", "PathLike", "SEEK_CUR", "SEEK_END", "SEEK_SET", "close", "cpu_count", "environ", "fdopen",
    "fsdecode", "fsencode", "fspath", "fstat", "getpid", "linesep", "listdir", "lstat", "name", "open", "path",
    "pathsep", "read", "readlink", "scandir", "sep", "stat", "stat_result", "strerror",
}  # fmt: skip
"""What of ``os`` may be used: it looks, and changes nothing. ``open`` only with flags that have a name; these are
among the constants here, or a string after ``O_`` that is no flag for writing."""

WRITING_FLAGS = {"O_APPEND", "O_CREAT", "O_RDWR", "O_TMPFILE", "O_TRUNC", "O_WRONLY"}

IO_READS = {"BytesIO", "StringIO", "TextIOWrapper"}

FORBIDDEN = {"fcntl", "msvcrt", "shutil", "tempfile", "mmap", "tarfile", "zipfile"}
"""Modules that can write. Reading a bundle or a tree needs none of them."""

CHANGING = {
    "chmod", "copy", "copy_into", "flush", "hardlink_to", "lchmod", "link_to", "mkdir", "move", "remove_folder",
    "remove_tree", "rename", "rmdir", "symlink_to", "touch", "truncate", "unlink", "write", "write_bytes",
    "write_text", "writelines",
}  # fmt: skip
"""Methods that change something, of paths, files and ``Disk``; they may be called on a disk alone."""

EXEMPT = {
    ("long_page.py", "page.writelines(self._pieces(head, tail, old))"): "a buffer in memory",
    ("writer.py", "target.flush()"): "standard output, whoever reads it",
    ("writer.py", "packing.write(part.file)"): "a method of ours, which writes through the disk",
    ("writer.py", "packing.write(target)"): "the same",
}


def _is_disk(node: ast.expr) -> bool:
    """``disk``, ``DISK``, or an attribute of that name: ``self._disk``, ``tree.disk``."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_").lower() == "disk"


def changes(text: str) -> Iterator[tuple[int, str]]:
    """Where a module changes the disk without the seam: line, code."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            if any(name.partition(".")[0] in FORBIDDEN for name in names) or names == ["os"] != _imported(node):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("io", "os"):
            if node.attr not in (OS_READS if node.value.id == "os" else IO_READS):
                yield node.lineno, ast.unparse(node)
        elif (isinstance(node, ast.Constant) and node.value in WRITING_FLAGS) or (
            isinstance(node, ast.Call) and _writes(node)
        ):
            yield node.lineno, ast.unparse(node)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [each.name for each in node.names]


def _writes(call: ast.Call) -> bool:
    function = call.func
    arguments = [ast.unparse(each) for each in call.args]
    if isinstance(function, ast.Name):
        return function.id == "open" or (function.id == "FileIO" and arguments[1:] != ["'rb'"])
    if not isinstance(function, ast.Attribute) or _is_disk(function.value):
        return False
    if ast.unparse(function) == "os.open":
        return not isinstance(call.args[1], ast.Name)
    modes = {"open": arguments, "fdopen": arguments[1:]}
    if function.attr in modes:
        return modes[function.attr] != ["'rb'"]
    if function.attr == "replace":  # a string's has two arguments, a path's has one
        return len(call.args) == 1 and not call.keywords
    return function.attr in CHANGING


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_changes_the_disk_through_the_seam_alone(path: Path) -> None:
    wrong = [
        f"{path.name}:{line}: {code}; give it a Disk, and let that do it"
        for line, code in changes(path.read_text(encoding="utf-8"))
        if (path.name, code) not in EXEMPT
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "import shutil", "from shutil import rmtree", "from os import remove", "os.remove(path)", "os.open(path, 2)",
        "path.unlink()", "path.replace(target)", "path.write_bytes(b'')", "path.open('wb')", "path.open(mode='w')",
        "open(path)", "file.write(b'')", "file.truncate(0)", "path.mkdir()", "import fcntl", "path.rename(other)",
        "os.sync()", "self.file.flush()", "os.fdopen(3, 'wb')",
        "flags = getattr(os, 'O_CREAT')", "os.open(path, os.O_RDWR)",
        "FileIO(path, 'w')",
    ],
)  # fmt: skip
def test_what_goes_around_it_is_seen(line: str) -> None:
    assert list(changes(f"def f():\n    {line}"))


@pytest.mark.parametrize(
    "line",
    [
        "text.replace('a', 'b')",
        "disk.remove(path)",
        "self._disk.write(file, b'')",
        "path.open('rb')",
        "os.fstat(3)",
        "os.open(path, FLAGS)",
    ],
)
def test_what_only_looks_or_goes_through_it_is_not(line: str) -> None:
    assert list(changes(f"def f():\n    {line}")) == []
