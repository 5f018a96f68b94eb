"""From words to targets: a Python and a platform, as a person names them, make one Target. Nothing asks the host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from pypimirror.errors import InputFaults, UsageFault
from pypimirror.model.names import label
from pypimirror.model.platforms import Platform
from pypimirror.model.platforms import platform as read_platform
from pypimirror.model.pythons import Python
from pypimirror.model.pythons import python as read_python
from pypimirror.model.targets import MarkerEnvironment, Target

__all__ = ["target", "targets"]

T = TypeVar("T")


def target(python: str, platform: str) -> Target:
    """The target of one ``--python`` and one ``--platform``.

    Raises UsageFault: ``unknown-python``, ``unknown-platform``, or ``no-such-target`` for a pair that nobody makes.
    """
    return _join(read_python(python), read_platform(platform))


def targets(pythons: Iterable[str], platforms: Iterable[str]) -> tuple[Target, ...]:
    """Every combination, Pythons first, each target once however it was spelt.

    Raises InputFaults with every fault of every word.
    """
    faults: list[UsageFault] = []
    read_pythons = _read_all(read_python, pythons, faults)
    read_platforms = _read_all(read_platform, platforms, faults)
    found: dict[str, Target] = {}
    for python in read_pythons:
        for platform in read_platforms:
            try:
                made = _join(python, platform)
            except UsageFault as fault:
                faults.append(fault)
            else:
                found.setdefault(made.name, made)
    if faults:
        raise InputFaults(tuple({str(fault): fault for fault in faults}.values()))
    return tuple(found.values())


def _read_all(read: Callable[[str], T], words: Iterable[str], faults: list[UsageFault]) -> list[T]:
    made = []
    for word in words:
        try:
            made.append(read(word))
        except UsageFault as fault:
            faults.append(fault)
    return made


def _join(python: Python, platform: Platform) -> Target:
    if python.implementation == "pypy" and platform.word in {"win32", "win_arm64"}:
        raise UsageFault(
            f"there is no {python.word} for {platform.word}", code="no-such-target", hint="PyPy on Windows is win_amd64"
        )
    return Target(
        name=label(f"{python.word}-{platform.word}"),
        python=python.word,
        platform=platform.word,
        tags=python.tags(platform.tags),
        environment=_environment(python, platform),
        patches=python.patches,
    )


def _environment(python: Python, platform: Platform) -> MarkerEnvironment:
    """The eleven markers. Release and version of the operating system are nobody's to know: empty, as in uv."""
    return MarkerEnvironment(
        implementation_name=python.implementation,
        implementation_version=python.release or python.full_version,
        os_name=platform.os_name,
        platform_machine=platform.platform_machine,
        platform_python_implementation="PyPy" if python.implementation == "pypy" else "CPython",
        platform_release="",
        platform_system=platform.platform_system,
        platform_version="",
        python_full_version=python.full_version,
        python_version=f"3.{python.minor}",
        sys_platform=platform.sys_platform,
    )
