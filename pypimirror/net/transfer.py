"""One file on its way: from its first byte, or from where an earlier transfer broke off, to the last; then verified.

A large one gets side connections (``sides``) once it is known that the server can do ranges, and what would tell if it
were another file in the meantime.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pypimirror.disk import stamp
from pypimirror.errors import IndexFault, IntegrityFault
from pypimirror.model.files import ListedFile
from pypimirror.model.names import Sha256
from pypimirror.net.bodies import shown
from pypimirror.net.client import Client, Stream, WireFault
from pypimirror.net.pace import Rules
from pypimirror.net.partial import Digests, Partial
from pypimirror.net.places import Places
from pypimirror.net.retry import Attempts
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.net.sides import Sides

__all__ = ["CHECKED", "Stored", "Transfer", "gone", "wrong_size"]

CHECKED = frozenset(hashlib.algorithms_guaranteed) - {"shake_128", "shake_256"}
"""The algorithms that are compared: those that every Python has, whose digests have a length."""

_REFETCH = (
    "the file was fetched again and is still wrong: tell whoever runs the index, or a proxy on the way changes it"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A whole file in the cache whose hashes are those that the index claimed. ``stamp`` is ``disk.stamp``'s, then."""

    path: Path
    sha256: Sha256
    size: int
    from_cache: bool
    stamp: tuple[int, ...]


class Transfer:
    """One file. With *places*, and where it is large, side connections may help.

    ``resumed`` tells that not all of it came in one answer.
    """

    def __init__(
        self,
        file: ListedFile,
        partial: Partial,
        *,
        client: Client,
        reporter: Reporter,
        fresh: bool,
        places: Places | None,
        rules: Rules,
    ) -> None:
        self._client = client
        self._reporter = reporter
        self._file = file
        self._partial = partial
        self._fresh = fresh
        self._places = places
        self._rules = rules
        self._sides: Sides | None = None
        self._algorithms = tuple(name for name, _ in file.hashes if name in CHECKED and name != "sha256")
        self._digests = Digests(self._algorithms)
        self._validator: str | None = None
        self._whole = file.size
        self.resumed = False

    def run(self) -> Stored:
        """Raises IndexFault, IntegrityFault, DiskFault."""
        size = self._partial.size
        if size and self._file.size is not None and size > self._file.size:
            self._restart()
        elif size:
            self._digests = self._partial.digests(self._algorithms)
            self._count(size)
            self.resumed = True
        try:
            self._fetch()
        finally:
            if self._sides is not None:
                self._sides.close()
        return self._verified()

    def _fetch(self) -> None:
        attempts = self._client.attempts(self._file.url)
        while True:
            begun = self._partial.size
            try:
                if self._sides is not None and self._sides.join(self._digests):
                    self.resumed = True
                if self._more(attempts):
                    return
            except WireFault as fault:
                self.resumed = self.resumed or self._partial.size > 0
                attempts.progressed(self._partial.size - begun)
                attempts.broke(fault)

    def _more(self, attempts: Attempts) -> bool:
        """Read one answer; False where another is needed. Raises WireFault where the answer breaks off."""
        start = self._partial.size
        if start and start == self._whole:
            return True
        until = None if self._sides is None else self._sides.limit
        with self._client.stream(
            self._file.url, attempts=attempts, start=start, end=until, validator=self._validator, fresh=self._fresh
        ) as stream:
            if stream.status == 416 and start:  # noqa: PLR2004 - RFC 9110: nothing lies behind what we have
                self._restart()
                return False
            self._check_head(stream)
            if stream.first != start:
                self._restart()
                if stream.first:
                    raise WireFault("broken", "another part than the one asked for came")
            self._validator = stream.validator
            self._may_split(stream)
            for piece in stream.pieces:
                if self._partial.size + len(piece) > self._most():
                    raise wrong_size(self._file, None)
                room = len(piece) if self._sides is None else self._sides.look(len(piece))
                self._take(piece[:room])
                if room < len(piece):
                    return False
        if until is not None and self._partial.size == until:
            return False
        if self._whole is not None and self._partial.size < self._whole:
            raise WireFault("broken", "the connection ended before the whole file had come")
        return True

    def _take(self, piece: bytes) -> None:
        self._partial.append(piece)
        self._digests.update(piece)
        self._count(len(piece))

    def _may_split(self, stream: Stream) -> None:
        """Let side connections help, where the rest is large, the server can do ranges, and there is room."""
        places, total = self._places, stream.total
        if places is None or self._sides is not None or total is None:
            return
        left = total - self._partial.size
        ranges = stream.status == 206 or stream.headers.get("accept-ranges", "").strip().lower() == "bytes"  # noqa: PLR2004
        sure = self._validator is not None or self._file.sha256 is not None
        if left < self._rules.least or not (ranges and sure) or "content-encoding" in stream.headers:
            return
        if total > self._most() or self._partial.room() < left + 2 * self._rules.unjoined:
            return
        from pypimirror.net.sides import Origin, Sides  # noqa: PLC0415 - few files are large

        self._whole = total
        self._sides = Sides(
            Origin(url=self._file.url, total=total, validator=self._validator),
            client=self._client,
            partial=self._partial,
            places=places,
            count=self._count,
            rules=self._rules,
        )

    def _check_head(self, stream: Stream) -> None:
        file = self._file
        if stream.status in (404, 410):
            raise gone(file, stream.status)
        if stream.status not in (200, 206):
            raise IndexFault(
                f"{shown(file.url)}: answered {stream.status}", code="http-status", hint="open the address in a browser"
            )
        if stream.total is not None and file.size is not None and stream.total != file.size:
            for _ in stream.pieces:  # where it is a portal's page, the first piece says so, which tells more
                break
            raise wrong_size(file, stream.total)

    def _verified(self) -> Stored:
        file = self._file
        for algorithm, expected in file.hashes:
            if algorithm not in CHECKED:
                continue
            got = self._digests.hexdigest(algorithm)
            if got != expected:
                raise IntegrityFault(
                    f"{file.name.filename}: wrong {algorithm}, expected {expected}, got {got} ({shown(file.url)})",
                    code="wrong-hash",
                    hint=_REFETCH,
                )
        sha256, size = Sha256(self._digests.hexdigest("sha256")), self._partial.size
        path = self._partial.commit(sha256)
        return Stored(path=path, sha256=sha256, size=size, from_cache=False, stamp=stamp(path.stat()))

    def _most(self) -> int:
        return self._client.limits.file if self._file.size is None else self._file.size

    def _restart(self) -> None:
        if self._sides is not None:
            self._sides.close()
            self._sides = self._places = None
            self._whole = self._file.size
        self._count(-self._partial.size)
        self._partial.restart()
        self._digests = Digests(self._algorithms)
        self._validator = None
        self.resumed = False

    def _count(self, count: int) -> None:
        self._reporter.download_bytes(filename=self._file.name.filename, count=count)


def gone(file: ListedFile, status: int) -> IndexFault:
    """The fault for a file that a listing names and the server does not have."""
    return IndexFault(
        f"{shown(file.url)}: listed but gone (answered {status})",
        code="gone",
        hint=f"the index {file.index} names a file that it does not have any more: run again, or exclude that version",
    )


def wrong_size(file: ListedFile, got: int | None) -> IntegrityFault:
    came = "more came" if got is None else f"got {got}"
    return IntegrityFault(
        f"{file.name.filename}: wrong size, expected {file.size} bytes, {came} ({shown(file.url)})",
        code="wrong-size",
        hint=_REFETCH,
    )
