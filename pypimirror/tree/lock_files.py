"""One lock -> the text of its two files. Pure.

    requirements.txt   for every pip and uv: ``--no-index``, ``--find-links`` to the page of links, ``==`` with hashes
    pylock.toml        for pip 26.1 and newer, and uv: the standard's lock file, with relative paths

Both lie in ``locks/``, beside ``packages/``, and stay right wherever the folder that holds both is moved to.

Essential reading: the pylock.toml specification (PEP 751), TOML 1.0, the requirements file format of pip. The page of
links is named, not the folder: it has hashes, so that a client passes over what the lock does not list; it has
requires-python for what an sdist is built with; and pip 23.2 reads it five times as fast as a folder of 10,000 files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import Label, NormalizedName, Version
from pypimirror.model.plan import Uncovered
from pypimirror.model.targets import PatchRange, Target
from pypimirror.values import dataclass

__all__ = ["Lock", "LockedPin", "covering_marker", "pylock", "requirements"]

_PACKAGES = "../packages"
_LIBRARY_OF_32_BITS = frozenset({"i686", "x86", "armv6l", "armv7l"})
_UPLOAD_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*Z", re.ASCII)
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f]|[^\x00-\x7f]')


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedPin:
    """A project at one version, for those patch releases of the target on which ``marker`` holds; empty: for all.

    ``files``: first the one that the target installs, then wheels of this version that a poorer host would take.
    With ``alone`` another version differs in its local label only, so that ``==`` would admit that one, too.
    """

    project: NormalizedName
    version: Version
    files: tuple[BundledFile, ...]
    marker: str = ""
    alone: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """One set on one target. ``bundle`` is the name it is known by; ``covered`` are patch releases, ascending."""

    set: Label
    target: Target
    bundle: str
    covered: tuple[PatchRange, ...]
    pins: tuple[LockedPin, ...]
    uncovered: tuple[Uncovered, ...] = ()


# ---- requirements.txt -----------------------------------------------------------------------------------------------


def requirements(lock: Lock, name: str) -> bytes:
    """The lock as a requirements file that will be called *name*."""
    lines = [
        *_heading(lock),
        f"#     pip install -r {name}",
        f"#     uv pip install -r {name}",
        f"# Over http:  pip install --find-links URL/packages/index.html -r URL/locks/{name}",
        "--no-index",
        f"--find-links {_PACKAGES}/index.html",
    ]
    for pin in lock.pins:
        operator = "===" if pin.alone else "=="
        marker = f" ; {pin.marker}" if pin.marker else ""
        hashes = " \\\n".join(f"    --hash=sha256:{file.sha256}" for file in pin.files)
        lines.append(f"{pin.project}{operator}{pin.version}{marker} \\\n{hashes}")
    return _encoded(lines)


def _heading(lock: Lock) -> Iterator[str]:
    """Comments; what is free text in a manifest must not begin a line of its own."""
    for line in _said(lock):
        yield line.encode("unicode_escape").decode("ascii")


def _said(lock: Lock) -> Iterator[str]:
    yield f"# Set {lock.set} on {lock.target.name}, of bundle {lock.bundle}; made by pypimirror."
    for gap in lock.uncovered:
        yield f"# Not for Python {gap.patches.describe(lock.target.environment.python_version)}."
    if not lock.pins:
        yield "# Nothing is needed here: the markers of all requirements leave this target out."


def _encoded(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("ascii")


# ---- pylock.toml ----------------------------------------------------------------------------------------------------


def pylock(lock: Lock, name: str) -> bytes:
    """The lock as a pylock.toml that will be called *name*."""
    # The standard has no place for where build requirements come from.
    offline = (
        f"--no-index --find-links {_PACKAGES}/index.html " if any(p.files[0].build_requires for p in lock.pins) else ""
    )
    lines = [
        *_heading(lock),
        *(
            ("# What its sdists are built with is in packages/, too; no option in this file can say so:",)
            if offline
            else ()
        ),
        f"#     pip install {offline}-r {name}       (pip 26.1 or newer)",
        f"#     uv pip install {offline}-r {name}",
        'lock-version = "1.0"',
        f"environments = [{', '.join(_quoted(marker) for marker in _environments(lock))}]",
        f"requires-python = {_quoted(f'>={_lowest(lock)}')}",
        'created-by = "pypimirror"',
        *(() if lock.pins else ("packages = []",)),
    ]
    for pin in lock.pins:
        lines += _package(pin)
    lines += [
        "",
        "[tool.pypimirror]",
        f"bundle = {_quoted(lock.bundle)}",
        f"set = {_quoted(lock.set)}",
        f"target = {_quoted(lock.target.name)}",
    ]
    return _encoded(lines)


def _package(pin: LockedPin) -> Iterator[str]:
    own = pin.files[0]
    yield ""
    yield "[[packages]]"
    yield f"name = {_quoted(pin.project)}"
    yield f"version = {_quoted(str(pin.version))}"
    if pin.marker:
        yield f"marker = {_quoted(pin.marker)}"
    if own.requires_python is not None and _is_specifier(own.requires_python):
        yield f"requires-python = {_quoted(own.requires_python)}"
    if not _is_standard(own):
        # "packages.archive": of any name. A reader of wheels and sdists refuses a whole lock for one odd name.
        yield f"archive = {_file(own)}"
    elif own.filename.endswith(".whl"):
        yield "wheels = ["
        yield from (f"    {_file(file)}," for file in pin.files if _is_standard(file))
        yield "]"
    else:
        yield f"sdist = {_file(own)}"


def _file(file: BundledFile) -> str:
    """A relative path is "relative to the location of this file", and it is no URL: ``+`` stands as it is."""
    values = [] if (time := _upload_time(file.upload_time)) is None else [f"upload-time = {time}"]
    values += [
        f"path = {_quoted(f'{_PACKAGES}/{file.filename}')}",
        f"size = {file.size}",
        f"hashes = {{sha256 = {_quoted(file.sha256)}}}",
    ]
    return f"{{{', '.join(values)}}}"


def _upload_time(text: str | None) -> str | None:
    """As TOML has it, at most six digits of a second; None where it is no time in UTC after all."""
    match = _UPLOAD_TIME.fullmatch(text or "")
    if match is None:
        return None
    try:
        datetime.strptime(f"{match[1]}+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
    return f"{match[1]}{match[2] or ''}Z"


def _is_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def _is_standard(file: BundledFile) -> bool:
    """Whether the name reads as the specifications of wheels and sdists have it; old sdists have ``.tar.bz2``."""
    try:
        if file.filename.endswith(".whl"):
            name, version = parse_wheel_filename(file.filename)[:2]
        else:
            name, version = parse_sdist_filename(file.filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return False
    return (name, version) == (file.project, file.version)


def _quoted(text: str) -> str:
    """A basic string of TOML, in ASCII. *text* has no lone surrogates: TOML could not hold them."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    if letter in '"\\':
        return f"\\{letter}"
    return f"\\u{ord(letter):04X}" if ord(letter) <= 0xFFFF else f"\\U{ord(letter):08X}"  # noqa: PLR2004 - four digits


# ---- which Python ---------------------------------------------------------------------------------------------------


def _environments(lock: Lock) -> Iterator[str]:
    """Where the lock may be used: where its markers were judged. What tags tell apart is left to the wheels' names."""
    environment = lock.target.environment
    judged = [
        ("implementation_name", environment.implementation_name),
        ("platform_machine", environment.platform_machine),
        ("python_version", environment.python_version),
        ("sys_platform", environment.sys_platform),
    ]
    # A Python of 32 bits says the machine that its kernel runs on, which may have 64.
    markers = [
        f"{key} == '{value}'"
        for key, value in judged
        if key != "platform_machine" or value.lower() not in _LIBRARY_OF_32_BITS
    ]
    for patches in lock.covered:
        clauses = _clauses(patches, environment.python_version, lower=patches.lowest > 0, upper=True)
        yield " and ".join([*markers, *clauses])


def _lowest(lock: Lock) -> str:
    """The lowest Python that the lock is for: ``3.12``, ``3.11.3``, ``3.15.0rc1``."""
    environment = lock.target.environment
    lowest = min((patches.lowest for patches in lock.covered), default=lock.target.patches.lowest)
    if lowest != lock.target.patches.lowest:
        return f"{environment.python_version}.{lowest}"
    full = environment.python_full_version
    return environment.python_version if full == f"{environment.python_version}.0" else full


def covering_marker(wanted: Sequence[PatchRange], covered: Sequence[PatchRange], minor: str) -> str:
    """A marker that holds on *wanted*, and on no other patch release that is *covered*; empty for all of these.

    Both are ascending and without overlaps, *wanted* is a part of *covered*. What is not covered at all gets the pins
    of all that is: a client then says what does not fit, where it would install nothing in silence.
    """
    if tuple(wanted) == tuple(covered):
        return ""
    parts = [
        _clauses(each, minor, lower=each.lowest > covered[0].lowest, upper=each.highest != covered[-1].highest)
        for each in wanted
    ]
    return " or ".join(" and ".join(clauses) for clauses in parts)


def _clauses(patches: PatchRange, minor: str, *, lower: bool, upper: bool) -> list[str]:
    clauses = [f"python_full_version >= '{minor}.{patches.lowest}'"] if lower else []
    if upper and patches.highest is not None:
        clauses.append(f"python_full_version < '{minor}.{patches.highest + 1}'")
    return clauses
