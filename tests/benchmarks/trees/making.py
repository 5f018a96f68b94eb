"""What is raced over: a folder of wheels, a bundle of them, and a bundle of ten new files. Made once, kept.

The bundle is as ``pypimirror bundle`` makes it: with a set, its resolution, and ready-made pages.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pypimirror.bundle.sealing import with_members
from pypimirror.bundle.writer import write_bundle
from pypimirror.model import manifest_json
from pypimirror.model.manifest import BundledFile, BundledProject, BundledSet, Manifest, Sidecar, WrittenRequirement
from pypimirror.model.names import FileName, NormalizedName, Sha256, label, parse_version
from pypimirror.model.plan import Pin, Resolution, Want
from pypimirror.model.targets import PatchRange
from pypimirror.tree.lists import bundle_members
from tests.benchmarks.trees.wheels import PER_PROJECT, Wheel, make_wheel, wheels
from tests.tree.helpers import TARGET

__all__ = ["Material", "material"]

_EDITION = b"1"  # to be raised where what is made here changes
_SEQUENCE = 1_790_000_000
_ROOTS = 40
_NEW = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Where everything lies. ``listing`` is what dumb-pypi reads: a JSON object a line. ``new`` has ten new wheels."""

    files: int
    folder: Path

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def bundle(self) -> Path:
        return self.folder / "first.tar"

    @property
    def following(self) -> Path:
        return self.folder / "second.tar"

    @property
    def new(self) -> Path:
        return self.folder / "new"

    @property
    def listing(self) -> Path:
        return self.folder / "listing.json"


def material(store: Path, files: int) -> Material:
    """What was made before, or is made now: *files* in a tenth as many projects."""
    projects = files // PER_PROJECT
    found = Material(files=files, folder=store / "trees" / f"{files}-{_recipe()}")
    if found.folder.is_dir():
        return found
    part = found.folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    made = Material(files=files, folder=part)
    made.wheels.mkdir(parents=True)
    made.new.mkdir()
    everything = list(wheels(projects))
    _write_bundle(everything, made.bundle, roots=min(_ROOTS, projects), sequence=_SEQUENCE)
    step = max(1, projects // _NEW)
    new = [
        make_wheel(number * step % projects, PER_PROJECT + number * step // projects, alone=True)
        for number in range(_NEW)
    ]
    _write_bundle(new, made.following, roots=_NEW, sequence=_SEQUENCE + 1_000)
    with made.listing.open("w", encoding="utf-8") as listing:
        for wheel in everything:
            (made.wheels / wheel.filename).write_bytes(wheel.data)
            listing.write(f"{json.dumps(_row(wheel))}\n")
    for wheel in new:
        (made.new / wheel.filename).write_bytes(wheel.data)
    part.rename(found.folder)
    return found


def _recipe() -> str:
    """What is kept is of use as long as this stays the same."""
    few = _manifest([make_wheel(1, version) for version in range(2)], roots=1, sequence=_SEQUENCE)
    return hashlib.sha256(_EDITION + manifest_json.dump(few)).hexdigest()[:12]


def _row(wheel: Wheel) -> dict[str, object]:
    row = {
        "filename": wheel.filename,
        "hash": f"sha256={_sha256(wheel.data)}",
        "requires_python": wheel.requires_python,
        "requires_dist": wheel.requires_dist,
        "core_metadata": f"sha256={_sha256(wheel.metadata)}",
        "upload_timestamp": 1_767_000_000,
    }
    return row if wheel.yanked is None else {**row, "yanked_reason": wheel.yanked}


def _write_bundle(several: Sequence[Wheel], path: Path, *, roots: int, sequence: int) -> None:
    manifest = _manifest(several, roots=roots, sequence=sequence)
    sources: dict[str, bytes] = {page.path: page.data for page in bundle_members(manifest)}
    manifest = with_members(manifest, sources)
    for wheel in several:
        sources[f"packages/{wheel.filename}"] = wheel.data
        sources[f"packages/{wheel.filename}.metadata"] = wheel.metadata
    write_bundle(manifest, sources, path, hashed=False)


def _manifest(several: Iterable[Wheel], *, roots: int, sequence: int) -> Manifest:
    files = tuple(sorted(map(_bundled, several), key=lambda file: file.filename))
    names = sorted({file.project for file in files})
    pins = _pins(files, names[len(names) - roots :])
    wanted = tuple(WrittenRequirement(requirement=name, origin="wishes.txt:1") for name in names[len(names) - roots :])
    return Manifest(
        channel=label("default"),
        sequence=sequence,
        tool="benchmark",
        targets=(TARGET,),
        sets=(BundledSet(name=label("main"), roots=wanted),),
        resolutions=(Resolution(set=label("main"), target=TARGET.name, patches=PatchRange(), pins=pins),),
        files=files,
        projects=tuple(BundledProject(name=name) for name in names),
    )


def _pins(files: Iterable[BundledFile], roots: Sequence[NormalizedName]) -> tuple[Pin, ...]:
    """The newest version of each root, and of what it wants."""
    newest: dict[NormalizedName, BundledFile] = {}
    for file in files:
        if file.project not in newest or file.version > newest[file.project].version:
            newest[file.project] = file
    wants: dict[NormalizedName, list[Want]] = {}
    to_see: list[tuple[NormalizedName, Want]] = [(name, Want(by="wishes.txt:1", text=name)) for name in roots]
    while to_see:
        name, want = to_see.pop()
        if name not in wants:
            file = newest[name]
            by = f"{name} {file.version}"
            to_see += [(NormalizedName(text.partition(">=")[0]), Want(by=by, text=text)) for text in file.requires_dist]
        wants.setdefault(name, []).append(want)
    return tuple(
        Pin(
            project=name,
            version=newest[name].version,
            file=newest[name].filename,
            wanted_by=tuple(sorted(wants[name], key=lambda want: (want.by, want.text))),
        )
        for name in sorted(wants)
    )


def _bundled(wheel: Wheel) -> BundledFile:
    return BundledFile(
        filename=FileName(wheel.filename),
        project=NormalizedName(wheel.project),
        version=parse_version(wheel.version),
        sha256=_sha256(wheel.data),
        size=len(wheel.data),
        requires_python=wheel.requires_python,
        requires_dist=wheel.requires_dist,
        provides_extra=(),
        yanked=wheel.yanked,
        upload_time=wheel.upload_time,
        metadata=Sidecar(sha256=_sha256(wheel.metadata), size=len(wheel.metadata)),
        index="index",
    )


def _sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())
