"""What inputs come to: roots, constraints, and the options that stood beside them."""

from __future__ import annotations

from dataclasses import field

from pypimirror.model.requests import Constraint, FormatControl, Root
from pypimirror.values import dataclass

__all__ = ["IndexOptions", "Wishes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOptions:
    """Where to look, as requirements files say it, in the order of their lines.

    Addresses may carry a user name and a password, as they were written; they are kept out of ``repr``. ``find_links``
    are addresses or local paths; a path that exists beside its requirements file is joined to that file's folder.
    With ``no_index`` the index and the extra ones are empty.
    """

    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """Everything that the inputs of one run ask for.

    ``credentials`` are those of direct references: address without its user part, user, password (either may be
    empty). ``require_hashes`` is whether hash-checking mode is on, asked for or implied by a ``--hash``. ``notes`` are
    sentences on what was ignored, as pip ignores it.
    """

    roots: tuple[Root, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    options: IndexOptions = field(default_factory=IndexOptions)
    prereleases: bool = False
    formats: FormatControl = field(default_factory=FormatControl)
    prefer_binary: bool = False
    require_hashes: bool = False
    notes: tuple[str, ...] = ()
    credentials: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
