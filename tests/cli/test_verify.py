from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.worlds import Program, small_bundle


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


def test_many_findings_are_counted_and_all_in_the_json(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    for number in range(50):
        (program.work / "tree" / f"stray-{number}").write_bytes(b"")
    ran = program("verify", "tree")
    assert "not of it (50):" in ran.out
    assert "and 30 more" in ran.out
    assert len(program("verify", "tree", "--json").json()["findings"]) == 50
    assert "stray-49" in program("verify", "tree", "--verbose").out


@pytest.mark.skipif(os.getuid() != 0, reason="needs a user that can take write permission from everybody")
def test_a_tree_that_nobody_may_write_to_is_verified(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    lock = program.work / "tree" / ".pypimirror" / "lock"
    lock.unlink()
    assert program("verify", "tree").code == 0
    assert not lock.exists()
