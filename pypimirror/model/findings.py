"""What ``verify`` finds: facts first, sentences with them. A finding is something wrong; a note is worth knowing."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from pypimirror.errors import Incomplete, IntegrityFault, PypimirrorError
from pypimirror.values import dataclass

__all__ = ["Checked", "Finding", "Kind", "Report"]


class Kind(Enum):
    """What is wrong; the value is the word that reports use."""

    CHANGED = "changed"
    """Bytes, a link or a kind of entry that is not what it was said to be."""
    MISSING = "missing"
    EXTRA = "extra"
    """Something that nothing of ours accounts for."""
    MODE = "mode"
    """Permissions with which clients can't read, or others can write."""
    UNSOLVABLE = "unsolvable"
    """A set that can't be installed on a target from what is there."""
    UNREADABLE = "unreadable"
    """The disk or the medium failed while it was read."""


_EXIT_CODES = {Kind.CHANGED: IntegrityFault.exit_code, Kind.UNREADABLE: IntegrityFault.exit_code}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong. ``path`` is relative to the tree or the bundle, or names a set and a target."""

    kind: Kind
    path: str
    message: str
    hint: str = ""

    @property
    def exit_code(self) -> int:
        """4 where bytes are wrong, 1 where something is missing, extra, or can't be used."""
        return _EXIT_CODES.get(self.kind, Incomplete.exit_code)

    @classmethod
    def of(cls, fault: PypimirrorError, *, kind: Kind, path: str) -> Finding:
        """The finding that a fault amounts to."""
        return cls(kind=kind, path=path, message=str(fault), hint=fault.hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """How much was looked at: files with their bytes that were hashed, pages, sets on targets that were solved."""

    files: int = 0
    size: int = 0
    pages: int = 0
    resolutions: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What came of verifying. ``bundles`` are the stems and digests of the manifests it stands on.

    With ``quick`` sizes stood in for the hashes of files, and nothing was solved.
    """

    what: str
    name: str
    quick: bool
    bundles: tuple[tuple[str, str], ...] = ()
    checked: Checked = field(default_factory=Checked)
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst of the findings; 0 without any."""
        return max((finding.exit_code for finding in self.findings), default=0)
