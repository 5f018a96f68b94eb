"""All that is collected in one run, and what each option and requirement does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import PurePath

from pypimirror.inputs import formats
from pypimirror.inputs.faults import Faults, quoted
from pypimirror.inputs.hashmode import STRONG, Entry, check_hash_mode, hash_option
from pypimirror.inputs.options import Given, OptionName
from pypimirror.inputs.reader import Reader
from pypimirror.inputs.sayings import Refused
from pypimirror.inputs.wishes import IndexOptions, Wishes
from pypimirror.inputs.written import Read, read_requirement
from pypimirror.model.names import is_project_name
from pypimirror.model.requests import ALL, Constraint, FormatControl, Origin, Root
from pypimirror.model.urls import is_url
from pypimirror.values import dataclass

__all__ = ["Gathering", "Place"]

MAX_REQUIREMENTS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where words stand, and how they may be shown.

    ``path`` is the file that they are in, empty for the command line. ``filled_in`` is whether a variable's value is
    among the words that are worked with: then nothing but ``shown`` may be quoted.
    """

    origin: Origin
    shown: str
    path: str = ""
    filled_in: bool = False
    constraint: bool = False

    @property
    def line(self) -> Origin | None:
        return self.origin if self.origin.line else None


@dataclass(kw_only=True, slots=True)
class Gathering:
    """The wishes of a run while they are being read. Faults are added, never raised."""

    reader: Reader
    faults: Faults = field(default_factory=Faults)
    formats: FormatControl = field(default_factory=FormatControl)
    entries: list[Entry] = field(default_factory=list)
    index_url: str | None = None
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    trusted_hosts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    credentials: list[tuple[str, str, str]] = field(default_factory=list)
    no_index: bool = False
    prereleases: bool = False
    prefer_binary: bool = False
    require_hashes: bool = False
    no_require_hashes: bool = False

    def refuse(self, place: Place, refused: Refused) -> None:
        detail = f": {refused.detail}" if refused.detail and not place.filled_in else ""
        self.faults.add(place.line, refused.code, f"{quoted(place.shown)} {refused.what}{detail}", refused.hint)

    def note(self, place: Place, what: str) -> None:
        """Remember a sentence for people, once."""
        sentence = f"{place.origin}: {what}" if place.line else what
        if sentence not in self.notes:
            self.notes.append(sentence)

    def requirement(self, place: Place, text: str, options: tuple[Given, ...] = ()) -> None:
        """A requirement, or a constraint where *place* says so, with the options behind it."""
        if len(self.entries) >= MAX_REQUIREMENTS:
            if len(self.entries) == MAX_REQUIREMENTS and not any(f.code == "too-large" for f in self.faults.kept):
                self.faults.add(place.line, "too-large", f"more than {MAX_REQUIREMENTS:,} requirements in all")
            return
        before = len(self.faults)
        hashes = self._hashes(place, options)
        try:
            read = read_requirement(text, self.reader)
            if place.constraint:
                _check_constraint(read)
        except Refused as refused:
            self.refuse(place, refused)
            return
        if len(self.faults) > before:
            return
        self._keep(place, read, hashes)

    def _keep(self, place: Place, read: Read, hashes: set[tuple[str, str]]) -> None:
        explicit = bool(hashes)
        if read.direct is not None:
            # As pip: a strong hash in the address counts as one of the hashes that are allowed.
            hashes = hashes | {pair for pair in read.direct.hashes if pair[0] in STRONG}
        value: Root | Constraint
        allowed = tuple(sorted(hashes))
        if place.constraint:
            value = Constraint(requirement=read.requirement, origin=place.origin, hashes=allowed, direct=read.direct)
        else:
            value = Root(
                requirement=read.requirement,
                origin=place.origin,
                hashes=allowed,
                direct=read.direct,
                source=read.source,
            )
        self.entries.append(Entry(value=value, shown=place.shown, explicit=explicit))
        if read.credential is not None and read.credential not in self.credentials:
            self.credentials.append(read.credential)

    def _hashes(self, place: Place, options: tuple[Given, ...]) -> set[tuple[str, str]]:
        """The hashes behind a requirement; other options there are noted, as pip ignores them."""
        hashes = set()
        for given in options:
            try:
                if given.name is OptionName.HASH:
                    hashes.add(hash_option(given.value))
                elif given.name in {OptionName.CONFIG_SETTINGS, OptionName.GLOBAL_OPTION}:
                    self.note(place, f"{given.name.value} concerns building, and nothing is built here: it is ignored")
                else:
                    self.note(place, f"{given.name.value} behind a requirement is ignored, as pip ignores it")
            except Refused as refused:
                self.refuse(place, refused)
        return hashes

    def option(self, place: Place, given: Given) -> None:
        """One option of a line without a requirement; ``-r``, ``-c`` and ``-e`` are not for here."""
        try:
            _MEANING[given.name](self, place, given.value)
        except Refused as refused:
            self.refuse(place, refused)

    def set_index(self, _place: Place, value: str) -> None:
        # In pip a later --index-url also drops the --extra-index-url of earlier lines. Its documentation knows no
        # such order, and neither does uv: here the last index counts, and all the extra ones.
        self.index_url = _address(value)

    def add_extra_index(self, _place: Place, value: str) -> None:
        _add(self.extra_index_urls, _address(value))

    def set_no_index(self, _place: Place, _value: str) -> None:
        self.no_index = True

    def add_find_links(self, place: Place, value: str) -> None:
        """As in pip, a path that exists beside the file means that, else it counts from the current folder."""
        if not value.strip():
            raise Refused("bad-value", "needs an address or a path")
        if not is_url(value) and not is_url(place.path) and place.path:
            beside = str(PurePath(place.path).parent / value)
            if self.reader.is_folder(beside) or self.reader.is_file(beside):
                value = beside
        _add(self.find_links, value)

    def add_no_binary(self, _place: Place, value: str) -> None:
        self.formats = formats.no_binary(self.formats, _names(value))

    def add_only_binary(self, _place: Place, value: str) -> None:
        self.formats = formats.only_binary(self.formats, _names(value))

    def set_prefer_binary(self, _place: Place, _value: str) -> None:
        self.prefer_binary = True

    def set_require_hashes(self, _place: Place, _value: str) -> None:
        self.require_hashes = True

    def set_no_require_hashes(self, _place: Place, _value: str) -> None:
        self.no_require_hashes = True

    def set_prereleases(self, _place: Place, _value: str) -> None:
        self.prereleases = True

    def all_releases(self, _place: Place, value: str) -> None:
        if value != ALL:
            hint = "say --pre for all, or name a pre-release in the requirement: name>=2.0rc1"
            raise Refused("unsupported-option", "is not supported for single projects", hint)
        self.prereleases = True

    def only_final(self, _place: Place, _value: str) -> None:
        raise Refused("unsupported-option", "is not supported", "pre-releases are left out unless asked for")

    def trust_host(self, _place: Place, value: str) -> None:
        if not value or "/" in value or "@" in value:
            raise Refused("bad-value", "needs a host, or host:port", "as in --trusted-host files.example:8443")
        _add(self.trusted_hosts, value)

    def ignore(self, place: Place, _value: str) -> None:
        self.note(place, f"{quoted(place.shown)} means nothing here and is ignored")

    def lonely(self, _place: Place, _value: str) -> None:
        hint = "end the line before it with a backslash, so that it belongs to that line's requirement"
        raise Refused("lonely-option", "belongs to no requirement", hint)

    def wishes(self) -> Wishes:
        """All of it, once the rules that concern the whole are kept. Raises InputFaults."""
        required = self._hash_mode()
        self.faults.raise_all()
        options = IndexOptions(
            index_url=None if self.no_index else self.index_url,
            extra_index_urls=() if self.no_index else tuple(self.extra_index_urls),
            find_links=tuple(self.find_links),
            no_index=self.no_index,
            trusted_hosts=tuple(self.trusted_hosts),
        )
        return Wishes(
            roots=tuple(entry.value for entry in self.entries if isinstance(entry.value, Root)),
            constraints=tuple(entry.value for entry in self.entries if isinstance(entry.value, Constraint)),
            options=options,
            prereleases=self.prereleases,
            formats=self.formats,
            prefer_binary=self.prefer_binary,
            require_hashes=required,
            notes=tuple(self.notes),
            credentials=tuple(self.credentials),
        )

    def _hash_mode(self) -> bool:
        if self.require_hashes and self.no_require_hashes:
            what = "--require-hashes and --no-require-hashes exclude each other"
            self.faults.add(None, "bad-option", what, "leave one of them out")
        implied = any(entry.explicit for entry in self.entries) and not self.no_require_hashes
        if self.require_hashes or implied:
            check_hash_mode(self.entries, asked=self.require_hashes, faults=self.faults)
        return self.require_hashes or implied


def _check_constraint(read: Read) -> None:
    """What pip refuses as a constraint, and what would have to be built for nothing."""
    if read.source is not None:
        raise Refused("bad-constraint", "is a constraint that must be built", "name it as a requirement")
    if read.unnamed:
        raise Refused("bad-constraint", "is a constraint without a name", "write 'name @ https://...'")
    if read.requirement.extras:
        raise Refused("bad-constraint", "is a constraint with extras", "write the extras where it is required")


def _address(value: str) -> str:
    if not value.strip() or any(letter.isspace() for letter in value):
        raise Refused("bad-value", "needs an address")
    return value


def _names(value: str) -> str:
    """A list for --only-binary and --no-binary, without empty words."""
    words = [word.strip() for word in value.split(",") if word.strip()]
    if not words or not all(is_project_name(word) or word in {ALL, ":none:"} for word in words):
        raise Refused("bad-value", "needs names with commas between them, or :all:, or :none:")
    return ",".join(words)


def _add(values: list[str], value: str) -> None:
    if value not in values:
        values.append(value)


_MEANING: dict[OptionName, Callable[[Gathering, Place, str], None]] = {
    OptionName.INDEX_URL: Gathering.set_index,
    OptionName.EXTRA_INDEX_URL: Gathering.add_extra_index,
    OptionName.NO_INDEX: Gathering.set_no_index,
    OptionName.FIND_LINKS: Gathering.add_find_links,
    OptionName.NO_BINARY: Gathering.add_no_binary,
    OptionName.ONLY_BINARY: Gathering.add_only_binary,
    OptionName.PREFER_BINARY: Gathering.set_prefer_binary,
    OptionName.REQUIRE_HASHES: Gathering.set_require_hashes,
    OptionName.NO_REQUIRE_HASHES: Gathering.set_no_require_hashes,
    OptionName.PRE: Gathering.set_prereleases,
    OptionName.ALL_RELEASES: Gathering.all_releases,
    OptionName.ONLY_FINAL: Gathering.only_final,
    OptionName.TRUSTED_HOST: Gathering.trust_host,
    OptionName.USE_FEATURE: Gathering.ignore,
    OptionName.HASH: Gathering.lonely,
    OptionName.CONFIG_SETTINGS: Gathering.ignore,
    OptionName.GLOBAL_OPTION: Gathering.ignore,
}
