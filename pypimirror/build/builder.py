"""Builds, one after another, each from a fresh copy of its source; told as a story in ``requires_for_wheel`` and below.

<temporary folder>/
  environment-<n>/   wheels/ env/ home/ tmp/      build requirements, installed; read-only once they are
  job-<n>/           src/ out/ call/ home/ tmp/   one hook's world
"""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pypimirror.build.environment import Requirements, make_environment, take
from pypimirror.build.faults import BuildFault, printable
from pypimirror.build.hooks import Hooks
from pypimirror.build.limits import Limits
from pypimirror.build.reading import Unreadable, opened, sweep
from pypimirror.build.sandbox import PlainSight, Sandbox, View
from pypimirror.build.source import Source, read_backend
from pypimirror.build.unpacking import copy_folder, unpack
from pypimirror.disk import DISK, Disk, disk_fault
from pypimirror.errors import IntegrityFault, PolicyFault
from pypimirror.index import wheel as wheels
from pypimirror.index.metadata import MAX_BYTES, headers, parse_core_metadata
from pypimirror.model.names import Sha256, parse_file_name, parse_version, project_name
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["Builder", "Built"]

_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """One hook that was run, for the manifest and the report. ``sdist_sha256`` is None for a folder.

    ``requirements`` are the wheels it was built with. ``output`` is the wheel's name, empty for the other hooks.
    """

    source: str
    hook: str
    backend: str
    requirements: Requirements
    sdist_sha256: Sha256 | None
    sandboxed: bool
    seconds: float
    output: str = ""


class Builder:
    """Runs build backends, in *sandbox*, or in plain sight where it is None. A context manager; not for threads.

    All of its work lies in one temporary folder (in *folder*, or where the system keeps such), which is removed at the
    end, whatever happens. ``built`` tells what was run, in order. All methods raise BuildFault (``build-failed``,
    ``build-timeout``, ``build-lied``, ``bad-sdist``) and DiskFault; entering raises PolicyFault (``no-sandbox``).
    """

    def __init__(
        self,
        *,
        sandbox: Sandbox | None,
        limits: Limits | None = None,
        reporter: Reporter | None = None,
        disk: Disk = DISK,
        folder: Path | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._place = sandbox or PlainSight()
        self._limits = limits or Limits()
        self._reporter = reporter or Reporter()
        self._disk = disk
        self._parent = folder
        self._root = Path()
        self._numbers = itertools.count(1)
        self._environments: dict[Requirements, Path] = {}
        self.built: tuple[Built, ...] = ()

    def __enter__(self) -> Builder:  # noqa: PYI034 - typing has no Self in 3.10
        refusal = None if self._sandbox is None else self._sandbox.probe()
        if refusal is not None or not hasattr(os, "fork"):
            raise PolicyFault(
                f"builds run in a sandbox, and this system allows none: {refusal}",
                code="no-sandbox",
                hint="allow user namespaces, or trust what is built with --unsandboxed-build",
            )
        try:
            self._root = Path(tempfile.mkdtemp(prefix="pypimirror-build-", dir=self._parent)).resolve()
        except OSError as error:
            raise disk_fault(error, "making a folder for builds") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            sweep(self._root)

    def requires_for_wheel(self, source: Source, environment: Sequence[Path]) -> tuple[str, ...]:
        """What the backend asks for besides ``build-system.requires``, judged for this host.

        *environment* are wheels, verified, that fulfil ``build-system.requires``: no more is installed than these.
        """
        with self._job(source, environment, "get_requires_for_build_wheel") as job:
            return job.hooks.requires()

    def metadata(self, source: Source, environment: Sequence[Path]) -> bytes:
        """The METADATA of the wheel that would be built; where the backend can't tell it, of one that is."""
        with self._job(source, environment, "prepare_metadata_for_build_wheel") as job:
            folder = job.hooks.metadata()
            if folder is not None:
                data = job.contents(f"out/{folder}/METADATA")
                job.check_identity(data)
                return data
        with self._job(source, environment, "build_wheel") as job:
            checked = self._root / f"checked-{next(self._numbers)}"
            self._disk.make_folder(checked, mode=0o700)
            return self._gated(job, checked)[1]

    def wheel(self, source: Source, environment: Sequence[Path], into: Path) -> Path:
        """Build a wheel, check it like a download, and put it *into* a folder that exists, under its own name."""
        with self._job(source, environment, "build_wheel") as job:
            return self._gated(job, into)[0]

    @contextmanager
    def _job(self, source: Source, environment: Sequence[Path], hook: str) -> Iterator[_Job]:
        """A fresh copy of *source* with its environment, ready for its hooks; swept when done, and noted."""
        self._reporter.step(f"Building {source.label}")
        folder = self._root / f"job-{next(self._numbers)}"
        try:
            begun = time.monotonic()
            self._make_folders(folder, "home", "tmp", "out")
            digest, unpacked = self._lay_out(source, folder)
            backend = read_backend(unpacked, source.label)
            own, requirements = self._environment(environment, source.label)
            self._disk.rename(unpacked, folder / "src")
            self._place.give(folder)
            view = View(folder=folder, readable=((own, "env"),))
            hooks = Hooks(backend, place=self._place, view=view, limits=self._limits, label=source.label)
            job = _Job(source, folder, hooks)
            yield job
            self.built += (
                Built(
                    source=source.label,
                    hook=hook,
                    backend=backend.name,
                    requirements=requirements,
                    sdist_sha256=digest,
                    sandboxed=self._place.sandboxed,
                    seconds=round(time.monotonic() - begun, 3),
                    output=job.output,
                ),
            )
        except OSError as error:
            raise disk_fault(error, f"building {source.label}") from None
        finally:
            with suppress(OSError):
                sweep(folder)

    def _make_folders(self, folder: Path, *names: str) -> None:
        self._disk.make_folder(folder, mode=0o700)
        for name in names:
            self._disk.make_folder(folder / name)

    def _lay_out(self, source: Source, folder: Path) -> tuple[Sha256 | None, Path]:
        """The source's own files, unpacked or copied; its digest, and the folder they lie in."""
        if source.path.is_dir():
            copy = folder / "copy"
            left_out = copy_folder(source.path, copy, label=source.label, limits=self._limits, disk=self._disk)
            if left_out:
                names = ", ".join(left_out[:3])
                self._reporter.note(f"{source.label}: links that lead out of it are left out of the build: {names}")
            return None, copy
        self._disk.make_folder(folder / "unpacked")
        with source.path.open("rb") as file:
            digest = _digest(file)
            top = unpack(file, source.label, folder / "unpacked", limits=self._limits, disk=self._disk)
        return digest, top

    def _environment(self, paths: Sequence[Path], label: str) -> tuple[Path, Requirements]:
        """The environment of these wheels. In a sandbox builds can't change it, and so it serves all that want it."""
        folder = self._root / f"environment-{next(self._numbers)}"
        self._make_folders(folder, "home", "tmp")
        requirements = take(paths, folder / "wheels", self._disk)
        known = self._environments.get(requirements)
        if known is not None:
            sweep(folder)
            return known, requirements
        make_environment(folder, requirements, place=self._place, limits=self._limits, label=label)
        if self._place.sandboxed:
            self._environments[requirements] = folder / "env"
        return folder / "env", requirements

    def _gated(self, job: _Job, into: Path) -> tuple[Path, bytes]:
        """Have the wheel built, copied out of the hostile folder, and checked; only then it gets its name."""
        said = job.hooks.wheel()
        try:
            name = parse_file_name(said)
        except ValueError as error:
            raise job.lied(f"build_wheel made {printable(said[:80])!r}: {error}") from None
        if not name.is_wheel or not job.source.admits(name.project, name.version):
            raise job.lied(f"build_wheel made {name.filename}, a file of something else")
        part, target = into / f".{self._root.name}.part", into / name.filename
        try:
            with job.read(f"out/{name.filename}", self._limits.unpacked) as source, self._disk.create(part) as copy:
                while piece := source.read(_CHUNK):
                    self._disk.write(copy, piece)
                copy.seek(0)
                data = wheels.gate(copy, name=name)
                parse_core_metadata(data, filename=name)
            self._disk.rename(part, target)
        except IntegrityFault as error:
            raise job.lied(f"build_wheel made a wheel that can't be used: {error}") from None
        finally:
            with suppress(FileNotFoundError):
                self._disk.remove(part)
        job.output = name.filename
        return target, data


class _Job:
    """One source on its way through one hook."""

    def __init__(self, source: Source, folder: Path, hooks: Hooks) -> None:
        self.source = source
        self.folder = folder
        self.hooks = hooks
        self.output = ""

    def lied(self, what: str) -> BuildFault:
        return BuildFault(
            what, source=self.source.label, hook="build_wheel", code="build-lied", output=self.hooks.output
        )

    @contextmanager
    def read(self, path: str, limit: int) -> Iterator[BinaryIO]:
        """A file that the build left. Raises BuildFault."""
        try:
            with opened(self.folder, path, limit=limit) as file:
                yield file
        except Unreadable as error:
            raise self.lied(f"it left something that can't be used: {error}") from None

    def contents(self, path: str) -> bytes:
        with self.read(path, MAX_BYTES) as file:
            return file.read(MAX_BYTES + 1)

    def check_identity(self, metadata: bytes) -> None:
        """Whether *metadata* is of this source. Raises BuildFault."""
        fields = dict(reversed(headers(metadata)))
        try:
            project, version = project_name(fields.get("name", "")), parse_version(fields.get("version", ""))
        except ValueError:
            raise self.lied("its metadata has no Name, or no Version, that is one") from None
        if not self.source.admits(project, version):
            raise self.lied(f"its metadata is of {project} {version}")


def _digest(file: BinaryIO) -> Sha256:
    digest = hashlib.sha256()
    while piece := file.read(_CHUNK):
        digest.update(piece)
    return Sha256(digest.hexdigest())
