"""Real clients and the locks of an unpacked bundle: nothing but its folder, from anywhere, with every hash checked."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pypimirror.tree.lists import bundle_members
from tests.fakes.archives import BACKEND, make_sdist, make_wheel
from tests.fakes.server import FakeServer
from tests.interpreters import MINORS, interpreter
from tests.tree.clients import SECONDS, environment, http_server, installed
from tests.tree.helpers import TARGET, make_manifest, sdist, wheel
from tests.worlds import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bundle is for Linux: its locks name that")

MINOR = sys.version_info.minor
NEXT_PATCH = f"3.{MINOR}.{sys.version_info.micro + 1}"
PLATFORM = f"manylinux_2_28_{platform.machine()}"
WISHES = [
    "app[speed]",
    f"torchy==2.4.0+cpu; python_version != '3.{MINOR}'",
    f"torchy===2.4.0; python_version == '3.{MINOR}'",
    "yanked-thing==1.1",
]
EXPECTED = {
    "app": "1.0",
    "lib": "1!2.0",
    "fast": "3.0",
    "torchy": "2.4.0",
    "yanked_thing": "1.1",
    "odd_name": "1.0",
    "from_source": "0.1",
    # What a patch release decides, as this Python has it:
    "wide": "1.0",
    "below": "1.0",
}
ELSEWHERE = EXPECTED | {"torchy": "2.4.0+cpu", "wide": "2.0", "above": "1.0"}
del ELSEWHERE["below"]
"""The same on another Python, where each of those markers goes the other way."""


def _fill(server: FakeServer) -> None:
    def add(name: str, version: str, *, yanked: str | None = None, **facts: object) -> None:
        filename, data = make_wheel(name, version, **facts)  # type: ignore[arg-type]  # what make_wheel itself takes
        requires_python = facts.get("requires_python")
        server.add(
            filename, data, yanked=yanked, upload_time="2026-01-02T03:04:05.678Z",
            requires_python=None if requires_python is None else str(requires_python),
        )  # fmt: skip

    here = f"python_version == '3.{MINOR}' and python_full_version < '{NEXT_PATCH}'"
    other = f"python_version != '3.{MINOR}' or python_full_version >= '{NEXT_PATCH}'"
    add(
        "app", "1.0", extras=["speed"],
        requires_dist=[
            "lib", "wide", "Odd.Name", "from-source", f"below; {here}", f"above; {other}", "fast; extra == 'speed'",
        ],
    )  # fmt: skip
    add("lib", "3.0")
    add("lib", "1!2.0")
    add("wide", "1.0")
    excluded = ",".join(f"!=3.{MINOR}.{patch}" for patch in range(sys.version_info.micro + 1))
    add("wide", "2.0", requires_python=f">=3.8,{excluded}")
    add("below", "1.0")
    add("above", "1.0")
    add("torchy", "2.4.0")
    add("torchy", "2.4.0+cpu")
    add("yanked-thing", "1.0")
    add("yanked-thing", "1.1", yanked='broken: "<b>" & co')
    add("Odd.Name", "1.0")
    for minor in MINORS:
        add("fast", "3.0", tags=[f"cp3{minor}-cp3{minor}-manylinux_2_17_{platform.machine()}"])
    add("helper", "0.1", files={"helper.py": ""})
    prebuilt, data = make_wheel("from-source", "0.1")
    pyproject = '[build-system]\nrequires = ["helper"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files: dict[str, str | bytes] = {"backend.py": f"import helper\n{BACKEND}", f"prebuilt/{prebuilt}": data}
    server.add(*make_sdist("from-source", "0.1", pyproject=pyproject, files=files))


def _targets() -> list[str]:
    minors = sorted({8, 11, 13, MINOR})
    return [word for minor in minors for word in ("--python", f"3.{minor}")] + ["--platform", PLATFORM]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made by the program and unpacked by tar, below a path that needs quoting."""
    work = tmp_path_factory.mktemp("locks")
    with FakeServer() as server:
        _fill(server)
        program = Program(work)
        ran = program("bundle", *WISHES, *_targets(), "-i", server.index_url, "-o", work / "b.tar", "-q")
    assert ran.code == 0, ran.err
    place = work / "a place, 100% (é)"
    place.mkdir()
    subprocess.run(["tar", "-xf", str(work / "b.tar"), "-C", str(place)], check=True, timeout=60)
    (unpacked,) = place.iterdir()
    return unpacked


def lock(folder: Path, kind: str, minor: int = MINOR) -> str:
    name = f"default-3.{minor}-{PLATFORM}"
    path = f"locks/{name}.requirements.txt" if kind == "requirements" else f"locks/pylock.{name.replace('.', '_')}.toml"
    assert (folder / path).is_file()
    return str(folder / path)


# ---- clients --------------------------------------------------------------------------------------------------------


def ran(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Where nothing else can be reached: proxies that no one answers stand before every other host."""
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    env = environment(HOME=str(cwd), PYTHONWARNINGS="ignore", **nowhere)
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )  # fmt: skip


def pip(python: str, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--target", str(work / "site")]
    return ran(*command, *arguments, cwd=work)


def uv(
    verb: str, python: str, work: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("no uv here")
    command = [program, "--no-cache", "--no-config", "pip", verb, "--quiet", "--python", python]
    return ran(*command, "--target", str(work / "site"), *arguments, cwd=cwd or work)


Client = Callable[..., subprocess.CompletedProcess[str]]
UV: Client = partial(uv, "install", sys.executable)
PIP: Client = partial(pip, sys.executable)
CLIENTS = pytest.mark.parametrize("client", [UV, pytest.param(PIP, marks=pytest.mark.slow)], ids=["uv", "pip"])


def tools(folder: Path, kind: str) -> list[str]:
    """A pylock.toml can't say where the tools come from that an sdist is built with; its heading does."""
    return [] if kind == "requirements" else ["--no-index", "--find-links", (folder / "packages/index.html").as_uri()]


def check(done: subprocess.CompletedProcess[str], work: Path, minor: int = MINOR) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(work / "site") == (EXPECTED if minor == MINOR else ELSEWHERE)


@pytest.mark.parametrize("kind", ["requirements", "pylock"])
@pytest.mark.parametrize("verb", ["install", "sync"])
def test_uv_installs_a_lock_from_anywhere(folder: Path, tmp_path: Path, verb: str, kind: str) -> None:
    file = lock(folder, kind)
    named = ["-r", file] if verb == "install" else [file]
    check(uv(verb, sys.executable, tmp_path, *tools(folder, kind), *named), tmp_path)


def test_this_pip_installs_a_lock_from_anywhere(folder: Path, tmp_path: Path) -> None:
    check(pip(sys.executable, tmp_path, "-r", lock(folder, "requirements")), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("minor", [8, 11, 13])
def test_the_pips_of_other_pythons_install_their_locks(folder: Path, tmp_path: Path, minor: int) -> None:
    """3.11 has brought pip 23.2 since 3.11.5."""
    check(pip(interpreter(minor), tmp_path, "-r", lock(folder, "requirements", minor)), tmp_path, minor)


@pytest.mark.parametrize("kind", ["requirements", "pylock"])
def test_the_commands_in_the_heading_of_a_lock_work_where_it_lies(folder: Path, tmp_path: Path, kind: str) -> None:
    heading = Path(lock(folder, kind)).read_text("ascii")
    (said,) = re.findall(r"^#     uv pip install (.*)$", heading, re.MULTILINE)
    check(uv("install", sys.executable, tmp_path, *said.split(), cwd=folder / "locks"), tmp_path)
    assert f"#     pip install {said}" in heading


@pytest.mark.parametrize("kind", ["requirements", "pylock"])
def test_uv_refuses_a_changed_byte(folder: Path, tmp_path: Path, kind: str) -> None:
    copied = _changed(folder, tmp_path)
    done = uv("install", sys.executable, tmp_path, *tools(copied, kind), "-r", lock(copied, kind))
    assert done.returncode != 0
    assert "Hash mismatch" in done.stderr
    assert installed(tmp_path / "site") == {}


@pytest.mark.slow
def test_pip_refuses_a_changed_byte(folder: Path, tmp_path: Path) -> None:
    done = pip(sys.executable, tmp_path, "-r", lock(_changed(folder, tmp_path), "requirements"))
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert installed(tmp_path / "site") == {}


def _changed(folder: Path, work: Path) -> Path:
    """A copy of the bundle in which one wheel has other bytes of the same length, of which no zip reader complains."""
    copied = work / "copied"
    shutil.copytree(folder, copied)
    wheel = copied / "packages" / "lib-1!2.0-py3-none-any.whl"
    before = wheel.read_bytes()
    wheel.write_bytes(before.replace(b"\x14\x03\x14", b"\x14\x00\x14"))  # made on another system, it says now
    assert len(wheel.read_bytes()) == len(before)
    assert wheel.read_bytes() != before
    return copied


@pytest.mark.parametrize("kind", ["requirements", "pylock"])
def test_another_python_is_refused_by_a_pylock(folder: Path, tmp_path: Path, kind: str) -> None:
    """A requirements file can't say what it is for: then a wheel of that Python is what does not fit."""
    done = uv("install", sys.executable, tmp_path, *tools(folder, kind), "-r", lock(folder, kind, 8))
    assert done.returncode != 0
    assert ("not supported by the lockfile" if kind == "pylock" else "fast==3.0") in done.stderr


@CLIENTS
def test_a_lock_behind_a_web_server_installs_as_its_heading_says(folder: Path, tmp_path: Path, client: Client) -> None:
    with http_server(folder) as site:
        path = lock(folder, "requirements").removeprefix(f"{folder}/")
        named = ["--find-links", f"{site.url}packages/index.html", "-r", f"{site.url}{path}"]
        check(client(tmp_path, *named), tmp_path)
    assert site.statuses() == {"200"}


@pytest.mark.parametrize(
    ("kind", "client"),
    [("requirements", UV), ("pylock", UV), pytest.param("requirements", PIP, marks=pytest.mark.slow)],
    ids=["uv", "uv-pylock", "pip"],
)
def test_locks_work_through_links_if_packages_lies_beside_where_they_lead(
    folder: Path, tmp_path: Path, kind: str, client: Client
) -> None:
    """``..`` of a folder that a link leads to is above where that folder truly lies, and clients ask the system."""
    tree = tmp_path / "tree"
    (tree / ".pypimirror" / "pages").mkdir(parents=True)
    shutil.copytree(folder / "packages", tree / "packages")
    shutil.copytree(folder / "locks", tree / ".pypimirror" / "pages" / "_locks-mark")
    (tree / ".pypimirror" / "current").symlink_to("pages")
    (tree / "locks").symlink_to(".pypimirror/current/_locks-mark")
    (tree / ".pypimirror" / "pages" / "packages").symlink_to("../../packages")
    check(client(tmp_path, *tools(tree, kind), "-r", lock(tree, kind)), tmp_path)


# ---- what is locked, and nothing better -----------------------------------------------------------------------------


@CLIENTS
def test_what_is_locked_is_taken_though_something_better_lies_beside_it(tmp_path: Path, client: Client) -> None:
    """Another set took them: a wheel with a better tag, a wheel in place of an sdist, one more local label."""
    better = wheel("tagged", "1.0", tags=(f"py3{MINOR}-none-any",))
    locked = [wheel("tagged", "1.0"), sdist("source", "1.0"), wheel("local", "1.0")]
    beside = [better, wheel("source", "1.0"), wheel("local", "1.0+cpu")]
    target = replace(TARGET, tags=(f"py3{MINOR}-none-any", "py3-none-any"))
    made = make_manifest([*locked, *beside], pins={each.file.filename: each.file.project for each in locked})
    made = replace(made, targets=(target,))
    for page in bundle_members(made):
        (tmp_path / page.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page.path).write_bytes(page.data)
    for each in (*locked, *beside):
        (tmp_path / each.file.path).write_bytes(each.data)
        if each.metadata is not None:
            (tmp_path / f"{each.file.path}.metadata").write_bytes(each.metadata)
    done = client(tmp_path, "-r", str(tmp_path / "locks" / "main-3.12-linux.requirements.txt"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(tmp_path / "site") == {"tagged": "1.0", "source": "1.0", "local": "1.0"}
    (wheel_file,) = (tmp_path / "site").glob("tagged-*/WHEEL")
    assert "Tag: py3-none-any" in wheel_file.read_text("utf-8")


# ---- the newest pip -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newest_pip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the newest pip, from whichever index this machine uses."""
    folder = tmp_path_factory.mktemp("newest") / "venv"
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True, timeout=300)
    return python


@pytest.mark.online
@pytest.mark.parametrize("kind", ["requirements", "pylock"])
def test_the_newest_pip_installs_both(folder: Path, tmp_path: Path, kind: str, newest_pip: str) -> None:
    check(pip(newest_pip, tmp_path, *tools(folder, kind), "-r", lock(folder, kind)), tmp_path)
