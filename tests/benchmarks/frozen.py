"""A small index that never changes, as a store: forty projects of twenty versions, and wheels for two platforms.

``app`` wants four families of libraries; each library wants the next one of its family, in a range that leaves out the
newest version of every third one. So there is a chain to follow, there are versions to refuse, and nothing to back out
of.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.store import Store
from tests.fakes.archives import make_wheel

__all__ = ["FILES_EACH", "PROJECTS", "REQUIREMENT", "make_store"]

REQUIREMENT = "app"
_FAMILIES, _LENGTH, _VERSIONS = "abcd", 10, 12
PROJECTS = 1 + len(_FAMILIES) * _LENGTH
_TAGS = ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_aarch64")
_MORE = ("cp310-cp310-win32", "cp311-cp311-win_amd64", "cp311-cp311-macosx_11_0_arm64", "cp312-cp312-win32")
FILES_EACH = 2
"""Files of each library that two targets take: one for each platform."""


def make_store(folder: Path) -> Store:
    store = Store(folder)
    _add(store, "app", 1, [f"{family}0 >= 1" for family in _FAMILIES], ("py3-none-any",))
    for family in _FAMILIES:
        for number in range(_LENGTH):
            held = f" < {_VERSIONS - 1}" if number % 3 == 0 else ""
            wants = [f"{family}{number + 1}{held}"] if number + 1 < _LENGTH else []
            wants.append("nothing >= 2 ; sys_platform == 'win32'")
            _add(store, f"{family}{number}", _VERSIONS, wants)
    store.freeze()
    return store


def _add(store: Store, name: str, versions: int, wants: list[str], tags: Sequence[str] = _TAGS) -> None:
    rows = []
    for version in range(1, versions + 1):
        for tag in (*tags, *(_MORE if tags is _TAGS else ())):
            filename = f"{name}-{version}-{tag}.whl"
            data = filename.encode()  # of a file that nobody fetches only the name, the hash and the size are told
            if tag in tags and version > versions - 3:
                made, data = make_wheel(name, str(version), tags=[tag], requires_dist=wants)
                assert made == filename
                (store.folder / "files" / filename).write_bytes(data)
                (store.folder / "metadata" / filename).write_bytes(_metadata(data))
            rows.append(
                {
                    "filename": filename,
                    "url": f"../../packages/{filename}",
                    "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
                    "size": len(data),
                    "requires-python": ">=3.9",
                    "upload-time": f"2026-01-{version:02}T00:00:00Z",
                    "yanked": False,
                }
            )
    numbers = [str(version) for version in range(1, versions + 1)]
    page = {"meta": {"api-version": "1.1"}, "name": name, "versions": numbers, "files": rows}
    (store.folder / "pages" / f"{name}.json").write_text(json.dumps(page))


def _metadata(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA")))
