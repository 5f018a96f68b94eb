"""The one seam to the local disk: every operation that changes something goes through a ``Disk``.

Code takes ``disk: Disk = DISK`` and calls nothing of ``os`` that writes. So tests can fail, kill or record each
operation. Modes are set explicitly, whatever the umask; files are created new, never through a link that lies there.
An OSError leaves here as it is: ``disk_fault`` makes the sentence of it, at the place that knows what was being done.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pypimirror.errors import DiskFault

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["DISK", "FILE_MODE", "FOLDER_MODE", "Disk", "StrPath", "disk_fault", "require_space", "stamp"]

StrPath: TypeAlias = "Path | str"
"""A path. As a text it costs a tenth: what is done to each of a hundred thousand files takes both."""

FILE_MODE = 0o644
FOLDER_MODE = 0o755

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_FAR = 1 << 30  # where Windows locks a byte, so that the text before it can be read


def _moves() -> Iterator[Callable[[int, int, int], int]]:
    """What this system offers to copy from one descriptor to another within the kernel, the best first."""
    # Any may be missing in the kernel, forbidden in a container, or not for these two file systems; some file systems
    # answer 0 in place of an error.
    if hasattr(os, "copy_file_range"):
        yield os.copy_file_range
    if sys.platform == "linux":  # elsewhere it sends to sockets alone
        yield lambda source, target, size: os.sendfile(target, source, None, size)


_MOVES = tuple(_moves())


class Disk:
    """The real disk. Methods raise OSError."""

    def create(self, path: StrPath, *, mode: int = FILE_MODE) -> BinaryIO:
        """A new file open for reading and writing; it must not exist, not even as a link.

        It has no buffer: what ``write`` was given is the system's when it returns, and closing can't fail for want of
        room.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY, mode)
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            return os.fdopen(descriptor, "w+b", buffering=0)
        except BaseException:
            os.close(descriptor)
            raise

    def reopen(self, path: Path) -> BinaryIO:
        """A file that exists, open for reading and for writing at its end."""
        return os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | _NOFOLLOW | _BINARY), "a+b", buffering=0)

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        """All of *data*, which a file without a buffer may take in several bites."""
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]

    def copy_into(self, file: BinaryIO, source: BinaryIO, size: int) -> int:
        """Let the kernel move the next *size* bytes of *source* to *file*; how many it did, and never an OSError.

        What it did not move, or could not, is for the caller to read and write: so a fault shows which of the two
        files is to blame. Neither file may have a buffer; both stand behind what was moved.
        """
        done = 0
        for move in _MOVES:
            with contextlib.suppress(OSError):
                while done < size and (count := move(source.fileno(), file.fileno(), size - done)):
                    done += count
        return done

    def truncate(self, file: BinaryIO) -> None:
        """Nothing is left in *file*."""
        file.truncate(0)

    def sync_file(self, file: BinaryIO) -> None:
        """Everything written to *file* is on the medium when this returns."""
        file.flush()
        os.fsync(file.fileno())

    def sync_folder(self, path: Path) -> None:
        """The names in *path* are on the medium when this returns (a no-op where folders can't be opened)."""
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_all(self) -> None:
        """Everything written so far, by anybody, is on the medium when this returns."""
        if hasattr(os, "sync"):
            os.sync()

    def make_folder(self, path: Path, *, mode: int = FOLDER_MODE) -> None:
        """A new folder; its parent exists, itself it does not."""
        path.mkdir(mode=mode)
        path.chmod(mode)

    def rename(self, source: StrPath, target: StrPath) -> None:
        """Atomic within one file system; a file that is there is replaced."""
        os.replace(source, target)  # noqa: PTH105 - either may be a text

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file."""
        os.link(source, target, follow_symlinks=False)

    def symlink(self, text: str, path: Path, *, folder: bool = False) -> None:
        path.symlink_to(text, target_is_directory=folder)

    def remove(self, path: Path) -> None:
        path.unlink()

    def remove_folder(self, path: Path) -> None:
        """An empty folder."""
        path.rmdir()

    def remove_tree(self, path: Path) -> None:
        """A folder of ours with all that is in it; links are removed, not followed."""
        import shutil  # noqa: PLC0415 - it brings every compression along

        shutil.rmtree(path)

    def set_time(self, path: Path, seconds: int) -> None:
        os.utime(path, (seconds, seconds), follow_symlinks=False)

    def set_mode(self, path: Path, mode: int) -> None:
        """Of a file or a folder; *path* must not be a link."""
        path.chmod(mode)

    def lock(self, file: BinaryIO) -> bool:
        """Try to hold *file* alone until it is closed; False where another holds it. The kernel frees it on death."""
        try:
            if sys.platform == "win32":
                before = os.lseek(file.fileno(), 0, os.SEEK_CUR)
                os.lseek(file.fileno(), _FAR, os.SEEK_SET)
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                finally:
                    os.lseek(file.fileno(), before, os.SEEK_SET)
            else:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # what Linux says, and what Windows does
            return False
        return True

    def free(self, path: Path) -> int:
        """Free bytes on the file system of an existing *path*."""
        import shutil  # noqa: PLC0415 - likewise

        return shutil.disk_usage(path).free


DISK = Disk()

_CODES = {
    errno.ENOSPC: ("disk-full", "the disk is full", "free some space, then run the same command again"),
    errno.EDQUOT: ("disk-full", "the disk quota is used up", "free some space, then run the same command again"),
    errno.EROFS: ("disk-read-only", "the file system is read-only", "choose another place, or mount it writable"),
    errno.EACCES: ("disk-not-permitted", "permission denied", "check who owns the folder, and its mode"),
    errno.EPERM: ("disk-not-permitted", "operation not permitted", "check who owns the folder, and its mode"),
    errno.EMFILE: ("too-many-open-files", "too many open files", "raise the limit (ulimit -n), then run again"),
    errno.ENOENT: ("no-such-file", "no such file or folder", "check the path"),
    errno.EISDIR: ("is-a-folder", "it is a folder", "name a file"),
    errno.ENOTDIR: ("not-a-folder", "part of the path is not a folder", "check the path"),
    errno.EEXIST: ("exists", "it exists already", "choose another name, or remove it"),
    errno.ENAMETOOLONG: ("name-too-long", "the name is too long for this file system", "choose a shorter path"),
    errno.EFBIG: ("file-too-large", "the file is too large here", "choose another file system, or raise ulimit -f"),
    errno.EPIPE: ("broken-pipe", "whoever read it went away", "look at the command after the pipe"),
    errno.EIO: ("disk-broken", "input/output error", "check the medium and the system's log; nothing bad was kept"),
}


def disk_fault(error: OSError, doing: str) -> DiskFault:
    """The fault for an OSError. *doing* is what was being done: ``writing kubespray.tar``."""
    code, what, hint = _CODES.get(error.errno or 0, ("disk", error.strerror or type(error).__name__, "try again"))
    return DiskFault(f"{doing}: {what}", code=code, hint=hint)


def stamp(status: os.stat_result) -> tuple[int, ...]:
    """What the file system says of a file; as long as it says the same, nothing was written to it."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def require_space(disk: Disk, folder: Path, needed: int, doing: str) -> None:
    """Raise DiskFault (``disk-full``) unless *folder*, which exists, has room for *needed* bytes and 5 % more."""
    free = disk.free(folder)
    if free < needed + needed // 20:
        message = f"{doing} needs {_decimal(needed + needed // 20)}, {_decimal(free)} free on {folder}"
        raise DiskFault(message, code="disk-full", hint=_CODES[errno.ENOSPC][2])


def _decimal(size: int) -> str:
    """A size as disks are sold by: 812 MB."""
    if size < 1000:  # noqa: PLR2004 - below the first unit
        return f"{size} bytes"
    value, units = size / 1000, ["kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and units[1:]:  # noqa: PLR2004 - what would be rounded up to four digits
        value /= 1000
        del units[0]
    return f"{value:.3g} {units[0]}"
