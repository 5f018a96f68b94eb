"""The makers of test archives make what a real pip installs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from pypimirror.model.names import parse_file_name
from tests.fakes.archives import SdistFormat, make_sdist, make_wheel


def _pip_install(tmp_path: Path, *arguments: str) -> set[str]:
    """Install into a folder with no index within reach; the names of what was installed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", str(tmp_path), "--target", str(target), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name for path in target.glob("*.dist-info")}


def test_every_kind_of_wheel_and_sdist_is_installed_by_pip(tmp_path: Path) -> None:
    made = [
        make_wheel("Plain.Thing", "1.0", requires_dist=["second-thing[more]>=2"]),
        make_wheel("second_thing", "2.0", requires_dist=['third; extra == "more"'], extras=["more"], build="3x"),
        make_wheel("third", "1!3.0+local.1", tags=["py2-none-any", "py3-none-any"], requires_python=">=3.8"),
        make_wheel("own-files", "1", files={"own/__init__.py": "x = 1\n", "own/data.bin": b"\0\1"}),
        make_sdist("Source-Only", "0.5", requires_dist=["third"]),
    ]
    for filename, data in made:
        (tmp_path / filename).write_bytes(data)
    installed = _pip_install(tmp_path, "plain-thing", "own-files", "source-only")
    assert installed == {
        "plain_thing-1.0.dist-info",
        "second_thing-2.0.dist-info",
        "third-1!3.0+local.1.dist-info",
        "own_files-1.dist-info",
        "source_only-0.5.dist-info",
    }


@pytest.mark.parametrize("form", get_args(SdistFormat))
def test_archives_are_the_same_bytes_each_time_and_their_names_can_be_read(form: SdistFormat) -> None:
    first, second = (make_sdist("A.b", "1.0", format=form) for _ in range(2))
    assert first == second
    assert parse_file_name(first[0]).project == "a-b"
    assert make_wheel("A.b", "1.0") == make_wheel("A.b", "1.0")
