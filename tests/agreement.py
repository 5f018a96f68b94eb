"""Do our pins equal those of ``uv pip compile``? Each example on six targets, as a table; run by ``nox -s agreement``.

Both ask the indexes of this machine's pip, at the same time, with fresh caches. To compare like with like:

- uv takes ``3.11`` as 3.11.0, while ours stands for every patch release. So uv is asked once for each interval of patch
  releases that we solved, at its oldest, which the table names.
- uv may look into an sdist, but nothing that a build would need is there for it: as here, only static metadata count.
  Where that stops it, it is asked again for wheels alone (``--no-build``).
- Where the answers differ, each side is given the other's pins as constraints. An answer that the other side takes as
  it stands is valid. One that is nowhere newer and somewhere older than the other one is a fault all the same.

The exit code is 1 where a difference has no good explanation. Addresses of indexes are never printed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pypimirror.connected import Connection, Request, connect, plan
from pypimirror.errors import PypimirrorError
from pypimirror.host_reader import LocalReader
from pypimirror.inputs.requirements import read_wishes
from pypimirror.model import aim
from pypimirror.model.names import label, project_name
from pypimirror.model.requests import Constraint, Origin, Policy, WishSet
from pypimirror.net.settings import CommandLineOptions, Settings, resolve_settings
from pypimirror.reporting import Reporter

EXAMPLES = Path(__file__).parent.parent / "requirements-examples"

TARGETS = (
    ("3.11", "rhel9-x86_64", "x86_64-manylinux_2_34"),
    ("3.12", "manylinux_2_28_aarch64", "aarch64-manylinux_2_28"),
    ("3.12", "win_amd64", "x86_64-pc-windows-msvc"),
    ("3.13", "aarch64-apple-darwin", "aarch64-apple-darwin"),
    ("3.10", "musllinux_1_2_x86_64", "x86_64-unknown-linux-musl"),
    ("3.14", "manylinux_2_28_x86_64", "x86_64-manylinux_2_28"),
)
"""A Python, a platform as we name it, and the same one as uv names it."""

_UPPER_BOUNDS = "uv, unlike pip, disregards upper bounds of Requires-Python: "

Pins = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Pins by project, or why there are none; CPU seconds, ours without those of the network's threads' waiting."""

    pins: Pins | None
    fault: str = ""
    code: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of one comparison. ``good`` unless somebody should look into it."""

    word: str
    good: bool = True
    lines: tuple[str, ...] = ()


# ---- our side -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ours:
    """Our resolver, over one connection for all questions."""

    connection: Connection

    def intervals(self, wishes: WishSet, python: str, platform: str) -> dict[str, Answer]:
        """The answer for each interval of patch releases, by its oldest one (``3.11.4``), oldest first."""
        began = time.process_time()
        target = aim.target(python, platform)
        try:
            made = plan(Request(sets=(wishes,), targets=(target,)), self.connection, Reporter())
        except PypimirrorError as error:
            lasted = time.process_time() - began
            return {f"{python}.0": Answer(pins=None, fault=str(error), code=error.code, seconds=lasted)}
        lasted = time.process_time() - began
        solved = {
            each.patches.lowest: Answer(
                pins={pin.project: str(pin.version) for pin in each.pins}, seconds=lasted, notes=made.notes
            )
            for each in made.resolutions
            if each.set == wishes.name  # what builds sdists is no answer to the wishes
        }
        gaps = {
            gap.patches.lowest: Answer(pins=None, fault=gap.reason, seconds=lasted)
            for gap in made.uncovered
            if gap.set == wishes.name
        }
        return {f"{python}.{patch}": answer for patch, answer in sorted({**solved, **gaps}.items())}

    def accepts(self, wishes: WishSet, full_python: str, platform: str, pins: Pins) -> str:
        """Empty where *pins* as constraints are solved to themselves; else what came instead."""
        bounds = tuple(
            Constraint(requirement=Requirement(f"{project}=={version}"), origin=Origin(path="uv's pins"))
            for project, version in sorted(pins.items())
        )
        bound = replace(wishes, constraints=(*wishes.constraints, *bounds))
        (answer,) = self.intervals(bound, full_python, platform).values()
        if answer.pins is None:
            return answer.fault.splitlines()[0]
        return ", ".join(_changes(pins, answer.pins))

    def too_new_a_python(self, pins: Pins, full_python: str) -> list[str]:
        """The pins whose files all say that this Python is too new for them."""
        found = []
        for project, version in sorted(pins.items()):
            listing = self.connection.index.listing(project_name(project))
            bounds = {
                file.requires_python
                for file in (listing.files if listing else ())
                if file.name.version == Version(version) and file.requires_python
            }
            if bounds and not any(SpecifierSet(bound).contains(full_python, prereleases=True) for bound in bounds):
                found.append(f"{project} {version} (needs Python {' or '.join(sorted(bounds))})")
        return found


# ---- uv -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Uv:
    """uv's resolver, told to use the same indexes, and to build nothing."""

    folder: Path
    command: str
    settings: Settings = field(repr=False)

    def compile(self, source: Path, full_python: str, platform: str, pins: Pins | None = None) -> Answer:
        """uv's pins for *source*; with *pins* as constraints, where they are given."""
        bounds: list[str] = []
        if pins is not None:
            path = self.folder / "constraints.txt"
            path.write_text("".join(f"{project}=={version}\n" for project, version in sorted(pins.items())))
            bounds = ["--constraints", str(path)]
        where = ["--python-platform", platform, "--python-version", full_python, *bounds, str(source)]
        answer = self._run("--no-build-isolation", *where)
        if answer.pins is None and "build" in answer.fault:
            wheels = self._run("--no-build", *where)
            return replace(wheels, notes=(f"uv takes wheels alone, since it would build: {_short(answer.fault)}",))
        return answer

    def _run(self, *arguments: str) -> Answer:
        # The Python is an empty environment: without build isolation it has nothing to build with.
        command = [
            self.command, "pip", "compile", "--no-config", "--no-header", "--no-annotate", "--quiet",
            "--color", "never", "--cache-dir", str(self.folder / "uv"), "--python", str(self._python()),
            *self._indexes(), *arguments,
        ]  # fmt: skip
        before = os.times()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._env(), timeout=600)
        after = os.times()
        lasted = after.children_user + after.children_system - before.children_user - before.children_system
        if done.returncode != 0:
            return Answer(pins=None, fault=self._without_addresses(done.stderr), seconds=lasted)
        return Answer(pins=dict(_pins(done.stdout)), seconds=lasted)

    def _indexes(self) -> Iterator[str]:
        """The same sources in the same order: the last index is the default one."""
        indexes = [source.url for source in self.settings.sources if source.kind == "index"]
        for source in self.settings.sources:
            if source.kind == "find-links":
                yield from ("--find-links", source.url)
        for url in indexes[:-1]:
            yield from ("--index", url)
        yield from ("--default-index", indexes[-1]) if indexes else ("--no-index",)

    def _python(self) -> Path:
        home = self.folder / "empty"
        python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not python.exists():
            command = [self.command, "venv", "--quiet", "--no-config", "--python", sys.executable, str(home)]
            subprocess.run(command, check=True, env=self._env(), timeout=120)
        return python

    def _env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "VIRTUAL_ENV"))}
        cert = {"SSL_CERT_FILE": self.settings.cert} if self.settings.cert else {}
        return {**kept, **cert, "UV_PYTHON_DOWNLOADS": "never"}

    def _without_addresses(self, text: str) -> str:
        return re.sub(r"(https?|file)://[^\s`'\")]+", "<address>", text).strip()


def _pins(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, version = line.partition("==")
        if equals:
            yield canonicalize_name(name), version.strip()


def _short(text: str) -> str:
    """uv's reasons are drawn as trees over many lines: one line of it."""
    plain = re.sub(r"[^\x21-\x7e]+", " ", text).strip()
    return plain if len(plain) < 200 else f"{plain[:200]} ..."


# ---- judging --------------------------------------------------------------------------------------------------------


def _changes(ours: Pins, theirs: Pins) -> list[str]:
    """``numpy 2.1 (ours) 2.0 (other)`` for each project that is not the same."""
    return [
        f"{project} {ours.get(project, 'absent')} -> {theirs.get(project, 'absent')}"
        for project in sorted(ours.keys() | theirs.keys())
        if not _same_version(ours.get(project), theirs.get(project))
    ]


def _same_version(one: str | None, other: str | None) -> bool:
    return one == other if one is None or other is None else Version(one) == Version(other)


def _newer(some: Pins, others: Pins) -> list[str]:
    """The projects of both that are newer in *some*."""
    return [p for p in sorted(some.keys() & others.keys()) if Version(some[p]) > Version(others[p])]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One example on one target, at one patch release."""

    source: Path
    wishes: WishSet
    full_python: str
    platform: str
    uv_platform: str

    def judge(self, mine: Answer, theirs: Answer, ours: Ours, uv: Uv) -> Verdict:
        if mine.pins is not None and theirs.pins is not None:
            if not _changes(mine.pins, theirs.pins):
                return Verdict(word="equal")
            return self._judge_pins(mine.pins, theirs.pins, ours, uv, theirs.notes)
        return self._judge_alone(mine, theirs, ours, uv)

    def _judge_alone(self, mine: Answer, theirs: Answer, ours: Ours, uv: Uv) -> Verdict:
        """At least one side has no answer."""
        reasons = [f"we: {mine.fault.splitlines()[0]}"] if mine.pins is None else []
        reasons += [f"uv: {_short(theirs.fault)}"] if theirs.pins is None else []
        reasons += theirs.notes
        if mine.pins is not None:
            there = uv.compile(self.source, self.full_python, self.uv_platform, mine.pins)
            valid = there.pins is not None and not _changes(mine.pins, there.pins)
            word = "uv finds none, yet takes ours" if valid else "ONLY OURS"
            return Verdict(word=word, good=valid, lines=tuple(reasons))
        if theirs.pins is None:
            return Verdict(word="neither has an answer", lines=tuple(reasons))
        if too_new := ours.too_new_a_python(theirs.pins, self.full_python):
            return Verdict(word="uv's would not install by pip", lines=(*reasons, _UPPER_BOUNDS + ", ".join(too_new)))
        refusal = ours.accepts(self.wishes, self.full_python, self.platform, theirs.pins)
        if mine.code == "older-version" and not refusal:
            return Verdict(word="we leave an older version to the person", lines=tuple(reasons))
        return Verdict(word="ONLY UV'S", good=False, lines=(*reasons, f"uv's as constraints: {refusal or 'taken'}"))

    def _judge_pins(self, mine: Pins, theirs: Pins, ours: Ours, uv: Uv, notes: Iterable[str]) -> Verdict:
        lines = [*notes, "ours -> uv's: " + ", ".join(_changes(mine, theirs))]
        there = uv.compile(self.source, self.full_python, self.uv_platform, mine)
        valid = there.pins is not None and not _changes(mine, there.pins)
        refusal = ours.accepts(self.wishes, self.full_python, self.platform, theirs)
        if too_new := ours.too_new_a_python(theirs, self.full_python):
            lines.append(_UPPER_BOUNDS + ", ".join(too_new))
            return Verdict(word="uv's would not install by pip", good=valid, lines=tuple(lines))
        if refusal:
            lines.append(f"we don't take uv's: {refusal}")
        if not valid:
            lines.append(f"uv doesn't take ours: {_short(there.fault) or ', '.join(_changes(mine, there.pins or {}))}")
        newer, older = _newer(mine, theirs), _newer(theirs, mine)
        if valid and older and not newer and not refusal:
            return Verdict(word="OURS IS OLDER", good=False, lines=tuple(lines))
        if valid and not refusal:
            word = "both valid: ours is newer" if newer and not older else "both valid: each newer in something"
            return Verdict(word=word, lines=tuple(lines))
        if valid and newer and not older:
            return Verdict(word="ours is newer", lines=tuple(lines))
        return Verdict(word="DIFFERENT", good=False, lines=tuple(lines))


# ---- the run --------------------------------------------------------------------------------------------------------


def _wishes(source: Path) -> WishSet:
    read = read_wishes(requirement_files=[str(source)], reader=LocalReader(), environ=os.environ)
    policy = Policy(prereleases=read.prereleases, formats=read.formats, prefer_binary=read.prefer_binary)
    return WishSet(name=label("default"), roots=read.roots, constraints=read.constraints, policy=policy)


def _compare(source: Path, target: tuple[str, str, str], ours: Ours, uv: Uv) -> Iterator[bool]:
    """Compare one example on one target, print its rows, and say for each whether it is good."""
    python, platform, uv_platform = target
    wishes = _wishes(source)
    for full_python, mine in ours.intervals(wishes, python, platform).items():
        theirs = uv.compile(source, full_python, uv_platform)
        case = Case(source=source, wishes=wishes, full_python=full_python, platform=platform, uv_platform=uv_platform)
        verdict = case.judge(mine, theirs, ours, uv)
        counts = [str(len(answer.pins)) if answer.pins is not None else "-" for answer in (mine, theirs)]
        _row(source.stem, f"{full_python} {platform}", *counts, f"{mine.seconds:.2f}", f"{theirs.seconds:.2f}",
             verdict.word if verdict.good else f"! {verdict.word}")  # fmt: skip
        for line in verdict.lines:
            print(f"    {line}")  # noqa: T201 - a script for people
        yield verdict.good


def _row(*cells: str) -> None:
    widths = (18, 32, -5, -5, -7, -7, 1)
    texts = [
        f"{cell:>{-width}}" if width < 0 else f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)
    ]
    print("  ".join(texts).rstrip(), flush=True)  # noqa: T201 - a script for people


def _target(text: str) -> tuple[str, str, str]:
    python, _, platforms = text.partition(":")
    platform, _, uv_platform = platforms.partition(":")
    return python, platform, uv_platform or platform


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.agreement", description="Compare our pins with uv's.")
    parser.add_argument("files", nargs="*", type=Path, help="requirements files (default: every example)")
    parser.add_argument("--target", action="append", type=_target, help="PYTHON:PLATFORM[:UV'S NAME OF IT]; repeats")
    parser.add_argument("--cache", type=Path, help="a folder for both caches, to keep (default: fresh ones)")
    asked = parser.parse_args(arguments)
    command = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if command is None:
        parser.error("uv is not installed")
    settings = resolve_settings(options=CommandLineOptions())
    files = [Path(os.path.relpath(path)) for path in asked.files or sorted(EXAMPLES.glob("*.txt"))]
    _row("example", "Python, platform", "ours", "uv's", "our CPU", "uv CPU", "verdict")
    with tempfile.TemporaryDirectory() as scratch:
        folder = (asked.cache or Path(scratch)).resolve()
        uv = Uv(folder=folder, command=command, settings=settings)
        with connect(settings, cache_folder=folder / "ours", reporter=Reporter()) as connection:
            ours = Ours(connection=connection)
            targets = asked.target or TARGETS
            good = [each for path in files for target in targets for each in _compare(path, target, ours, uv)]
    bad = good.count(False)
    print(f"{len(good)} compared, {bad} to look into (those with '!')")  # noqa: T201 - a script for people
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
