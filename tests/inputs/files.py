"""A reader of files that are in a dictionary: paths count from a folder ``/here``."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from pypimirror.errors import InputFaults, UsageFault
from pypimirror.inputs.requirements import read_wishes
from pypimirror.inputs.wishes import Wishes

__all__ = ["Files", "faults_of", "read"]


class Files:
    """The port of inputs, in memory. An address is a key like any other; a value that is an error is raised."""

    def __init__(self, files: Mapping[str, str | bytes | Exception]) -> None:
        self.files = {key if key.startswith("http") else self._path(key): value for key, value in files.items()}
        self.reads: list[str] = []

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        key = path if path.startswith("http") else self._path(path)
        if self.is_folder(path):
            raise IsADirectoryError(21, "Is a directory", path)
        value = self.files.get(key, FileNotFoundError(2, "No such file or directory", path))
        if isinstance(value, Exception):
            raise value
        return value if isinstance(value, bytes) else value.encode()

    def is_file(self, path: str) -> bool:
        return self._path(path) in self.files and not self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        inside = f"{self._path(path)}/"
        return not path.startswith("http") and any(key.startswith(inside) for key in self.files)

    def absolute(self, path: str) -> str:
        return f"file://{quote(self._path(path))}"

    @staticmethod
    def _path(path: str) -> str:
        local = unquote(urlsplit(path).path) if path.startswith("file:") else path
        return posixpath.normpath(posixpath.join("/here", local))


def read(
    files: Mapping[str, str | bytes | Exception] | Files | str | bytes,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    require_hashes: bool = False,
) -> Wishes:
    """Read ``requirements.txt`` of these files, or the one file that a text stands for, and *arguments*."""
    if isinstance(files, (str, bytes)):
        files = {"requirements.txt": files}
    reader = files if isinstance(files, Files) else Files(files)
    named = ["requirements.txt"] if "/here/requirements.txt" in reader.files else []
    return read_wishes(
        arguments=arguments,
        requirement_files=named,
        reader=reader,
        environ=environ or {},
        require_hashes=require_hashes,
    )


def faults_of(
    files: Mapping[str, str | bytes | Exception] | Files | str | bytes,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    require_hashes: bool = False,
) -> tuple[UsageFault, ...]:
    """The faults that reading these ends with; fails where there is none."""

    try:
        wishes = read(files, *arguments, environ=environ, require_hashes=require_hashes)
    except InputFaults as error:
        return error.faults
    raise AssertionError(f"no fault, but {wishes}")
