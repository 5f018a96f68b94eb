"""What of a person's folders, and of addresses, crosses the gap: nothing that is not needed."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.archives import make_wheel
from tests.worlds import TARGET, Program, world


def test_no_folder_of_this_machine_is_told_by_origins(tmp_path: Path) -> None:
    program = Program(tmp_path)
    private = tmp_path / "private"
    private.mkdir()
    filename, data = make_wheel("mine", "1.0")
    (private / filename).write_bytes(data)
    (private / "far.txt").write_text("fast\n")
    (program.work / "sub").mkdir()
    (program.work / "sub" / "near.txt").write_text("app\n")
    with world() as server:
        asked = (private / filename, "-r", private / "far.txt", "-r", program.work / "sub" / "near.txt")
        ran = program("plan", *asked, *TARGET, "-i", server.index_url, "--json")
    assert ran.code == 0, ran.err
    wants = {pin["project"]: [want["by"] for want in pin["wanted_by"]] for pin in ran.json()["resolutions"][0]["pins"]}
    assert wants["mine"] == [filename]
    assert wants["fast"] == ["far.txt:1"]
    assert wants["app"] == ["sub/near.txt:1"]
    assert str(tmp_path) not in ran.out
