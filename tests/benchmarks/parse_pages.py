"""How long a page of 11,000 files takes to read, as JSON and as HTML: ``python -m tests.benchmarks.parse_pages``.

The page is put together to look like that of a project with many wheels (the largest there is has about as many).
CPU times, the best of several, in milliseconds, with nothing remembered from the round before.
"""

from __future__ import annotations

import hashlib
import html
import json
import sys
import time
from collections.abc import Callable

from pypimirror.index import metadata, simple
from pypimirror.model import names

_PROJECT = names.project_name("grpcio")
_URL = "https://index.example/simple/grpcio/"
_PLATFORMS = (
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "manylinux_2_17_aarch64.manylinux2014_aarch64",
    "manylinux_2_17_i686.manylinux2014_i686",
    "musllinux_1_1_x86_64",
    "musllinux_1_1_i686",
    "linux_armv7l",
    "macosx_10_10_universal2",
    "win32",
    "win_amd64",
)


def rows() -> list[dict[str, object]]:
    """The files of the made-up page, as JSON has them."""
    made = []
    for release in range(200):
        version = f"1.{release // 5}.{release % 5}"
        wheels = [f"grpcio-{version}-cp3{py}-cp3{py}-{tag}.whl" for py in range(8, 14) for tag in _PLATFORMS]
        for filename in [*wheels, f"grpcio-{version}.tar.gz"]:
            digest = hashlib.sha256(filename.encode()).hexdigest()
            made.append(
                {
                    "filename": filename,
                    "url": f"https://files.example/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}",
                    "hashes": {"sha256": digest},
                    "requires-python": ">=3.8",
                    "size": len(filename) * 1000,
                    "upload-time": "2024-01-02T03:04:05.678901Z",
                    "yanked": False,
                    "core-metadata": {"sha256": digest[::-1]},
                    "provenance": None,
                }
            )
    return made


def json_page(files: list[dict[str, object]]) -> bytes:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "grpcio", "versions": [], "files": files}).encode()


def html_page(files: list[dict[str, object]], *, quote: str = '"') -> bytes:
    """The same as HTML. With single quotes no anchor is of the usual shape, so the slow way is measured."""
    lines = ["<!DOCTYPE html>\n<html><head><title>Links for grpcio</title></head><body><h1>Links for grpcio</h1>"]
    for file in files:
        hashes, sibling = file["hashes"], file["core-metadata"]
        assert isinstance(hashes, dict) and isinstance(sibling, dict)  # noqa: PT018  for the type checker
        attributes = {
            "href": f"{file['url']}#sha256={hashes['sha256']}",
            "data-requires-python": str(file["requires-python"]),
            "data-dist-info-metadata": f"sha256={sibling['sha256']}",
            "data-core-metadata": f"sha256={sibling['sha256']}",
        }
        words = " ".join(f"{key}={quote}{html.escape(value)}{quote}" for key, value in attributes.items())
        lines.append(f"<a {words}>{file['filename']}</a><br />")
    return "\n".join([*lines, "</body></html>"]).encode()


def best_of(rounds: int, work: Callable[[], object]) -> float:
    """The shortest of several runs, in milliseconds."""
    times = []
    for _ in range(rounds):
        for memory in (
            names.parse_version, names._wheel_project, names._tag_part, metadata.usable_requires_python,
        ):  # fmt: skip
            memory.cache_clear()
        begun = time.process_time()
        work()
        times.append((time.process_time() - begun) * 1000)
    return min(times)


def main() -> None:
    files = rows()
    usual, unusual = html_page(files), html_page(files, quote="'")
    pages = {
        "JSON": (json_page(files), "application/vnd.pypi.simple.v1+json"),
        "HTML": (usual, "text/html"),
        "HTML, unusual": (unusual, "text/html"),
    }
    for what, (page, kind) in pages.items():

        def work(page: bytes = page, kind: str = kind) -> object:
            return simple.parse_page(page, kind, url=_URL, project=_PROJECT, index="main")

        sys.stdout.write(f"{what:14} {len(files)} files {len(page) / 1e6:5.1f} MB {best_of(7, work):6.0f} ms\n")


if __name__ == "__main__":
    main()
