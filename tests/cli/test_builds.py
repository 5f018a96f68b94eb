"""Sdists from the command line to an install behind the gap: what is refused, what is believed, what is built."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.build.helpers import needs_sandbox
from tests.fakes.archives import BACKEND, make_sdist, make_wheel
from tests.fakes.server import FakeServer
from tests.worlds import TARGET, Installer, Program, environment, served

# A build tool of the index, so that building needs what came across the gap. It tells of a second one when it is asked.
TOOL_REQUIRES = """

def get_requires_for_build_wheel(config_settings=None):
    import second_tool
    return ["third-tool"]


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    import pathlib, third_tool, zipfile
    (prebuilt,) = pathlib.Path("prebuilt").iterdir()
    with zipfile.ZipFile(prebuilt) as archive:
        (path,) = [each for each in archive.namelist() if each.endswith("/METADATA")]
        archive.extract(path, metadata_directory)
    return path.partition("/")[0]
"""
TOOLED = '[build-system]\nrequires = ["tool"]\nbuild-backend = "tool"\n'

PLANTED = """
import os, pathlib, socket, sys
for place in {places!r}:
    try:
        pathlib.Path(place).write_text(os.environ.get("CANARY", "ran"))
    except OSError:
        pass
from setuptools import setup
setup(name="planted", version="1.0")
"""


def prebuilt(name: str, version: str, **facts: Any) -> dict[str, bytes]:  # noqa: ANN401 - make_wheel's own
    filename, data = make_wheel(name, version, **facts)
    return {f"prebuilt/{filename}": data}


@pytest.fixture
def tools(server: FakeServer) -> FakeServer:
    server.add(*make_wheel("tool", "1.0", requires_dist=["second-tool"], files={"tool.py": BACKEND + TOOL_REQUIRES}))
    server.add(*make_wheel("second-tool", "1.0", files={"second_tool.py": ""}))
    server.add(*make_wheel("third-tool", "1.0", files={"third_tool.py": ""}))
    return server


def add_dynamic(server: FakeServer) -> None:
    """An sdist of which only a build can tell what it depends on."""
    server.add(
        *make_sdist(
            "dynamic", "1.0", dynamic=["Requires-Dist"], pyproject=TOOLED,
            files=prebuilt("dynamic", "1.0", requires_dist=["lib"]),
        )
    )  # fmt: skip


def add_static(server: FakeServer) -> None:
    server.add(
        *make_sdist(
            "static", "1.0", requires_dist=["lib"], pyproject=TOOLED,
            files=prebuilt("static", "1.0", requires_dist=["lib"]),
        )
    )  # fmt: skip


def manifest(bundle: Path) -> Any:  # noqa: ANN401 - JSON
    with tarfile.open(bundle) as tar:
        member = next(each for each in tar if each.name.endswith("/manifest.json"))
        file = tar.extractfile(member)
        assert file is not None
        return json.loads(file.read())


def names(bundle: Path) -> list[str]:
    return [each["filename"] for each in manifest(bundle)["files"]]


# ---- without consent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["manylinux_2_28_x86_64", "windows"])
@pytest.mark.parametrize("more", [(), ("--trust-egg-info",), ("--allow-build", "other")])
def test_a_planted_setup_py_never_runs_without_consent(
    program: Program, server: FakeServer, platform: str, more: tuple[str, ...]
) -> None:
    marks = [str(program.work / "ran"), str(program.home / "ran"), "ran"]
    server.add(
        *make_sdist(
            "planted", "1.0", metadata_version="1.2", pyproject=None, setup_py=PLANTED.format(places=marks),
            files={"planted.egg-info/requires.txt": "lib\n\n[extra:python_version<'3']\nwin-only\n"},
        )
    )  # fmt: skip
    server.add(*make_wheel("setuptools", "80.0"))
    server.add(*make_wheel("wheel", "1.0"))
    target = ("--python", "3.12", "--platform", platform)
    ran = program("bundle", "planted", *target, *more, "-i", server.index_url, "-o", "x.tar")
    if "--trust-egg-info" in more:
        assert ran.code == 0, ran.err
        (planted,) = [each for each in manifest(program.work / "x.tar")["files"] if each["project"] == "planted"]
        assert planted["learnt_from"] == "egg-info"
        assert planted["requires_dist"] == [
            "lib",
            "win-only; python_version < '3' and extra == 'extra'".replace("'", '"'),
        ]
        assert "lib-1.1+local.1-py3-none-any.whl" in names(program.work / "x.tar")
    else:
        assert ran.code == 6
        assert "planted" in ran.err
        assert "--allow-build planted" in ran.err
        assert not (program.work / "x.tar").exists()
    assert not any((program.work / mark).exists() for mark in marks)


def test_building_wheels_takes_consent_too(program: Program, tools: FakeServer) -> None:
    add_static(tools)
    asked = ("bundle", "static", *TARGET, "-i", tools.index_url, "-o", "x.tar", "--build-wheels")
    assert program(*asked).code == 2
    ran = program(*asked, "--allow-build", "other")
    assert ran.code in (5, 6)
    if ran.code == 6:  # else there is no sandbox here
        assert "--allow-build static" in ran.err


# ---- what building takes --------------------------------------------------------------------------------------------


def test_an_sdist_installs_behind_the_gap_with_build_isolation(
    program: Program, tools: FakeServer, tmp_path: Path
) -> None:
    add_static(tools)
    # The backend of a static sdist is not asked; what it adds at build time is told by a constraint of the world here.
    tools.add(*make_wheel("tool", "2.0", requires_dist=["second-tool", "third-tool"], files={"tool.py": BACKEND}))
    ran = program("bundle", "static", *TARGET, "-i", tools.index_url, "-o", "x.tar")
    assert ran.code == 0, ran.err
    assert names(program.work / "x.tar") == [
        "lib-1.1+local.1-py3-none-any.whl", "second_tool-1.0-py3-none-any.whl", "static-1.0.tar.gz",
        "third_tool-1.0-py3-none-any.whl", "tool-2.0-py3-none-any.whl",
    ]  # fmt: skip
    assert program("render", "x.tar", "tree").code == 0
    assert program("verify", "tree").code == 0
    with served(program.work / "tree") as address:
        for way in ([f"{address}/simple/"], [(program.work / "tree" / "simple").as_uri()]):
            by_pip, by_uv = Installer(tmp_path / f"pip{len(way[0])}"), Installer(tmp_path / f"uv{len(way[0])}")
            by_pip.pip("install", "--index-url", *way, "static")
            by_uv.uv("pip", "install", "--default-index", *way, "static")
            assert by_pip.versions() == by_uv.versions() == {"static": "1.0", "lib": "1.1+local.1"}


def test_build_constraints_come_from_a_file(program: Program, tools: FakeServer) -> None:
    add_static(tools)
    tools.add(*make_wheel("tool", "2.0"))
    (program.work / "builds.txt").write_text("tool<2\n")
    asked = ("bundle", "static", *TARGET, "-i", tools.index_url, "-o", "x.tar", "--build-constraint", "builds.txt")
    assert program(*asked).code == 0
    assert "tool-1.0-py3-none-any.whl" in names(program.work / "x.tar")
    ran = program(*asked[:-1], "nothing-there.txt")
    assert ran.code == 2
    assert "nothing-there.txt" in ran.err


def test_a_tool_that_is_missing_ends_the_run_with_the_sdist_named(program: Program, server: FakeServer) -> None:
    add_static(server)
    ran = program("bundle", "static", *TARGET, "-i", server.index_url, "-o", "x.tar")
    assert ran.code == 6
    assert "to build static-1.0.tar.gz" in ran.err
    assert not (program.work / "x.tar").exists()


# ---- with consent ---------------------------------------------------------------------------------------------------


@needs_sandbox
def test_a_build_tells_what_no_text_does(program: Program, tools: FakeServer) -> None:
    add_dynamic(tools)
    asked = ("bundle", "dynamic", *TARGET, "-i", tools.index_url, "-o", "x.tar", "--allow-build", "dynamic")
    ran = program(*asked)
    assert ran.code == 0, ran.err
    said = manifest(program.work / "x.tar")
    (dynamic,) = [each for each in said["files"] if each["project"] == "dynamic"]
    assert dynamic["learnt_from"] == "build"
    assert dynamic["requires_dist"] == ["lib"]
    assert dynamic["build_requires"] == ["tool", "third-tool"]
    assert {"lib-1.1+local.1-py3-none-any.whl", "third_tool-1.0-py3-none-any.whl"} <= set(names(program.work / "x.tar"))
    assert {each["source"] for each in said["built"]} == {"dynamic-1.0.tar.gz"}
    assert all(each["sandboxed"] for each in said["built"])
    tools_used = {each["filename"] for built in said["built"] for each in built["requirements"]}
    assert "tool-1.0-py3-none-any.whl" in tools_used
    assert "its backend tool was run in a sandbox" in ran.err
    assert "Run by the builder" in program("show", "x.tar").out


@needs_sandbox
def test_a_wheel_that_was_built_ahead_takes_the_place_of_its_sdist(
    program: Program, tools: FakeServer, tmp_path: Path
) -> None:
    add_dynamic(tools)
    asked = ("bundle", "dynamic", *TARGET, "--platform", "windows", "-i", tools.index_url, "-o", "x.tar")
    ran = program(*asked, "--allow-build", ":all:", "--build-wheels")
    assert ran.code == 0, ran.err
    assert names(program.work / "x.tar") == ["dynamic-1.0-py3-none-any.whl", "lib-1.1+local.1-py3-none-any.whl"]
    (dynamic, _) = manifest(program.work / "x.tar")["files"]
    assert dynamic["index"] == "built here"
    assert program("render", "x.tar", "tree").code == 0
    installer = Installer(tmp_path / "bare")
    installer.pip("install", "--index-url", (program.work / "tree" / "simple").as_uri(), "dynamic")
    assert installer.versions() == {"dynamic": "1.0", "lib": "1.1+local.1"}


@needs_sandbox
def test_with_consent_a_build_sees_neither_secrets_nor_the_network_nor_this_disk(
    program: Program, server: FakeServer
) -> None:
    (program.home / ".netrc").write_text("machine index.example login me password CANARY-NETRC\n")
    spy = f"""
import os, pathlib, socket
seen = []
seen += [key for key, value in os.environ.items() if "CANARY" in value]
for place in ({str(program.home / ".netrc")!r}, os.path.expanduser("~/.netrc"), {str(program.work)!r}):
    if os.path.exists(place):
        seen.append(place)
for address in ({("127.0.0.1", server.port)!r}, ("192.0.2.1", 80)):
    try:
        socket.create_connection(address, timeout=2).close()
        seen.append(str(address))
    except OSError:
        pass
try:
    pathlib.Path({str(program.home / "ran")!r}).write_text("ran")
    seen.append("wrote")
except OSError:
    pass
assert not seen, seen
"""
    server.add(
        *make_sdist(
            "spy", "1.0", dynamic=["Requires-Dist"],
            pyproject='[build-system]\nrequires = []\nbuild-backend = "spying"\nbackend-path = ["."]\n',
            files={"spying.py": spy + BACKEND, **prebuilt("spy", "1.0")},
        )
    )  # fmt: skip
    secrets = {"CANARY_TOKEN": "CANARY", "PIP_EXTRA_INDEX_URL": "", "TWINE_PASSWORD": "CANARY-2"}
    ran = program("bundle", "spy", *TARGET, "-i", server.index_url, "-o", "x.tar", "--allow-build", "spy", env=secrets)
    assert ran.code == 0, ran.err
    assert not (program.home / "ran").exists()
    assert b"CANARY" not in (program.work / "x.tar").read_bytes()


@needs_sandbox
def test_a_build_that_fails_ends_the_run_and_older_versions_are_not_tried(program: Program, server: FakeServer) -> None:
    for version in ("1.0", "2.0"):
        server.add(
            *make_sdist(
                "broken", version, dynamic=["Requires-Dist"],
                pyproject='[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
                files={"backend.py": f"raise SystemError('no luck with {version}')"},
            )
        )  # fmt: skip
    ran = program("bundle", "broken", *TARGET, "-i", server.index_url, "-o", "x.tar", "--allow-build", "broken")
    assert ran.code == 6
    assert "broken-2.0.tar.gz" in ran.err
    assert "no luck with 2.0" in ran.err
    assert "broken-1.0" not in ran.err


# ---- source trees ---------------------------------------------------------------------------------------------------


def project(folder: Path) -> Path:
    """A project's folder, whose backend lies inside it."""
    filename, data = make_wheel("my-app", "0.3", requires_dist=["lib"])
    (folder / "prebuilt").mkdir(parents=True)
    (folder / "prebuilt" / filename).write_bytes(data)
    (folder / "backend.py").write_text(BACKEND)
    table = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(f'{table}[project]\nname = "my-app"\nversion = "0.3"\n')
    return folder


def test_a_local_folder_is_not_built_without_consent(program: Program, server: FakeServer) -> None:
    project(program.work / "app")
    ran = program("bundle", "./app", *TARGET, "-i", server.index_url, "-o", "x.tar")
    assert ran.code == 6
    assert "--allow-build my-app" in ran.err
    assert not (program.work / "x.tar").exists()


@needs_sandbox
@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_a_source_tree_becomes_a_wheel_in_the_bundle(
    program: Program, server: FakeServer, tmp_path: Path, kind: str
) -> None:
    app = project(program.work / "a private place" / "app")
    wish = str(app)
    if kind == "repository":
        if shutil.which("git") is None:
            pytest.skip("git is not installed")
        who = ["-c", "user.name=x", "-c", "user.email=x@index.example", "-c", "init.defaultBranch=main"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"], ["tag", "v1"]):
            subprocess.run(["git", *who, *command], cwd=app, check=True, env=environment(program.home))
        (app / "pyproject.toml").write_text("not what was committed")
        wish = f"my-app @ git+{app.as_uri()}@v1"
    ran = program("bundle", wish, *TARGET, "-i", server.index_url, "-o", "x.tar", "--allow-build", "my-app")
    assert ran.code == 0, ran.err
    said = manifest(program.work / "x.tar")
    assert names(program.work / "x.tar") == ["lib-1.1+local.1-py3-none-any.whl", "my_app-0.3-py3-none-any.whl"]
    source = {each["source"] for each in said["built"]}
    assert len(source) == 1
    assert (re.fullmatch(r"the repository app@[0-9a-f]{40}", *source) is not None) is (kind == "repository")
    assert "private" not in json.dumps(said)
    assert program("render", "x.tar", "tree").code == 0
    assert program("verify", "tree").code == 0
    installer = Installer(tmp_path / "bare")
    installer.pip("install", "--index-url", (program.work / "tree" / "simple").as_uri(), "my-app")
    assert installer.versions() == {"my-app": "0.3", "lib": "1.1+local.1"}


@needs_sandbox
def test_a_repository_that_is_not_there_is_told_in_git_s_words(program: Program, server: FakeServer) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    wish = f"my-app @ git+{(program.work / 'nothing').as_uri()}"
    ran = program("bundle", wish, *TARGET, "-i", server.index_url, "-o", "x.tar", "--allow-build", "my-app")
    assert ran.code == 3
    assert "git failed" in ran.err
