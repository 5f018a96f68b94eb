"""``pypimirror add`` and ``repair`` as people meet them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.archives import make_wheel
from tests.worlds import Program, small_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("made") / "small.tar")


def make(program: Program, name: str, version: str, **facts: str) -> str:
    filename, data = make_wheel(name, version, files={"x.py": facts.get("text", "")})
    (program.work / "dist").mkdir(exist_ok=True)
    (program.work / "dist" / filename).write_bytes(data)
    return f"dist/{filename}"


def test_files_are_added_looked_at_first_and_told(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    files = [make(program, "corp", "1.0"), make(program, "lib", "3.0")]
    dry = program("add", "tree", *files, "--dry-run")
    assert dry.code == 0
    assert "would add 2 new files to channel 'in-house'; nothing was changed" in dry.err
    assert "lib of channel 'in-house' hides lib 1.1+local.1 of channel 'default'" in dry.err
    assert not (program.work / "tree" / "simple" / "corp").exists()
    ran = program("add", "tree", *files, "--json", env={"SOURCE_DATE_EPOCH": "1790000000"})
    assert ran.code == 0, ran.err
    facts = ran.json()
    assert (facts["changed"], facts["sequence"], facts["channels"]) == (True, 1_790_000_000, ["in-house", "default"])
    assert [each["project"] for each in facts["hidden"]] == ["lib"]
    make(program, "corp", "1.0", text="other")
    refused = program("add", "tree", files[0])
    assert refused.code == 5
    assert "[two-contents]" in refused.err
    bad = program("add", "tree", "dist", "absent-1.0-py3-none-any.whl")
    assert (bad.code, bad.err.count("error: ")) == (7, 2)
    mixed = program("add", "tree", files[1], "--allow-mixed", "lib")
    assert (mixed.code, "by the rules as they are now" in mixed.err) == (0, True)


def test_what_rotted_is_put_back(program: Program, bundle: Path) -> None:
    program("render", bundle, "tree")
    tree = program.work / "tree"
    wheel = next((tree / "packages").glob("app-*.whl"))
    wheel.write_bytes(b"")
    (tree / "index.html").unlink()
    looked = program("verify", "tree")
    assert looked.code == 4
    assert looked.out.count("pypimirror repair TREE") == 2
    dry = program("repair", "tree", "--dry-run")
    assert (dry.code, wheel.stat().st_size) == (4, 0)
    assert "would mend index.html" in dry.err
    half = program("repair", "tree", "--json")
    assert half.code == 4
    assert half.json()["mended"] == ["index.html"]
    ran = program("repair", "tree", "--from", "-", stdin=bundle.read_bytes())
    assert ran.code == 0, ran.err
    assert f"mended packages/{wheel.name}" in ran.err
    assert "tree: 1 entry mended; whole" in ran.err
