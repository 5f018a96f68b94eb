"""Targets: every word a person may say, and the tags and markers that follow, with packaging as the oracle."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import packaging
import pytest
from packaging import _manylinux, _musllinux, tags
from packaging.markers import Marker
from packaging.version import Version

from pypimirror import host
from pypimirror.errors import InputFaults, UsageFault
from pypimirror.model import aim, systems
from pypimirror.model.platforms import known_platforms, platform
from pypimirror.model.pythons import known_pythons, python
from pypimirror.model.target_json import dump_target, parse_target_file, target_in, target_out
from pypimirror.model.targets import PatchRange, Target
from tests.interpreters import MINORS, interpreter, packaging_folder

ordered_as_26_3 = pytest.mark.skipif(
    Version(packaging.__version__) < Version("26.3"),
    reason="older packaging puts linux_<arch> last, knows no abi3t and spells fat3 fat32",
)


def fault(python_word: str, platform_word: str) -> UsageFault:
    with pytest.raises(UsageFault) as caught:
        aim.target(python_word, platform_word)
    return caught.value


# ---- Pythons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "word", "patches", "full"),
    [
        ("3.12", "3.12", PatchRange(), "3.12.0"),
        (" 3.12 ", "3.12", PatchRange(), "3.12.0"),
        ("3.12.4", "3.12.4", PatchRange(lowest=4, highest=4), "3.12.4"),
        ("3.8.0", "3.8.0", PatchRange(lowest=0, highest=0), "3.8.0"),
        ("3.13t", "3.13t", PatchRange(), "3.13.0"),
        ("3.13.1t", "3.13.1t", PatchRange(lowest=1, highest=1), "3.13.1"),
        ("cp312", "3.12", PatchRange(), "3.12.0"),
        ("cp38", "3.8", PatchRange(), "3.8.0"),
        ("cp314t", "3.14t", PatchRange(), "3.14.0"),
        ("py312", "3.12", PatchRange(), "3.12.0"),
        ("py3.12", "3.12", PatchRange(), "3.12.0"),
        ("Python3.12", "3.12", PatchRange(), "3.12.0"),
        ("cpython3.12", "3.12", PatchRange(), "3.12.0"),
        ("cpython-3.12.4", "3.12.4", PatchRange(lowest=4, highest=4), "3.12.4"),
        ("pypy3.10", "pypy3.10", PatchRange(lowest=12), "3.10.12"),
        ("pp310", "pypy3.10", PatchRange(lowest=12), "3.10.12"),
        ("pypy3.10.14", "pypy3.10.14", PatchRange(lowest=14, highest=14), "3.10.14"),
    ],
)
def test_a_python_has_many_spellings_and_one_name(said: str, word: str, patches: PatchRange, full: str) -> None:
    target = aim.target(said, "linux")
    assert target.python == word
    assert target.name == f"{word}-manylinux_2_28_x86_64"
    assert target.patches == patches
    assert target.environment.python_full_version == full
    assert target.environment.python_version == full.rpartition(".")[0]


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("3.7", "3.8"),
        ("2.7", "3.12"),
        ("3.16", "3.15"),
        ("3.12t", "3.12"),
        ("3", "3.12"),
        ("312", "3.12"),
        ("3.12.04", "3.12"),
        ("3.٣", "3.8"),
        ("pypy3.7", "pypy3.8"),
        ("pypy3.10t", "pypy3.10"),
        ("", "3.12"),
        ("latest", "3.12"),
    ],
)
def test_an_unknown_python_is_refused_with_the_nearest_ones(said: str, near: str) -> None:
    refused = fault(said, "linux")
    assert refused.code == "unknown-python"
    assert repr(said) in str(refused)
    assert near in refused.hint.split(";")[0].replace(",", "").split()


@pytest.mark.parametrize("said", ["3.8.0rc1", "3.15.0b2", "3.14.0a1", "3.13.0rc1t", "cpython3.15.0rc2"])
def test_a_pre_release_of_python_is_refused_for_what_it_is(said: str) -> None:
    refused = fault(said, "linux")
    assert refused.code == "unknown-python"
    assert "pre-release" in str(refused)
    assert "for every release" in refused.hint


@ordered_as_26_3
@pytest.mark.parametrize("word", known_pythons())
def test_the_tags_of_each_python_are_those_of_packaging_in_order(word: str) -> None:
    platforms = ["linux_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    made = python(word)
    version = (3, made.minor)
    if made.implementation == "pypy":
        native = tags.generic_tags(f"pp3{made.minor}", [made.abi], platforms)
        own = "pp3"
    else:
        native = tags.cpython_tags(version, [made.abi], platforms)
        own = f"cp3{made.minor}"
    expected = [*native, *tags.compatible_tags(version, own, platforms)]
    assert made.tags(platforms) == tuple(map(str, expected))


@pytest.mark.parametrize("word", ["3.13t", "3.14t", "3.15t"])
def test_a_free_threaded_python_loads_no_abi3_but_abi3t(word: str) -> None:
    found = aim.target(word, "rhel9-x86_64").tags
    abis = {tag.split("-")[1] for tag in found}
    tag = f"cp3{python(word).minor}"
    assert abis == {f"{tag}t", "abi3t", "none"}
    assert found[0] == f"{tag}-{tag}t-linux_x86_64"


def test_a_python_with_a_gil_loads_abi3_of_every_older_one_and_no_abi3t() -> None:
    found = set(aim.target("3.15", "win_amd64").tags)
    assert {f"cp3{minor}-abi3-win_amd64" for minor in range(2, 16)} <= found
    assert not any("abi3t" in tag for tag in found)
    assert "cp316-abi3-win_amd64" not in found


@pytest.mark.parametrize(
    ("word", "abi", "release"),
    [
        ("pypy3.8", "pypy38_pp73", "7.3.11"),
        ("pypy3.9", "pypy39_pp73", "7.3.16"),
        ("pypy3.10", "pypy310_pp73", "7.3.19"),
        ("pypy3.10.13", "pypy310_pp73", "7.3.15"),
        ("pypy3.11.13", "pypy311_pp73", "7.3.20"),
        ("pypy3.11.15", "pypy311_pp73", "7.3.23"),
        ("pypy3.11.16", "pypy311_pp80", "8.0.0"),
        ("pypy3.11", "pypy311_pp80", "8.0.1"),
        ("pypy3.12", "pypy312_pp80", "8.0.1"),
    ],
)
def test_pypy_has_the_abi_and_the_version_of_its_own_release(word: str, abi: str, release: str) -> None:
    target = aim.target(word, "linux")
    interpreter_tag = abi.partition("_")[0].replace("pypy", "pp")
    assert target.tags[0] == f"{interpreter_tag}-{abi}-linux_x86_64"
    assert f"{interpreter_tag}-{abi}-manylinux2014_x86_64" in target.tags
    assert "pp3-none-any" in target.tags
    assert not any("abi3" in tag or tag.startswith("cp") for tag in target.tags)
    assert target.environment.implementation_version == release
    assert target.environment.implementation_name == "pypy"
    assert target.environment.platform_python_implementation == "PyPy"


def test_a_bare_pypy_covers_only_patches_with_its_newest_abi() -> None:
    assert aim.target("pypy3.11", "linux").patches == PatchRange(lowest=16)


@pytest.mark.parametrize("windows", ["win32", "win_arm64"])
def test_a_pypy_that_nobody_makes_is_no_target(windows: str) -> None:
    refused = fault("pypy3.10", windows)
    assert refused.code == "no-such-target"
    assert "win_amd64" in refused.hint


# ---- patches --------------------------------------------------------------------------------------------------------


def test_a_bare_version_covers_every_patch_and_an_exact_one_only_itself() -> None:
    bare, exact = aim.target("3.11", "rhel9-x86_64"), aim.target("3.11.4", "rhel9-x86_64")
    assert 0 in bare.patches
    assert 99 in bare.patches
    assert [patch for patch in range(20) if patch in exact.patches] == [4]
    assert bare.tags == exact.tags


def test_the_environment_follows_the_patch_in_both_versions_of_cpython() -> None:
    late = aim.target("3.11", "rhel9-x86_64").environment_at(9)
    assert (late.python_full_version, late.implementation_version) == ("3.11.9", "3.11.9")
    assert late.python_version == "3.11"


def test_the_environment_of_pypy_follows_the_patch_but_keeps_its_own_version() -> None:
    target = aim.target("pypy3.10", "linux")
    late = target.environment_at(16)
    assert (late.python_full_version, late.implementation_version) == ("3.10.16", "7.3.19")
    assert target.environment_at(12) == target.environment


def test_the_environment_of_a_pre_release_stays_as_that_interpreter_described_it() -> None:
    target = aim.target("3.15.0", "linux")
    early = replace(target, environment=replace(target.environment, python_full_version="3.15.0rc1"))
    assert early.environment_at(0).python_full_version == "3.15.0rc1"


# ---- platforms ------------------------------------------------------------------------------------------------------

GLIBC_ARCHES = ("x86_64", "i686", "aarch64", "armv7l", "armv8l", "ppc64le", "s390x", "riscv64", "loongarch64")


def linux_platforms(
    monkeypatch: pytest.MonkeyPatch, arch: str, *, glibc: int | None = None, musl: int | None = None
) -> tuple[str, ...]:
    """What packaging says on a Linux machine that has this architecture and C library."""
    glibc_version = _manylinux._GLibCVersion(-1, -1) if glibc is None else _manylinux._GLibCVersion(2, glibc)
    musl_version = None if musl is None else _musllinux._MuslVersion(1, musl)
    monkeypatch.setattr(sysconfig, "get_platform", lambda: f"linux-{arch}")
    monkeypatch.setattr(_manylinux, "_have_compatible_abi", lambda *_: glibc is not None)
    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: glibc_version)
    monkeypatch.setattr(_musllinux, "_get_musl_version", lambda *_: musl_version)
    return tuple(tags._linux_platforms(is_32bit=False))


@ordered_as_26_3
@pytest.mark.parametrize("arch", GLIBC_ARCHES)
@pytest.mark.parametrize("glibc", [5, 12, 17, 18, 27, 28, 34, 36, 40, 45])
def test_a_glibc_floor_has_the_platform_tags_that_packaging_finds_on_such_a_machine(
    monkeypatch: pytest.MonkeyPatch, arch: str, glibc: int
) -> None:
    word = f"manylinux_2_{glibc}_{arch}"
    if glibc < {"x86_64": 5, "i686": 5, "riscv64": 27, "loongarch64": 36}.get(arch, 17):
        assert fault("3.12", word).code == "no-such-target"
    else:
        assert platform(word).tags == linux_platforms(monkeypatch, arch, glibc=glibc)


@ordered_as_26_3
@pytest.mark.parametrize("arch", GLIBC_ARCHES)
@pytest.mark.parametrize("musl", [1, 2, 5])
def test_a_musl_floor_has_the_platform_tags_that_packaging_finds_on_such_a_machine(
    monkeypatch: pytest.MonkeyPatch, arch: str, musl: int
) -> None:
    assert platform(f"musllinux_1_{musl}_{arch}").tags == linux_platforms(monkeypatch, arch, musl=musl)


@ordered_as_26_3
@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
@pytest.mark.parametrize("version", [(10, 9), (10, 13), (10, 16), (11, 0), (12, 3), (13, 0), (15, 0), (26, 1)])
def test_a_mac_has_the_platform_tags_of_packaging(version: tuple[int, int], arch: str) -> None:
    word = f"macosx_{version[0]}_{version[1]}_{arch}"
    if arch == "arm64" and version < (11, 0):
        assert fault("3.12", word).code == "no-such-target"
    else:
        assert platform(word).tags == tuple(tags.mac_platforms(version, arch))


def test_universal2_admits_only_files_that_run_on_both_chips() -> None:
    made = platform("macosx_11_0_universal2")
    intel, silicon = platform("macosx_11_0_x86_64").tags, platform("macosx_11_0_arm64").tags
    assert made.tags[0] == "macosx_11_0_universal2"
    assert set(made.tags) == set(intel) & set(silicon)
    assert made.platform_machine == "arm64"


def test_legacy_names_stand_right_behind_their_floor() -> None:
    made = platform("manylinux_2_18_x86_64").tags
    for floor, name in (("2_17", "manylinux2014"), ("2_12", "manylinux2010"), ("2_5", "manylinux1")):
        assert made[made.index(f"manylinux_{floor}_x86_64") + 1] == f"{name}_x86_64"


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("manylinux1_i686", "manylinux_2_5_i686"),
        ("manylinux2010_x86_64", "manylinux_2_12_x86_64"),
        ("manylinux2014_aarch64", "manylinux_2_17_aarch64"),
        ("x86_64-manylinux2014", "manylinux_2_17_x86_64"),
        ("x86_64-manylinux_2_31", "manylinux_2_31_x86_64"),
        ("ppc64le-manylinux_2_34", "manylinux_2_34_ppc64le"),
        ("aarch64-musllinux_1_2", "musllinux_1_2_aarch64"),
        ("Linux", "manylinux_2_28_x86_64"),
        ("windows", "win_amd64"),
        ("macos", "macosx_13_0_arm64"),
        ("macos14-arm64", "macosx_14_0_arm64"),
        ("macos15.6.1-x86_64", "macosx_15_0_x86_64"),
        ("manylinux_2_28_amd64", "manylinux_2_28_x86_64"),
        ("MANYLINUX_2_28_X86_64", "manylinux_2_28_x86_64"),
        ("rhel9-amd64", "rhel9-x86_64"),
        ("debian12-arm64", "debian12-aarch64"),
        ("debian12.5-armhf", "debian12-armv7l"),
        ("almalinux9.4-x86_64", "alma9-x86_64"),
        ("el8-x86_64", "rhel8-x86_64"),
        ("al2023-arm64", "amazonlinux2023-aarch64"),
        ("alpine3.20.3-x86_64", "alpine3.20-x86_64"),
        ("sles15.9-x86_64", "sles15-x86_64"),
    ],
)
def test_a_platform_has_many_spellings_and_one_name(said: str, word: str) -> None:
    assert aim.target("3.12", said) == aim.target("3.12", word)
    assert aim.target("3.12", said).platform == word


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("rhel7", "manylinux_2_17"), ("rhel8", "manylinux_2_28"), ("rhel9", "manylinux_2_34"),
        ("rhel10", "manylinux_2_39"), ("centos7", "manylinux_2_17"), ("rocky8", "manylinux_2_28"),
        ("rocky9", "manylinux_2_34"), ("rocky10", "manylinux_2_39"), ("alma8", "manylinux_2_28"),
        ("alma9", "manylinux_2_34"), ("alma10", "manylinux_2_39"), ("oracle7", "manylinux_2_17"),
        ("oracle8", "manylinux_2_28"), ("oracle9", "manylinux_2_34"), ("oracle10", "manylinux_2_39"),
        ("debian10", "manylinux_2_28"), ("debian11", "manylinux_2_31"), ("debian12", "manylinux_2_36"),
        ("debian13", "manylinux_2_41"), ("ubuntu18.04", "manylinux_2_27"), ("ubuntu20.04", "manylinux_2_31"),
        ("ubuntu22.04", "manylinux_2_35"), ("ubuntu24.04", "manylinux_2_39"), ("ubuntu26.04", "manylinux_2_43"),
        ("amazonlinux2", "manylinux_2_26"), ("amazonlinux2023", "manylinux_2_34"), ("sles12", "manylinux_2_19"),
        ("sles12.5", "manylinux_2_22"), ("sles15", "manylinux_2_26"), ("sles15.6", "manylinux_2_38"),
        ("sles16", "manylinux_2_40"), ("fedora42", "manylinux_2_41"), ("fedora44", "manylinux_2_43"),
        ("alpine3.12", "musllinux_1_1"), ("alpine3.13", "musllinux_1_2"), ("alpine3.20", "musllinux_1_2"),
    ],
)  # fmt: skip
def test_a_system_stands_for_its_c_library(name: str, floor: str) -> None:
    assert platform(f"{name}-x86_64").tags == platform(f"{floor}_x86_64").tags


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_every_system_is_a_platform_on_each_of_its_architectures(name: str) -> None:
    for arch in systems.SYSTEMS[name].arches:
        made = platform(f"{name}-{arch}")
        assert made.word == f"{name}-{arch}"
        assert made.platform_machine == arch
        assert made.tags[0] == f"linux_{arch}"
        assert len(made.tags) > 2


def test_every_name_that_a_hint_may_offer_is_a_platform() -> None:
    names = list(known_platforms())
    assert len(set(names)) == len(names)
    for name in names:
        assert aim.target("3.12", name).tags


@pytest.mark.parametrize(
    ("said", "code", "message", "hint"),
    [
        ("rhel9", "unknown-platform", "lacks an architecture", "rhel9-x86_64, rhel9-aarch64"),
        ("almalinux9", "unknown-platform", "lacks an architecture", "alma9-x86_64"),
        ("manylinux_2_28", "unknown-platform", "lacks an architecture", "manylinux_2_28_x86_64"),
        ("manylinux2014", "unknown-platform", "lacks an architecture", "manylinux_2_17_x86_64"),
        ("linux_aarch64", "unknown-platform", "which C library", "manylinux_2_28_aarch64"),
        ("rehl9-x86_64", "unknown-platform", "'rehl9-x86_64'", "nearest: rhel9-x86_64"),
        ("rhel11-x86_64", "unknown-platform", "'rhel11-x86_64'", "rhel10-x86_64"),
        ("win-amd64", "unknown-platform", "'win-amd64'", "nearest: win_amd64"),
        ("aarch64-linux-android", "unknown-platform", "android", "aarch64-unknown-linux-gnu"),
        ("any", "unknown-platform", "'any'", "a platform is a wheel's tag"),
        ("", "unknown-platform", "''", "a platform is a wheel's tag"),
        ("debian12-x86_46", "unknown-platform", "architecture 'x86_46'", "nearest: x86_64"),
        ("debian12-sparc", "unknown-platform", "architecture 'sparc'", "aarch64"),
        ("manylinux_2_28_x86_65", "unknown-platform", "architecture 'x86_65'", "x86_64"),
        ("rhel9-armv7l", "no-such-target", "no rhel9 for armv7l", "x86_64, aarch64, ppc64le, s390x"),
        ("manylinux_2_12_aarch64", "no-such-target", "no glibc 2.12 for aarch64", "manylinux_2_17_aarch64"),
        ("manylinux2010_aarch64", "no-such-target", "no glibc 2.12 for aarch64", "manylinux_2_17_aarch64"),
        ("manylinux_2_17_riscv64", "no-such-target", "no glibc 2.17 for riscv64", "manylinux_2_27_riscv64"),
        ("manylinux_2_99_x86_64", "no-such-target", "no glibc 2.99", "manylinux_2_50_x86_64"),
        ("manylinux_3_1_x86_64", "no-such-target", "no glibc 3.1", "manylinux_2_50_x86_64"),
        ("musllinux_2_0_x86_64", "no-such-target", "no musl 2.0", "musllinux_1_9_x86_64"),
        ("macosx_10_9_arm64", "no-such-target", "no macOS 10.9 for arm64", "macosx_11_0_arm64"),
        ("macosx_99_0_arm64", "no-such-target", "no macOS 99.0", "macosx_11_0_arm64"),
        ("macosx_10_17_x86_64", "no-such-target", "no macOS 10.17", "macosx_11_0_x86_64"),
    ],
)
def test_what_is_no_platform_is_refused_with_what_is(said: str, code: str, message: str, hint: str) -> None:
    refused = fault("3.12", said)
    assert refused.code == code
    assert message in str(refused)
    assert hint in refused.hint


@pytest.mark.parametrize(
    ("word", "machine", "system", "sys_platform", "os_name"),
    [
        ("win_amd64", "AMD64", "Windows", "win32", "nt"),
        ("win_arm64", "ARM64", "Windows", "win32", "nt"),
        ("win32", "x86", "Windows", "win32", "nt"),
        ("macosx_11_0_arm64", "arm64", "Darwin", "darwin", "posix"),
        ("macosx_11_0_x86_64", "x86_64", "Darwin", "darwin", "posix"),
        ("manylinux_2_28_aarch64", "aarch64", "Linux", "linux", "posix"),
        ("manylinux_2_28_i686", "i686", "Linux", "linux", "posix"),
        ("alpine3.20-x86_64", "x86_64", "Linux", "linux", "posix"),
    ],
)
def test_the_markers_are_those_of_the_platform_and_tell_no_release(
    word: str, machine: str, system: str, sys_platform: str, os_name: str
) -> None:
    markers = aim.target("3.12", word).environment.markers()
    assert markers["platform_machine"] == machine
    assert markers["platform_system"] == system
    assert markers["sys_platform"] == sys_platform
    assert markers["os_name"] == os_name
    assert markers["platform_release"] == markers["platform_version"] == ""
    assert len(markers) == 11


def test_markers_are_judged_for_the_target_and_never_for_this_machine() -> None:
    windows = aim.target("3.8", "win_amd64").environment.markers()
    assert Marker("sys_platform == 'win32' and python_full_version < '3.8.1'").evaluate({**windows, "extra": ""})
    assert not Marker("sys_platform == 'linux' or python_version >= '3.9'").evaluate({**windows, "extra": ""})


# ---- several at once ------------------------------------------------------------------------------------------------


def test_every_combination_is_a_target_and_each_stands_once() -> None:
    made = aim.targets(["3.11", "cp312", "3.12"], ["linux", "x86_64-manylinux_2_28", "rhel9-x86_64"])
    assert [target.name for target in made] == [
        "3.11-manylinux_2_28_x86_64",
        "3.11-rhel9-x86_64",
        "3.12-manylinux_2_28_x86_64",
        "3.12-rhel9-x86_64",
    ]


def test_every_fault_of_every_word_is_told_in_one_go() -> None:
    with pytest.raises(InputFaults) as caught:
        aim.targets(["3.7", "pypy3.10", "3.12"], ["win32", "rhel9", "manylinux_2_5_aarch64", "rhel9"])
    assert [each.code for each in caught.value.faults] == [
        "unknown-python",
        "unknown-platform",
        "no-such-target",
        "no-such-target",
    ]


def test_nothing_named_is_no_target() -> None:
    assert aim.targets([], ["linux"]) == ()


def test_many_targets_are_made_in_an_instant() -> None:
    names = ["linux", "rhel9-x86_64", "debian12-aarch64", "alpine3.20-x86_64", "win_amd64", "macos", "rhel7-x86_64"]
    pythons = [f"3.{minor}" for minor in range(8, 16)] + ["3.13t"]
    best = min(_seconds(pythons, names) for _ in range(3))
    assert best < 1, "63 targets take some 25 ms"


def _seconds(pythons: Sequence[str], names: Sequence[str]) -> float:
    start = time.perf_counter()
    assert len(aim.targets(pythons, names)) == 63
    return time.perf_counter() - start


def test_aiming_imports_neither_the_parser_of_requirements_nor_a_terminal_library() -> None:
    script = (
        "import sys; import pypimirror.model.aim, pypimirror.model.target_json, pypimirror.host\n"
        "print([name for name in ('packaging.requirements', 'httpx', 'rich', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- target files ---------------------------------------------------------------------------------------------------

SOME_TARGETS = (("3.12", "rhel9-x86_64"), ("3.13.1t", "win_arm64"), ("pypy3.11", "macos"), ("3.8", "alpine3.20-armv7l"))


@pytest.mark.parametrize(("python_word", "platform_word"), SOME_TARGETS)
def test_a_target_file_gives_back_the_target(python_word: str, platform_word: str) -> None:
    target = aim.target(python_word, platform_word)
    data = dump_target(target)
    assert parse_target_file(data) == target
    assert dump_target(parse_target_file(data)) == data


def test_a_target_file_survives_an_editor_on_windows() -> None:
    target = aim.target("3.12", "win_amd64")
    data = b"\xef\xbb\xbf" + dump_target(target).replace(b"\n", b"\r\n")
    assert parse_target_file(data) == target


def spoilt(**changes: object) -> bytes:
    described = json.loads(dump_target(aim.target("3.12", "win_amd64")))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = described
        for parent in parents:
            place = place[parent]
        place[last] = value
    return json.dumps(described).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "format: not a whole number"),
        (b"{}", "format: not a whole number"),
        (b" " * (4 * 1024 * 1024 + 1), "larger than"),
        (spoilt(format=2), "this version reads format 1, not 2"),
        (spoilt(more=1), "unknown member 'more'"),
        (spoilt(target__name="../etc"), "target.name: not a usable name"),
        (spoilt(target__tags=[]), "target.tags: empty"),
        (spoilt(target__tags=["py3-none"]), "target.tags[0]: not a wheel tag: 'py3-none'"),
        (spoilt(target__tags=["py3-none-any", 3]), "target.tags[1]: not a string"),
        (spoilt(target__tags=["py3-none-any"] * 2), "a tag stands twice"),
        (spoilt(target__environment__sys_platform=None), "target.environment.sys_platform: not a string"),
        (spoilt(target__environment__os="nt"), "target.environment: unknown member 'os'"),
        (spoilt(target__environment__python_full_version="new"), "target.environment.python_full_version"),
        (spoilt(target__environment__python_version="3.11"), "target.environment.python_version: not that of 3.12.0"),
        (spoilt(target__patches={"lowest": 4, "highest": 3}), "target.patches.highest: not between"),
        (spoilt(target__patches={"lowest": 4, "highest": 4}), "target.patches.lowest: not the patch of 3.12.0"),
    ],
)
def test_a_bad_target_file_is_refused_and_the_place_is_named(data: bytes, said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_target_file(data, origin="server7.json")
    assert caught.value.code == "bad-target-file"
    assert str(caught.value).startswith("server7.json describes no target: ")
    assert said in str(caught.value)
    assert "pypimirror target" in caught.value.hint


def test_a_target_in_a_manifest_is_the_same_json() -> None:
    from pypimirror.model.reading import Node  # noqa: PLC0415 - needed here alone

    target = aim.target("3.12", "win_amd64")
    assert target_in(Node(json.loads(json.dumps(target_out(target))))) == target


# ---- the Pythons of this machine ------------------------------------------------------------------------------------

ASK = """
import json, sys
folder = sys.argv[1]
if folder:
    sys.path.insert(0, folder)
    from packaging.markers import default_environment
    from packaging.tags import sys_tags
    markers = default_environment()
else:
    from pip._vendor.packaging.tags import sys_tags
    markers = None
print(json.dumps({
    "tags": [str(tag) for tag in sys_tags()],
    "markers": markers,
    "word": "%d.%d.%d" % sys.version_info[:3] + sys.abiflags.replace("d", ""),
}))
"""


@ordered_as_26_3
@pytest.mark.parametrize("minor", MINORS)
def test_a_native_target_has_the_tags_and_markers_that_packaging_finds_inside_that_python(minor: int) -> None:
    found = interpreter(minor)
    # What is left is older than packaging: there, what pip brings along.
    folder = packaging_folder() if minor >= 9 else ""
    done = subprocess.run([found, "-c", ASK, folder], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode and not folder:
        pytest.skip(f"no pip in {found}")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    target = aim.target(said["word"], host.this_platform())
    if folder:
        assert list(target.tags) == said["tags"]
        markers = {**said["markers"], "platform_release": "", "platform_version": ""}
        assert target.environment.markers() == markers
    else:
        # pip's packaging of those days put linux_<arch> last, and forgot one tag.
        tags_of_then = [tag for tag in target.tags if tag != "cp38-none-any" or tag in said["tags"]]
        assert without_linux(tags_of_then) == without_linux(said["tags"])
        assert set(tags_of_then) == set(said["tags"])


def without_linux(found: Sequence[str]) -> list[str]:
    return [tag for tag in found if "-linux_" not in tag]


def test_this_suite_found_the_python_it_runs_in() -> None:
    assert Path(interpreter(sys.version_info.minor)).exists()


def test_a_target_describes_its_patches_to_people() -> None:
    def words(target: Target) -> str:
        return target.patches.describe(target.environment.python_version)

    assert words(aim.target("3.11", "linux")) == "3.11"
    assert words(aim.target("3.11.4", "linux")) == "3.11.4"
    assert words(aim.target("pypy3.11", "linux")) == "3.11.16 and newer"
