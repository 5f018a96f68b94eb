"""What is kept between runs, so that nothing is fetched twice. Losing all of it costs time and nothing else.

    CACHE/                                mode 0700; --cache-dir, else the platform's cache folder
      CACHEDIR.TAG                        tells backup programs to leave it out
      listings-v4/a/<sha256 of URL>       a record: where it came from, type, validators, outline; then the page as it
                                          came, where it has a validator
      metadata-v2/a/<sha256 of key>       a record: then the exact METADATA bytes; ``metadata_key`` says of what
      plans-v1/a/<sha256 of wishes>       a record: what was planned for these wishes, ``remembered`` says how
      files-v2/a/<sha256>                 wheels and sdists by content
      partial-v1/<sha256>.part            transfers that broke off; whoever writes one holds a lock on it
      temp/                               files that are being written; leftovers of a day ago are swept

A record begins with the sha256 of all that follows. Every byte is checked each time it is used: what has rotted, was
cut short by a power loss, or was meddled with is thrown away and fetched again. Names appear by rename, so two runs at
once fetch one file twice at worst. A bucket whose format changes gets a new number.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pypimirror.disk import DISK, Disk, disk_fault, stamp
from pypimirror.errors import UsageFault
from pypimirror.model.names import Sha256
from pypimirror.net.locking import LOCKS, try_lock
from pypimirror.net.partial import PRIVATE_FILE, Partial, writing
from pypimirror.values import dataclass

__all__ = ["Cache", "KeptPage", "default_folder", "metadata_key"]

_LISTINGS, _METADATA, _PLANS, _FILES = "listings-v4", "metadata-v2", "plans-v1", "files-v2"
_PARTIAL, _TEMP = "partial-v1", "temp"
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# The cache of pypimirror. It may be removed at any time.\n"
_PRIVATE_FOLDER = 0o700
_PIECE = 1 << 20
_OLD = 24 * 3600.0
_HEX = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptPage:
    """A page as it came. ``url`` is its final address, ``stored`` in seconds since 1970; validators may be empty.

    ``outline`` is what ``index.outline.dump`` made of it. Without a validator the page comes anew in each run: then
    ``body`` is empty, and ``sha256`` tells whether the outline is still its own.
    """

    url: str
    content_type: str
    etag: str
    last_modified: str
    stored: int
    body: bytes
    outline: str = ""
    sha256: str = ""
    is_zipped: bool = False


def default_folder(environ: Mapping[str, str], *, platform: str = sys.platform, home: Path | None = None) -> Path:
    """Where this platform keeps caches. Raises UsageFault where there is no home folder."""
    try:
        home = home or Path.home()
    except RuntimeError:
        raise UsageFault("there is no home folder for a cache", code="no-home", hint="name one: --cache-dir") from None
    if platform == "win32":
        base = environ.get("LOCALAPPDATA")
        return (Path(base) if base else home / "AppData" / "Local") / "pypimirror" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "pypimirror"
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".cache") / "pypimirror"


def metadata_key(*, file: Sha256, source: str) -> str:
    """The key of the metadata of one file. *source* is an address, or "" for what was read from the verified file.

    What an index merely claims is kept under its address, so that no index can speak for another one's files.
    """
    return f"{file} {source}"


class Cache:
    """The cache in *folder*; None: a temporary one, gone when this is closed. A context manager; safe for threads.

    Raises UsageFault for a folder that others may write to, DiskFault where it can't be used; so does every method.
    """

    def __init__(self, folder: Path | None, *, disk: Disk = DISK) -> None:
        self._disk = disk
        self._temporary = folder is None
        try:
            self.folder = _new_folder() if folder is None else folder.absolute()
            self._prepare()
        except OSError as error:
            raise disk_fault(error, f"opening the cache {folder or 'in the folder for temporary files'}") from None

    def __enter__(self) -> Cache:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove a temporary cache."""
        if self._temporary:
            for _ in range(3):  # a thread on its way out may still be writing
                with contextlib.suppress(OSError):
                    self._disk.remove_tree(self.folder)
                if not self.folder.exists():
                    return
                time.sleep(0.1)

    def listing(self, url: str) -> KeptPage | None:
        """The page kept for *url*; None where there is none that is whole."""
        record = self._read(self._place(_LISTINGS, _digest(url)))
        if record is None or record[0].get("asked") != url:
            return None
        head, body = record
        return KeptPage(
            url=head.get("url", ""),
            content_type=head.get("type", ""),
            etag=head.get("etag", ""),
            last_modified=head.get("modified", ""),
            stored=int(head.get("stored", "0")),
            body=body,
            outline=head.get("outline", ""),
            is_zipped=head.get("coding") == "gzip",
            sha256=head.get("sha256", ""),
        )

    def keep_listing(self, url: str, page: KeptPage) -> None:
        head = {
            "asked": url,
            "url": page.url,
            "type": page.content_type,
            "etag": page.etag,
            "modified": page.last_modified,
            "stored": str(page.stored),
            "outline": page.outline,
            "coding": "gzip" if page.is_zipped else "",
            "sha256": page.sha256,
        }
        self._write(self._place(_LISTINGS, _digest(url)), head, page.body)

    def metadata(self, key: str) -> bytes | None:
        """The metadata kept under *key* (``metadata_key``)."""
        record = self._read(self._place(_METADATA, _digest(key)))
        return record[1] if record is not None and record[0].get("key") == key else None

    def keep_metadata(self, key: str, data: bytes, *, passed: str = "") -> Path:
        """Keep *data*, and what its file has *passed*; the path is of the record, which ends with *data*."""
        place = self._place(_METADATA, _digest(key))
        self._write(place, {"key": key, "passed": passed}, data)
        return place

    def passed(self, key: str, passed: str) -> tuple[Path, bytes] | None:
        """The record and the metadata kept under *key*, where they were kept with just that *passed*."""
        place = self._place(_METADATA, _digest(key))
        record = self._read(place)
        if record is None or (record[0].get("key"), record[0].get("passed")) != (key, passed):
            return None
        return place, record[1]

    def plan(self, wishes: str) -> bytes | None:
        """What was kept for *wishes*, a digest of them."""
        record = self._read(self._place(_PLANS, wishes))
        return None if record is None else record[1]

    def has_plan(self, wishes: str) -> bool:
        return self._place(_PLANS, wishes).is_file()

    def keep_plan(self, wishes: str, data: bytes) -> None:
        self._write(self._place(_PLANS, wishes), {}, data)

    def file(self, sha256: Sha256) -> Path | None:
        """The file with this content, read and hashed on the way; one that has rotted is removed and not there."""
        found = self.stamped(sha256)
        return None if found is None else found[0]

    def stamped(self, sha256: Sha256) -> tuple[Path, tuple[int, ...]] | None:
        """As ``file``, with the stamp (``disk.stamp``) that it had when it was opened to be hashed."""
        place = self._place(_FILES, sha256)
        opened: tuple[int, ...] = ()
        try:
            with place.open("rb") as file:
                opened = stamp(os.fstat(file.fileno()))
                sound = _hash(file) == sha256
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            sound = False
        if sound:
            return place, opened
        self._remove(place)
        return None

    def has_file(self, sha256: Sha256) -> bool:
        """Whether there is a file of that name: for estimates; its bytes are not looked at."""
        return self._place(_FILES, sha256).is_file()

    def loose(self, data: bytes) -> Path:
        """Bytes as a bare file by their content, as wheels and sdists are kept."""
        sha256 = Sha256(hashlib.sha256(data).hexdigest())
        kept = self.file(sha256)
        if kept is None:
            with writing(self.folder):
                kept = self._place(_FILES, sha256)
                self._put(kept, data)
        return kept

    def being_written(self, sha256: Sha256) -> int | None:
        """How much another transfer has of this file by now; None where nobody is at it (or that can't be told)."""
        if not LOCKS:
            return None
        try:
            with (self.folder / _PARTIAL / f"{sha256}.part").open("rb") as file:
                return None if try_lock(file) else os.fstat(file.fileno()).st_size
        except OSError:
            return None

    def free(self) -> int:
        try:
            return self._disk.free(self.folder)
        except OSError as error:
            raise disk_fault(error, f"asking for free space on {self.folder}") from None

    @contextlib.contextmanager
    def partial(self, sha256: Sha256 | None) -> Iterator[Partial]:
        """A transfer: the one that broke off earlier where there is one and nobody else is at it, else a new one.

        What is neither committed nor discarded stays for the next run where *sha256* is known.
        """
        with writing(self.folder):
            partial = self._open_partial(sha256)
        try:
            yield partial
        finally:
            with contextlib.suppress(OSError):
                partial.close()

    def _open_partial(self, sha256: Sha256 | None) -> Partial:
        if sha256 is not None:
            place = self.folder / _PARTIAL / f"{sha256}.part"
            for _ in range(3):
                try:
                    file = self._disk.create(place, mode=PRIVATE_FILE)
                except FileExistsError:
                    try:
                        file = self._disk.reopen(place)
                    except FileNotFoundError:
                        continue
                # Locked, and still what the name means: else another run has just finished or dropped it.
                if try_lock(file) and _same(file, place):
                    return Partial(file, place, cache=self, disk=self._disk, resumable=True)
                file.close()
        place = self.temp_place()
        file = self._disk.create(place, mode=PRIVATE_FILE)
        return Partial(file, place, cache=self, disk=self._disk, resumable=False)

    def adopt(self, source: Path, sha256: Sha256) -> Path:
        """Move a verified file of this cache to its name."""
        place = self._place(_FILES, sha256)
        with writing(self.folder):
            self._move(source, place)
        return place

    def _prepare(self) -> None:
        if not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._make(self.folder)
        self._check_private()
        for bucket in (_LISTINGS, _METADATA, _PLANS, _FILES, _PARTIAL, _TEMP):
            self._make(self.folder / bucket)
        if not (self.folder / "CACHEDIR.TAG").exists():
            self._put(self.folder / "CACHEDIR.TAG", _TAG)
        self._sweep()

    def _check_private(self) -> None:
        """Listings are believed, so nobody else may put some there."""
        if not hasattr(os, "geteuid"):
            return
        found = self.folder.stat()
        if found.st_mode & stat.S_IWOTH or os.geteuid() not in (found.st_uid, 0):
            raise UsageFault(
                f"the cache {self.folder} belongs to somebody else, or anybody may write to it",
                code="cache-not-private",
                hint="name another one with --cache-dir, or take the right to write from others (chmod o-w)",
            )

    def _sweep(self) -> None:
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder / _TEMP):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD:
                    self._remove(Path(entry.path))

    def _place(self, bucket: str, digest: str) -> Path:
        # Sixteen folders, no more: to make one costs more than a file.
        return self.folder / f"{bucket}/{digest[0]}/{digest}"

    def temp_place(self) -> Path:
        """A path for a file that is being written, which nobody else will use."""
        return self.folder / _TEMP / f"{os.getpid()}-{os.urandom(8).hex()}"

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            with contextlib.suppress(FileExistsError):
                self._disk.make_folder(folder, mode=_PRIVATE_FOLDER)

    def _read(self, place: Path) -> tuple[dict[str, str], bytes] | None:
        try:
            data = place.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            data = b""
        rest = memoryview(data)[_HEX + 1 :]
        end = data.find(b"\n", _HEX + 1)
        if end >= 0 and data[:_HEX] == hashlib.sha256(rest).hexdigest().encode():
            with contextlib.suppress(ValueError):
                head = json.loads(data[_HEX + 1 : end])
                if isinstance(head, dict) and all(isinstance(value, str) for value in head.values()):
                    return head, data[end + 1 :]
        self._remove(place)
        return None

    def _write(self, place: Path, head: dict[str, str], body: bytes) -> None:
        line = json.dumps(head, sort_keys=True).encode() + b"\n"
        machine = hashlib.sha256(line)
        machine.update(body)
        with writing(self.folder):
            begin = machine.hexdigest().encode() + b"\n" + line
            # A large page is not copied in memory just to be written at once.
            self._put(place, *((begin, body) if len(body) > _PIECE else (begin + body,)))

    def _put(self, place: Path, *pieces: bytes) -> None:
        temp = self.temp_place()
        try:
            with self._create(temp) as file:
                for piece in pieces:
                    self._disk.write(file, piece)
            self._move(temp, place)
        except BaseException:
            self._remove(temp)
            raise

    def _create(self, place: Path) -> BinaryIO:
        """As ``_move``: the folder is nearly always there, so it isn't looked for first."""
        with contextlib.suppress(FileNotFoundError):
            return self._disk.create(place, mode=PRIVATE_FILE)
        self._make(place.parent)
        return self._disk.create(place, mode=PRIVATE_FILE)

    def _move(self, source: Path, place: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._disk.rename(source, place)
            return
        self._make(place.parent)
        self._disk.rename(source, place)

    def _remove(self, place: Path) -> None:
        with contextlib.suppress(OSError):
            self._disk.remove(place)


def _new_folder() -> Path:
    import tempfile  # noqa: PLC0415 - slow to import, and only for runs without a cache

    return Path(tempfile.mkdtemp(prefix="pypimirror-"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hash(file: BinaryIO) -> str:
    machine = hashlib.sha256()
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    while size := file.readinto(buffer):  # type: ignore[attr-defined]  # every binary file of the system has it
        machine.update(view[:size])
    return machine.hexdigest()


def _same(file: BinaryIO, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), place.lstat())
    except OSError:
        return False
