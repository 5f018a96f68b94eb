"""The build requirements as a Python environment: made from wheels that lie here, without any index.

``venv`` makes it without pip, and our own pip, shown to the new environment's Python as a folder, fills it. Both run in
the sandbox: nothing of a wheel is looked at out here, but to copy and to hash it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from pypimirror.build.faults import BuildFault
from pypimirror.build.limits import Limits
from pypimirror.build.running import Outcome, base_python
from pypimirror.build.sandbox import PlainSight, View
from pypimirror.disk import Disk
from pypimirror.errors import UsageFault
from pypimirror.model.names import FileName, Sha256, file_name

__all__ = ["Requirements", "make_environment", "take"]

Requirements = tuple[tuple[FileName, Sha256], ...]
"""The wheels of an environment: file names and digests, sorted."""

_CHUNK = 1024 * 1024
_INSTALL = (
    "install",
    "--isolated",
    "--no-index",
    "--no-deps",
    "--ignore-installed",
    "--no-cache-dir",
    "--no-compile",
    "--no-input",
    "--no-warn-script-location",
    "--disable-pip-version-check",
    "--quiet",
)


def take(wheels: Sequence[Path], folder: Path, disk: Disk) -> Requirements:
    """Copy *wheels* into *folder*, which is made. Raises ValueError for a name that is unsafe; OSError."""
    disk.make_folder(folder)
    found: list[tuple[FileName, Sha256]] = []
    for wheel in wheels:
        name = file_name(wheel.name)
        digest = hashlib.sha256()
        with wheel.open("rb") as source, disk.create(folder / name) as copy:
            while piece := source.read(_CHUNK):
                digest.update(piece)
                disk.write(copy, piece)
        found.append((name, Sha256(digest.hexdigest())))
    return tuple(sorted(found))


def make_environment(folder: Path, wheels: Requirements, *, place: PlainSight, limits: Limits, label: str) -> None:
    """Make ``env`` in *folder*, of the wheels that ``take`` put into its ``wheels``. Raises BuildFault; OSError."""
    place.give(folder)
    pip = _pip_folder()
    view = View(folder=folder, readable=((pip, "pip"),))
    make = [str(base_python()), "-I", "-m", "venv", "--without-pip", str(place.seen(view, "env"))]
    _check(place.run(make, cwd=".", extra={}, view=view, limits=limits), "making the build environment", label)
    if wheels:
        files = [str(place.seen(view, f"wheels/{name}")) for name, _ in wheels]
        python = str(place.seen(view, "env/bin/python"))
        install = [python, "-I", str(place.seen(view, "pip")), *_INSTALL, *files]
        _check(place.run(install, cwd=".", extra={}, view=view, limits=limits), "installing what it builds with", label)


def _check(outcome: Outcome, what: str, label: str) -> None:
    if not outcome.good:
        raise BuildFault(
            f"{what} failed: {outcome}",
            source=label,
            hook="environment",
            code="build-timeout" if outcome.limit == "time" else "build-failed",
            output=outcome.output,
        )


def _pip_folder() -> Path:
    """Where our pip lies; it is not imported. Raises UsageFault."""
    spec = importlib.util.find_spec("pip")
    if spec is None or not spec.submodule_search_locations:
        raise UsageFault("this Python has no pip", code="no-pip", hint="install pip into this environment")
    return Path(spec.submodule_search_locations[0])
