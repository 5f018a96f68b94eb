"""What people meet on their first evening: mistyped commands, empty answers, hidden files, and what a bundle tells."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from pypimirror.cli.progress import DrawnReporter
from pypimirror.cli.voice import Voice
from tests.fakes.archives import make_wheel
from tests.fakes.server import FakeServer
from tests.worlds import TARGET, Program, small_bundle

# ---- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("--no-cache", "bundle", "app"), "error: No such option", "hint: options stand behind"),
        (("bundle", "app"), "error: Missing option '-o' / '--output' [usage]", "hint: see 'pypimirror bundle --help'"),
        (("render", "x.tar"), "error: name the bundles first and TREE", "hint: see 'pypimirror render --help'"),
        (("bundel",), "error: No such command 'bundel'", "hint: see 'pypimirror --help'"),
    ],
)
def test_a_wrong_command_line_speaks_like_every_other_error(
    program: Program, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    ran = program(*arguments)
    assert ran.code == 2
    assert error in ran.err
    assert hint in ran.err


def test_no_command_at_all_shows_the_help(program: Program) -> None:
    ran = program()
    assert "Commands:" in ran.out + ran.err
    assert "error:" not in ran.err


# ---- plans and bundles ----------------------------------------------------------------------------------------------


def test_an_exact_pin_on_the_command_line_is_in_the_tree_of_the_plan(program: Program, server: FakeServer) -> None:
    ran = program("plan", "app==2.0", *TARGET, "-i", server.index_url)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1:4] == ["  app==2.0", "    app 2.0", "      lib 1.1+local.1  <- lib>=1"]


@pytest.mark.parametrize("command", [("plan",), ("bundle", "-o", "x.tar")])
def test_a_target_that_gets_nothing_is_told(program: Program, server: FakeServer, command: tuple[str, ...]) -> None:
    ran = program(*command, "app; sys_platform == 'win32'", *TARGET, "-i", server.index_url)
    assert ran.code == 0, ran.err
    assert "gets nothing: the markers of all requirements leave it out" in ran.err


def test_a_bundle_tells_no_folder_of_the_connected_host(program: Program, server: FakeServer) -> None:
    """Folders are named after people and projects, and every client can read the manifest."""
    private = program.folder / "alice"
    private.mkdir()
    for name in ("own", "direct"):
        filename, data = make_wheel(name, "1.0")
        (private / filename).write_bytes(data)
    (private / "wishes.txt").write_text("app\n")
    (program.work / "below").mkdir()
    (program.work / "below" / "more.txt").write_text("fast\n")
    ran = program(
        "bundle", "-r", private / "wishes.txt", "-r", "below/more.txt", private / "own-1.0-py3-none-any.whl",
        f"direct @ {(private / 'direct-1.0-py3-none-any.whl').as_uri()}",
        *TARGET, "-i", server.index_url, "-o", "x.tar",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    data = (program.work / "x.tar").read_bytes()
    assert b"alice" not in data
    assert os.fsencode(program.folder) not in data
    for origin in (b"wishes.txt:1", b"below/more.txt:1", b"own-1.0-py3-none-any.whl"):
        assert data.count(b'"%s"' % origin) >= 2, origin
    assert program("render", "x.tar", "tree").code == 0


def test_verbose_names_each_file_on_a_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = DrawnReporter(Voice(verbose=True))
    reporter.download_total(files=1, size=10)
    reporter.download_done(filename="demo-1.0-py3-none-any.whl", size=10, from_cache=True)
    reporter.close()
    assert "demo-1.0-py3-none-any.whl 10 B (from the cache)" in capsys.readouterr().err


# ---- trees ----------------------------------------------------------------------------------------------------------


def test_what_an_upper_channel_hides_is_told(program: Program, server: FakeServer) -> None:
    bundle = ("bundle", *TARGET, "-i", server.index_url)
    assert program(*bundle, "lib==1.0", "-o", "a.tar", "--channel", "a").code == 0
    assert program(*bundle, "lib==1.1+local.1", "fast", "-o", "b.tar", "--channel", "b").code == 0
    assert "not served" not in program("render", "a.tar", "tree").err
    ran = program("render", "b.tar", "tree", "--json")
    assert ran.code == 0, ran.err
    (note,) = ran.json()["notes"]
    assert "lib 1.1+local.1; the channel 'a' lies above 'b'" in note
    assert f"note: {note}" in ran.err
    assert program("render", "b.tar", "tree", "--channels", "b,a", "--json").json()["notes"] == []


def test_a_bundle_that_was_unpacked_or_packed_again_is_told_from_one(program: Program, tmp_path: Path) -> None:
    made = small_bundle(tmp_path / "made.tar")
    subprocess.run(["tar", "xf", made], cwd=program.work, check=True, timeout=60)
    (folder,) = program.work.iterdir()
    with tarfile.open(program.work / "again.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(folder, folder.name)
    ran = program("render", folder.name, "tree")
    assert ran.code == 7
    assert "can be served as it is" in ran.err
    ran = program("render", "again.tar", "tree")
    assert ran.code == 4
    assert "it is a tar of another program" in ran.err
