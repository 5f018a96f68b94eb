"""Foreign targets agree with uv: what it accepts for ``--python-platform`` and ``--python-version``, tag by tag.

uv never says which tags it accepts. So it is given dummy projects: version 1 of each is for everybody, version 2 is one
wheel with one tag. The version that uv picks tells whether it accepts the tag. One run answers for all tags. Markers
are asked likewise: a requirement that holds only where a marker has the value that we say it has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pypimirror.model import aim

UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))

pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed")

PLATFORM_TAGS = (
    "linux_x86_64", "linux_aarch64", "linux_riscv64", "linux_i686",
    "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64", "manylinux1_i686", "manylinux2014_i686",
    "manylinux_2_4_x86_64", "manylinux_2_5_x86_64", "manylinux_2_12_x86_64", "manylinux_2_16_x86_64",
    "manylinux_2_17_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64", "manylinux_2_29_x86_64",
    "manylinux_2_31_x86_64", "manylinux_2_32_x86_64", "manylinux_2_36_x86_64", "manylinux_2_37_x86_64",
    "manylinux_2_40_x86_64", "manylinux_2_41_x86_64",
    "manylinux2010_aarch64", "manylinux2014_aarch64", "manylinux_2_16_aarch64", "manylinux_2_17_aarch64",
    "manylinux_2_18_aarch64", "manylinux_2_28_aarch64", "manylinux_2_29_aarch64", "manylinux_2_40_aarch64",
    "manylinux_2_17_riscv64", "manylinux_2_31_riscv64", "manylinux_2_39_riscv64", "manylinux_2_40_riscv64",
    "musllinux_1_0_x86_64", "musllinux_1_1_x86_64", "musllinux_1_2_x86_64", "musllinux_1_3_x86_64",
    "musllinux_1_1_aarch64", "musllinux_1_2_aarch64", "musllinux_1_3_aarch64",
    "win_amd64", "win_arm64", "win32",
    "macosx_10_3_x86_64", "macosx_10_4_x86_64", "macosx_10_9_x86_64", "macosx_10_9_intel", "macosx_10_9_universal",
    "macosx_10_9_universal2", "macosx_10_15_fat64", "macosx_10_15_fat3", "macosx_10_16_x86_64",
    "macosx_10_9_arm64", "macosx_10_16_universal2", "macosx_10_16_arm64",
    "macosx_11_0_x86_64", "macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_11_1_arm64", "macosx_12_0_arm64",
    "macosx_12_0_x86_64", "macosx_13_0_arm64", "macosx_13_0_x86_64", "macosx_13_0_universal2", "macosx_13_1_arm64",
    "macosx_14_0_arm64", "macosx_14_0_x86_64",
)  # fmt: skip

ABIS = (
    "cp312-cp312", "cp312-abi3", "cp312-none", "cp312-cp312t", "cp312-abi3t", "cp312-cp312d",
    "cp311-abi3", "cp310-abi3", "cp39-abi3", "cp38-abi3", "cp37-abi3", "cp36-abi3", "cp32-abi3", "cp31-abi3",
    "cp311-cp311", "cp311-none", "cp313-abi3", "cp313-cp313", "cp313-cp313t", "cp314-cp314", "cp314-abi3",
    "cp315-cp315", "cp315-abi3", "cp315-abi3t", "cp38-cp38", "cp39-cp39", "cp310-cp310", "cp38-none", "cp3-none",
    "py3-none", "py2-none", "py30-none", "py38-none", "py312-none", "py313-none", "pp310-pypy310_pp73", "pp3-none",
)  # fmt: skip

PLATFORMS_FOR_ABIS = ("manylinux_2_17_x86_64", "win_amd64", "macosx_11_0_arm64")

PURE = (
    "cp312-none-any", "cp311-none-any", "cp313-none-any", "cp38-none-any", "cp3-none-any",
    "py312-none-any", "py38-none-any", "py30-none-any", "py31-none-any", "py313-none-any", "py315-none-any",
    "py2-none-any", "py27-none-any", "pp3-none-any", "cp312-cp312-any", "cp312-abi3-any", "py3-abi3-any",
)  # fmt: skip

TAGS = tuple(
    dict.fromkeys(
        (
            *(f"cp312-cp312-{tag}" for tag in PLATFORM_TAGS),
            *(f"py3-none-{tag}" for tag in PLATFORM_TAGS),
            *(f"{abi}-{tag}" for abi in ABIS for tag in PLATFORMS_FOR_ABIS),
            *PURE,
        )
    )
)

TARGETS = (
    ("3.12", "linux"),
    ("3.12", "windows"),
    ("3.12", "macos"),
    ("3.12", "x86_64-pc-windows-msvc"),
    ("3.12", "aarch64-pc-windows-msvc"),
    ("3.12", "i686-pc-windows-msvc"),
    ("3.12", "x86_64-unknown-linux-gnu"),
    ("3.12", "aarch64-unknown-linux-gnu"),
    ("3.12", "x86_64-unknown-linux-musl"),
    ("3.12", "aarch64-unknown-linux-musl"),
    ("3.12", "riscv64-unknown-linux"),
    ("3.12", "x86_64-apple-darwin"),
    ("3.12", "aarch64-apple-darwin"),
    ("3.12", "x86_64-manylinux2014"),
    ("3.12", "x86_64-manylinux_2_31"),
    ("3.12", "x86_64-manylinux_2_40"),
    ("3.12", "aarch64-manylinux_2_17"),
    ("3.12", "aarch64-manylinux_2_36"),
    ("3.8", "x86_64-manylinux_2_17"),
    ("3.9", "macos"),
    ("3.10", "windows"),
    ("3.11", "x86_64-manylinux_2_36"),
    ("3.13", "linux"),
    ("3.14", "windows"),
    ("3.15", "linux"),
    ("3.12.4", "linux"),
)

OURS_ALONE = {
    # uv spells this format of old Macs fat32, as packaging once did; Python's own word is fat3.
    "x86_64-apple-darwin": ("macosx_10_15_fat3",),
    # uv begins with 2.31 on this architecture, packaging with 2.17 on any; the first glibc there was is 2.27.
    "riscv64-unknown-linux": ("manylinux_2_17_riscv64",),
}
"""Platform tags that packaging, and so a pip on such a machine, accepts, and uv does not."""


def project(number: int) -> str:
    return f"dummy{number:04}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of dummy wheels, two of each project."""
    folder: Path = tmp_path_factory.mktemp("shop")
    for number, tag in enumerate(TAGS):
        make_wheel(folder, project(number), "1", "py3-none-any")
        make_wheel(folder, project(number), "2", tag)
    return folder


def make_wheel(folder: Path, name: str, version: str, tag: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


def uv_picks(shop: Path, folder: Path, lines: Sequence[str], python: str, platform: str) -> set[str]:
    """The ``name==version`` that uv picks for a foreign target."""
    wishes = folder / "wishes.txt"
    wishes.write_text("".join(f"{line}\n" for line in lines))
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_", "MACOSX_"))}
    command = [
        str(UV), "pip", "compile", "--no-config", "--no-cache", "--offline", "--no-index", "--find-links", str(shop),
        "--no-header", "--no-annotate", "--quiet", "--python-platform", platform, "--python-version", python,
        "--python", sys.executable, str(wishes),
    ]  # fmt: skip
    environment = {**keep, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(("python", "platform"), TARGETS)
def test_uv_accepts_the_tags_that_a_target_lists_and_no_others(
    shop: Path, tmp_path: Path, python: str, platform: str
) -> None:
    picked = uv_picks(shop, tmp_path, [project(number) for number in range(len(TAGS))], python, platform)
    accepted = {tag for number, tag in enumerate(TAGS) if f"{project(number)}==2" in picked}
    ours = set(aim.target(python, platform).tags) & set(TAGS)
    alone = {tag for tag in ours if tag.endswith(OURS_ALONE.get(platform, ("no tag ends so",)))}
    assert accepted == ours - alone
    assert len(accepted) > 5
    assert bool(alone) == (platform in OURS_ALONE)


def test_there_are_enough_tags_to_tell_targets_apart() -> None:
    assert len(TAGS) > 200
    assert len(TARGETS) > 20
    asked = {frozenset(aim.target(*pair).tags) & set(TAGS) for pair in TARGETS}
    assert len(asked) == len({aim.target(*pair).tags for pair in TARGETS})


@pytest.mark.parametrize(("python", "platform"), TARGETS)
def test_uv_gives_every_marker_the_value_that_a_target_gives_it(
    shop: Path, tmp_path: Path, python: str, platform: str
) -> None:
    markers = aim.target(python, platform).environment.markers()
    assert len(markers) == 11
    same = {key: f"{project(n)} ; {key} == '{value}'" for n, (key, value) in enumerate(markers.items())}
    other = {key: f"{project(n + 20)} ; {key} != '{value}'" for n, (key, value) in enumerate(markers.items())}
    picked = {
        line.partition("==")[0]
        for line in uv_picks(shop, tmp_path, [*same.values(), *other.values()], python, platform)
    }
    held = {key for lines in (same, other) for key, line in lines.items() if line.split()[0] in picked}
    differing = {key for key, line in other.items() if line.split()[0] in picked}
    assert held == set(markers)
    assert differing == set()
