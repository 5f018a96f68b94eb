"""One project as a bundle has it, as lines for people: its files, who wants it down from the roots, what it wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pypimirror.cli.pin_tree import PinTree, heading, newer, select_targets, targets_by_file
from pypimirror.cli.show_bundle import exact_size, said_of_build, said_of_status, said_of_yank, total
from pypimirror.cli.show_source import ShownBundle, is_sdist
from pypimirror.cli.sizes import size
from pypimirror.model.manifest import BundledFile, Manifest
from pypimirror.model.manifest_lists import files_of
from pypimirror.model.names import FileName, NormalizedName, Version
from pypimirror.model.plan import Pin, Resolution

__all__ = ["file_lines", "uses", "why", "words"]


def words(shown: ShownBundle, name: NormalizedName) -> Iterator[str]:
    """Lines. The project is in the bundle."""
    manifest = shown.manifest
    files = files_of(manifest.files)(name)
    targets = targets_by_file(manifest.targets, manifest.resolutions)
    ends = {
        file.filename: [("targets", select_targets(targets.get(file.filename, []), len(manifest.targets)) or "none")]
        for file in files
    }
    yield f"{name} in {manifest.stem}: {total(files).partition(' of ')[0]}, {size(sum(file.size for file in files))}"
    for project in manifest.projects:
        if project.name == name and project.status != "active":
            yield f"  its index calls it {said_of_status(project.status, project.reason)}"
    yield from file_lines(files, ends)
    yield from why(manifest, name)
    yield ""
    yield "Checked: the manifest alone, no bytes: 'pypimirror verify' reads every one"


def file_lines(files: Iterable[BundledFile], ends: Mapping[FileName, Sequence[tuple[str, str]]]) -> Iterator[str]:
    """Each version, the newest first, with its files; *ends* are further rows of each file."""
    by_version: dict[Version, list[BundledFile]] = {}
    for file in files:
        by_version.setdefault(file.version, []).append(file)
    for version in sorted(by_version, reverse=True):
        several = by_version[version]
        yield from ("", str(version))
        alike = len({(file.requires_dist, file.provides_extra) for file in several}) == 1
        for file in several:
            yield f"  {file.filename}"
            for label, text in (*_rows(file), *ends.get(file.filename, ())):
                yield f"    {label:<10} {text}"
            if not alike:
                yield from _requires(file, "    ")
        if alike:
            yield from _requires(several[0], "  ")


def _rows(file: BundledFile) -> Iterator[tuple[str, str]]:
    yield "size", exact_size(file.size)
    yield "sha256", file.sha256 if file.index_hash else f"{file.sha256} (made by the builder: the index claimed none)"
    yield "python", file.requires_python or "any"
    yield "uploaded", file.upload_time or "not known"
    yield "index", file.index or "not known"
    if file.metadata is not None:
        yield "metadata", f"sha256 {file.metadata.sha256}, {size(file.metadata.size)}"
    if file.provenance is not None:
        yield "provenance", f"sha256 {file.provenance.sha256}, {size(file.provenance.size)}"
    if file.yanked is not None:
        yield "yanked", said_of_yank(file).removeprefix("yanked: ").removeprefix("yanked, ")
    if is_sdist(file):
        yield "source", said_of_build(file).removeprefix("source: ")


def _requires(file: BundledFile, indent: str) -> Iterator[str]:
    if file.provides_extra:
        yield f"{indent}extras: {', '.join(file.provides_extra)}"
    if not file.requires_dist:
        yield f"{indent}requires nothing"
        return
    yield f"{indent}requires"
    yield from (f"{indent}  {text}" for text in file.requires_dist)


# ---- why ------------------------------------------------------------------------------------------------------------


def uses(manifest: Manifest, name: NormalizedName) -> Iterator[tuple[Resolution, Pin, PinTree]]:
    """Every resolution that pins the project, with that pin."""
    for resolution in manifest.resolutions:
        for pin in resolution.pins:
            if pin.project == name:
                yield resolution, pin, PinTree(resolution)


def why(manifest: Manifest, name: NormalizedName) -> Iterator[str]:
    """Who wants the project on which targets, down from the roots, and what it brings; once where it is the same."""
    targets = {target.name: target for target in manifest.targets}
    groups: dict[tuple[str, ...], list[str]] = {}
    for resolution, pin, tree in uses(manifest, name):
        groups.setdefault(tuple(_why(pin, tree)), []).append(heading(targets[resolution.target], resolution))
    if not groups:
        yield from ("", "No target installs it")
    for lines, headings in groups.items():
        yield ""
        yield from (f"{each}{'' if each == headings[-1] else ','}" for each in headings)
        yield from lines


def _why(pin: Pin, tree: PinTree) -> Iterator[str]:
    extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
    yield f"  {pin.project}{extras} {pin.version}{newer(pin)}, wanted by"
    yield from (f"    {path}" for path in tree.paths(pin))
    if not pin.wanted_by:
        yield "    nobody"
    if brought := tree.below(pin):
        yield "  and it wants"
        yield from (f"    {text} -> {wanted.project} {wanted.version}" for text, wanted in brought)
