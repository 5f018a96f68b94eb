"""From wishes to installed packages: bundle, carry, render, serve, install; each by the real program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.server import FakeServer
from tests.worlds import TARGET, Installer, Program, served

HERE = ("--python", f"{sys.version_info.major}.{sys.version_info.minor}", "--platform", "manylinux_2_17_x86_64")


def test_a_bundle_installs_from_its_tree_by_pip_and_uv(program: Program, server: FakeServer, tmp_path: Path) -> None:
    ran = program("bundle", "app", "source", *HERE, "-i", server.index_url, "-o", "app.tar")
    assert ran.code == 0, ran.err
    tree = program.work / "tree"
    ran = program("render", "app.tar", tree)
    assert ran.code == 0, ran.err
    expected = {"app": "2.0", "lib": "1.1+local.1", "source": "1.0"}
    installer = Installer(tmp_path / "venv")
    with served(tree) as address:
        ways = [
            (installer.pip, ["install", "-q", "--index-url", f"{address}/simple/"]),
            (installer.uv, ["pip", "install", "--default-index", f"{address}/simple/"]),
            (installer.pip, ["install", "-q", "--index-url", f"{tree.as_uri()}/simple/"]),
            (installer.pip, ["install", "-q", "--no-index", "-f", str(tree / "packages" / "index.html")]),
        ]
        for install, way in ways:
            install(*way, "app", "source")
            assert installer.versions() == expected, way
            installer.pip("check")
            installer.pip("uninstall", "-q", "-y", *expected)


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize("metadata", [True, "silent", False])
@pytest.mark.parametrize("ranges", [True, False])
def test_every_kind_of_index_gives_the_same_pins(
    program: Program, server: FakeServer, *, form: str, metadata: bool | str, ranges: bool
) -> None:
    server.format, server.ranges = form, ranges
    for file in server.files.values():
        file.metadata = metadata
    ran = program("bundle", "app[speed]<2", "source", *TARGET, "-i", server.index_url, "-o", "app.tar", "--json")
    assert ran.code == 0, ran.err
    assert [file["filename"] for file in ran.json()["files"]] == [
        "app-1.0-py3-none-any.whl",
        "fast-3.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "lib-1.1+local.1-py3-none-any.whl",
        "source-1.0.tar.gz",
    ]


def test_the_bundle_unpacked_by_tar_alone_installs_too(program: Program, server: FakeServer, tmp_path: Path) -> None:
    assert program("bundle", "app", *HERE, "-i", server.index_url, "-o", "app.tar").code == 0
    subprocess.run(["tar", "xf", "app.tar"], cwd=program.work, check=True, timeout=60)
    (folder,) = program.work.glob("default-*")
    with served(folder) as address:
        installer = Installer(tmp_path / "venv")
        installer.pip("install", "-q", "--index-url", f"{address}/simple/", "app")
        assert installer.versions() == {"app": "2.0", "lib": "1.1+local.1"}


def test_a_foreign_target_gets_what_its_markers_ask_for(program: Program, server: FakeServer) -> None:
    ran = program(
        "bundle", "app", "fast", "--python", "3.12", "--platform", "win_amd64", "--json",
        "-i", server.index_url, "-o", "app.tar",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    files = [file["filename"] for file in ran.json()["files"]]
    assert files == [
        "app-2.0-py3-none-any.whl",
        "fast-3.0-cp312-cp312-win_amd64.whl",
        "lib-1.1+local.1-py3-none-any.whl",
        "win_only-1!0.5-py3-none-any.whl",
    ]
    assert program("render", "app.tar", "tree").code == 0
    with served(program.work / "tree") as address:
        installer = Installer(program.folder / "venv")
        installer.uv(
            "pip", "install", "--dry-run", "--python-platform", "windows", "--python-version", "3.12",
            "--default-index", f"{address}/simple/", "app", "fast",
        )  # fmt: skip


def test_the_same_inputs_give_the_same_bytes(program: Program, server: FakeServer) -> None:
    wishes = ("app[speed]", "source", *TARGET, "-i", server.index_url)
    digests = []
    for number, changes in enumerate(
        ({"PYTHONHASHSEED": "1", "TZ": "UTC"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C"})
    ):
        env = {"SOURCE_DATE_EPOCH": "1795298000", **changes}
        ran = program("bundle", *wishes, "-o", f"{number}.tar", "--no-cache", "--json", env=env)
        assert ran.code == 0, ran.err
        digests.append(ran.json()["sha256"])
    assert digests[0] == digests[1]
    assert (program.work / "0.tar").read_bytes() == (program.work / "1.tar").read_bytes()


def test_a_described_target_is_bundled_for(program: Program, server: FakeServer) -> None:
    described = program("target")
    assert described.code == 0
    (program.work / "here.json").write_text(described.out)
    ran = program("bundle", "app", "--target", "here.json", "-i", server.index_url, "-o", "app.tar", "--json")
    assert ran.code == 0, ran.err
    (target,) = ran.json()["targets"]
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in target


def test_a_bundle_goes_through_pipes(program: Program, server: FakeServer) -> None:
    command = program.command("bundle", "app", *TARGET, "-i", server.index_url, "-o", "-", "-q")
    from tests.worlds import environment  # noqa: PLC0415 - for this test alone

    packed = subprocess.run(
        command, cwd=program.work, env=environment(program.home), capture_output=True, check=True, timeout=60
    )
    ran = program("render", "-", "tree", stdin=packed.stdout)
    assert ran.code == 0, ran.err
    assert (program.work / "tree" / "simple" / "app" / "index.html").is_file()


def test_a_second_render_changes_nothing(program: Program, server: FakeServer) -> None:
    assert program("bundle", "app", *TARGET, "-i", server.index_url, "-o", "app.tar").code == 0
    assert program("render", "app.tar", "tree").code == 0
    again = program("render", "app.tar", "tree", "--json")
    assert again.code == 0
    assert again.json()["changed"] is False


def test_several_targets_share_files(program: Program, server: FakeServer) -> None:
    ran = program(
        "plan", "app", "fast", "--python", "3.12", "--platform", "win_amd64", "--platform", "manylinux_2_28_x86_64",
        "-i", server.index_url, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    targets = {file["filename"]: file["targets"] for file in ran.json()["files"]}
    assert len(targets["app-2.0-py3-none-any.whl"]) == 2
    assert targets["fast-3.0-cp312-cp312-win_amd64.whl"] == ["3.12-win_amd64"]
    assert targets["win_only-1!0.5-py3-none-any.whl"] == ["3.12-win_amd64"]


def test_a_plan_downloads_no_file(program: Program, server: FakeServer) -> None:
    assert program("plan", "app[speed]", *TARGET, "-i", server.index_url).code == 0
    assert not [path for path in server.paths("/files/*") if path.endswith((".whl", ".tar.gz"))]


def test_pips_own_settings_are_honoured(program: Program, server: FakeServer) -> None:
    config = program.folder / "pip.conf"
    config.write_text(f"[global]\nindex-url = {server.index_url}\n")
    ran = program("bundle", "app", *TARGET, "-o", "app.tar", env={"PIP_CONFIG_FILE": str(config)})
    assert ran.code == 0, ran.err
    ran = program("bundle", "app", *TARGET, "-o", "app.tar", env={"PIP_INDEX_URL": server.index_url})
    assert ran.code == 0, ran.err


def test_a_folder_of_files_is_enough(program: Program, server: FakeServer) -> None:
    links = program.work / "links"
    links.mkdir()
    for file in server.files.values():
        (links / file.filename).write_bytes(file.data)
    ran = program("bundle", "app", *TARGET, "--no-index", "-f", "links", "-o", "app.tar", "--json")
    assert ran.code == 0, ran.err
    assert [file["filename"] for file in ran.json()["files"]] == [
        "app-2.0-py3-none-any.whl",
        "lib-1.2-py3-none-any.whl",
    ]
