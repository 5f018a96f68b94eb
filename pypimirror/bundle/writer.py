"""Writing a bundle: manifest and files -> one tar, that is there whole or not at all.

Each source is hashed while it is copied, unless it was in this run already and nothing was written to it since: what is
in the bundle is what the manifest says, or there is no bundle.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Literal, TypeAlias

from pypimirror.bundle.beside import beside
from pypimirror.bundle.layout import END, Entry, Kind, Layout, padding
from pypimirror.disk import DISK, Disk, disk_fault, require_space, stamp
from pypimirror.errors import DiskFault, Incomplete, IntegrityFault
from pypimirror.model import manifest_json
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import FileName, Sha256
from pypimirror.model.reading import Malformed
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["Hashed", "Source", "Tail", "Written", "write_bundle"]

Source: TypeAlias = "Path | bytes | Hashed | Tail"
_CHUNK = 256 * 1024  # what stays in the nearest cache of a processor while it is hashed and written
_MOVED = 64 * _CHUNK  # by the kernel, between two looks at progress
_SIZE = 2  # where a stamp has it
_OWN = frozenset({Kind.FOLDER, Kind.MANIFEST, Kind.SUMS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashed:
    """A file that was hashed in this run, and was found right. ``stamp`` is ``disk.stamp``'s from then."""

    path: Path
    stamp: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """A file that ends with the content: as many of its last bytes as the content is long."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A bundle that was written. ``digest`` is its name, ``sha256`` is of the whole tar, ``size`` in bytes.

    ``sha256`` is empty unless it was asked for.
    """

    digest: Sha256
    sha256: Sha256 | Literal[""]
    size: int


def write_bundle(
    manifest: Manifest,
    sources: Mapping[str, Source],
    target: Path | BinaryIO,
    *,
    carried: frozenset[FileName] | None = None,
    members: bool = True,
    before_naming: Callable[[Path], None] | None = None,
    hashed: bool = True,
    disk: Disk = DISK,
    reporter: Reporter | None = None,
) -> Written:
    """Write a volume that carries the files in *carried* (None: all) and, unless told otherwise, all other members.

    ``sources`` has what each path of the layout holds: ``packages/x.whl``, ``packages/x.whl.metadata``, ``index.html``.
    A file that is at *target* is replaced in one step; a BinaryIO is written forward and left open.
    Unless *hashed*, the sha256 of the whole tar is left out.
    ``before_naming`` is called with the finished file while it still has a temporary name, and goes to the medium: what
    it raises undoes all.

    Raises Incomplete (``missing-content``) where ``sources`` lacks a path, IntegrityFault (``changed-file``) where a
    source is not what the manifest says, DiskFault. Then *target* is as it was, and no temporary file is left.
    """
    data, layout = _sealed(manifest)
    packing = _Packing(
        data=data,
        layout=layout,
        sources=sources,
        entries=lambda: layout.entries(carried=carried, members=members),
        hashed=hashed,
        disk=disk,
        reporter=reporter or Reporter(),
    )
    name = str(target) if isinstance(target, Path) else "standard output"
    try:
        if isinstance(target, Path):
            real = _real(target)
            require_space(disk, real.parent, packing.size, f"writing {target}")
            with beside(real, disk) as part:
                packing.write(part.file)
                if before_naming is not None:
                    with _syncing(part.file, disk):
                        before_naming(part.path)
        else:
            packing.write(target)
            target.flush()
    except OSError as error:
        raise disk_fault(error, f"writing {name}") from error
    return Written(digest=layout.digest, sha256=packing.sha256, size=packing.size)


def _sealed(manifest: Manifest) -> tuple[bytes, Layout]:
    """The manifest's bytes, admitted by its own gate: never write what no reader will take."""
    data = manifest_json.dump(manifest)
    try:
        manifest_json.parse(data)
    except Malformed as error:
        hint = "this is a fault of pypimirror; please report it"
        raise IntegrityFault(f"the bundle's manifest can't be used: {error}", code="bad-manifest", hint=hint) from None
    return data, Layout(manifest=manifest, digest=manifest_json.digest(data), size=len(data))


def _real(target: Path) -> Path:
    """Where a file named *target* lies: behind a link. Refuses what is there and is no regular file."""
    real = Path(os.path.realpath(target))
    if real.is_dir():
        raise DiskFault(f"writing {target}: it is a folder", code="is-a-folder", hint="name a file in it")
    if real.exists() and not real.is_file():
        raise DiskFault(
            f"writing {target}: it is a device or a pipe", code="not-a-file", hint="write to -, and redirect"
        )
    if not real.parent.is_dir():
        hint = "make the folder first, or choose another"
        raise DiskFault(f"writing {target}: there is no folder {real.parent}", code="no-such-file", hint=hint)
    return real


@contextmanager
def _syncing(file: BinaryIO, disk: Disk) -> Iterator[None]:
    """*file* goes to the medium while the block runs: one waits for the disk, the other needs the processor."""
    raised: list[BaseException] = []

    def sync() -> None:
        try:
            disk.sync_file(file)
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread that asked
            raised.append(error)

    thread = Thread(target=sync, name="sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if raised:
        raise raised[0]


class _Packing:
    """One volume on its way out. ``sha256`` is known once it is written."""

    def __init__(
        self,
        *,
        data: bytes,
        layout: Layout,
        sources: Mapping[str, Source],
        entries: Callable[[], Iterator[Entry]],
        hashed: bool,
        disk: Disk,
        reporter: Reporter,
    ) -> None:
        self._data = data
        self._layout = layout
        self._sources = sources
        self._entries = entries
        self._disk = disk
        self._reporter = reporter
        self._done = 0
        self._digest = hashlib.sha256() if hashed else None
        self.size = self._checked_size()
        self._buffer = memoryview(bytearray(_CHUNK))

    @property
    def sha256(self) -> Sha256 | Literal[""]:
        return "" if self._digest is None else Sha256(self._digest.hexdigest())

    def _checked_size(self) -> int:
        """The size of the tar. Raises Incomplete unless every content is at hand."""
        missing, size = [], len(END)
        for entry in self._entries():
            size += len(entry.header) + entry.size + padding(entry.size)
            if entry.kind not in _OWN and entry.path not in self._sources:
                missing.append(entry.path)
        if missing:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            message = f"the bundle lists {missing[0]}{more}, but the content is not at hand"
            raise Incomplete(message, code="missing-content", hint="run the same command again")
        return size

    def write(self, file: BinaryIO) -> None:
        """Write it all. Raises OSError for *file*, DiskFault and IntegrityFault for a source."""
        for entry in self._entries():
            self._put(file, entry.header)
            for piece in self._content(entry, file):
                self._put(file, piece)
            self._put(file, bytes(padding(entry.size)))
        self._put(file, END)

    def _put(self, file: BinaryIO, data: bytes | memoryview) -> None:
        self._disk.write(file, data)
        if self._digest is not None:
            self._digest.update(data)
        self._count(len(data))

    def _count(self, size: int) -> None:
        self._done += size
        if size >= _CHUNK or self._done == self.size:
            self._reporter.packing(done=self._done, total=self.size)

    def _content(self, entry: Entry, target: BinaryIO) -> Iterator[bytes | memoryview]:
        if entry.kind is Kind.FOLDER:
            return
        if entry.kind is Kind.MANIFEST:
            yield self._data
            return
        if entry.kind is Kind.SUMS:
            yield from self._layout.sums()
            return
        source = self._sources[entry.path]
        if isinstance(source, Hashed):
            yield from self._copied(entry, source, target)
        elif isinstance(source, (Path, Tail)):
            with _opened(source if isinstance(source, Path) else source.path) as file:
                if isinstance(source, Tail):
                    file.seek(max(0, file.seek(0, os.SEEK_END) - entry.size))
                yield from self._compared(entry, source, self._read(file, source))
        else:
            yield from self._compared(entry, source, (source,))

    def _compared(
        self, entry: Entry, source: Source, pieces: Iterable[bytes | memoryview]
    ) -> Iterator[bytes | memoryview]:
        """The bytes of a source, hashed on their way."""
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            size += len(piece)
            if size > entry.size:
                break  # it grew: what is there is wrong, however long it is
            digest.update(piece)
            yield piece
        if size != entry.size or digest.hexdigest() != entry.sha256:
            raise _changed(entry, source)

    def _copied(self, entry: Entry, source: Hashed, target: BinaryIO) -> Iterator[bytes | memoryview]:
        """The bytes of a file that was hashed before; hashed again only if anything may have been written to it.

        Those that need not be seen here the kernel moves to *target* first, and they are not given.
        """
        with _opened(source.path) as file:
            if stamp(os.fstat(file.fileno())) != source.stamp or source.stamp[_SIZE] != entry.size:
                yield from self._compared(entry, source, self._read(file, source))
                return
            if self._digest is None and isinstance(target, FileIO):
                self._move(file, target, entry.size)
            yield from self._read(file, source)
            if stamp(os.fstat(file.fileno())) != source.stamp:
                raise _changed(entry, source)

    def _move(self, file: FileIO, target: FileIO, size: int) -> None:
        while size:
            most = min(size, _MOVED)
            moved = self._disk.copy_into(target, file, most)
            self._count(moved)
            if moved < most:
                return
            size -= moved

    def _read(self, file: FileIO, source: Path | Hashed | Tail) -> Iterator[memoryview]:
        while True:
            try:
                count = file.readinto(self._buffer)
            except OSError as error:
                raise disk_fault(error, f"reading {source}") from error
            if not count:
                return
            yield self._buffer[:count]


def _opened(path: Path) -> FileIO:
    """An error of reading a source is not one of writing the bundle."""
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from error


def _changed(entry: Entry, source: Source) -> IntegrityFault:
    where = "" if isinstance(source, bytes) else f" ({source})"
    return IntegrityFault(
        f"{entry.path} is no longer what was verified{where}",
        code="changed-file",
        hint="something changed the file since; nothing was written. Remove it, and run the same command again",
    )
