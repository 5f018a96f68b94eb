"""Pythons: what ``--python`` may say, and what follows from it: the ABI, the order of wheel tags, five of the markers.

    3.12            CPython, every patch release of 3.12
    3.12.4          just that one
    3.13t 3.13.1t   the free-threaded build
    pypy3.10        PyPy; the patch is Python's (``pypy3.10.14``), never PyPy's own version

``cp312``, ``py312``, ``python3.12``, ``cpython3.12`` and ``pp310`` are other spellings of these.

The tags are spelt here, not asked of packaging, so that a manifest does not change with the packaging that is
installed; tests hold them equal to ``packaging.tags``, in order. Essential reading: PEP 425, 384 and 803 (stable ABIs),
703 (free threading).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pypimirror.errors import UsageFault
from pypimirror.model.targets import PatchRange
from pypimirror.values import dataclass

__all__ = ["OLDEST_MINOR", "Python", "known_pythons", "python"]

OLDEST_MINOR = 8
_NEWEST_MINOR = 15
_OLDEST_THREADED = 13
_OLDEST_STABLE_ABI = 2

_SPELLING = re.compile(
    r"(?:(?P<word>cpython|python|pypy|py)?-?3\.(?P<minor>0|[1-9][0-9]{0,2})(?:\.(?P<patch>0|[1-9][0-9]{0,2}))?"
    r"|(?P<tag>cp|py|pp)3(?P<nodot>[0-9]|[1-9][0-9]))(?P<threaded>t?)"
)
_PRE_RELEASE = re.compile(r"(?P<final>[a-z]*-?3\.[0-9]+\.[0-9]+)(?:a|b|rc|c|-?dev)[0-9]*t?")


@dataclass(frozen=True, kw_only=True, slots=True)
class _PypyRelease:
    """A release of PyPy: the patch of Python it brings, PyPy's own version, and its ABI.

    Of several releases that bring one patch, the newest stands here.
    """

    patch: int
    version: str
    abi: str = "pp73"


_PYPY: dict[int, tuple[_PypyRelease, ...]] = {
    8: (
        _PypyRelease(patch=12, version="7.3.8"),
        _PypyRelease(patch=13, version="7.3.9"),
        _PypyRelease(patch=15, version="7.3.10"),
        _PypyRelease(patch=16, version="7.3.11"),
    ),
    9: (
        _PypyRelease(patch=10, version="7.3.8"),
        _PypyRelease(patch=12, version="7.3.9"),
        _PypyRelease(patch=15, version="7.3.10"),
        _PypyRelease(patch=16, version="7.3.11"),
        _PypyRelease(patch=17, version="7.3.12"),
        _PypyRelease(patch=18, version="7.3.15"),
        _PypyRelease(patch=19, version="7.3.16"),
    ),
    10: (
        _PypyRelease(patch=12, version="7.3.12"),
        _PypyRelease(patch=13, version="7.3.15"),
        _PypyRelease(patch=14, version="7.3.17"),
        _PypyRelease(patch=16, version="7.3.19"),
    ),
    11: (
        _PypyRelease(patch=11, version="7.3.19"),
        _PypyRelease(patch=13, version="7.3.20"),
        _PypyRelease(patch=15, version="7.3.23"),
        _PypyRelease(patch=16, version="8.0.0", abi="pp80"),
        _PypyRelease(patch=17, version="8.0.1", abi="pp80"),
    ),
    12: (
        _PypyRelease(patch=14, version="8.0.0", abi="pp80"),
        _PypyRelease(patch=15, version="8.0.1", abi="pp80"),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Python:
    """One Python 3: its implementation (``cpython`` or ``pypy``), its minor version, and which patch releases of it.

    ``release`` is the implementation's own version where that is not Python's: PyPy's. ``abi`` is the ABI tag.
    """

    implementation: str
    minor: int
    patches: PatchRange
    word: str
    abi: str
    release: str | None = None
    threaded: bool = False

    @property
    def full_version(self) -> str:
        """The lowest of its patch releases: ``3.12.0``. uv, too, reads 3.12 as 3.12.0."""
        return f"3.{self.minor}.{self.patches.lowest}"

    def tags(self, platforms: Sequence[str]) -> tuple[str, ...]:
        """Every wheel tag that it installs on a system with these platform tags, the best first."""
        if self.implementation == "pypy":
            native, own = self._pypy_tags(platforms), "pp3"
        else:
            native, own = self._cpython_tags(platforms), f"cp3{self.minor}"
        return (*native, *self._pure_tags(platforms, own))

    def _cpython_tags(self, platforms: Sequence[str]) -> Iterator[str]:
        # A free-threaded build loads abi3t, never abi3 (PEP 703, PEP 803).
        stable = "abi3t" if self.threaded else "abi3"
        for abi in (self.abi, stable, "none"):
            yield from (f"cp3{self.minor}-{abi}-{platform}" for platform in platforms)
        for minor in range(self.minor - 1, _OLDEST_STABLE_ABI - 1, -1):
            yield from (f"cp3{minor}-{stable}-{platform}" for platform in platforms)

    def _pypy_tags(self, platforms: Sequence[str]) -> Iterator[str]:
        for abi in (self.abi, "none"):
            yield from (f"pp3{self.minor}-{abi}-{platform}" for platform in platforms)

    def _pure_tags(self, platforms: Sequence[str], own: str) -> Iterator[str]:
        versions = (f"py3{self.minor}", "py3", *(f"py3{minor}" for minor in range(self.minor - 1, -1, -1)))
        for version in versions:
            yield from (f"{version}-none-{platform}" for platform in platforms)
        yield f"{own}-none-any"
        yield from (f"{version}-none-any" for version in versions)


def python(text: str) -> Python:
    """Read one ``--python``. Raises UsageFault (``unknown-python``) that names the nearest ones there are."""
    word = text.strip().lower()
    match = _SPELLING.fullmatch(word)
    if match is None:
        raise _unreadable(text, word)
    pypy = match["word"] == "pypy" or match["tag"] == "pp"
    minor = int(match["minor"] or match["nodot"])
    patch = None if match["patch"] is None else int(match["patch"])
    threaded = bool(match["threaded"])
    if pypy:
        if threaded or minor not in _PYPY:
            raise _unknown(text, f"pypy3.{minor}")
        return _pypy(minor, patch)
    if not (_OLDEST_THREADED if threaded else OLDEST_MINOR) <= minor <= _NEWEST_MINOR:
        raise _unknown(text, f"3.{minor}{match['threaded']}")
    return _cpython(minor, patch, threaded=threaded)


def known_pythons() -> tuple[str, ...]:
    """The words for every Python there is a target for, without patches."""
    return (
        *(f"3.{minor}" for minor in range(OLDEST_MINOR, _NEWEST_MINOR + 1)),
        *(f"3.{minor}t" for minor in range(_OLDEST_THREADED, _NEWEST_MINOR + 1)),
        *(f"pypy3.{minor}" for minor in _PYPY),
    )


def _cpython(minor: int, patch: int | None, *, threaded: bool) -> Python:
    suffix = "t" if threaded else ""
    return Python(
        implementation="cpython",
        minor=minor,
        patches=PatchRange() if patch is None else PatchRange(lowest=patch, highest=patch),
        word=f"3.{minor}{suffix}" if patch is None else f"3.{minor}.{patch}{suffix}",
        abi=f"cp3{minor}{suffix}",
        threaded=threaded,
    )


def _pypy(minor: int, patch: int | None) -> Python:
    """PyPy's releases bring patches of Python, and a new ABI may come with one: 3.11.16 came with PyPy 8.

    One target has one ABI. So a bare version covers the patches of the newest ABI; an exact one is of the release that
    brought it. ``implementation_version`` is of the newest release that is covered: who installs PyPy, gets that.
    """
    releases = _PYPY[minor]
    if patch is None:
        newest = releases[-1]
        first = next(release for release in releases if release.abi == newest.abi)
        patches, word = PatchRange(lowest=first.patch), f"pypy3.{minor}"
    else:
        newest = next((release for release in reversed(releases) if release.patch <= patch), releases[0])
        patches, word = PatchRange(lowest=patch, highest=patch), f"pypy3.{minor}.{patch}"
    return Python(
        implementation="pypy",
        minor=minor,
        patches=patches,
        word=word,
        abi=f"pypy3{minor}_{newest.abi}",
        release=newest.version,
    )


def _unreadable(text: str, word: str) -> UsageFault:
    early = _PRE_RELEASE.fullmatch(word)
    if early is None:
        return _unknown(text, word)
    final = early["final"]
    return UsageFault(
        f"{text!r} is a pre-release of Python, and there are no targets for those",
        code="unknown-python",
        hint=f"say {final.rpartition('.')[0]} for every release, or {final} for that one",
    )


def _unknown(text: str, word: str) -> UsageFault:
    known = known_pythons()
    near = get_close_matches(word, known, n=3, cutoff=0.6) or ["3.12", "3.13t", "pypy3.11"]
    return UsageFault(
        f"unknown Python {text!r}",
        code="unknown-python",
        hint=f"nearest: {', '.join(near)}; there is CPython 3.{OLDEST_MINOR} to 3.{_NEWEST_MINOR}, free-threaded "
        f"3.{_OLDEST_THREADED}t to 3.{_NEWEST_MINOR}t, pypy3.{min(_PYPY)} to pypy3.{max(_PYPY)}",
    )
