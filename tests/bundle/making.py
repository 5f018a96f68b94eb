"""Bundles for tests: manifests with contents, made from a seed; and tars made badly, on purpose."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import replace
from pathlib import Path

from pypimirror.bundle.layout import END, Layout, padding
from pypimirror.bundle.reader import Bundle, open_bundle
from pypimirror.bundle.writer import write_bundle
from pypimirror.model import manifest_json
from pypimirror.model.manifest import BundledFile, BundledProject, Manifest, Member, Sidecar
from pypimirror.model.names import FileName, Label, Sha256, parse_file_name

SEQUENCE = 1_795_296_600
LONG = "long_name" * 9 + "-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"

Contents = dict[str, bytes]


def sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


def sidecar(data: bytes | None) -> Sidecar | None:
    return None if data is None else Sidecar(sha256=sha256(data), size=len(data))


def make_file(
    filename: str, data: bytes, metadata: bytes | None = None, provenance: bytes | None = None
) -> BundledFile:
    parsed = parse_file_name(filename)
    return BundledFile(
        filename=FileName(filename),
        project=parsed.project,
        version=parsed.version,
        sha256=sha256(data),
        size=len(data),
        requires_python=">=3.10",
        requires_dist=("click>=8 ; extra == 'cli'",),
        provides_extra=("cli",),
        yanked=None,
        upload_time="2026-11-01T00:00:00Z",
        metadata=sidecar(metadata),
        index="default",
        provenance=sidecar(provenance),
    )


def make(contents: Contents, *, channel: str = "default", sequence: int = SEQUENCE) -> Manifest:
    """The manifest of these contents: path -> bytes."""
    files = []
    for path, data in contents.items():
        folder, _, name = path.partition("/")
        if folder == "packages" and name.endswith((".whl", ".tar.gz")):
            provenance = next((p for p in contents if p.startswith(f"{path}.") and p.endswith(".provenance")), None)
            files.append(make_file(name, data, contents.get(f"{path}.metadata"), contents.get(provenance or "")))
    members = [
        Member(path=path, size=len(data), sha256=sha256(data))
        for path, data in contents.items()
        if not path.startswith("packages/") or path == "packages/index.html"
    ]
    return Manifest(
        channel=Label(channel),
        sequence=sequence,
        tool="pypimirror 0.1.0",
        targets=(),
        sets=(),
        resolutions=(),
        files=tuple(sorted(files, key=lambda file: file.filename)),
        projects=tuple(BundledProject(name=name) for name in sorted({file.project for file in files})),
        members=tuple(sorted(members, key=lambda member: member.path)),
    )


def small() -> Contents:
    """A bit of everything: a sidecar, a provenance, an sdist, a long name, an empty file, pages in folders."""
    return {
        "packages/alpha-1.0-py3-none-any.whl": b"alpha" * 300,
        "packages/alpha-1.0-py3-none-any.whl.metadata": b"Metadata-Version: 2.1\nName: alpha\n",
        "packages/beta-2.0.tar.gz": b"\x1f\x8b" + bytes(range(256)) * 4,
        "packages/beta-2.0.tar.gz.44136fa355b3678a.provenance": b"{}",
        f"packages/{LONG}": b"",
        f"packages/{LONG}.metadata": b"x" * 512,
        "README.txt": b"read me\n",
        "index.html": b"<!DOCTYPE html>",
        "packages/index.html": b"<!DOCTYPE html>packages",
        "simple/alpha/index.html": b"<!DOCTYPE html>alpha",
        "simple/alpha/index.json": b"{}",
        "simple/beta/index.html": b"<!DOCTYPE html>beta",
        "simple/index.html": b"<!DOCTYPE html>simple",
    }


def tiny() -> Contents:
    """As little as shows each kind of part."""
    return {
        "packages/a-1-py3-none-any.whl": b"a" * 100,
        "packages/a-1-py3-none-any.whl.metadata": b"Name: a",
        "index.html": b"<p>",
    }


def chance(seed: int) -> Contents:
    """Contents at random."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    contents: Contents = {}
    for number in range(dice.randrange(12)):
        name = "".join(dice.choices("abcdefgh", k=dice.choice((1, 5, 60, 90)))) + str(number)
        version = f"{dice.randrange(9)}.{dice.randrange(9)}"
        filename = dice.choice((f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.tar.gz"))
        contents[f"packages/{filename}"] = dice.randbytes(dice.choice((0, 1, 511, 512, 513, 5000)))
        if dice.random() < 0.7:
            contents[f"packages/{filename}.metadata"] = dice.randbytes(dice.choice((0, 1, 512, 700)))
        if dice.random() < 0.2:
            provenance = dice.randbytes(20)
            contents[f"packages/{filename}.{sha256(provenance)[:16]}.provenance"] = provenance
        if dice.random() < 0.8:
            contents[f"simple/{name}/index.html"] = dice.randbytes(dice.choice((1, 512, 600)))
    for path in ("index.html", "packages/index.html", "simple/index.html", "locks/deep/er/pylock.toml", "z"):
        if dice.random() < 0.6:
            contents[path] = dice.randbytes(dice.randrange(1200))
    return contents


def packed(contents: Contents, **changes: object) -> bytes:
    """The bundle of these contents, whole."""
    manifest = replace(make(contents), **changes)  # type: ignore[arg-type]  # fields by name
    target = io.BytesIO()
    write_bundle(manifest, contents, target)
    return target.getvalue()


def layout_of(manifest: Manifest) -> Layout:
    data = manifest_json.dump(manifest)
    return Layout(manifest=manifest, digest=manifest_json.digest(data), size=len(data))


def parts(contents: Contents, manifest: Manifest | None = None) -> list[tuple[str, bytes]]:
    """The bundle in pieces, each with its name: to be put together wrongly."""
    manifest = manifest or make(contents)
    layout = layout_of(manifest)
    own = {"manifest.json": manifest_json.dump(manifest), "SHA256SUMS": b"".join(layout.sums())}
    pieces = []
    for entry in layout.entries():
        data = b"" if entry.sha256 is None else (contents | own)[entry.path]
        pieces.append((entry.path, entry.header + data + bytes(padding(len(data)))))
    pieces.append(("END", END))
    return pieces


def read(data: bytes) -> tuple[Bundle, Contents]:
    """Read a bundle whole; what it carries, without the manifest and the checksums."""
    out: Contents = {}
    with open_bundle(io.BytesIO(data), name="b.tar") as bundle:
        for member in bundle.members():
            sink = io.BytesIO()
            member.copy_to(sink)
            out[member.entry.path] = sink.getvalue()
    return bundle, out


def on_disk(contents: Contents, folder: Path) -> dict[str, Path | bytes]:
    """The same contents as files, as the cache has them."""
    sources: dict[str, Path | bytes] = {}
    for number, (path, data) in enumerate(sorted(contents.items())):
        sources[path] = folder / f"{number}.blob"
        (folder / f"{number}.blob").write_bytes(data)
    return sources
