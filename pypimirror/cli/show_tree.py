"""What a tree serves, as lines for people: channels with their bundles, what is hidden; and one project of it."""

from __future__ import annotations

from collections.abc import Iterator

from pypimirror.cli.show_bundle import file_rows, more, project_list, said_of_status, total, worth_knowing
from pypimirror.cli.show_project import file_lines, why
from pypimirror.cli.show_source import ShownTree, moment, size_of
from pypimirror.cli.sizes import count, size
from pypimirror.model.names import FileName, Label, NormalizedName
from pypimirror.tree.compose import Accepted, ServedProject

__all__ = ["pinning", "project_words", "targets", "words"]


def words(shown: ShownTree, *, verbose: bool = False) -> Iterator[str]:
    """Lines: the summary, channels with their bundles, targets, what is hidden, projects; if *verbose* each file."""
    view, composition = shown.view, shown.composition
    files = list(composition.files)
    yield view.shown
    yield f"  {'serves':<10} {total(files)}"
    generation = "none: a plain tree has no numbers" if view.plain else str(view.generation)
    yield f"  {'generation':<10} {generation}"
    yield f"  {'checked':<10} the records alone, no bytes: 'pypimirror verify' reads every file and page"
    yield from ("", f"Channels{', the upper one first' if len(composition.channels) > 1 else ''}")
    for channel in composition.channels:
        own = [project for project in composition.projects if project.channel == channel]
        yield f"  {channel}: serves {total([file for project in own for file in project.files])}"
        yield from (line for each in shown.bundles(channel) for line in _bundle(each))
    yield from ("", "Targets")
    for target, wanting in targets(shown).items():
        yield f"  {target} ({', '.join(wanting)})" if len(composition.channels) > 1 else f"  {target}"
    if hidden := shown.hidden():
        yield from ("", "Hidden: an upper channel has a project of the same name")
        for each in hidden:
            versions = ", ".join(map(str, each.versions))
            yield f"  {each.project} {versions} of channel {each.channel}, behind channel {each.behind}"
    statuses = {project.name: (project.status, project.reason) for project in composition.projects}
    if known := list(worth_knowing(files, statuses, verbose=verbose)):
        yield from ("", "Worth knowing", *known)
    if not verbose:
        yield from ("", "Projects", *project_list(files), "", *more(view.shown, "every file"))
        return
    ends: dict[FileName, str] = {
        file.filename: project.channel for project in composition.projects for file in project.files
    }
    yield from ("", "Files", *file_rows(files, ends))


def _bundle(each: Accepted) -> Iterator[str]:
    manifest = each.manifest
    delta = "a delta, " if manifest.base is not None else ""
    yield f"    {manifest.stem}: {delta}{count(len(manifest.files), 'file')}, {size(size_of(manifest.files))}"
    yield f"      sequence {manifest.sequence} ({moment(manifest.sequence):%Y-%m-%d %H:%M:%S} UTC), by {manifest.tool}"
    yield f"      sha256 {each.digest}"


def targets(shown: ShownTree) -> dict[Label, list[Label]]:
    """Every target that a bundle was made for, and the channels of those bundles."""
    found: dict[Label, list[Label]] = {}
    for each in shown.composition.bundles:
        for target in each.manifest.targets:
            channels = found.setdefault(target.name, [])
            if each.manifest.channel not in channels:
                channels.append(each.manifest.channel)
    return found


# ---- one project ----------------------------------------------------------------------------------------------------


def project_words(shown: ShownTree, project: ServedProject) -> Iterator[str]:
    """Lines: the channel and bundles it is served from, its files; and why, as the newest bundle that pins it says."""
    bundles = shown.bundles(project.channel)
    yield (
        f"{project.name} in {shown.view.shown}: {count(len(project.files), 'file')}, {size(project.size)}, "
        f"served from channel {project.channel}"
    )
    if project.status != "active":
        yield f"  its index calls it {said_of_status(project.status, project.reason)}"
    for each in shown.hidden():
        if each.project == project.name:
            yield f"  hidden behind it: {', '.join(map(str, each.versions))} of channel {each.channel}"
    ends = {
        file.filename: [("in", ", ".join(each.manifest.stem for each in bundles if each.manifest.file(file.filename)))]
        for file in project.files
    }
    yield from file_lines(project.files, ends)
    if (newest := pinning(shown, project.name, project.channel)) is None:
        yield from ("", "No target installs it")
        return
    yield from ("", f"As {newest.manifest.stem} has it")
    yield from why(newest.manifest, project.name)


def pinning(shown: ShownTree, name: NormalizedName, channel: Label) -> Accepted | None:
    """The newest bundle of a channel that pins the project."""
    for each in shown.bundles(channel):
        if any(pin.project == name for resolution in each.manifest.resolutions for pin in resolution.pins):
            return each
    return None
