"""Large bundles into a tree, by the real program reading a pipe: memory follows the manifest, not the files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.bundle.writer import Source, write_bundle
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Sha256
from tests.tree.helpers import Sample, fake, links, make_manifest
from tests.worlds import environment

MB = 1_000_000

# Not getrusage: what it says at first is the size of the process that started this one.
RENDER = """\
import sys
from pypimirror.cli import main
try:
    main(["render", "-", sys.argv[1], "--quiet"])
finally:
    print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def peak_of_render(manifest: Manifest, sources: Mapping[str, Source], tree: Path) -> int:
    """Render what is written on the other end of a pipe; gives the peak of memory in MiB."""
    env = environment(tree.parent)
    command = [sys.executable, "-c", RENDER, str(tree)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        write_bundle(manifest, sources, child.stdin)  # type: ignore[arg-type]  # IO[bytes] of typeshed
        child.stdin.close()
        told = child.stdout.read()
    assert child.returncode == 0
    return int(told)


def large(folder: Path, number: int, size: int) -> tuple[Sample, Path]:
    """A file that takes no room on the disk it comes from, and has a content of its own."""
    path = folder / f"source-{number}"
    with path.open("wb") as file:
        file.write(b"%d" % number)
        file.truncate(size)
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while data := file.read(1 << 20):
            digest.update(data)
    sdist = fake(f"large{number}-1.0.tar.gz")
    return replace(sdist, file=replace(sdist.file, size=size, sha256=Sha256(digest.hexdigest()))), path


def make(folder: Path, count: int, size: int) -> tuple[Manifest, dict[str, Source]]:
    """*count* files of *size* bytes, and as many small ones with their metadata."""
    folder.mkdir()
    both = [large(folder, number, size) for number in range(count)]
    small = [fake(f"small{number}-1.0-py3-none-any.whl") for number in range(count)]
    sources: dict[str, Source] = {sample.file.path: path for sample, path in both}
    sources.update((each.file.path, each.data) for each in small)
    sources.update((f"{each.file.path}.metadata", each.metadata or b"") for each in small)
    return make_manifest([*(sample for sample, _ in both), *small]), sources


def test_300_mb_are_rendered_from_a_pipe_within_100_mb_of_memory(tmp_path: Path) -> None:
    peak = peak_of_render(*make(tmp_path / "sources", 30, 10 * MB), tmp_path / "tree")
    assert peak < 100
    assert len(links(tmp_path / "tree" / "simple" / "index.html")) == 60


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_10_gb_are_rendered_from_a_pipe_within_150_mb_of_memory(tmp_path: Path) -> None:
    peak = peak_of_render(*make(tmp_path / "sources", 100, 100 * MB), tmp_path / "tree")
    assert peak < 150
    assert sum(path.stat().st_size for path in (tmp_path / "tree" / "packages").iterdir()) > 10_000 * MB
    for path in (tmp_path / "tree" / "packages").iterdir():
        path.unlink()  # pytest keeps the folders of its last runs


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_100_000_files_are_rendered(tmp_path: Path) -> None:
    samples = [fake(f"p{number // 10}-{number % 10}.0-py3-none-any.whl") for number in range(100_000)]
    sources: dict[str, Source] = {each.file.path: each.data for each in samples}
    sources.update((f"{each.file.path}.metadata", each.metadata or b"") for each in samples)
    peak = peak_of_render(make_manifest(samples), sources, tmp_path / "tree")
    assert peak < 1000  # 7 kB a file: it grows with the manifest
    assert len(links(tmp_path / "tree" / "packages" / "index.html")) == 100_000
    assert len(links(tmp_path / "tree" / "simple" / "p9999" / "index.html")) == 10
