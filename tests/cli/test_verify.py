from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from pypimirror.bundle.writer import write_bundle
from tests.fakes.archives import make_wheel
from tests.tree.helpers import make_manifest, sample
from tests.worlds import Program, environment, small_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("made") / "small.tar")


def test_a_bundle_and_its_tree_are_whole(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    for source in (str(bundle), "tree"):
        ran = program("verify", source)
        assert ran.code == 0, ran.err
        assert f"{source}: whole: " in ran.out
        assert "unsigned" in ran.out
        facts = program("verify", source, "--json").json()
        assert (facts["exit_code"], facts["findings"]) == (0, [])
        assert facts["checked"]["resolutions"] == 1
    assert program("verify", "tree", "--quiet").out == ""


def test_a_bundle_comes_through_a_pipe(program: Program, bundle: Path) -> None:
    assert program("verify", "-", stdin=bundle.read_bytes()).code == 0
    assert program("verify", "-", stdin=bundle.read_bytes()[:-700]).code == 4


def test_what_is_wrong_is_told_with_what_to_do(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    tree = program.work / "tree"
    (tree / "packages" / "setup\x1b[31m.exe").write_bytes(b"x")
    ran = program("verify", "tree", "--quiet")
    assert ran.code == 1
    assert "not of it (1):" in ran.out
    assert "setup\\u001b[31m.exe" in ran.out
    assert "hint: " in ran.out
    wheel = next((tree / "packages").glob("app-*.whl"))
    wheel.write_bytes(bytes(wheel.stat().st_size))
    ran = program("verify", "tree", "--json")
    assert ran.code == 4
    assert {each["kind"] for each in ran.json()["findings"]} == {"extra", "changed"}


def test_the_same_bundle_rendered_again_mends_a_tree(program: Program, bundle: Path) -> None:
    """What the hint says is true."""
    program("render", bundle, "tree")
    wheel = next((program.work / "tree" / "packages").glob("app-*.whl"))
    wheel.write_bytes(bytes(wheel.stat().st_size))
    assert program("verify", "tree").code == 4
    assert program("render", bundle, "tree").code == 0
    assert program("verify", "tree").code == 0


def test_what_is_neither_bundle_nor_tree_is_refused(program: Program) -> None:
    (program.work / "folder").mkdir()
    assert program("verify", "folder").code == 2
    assert program("verify", "nothing.tar").code == 7
    (program.work / "empty.tar").write_bytes(b"")
    assert program("verify", "empty.tar").code == 4


def test_text_of_others_does_not_reach_the_terminal_raw(program: Program) -> None:
    """A forged bundle holds what it likes in its metadata; the report must stay one that can be believed."""
    filename, data = make_wheel("app", "1.0")
    forged = b"Name: app\nVersion: 1.0\nRequires-Dist: \x1b[2Jall is well\xe2\x80\xae\n"
    made = sample(filename, data, forged, requires_dist=("lib\u2068",))
    write_bundle(
        make_manifest([made]), {made.file.path: data, f"{made.file.path}.metadata": forged}, program.work / "x"
    )
    ran = program("verify", "x", env={"PYTHONIOENCODING": "ascii"})
    assert ran.code == 4, ran.err
    assert "all is well" in ran.out
    assert ran.out.isascii()
    assert "\x1b" not in ran.out + ran.err


def test_no_path_brings_it_down(program: Program) -> None:
    long = "a" * 300
    ran = program("verify", long)
    assert (ran.code, "Traceback" in ran.err) == (7, False)
    assert "too long" in ran.err


@pytest.mark.parametrize("command", ["verify", "show"])
def test_no_standard_input_or_a_full_output_is_told_in_words(program: Program, bundle: Path, command: str) -> None:
    shell = f"exec {shlex.join(program.command(command, '-'))} <&-"
    ran = subprocess.run(["/bin/sh", "-c", shell], env=environment(program.home), capture_output=True, check=False)
    assert (ran.returncode, b"no standard input" in ran.stderr) == (2, True), ran.stderr
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ran = subprocess.run(
            program.command(command, bundle),
            env=environment(program.home),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (ran.returncode, b"disk is full" in ran.stderr) == (7, True), ran.stderr
    assert b"Traceback" not in ran.stderr


def test_a_tree_whose_records_are_broken_has_a_report_for_machines(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    (program.work / "tree" / "manifest.json").write_bytes(b"{}")
    ran = program("verify", "tree", "--json")
    assert ran.code == 4
    assert [each["kind"] for each in ran.json()["findings"]] == ["changed"]


def test_many_findings_are_counted_and_all_in_the_json(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    for number in range(50):
        (program.work / "tree" / f"stray-{number}").write_bytes(b"")
    ran = program("verify", "tree")
    assert "not of it (50):" in ran.out
    assert "and 30 more" in ran.out
    assert len(program("verify", "tree", "--json").json()["findings"]) == 50
    assert "stray-49" in program("verify", "tree", "--verbose").out


def test_verifying_makes_no_lock_where_there_is_none(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    lock = program.work / "tree" / ".pypimirror" / "lock"
    lock.unlink()
    assert program("verify", "tree").code == 0
    assert not lock.exists()
