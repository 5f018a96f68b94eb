"""Hash-checking mode: where one requirement has a ``--hash``, all must be pinned and have hashes.

Essential reading: pip's "Secure installs". What the requirements themselves need in turn is looked at while resolving:
a project that no root names has no hashes, so it is refused there.
"""

from __future__ import annotations

from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pypimirror.inputs.faults import Faults, quoted
from pypimirror.inputs.sayings import Refused
from pypimirror.inputs.written import digest
from pypimirror.model.requests import Constraint, Root
from pypimirror.values import dataclass

__all__ = ["STRONG", "Entry", "check_hash_mode", "hash_option"]

STRONG = ("sha256", "sha384", "sha512")
"""The algorithms that pip allows in ``--hash``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A root or a constraint with the words that people know it by. ``explicit``: it has a ``--hash``."""

    value: Root | Constraint
    shown: str
    explicit: bool


def hash_option(value: str) -> tuple[str, str]:
    """The value of one ``--hash``. Raises Refused."""
    algorithm, colon, text = value.partition(":")
    if not colon:
        raise Refused("bad-hash", "has a bad --hash", "write --hash=sha256:<64 hexadecimal digits>")
    if algorithm not in STRONG:
        hint = f"pip allows {', '.join(STRONG[:-1])} and {STRONG[-1]}"
        raise Refused("bad-hash", "has a --hash of an algorithm that is not allowed", hint, detail=algorithm[:40])
    return digest(algorithm, text)


def check_hash_mode(entries: Sequence[Entry], *, asked: bool, faults: Faults) -> None:
    """Add a fault for every root without hashes, or without a pin. ``asked``: by ``--require-hashes``."""
    first = next((entry for entry in entries if entry.explicit), None)
    why = f"{_place(first)} has a --hash, so all must" if first and not asked else "--require-hashes is in force"
    hint = f"{why}; 'uv pip compile --generate-hashes' or 'pip-compile --generate-hashes' writes such a file"
    from_constraints = {
        canonicalize_name(entry.value.requirement.name)
        for entry in entries
        if isinstance(entry.value, Constraint) and entry.value.hashes
    }
    for entry in entries:
        root = entry.value
        if isinstance(root, Constraint):
            continue
        pinned = root.direct is not None or _is_pinned(root.requirement)
        hashed = bool(root.hashes) or canonicalize_name(root.requirement.name) in from_constraints
        if not (pinned and hashed):
            lacks = "is not pinned" if hashed else "has no hash" if pinned else "is not pinned and has no hash"
            what = f"{quoted(entry.shown)} {lacks}: in hash-checking mode every requirement needs '==' and a --hash"
            faults.add(root.origin if root.origin.line else None, "hash-mode", what, hint)


def _place(entry: Entry) -> str:
    return str(entry.value.origin) if entry.value.origin.line else quoted(entry.shown)


def _is_pinned(requirement: Requirement) -> bool:
    """As in pip: one specifier, ``==`` or ``===``."""
    return [specifier.operator in {"==", "==="} for specifier in requirement.specifier] == [True]
