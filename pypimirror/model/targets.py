"""A target: one Python on one platform, complete. Nothing here asks the running interpreter."""

from __future__ import annotations

from dataclasses import asdict, replace

from pypimirror.model.names import Label
from pypimirror.values import dataclass

__all__ = ["MarkerEnvironment", "PatchRange", "Target"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkerEnvironment:
    """The eleven environment markers of PEP 508, all of them, so that none is ever filled in from a host."""

    implementation_name: str
    implementation_version: str
    os_name: str
    platform_machine: str
    platform_python_implementation: str
    platform_release: str
    platform_system: str
    platform_version: str
    python_full_version: str
    python_version: str
    sys_platform: str

    def markers(self) -> dict[str, str]:
        """The environment as packaging's Marker.evaluate takes it (``extra`` is the caller's to add)."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchRange:
    """Patch releases of one Python minor version: from ``lowest``, to ``highest`` or, where that is None, for ever."""

    lowest: int = 0
    highest: int | None = None

    def __contains__(self, patch: int) -> bool:
        return self.lowest <= patch and (self.highest is None or patch <= self.highest)

    def split(self, breakpoints: frozenset[int]) -> tuple[PatchRange, ...]:
        """Cut before each breakpoint that lies inside; the newest part comes first."""
        inside = sorted(b for b in breakpoints if b in self and b != self.lowest)
        starts = [self.lowest, *inside]
        ends: list[int | None] = [*(b - 1 for b in inside), self.highest]
        return tuple(PatchRange(lowest=a, highest=z) for a, z in zip(starts, ends, strict=True))[::-1]

    def describe(self, minor: str) -> str:
        """For people: ``3.11`` for all, ``3.11.3 and newer``, ``3.11.0 to 3.11.2``, ``3.11.4``."""
        if self.lowest == self.highest:
            return f"{minor}.{self.lowest}"
        if self.highest is not None:
            return f"{minor}.{self.lowest} to {minor}.{self.highest}"
        return f"{minor}.{self.lowest} and newer" if self.lowest else minor


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One Python (implementation, version, ABI) on one platform.

    ``name`` is ``<python>-<platform>`` as the person asked for it, normalised: ``3.11-rhel9-x86_64``.
    ``tags`` are wheel tags as text, the best first. ``environment`` is that of the lowest patch release in ``patches``.
    """

    name: Label
    python: str
    platform: str
    tags: tuple[str, ...]
    environment: MarkerEnvironment
    patches: PatchRange

    def environment_at(self, patch: int) -> MarkerEnvironment:
        """The environment of one patch release of this target's Python.

        *patch* lies in ``patches``. PyPy's implementation_version is PyPy's own, so only CPython's follows the patch.
        """
        if patch == self.patches.lowest:  # as it stands: on a pre-release it says "3.15.0rc1"
            return self.environment
        full = f"{self.environment.python_version}.{patch}"
        if self.environment.implementation_name == "cpython":
            return replace(self.environment, python_full_version=full, implementation_version=full)
        return replace(self.environment, python_full_version=full)
