"""What an sdist says of itself, read as a stream: nothing is extracted, no code of it is run.

Its metadata is static where PKG-INFO says so (PEP 643), or where ``[project]`` in pyproject.toml leaves nothing of
what resolving needs to the build backend (PEP 621). Anything else only a build can tell, and is refused by name; but
for old sdists whose ``egg-info`` a person chose to believe.
Essential reading: the source distribution format (PEP 625), PEP 517 and 518 (build-system), 621, 643.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import BinaryIO

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index import tars, zips
from pypimirror.index.backends import LEGACY_REQUIRES, known_requires, setup_requires
from pypimirror.index.egg_info import requires_dist
from pypimirror.index.languages import Languages
from pypimirror.index.metadata import MAX_BYTES, parse_core_metadata, usable_requires_python
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import ParsedName, parse_version
from pypimirror.values import dataclass

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib  # the standard library has none before 3.11, and pip, which we need, does

__all__ = ["SdistTexts", "core_metadata", "read_metadata"]

_AT_TOP = frozenset({"PKG-INFO", "pyproject.toml", "setup.cfg", "setup.py"})
_EGG_INFO = re.compile(r"(?:src/|lib/)?[^/]+\.egg-info/requires\.txt")
_SETTLED = frozenset({"requires-dist", "requires-python", "provides-extra"})
_SETTLED_IN_PROJECT = frozenset({"dependencies", "optional-dependencies", "requires-python"})
_HINT = "choose another version of this project with a constraint, or tell its maintainers"


@dataclass(frozen=True, kw_only=True, slots=True)
class SdistTexts:
    """The files of an sdist that matter, as they lie in it, and what follows from all their names.

    ``build_requires`` is what building takes, as far as it can be read; ``languages`` what else than Python it is
    written in. Where ``undecided``, code decides what else a build asks for. ``egg_requires`` is the requires.txt of an
    old sdist.
    """

    pkg_info: bytes | None
    project: Mapping[str, object] | None
    build_requires: tuple[str, ...]
    languages: tuple[str, ...] = ()
    undecided: bool = False
    egg_requires: bytes | None = None


def read_metadata(source: BinaryIO, name: ParsedName) -> SdistTexts:
    """Read what an sdist says of itself. *source* stands at its beginning.

    Raises IntegrityFault (``bad-sdist``) for an archive that is damaged or out of all bounds, and for a pyproject.toml
    that no build could read; OSError as *source* raises it.
    """
    languages = Languages()

    def choose(path: str) -> str | None:
        top, _, inside = path.removeprefix("./").partition("/")
        if top in ("", ".", ".."):
            return None
        languages.look(inside)
        if inside in _AT_TOP:
            return inside
        return "requires.txt" if _EGG_INFO.fullmatch(inside) else None

    try:
        if name.filename.endswith(".zip"):
            found = _read_zip(source, choose)
        else:
            found = tars.read(source, name.filename, choose)
        project, build_requires = _read_pyproject(found.get("pyproject.toml"))
    except (tars.BadTar, zips.BadZip) as error:
        raise IntegrityFault(f"{name.filename}: {error}", code="bad-sdist", hint=_HINT) from None
    is_all = True
    if any(text.startswith("setuptools") for text in build_requires):
        more, is_all = setup_requires(setup_cfg=found.get("setup.cfg"), setup_py=found.get("setup.py"))
        build_requires = (*build_requires, *(text for text in more if text not in build_requires))
    return SdistTexts(
        pkg_info=found.get("PKG-INFO"),
        project=project,
        build_requires=build_requires,
        languages=languages.found(),
        undecided=not is_all,
        egg_requires=found.get("requires.txt"),
    )


def core_metadata(texts: SdistTexts, *, name: ParsedName, trust_egg_info: bool = False) -> CoreMetadata:
    """The core metadata, where it is static; with *trust_egg_info* that of old sdists is taken at its word, too.

    Raises IntegrityFault (``metadata-mismatch``, ``bad-metadata``) where it is of something else, ResolutionFault
    (``metadata-not-static``) where only a build can tell.
    """
    said = parse_core_metadata(texts.pkg_info, filename=name) if texts.pkg_info is not None else None
    # PEP 643: from version 2.2 on, a field that is not marked Dynamic is the same in every wheel built from it.
    if said is not None and _at_least_2_2(said.metadata_version) and not said.dynamic & _SETTLED:
        return _completed(said, texts)
    if texts.project is not None:
        stated = _from_project(texts.project, name)
        if stated is not None:
            return _completed(stated, texts)
    if trust_egg_info and said is not None:
        trusted = _from_egg_info(said, texts)
        if trusted is not None:
            return trusted
    raise ResolutionFault(
        f"{name.filename}: only a build can tell what it depends on (--allow-build {name.project} lets it be built"
        f"{'' if said is None or trust_egg_info else '; --trust-egg-info believes what its maintainer got'})",
        code="metadata-not-static",
        hint=f"--allow-build {name.project}, or a version that has a wheel: --only-binary, --prefer-binary",
    )


def _completed(said: CoreMetadata, texts: SdistTexts) -> CoreMetadata:
    return replace(
        said, build_requires=texts.build_requires, languages=texts.languages, build_undecided=texts.undecided
    )


def _from_egg_info(said: CoreMetadata, texts: SdistTexts) -> CoreMetadata | None:
    """PKG-INFO with the requirements of requires.txt; without that file, with those that it states itself, if any."""
    completed = replace(_completed(said, texts), learnt_from="egg-info")
    if texts.egg_requires is None:
        return completed
    wanted = requires_dist(texts.egg_requires.decode("utf-8-sig", "replace"))
    if wanted is None:
        return None
    return replace(completed, requires_dist=wanted[0], provides_extra=wanted[1])


def _read_zip(source: BinaryIO, choose: Callable[[str], str | None]) -> dict[str, bytes]:
    archive = zips.Reader(source)
    found: dict[str, bytes] = {}
    for entry in zips.central(archive):
        wanted = choose(entry.name)
        if wanted is not None and wanted not in found:
            found[wanted] = zips.unpack(archive, entry, limit=MAX_BYTES)
    return found


def _at_least_2_2(text: str) -> bool:
    try:
        return parse_version(text) >= parse_version("2.2")
    except ValueError:
        return False


def _read_pyproject(data: bytes | None) -> tuple[Mapping[str, object] | None, tuple[str, ...]]:
    """The ``[project]`` table, and what the build requires."""
    if data is None:
        return None, LEGACY_REQUIRES
    try:
        top = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise tars.BadTar("its pyproject.toml can't be read") from None
    project = top.get("project")
    table = project if isinstance(project, dict) else None
    if "build-system" not in top:
        return table, LEGACY_REQUIRES
    build = top["build-system"]
    texts = _texts(build.get("requires")) if isinstance(build, dict) else None
    if texts is None:  # PEP 518: the table must have it
        raise tars.BadTar("build-system.requires in its pyproject.toml is not a list of strings")
    return table, (*texts, *(text for text in known_requires(top) if text not in texts))


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return None
    return tuple(value)


def _from_project(project: Mapping[str, object], name: ParsedName) -> CoreMetadata | None:
    """What ``[project]`` settles; None where it leaves something to the build, or breaks its own rules (PEP 621)."""
    dynamic = _texts(project.get("dynamic", []))
    if dynamic is None or _SETTLED_IN_PROJECT & set(dynamic):
        return None
    if not _is_of(project, dynamic, name):
        return None
    dependencies = _texts(project.get("dependencies", []))
    optional = project.get("optional-dependencies", {})
    requires_python = project.get("requires-python", "")
    if dependencies is None or not isinstance(optional, dict) or not isinstance(requires_python, str):
        return None
    requires_dist = list(dependencies)
    for extra, wanted in optional.items():
        texts = _texts(wanted)
        if texts is None:
            return None
        try:
            requires_dist += [_for_extra(text, canonicalize_name(extra)) for text in texts]
        except InvalidRequirement:
            return None
    return CoreMetadata(
        project=name.project,
        version=name.version,
        requires_dist=tuple(requires_dist),
        provides_extra=tuple(dict.fromkeys(canonicalize_name(extra) for extra in optional)),
        requires_python=usable_requires_python(requires_python),
        metadata_version="2.2",
    )


def _is_of(project: Mapping[str, object], dynamic: tuple[str, ...], name: ParsedName) -> bool:
    """Whether the table is a valid one of this very file. Raises IntegrityFault where it names something else."""
    stated, version = project.get("name"), project.get("version")
    if not isinstance(stated, str) or not (isinstance(version, str) or "version" in dynamic):
        return False
    try:
        same = not isinstance(version, str) or parse_version(version) == name.version
    except ValueError:
        same = False
    if canonicalize_name(stated) != name.project or not same:
        raise IntegrityFault(
            f"{name.filename}: its pyproject.toml is of {stated[:80]!r} {str(version)[:80]!r}",
            code="metadata-mismatch",
            hint=_HINT,
        )
    return True


def _for_extra(text: str, extra: str) -> str:
    """A requirement as core metadata has it for an extra. Raises InvalidRequirement."""
    requirement = Requirement(text)
    marker = requirement.marker
    requirement.marker = None
    condition = f'extra == "{extra}"' if marker is None else f'({marker}) and extra == "{extra}"'
    separator = " ; " if requirement.url else "; "
    return f"{requirement}{separator}{condition}"
