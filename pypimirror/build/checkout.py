"""A source tree as a folder of this machine: a local one where it lies, a commit of a git repository fetched anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pypimirror.build.faults import printable
from pypimirror.errors import IndexFault, UsageFault
from pypimirror.model.requests import SourceTree
from pypimirror.values import dataclass

__all__ = ["Checkout", "checked_out"]

_SECONDS = 900
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_LINES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """Where the project lies, and what to call it: a repository with its commit, or a folder by its name."""

    folder: Path
    label: str


@contextmanager
def checked_out(tree: SourceTree) -> Iterator[Checkout]:
    """The folder of a source tree, for as long as the block lasts.

    Raises UsageFault (``no-git``, ``no-such-folder``), IndexFault (``git-failed``) where git can't fetch it.
    """
    if not tree.url.lower().startswith("git+"):
        folder = Path(url2pathname(urlsplit(tree.url).path))
        yield Checkout(folder=_inside(folder, tree), label=f"the folder {folder.name}")
        return
    with TemporaryDirectory(prefix="pypimirror-checkout-") as place:
        repository = Path(place) / "repository"
        commit = _clone(tree, repository)
        local = tree.url.lower().startswith("git+file:")  # no path of this host is told to others
        name = f"the repository {tree.url.rstrip('/').rpartition('/')[2]}" if local else tree.url
        yield Checkout(folder=_inside(repository, tree), label=f"{name}@{commit}")


def _inside(folder: Path, tree: SourceTree) -> Path:
    inside = (folder / tree.subdirectory).resolve() if tree.subdirectory else folder
    if not inside.is_dir() or not inside.is_relative_to(folder.resolve() if tree.subdirectory else folder):
        raise UsageFault(
            f"{tree}: there is no folder {tree.subdirectory or folder}", code="no-such-folder", hint="check the path"
        )
    return inside


def _clone(tree: SourceTree, repository: Path) -> str:
    """Fetch the repository, check the revision out with its submodules; gives the commit."""
    git = shutil.which("git")
    if git is None:
        raise UsageFault(
            f"{tree}: git is not installed here", code="no-git", hint="install git, or build the wheel yourself"
        )
    url = tree.url[len("git+") :]
    _run(git, "clone", "--quiet", "--no-checkout", "--", url, str(repository), tree=tree)
    revision = tree.revision or "HEAD"
    if tree.revision and not _COMMIT.fullmatch(revision):
        branch = _run(git, "-C", str(repository), "branch", "--remotes", "--list", f"origin/{revision}", tree=tree)
        revision = f"origin/{revision}" if branch.strip() else revision
    _run(git, "-C", str(repository), "checkout", "--quiet", "--detach", revision, "--", tree=tree)
    _run(git, "-C", str(repository), "submodule", "--quiet", "update", "--init", "--recursive", tree=tree)
    return _run(git, "-C", str(repository), "rev-parse", "HEAD", tree=tree).strip()


def _run(*command: str, tree: SourceTree) -> str:
    """One call of git, which asks nobody for a password."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "LC_ALL": "C.UTF-8"}
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    try:
        ran = subprocess.run(  # noqa: S603 - git, with an address and a revision that were checked
            command, env=environment, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise IndexFault(
            f"{tree}: git took more than {_SECONDS} seconds", code="git-failed", hint="try again"
        ) from None
    if ran.returncode:
        said = " | ".join(printable(line) for line in ran.stderr.decode("utf-8", "replace").splitlines()[-_LINES:])
        raise IndexFault(
            f"{tree}: git failed: {said or ran.returncode}",
            code="git-failed",
            hint="try the same with git itself; it must not need to ask for a password",
        )
    return ran.stdout.decode("utf-8", "replace")
