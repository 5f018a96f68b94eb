"""Large bundles: memory does not grow with them. And what no ustar header can hold."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.writer import write_bundle
from pypimirror.model.names import Sha256
from tests.bundle.making import Contents, make

ROOT = Path(__file__).parents[2]
GIB = 1024**3
OF_8_GIB_OF_ZEROS = "ebfb4ef19ae410f190327b5ebd312711263bc7579970e87d9c1e2d84e06b3c25"

MEASURED = """\
    import hashlib, os, sys
    from dataclasses import replace
    from pathlib import Path
    from pypimirror.bundle.reader import open_bundle
    from pypimirror.bundle.writer import write_bundle
    from tests.bundle.making import make

    folder, size, pieces = Path(sys.argv[1]), int(sys.argv[2]), 4
    source = folder / "source"
    with source.open("wb") as file:
        file.truncate(size // pieces)
    with source.open("rb") as file:
        digest = hashlib.sha256()
        while data := file.read(1 << 20):
            digest.update(data)
    paths = [f"packages/p{number}-1.0.tar.gz" for number in range(pieces)]
    manifest = make({path: b"" for path in paths})
    files = tuple(replace(f, size=size // pieces, sha256=digest.hexdigest()) for f in manifest.files)
    manifest = replace(manifest, files=files)
    written = write_bundle(manifest, {path: source for path in paths}, folder / "b.tar")
    assert written.size > size
    with open_bundle(folder / "b.tar") as bundle, open(os.devnull, "wb") as sink:
        for member in bundle.members():
            member.copy_to(sink)
    # Not getrusage: what it says at first is the size of the process that started this one.
    print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


READING = """\
import sys
from pypimirror.bundle.reader import open_bundle
with open_bundle(sys.stdin.buffer) as bundle:
    bundle.verify()
"""


def peak_megabytes(folder: Path, size: int) -> int:
    command = [sys.executable, "-c", textwrap.dedent(MEASURED), str(folder), str(size)]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_64_mb_are_written_and_read_within_60_mb_of_memory(tmp_path: Path) -> None:
    assert peak_megabytes(tmp_path, 64 * 1024**2) < 60


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_2_gb_are_written_and_read_within_60_mb_of_memory(tmp_path: Path) -> None:
    assert peak_megabytes(tmp_path, 2 * GIB) < 60


@pytest.mark.slow
def test_a_member_of_8_gib_is_written_and_read(tmp_path: Path) -> None:
    size = 8 * GIB
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(size)
    manifest = make({"packages/big-1.0.tar.gz": b""})
    big = replace(manifest.files[0], size=size, sha256=Sha256(OF_8_GIB_OF_ZEROS))
    with subprocess.Popen([sys.executable, "-c", READING], cwd=ROOT, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        write_bundle(replace(manifest, files=(big,)), {big.path: source}, child.stdin)  # type: ignore[arg-type]  # IO[bytes] of typeshed
        child.stdin.close()
        assert child.wait() == 0


@pytest.mark.slow
def test_10_000_files_are_written_and_read_in_seconds() -> None:
    contents: Contents = {}
    for number in range(10_000):
        contents[f"packages/p{number}-1.0-py3-none-any.whl"] = b"w"
        contents[f"packages/p{number}-1.0-py3-none-any.whl.metadata"] = b"m"
        contents[f"simple/p{number}/index.html"] = b"p"
    target = io.BytesIO()
    write_bundle(make(contents), contents, target)
    target.seek(0)
    with open_bundle(target) as bundle:
        assert sum(1 for _ in bundle.members()) == len(contents)
        assert bundle.missing == ()
