"""What a person asks for: roots and constraints with their origins, grouped in sets, and the rules for choosing."""

from __future__ import annotations

from packaging.requirements import Requirement

from pypimirror.model.files import ListedFile
from pypimirror.model.names import FileName, Label, NormalizedName, Version
from pypimirror.values import dataclass

__all__ = ["ALL", "Consent", "Constraint", "FormatControl", "Origin", "Policy", "Root", "SourceTree", "WishSet"]

ALL = ":all:"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Origin:
    """Where something was written. ``line`` counts from 1.

    0 means that there is none: ``path`` is then the very words of the command line, or says which sdist asks.
    """

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTree:
    """A project's sources, to be built: a ``file:`` address of a folder, or a ``git+`` address with a revision.

    ``subdirectory`` is where in it the project lies, empty for its top. No password is in an address.
    """

    url: str
    revision: str = ""
    subdirectory: str = ""

    def __str__(self) -> str:
        return f"{self.url}@{self.revision}" if self.revision else self.url


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """A requirement that a person wrote.

    ``hashes`` are pairs of algorithm and digest; where any root has some, all must (pip's hash-checking mode).
    ``direct`` is the one file that a direct reference or a local path names, else None. The requirement of such a
    root carries no URL any more: the closed side finds the file in the tree by name and version. ``source`` is what
    must be built first; then the wheel that comes out is ``direct``.
    """

    requirement: Requirement
    origin: Origin
    hashes: tuple[tuple[str, str], ...] = ()
    direct: ListedFile | None = None
    source: SourceTree | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """A bound on a project that something else must ask for (pip's ``-c``). It has no extras."""

    requirement: Requirement
    origin: Origin
    hashes: tuple[tuple[str, str], ...] = ()
    direct: ListedFile | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatControl:
    """pip's ``--only-binary`` and ``--no-binary``: normalised names, or ``:all:``. A name outweighs ``:all:``."""

    only_binary: frozenset[str] = frozenset()
    no_binary: frozenset[str] = frozenset()

    def allows(self, project: NormalizedName, *, wheel: bool) -> bool:
        refusing = self.no_binary if wheel else self.only_binary
        admitting = self.only_binary if wheel else self.no_binary
        if project in refusing:
            return False
        return ALL not in refusing or project in admitting


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The rules of one set. ``exclude_newer`` is an ISO 8601 time in UTC, or None.

    With ``carry_sdists`` the sdist of each wheel's version comes along, for those who must have the source.
    ``withdrawn`` are versions that are never taken, not even where a person names one.
    """

    prereleases: bool = False
    formats: FormatControl = FormatControl()
    prefer_binary: bool = False
    require_hashes: bool = False
    allow_unhashed: bool = False
    align: bool = False
    exclude_newer: str | None = None
    carry_sdists: bool = False
    withdrawn: frozenset[tuple[NormalizedName, Version]] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """What a person allows that runs the code of strangers, or takes their word.

    ``builds`` are the projects whose build backend may run: normalised names, or ``:all:``. Where not ``sandboxed``,
    it runs in plain sight of this machine.
    """

    builds: frozenset[str] = frozenset()
    sandboxed: bool = True
    trust_egg_info: bool = False

    def may_build(self, project: NormalizedName) -> bool:
        return ALL in self.builds or project in self.builds


@dataclass(frozen=True, kw_only=True, slots=True)
class WishSet:
    """A named group of roots that are solved together. Two sets may disagree with each other.

    ``builds`` is None for what a person asks for; else the sdist that is built with what this set resolves to.
    """

    name: Label
    roots: tuple[Root, ...]
    constraints: tuple[Constraint, ...] = ()
    policy: Policy = Policy()
    builds: FileName | None = None
