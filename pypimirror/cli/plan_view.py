"""A plan as text for people and as facts for machines."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from pypimirror.cli.sizes import count, size
from pypimirror.model.files import Refusal
from pypimirror.model.names import NormalizedName
from pypimirror.model.plan import Pin, Plan, PlannedFile, Resolution
from pypimirror.resolve.explain import count_rejections

__all__ = ["facts", "words"]


def words(plan: Plan, *, verbose: bool = False) -> str:
    """The tree of who wants what, once for all targets where it is the same; then every file, then the sizes."""
    lines: list[str] = []
    for alike in _alike(plan):
        lines += [_heading(plan, resolution) for resolution in alike]
        lines += [*_Tree(alike[0], verbose=verbose and len(alike) == 1).lines(), ""]
    lines += ["Files", *_files(plan), "", *_sizes(plan)]
    return "\n".join(lines)


def facts(plan: Plan) -> dict[str, object]:
    """The plan for machines: stable keys, everything as text, numbers or lists of them."""
    return {
        "targets": [target.name for target in plan.targets],
        "resolutions": [
            {
                "set": each.set,
                "target": each.target,
                "patches": {"lowest": each.patches.lowest, "highest": each.patches.highest},
                "pins": [_pin_facts(pin) for pin in each.pins],
            }
            for each in plan.resolutions
        ],
        "uncovered": [
            {
                "set": gap.set,
                "target": gap.target,
                "patches": {"lowest": gap.patches.lowest, "highest": gap.patches.highest},
                "reason": gap.reason,
            }
            for gap in plan.uncovered
        ],
        "files": [
            {
                "filename": file.filename,
                "project": file.listed.name.project,
                "version": str(file.listed.name.version),
                "size": file.listed.size,
                "sha256": file.listed.sha256,
                "index": file.listed.index,
                "yanked": file.listed.yanked,
                "targets": _targets_of(plan, file),
            }
            for file in plan.files
        ],
        "size": _total(plan.files)[0],
        "notes": list(plan.notes),
    }


def _pin_facts(pin: Pin) -> dict[str, object]:
    return {
        "project": pin.project,
        "version": str(pin.version),
        "file": pin.file,
        "extras": list(pin.extras),
        "wanted_by": [{"by": want.by, "requirement": want.text} for want in pin.wanted_by],
        "passed_over": [
            {"file": each.filename, "reason": each.reason.value, "detail": each.detail} for each in pin.passed_over
        ],
    }


def _alike(plan: Plan) -> list[list[Resolution]]:
    """Resolutions with the same versions, wanted by the same, belong together; their files may differ."""
    groups: dict[object, list[Resolution]] = {}
    for resolution in plan.resolutions:
        same = tuple((pin.project, pin.version, pin.extras, pin.wanted_by, _newer(pin)) for pin in resolution.pins)
        groups.setdefault((resolution.set, same), []).append(resolution)
    return list(groups.values())


def _heading(plan: Plan, resolution: Resolution) -> str:
    target = next(target for target in plan.targets if target.name == resolution.target)
    python = resolution.patches.describe(target.environment.python_version)
    of_set = "" if resolution.set == "default" else f"{resolution.set}: "
    implementation = target.environment.platform_python_implementation
    files = [file for file in plan.files if file.filename in {pin.file for pin in resolution.pins}]
    return (
        f"{of_set}{resolution.target} ({implementation} {python}): "
        f"{count(len(files), 'file')}, {_size_text(*_total(files))}"
    )


# ---- the tree -------------------------------------------------------------------------------------------------------


class _Tree:
    """Roots first; below each project what it wants. What was shown above is not opened again, and marked (*)."""

    def __init__(self, resolution: Resolution, *, verbose: bool) -> None:
        self._verbose = verbose
        self._pins = {pin.project: pin for pin in resolution.pins}
        self._wanted: dict[str, list[tuple[str, Pin]]] = {}
        self._roots: dict[str, list[tuple[str, Pin]]] = {}
        for pin in resolution.pins:
            for want in pin.wanted_by:
                wanted = self._wanted if self._is_pin(want.by) and want.by != want.text else self._roots
                wanted.setdefault(want.by, []).append((want.text, pin))
        self._shown: set[NormalizedName] = set()

    def lines(self) -> Iterator[str]:
        for by in sorted(self._roots, key=_by_line):
            for text, pin in sorted(self._roots[by], key=lambda item: item[1].project):
                yield f"  {by}" if by == text else f"  {by}: {text}"
                yield from self._branch(pin, "    ", "")

    def _is_pin(self, by: str) -> bool:
        """Whether these are the words for a pin. So may be an argument, which wants just what it says."""
        name, equals, version = by.partition("==")
        pin = self._pins.get(canonicalize_name(name)) if equals else None
        return pin is not None and str(pin.version) == version

    def _branch(self, pin: Pin, indent: str, because: str) -> Iterator[str]:
        again = pin.project in self._shown
        extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
        yield f"{indent}{pin.project}{extras} {pin.version}{because}{' (*)' if again else ''}{_newer(pin)}"
        if again:
            return
        self._shown.add(pin.project)
        if self._verbose:
            yield f"{indent}  = {pin.file}"
        below = sorted(self._wanted.get(f"{pin.project}=={pin.version}", []), key=lambda item: item[1].project)
        for text, wanted in below:
            yield from self._branch(wanted, f"{indent}  ", f"  <- {text}")


def _by_line(by: str) -> tuple[str, int, str]:
    path, colon, line = by.rpartition(":")
    return (path, int(line), "") if colon and line.isdecimal() else (by, 0, by)


def _newer(pin: Pin) -> str:
    """What newer versions were passed over, and why: an old pin should never come as a surprise."""
    newer = [
        each
        for each in pin.passed_over
        if each.version is not None and each.version > pin.version and each.reason is not Refusal.BAD_NAME
    ]
    if not newer:
        return ""
    newest = max(each.version for each in newer if each.version is not None)
    return f"  ({newest} passed over: {count_rejections(each for each in newer if each.version == newest)})"


# ---- the files ------------------------------------------------------------------------------------------------------


def _files(plan: Plan) -> Iterator[str]:
    width = max((len(file.filename) for file in plan.files), default=0)
    for file in plan.files:
        known = file.listed.size
        told = size(known) if known is not None else "?"
        targets = _targets_of(plan, file)
        for_all = "all targets" if len(targets) == len(plan.targets) else ", ".join(targets)
        yield f"  {file.filename:<{width}}  {told:>9}  {for_all}"


def _targets_of(plan: Plan, file: PlannedFile) -> list[str]:
    wanting = {each.target for each in plan.resolutions if any(pin.file == file.filename for pin in each.pins)}
    return [target.name for target in plan.targets if target.name in wanting]


def _sizes(plan: Plan) -> Iterator[str]:
    for target in plan.targets:
        files = [file for file in plan.files if target.name in _targets_of(plan, file)]
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
