"""What is mirrored, by our own commands: three bundles of files that lie on a page of links, rendered into one tree.

Each project holds one trap. A client that installs ``WISHES`` and comes out with ``EXPECTED`` fell into none.
"""

from __future__ import annotations

import html
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from tests.fakes.archives import make_sdist, make_wheel
from tests.worlds import ROOT, environment

__all__ = ["EVERYTHING", "EXPECTED", "WISHES", "make_tree"]

WISHES = (
    "plain-thing",  # a chain of dependencies, several versions
    "yanked-free",  # 1.1 is newer, and yanked
    "yanked-pinned==1.1",  # yanked, but pinned: it is there, and is taken
    "needs-newer",  # 2.0 is for Pythons that no client runs on
    "epoch-thing",  # 3.0 looks newer than 1!2.0
    "local-thing",  # 2.4.0+cpu: a plus in the file's name, and newer than 2.4.0
    "ODD_name",  # the project says Odd.Name, the page is odd-name, the file has a dot
    "extra-thing[fast]",
    "from-source",  # an sdist; what builds it lies in the tree, too, with a dependency of its own
)

EXPECTED: Mapping[str, str] = MappingProxyType({
    "plain-thing": "1.1",
    "chained-thing": "0.5",
    "yanked-free": "1.0",
    "yanked-pinned": "1.1",
    "needs-newer": "1.0",
    "epoch-thing": "1!2.0",
    "local-thing": "2.4.0+cpu",
    "odd-name": "1.0",
    "extra-thing": "1.0",
    "fast-thing": "3.0",
    "from-source": "0.1",
})  # fmt: skip
"""By normalised name."""

EVERYTHING = "everything-thing"
"""An application that asks for all of ``WISHES``."""

_BACKEND = """\
import pathlib
import shutil

import tiny_helper


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (prebuilt,) = pathlib.Path("prebuilt").iterdir()
    shutil.copy(str(prebuilt), wheel_directory)
    return prebuilt.name
"""
_ENTRY = "[console_scripts]\neverything = everything_thing:main\n"
_PLATFORM = ("--platform", "manylinux_2_28_x86_64")
_TODAY = ("--python", "3.8", "--python", "3.12", *_PLATFORM)
_FUTURE = ("--python", "3.15", *_PLATFORM)
_FIRST = 1_790_000_000
"""The sequence of the first bundle."""

_BUNDLES = (
    (_TODAY, ["plain-thing==1.0", "yanked-free==1.0", "yanked-pinned==1.0", "epoch-thing==3.0", "local-thing==2.4.0"]),
    (_TODAY, [EVERYTHING, "yanked-free==1.0"]),
    (_FUTURE, ["needs-newer", "yanked-free==1.1"]),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    name: str
    data: bytes
    requires_python: str | None = None
    yanked: str | None = None

    @property
    def link(self) -> str:
        """Its line on a page of links."""
        attributes = "".join(
            f' {name}="{html.escape(value)}"'
            for name, value in (("data-requires-python", self.requires_python), ("data-yanked", self.yanked))
            if value is not None
        )
        return f'<a href="{self.name.replace("+", "%2B")}#sha256={sha256(self.data).hexdigest()}"{attributes}></a><br>'


def make_tree(folder: Path) -> Path:
    """The tree, in *folder*, made as a person makes it: pages of links, bundles, one ``render``."""
    upstream = folder / "upstream"
    upstream.mkdir(parents=True)
    files = list(_files())
    for file in files:
        (upstream / file.name).write_bytes(file.data)
    (upstream / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(file.link for file in files), encoding="utf-8")
    links = ("--no-index", "-f", (upstream / "index.html").as_uri(), "--no-cache", "-q")
    bundles = []
    for month, (targets, wishes) in enumerate(_BUNDLES):
        bundles.append(folder / f"{month}.tar")
        when = {"SOURCE_DATE_EPOCH": str(_FIRST + month)}
        _pypimirror(folder, "bundle", *wishes, *targets, *links, "-o", str(bundles[-1]), **when)
    tree = folder / "a tree"
    _pypimirror(folder, "render", *map(str, bundles), str(tree))
    return tree


def _pypimirror(folder: Path, *arguments: str, **changes: str) -> None:
    command = [sys.executable, "-m", "pypimirror", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(folder, changes), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def _files() -> Iterator[_File]:
    yield _wheel("plain-thing", "1.0")
    yield _wheel("plain-thing", "1.1", requires_dist=("Chained_Thing>=0.4",))
    yield _wheel("chained-thing", "0.5")
    yield _wheel("yanked-free", "1.0")
    yield _wheel("yanked-free", "1.1", yanked='broken: "<b>" & co')
    yield _wheel("yanked-pinned", "1.0")
    yield _wheel("yanked-pinned", "1.1", yanked="")
    yield _wheel("needs-newer", "1.0", requires_python=">=3.6")
    yield _wheel("needs-newer", "2.0", requires_python=">=3.15")
    yield _wheel("epoch-thing", "3.0")
    yield _wheel("epoch-thing", "1!2.0")
    yield _wheel("local-thing", "2.4.0")
    yield _wheel("local-thing", "2.4.0+cpu")
    yield _wheel("Odd.Name", "1.0", rename="Odd.Name-1.0-py3-none-any.whl")
    yield _wheel("extra-thing", "1.0", requires_dist=("fast-thing; extra == 'fast'",), extras=("fast",))
    yield _wheel("fast-thing", "3.0")
    yield _wheel("tiny-backend", "1.2", requires_dist=("tiny-helper",), contents={"tiny_backend.py": _BACKEND})
    yield _wheel("tiny-helper", "0.3")
    yield _sdist("from-source", "0.1")
    module = {
        "everything_thing.py": "def main():\n    pass\n",
        "everything_thing-1.0.dist-info/entry_points.txt": _ENTRY,
    }
    yield _wheel(EVERYTHING, "1.0", requires_dist=WISHES, contents=module)


def _wheel(
    name: str,
    version: str,
    *,
    requires_dist: Iterable[str] = (),
    requires_python: str | None = None,
    extras: Iterable[str] = (),
    contents: Mapping[str, str] | None = None,
    yanked: str | None = None,
    rename: str = "",
) -> _File:
    filename, data = make_wheel(
        name, version, requires_dist=requires_dist, requires_python=requires_python, extras=extras, files=contents
    )
    return _File(name=rename or filename, data=data, requires_python=requires_python, yanked=yanked)


def _sdist(name: str, version: str) -> _File:
    prebuilt, wheel = make_wheel(name, version, requires_python=">=3.6")
    pyproject = '[build-system]\nrequires = ["tiny_backend>=1"]\nbuild-backend = "tiny_backend"\n'
    files = {f"prebuilt/{prebuilt}": wheel}
    filename, data = make_sdist(name, version, requires_python=">=3.6", pyproject=pyproject, files=files)
    return _File(name=filename, data=data, requires_python=">=3.6")
