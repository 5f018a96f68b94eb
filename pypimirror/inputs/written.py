"""One requirement as a person wrote it: by name, by address, or by the path of a file.

Essential reading: PEP 508 (requirements), PEP 440 (versions), PEP 427 and 625 (file names), and pip's
"Requirement Specifiers". What can't cross the gap is refused here, each with what to do instead.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.requirements import Requirement

from pypimirror.inputs.reader import Reader
from pypimirror.inputs.sayings import FOLDER_HINT, Refused, explain
from pypimirror.inputs.trees import Named, folder_tree, git_tree
from pypimirror.model.files import ListedFile
from pypimirror.model.names import ParsedName, parse_file_name, parse_version, project_name
from pypimirror.model.requests import SourceTree
from pypimirror.model.urls import split_credentials, split_fragment
from pypimirror.values import dataclass

__all__ = ["Read", "digest", "names_version_control", "read_requirement"]

_ADDRESS_HINT = "an address is like: https://files.example/name-1.0-py3-none-any.whl"
_MAX_REQUIREMENT = 65_536
_ARCHIVES = (
    ".zip", ".whl", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma"
)  # fmt: skip
_VERSION_CONTROL = frozenset({"bzr", "git", "hg", "svn", "lp", "sftp", "ssh"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_COPIED_FROM_SSH = re.compile(r"(?:[\w.-]+\s*@\s*)?[\w.-]+@[\w.-]+:[^\s]+")
_DIGEST_LENGTHS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
# Any environment will do: it only shows whether a marker can be evaluated at all.
_SOME_ENVIRONMENT = {
    "implementation_name": "cpython",
    "implementation_version": "3.12.0",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "6.1",
    "platform_system": "Linux",
    "platform_version": "1",
    "python_full_version": "3.12.0",
    "python_version": "3.12",
    "sys_platform": "linux",
    "extra": "",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What a requirement says.

    ``direct`` is the one file that an address or a path names, ``source`` the source tree. ``unnamed`` is whether
    nothing but the name of an sdist tells the project. ``credential`` is address, user, password.
    """

    requirement: Requirement
    direct: ListedFile | None = None
    source: SourceTree | None = None
    unnamed: bool = False
    credential: tuple[str, str, str] | None = None


def read_requirement(text: str, reader: Reader) -> Read:
    """Read one requirement, without options. Raises Refused."""
    text = text.strip()
    if len(text) > _MAX_REQUIREMENT:
        raise Refused("line-too-long", "is longer than 65,536 characters")
    scheme = _SCHEME.match(text)
    if scheme is not None and _is_address(scheme[1]):
        return _bare_address(text, reader)
    if _COPIED_FROM_SSH.fullmatch(text) and ("git@" in text or text.endswith(".git")):
        raise Refused("version-control", "is an address as git alone has it", "write 'name @ git+ssh://git@host/path'")
    path, _, marker = (part.strip() for part in text.partition(";"))
    folder, extras = _split_extras(path)
    if _looks_like_path(folder) and reader.is_folder(folder):
        return _tree(folder_tree(folder, None, extras, _marker(marker), reader))
    local = _local_file(path, reader)
    if local is not None:
        url, extras = local
        return _direct(url, None, extras, _marker(marker), reader)
    requirement = _requirement(text.rstrip("; \t") if not marker else text, reader)
    if requirement.url is None:
        return Read(requirement=requirement)
    if names_version_control(requirement.url):
        return _tree(git_tree(requirement.url, requirement.name, requirement.extras, requirement.marker))
    return _direct(requirement.url, requirement.name, requirement.extras, requirement.marker, reader)


def digest(algorithm: str, text: str) -> tuple[str, str]:
    """A hash as a pair, lower case. Raises Refused where it can't be one of that algorithm."""
    folded = text.strip().lower()
    length = _DIGEST_LENGTHS[algorithm]
    if not re.fullmatch(rf"[0-9a-f]{{{length}}}", folded):
        raise Refused("bad-hash", f"has a bad {algorithm}", f"a {algorithm} is {length} hexadecimal digits")
    return algorithm, folded


def _is_address(scheme: str) -> bool:
    lower = scheme.lower()
    return lower in {"http", "https", "file", "ftp"} or lower.partition("+")[0] in _VERSION_CONTROL


def names_version_control(url: str) -> bool:
    """Whether an address is one of git, Mercurial, Subversion or Bazaar."""
    scheme = _SCHEME.match(url)
    return scheme is not None and scheme[1].lower().partition("+")[0] in _VERSION_CONTROL


def _tree(named: Named) -> Read:
    requirement, source = named
    return Read(requirement=requirement, source=source)


def _bare_address(text: str, reader: Reader) -> Read:
    """``https://files.example/x-1.0-py3-none-any.whl ; marker``: a marker needs a blank after its semicolon."""
    url, _, marker = (part.strip() for part in text.partition("; "))
    url = url if marker else url.rstrip("; ")
    if names_version_control(url):
        return _tree(git_tree(url, None, (), _marker(marker)))
    return _direct(url, None, set(), _marker(marker), reader)


def _local_file(text: str, reader: Reader) -> tuple[str, set[str]] | None:
    """The ``file:`` address and the extras of a local path; None where *text* is a requirement by name.

    As in pip, a relative path counts from the current folder, even inside a file in another one.
    """
    path, extras = _split_extras(text)
    if not path.lower().endswith(_ARCHIVES):
        if _looks_like_path(path) and "@" not in path and ":" not in path:
            there = "is neither a wheel nor an sdist" if reader.is_file(path) else "not found"
            code = "bad-file-name" if reader.is_file(path) else "not-found"
            raise Refused(code, there, "a path counts from the current folder; write '-r' before a requirements file")
        return None
    if not reader.is_file(path):
        before, at, _ = path.partition("@")
        if at and not _looks_like_path(before):
            return None
        raise Refused("not-found", "not found", "a path counts from the current folder, as in pip")
    return reader.absolute(path), extras


def _split_extras(text: str) -> tuple[str, set[str]]:
    """A path, and the extras in brackets behind it."""
    path, bracket, in_brackets = text.rpartition("[") if text.endswith("]") else (text, "", "")
    if not bracket:
        return text, set()
    try:
        return path.rstrip(), Requirement(f"x[{in_brackets}").extras
    except ValueError:
        raise Refused("bad-requirement", "has bad extras", "extras are like [one,two]") from None


def _looks_like_path(text: str) -> bool:
    return "/" in text or os.sep in text or text.startswith(".")


def _requirement(text: str, reader: Reader) -> Requirement:
    try:
        requirement = Requirement(text)
        project_name(requirement.name)
        for specifier in requirement.specifier:
            if specifier.operator != "===":
                parse_version(specifier.version.removesuffix(".*"))
    except (ValueError, RecursionError):
        raise explain(text, is_file=reader.is_file(text)) from None
    _check_marker(requirement.marker)
    return requirement


def _marker(text: str) -> Marker | None:
    if not text:
        return None
    try:
        marker = Marker(text)
    except (ValueError, RecursionError):
        raise Refused.bad_marker() from None
    _check_marker(marker)
    return marker


def _check_marker(marker: Marker | None) -> None:
    """A marker that reads well may still compare what can't be compared: ``os_name ~= "x"``."""
    if marker is not None and not _can_be_evaluated(marker):
        raise Refused.bad_marker()


@lru_cache(maxsize=1024)
def _can_be_evaluated(marker: Marker) -> bool:
    try:
        marker.evaluate(dict(_SOME_ENVIRONMENT))
    except (ValueError, RecursionError):
        return False
    return True


def _direct(url: str, name: str | None, extras: set[str], marker: Marker | None, reader: Reader) -> Read:
    """The one file that an address names. The requirement that is left asks for just its version, by name."""
    try:
        bare, user, password = split_credentials(url)
        bare, fragment = split_fragment(bare)
        scheme, host, path = _parts(bare)
    except ValueError:
        raise Refused("bad-url", "has an unusable address", _ADDRESS_HINT) from None
    if scheme in {"", "file"}:
        if reader.is_folder(bare):
            return _tree(folder_tree(url, name, extras, marker, reader))
        bare = _existing(bare, reader)
    elif scheme not in {"http", "https"}:
        raise Refused("bad-url", "has an address that is neither https, http nor file", _ADDRESS_HINT)
    elif not host:
        raise Refused("bad-url", "has an address without a host", _ADDRESS_HINT)
    hashes, egg = _fragment(fragment)
    parsed = _file_name(unquote(path).rpartition("/")[2], name or (egg.name if egg else None))
    requirement = Requirement(f"{name or parsed.project}=={parsed.version}")
    requirement.extras = set(extras) | (egg.extras if egg else set())
    requirement.marker = marker
    return Read(
        requirement=requirement,
        direct=ListedFile(name=parsed, url=bare, hashes=hashes, index="direct"),
        unnamed=name is None and egg is None and not parsed.is_wheel,
        credential=None if user is None and password is None else (bare, user or "", password or ""),
    )


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, host and path. Raises ValueError, for a port that is no number too."""
    parts = urlsplit(url)
    if parts.port == 0:
        raise ValueError("port 0")
    return parts.scheme.lower(), parts.hostname or "", parts.path


def _existing(path: str, reader: Reader) -> str:
    """The absolute ``file:`` address of a file that is there."""
    if not reader.is_file(path):
        raise Refused("not-found", "not found", "a path counts from the current folder, as in pip")
    return reader.absolute(path)


def _fragment(fragment: str) -> tuple[tuple[tuple[str, str], ...], Requirement | None]:
    """The hashes that an address claims, sorted, and the project that its ``egg=`` names."""
    hashes = set()
    egg = None
    for part in fragment.split("&"):
        key, equals, value = part.partition("=")
        if not equals:
            continue
        if key == "subdirectory":
            raise Refused("bad-file-name", "names a folder inside an archive, not a wheel or an sdist", FOLDER_HINT)
        if key in _DIGEST_LENGTHS:
            hashes.add(digest(key, value))
        if key == "egg":
            egg = _egg(unquote(value))
    return tuple(sorted(hashes)), egg


def _egg(text: str) -> Requirement:
    try:
        egg = Requirement(text)
    except (ValueError, RecursionError):
        egg = None
    if egg is None or egg.specifier or egg.url or egg.marker:
        raise Refused("bad-requirement", "has a bad '#egg='", "write 'name[extra] @ https://...' instead")
    return egg


def _file_name(filename: str, name: str | None) -> ParsedName:
    """Read a file's name, and check that it is one of *name*'s."""
    try:
        return parse_file_name(filename, project=project_name(name) if name else None)
    except ValueError as error:
        fault = error
    try:
        other = parse_file_name(filename).project
    except ValueError:
        hint = (
            "the address must end in the name of a wheel or an sdist; of anything else, build a wheel first (pip wheel)"
        )
        raise Refused("bad-file-name", "names neither a wheel nor an sdist", hint, detail=str(fault)) from None
    raise Refused(
        "name-mismatch",
        "names a file of another project",
        "write the project's name that the file has",
        detail=other,
    )
