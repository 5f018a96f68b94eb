"""What a tree says of itself, read and checked: generations, contents, ledgers, accepted manifests. Reads only."""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path

from pypimirror.errors import IntegrityFault
from pypimirror.kept import kept_in
from pypimirror.model import manifest_json
from pypimirror.model.names import Sha256
from pypimirror.model.reading import Malformed
from pypimirror.tree import ledger
from pypimirror.tree.compose import Accepted
from pypimirror.tree.contents import Contents, parse
from pypimirror.tree.hashing import NotRegular, read_regular
from pypimirror.tree.inventory import Inventory, inventory
from pypimirror.tree.layout import MANIFEST, Layout
from pypimirror.tree.ledger import Ledger

__all__ = [
    "current_generation",
    "damaged",
    "generations",
    "inventory_of",
    "read_accepted",
    "read_before",
    "read_contents",
    "read_generation",
    "read_ledger",
]

_GENERATION = re.compile(r"generations/([1-9][0-9]{0,17})")


def current_generation(at: Layout) -> int:
    """The number of the generation that is served; 0 where nothing is yet. Raises IntegrityFault, OSError."""
    try:
        text = at.current.readlink().as_posix()
    except FileNotFoundError:  # and no other error: what is taken for unpublished is swept
        if max(generations(at), default=0) > 1:
            raise damaged(at.current, "it is gone, though generations were published") from None
        return 0
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise damaged(at.current, "it is no link") from None
        raise
    match = _GENERATION.fullmatch(text)
    if match is None:
        raise damaged(at.current, "it names no generation")
    return int(match[1])


def generations(at: Layout) -> list[int]:
    """The numbers of the generations that are there, whole or not, the oldest first. Raises OSError."""
    names = [entry.name for entry in at.generations.iterdir()]
    return sorted(int(name) for name in names if _GENERATION.fullmatch(f"generations/{name}"))


def read_generation(at: Layout, number: int, *, leaving: bool = False) -> Contents:
    """What a generation says it holds; nothing for number 0. Raises IntegrityFault, OSError.

    One that may be *leaving* holds nothing either, once a removal that was cut short took its contents.
    """
    return read_contents(at.generation(number) / MANIFEST, missing_ok=leaving) if number else Contents()


def read_before(at: Layout, contents: Contents) -> Contents:
    """What a tree without links served before *contents*, which it serves. Raises IntegrityFault, OSError.

    A run that was cut short when *contents* could be seen already did not come to call it ``previous.json``.
    """
    if at.unfinished.exists() and at.unfinished.stat().st_size:
        replaced = read_contents(at.unfinished, missing_ok=True)
        if replaced != contents:
            return replaced
    return read_contents(at.previous_contents, missing_ok=True)


def read_contents(path: Path, *, missing_ok: bool = False) -> Contents:
    """The contents at *path*. Raises IntegrityFault where they can't be trusted, OSError."""
    try:
        data = _read(path)
    except FileNotFoundError:
        if missing_ok:
            return Contents()
        raise damaged(path, "it is missing") from None
    try:
        return parse(data)
    except Malformed as error:
        raise damaged(path, str(error)) from None


def read_ledger(at: Layout, shard: str, contents: Contents, *, missing_ok: bool = False) -> Ledger:
    """The ledger of a shard as *contents* name it; empty where they name none. Raises IntegrityFault, OSError."""
    served = contents.ledger.get(shard)
    if served is None:
        return {}
    path = at.ledger_of(shard, served.sha256)
    try:
        data = _read(path)
    except FileNotFoundError:
        if missing_ok:
            return {}
        raise damaged(path, "it is missing") from None
    if hashlib.sha256(data).hexdigest() != served.sha256:
        raise damaged(path, "its bytes changed")
    try:
        return ledger.parse(data)
    except Malformed as error:
        raise damaged(path, str(error)) from None


def inventory_of(at: Layout, contents: Contents) -> Inventory:
    """Every file and page that *contents* serve, from their ledgers. Raises IntegrityFault, OSError."""
    try:
        return inventory(contents, lambda shard: read_ledger(at, shard, contents))
    except Malformed as error:
        raise damaged(at.ledger, str(error)) from None


def read_accepted(path: Path, digest: Sha256) -> Accepted:
    """The manifest at *path*, which is named by its digest. Raises IntegrityFault, OSError."""
    try:
        data = _read(path)
    except FileNotFoundError:
        raise damaged(path, "it is missing") from None
    if manifest_json.digest(data) != digest:
        raise damaged(path, "its bytes changed")
    try:
        return Accepted(digest=digest, manifest=manifest_json.parse(data, kept_in(path, data, name=str(path))))
    except Malformed as error:
        raise damaged(path, str(error)) from None


def _read(path: Path) -> bytes:
    """A record as it stands: never through a link, nothing that waits or has no end. Raises IntegrityFault, OSError."""
    try:
        return read_regular(path, limit=manifest_json.MAX_BYTES)
    except NotRegular as error:
        raise damaged(path, f"it is {error.strerror}") from None


def damaged(path: Path, what: str) -> IntegrityFault:
    """The fault for a record that nothing may be built on."""
    return IntegrityFault(
        f"{path} can't be trusted: {what}",
        code="tree-damaged",
        hint="what is served was not touched; 'pypimirror repair TREE' mends it, or says what can't be mended",
    )
