"""The way in: arguments and requirements files -> Wishes. Every fault of all of them is told in one run.

Order as in pip: constraint files, arguments, requirements files, each with what it includes at the place where it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import PurePath
from urllib.parse import urljoin

from pypimirror.errors import PypimirrorError, UsageFault
from pypimirror.inputs.faults import quoted
from pypimirror.inputs.gathering import Gathering, Place
from pypimirror.inputs.looks import other_kind_by_content, other_kind_by_name, other_kind_by_text
from pypimirror.inputs.options import Given, OptionFault, OptionName, split_line, split_options
from pypimirror.inputs.reader import MAX_FILE_SIZE, Reader
from pypimirror.inputs.sayings import FOLDER_HINT
from pypimirror.inputs.text import MAX_LINE, Line, Undecodable, decode, logical_lines
from pypimirror.inputs.wishes import Wishes
from pypimirror.model.requests import FormatControl, Origin
from pypimirror.model.urls import is_url, redact
from pypimirror.values import dataclass

__all__ = ["read_wishes"]

MAX_NESTING = 50
MAX_FILES = 1000
# So many bad lines, and hardly a good one: that is one mistake, not many.
_NONSENSE = 25
# So many, and the rest of the file is not looked at.
_ENOUGH = 1000

_INCLUDES = (OptionName.REQUIREMENT, OptionName.CONSTRAINT)


def read_wishes(
    *,
    arguments: Sequence[str] = (),
    requirement_files: Sequence[str] = (),
    constraint_files: Sequence[str] = (),
    reader: Reader,
    environ: Mapping[str, str],
    formats: FormatControl | None = None,
    require_hashes: bool = False,
) -> Wishes:
    """Read all that a person wishes for.

    *formats* and *require_hashes* are what the command line says already; files add to it. Raises InputFaults with
    every fault there is. Where nothing but the network failed, raises what the reader raised (an IndexFault).
    """
    gathering = Gathering(reader=reader, formats=formats or FormatControl(), require_hashes=require_hashes)
    walk = _Walk(gathering=gathering, environ=environ)
    for path in constraint_files:
        walk.file(_File(path=path, shown=redact(path), constraint=True))
    for argument in arguments:
        _read_argument(gathering, argument)
    for path in requirement_files:
        walk.file(_File(path=path, shown=redact(path), constraint=False))
    if walk.failed is not None:
        if not gathering.faults:
            raise walk.failed
        gathering.faults.keep(UsageFault(redact(str(walk.failed)), code="unreadable", hint=walk.failed.hint))
    return gathering.wishes()


def _read_argument(gathering: Gathering, argument: str) -> None:
    """An argument is one requirement: no options, no comment, no variables."""
    if not argument.strip():
        return
    place = Place(origin=Origin(path=redact(argument.strip())), shown=argument)
    if argument.lstrip().startswith("-"):
        what = f"{quoted(argument)} is an option, not a requirement"
        gathering.faults.add(None, "unknown-option", what, "give it as an argument of its own, before any '--'")
        return
    if argument.strip().endswith((".txt", ".in")) and gathering.reader.is_file(argument.strip()):
        # A legal name of a project, which nobody ever means.
        what = f"{quoted(argument)} is a file, not a requirement"
        gathering.faults.add(None, "bad-requirement", what, "to read requirements from it, say '-r' before it")
        return
    gathering.requirement(place, argument)


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """One file to read: how it is opened, how it is shown, and through which files it was reached.

    ``by`` is the line that includes it, and ``chain`` those above it, outermost first: what makes two paths the same
    file, and how that one is shown.
    """

    path: str
    shown: str
    constraint: bool
    by: Origin | None = None
    chain: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Reads files and what they include. A file that was read already adds nothing new and is not read again."""

    gathering: Gathering
    environ: Mapping[str, str]
    failed: PypimirrorError | None = None
    seen: set[tuple[str, bool]] = field(default_factory=set)

    def file(self, file: _File) -> None:
        """Read one file with all that it includes."""
        key = self._key(file.path)
        if not self._may_enter(file, key):
            return
        self.seen.add((key, file.constraint))
        data = self._bytes(file)
        text = None if data is None else self._text(file, data)
        if text is not None:
            self._lines(file, (*file.chain, (key, file.shown)), text)

    def _key(self, path: str) -> str:
        """What makes two paths the same file."""
        if is_url(path) and not path.lower().startswith("file:"):
            return path
        try:
            return self.gathering.reader.absolute(path)
        except (OSError, ValueError):
            return path  # reading it will say what is wrong

    def _may_enter(self, file: _File, key: str) -> bool:
        faults = self.gathering.faults
        above = [known for known, _ in file.chain]
        if key in above:
            names = [shown for _, shown in file.chain[above.index(key) :]]
            what = f"{quoted(file.shown)} includes itself: {' -> '.join([*names, file.shown])}"
            faults.add(file.by, "include-cycle", what, "take one of these lines out")
        elif (key, file.constraint) in self.seen:
            pass
        elif len(file.chain) >= MAX_NESTING:
            what = f"{quoted(file.shown)} is included more than {MAX_NESTING} files deep"
            faults.add(file.by, "nested-too-deep", what, "include it from nearer the top")
        elif len(self.seen) >= MAX_FILES:
            if len(self.seen) == MAX_FILES:
                faults.add(
                    file.by, "too-many-files", f"more than {MAX_FILES:,} files are included", "join some of them"
                )
                self.seen.add(("", False))
        else:
            return True
        return False

    def _fault(self, file: _File, code: str, what: str, hint: str = "", *, line: int = 0) -> None:
        """A fault of a whole file: it is named, and so is the line that includes it."""
        if line or file.by is None:
            self.gathering.faults.add(Origin(path=file.shown, line=line), code, what, hint)
        else:
            self.gathering.faults.add(file.by, code, f"{quoted(file.shown)}: {what}", hint)

    def _bytes(self, file: _File) -> bytes | None:
        kind = other_kind_by_name(file.path)
        if kind is not None:
            self._fault(file, "not-requirements", f"this is {kind[0]}, not a requirements file", kind[1])
            return None
        try:
            data = self.gathering.reader.read(file.path)
        except UsageFault as fault:
            self._fault(file, fault.code, redact(fault.message), fault.hint)
        except PypimirrorError as error:
            self.failed = self.failed or error
        except FileNotFoundError:
            hint = "the path counts from the file that includes it" if file.by else "check the path"
            self._fault(file, "not-found", "no such file", hint)
        except IsADirectoryError:
            self._fault(file, "is-a-folder", "this is a folder, not a requirements file", FOLDER_HINT)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a usable path"
            self._fault(file, "unreadable", f"can't be read: {reason.lower()}", "check who may read it")
        else:
            if len(data) <= MAX_FILE_SIZE:
                return data
            self._fault(file, "too-large", f"larger than {MAX_FILE_SIZE // 2**20} MiB", "name a requirements file")
        return None

    def _text(self, file: _File, data: bytes) -> str | None:
        kind = other_kind_by_content(data)
        if kind is None:
            try:
                text = decode(data)
            except Undecodable as error:
                self._fault(file, "bad-encoding", str(error), error.hint, line=error.line)
                return None
            kind = other_kind_by_text(text)
            if kind is None:
                return text
        self._fault(file, "not-requirements", f"this is {kind[0]}, not a requirements file", kind[1])
        return None

    def _lines(self, file: _File, chain: tuple[tuple[str, str], ...], text: str) -> None:
        faults = self.gathering.faults
        start, files, good, bad = len(faults), len(self.seen), 0, 0
        for line in logical_lines(text, self.environ):
            before = len(faults)
            if isinstance(line, int):
                origin = Origin(path=file.shown, line=line)
                faults.add(origin, "line-too-long", f"the line is longer than {MAX_LINE // 2**20} MiB")
            else:
                self._line(file, chain, line)
            if len(faults) > before:
                bad += 1
            else:
                good += 1
            if bad >= _ENOUGH and (bad > 10 * good or bad >= 10 * _ENOUGH):
                break  # a hostile file of 16 MiB would take minutes, and nobody reads on
        if bad >= _NONSENSE and bad > 10 * good and files == len(self.seen):
            faults.cut(start)
            what = f"this is not a requirements file: {bad} of {bad + good} lines can't be read"
            self._fault(file, "not-requirements", what, "name a requirements file")

    def _line(self, file: _File, chain: tuple[tuple[str, str], ...], line: Line) -> None:
        """One logical line: a requirement with options behind it, or options alone."""
        origin = Origin(path=file.shown, line=line.number)
        place = Place(
            origin=origin,
            shown=line.written,
            path=file.path,
            filled_in=line.filled_in,
            constraint=file.constraint,
        )
        for name in line.unset:
            self.gathering.note(place, f"${{{name}}} has no value and stays as it is")
        requirement, rest = split_line(line.text)
        options = self._options(place, line, rest)
        if options is None:
            return
        if requirement.strip():
            written = split_line(line.written)[0]
            shown = written if written.strip() else line.written
            self.gathering.requirement(_showing(place, shown), requirement, options)
            return
        include = [given for given in options if given.name in _INCLUDES]
        if len(include) > 1 or (include and len(options) > 1):
            what = f"{quoted(line.written)} has more beside what it includes; pip ignores that in silence"
            self.gathering.faults.add(origin, "leftover-words", what, "write each option on a line of its own")
        elif include:
            self._include(file, chain, place, include[0], line)
        else:
            for given in options:
                self._option(place, given)

    def _options(self, place: Place, line: Line, text: str) -> tuple[Given, ...] | None:
        """The options of a line; None where they can't be read, which is told."""
        faults = self.gathering.faults
        try:
            options, left = split_options(text)
        except OptionFault as fault:
            what = "its options can't be read" if line.filled_in else str(fault)
            faults.add(place.line, fault.code, f"{what} in {quoted(line.written)}", fault.hint)
            return None
        if left:
            what = f"{quoted(line.written)} has words behind its options, which pip ignores in silence"
            faults.add(
                place.line, "leftover-words", what, "write each requirement and each option on a line of its own"
            )
            return None
        return options

    def _option(self, place: Place, given: Given) -> None:
        if given.name is OptionName.EDITABLE:
            what = f"{quoted(place.shown)} can't cross the gap: it is an editable install"
            hint = "leave '-e' out: then a wheel is built of it, where --allow-build says so"
            self.gathering.faults.add(place.line, "editable", what, hint)
            return
        shown = place.shown if place.filled_in else f"{given.name.value} {given.value}".rstrip()
        self.gathering.option(_showing(place, shown), given)

    def _include(self, file: _File, chain: tuple[tuple[str, str], ...], place: Place, given: Given, line: Line) -> None:
        """``-r`` or ``-c``: relative to the file that says it, also where that one was had from an address."""
        if not given.value.strip():
            what = f"{given.name.value} needs a path in {quoted(line.written)}"
            self.gathering.faults.add(place.line, "bad-option", what)
            return
        shown = _beside(file.shown, _as_written(line, given.value))
        if shown is None:
            self.gathering.faults.add(place.line, "bad-url", f"{quoted(line.written)} has an unusable address")
            return
        path = _beside(file.path, given.value)
        if path is None:
            self.gathering.faults.add(place.line, "bad-url", f"{quoted(line.written)} has an unusable address")
            return
        constraint = given.name is OptionName.CONSTRAINT
        nested = _File(path=path, shown=redact(shown), constraint=constraint, by=place.origin, chain=chain)
        self.file(nested)


def _showing(place: Place, shown: str) -> Place:
    return replace(place, shown=shown)


def _as_written(line: Line, value: str) -> str:
    """The value of the line's one option before variables were filled in."""
    if not line.filled_in:
        return value
    try:
        options, _ = split_options(split_line(line.written)[1])
    except OptionFault:
        options = ()
    return options[0].value if len(options) == 1 else line.written


def _beside(path: str, value: str) -> str | None:
    """*value* as seen from the file at *path*; None where that makes no address."""
    if is_url(path):
        try:
            return urljoin(path, value)
        except ValueError:
            return None
    return value if is_url(value) else str(PurePath(path).parent / value)
