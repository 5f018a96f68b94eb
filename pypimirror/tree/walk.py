"""Every entry of a tree beside the part that belongs there: what is changed, extra, or open to the wrong people.

Nothing is followed, nothing is opened, nothing is written. The bytes of files are for ``audit`` to look at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pypimirror.disk import FILE_MODE, FOLDER_MODE, disk_fault
from pypimirror.index.rows import shown
from pypimirror.model.findings import Finding, Kind
from pypimirror.tree.anatomy import File, Folder, Link, Part, is_remainder
from pypimirror.tree.leftovers import Leftovers

__all__ = ["AGAIN", "Walk"]

AGAIN = "render the bundle that brought it once more: what is wrong is replaced, what is right stays"


class Walk:
    """One walk through the tree at *root*, where *parts* belong. ``to_hash`` are the files that look right outside.

    Modes are not judged where *modes* is False: file systems without links have none of their own.
    """

    def __init__(self, root: Path, parts: Mapping[str, Part], leftovers: Leftovers, *, modes: bool) -> None:
        self.findings: list[Finding] = []
        self.to_hash: list[tuple[str, File]] = []
        self._root = root
        self._parts = parts
        self._leftovers = leftovers
        self._modes = modes
        self._seen: set[str] = set()
        self._strangers: list[str] = []
        self._many_names: list[str] = []

    def run(self) -> None:
        """Look at every entry. Raises OSError where the tree itself can't be listed."""
        status = self._root.stat()
        self._owner = status.st_uid
        if self._modes and status.st_mode & stat.S_IWOTH:
            self._wrong_mode(".", status.st_mode, "everybody can write into the tree")
        self._walk("")
        self._find_missing()

    def oddities(self) -> list[str]:
        """What need not be wrong, and is worth a look."""
        notes = []
        if self._many_names:
            notes.append(
                f"{_several(self._many_names)} a second name elsewhere (a hard link): who writes there writes here"
            )
        if self._strangers:
            notes.append(f"{_several(self._strangers)} another owner than the tree")
        return notes

    def _walk(self, folder: str) -> None:
        with os.scandir(self._root / folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            path = f"{folder}/{entry.name}" if folder else entry.name
            part = self._parts.get(path)
            if part is None:
                self._account_for(path, entry)
                continue
            self._seen.add(path)
            try:
                self._look(path, entry, part)
                if isinstance(part, Folder) and entry.is_dir(follow_symlinks=False):
                    self._walk(path)
            except FileNotFoundError:
                self._seen.discard(path)
            except OSError as error:
                self.findings.append(
                    Finding.of(disk_fault(error, f"looking at {path}"), kind=Kind.UNREADABLE, path=path)
                )

    def _look(self, path: str, entry: os.DirEntry[str], part: Part) -> None:
        status = entry.stat(follow_symlinks=False)
        if status.st_uid != self._owner:
            self._strangers.append(path)
        if isinstance(part, Link):
            self._look_at_link(path, status, part)
        elif isinstance(part, Folder):
            if not stat.S_ISDIR(status.st_mode):
                self._changed(path, f"{_kind(status.st_mode)} stands where a folder belongs")
            elif self._modes and stat.S_IMODE(status.st_mode) != FOLDER_MODE:
                self._wrong_mode(path, status.st_mode, "a folder of a tree has 0755")
        else:
            self._look_at_file(path, status, part)

    def _look_at_link(self, path: str, status: os.stat_result, part: Link) -> None:
        if not stat.S_ISLNK(status.st_mode):
            self._changed(path, f"{_kind(status.st_mode)} stands where a link belongs")
        elif (text := (self._root / path).readlink().as_posix()) != part.text:
            self._changed(path, f"the link leads to {shown(text)}, not to {part.text}")

    def _look_at_file(self, path: str, status: os.stat_result, part: File) -> None:
        if not stat.S_ISREG(status.st_mode):
            self._changed(path, f"{_kind(status.st_mode)} stands where a file belongs")
            return
        if self._modes and stat.S_IMODE(status.st_mode) != FILE_MODE:
            self._wrong_mode(path, status.st_mode, "a file of a tree has 0644")
        if status.st_nlink > 1:
            self._many_names.append(path)
        if part.size is not None and status.st_size != part.size:
            self._changed(path, f"it has {status.st_size} bytes, not {part.size}")
        elif part.sha256 is not None:
            self.to_hash.append((path, part))

    def _account_for(self, path: str, entry: os.DirEntry[str]) -> None:
        if is_remainder(path) or self._leftovers.explain(path, entry):
            self._leftovers.add(path)
            return
        if entry.is_symlink():
            what = f"a link to {shown(os.readlink(entry.path))}"  # noqa: PTH115 - its text as it stands
        else:
            what = _kind(entry.stat(follow_symlinks=False).st_mode)
        self.findings.append(
            Finding(
                kind=Kind.EXTRA,
                path=shown(path),
                message=f"{shown(path)} is not of this tree: {what}",
                hint="look at it, then move it elsewhere: a server would hand it out",
            )
        )

    def _find_missing(self) -> None:
        """What belongs here and was not met; of a folder that is gone, the folder alone."""
        gone: set[str] = set()
        for path in sorted(self._parts.keys() - self._seen):
            part = self._parts[path]
            if path.rpartition("/")[0] in gone:
                gone.add(path)
            elif not (isinstance(part, (File, Folder)) and part.optional):
                gone.add(path)
                self.findings.append(Finding(kind=Kind.MISSING, path=path, message=f"{path} is missing", hint=AGAIN))

    def _changed(self, path: str, what: str) -> None:
        self.findings.append(Finding(kind=Kind.CHANGED, path=path, message=f"{path} is wrong: {what}", hint=AGAIN))

    def _wrong_mode(self, path: str, mode: int, what: str) -> None:
        right = "755" if stat.S_ISDIR(mode) else "644"
        self.findings.append(
            Finding(
                kind=Kind.MODE,
                path=path,
                message=f"{path} has the mode {stat.S_IMODE(mode):04o}: {what}",
                hint=f"chmod {right} it, and look who changed it",
            )
        )


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISREG, "a file"), (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )  # fmt: skip
    return next((word for is_it, word in kinds if is_it(mode)), "a device")


def _several(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more have" if paths[1:] else " has"
    return f"{paths[0]}{more}"
