"""This machine as a target: the one place that asks the running interpreter what it is.

Its tags are what packaging says of it, in that order; its markers are all but two: ``platform_release`` and
``platform_version`` stay empty, as for any target, so that a description that is carried away does not tell which
kernel runs here.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig

from packaging.tags import platform_tags, sys_tags

from pypimirror.errors import UsageFault
from pypimirror.model.names import label
from pypimirror.model.platforms import platform as read_platform
from pypimirror.model.targets import MarkerEnvironment, PatchRange, Target

__all__ = ["this_platform", "this_python", "this_target"]


def this_python() -> str:
    """What ``--python`` would say for this interpreter: ``3.12``, every patch release of it.

    PyPy's is exact, since PyPy's ABI may change with a patch of Python. Raises UsageFault (``unknown-python``) for
    other implementations.
    """
    name = sys.implementation.name
    if name == "pypy":
        return _exact_python()
    if name != "cpython":
        raise UsageFault(
            f"this Python is {name}, for which there are no targets by name",
            code="unknown-python",
            hint="name one with --python",
        )
    return f"3.{sys.version_info.minor}{_threaded()}"


def this_platform() -> str:
    """What ``--platform`` would say for this machine: ``manylinux_2_36_x86_64``, ``win_amd64``.

    Raises UsageFault (``unknown-platform``) where no platform of that name is known.
    """
    tags = list(platform_tags())
    tag = next((tag for tag in tags if not tag.startswith("linux_")), tags[0])
    try:
        return read_platform(tag).word
    except UsageFault as fault:
        raise UsageFault(
            f"this machine is no platform with a name: {fault}", code=fault.code, hint="name one with --platform"
        ) from None


def this_target() -> Target:
    """Exactly this interpreter on this machine: its own patch release, its tags in its own order."""
    python = _exact_python()
    tags = tuple(dict.fromkeys(map(str, sys_tags())))
    try:
        word = this_platform()
    except UsageFault:
        word = next(platform_tags())
    patch = sys.version_info.micro
    return Target(
        name=label(f"{python}-{word}"),
        python=python,
        platform=word,
        tags=tags,
        environment=_environment(),
        patches=PatchRange(lowest=patch, highest=patch),
    )


def _exact_python() -> str:
    name = sys.implementation.name
    return f"{'' if name == 'cpython' else name}{_version()}{_threaded()}"


def _threaded() -> str:
    return "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""


def _version() -> str:
    # A build from a checkout calls itself "3.13.1+", which is no version (PEP 440).
    return platform.python_version().rstrip("+")


def _environment() -> MarkerEnvironment:
    """The markers, each as the dependency specifiers standard (PEP 508) defines it."""
    own = sys.implementation.version
    stage = "" if own.releaselevel == "final" else f"{own.releaselevel[0]}{own.serial}"
    return MarkerEnvironment(
        implementation_name=sys.implementation.name,
        implementation_version=f"{own.major}.{own.minor}.{own.micro}{stage}",
        os_name=os.name,
        platform_machine=platform.machine(),
        platform_python_implementation=platform.python_implementation(),
        platform_release="",
        platform_system=platform.system(),
        platform_version="",
        python_full_version=_version(),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        sys_platform=sys.platform,
    )
