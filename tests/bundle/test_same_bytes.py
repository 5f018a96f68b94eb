"""Same manifest, same bytes: on any Python, in any zone, locale and umask; and other tars read them."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import packaging
import pytest

from tests.bundle.making import SEQUENCE, packed, small

ROOT = Path(__file__).parents[2]
CHILD = """\
    import hashlib, os, sys
    os.umask(int(sys.argv[1], 8))
    from tests.bundle.making import chance, packed, read, small
    whole = hashlib.sha256()
    for contents in [small(), *map(chance, range(20))]:
        data = packed(contents)
        assert read(data)[1] == contents
        whole.update(data)
    print(whole.hexdigest())
"""


def pythons() -> list[str]:
    """Interpreters of this machine from 3.10 on: on PATH, or beside each other where pyenv keeps them."""
    names = [f"python3.{minor}" for minor in range(10, 16)]
    found = [path for name in names if (path := shutil.which(name)) is not None]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for name in names:
        found.extend(str(path) for path in sorted(versions.glob(f"*/bin/{name}")))
    return [sys.executable, *found]


def digest(python: str, libraries: Path, umask: str = "022", **variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{libraries}", **variables}
    command = [python, "-B", "-c", textwrap.dedent(CHILD), umask]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """A folder with the one library that reading and writing needs, for interpreters that have none."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/packaging").symlink_to(Path(packaging.__file__).parent)
    return tmp_path / "lib"


def test_each_python_of_this_machine_makes_the_same_bytes(libraries: Path) -> None:
    # A python on PATH may be a shim for a version that isn't chosen: then it says so and is left out.
    working = [p for p in pythons() if subprocess.run([p, "-c", ""], capture_output=True, check=False).returncode == 0]
    assert len({digest(python, libraries) for python in working}) == 1


def test_zone_locale_umask_and_hash_seed_change_nothing(libraries: Path) -> None:
    plain = digest(sys.executable, libraries)
    for umask, variables in (
        ("000", {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"}),
        ("077", {"TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONHASHSEED": "2"}),
        ("027", {"LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "3", "SOURCE_DATE_EPOCH": "1"}),
        ("022", {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}),
    ):
        assert digest(sys.executable, libraries, umask, **variables) == plain


def test_these_are_the_bytes_of_format_1() -> None:
    # A change of this digest is a change of the format: bundles that people hold would be made differently.
    digest_of_format_1 = "45c17644c08f578e117a5186d5892679f3486b08dc0e3b711855cd412e99fdba"
    assert hashlib.sha256(packed(small())).hexdigest() == digest_of_format_1


def test_python_reads_it_with_the_same_bytes_modes_and_times() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(small()))) as tar:
        infos = tar.getmembers()
        contents = {info.name.partition("/")[2]: file.read() for info in infos if (file := tar.extractfile(info))}
    for own in ("manifest.json", "SHA256SUMS"):
        del contents[own]
    assert contents == small()
    assert {info.mode for info in infos if info.isfile()} == {0o644}
    assert {info.mode for info in infos if info.isdir()} == {0o755}
    assert {(info.uid, info.gid, info.uname, info.gname, info.mtime) for info in infos} == {(0, 0, "", "", SEQUENCE)}


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_tar_unpacks_it_and_sha256sum_checks_it(umask: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    before = out.stat().st_mode
    subprocess.run(["tar", "x"], input=packed(small()), cwd=out, umask=umask, check=True, capture_output=True)
    assert out.stat().st_mode == before
    stem = out / "default-20261121T213000Z"
    assert [path.name for path in out.iterdir()] == [stem.name]
    unpacked = {path.relative_to(stem).as_posix(): path.read_bytes() for path in stem.rglob("*") if path.is_file()}
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=stem, check=True, capture_output=True, text=True
    )
    assert checked.stdout.count(": OK\n") == len(unpacked) - 1
    for own in ("manifest.json", "SHA256SUMS"):
        del unpacked[own]
    assert unpacked == small()
    assert {path.stat().st_mode & 0o7777 for path in stem.rglob("*") if path.is_file()} == {0o644}
    assert {path.stat().st_mode & 0o7777 for path in [stem, *stem.rglob("*")] if path.is_dir()} == {0o755}
    assert (stem / "index.html").stat().st_mtime == SEQUENCE


def test_tar_lists_it_without_a_word_of_complaint(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["tar", "--list", "--verbose", "--numeric-owner"],
        input=packed(small()),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert listed.stderr == b""
    assert all(b" 0/0 " in line for line in listed.stdout.splitlines())
