"""What is built: an sdist, or a folder that lies here; and what its pyproject.toml says of its backend.

Essential reading: PEP 517 (backend-path, the legacy default), PEP 518 (build-system).
"""

from __future__ import annotations

import sys
from pathlib import Path

from pypimirror.build.faults import BuildFault
from pypimirror.index.backends import LEGACY_REQUIRES
from pypimirror.index.metadata import MAX_BYTES
from pypimirror.model.names import NormalizedName, ParsedName, Version
from pypimirror.values import dataclass

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib  # the standard library has none before 3.11, and pip, which we need, does

__all__ = ["Backend", "Source", "read_backend"]

_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """An sdist's archive, or a project's folder. ``label`` names it to people.

    ``project`` and ``version`` are what the output must be of; None where that isn't known before.
    """

    path: Path
    label: str
    project: NormalizedName | None = None
    version: Version | None = None

    @classmethod
    def of_sdist(cls, path: Path, name: ParsedName) -> Source:
        return cls(path=path, label=name.filename, project=name.project, version=name.version)

    @classmethod
    def of_folder(cls, path: Path, *, label: str = "", project: NormalizedName | None = None) -> Source:
        """A local project, or a checkout: its version only the build can tell."""
        return cls(path=path, label=label or str(path), project=project)

    def admits(self, project: NormalizedName, version: Version) -> bool:
        """Whether output of this project and version can be of this source."""
        return self.project in (None, project) and (self.version is None or self.version == version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """The ``[build-system]`` table, with the defaults of PEP 517 and 518."""

    name: str
    path: tuple[str, ...] = ()
    requires: tuple[str, ...] = LEGACY_REQUIRES


def read_backend(folder: Path, label: str) -> Backend:
    """What the pyproject.toml in *folder* says. Raises BuildFault (``bad-sdist``); OSError."""
    data = _contents(folder / "pyproject.toml", label)
    if data is None:
        return Backend(name=_LEGACY_BACKEND)
    try:
        top = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _bad(label, "can't be read") from None
    if "build-system" not in top:
        return Backend(name=_LEGACY_BACKEND)
    table = top["build-system"]
    requires = table.get("requires") if isinstance(table, dict) else None
    if not isinstance(requires, list) or not all(isinstance(each, str) for each in requires):
        raise _bad(label, "has no build-system.requires that is a list of strings")
    name = table.get("build-backend", _LEGACY_BACKEND)
    path = table.get("backend-path", [])
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.replace(":", ".").split(".")):
        raise _bad(label, "names no Python object as its build-backend")
    if not isinstance(path, list) or not all(isinstance(each, str) and "\0" not in each for each in path):
        raise _bad(label, "has a backend-path that is not a list of strings")
    return Backend(name=name, path=tuple(path), requires=tuple(requires))


def _contents(path: Path, label: str) -> bytes | None:
    """A file's contents; None where there is none. What lies there was put there by ``unpacking``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError):
        return None
    if len(data) > MAX_BYTES:
        raise _bad(label, f"is larger than {MAX_BYTES} bytes")
    return data


def _bad(label: str, what: str) -> BuildFault:
    return BuildFault(f"its pyproject.toml {what}", source=label, code="bad-sdist")
