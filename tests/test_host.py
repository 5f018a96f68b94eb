"""This machine as a target: what the running interpreter is, with nothing of the machine that is nobody's business."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import packaging.tags
import pytest
from packaging.markers import default_environment

import pypimirror
from pypimirror import host
from pypimirror.errors import UsageFault
from pypimirror.model import aim
from pypimirror.model.target_json import dump_target, parse_target_file
from pypimirror.model.targets import PatchRange
from tests.interpreters import MINORS, interpreter, packaging_folder


def test_this_target_has_the_tags_of_this_interpreter_in_its_order() -> None:
    assert list(host.this_target().tags) == list(dict.fromkeys(map(str, packaging.tags.sys_tags())))


def test_this_target_has_the_markers_of_this_interpreter_but_no_release_of_the_system() -> None:
    expected = {**default_environment(), "platform_release": "", "platform_version": ""}
    assert host.this_target().environment.markers() == expected


def test_this_target_is_exactly_this_patch_release() -> None:
    patch = sys.version_info.micro
    target = host.this_target()
    assert target.patches == PatchRange(lowest=patch, highest=patch)
    assert target.python.startswith(".".join(map(str, sys.version_info[:3])))
    assert target.name == f"{target.python}-{target.platform}"
    assert target.environment_at(patch) == target.environment


def test_this_target_can_be_carried_away_and_read_again() -> None:
    target = host.this_target()
    assert parse_target_file(dump_target(target)) == target


def test_nothing_of_the_kernel_is_carried_away() -> None:
    text = dump_target(host.this_target()).decode()
    assert platform.release() not in text
    assert platform.version() not in text
    assert platform.node() not in text


def test_the_words_for_this_machine_are_words_that_aim_takes() -> None:
    here, named = host.this_target(), aim.target(host.this_python(), host.this_platform())
    assert named.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert set(named.tags) == set(here.tags)
    assert sys.version_info.micro in named.patches


@pytest.mark.parametrize("minor", [minor for minor in MINORS if minor >= 10])
def test_each_python_here_describes_itself_as_aim_describes_it(minor: int) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from pypimirror import host\n"
        "from pypimirror.model.target_json import dump_target\n"
        "sys.stdout.write(dump_target(host.this_target()).decode())"
    )
    project = str(Path(pypimirror.__file__).parent.parent)
    command = [interpreter(minor), "-B", "-c", script, project, packaging_folder()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    described = parse_target_file(done.stdout)
    made = aim.target(described.python, described.platform)
    assert set(described.tags) == set(made.tags)
    assert described.environment == made.environment
    assert described.name == made.name
    assert json.loads(done.stdout)["format"] == 1


def test_a_free_threaded_build_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 1 if name == "Py_GIL_DISABLED" else None)
    assert host.this_python().endswith("t")


def test_an_implementation_without_targets_is_a_fault_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "name", "graalpy")
    with pytest.raises(UsageFault) as caught:
        host.this_python()
    assert caught.value.code == "unknown-python"
    assert "--python" in caught.value.hint


def test_pypy_names_its_exact_release_since_its_abi_may_change_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    assert host.this_python() == f"pypy{platform.python_version()}"


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        (["linux_x86_64", "manylinux_2_36_x86_64", "manylinux_2_35_x86_64"], "manylinux_2_36_x86_64"),
        (["manylinux_2_36_x86_64", "linux_x86_64"], "manylinux_2_36_x86_64"),
        (["linux_aarch64", "musllinux_1_2_aarch64"], "musllinux_1_2_aarch64"),
        (["linux_armv8l", "linux_armv7l", "manylinux_2_36_armv8l"], "manylinux_2_36_armv8l"),
        (["macosx_14_0_arm64", "macosx_14_0_universal2"], "macosx_14_0_arm64"),
        (["win_amd64"], "win_amd64"),
    ],
)
def test_the_platform_is_named_by_its_newest_floor(monkeypatch: pytest.MonkeyPatch, tags: list[str], word: str) -> None:
    monkeypatch.setattr(host, "platform_tags", lambda: iter(tags))
    assert host.this_platform() == word


@pytest.mark.parametrize("tag", ["linux_mips64", "freebsd_14_0_release_amd64"])
def test_a_machine_without_a_name_is_a_fault_by_name_and_a_target_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    monkeypatch.setattr(host, "platform_tags", lambda: iter([tag]))
    with pytest.raises(UsageFault) as caught:
        host.this_platform()
    assert caught.value.code == "unknown-platform"
    assert "--platform" in caught.value.hint
    assert host.this_target().platform == tag


def test_a_build_from_a_checkout_has_a_version_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.13.1+")
    assert host.this_target().environment.python_full_version == "3.13.1"
