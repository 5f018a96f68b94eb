"""Builds that go well: hooks, metadata, wheels, with and without a sandbox."""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pypimirror.build.faults import BuildFault
from pypimirror.build.sandbox import Sandbox
from pypimirror.build.source import Source
from pypimirror.errors import PolicyFault
from tests.build.helpers import SANDBOX, builder, needs_sandbox, sdist, sdist_with
from tests.fakes.archives import make_sdist, make_wheel

BOTH = [pytest.param(SANDBOX, id="sandbox", marks=needs_sandbox), pytest.param(None, id="plain sight")]
TOOL = '[build-system]\nrequires = ["tool"]\nbuild-backend = "tool"\n'
TOOL_CODE = """
import pathlib, subprocess, zipfile

def get_requires_for_build_wheel(config_settings=None):
    return ["more>=1", "more>=1", "colour; python_version < '3'"]

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    words = subprocess.run(["say-tool"], check=True, capture_output=True, text=True).stdout.strip()
    (path,) = pathlib.Path("prebuilt").iterdir()
    (pathlib.Path(wheel_directory) / path.name).write_bytes(path.read_bytes())
    assert words == "the tool says hello", words
    return path.name

def main():
    print("the tool says hello")
"""


def tool(folder: Path) -> Path:
    """The wheel of a build tool, with a command."""
    points = "[console_scripts]\nsay-tool = tool:main\n"
    name, data = make_wheel("tool", "2.0", files={"tool.py": TOOL_CODE, "tool-2.0.dist-info/entry_points.txt": points})
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("sandbox", BOTH)
def test_a_wheel_is_built_with_what_it_requires(tmp_path: Path, sandbox: Sandbox | None) -> None:
    wheel, contents = make_wheel("thing", "1.0")
    filename, data = make_sdist("thing", "1.0", pyproject=TOOL, files={f"prebuilt/{wheel}": contents})
    source, requirement = sdist(tmp_path, filename, data), tool(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    with builder(tmp_path, sandbox=sandbox) as own:
        assert own.requires_for_wheel(source, [requirement]) == ("more>=1", "colour; python_version < '3'")
        assert own.wheel(source, [requirement], out) == out / wheel
    assert (out / wheel).read_bytes() == contents
    assert [path.name for path in out.iterdir()] == [wheel]
    built = own.built[-1]
    assert (built.source, built.hook, built.backend, built.output) == (filename, "build_wheel", "tool", wheel)
    assert built.requirements == ((requirement.name, hashlib.sha256(requirement.read_bytes()).hexdigest()),)
    assert built.sdist_sha256 == hashlib.sha256(data).hexdigest()
    assert built.sandboxed is (sandbox is not None)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("sandbox", BOTH)
def test_metadata_comes_of_the_hook_where_there_is_one(tmp_path: Path, sandbox: Sandbox | None) -> None:
    source = sdist_with(
        tmp_path,
        """
        def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
            folder = pathlib.Path(metadata_directory) / "evil-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: Evil\\nVersion: 1.0.0\\n")
            return folder.name

        def build_wheel(*args):
            raise SystemExit("no wheel is wanted")
        """,
    )
    with builder(tmp_path, sandbox=sandbox) as own:
        assert own.metadata(source, []) == b"Metadata-Version: 2.1\nName: Evil\nVersion: 1.0.0\n"


@pytest.mark.parametrize("sandbox", BOTH)
def test_metadata_comes_of_a_built_wheel_where_there_is_no_hook(tmp_path: Path, sandbox: Sandbox | None) -> None:
    with builder(tmp_path, sandbox=sandbox) as own:
        assert b"Requires-Dist: idna>=2" in own.metadata(sdist_with(tmp_path), [])
        assert [each.hook for each in own.built] == ["prepare_metadata_for_build_wheel", "build_wheel"]


@pytest.mark.parametrize("format_", ["zip", "tar.bz2", "tar.xz", "tar"])
def test_sdists_of_every_format_are_built(tmp_path: Path, format_: str) -> None:
    name, data = make_sdist("thing", "1.0", format=format_)  # type: ignore[arg-type]  # one of the formats
    out = tmp_path / "out"
    out.mkdir()
    with builder(tmp_path, sandbox=None) as own:
        assert own.wheel(sdist(tmp_path, name, data), [], out).name == "thing-1.0-py3-none-any.whl"


def test_an_sdist_may_lie_under_any_name(tmp_path: Path) -> None:
    source = sdist_with(tmp_path)
    hidden = tmp_path / "0123abcd"
    source.path.rename(hidden)
    with builder(tmp_path, sandbox=None) as own:
        own.metadata(Source(path=hidden, label=source.label, project=source.project, version=source.version), [])


@pytest.mark.parametrize("sandbox", BOTH)
def test_a_folder_is_copied_first(tmp_path: Path, sandbox: Sandbox | None) -> None:
    """What the backend writes next to its sources is written to the copy."""
    project = tmp_path / "project"
    (project / "prebuilt").mkdir(parents=True)
    wheel, contents = make_wheel("thing", "3.1")
    (project / "prebuilt" / wheel).write_bytes(contents)
    code = "import shutil, pathlib\ndef build_wheel(out, *args):\n"
    code += "    pathlib.Path('left').write_text('x')\n    assert not pathlib.Path('.venv').exists()\n"
    code += "    assert pathlib.Path('inner/link').read_text() == 'kept' and not pathlib.Path('secret').exists()\n"
    code += f"    return shutil.copy('prebuilt/{wheel}', out).rpartition('/')[2]\n"
    (project / "backend.py").write_text(code)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (project / ".venv").mkdir()
    (project / "inner").mkdir()
    (project / "kept").write_text("kept")
    (project / "inner" / "link").symlink_to("../kept")
    (tmp_path / "secret").write_text("secret")
    (project / "secret").symlink_to(tmp_path / "secret")
    before = sorted(os.walk(project))
    with builder(tmp_path, sandbox=sandbox) as own:
        assert own.wheel(Source.of_folder(project), [], tmp_path).name == wheel
        assert own.built[-1].sdist_sha256 is None
        assert own.built[-1].source == str(project)
    assert sorted(os.walk(project)) == before


def test_a_legacy_sdist_gets_the_legacy_backend(tmp_path: Path) -> None:
    name, data = make_sdist("thing", "1.0", pyproject=None, setup_py="import setuptools\n")
    code = "class L:\n    def get_requires_for_build_wheel(self, c=None): return ['wheel']\n__legacy__ = L()\n"
    fake, contents = make_wheel(
        "setuptools", "99", files={"setuptools/__init__.py": "", "setuptools/build_meta.py": code}
    )
    (tmp_path / fake).write_bytes(contents)
    with builder(tmp_path, sandbox=None) as own:
        assert own.requires_for_wheel(sdist(tmp_path, name, data), [tmp_path / fake]) == ("wheel",)
        assert own.built[0].backend == "setuptools.build_meta:__legacy__"


@needs_sandbox
def test_an_environment_is_made_once_and_no_build_can_change_it(tmp_path: Path) -> None:
    source = sdist_with(
        tmp_path,
        """
        import sys
        def get_requires_for_build_wheel(config_settings=None):
            open(sys.prefix + "/planted.py", "w")
        """,
    )
    with builder(tmp_path) as own:
        for _ in range(2):
            with pytest.raises(BuildFault, match="Read-only file system"):
                own.requires_for_wheel(source, [tool(tmp_path)])
        assert len(list(own._root.glob("environment-*"))) == 1


def test_without_a_sandbox_nothing_is_built_unless_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox()
    monkeypatch.setattr(sandbox, "probe", lambda: "no namespaces here")
    with pytest.raises(PolicyFault, match="no namespaces here") as caught, builder(tmp_path, sandbox=sandbox):
        pass
    assert caught.value.code == "no-sandbox"
    assert "--unsandboxed-build" in caught.value.hint


def test_the_probe_says_why_there_is_no_sandbox(tmp_path: Path) -> None:
    """In a user namespace that admits no more of them, as containers and hardened systems do."""
    if shutil.which("unshare") is None or SANDBOX.probe() is not None:
        pytest.skip("no such namespace can be made here")
    program = "from pypimirror.build.sandbox import Sandbox; print(Sandbox().probe())"
    script = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {shlex.quote(sys.executable)} -c '{program}'"
    said = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ).stdout
    assert "new namespaces: " in said


@pytest.mark.parametrize("sandbox", BOTH)
def test_the_same_sdist_gives_the_same_bytes(tmp_path: Path, sandbox: Sandbox | None) -> None:
    source = sdist_with(
        tmp_path,
        """
        import os, random, time, zipfile
        def build_wheel(wheel_directory, *args):
            name = good_wheel(wheel_directory)
            with zipfile.ZipFile(os.path.join(wheel_directory, name)) as old:
                members = [(each, old.read(each)) for each in old.namelist()]
            when = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
            with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as new:
                for each, data in sorted(members, key=lambda pair: hash(pair[0])):
                    new.writestr(zipfile.ZipInfo(each, when), data)
            return name
        """,
    )
    found = set()
    for _ in range(2):
        with builder(tmp_path, sandbox=sandbox) as own:
            path = own.wheel(source, [], tmp_path)
            found.add(path.read_bytes())
            assert zipfile.ZipFile(io.BytesIO(path.read_bytes())).infolist()[0].date_time[:3] == (2020, 1, 1)
    assert len(found) == 1
