"""Every entry of a tree beside the part that belongs there: what is changed, extra, or open to the wrong people.

Nothing is followed, nothing is opened, nothing is written. The bytes of files are for ``audit`` to look at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from pypimirror.disk import FILE_MODE, FOLDER_MODE, disk_fault
from pypimirror.index.rows import shown
from pypimirror.model import manifest_json
from pypimirror.model.findings import Finding, Kind
from pypimirror.tree.anatomy import File, Folder, Link, Part, is_remainder
from pypimirror.tree.layout import is_package_path
from pypimirror.tree.leftovers import Leftovers
from pypimirror.tree.marks import Marks

__all__ = ["REPAIR", "Walk", "remedy"]

REPAIR = "'pypimirror repair TREE' makes it again; what is right stays as it is"
_AGAIN = (
    "'pypimirror repair TREE --from BUNDLE' puts it back, and so does rendering the bundle that brought it once more "
    "('pypimirror show' with the project names it)"
)
_MODES = "chmod {} it, and look who changed it; or mend all modes: pypimirror repair TREE, as its owner"

_OTHERS = stat.S_IROTH | stat.S_IXOTH


def remedy(path: str) -> str:
    """What mends a part that is wrong or missing: the bytes of files in ``packages/`` must come from a bundle."""
    return _AGAIN if is_package_path(path) else REPAIR


class Walk:
    """A walk through the tree at *root*, where *parts* belong. ``to_hash`` are the files that look right outside.

    What belongs into the folders *apart* is looked at later, in portions. Modes are not judged where *modes* is False:
    file systems without links have none of their own.
    """

    def __init__(
        self, root: Path, parts: Mapping[str, Part], leftovers: Leftovers, *, modes: bool, apart: Collection[str] = ()
    ) -> None:
        self.findings: list[Finding] = []
        self.missing: list[Finding] = []
        self.to_hash: list[tuple[str, File]] = []
        self._root = root
        self._base = f"{root}{os.sep}"
        self._parts = parts
        self._leftovers = leftovers
        self._modes = modes
        self._apart = {folder: Marks() for folder in apart}
        self._counts = dict.fromkeys(self._apart, 0)
        self._seen: set[str] = set()
        self._closed: set[str] = set()
        self._gone: set[str] = set()
        self._strangers: list[str] = []
        self._many_names: list[str] = []

    def run(self) -> None:
        """Look at every entry but those of the folders apart. Raises OSError where the tree itself can't be listed."""
        status = self._root.stat()
        self._owner = status.st_uid
        if self._modes and status.st_mode & stat.S_IWOTH:
            self._wrong_mode(".", status.st_mode, "everybody can write into the tree")
        self._private = self._modes and status.st_mode & _OTHERS != _OTHERS
        self._walk("")
        for folder in self._apart.keys() & self._seen - self._closed:
            try:
                os.scandir(self._base + folder).close()
            except OSError as error:
                self._unreadable(folder, error)
        self._meet_apart()
        self._find_missing()

    def look(self, parts: Mapping[str, Part]) -> None:
        """Look at a portion of what belongs into the folders apart, with all that lies in the folders in it."""
        self._parts, self._seen, self.to_hash = parts, set(), []
        self._meet_apart()
        self._find_missing()

    def finish(self) -> None:
        """Look for what else is in the folders apart; no folder itself is wrong for it."""
        self._parts = {}
        for folder, met in self._apart.items():
            if folder in self._gone or folder in self._closed:
                continue
            with os.scandir(self._base + folder) as entries:
                strange = sum(1 for _ in entries) != self._counts[folder]
            if strange:
                with os.scandir(self._base + folder) as entries:
                    others = sorted((each for each in entries if each.name not in met), key=lambda each: each.name)
                for entry in others:
                    self._try(f"{folder}/{entry.name}", entry)

    def _meet_apart(self) -> None:
        """What of the parts stands directly in a folder apart: its name is known, so no folder is listed for it."""
        for path, part in self._parts.items():
            folder, _, name = path.rpartition("/")
            if folder not in self._apart or folder in self._closed or folder in self._gone:
                continue
            try:
                status = os.lstat(self._base + path)
                if name not in self._apart[folder]:
                    self._apart[folder].add(name)
                    self._counts[folder] += 1
                self._stands(path, status, part)
            except FileNotFoundError:  # for ``_find_missing`` to tell
                continue
            except OSError as error:
                self._unreadable(path, error)

    def oddities(self) -> list[str]:
        """What need not be wrong, and is worth a look."""
        notes = []
        if self._private:
            notes.append(
                "others may not enter the tree's own folder: a web server that runs as another user can't serve it"
            )
        if self._many_names:
            notes.append(
                f"{_several(self._many_names)} a second name elsewhere (a hard link): who writes there writes here"
            )
        if self._strangers:
            notes.append(f"{_several(self._strangers)} another owner than the tree")
        return notes

    def _walk(self, folder: str) -> None:
        with os.scandir(self._base + folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            self._try(f"{folder}/{entry.name}" if folder else entry.name, entry)

    def _try(self, path: str, entry: os.DirEntry[str]) -> None:
        try:
            part = self._parts.get(path)
            if part is None:
                self._account_for(path, entry)
            else:
                self._stands(path, entry.stat(follow_symlinks=False), part)
        except FileNotFoundError:  # it was there when the folder was listed
            self._seen.discard(path)
        except OSError as error:
            self._unreadable(path, error)

    def _unreadable(self, path: str, error: OSError) -> None:
        self._closed.add(path)
        fault = disk_fault(error, f"looking at {shown(path)}")
        self.findings.append(Finding.of(fault, kind=Kind.UNREADABLE, path=shown(path)))

    def _stands(self, path: str, status: os.stat_result, part: Part) -> None:
        self._seen.add(path)
        self._look(path, status, part)
        if isinstance(part, Folder):
            if not stat.S_ISDIR(status.st_mode):
                self._closed.add(path)
            elif path not in self._apart:
                self._walk(path)

    def _look(self, path: str, status: os.stat_result, part: Part) -> None:
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
        elif (text := os.readlink(self._base + path).replace(os.sep, "/")) != part.text:  # noqa: PTH115 - thousands
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
        elif status.st_size > manifest_json.MAX_BYTES and part.size is None and part.sha256 is not None:
            self._changed(path, f"it has {status.st_size} bytes, and no manifest has as many")
        elif part.sha256 is not None:
            self.to_hash.append((path, part))

    def _account_for(self, path: str, entry: os.DirEntry[str]) -> None:
        mode = entry.stat(follow_symlinks=False).st_mode
        stands: Part | None = Folder() if stat.S_ISDIR(mode) else File() if stat.S_ISREG(mode) else None
        what = _kind(mode)
        if stat.S_ISLNK(mode):
            stands = Link(text=os.readlink(entry.path))  # noqa: PTH115 - its text as it stands
            what = f"a link to {shown(stands.text)}"
        if (stands is not None and is_remainder(path, stands)) or self._leftovers.explain(path, entry):
            self._leftovers.add(path)
            return
        self.findings.append(
            Finding(
                kind=Kind.EXTRA,
                path=shown(path),
                message=f"{shown(path)} is not of this tree: {what}",
                hint="look at it, then move it elsewhere: a server would hand it out",
            )
        )

    def _find_missing(self) -> None:
        """What belongs here and was not met; of a folder that is gone, or can't be looked into, the folder alone."""
        gone = set(self._closed | self._gone)
        for path in sorted(self._parts.keys() - self._seen):
            part = self._parts[path]
            if path.rpartition("/")[0] in gone:
                gone.add(path)
            elif not (isinstance(part, (File, Folder)) and part.optional):
                gone.add(path)
                self.missing.append(
                    Finding(kind=Kind.MISSING, path=path, message=f"{path} is missing", hint=remedy(path))
                )
        self._gone |= gone & self._apart.keys()

    def _changed(self, path: str, what: str) -> None:
        self.findings.append(
            Finding(kind=Kind.CHANGED, path=path, message=f"{path} is wrong: {what}", hint=remedy(path))
        )

    def _wrong_mode(self, path: str, mode: int, what: str) -> None:
        # Five digits: with fewer, chmod leaves the set-group-id bit of a folder as it is.
        right = "00755" if stat.S_ISDIR(mode) else "644"
        self.findings.append(
            Finding(
                kind=Kind.MODE,
                path=path,
                message=f"{path} has the mode {stat.S_IMODE(mode):04o}: {what}",
                hint=_MODES.format(right),
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
