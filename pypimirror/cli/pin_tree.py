"""Who wants what: the tree of pins of one resolution, and what of it machines read. ``plan`` and ``show`` share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name

from pypimirror.model.files import Refusal
from pypimirror.model.names import FileName, Label, NormalizedName
from pypimirror.model.plan import Pin, Resolution, Uncovered, Want
from pypimirror.model.targets import PatchRange, Target
from pypimirror.resolve.counting import count_rejections

__all__ = [
    "PinTree",
    "alike",
    "heading",
    "newer",
    "patches_facts",
    "pin_facts",
    "resolution_facts",
    "select_targets",
    "targets_by_file",
    "uncovered_facts",
]

_DEEPEST = 60
"""Levels that are indented. No real tree is half as deep, and a hostile one must not fill the screen with spaces."""

_LONGEST = 12
"""Steps of a path that are told; the middle of a longer one is left out."""


# ---- resolutions and targets ----------------------------------------------------------------------------------------


def alike(resolutions: Iterable[Resolution]) -> list[list[Resolution]]:
    """Resolutions with the same versions, wanted by the same, belong together; their files may differ."""
    groups: dict[object, list[Resolution]] = {}
    for resolution in resolutions:
        same = tuple((pin.project, pin.version, pin.extras, pin.wanted_by, newer(pin)) for pin in resolution.pins)
        groups.setdefault((resolution.set, same), []).append(resolution)
    return list(groups.values())


def heading(target: Target, resolution: Resolution) -> str:
    """``tools: 3.11-rhel9-x86_64 (CPython 3.11.3 and newer)``."""
    python = resolution.patches.describe(target.environment.python_version)
    of_set = "" if resolution.set == "default" else f"{resolution.set}: "
    return f"{of_set}{resolution.target} ({target.environment.platform_python_implementation} {python})"


def targets_by_file(targets: Iterable[Target], resolutions: Iterable[Resolution]) -> dict[FileName, list[Label]]:
    """The targets that install each pinned file, in the order of *targets*."""
    wanting: dict[Label, set[FileName]] = {}
    for resolution in resolutions:
        wanting.setdefault(resolution.target, set()).update(pin.file for pin in resolution.pins)
    found: dict[FileName, list[Label]] = {}
    for target in targets:
        for file in sorted(wanting.get(target.name, ())):
            found.setdefault(file, []).append(target.name)
    return found


def select_targets(some: list[Label], every: int) -> str:
    """Targets in words; *every* is how many there are."""
    return "all targets" if len(some) == every else ", ".join(some)


# ---- the tree -------------------------------------------------------------------------------------------------------


class PinTree:
    """The pins of one resolution, and who wants them."""

    def __init__(self, resolution: Resolution) -> None:
        self.pins: dict[NormalizedName, Pin] = {pin.project: pin for pin in resolution.pins}
        self._by_words = {f"{pin.project}=={pin.version}": pin for pin in resolution.pins}
        self._wanted: dict[NormalizedName, list[tuple[str, Pin]]] = {}
        self._roots: dict[str, list[tuple[str, Pin]]] = {}
        for pin in resolution.pins:
            for want in pin.wanted_by:
                parent = self._parent(want)
                if parent is not None:
                    self._wanted.setdefault(parent.project, []).append((want.text, pin))
                else:
                    self._roots.setdefault(want.by, []).append((want.text, pin))
        self._ways: dict[NormalizedName, Want] | None = None

    def lines(self, *, verbose: bool = False) -> Iterator[str]:
        """Roots first; below each project what it wants. What was shown above is not opened again, and marked (*)."""
        shown: set[NormalizedName] = set()
        for by in sorted(self._roots, key=_by_line):
            for text, pin in sorted(self._roots[by], key=lambda item: item[1].project):
                yield f"  {by}" if by == text else f"  {by}: {text}"
                yield from self._branch(pin, shown, verbose=verbose)

    def unreached(self) -> list[Pin]:
        """Pins that no root leads to. A real plan has none."""
        ways = self._ways_from_roots()
        return [pin for pin in self.pins.values() if pin.project not in ways]

    def below(self, pin: Pin) -> list[tuple[str, Pin]]:
        """What *pin* wants: the requirement, and the pin that meets it; by project."""
        return sorted(self._wanted.get(pin.project, []), key=lambda item: item[1].project)

    def paths(self, pin: Pin) -> Iterator[str]:
        """For each want of *pin* the shortest way to it, down from a root: ``r.txt:1: app -> app 2.0: lib>=1``."""
        ways = self._ways_from_roots()
        for want in pin.wanted_by:
            steps = [f"{self._who(want)}: {want.text}" if want.by != want.text else want.by]
            parent = self._parent(want)
            seen = {pin.project}
            while parent is not None and parent.project not in seen and parent.project in ways:
                seen.add(parent.project)
                want = ways[parent.project]  # noqa: PLW2901 - one step up
                steps.append(f"{self._who(want)}: {want.text}" if want.by != want.text else want.by)
                parent = self._parent(want)
            if len(steps) > _LONGEST:
                half = _LONGEST // 2
                steps[half:-half] = [f"({len(steps) - 2 * half} more)"]
            yield " -> ".join(reversed(steps))

    def _who(self, want: Want) -> str:
        parent = self._parent(want)
        return want.by if parent is None else f"{parent.project} {parent.version}"

    def _parent(self, want: Want) -> Pin | None:
        """The pin that wants it. Words like those for a pin may be an argument, too, which wants just what it says."""
        if want.by == want.text:
            return None
        if (known := self._by_words.get(want.by)) is not None:
            return known
        name, equals, version = want.by.partition("==")
        if not equals:
            return None
        pin = self.pins.get(canonicalize_name(name))
        return pin if pin is not None and str(pin.version) == version else None

    def _ways_from_roots(self) -> dict[NormalizedName, Want]:
        """For each pin that a root leads to, the want by which one comes to it on the shortest way."""
        if self._ways is None:
            self._ways = {}
            waiting: deque[Pin] = deque()
            for by in sorted(self._roots, key=_by_line):
                for text, pin in self._roots[by]:
                    if pin.project not in self._ways:
                        self._ways[pin.project] = Want(by=by, text=text)
                        waiting.append(pin)
            while waiting:
                pin = waiting.popleft()
                for text, wanted in self._wanted.get(pin.project, ()):
                    if wanted.project not in self._ways:
                        self._ways[wanted.project] = Want(by=f"{pin.project}=={pin.version}", text=text)
                        waiting.append(wanted)
        return self._ways

    def _branch(self, root: Pin, shown: set[NormalizedName], *, verbose: bool) -> Iterator[str]:
        stack = [(root, 2, "")]  # no recursion: a chain may be longer than Python's stack
        while stack:
            pin, depth, because = stack.pop()
            indent = "  " * min(depth, _DEEPEST)
            again = pin.project in shown
            extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
            yield f"{indent}{pin.project}{extras} {pin.version}{because}{' (*)' if again else ''}{newer(pin)}"
            if again:
                continue
            shown.add(pin.project)
            if verbose:
                yield f"{indent}  = {pin.file}"
            stack += [(wanted, depth + 1, f"  <- {text}") for text, wanted in reversed(self.below(pin))]


def _by_line(by: str) -> tuple[str, int, str]:
    path, colon, line = by.rpartition(":")
    # More digits than a line number has, and int() refuses them in the end.
    return (path, int(line), "") if colon and line.isdecimal() and len(line) < 10 else (by, 0, by)  # noqa: PLR2004


def newer(pin: Pin) -> str:
    """What newer versions were passed over, and why: an old pin should never come as a surprise."""
    refused = [
        each
        for each in pin.passed_over
        if each.version is not None and each.version > pin.version and each.reason is not Refusal.BAD_NAME
    ]
    if not refused:
        return ""
    newest = max(each.version for each in refused if each.version is not None)
    return f"  ({newest} passed over: {count_rejections(each for each in refused if each.version == newest)})"


# ---- for machines ---------------------------------------------------------------------------------------------------


def resolution_facts(resolution: Resolution) -> dict[str, object]:
    """Stable keys: set, target, patches, pins."""
    return {
        "set": resolution.set,
        "target": resolution.target,
        "patches": patches_facts(resolution.patches),
        "pins": [pin_facts(pin) for pin in resolution.pins],
    }


def uncovered_facts(gap: Uncovered) -> dict[str, object]:
    """Stable keys: set, target, patches, reason."""
    return {"set": gap.set, "target": gap.target, "patches": patches_facts(gap.patches), "reason": gap.reason}


def patches_facts(patches: PatchRange) -> dict[str, object]:
    """Stable keys: lowest, highest."""
    return {"lowest": patches.lowest, "highest": patches.highest}


def pin_facts(pin: Pin) -> dict[str, object]:
    """Stable keys: project, version, file, extras, wanted_by, passed_over."""
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
