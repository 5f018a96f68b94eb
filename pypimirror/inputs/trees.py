"""Requirements that name no file but a source tree: a local folder, or a commit of a git repository.

They must be built before anything else can be said of them; that is not for here. What is needed here is the project's
name: written (``name @ ...``), or read from the folder's own pyproject.toml or setup.cfg.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from packaging.markers import Marker
from packaging.requirements import Requirement

from pypimirror.inputs.reader import Reader
from pypimirror.inputs.sayings import VERSION_CONTROL_HINT, Refused
from pypimirror.model.names import is_project_name
from pypimirror.model.requests import SourceTree
from pypimirror.model.urls import split_credentials, split_fragment

__all__ = ["folder_tree", "git_tree"]

Named = tuple[Requirement, SourceTree]
"""What is asked of it, by name, and where it lies."""

_GIT_SCHEMES = frozenset({"git+https", "git+ssh", "git+file", "git+http"})
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_SUBDIRECTORY = re.compile(r"(?!.*(?:^|/)\.\.(?:/|$))[^/\\\x00-\x1f][^\\\x00-\x1f]*")
_NAME_IT = "write its name before it: name @ {}"


def folder_tree(path: str, name: str | None, extras: Iterable[str], marker: Marker | None, reader: Reader) -> Named:
    """A local folder, given as a path or a ``file:`` address. Raises Refused."""
    path, fragment = split_fragment(path)
    subdirectory = _subdirectory(fragment)
    inside = f"{path.rstrip('/')}/{subdirectory}" if subdirectory else path
    if not reader.is_folder(inside):
        raise Refused(
            "not-found", "names a folder that isn't there", "a path counts from the current folder, as in pip"
        )
    project = name or _own_name(inside, reader)
    if project is None:
        raise Refused("unnamed-project", "does not tell its project's name", _NAME_IT.format("file:///..."))
    return _requirement(project, extras, marker), SourceTree(url=reader.absolute(path), subdirectory=subdirectory)


def git_tree(url: str, name: str | None, extras: Iterable[str], marker: Marker | None) -> Named:
    """``git+https://host/repository@revision#subdirectory=...``. Raises Refused."""
    bare, fragment = split_fragment(url)
    scheme = bare.partition(":")[0].lower()
    if scheme not in _GIT_SCHEMES:
        raise Refused("version-control", "names version control other than git", VERSION_CONTROL_HINT)
    project = name or dict(parse_qsl(fragment)).get("egg")
    if project is None or not is_project_name(project):
        raise Refused("unnamed-project", "does not tell its project's name", _NAME_IT.format("git+https://..."))
    address, user, password = split_credentials(bare)
    if password is not None or (user is not None and scheme != "git+ssh"):
        hint = "let git know the password: a credential helper, or netrc"
        raise Refused("bad-url", "has a user name or a password in its address", hint)
    if scheme == "git+ssh":
        address = bare  # its user is no secret: git@host
    _, at, revision = urlsplit(address).path.rpartition("@")
    if at and not _REVISION.fullmatch(revision):
        raise Refused("bad-url", "has a bad revision", "a revision is a tag, a branch or a commit, behind an '@'")
    tree = SourceTree(
        url=address.removesuffix(f"@{revision}") if at else address,
        revision=revision if at else "",
        subdirectory=_subdirectory(fragment),
    )
    return _requirement(project, extras, marker), tree


def _requirement(project: str, extras: Iterable[str], marker: Marker | None) -> Requirement:
    requirement = Requirement(project)
    requirement.extras = set(extras)
    requirement.marker = marker
    return requirement


def _subdirectory(fragment: str) -> str:
    subdirectory = dict(parse_qsl(fragment)).get("subdirectory", "").strip("/")
    if subdirectory and not _SUBDIRECTORY.fullmatch(subdirectory):
        raise Refused("bad-url", "has a bad subdirectory", "it is a path inside the project, without '..'")
    return subdirectory


def _own_name(folder: str, reader: Reader) -> str | None:
    """The name that a project's own files state."""
    import configparser  # noqa: PLC0415 - few ask for a folder

    top = _toml(f"{folder.rstrip('/')}/pyproject.toml", reader)
    for table in (top.get("project"), *_tool_tables(top)):
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str) and is_project_name(name):
            return name
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(reader.read(f"{folder.rstrip('/')}/setup.cfg").decode("utf-8-sig", "replace"))
        name = parser.get("metadata", "name", fallback="")
    except (OSError, configparser.Error, ValueError):
        return None
    return name if is_project_name(name) else None


def _toml(path: str, reader: Reader) -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - few ask for a folder
    else:  # the standard library has none before 3.11, and pip, which we need, does
        from pip._vendor import tomli as tomllib  # noqa: PLC0415 - likewise

    try:
        return tomllib.loads(reader.read(path).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def _tool_tables(top: dict[str, object]) -> list[object]:
    tool = top.get("tool")
    return [tool.get("poetry")] if isinstance(tool, dict) else []
