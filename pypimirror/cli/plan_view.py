"""A plan as text for people and as facts for machines."""

from __future__ import annotations

from collections.abc import Iterator

from pypimirror.cli.pin_tree import (
    PinTree,
    alike,
    heading,
    resolution_facts,
    select_targets,
    targets_by_file,
    uncovered_facts,
)
from pypimirror.cli.sizes import count, size
from pypimirror.model.plan import Plan, PlannedFile, Resolution

__all__ = ["facts", "words"]


def words(plan: Plan, *, verbose: bool = False) -> str:
    """The tree of who wants what, once for all targets where it is the same; then every file, then the sizes."""
    lines: list[str] = []
    for group in alike(plan.resolutions):
        lines += [_heading(plan, resolution) for resolution in group]
        lines += [*PinTree(group[0]).lines(verbose=verbose and len(group) == 1), ""]
    lines += ["Files", *_files(plan), "", *_sizes(plan)]
    return "\n".join(lines)


def facts(plan: Plan) -> dict[str, object]:
    """The plan for machines: stable keys, everything as text, numbers or lists of them."""
    targets = targets_by_file(plan.targets, plan.resolutions)
    return {
        "targets": [target.name for target in plan.targets],
        "resolutions": [resolution_facts(each) for each in plan.resolutions],
        "uncovered": [uncovered_facts(gap) for gap in plan.uncovered],
        "files": [
            {
                "filename": file.filename,
                "project": file.listed.name.project,
                "version": str(file.listed.name.version),
                "size": file.listed.size,
                "sha256": file.listed.sha256,
                "index": file.listed.index,
                "yanked": file.listed.yanked,
                "targets": targets.get(file.filename, []),
            }
            for file in plan.files
        ],
        "size": _total(plan.files)[0],
        "notes": list(plan.notes),
    }


def _heading(plan: Plan, resolution: Resolution) -> str:
    target = next(target for target in plan.targets if target.name == resolution.target)
    pinned = {pin.file for pin in resolution.pins}
    files = [file for file in plan.files if file.filename in pinned]
    return f"{heading(target, resolution)}: {count(len(files), 'file')}, {_size_text(*_total(files))}"


def _files(plan: Plan) -> Iterator[str]:
    width = max((len(file.filename) for file in plan.files), default=0)
    targets = targets_by_file(plan.targets, plan.resolutions)
    for file in plan.files:
        known = file.listed.size
        told = size(known) if known is not None else "?"
        for_targets = select_targets(targets.get(file.filename, []), len(plan.targets))
        yield f"  {file.filename:<{width}}  {told:>9}  {for_targets}"


def _sizes(plan: Plan) -> Iterator[str]:
    targets = targets_by_file(plan.targets, plan.resolutions)
    for target in plan.targets:
        files = [file for file in plan.files if target.name in targets.get(file.filename, [])]
        if len(plan.targets) > 1:
            yield f"{target.name}: {count(len(files), 'file')}, {_size_text(*_total(files))}"
    yield f"In all: {count(len(plan.files), 'file')}, {_size_text(*_total(plan.files))}"


def _total(files: list[PlannedFile] | tuple[PlannedFile, ...]) -> tuple[int, int]:
    """Bytes that the index states, and the number of files for which it states none."""
    return (
        sum(file.listed.size or 0 for file in files),
        sum(file.listed.size is None for file in files),
    )


def _size_text(known: int, unknown: int) -> str:
    if not unknown:
        return size(known)
    told = f"{count(unknown, 'file')} of unknown size"
    return f"{size(known)} and {told}" if known else told
