"""Provenance of files (PEP 740), fetched beside the files themselves.

It is an offer, and nothing is installed with it: so what an index promises and can't be had (404, a host that is out of
reach) is told, and the bundle goes without. What came and is no provenance is refused, as any wrong bytes are.

An index may add to a provenance later. What was fetched once for a file is kept and not asked for again: what it
attests stays true.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pypimirror.errors import IndexFault, IntegrityFault
from pypimirror.model.files import ListedFile
from pypimirror.model.names import FileName, Sha256
from pypimirror.model.plan import PlannedFile, VerifiedFile
from pypimirror.net.bodies import shown
from pypimirror.net.cache import Cache, metadata_key
from pypimirror.net.client import Client
from pypimirror.net.sockets import Stopped
from pypimirror.net.workers import Task, Workers
from pypimirror.values import dataclass

__all__ = ["MAX_BYTES", "ProvenanceSource"]

MAX_BYTES = 4 * 1024 * 1024
"""No provenance is larger: an attestation takes some 10 kB, and few files have more than two."""

_ACCEPT = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5, */*;q=0.1"
_NAMED = 3
_HINT = "run again with --no-cache; if it stays, tell whoever runs the index, or a proxy on the way changes it"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    path: Path
    sha256: Sha256
    size: int


class ProvenanceSource:
    """Begins to fetch the provenance of all *files* that have any, at once. A context manager that ends its threads."""

    def __init__(self, files: Sequence[PlannedFile], *, client: Client, cache: Cache, workers: int = 4) -> None:
        self._client = client
        self._cache = cache
        self._pool = Workers(workers, name="provenance")
        self._tasks: dict[FileName, Task[_Kept | str]] = {
            file.filename: self._pool.submit(Task(partial(self._fetch, file.listed, file.listed.provenance)))
            for file in files
            if file.listed.provenance is not None
        }

    def __enter__(self) -> ProvenanceSource:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close(patience=1.0)

    def attach(self, verified: Sequence[VerifiedFile]) -> tuple[tuple[VerifiedFile, ...], tuple[str, ...]]:
        """The same files with their provenance, and sentences on what could not be had.

        Raises IntegrityFault (``bad-provenance``), DiskFault.
        """
        attached: list[VerifiedFile] = []
        lacking: dict[str, list[str]] = {}
        for file in verified:
            task = self._tasks.get(file.planned.filename)
            got = None if task is None else self._pool.result(task)
            if isinstance(got, str):
                lacking.setdefault(got, []).append(file.planned.filename)
            attached.append(
                file
                if not isinstance(got, _Kept)
                else replace(
                    file, provenance_path=str(got.path), provenance_sha256=got.sha256, provenance_size=got.size
                )
            )
        return tuple(attached), tuple(_notes(lacking))

    def _fetch(self, file: ListedFile, url: str) -> _Kept | str:
        """What was got, or why nothing was."""
        # An address with a query may be a secret; without a hash nothing ties what was kept to this very file.
        key = None if file.sha256 is None or "?" in url else metadata_key(file=file.sha256, source=url)
        data = None if key is None else self._cache.metadata(key)
        if data is None:
            try:
                answer = self._client.get(url, accept=_ACCEPT, limit=MAX_BYTES)
            except Stopped:
                raise
            except IndexFault as fault:
                return str(fault)
            if answer.status != 200:  # noqa: PLR2004 - RFC 9110
                return f"{shown(url).partition('/')[0]} answered {answer.status}"
            data = answer.body
            wrong = _wrong(data)
            if wrong:
                raise IntegrityFault(
                    f"{file.name.filename}: what came is no provenance: {wrong} ({shown(url)})",
                    code="bad-provenance",
                    hint=_HINT,
                )
            if key is not None:
                self._cache.keep_metadata(key, data)
        return _Kept(path=self._cache.loose(data), sha256=Sha256(hashlib.sha256(data).hexdigest()), size=len(data))


def _wrong(data: bytes) -> str:
    """Why *data* is no provenance object; empty where it is one. What it attests is for a client to verify."""
    try:
        top: object = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(top, dict):
        return "not an object"
    if type(top.get("version")) is not int:
        return "it has no version"
    return "" if isinstance(top.get("attestation_bundles"), list) else "it has no attestation bundles"


def _notes(lacking: dict[str, list[str]]) -> Iterator[str]:
    for reason, names in lacking.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"no provenance for {', '.join(names[:_NAMED])}{more}, though the index offers it: {reason}"
