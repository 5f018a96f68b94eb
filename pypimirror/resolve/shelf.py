"""A shelf: the versions of one project that one target can use, newest first, each with its best file.

A file that can't be used leaves a Rejection. Files are judged version by version, and only when somebody looks at the
version: most of a long listing is never judged, so its requires-python never splits the patch releases.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from packaging.specifiers import Specifier, SpecifierSet

from pypimirror.index.drawers import drawers
from pypimirror.model.files import ListedFile, Listing, Refusal, Rejection
from pypimirror.model.names import NormalizedName, Version, parse_version
from pypimirror.model.requests import Policy
from pypimirror.resolve.judge import Judge
from pypimirror.values import dataclass

__all__ = ["Choice", "Shelf", "direct_listing"]

_NO_RANK = 1_000_000
_BELOW, _ABOVE, _AROUND = frozenset({"<", "<="}), frozenset({">="}), frozenset({"==", "!=", "~="})


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a version offers: its best file that is not yanked, and its best file of all."""

    version: Version
    unyanked: ListedFile | None
    best: ListedFile | None

    @property
    def is_sdist(self) -> bool:
        file = self.unyanked or self.best
        return file is not None and not file.name.is_wheel


class Shelf:
    """The versions of one project, judged on demand. ``hashes``, where given, are the only ones that will do."""

    def __init__(
        self,
        listing: Listing,
        judge: Judge,
        policy: Policy,
        *,
        hashes: frozenset[tuple[str, str]] | None = None,
    ) -> None:
        self.listing = listing
        self.project: NormalizedName = listing.project
        self._judge = judge
        self._policy = policy
        self._hashes = hashes
        self._drawers = drawers(listing)
        self.versions = self._drawers.versions
        self.finals = self._drawers.finals
        self._admitted: dict[str, int] = {}
        self._choices: dict[Version, Choice] = {}
        self._rejections: dict[Version, list[Rejection]] = {}

    # A search asks some thousand times which of some thousand versions meet some hundred bounds: so the answers to each
    # bound are remembered, as the bits of one number, and united with "&". Bit n stands for versions[n].

    def each(self, bits: int) -> Iterator[Version]:
        """The versions that *bits* stand for, newest first."""
        while bits:
            lowest = bits & -bits
            yield self.versions[lowest.bit_length() - 1]
            bits ^= lowest

    def exactly(self, version: Version) -> int:
        """The bit of one version; none where the listing has no such version."""
        place = self._drawers.place(version)
        return 0 if place is None else 1 << place

    def admitted(self, specifier: SpecifierSet) -> int:
        """The bits of the versions that a specifier admits, pre-releases aside."""
        text = str(specifier)
        bits = self._admitted.get(text)
        if bits is None:
            bits = (1 << len(self.versions)) - 1
            for clause in specifier:
                bits &= self._admitted_by(clause)
            self._admitted[text] = bits
        return bits

    def _admitted_by(self, clause: Specifier) -> int:
        text = str(clause)
        bits = self._admitted.get(text)
        if bits is None:
            bits = self._admitted[text] = self._ask(clause)
        return bits

    def _ask(self, clause: Specifier) -> int:
        """Versions go from new to old, so the answers to a plain bound turn once, and where is found by halving.

        What ``==`` and ``~=`` admit stands side by side, around the version that they name.
        """
        every, versions = range(len(self.versions)), self.versions
        if clause.operator in _BELOW:
            turn = bisect_left(every, 1, key=lambda place: clause.contains(versions[place], prereleases=True))
            return (1 << len(every)) - (1 << turn)
        if clause.operator in _ABOVE:
            turn = bisect_left(every, 1, key=lambda place: not clause.contains(versions[place], prereleases=True))
            return (1 << turn) - 1
        if clause.operator not in _AROUND:
            return sum(1 << n for n in every if clause.contains(versions[n], prereleases=True))
        wanted = clause.operator != "!="
        first = last = self._drawers.below(parse_version(clause.version.removesuffix(".*")))
        while first and clause.contains(versions[first - 1], prereleases=True) is wanted:
            first -= 1
        while last < len(every) and clause.contains(versions[last], prereleases=True) is wanted:
            last += 1
        around = (1 << last) - (1 << first)
        return around if wanted else ((1 << len(every)) - 1) & ~around

    def choice(self, version: Version) -> Choice:
        """The judged version. Raises KeyError where the listing has no such version."""
        choice = self._choices.get(version)
        if choice is None:
            choice = self._choices[version] = self._judge_version(version)
        return choice

    def has_any(self) -> bool:
        """Whether any version has a usable file."""
        return any(self.choice(version).best is not None for version in self.versions)

    def rejections(self, versions: Iterable[Version] | None = None) -> Iterator[Rejection]:
        """Why files can't be used: of the given versions, or of all; rows that could not be read come first."""
        if versions is None:
            yield from self.listing.rejected
            versions = self.versions
        for version in versions:
            self.choice(version)
            yield from self._rejections.get(version, ())

    def _judge_version(self, version: Version) -> Choice:
        place = self._drawers.place(version)
        if place is None:
            raise KeyError(version)
        usable: list[ListedFile] = []
        for file in self._drawers[place]:
            reason = self._refusal(file)
            if reason is None:
                usable.append(file)
            else:
                self._rejections.setdefault(version, []).append(
                    Rejection(filename=file.name.filename, reason=reason[0], detail=reason[1], version=version)
                )
        usable.sort(key=self._preference)
        unyanked = next((file for file in usable if file.yanked is None), None)
        return Choice(version=version, unyanked=unyanked, best=usable[0] if usable else None)

    def _preference(self, file: ListedFile) -> tuple[object, ...]:
        """Wheels before sdists, the best tag first, then the highest build tag, then by name: no order of arrival."""
        if not file.name.is_wheel:
            return (1, 0, (0, 0, ""), not file.name.filename.endswith(".tar.gz"), file.name.filename)
        rank = self._judge.rank(file.name)
        build = file.name.build
        # A build tag outranks none; the number counts first, then the rest. Letters are turned so that the last wins.
        turned = (-1, -build[0], tuple(-ord(c) for c in build[1])) if build else (0, 0, ())
        return (0, _NO_RANK if rank is None else rank, turned, False, file.name.filename)

    def _refusal(self, file: ListedFile) -> tuple[Refusal, str] | None:
        return next(self._objections(file), None)

    def _objections(self, file: ListedFile) -> Iterator[tuple[Refusal, str]]:
        """Each rule that a file breaks, the most telling first. Judged lazily: the first is enough."""
        policy, name = self._policy, file.name
        if policy.withdrawn and (name.project, name.version) in policy.withdrawn:
            yield Refusal.WITHDRAWN, "by --withdraw"
        if self.listing.status.status == "quarantined":
            yield Refusal.QUARANTINED, self.listing.status.reason
        if not policy.formats.allows(self.project, wheel=name.is_wheel):
            yield Refusal.FORMAT_NOT_ALLOWED, "a wheel" if name.is_wheel else "an sdist"
        if name.is_wheel and self._judge.rank(name) is None:
            if self._judge.python_tag_fits(name):
                yield Refusal.OTHER_PLATFORM, ".".join(name.platforms)
            yield Refusal.OTHER_PYTHON, f"{'.'.join(name.pythons)}-{'.'.join(name.abis)}"
        if not self._judge.python_fits(file.requires_python):
            yield Refusal.REQUIRES_PYTHON, f"needs Python {file.requires_python}"
        if policy.exclude_newer is not None and not _older(file.upload_time, policy.exclude_newer):
            yield Refusal.TOO_NEW, file.upload_time or "without an upload time"
        if self._hashes is not None and not self._hashes.intersection(file.hashes):
            yield Refusal.HASH_NOT_ALLOWED, ""
        if file.sha256 is None and not policy.allow_unhashed and self._hashes is None:
            yield Refusal.NO_HASH, ", ".join(algorithm for algorithm, _ in file.hashes) or "no hash at all"


def _older(upload_time: str | None, limit: str) -> bool:
    """ISO 8601 in UTC with the same layout compares as text; what has no time is taken as too new."""
    return upload_time is not None and upload_time[:19] < limit[:19]


def direct_listing(
    project: NormalizedName,
    named: Sequence[tuple[ListedFile, tuple[tuple[str, str], ...]]],
    hashes: frozenset[tuple[str, str]],
) -> Listing:
    """The files that a person named, each with the hash that was given for it, so that the download is held to it.

    *hashes* are those for a file that has none of its own: a constraint's.
    """
    files: dict[tuple[str, str], ListedFile] = {}
    rejected: list[Rejection] = []
    for written, own in named:
        file = written
        allowed = frozenset(own) or hashes
        if allowed and not allowed.intersection(file.hashes):
            known = {algorithm for algorithm, _ in file.hashes}
            given = {algorithm for algorithm, _ in allowed}
            if given & known or len(given) < len(allowed):  # another file's, or one of several: there is no telling
                reason = Refusal.HASH_NOT_ALLOWED
                rejected.append(Rejection(filename=file.name.filename, reason=reason, version=file.name.version))
                continue
            file = replace(file, hashes=tuple(sorted({*file.hashes, *allowed})))
        files[file.url, file.name.filename] = file
    return Listing(
        project=project,
        index=named[0][0].index,
        files=tuple(files.values()),
        rejected=tuple(rejected),
    )
