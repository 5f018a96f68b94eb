"""What a bundle holds, as lines for people. All of it is what its manifest says."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pypimirror.cli.pin_tree import PinTree, alike, heading, select_targets, targets_by_file
from pypimirror.cli.show_source import ShownBundle, is_sdist, moment, size_of
from pypimirror.cli.sizes import count, size
from pypimirror.index.languages import compiler_note
from pypimirror.model.manifest import BuildRecord, BundledFile, BundledSet, Manifest, WrittenRequirement
from pypimirror.model.names import FileName, Label, NormalizedName
from pypimirror.model.plan import Resolution
from pypimirror.model.targets import Target

__all__ = [
    "exact_size",
    "file_rows",
    "more",
    "project_list",
    "said_of_build",
    "said_of_status",
    "said_of_yank",
    "total",
    "words",
    "worth_knowing",
]

_NEEDS_BUILD = "source: needs a build behind the gap"

_WIDTH = 100
_SOME = 20


def words(shown: ShownBundle, *, verbose: bool = False) -> Iterator[str]:
    """Lines: the summary, targets, sets, what is worth knowing, projects; if *verbose* each tree and each file."""
    manifest = shown.manifest
    yield manifest.stem
    yield from (f"  {name:<9} {text}" for name, text in _summary(shown))
    yield from ("", "Targets", *(_targets(manifest) if manifest.targets else ["  none"]))
    for each in manifest.sets:
        heading = f"Set {each.name}" if each.builds is None else f"To build {each.builds}"
        yield from ("", heading, *_set(manifest, each, verbose=verbose))
    if manifest.built:
        yield from ("", "Run by the builder", *dict.fromkeys(map(_said_of_run, manifest.built)))
    if manifest.withdrawn:
        yield from ("", "Withdraws from the older bundles of its channel")
        for taken in manifest.withdrawn:
            yield f"  {taken.project} {taken.version}: {taken.reason or 'no reason given'}"
    said = {project.name: (project.status, project.reason) for project in manifest.projects}
    if known := list(worth_knowing(manifest.files, said, verbose=verbose)):
        yield from ("", "Worth knowing", *known)
    if not verbose:
        yield from ("", "Projects", *project_list(manifest.files), "")
        yield from more(shown.shown, "who wants what, and every file")
        return
    for group in alike(manifest.resolutions):
        yield from ("", *_tree(manifest, group))
    targets = targets_by_file(manifest.targets, manifest.resolutions)
    ends = {name: select_targets(some, len(manifest.targets)) for name, some in targets.items()}
    yield from ("", "Files", *file_rows(manifest.files, {file.filename: "no target" for file in manifest.files} | ends))


def _said_of_run(each: BuildRecord) -> str:
    """One line for each environment in which a backend ran."""
    place = "in a sandbox" if each.sandboxed else "WITHOUT a sandbox"
    tools = ", ".join(filename for filename, _ in each.requirements) or "nothing"
    made = f"made {each.output}" if each.output else "told what it needs"
    return f"  {each.source}: {each.backend} {made}, {place}, with {tools}"


def _summary(shown: ShownBundle) -> Iterator[tuple[str, str]]:
    manifest = shown.manifest
    yield "channel", manifest.channel
    yield "sequence", f"{manifest.sequence} ({moment(manifest.sequence):%Y-%m-%d %H:%M:%S} UTC)"
    yield "manifest", f"sha256 {shown.digest}"
    yield "made by", manifest.tool
    if manifest.base is not None:
        yield "base", f"sha256 {manifest.base}"
        yield "", "a delta: it carries what the base lacks; what follows is the full list"
    if shown.size is not None:
        yield "size", exact_size(shown.size)
    yield "contents", total(manifest.files)
    indexes = Counter(file.index for file in manifest.files)
    yield "from", ", ".join(f"{name or '?'} ({count(number, 'file')})" for name, number in sorted(indexes.items()))
    how = "'sha256sum --check SHA256SUMS' in the folder" if shown.folder else "'pypimirror verify'"
    yield "checked", f"the manifest alone, no bytes: {how} reads every one"


def exact_size(number: int) -> str:
    """``24.1 MB (24117248 bytes)``."""
    told = size(number)
    return told if told.endswith(" B") else f"{told} ({number} bytes)"


def total(files: Iterable[BundledFile]) -> str:
    """``52 files of 40 projects, 47.9 MB; 2 of them source, 1 yanked``."""
    every = list(files)
    told = f"{count(len(every), 'file')} of {count(len({file.project for file in every}), 'project')}"
    told += f", {size(size_of(every))}"
    some = [
        (sum(map(is_sdist, every)), "source"),
        (sum(file.yanked is not None for file in every), "yanked"),
    ]
    parts = [f"{number} {what}" for number, what in some if number]
    return f"{told}; {', '.join(parts)}" if parts else told


def _targets(manifest: Manifest) -> Iterator[str]:
    by_name = {file.filename: file for file in manifest.files}
    several = len(manifest.sets) > 1
    for target in manifest.targets:
        solved = [each for each in manifest.resolutions if each.target == target.name]
        installed = {pin.file for each in solved for pin in each.pins}
        files = [by_name[name] for name in installed]
        yield f"  {target.name} ({_python(target)}): {count(len(files), 'file')}, {size(size_of(files))}"
        for each in solved:
            if each.patches != target.patches:
                of_set = f"{each.set}: " if several else ""
                yield f"    {of_set}covered: {each.patches.describe(target.environment.python_version)}"
        for gap in manifest.uncovered:
            if gap.target == target.name:
                of_set = f"{gap.set}: " if several else ""
                patches = gap.patches.describe(target.environment.python_version)
                reason, *more = gap.reason.splitlines() or ["no reason given"]
                yield f"    {of_set}NOT covered: {patches}: {reason}"
                yield from (f"      {line}" for line in more[:_SOME])


def _python(target: Target) -> str:
    environment = target.environment
    return f"{environment.platform_python_implementation} {target.patches.describe(environment.python_version)}"


def _set(manifest: Manifest, each: BundledSet, *, verbose: bool) -> Iterator[str]:
    rules = [
        ("pre-releases are admitted", each.prereleases),
        (f"wheels alone: {', '.join(each.only_binary)}", each.only_binary),
        (f"sdists alone: {', '.join(each.no_binary)}", each.no_binary),
        ("an older wheel is preferred to a newer sdist", each.prefer_binary),
    ]
    yield from (f"  {rule}" for rule, holds in rules if holds)
    got = _got(manifest, each.name)
    lines = []
    for root in each.roots:
        pins = got.get((root.origin, canonicalize_name(Requirement(root.requirement).name)))
        lines.append(f"  {_written(root)}  -> {', '.join(pins) if pins else 'no target installs it'}")
    yield from _first(lines, verbose=verbose)
    if each.constraints:
        yield "  constraints"
        yield from _first((f"    {_written(constraint)}" for constraint in each.constraints), verbose=verbose)


def _written(written: WrittenRequirement) -> str:
    told = written.origin if written.origin == written.requirement else f"{written.origin}: {written.requirement}"
    return f"{told} (the file {written.filename})" if written.filename is not None else told


def _got(manifest: Manifest, name: Label) -> dict[tuple[str, NormalizedName], dict[str, None]]:
    """What the requirements of a set came to: pins by origin and project."""
    got: dict[tuple[str, NormalizedName], dict[str, None]] = {}
    for resolution in manifest.resolutions:
        if resolution.set == name:
            for pin in resolution.pins:
                for want in pin.wanted_by:
                    got.setdefault((want.by, pin.project), {})[f"{pin.project} {pin.version}"] = None
    return got


def worth_knowing(
    files: Iterable[BundledFile], statuses: Mapping[NormalizedName, tuple[str, str]], *, verbose: bool
) -> Iterator[str]:
    """What an operator or an auditor should not overlook: sdists, yanked files, hashes of our own, projects ended.

    *statuses* are those of PEP 792 with their reasons.
    """
    every = list(files)
    yield from _first(
        (f"  {file.filename}: {said_of_build(file)}" for file in every if is_sdist(file)), verbose=verbose
    )
    yanked = (f"  {file.filename}: {said_of_yank(file)}" for file in every if file.yanked is not None)
    yield from _first(yanked, verbose=verbose)
    unclaimed = (
        f"  {file.filename}: the index claimed no sha256; the one here was made by the builder"
        for file in every
        if not file.index_hash
    )
    yield from _first(unclaimed, verbose=verbose)
    for project, (status, reason) in statuses.items():
        if status != "active":
            yield f"  {project}: {said_of_status(status, reason)}"


def said_of_build(file: BundledFile) -> str:
    """What it takes, and on whose word its dependencies stand where they are not stated."""
    tools = f", with {', '.join(file.build_requires)}" if file.build_requires else ""
    compiler = compiler_note(file.languages, file.project)
    trusted = "" if file.learnt_from == "stated" else f" (its dependencies: as {file.learnt_from} told)"
    return f"{_NEEDS_BUILD}{tools}{f'; needs {compiler}' if compiler else ''}{trusted}"


def said_of_yank(file: BundledFile) -> str:
    return f"yanked: {file.yanked}" if file.yanked else "yanked, no reason given"


def said_of_status(status: str, reason: str) -> str:
    return f"{status}: {reason}" if reason else status


def more(source: str, what: str) -> Iterator[str]:
    """What to ask next."""
    again = f"pypimirror show {'-' if source == '-' else shlex.quote(source)}"
    yield f"For {what}: {again} --verbose"
    yield f"For one project: {again} PROJECT"


def project_list(files: Iterable[BundledFile]) -> list[str]:
    """Every project with its versions, in a paragraph."""
    versions: dict[NormalizedName, dict[str, None]] = {}
    for file in sorted(files, key=lambda file: (file.project, file.version)):
        versions.setdefault(file.project, {})[str(file.version)] = None
    # What belongs together must not be parted: spaces that are none, until the lines are made.
    items = ",\n".join(f"{name} {' '.join(some)}".replace(" ", "\0") for name, some in versions.items())
    wrapper = textwrap.TextWrapper(
        _WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    lines = wrapper.wrap(items)
    return [line.replace("\0", " ") for line in lines]


def _tree(manifest: Manifest, group: Sequence[Resolution]) -> Iterator[str]:
    by_name = {file.filename: file for file in manifest.files}
    targets = {target.name: target for target in manifest.targets}
    for resolution in group:
        files = [by_name[name] for name in {pin.file for pin in resolution.pins}]
        yield f"{heading(targets[resolution.target], resolution)}: {count(len(files), 'file')}, {size(size_of(files))}"
    tree = PinTree(group[0])
    yield from tree.lines(verbose=False)
    if strays := tree.unreached():
        yield "  no requirement leads to these"
        yield from (f"    {pin.project} {pin.version}" for pin in strays)


def file_rows(files: Sequence[BundledFile], ends: Mapping[FileName, str]) -> Iterator[str]:
    """One line a file: name, size, what *ends* says of it, and what is special."""
    width = max((len(file.filename) for file in files), default=0)
    several = len({file.index for file in files}) > 1
    for file in files:
        special = [ends[file.filename]]
        special += [_NEEDS_BUILD] if is_sdist(file) else []
        special += [said_of_yank(file)] if file.yanked is not None else []
        special += [f"from {file.index}"] if several else []
        yield f"  {file.filename:<{width}}  {size(file.size):>9}  {'; '.join(special)}"


def _first(lines: Iterable[str], *, verbose: bool) -> Iterator[str]:
    """All of them, or the first ones and how many more there are."""
    rest = iter(lines)
    if verbose:
        yield from rest
        return
    yield from islice(rest, _SOME)
    if left := sum(1 for _ in rest):
        yield f"  ... and {left} more (--verbose)"
