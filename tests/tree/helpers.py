"""Bundles made in memory, a reader of served trees, and disks that fail."""

# ruff: noqa: ANN401 - fields and options are passed on as they come

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO
from urllib.parse import unquote, urldefrag, urljoin

from pypimirror.disk import Disk
from pypimirror.model import manifest_json
from pypimirror.model.manifest import BundledFile, BundledProject, BundledSet, Manifest, Sidecar, WrittenRequirement
from pypimirror.model.names import Label, NormalizedName, Sha256, file_name, label, parse_file_name
from pypimirror.model.plan import Pin, Resolution, Want
from pypimirror.model.targets import MarkerEnvironment, PatchRange, Target
from pypimirror.tree.compose import Accepted
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import Imported, import_bundle
from pypimirror.tree.publish import Published, publish
from pypimirror.tree.view import look
from tests.fakes.archives import make_sdist, make_wheel, make_zip

NOW = 1_795_000_000


def sha256(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())


# ---- bundles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A file with its bytes."""

    file: BundledFile
    data: bytes
    metadata: bytes | None
    provenance: bytes | None = None

    def but(self, **changes: Any) -> Sample:
        return replace(self, file=replace(self.file, **changes))


def sample(
    filename: str, data: bytes, metadata: bytes | None, *, provenance: bytes | None = None, **attributes: Any
) -> Sample:
    parsed = parse_file_name(filename)
    values: dict[str, Any] = {
        "requires_python": None,
        "requires_dist": (),
        "provides_extra": (),
        "yanked": None,
        "upload_time": "2026-01-02T03:04:05.678901Z",
        "metadata": None if metadata is None else Sidecar(sha256=sha256(metadata), size=len(metadata)),
        "index": "index",
        "build_requires": None if parsed.is_wheel else (),
        "provenance": None if provenance is None else Sidecar(sha256=sha256(provenance), size=len(provenance)),
    }
    file = BundledFile(
        filename=parsed.filename,
        project=parsed.project,
        version=parsed.version,
        sha256=sha256(data),
        size=len(data),
        **(values | attributes),
    )
    return Sample(file, data, metadata, provenance)


def fake(filename: str, data: bytes = b"", **attributes: Any) -> Sample:
    """A file that nobody installs: any bytes will do. Wheels of one version share their metadata, as real ones do."""
    project, version = filename.split("-")[:2]
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode()
    return sample(filename, data or filename.encode(), metadata if filename.endswith(".whl") else None, **attributes)


def stored(data: bytes) -> bytes:
    """The same zip without compression, whose bytes depend on the zlib at hand; golden pages must not."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(path, archive.read(path)) for path in archive.namelist()]
    return make_zip(
        ((path, stored(each) if path.endswith(".whl") else each) for path, each in members), compressed=False
    )


def wheel(name: str, version: str, *, rename: str | None = None, **attributes: Any) -> Sample:
    """A wheel that installs. *rename* is an un-normalised file name for it."""
    made = {key: attributes.pop(key) for key in ("requires_dist", "tags") if key in attributes}
    filename, data = make_wheel(name, version, requires_python=attributes.get("requires_python"), **made)
    attributes.setdefault("requires_dist", tuple(made.get("requires_dist", ())))
    data = stored(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        path = next(path for path in archive.namelist() if path.endswith(".dist-info/METADATA"))
        metadata = archive.read(path)
    return sample(rename or filename, data, metadata, **attributes)


def sdist(name: str, version: str, **attributes: Any) -> Sample:
    filename, data = make_sdist(name, version, format="zip")
    return sample(filename, stored(data), None, **attributes)


_ENVIRONMENT = MarkerEnvironment(
    implementation_name="cpython",
    implementation_version="3.12.0",
    os_name="posix",
    platform_machine="x86_64",
    platform_python_implementation="CPython",
    platform_release="",
    platform_system="Linux",
    platform_version="",
    python_full_version="3.12.0",
    python_version="3.12",
    sys_platform="linux",
)
TARGET = Target(
    name=label("3.12-linux"),
    python="3.12",
    platform="linux",
    tags=("py3-none-any",),
    environment=_ENVIRONMENT,
    patches=PatchRange(),
)


def make_manifest(
    samples: Iterable[Sample],
    *,
    channel: str = "default",
    sequence: int = 1_790_000_000,
    statuses: Mapping[str, tuple[str, str]] | None = None,
    locations: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] | None = None,
    pins: Mapping[str, str] | None = None,
    constraints: tuple[str, ...] = (),
) -> Manifest:
    """A manifest that passes its own gate. *pins* are requirements by file name.

    *locations* are what a project tracks, and its alternate locations (PEP 708).
    """
    files = tuple(sorted((each.file for each in samples), key=lambda file: file.filename))
    by_name = {file.filename: file for file in files}
    projects = tuple(
        BundledProject(
            name=name,
            status=(statuses or {}).get(name, ("active", ""))[0],
            reason=(statuses or {}).get(name, ("active", ""))[1],
            tracks=(locations or {}).get(name, ((), ()))[0],
            alternate_locations=(locations or {}).get(name, ((), ()))[1],
        )
        for name in sorted({file.project for file in files})
    )
    pinned = tuple(
        Pin(
            project=by_name[file_name(name)].project,
            version=by_name[file_name(name)].version,
            file=file_name(name),
            wanted_by=(Want(by="wishes.txt:1", text=text),),
        )
        for name, text in sorted((pins or {}).items(), key=lambda item: by_name[file_name(item[0])].project)
    )
    roots = tuple(
        WrittenRequirement(requirement=name, origin="wishes.txt:1") for name in sorted({p.name for p in projects})
    )
    wishes = BundledSet(
        name=label("main"),
        roots=roots,
        constraints=tuple(WrittenRequirement(requirement=text, origin="c.txt:1") for text in constraints),
    )
    manifest = Manifest(
        channel=label(channel),
        sequence=sequence,
        tool="pypimirror 0",
        targets=(TARGET,),
        sets=(wishes,),
        resolutions=(Resolution(set=label("main"), target=TARGET.name, patches=PatchRange(), pins=pinned),),
        files=files,
        projects=projects,
    )
    assert manifest_json.parse(manifest_json.dump(manifest)) == manifest
    return manifest


def accepted(manifest: Manifest) -> Accepted:
    return Accepted(digest=manifest_json.digest(manifest_json.dump(manifest)), manifest=manifest)


@dataclass(frozen=True)
class MemoryMember:
    entry: SimpleNamespace
    data: bytes

    def copy_to(self, file: BinaryIO, *, disk: Disk) -> None:
        middle = len(self.data) // 2
        disk.write(file, self.data[:middle])
        disk.write(file, self.data[middle:])


@dataclass
class MemoryBundle:
    """What the reader offers of a bundle, made in memory. Files named in ``left_out`` travel in another volume."""

    manifest: Manifest
    samples: tuple[Sample, ...]
    left_out: frozenset[str] = frozenset()
    digest: Sha256 = field(init=False)

    def __post_init__(self) -> None:
        self.digest = manifest_json.digest(manifest_json.dump(self.manifest))

    def members(self) -> Iterator[MemoryMember]:
        for each in sorted(self.samples, key=lambda each: each.file.filename):
            if each.file.filename in self.left_out:
                continue
            yield _member(each.file.path, each.data)
            if each.metadata is not None:
                yield _member(f"{each.file.path}.metadata", each.metadata)
            if each.provenance is not None:
                yield _member(each.file.provenance_path, each.provenance)


def _member(path: str, data: bytes) -> MemoryMember:
    return MemoryMember(SimpleNamespace(path=path, sha256=sha256(data), size=len(data)), data)


def bundle(*samples: Sample, left_out: Iterable[str] = (), **manifest: Any) -> MemoryBundle:
    return MemoryBundle(make_manifest(samples, **manifest), samples, frozenset(left_out))


def render(
    path: Path, *bundles: MemoryBundle, now: int = NOW, plain: bool = False, disk: Disk | None = None, **more: Any
) -> Published:
    """What the command does: import every bundle, then publish them in one step."""
    with open_tree(path, plain=plain, disk=disk or QuickDisk()) as tree:
        imported: list[Imported] = [import_bundle(tree, each) for each in bundles]
        return publish(tree, [each.digest for each in imported], now=now, **more)


def channels(*names: str) -> tuple[Label, ...]:
    return tuple(map(label, names))


# ---- looking at a tree as a client does ------------------------------------------------------------------------------


class LinkReader(HTMLParser):
    """Every element with its attributes, and the text of each link."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.links: list[dict[str, str]] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "a":
            assert all(value is not None for _, value in attrs)
            self.links.append({name: value or "" for name, value in attrs} | {"text": ""})
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.links[-1]["text"] += data


def links(path: Path) -> list[dict[str, str]]:
    return LinkReader(path.read_text(encoding="utf-8")).links


def check_tree(root: Path) -> list[str]:
    """V1: whatever a client reaches from the root page is there, and is what the pages say. Empty when all is well."""
    faults = check_pages(root)
    if not (root / "simple" / "index.html").exists():
        return faults
    for path, said in look(root).inventory().files.items():
        if not (root / path).is_file() or sha256((root / path).read_bytes()) != said.sha256:
            faults.append(f"{path} is not what manifest.json says")
    return faults


def check_pages(root: Path) -> list[str]:
    """V1, as far as pages lead, and not what the tree says of itself."""
    faults: list[str] = []
    if not (root / "simple" / "index.html").exists():
        return [] if not (root / "index.html").exists() else ["a landing page without an index"]
    projects = [link["text"] for link in links(root / "simple" / "index.html")]
    in_json = json.loads((root / "simple" / "index.json").read_bytes())
    if [each["name"] for each in in_json["projects"]] != projects:
        faults.append("the root pages differ")
    for project in projects:
        faults += _check_project(root, project)
    for link in links(root / "packages" / "index.html"):
        faults += _check_link(root, "packages/", link)
    return faults


def _check_project(root: Path, project: str) -> list[str]:
    base = f"simple/{project}/"
    rows = links(root / base / "index.html")
    files = json.loads((root / base / "index.json").read_bytes())["files"]
    faults = (
        []
        if [row["href"] for row in rows] == [f"{f['url']}#sha256={f['hashes']['sha256']}" for f in files]
        else [f"HTML and JSON of {project} differ"]
    )
    return [*faults, *(fault for row in rows for fault in _check_link(root, base, row))]


def _check_link(root: Path, base: str, link: Mapping[str, str]) -> list[str]:
    url, fragment = urldefrag(urljoin(f"http://host/{base}", link["href"]))
    path = root / unquote(url.removeprefix("http://host/"))
    if not path.is_file():
        return [f"{path} is missing"]
    faults = [] if f"sha256={sha256(path.read_bytes())}" == fragment else [f"{path} has other bytes"]
    if (claimed := link.get("data-core-metadata")) is not None:
        sibling = path.with_name(f"{path.name}.metadata")
        if not sibling.is_file() or f"sha256={sha256(sibling.read_bytes())}" != claimed:
            faults.append(f"{sibling} is not what is said")
    return faults


def snapshot(root: Path) -> dict[str, bytes]:
    """Every page that is served, by path, and the names of files; nothing of what lies behind."""
    if not (root / "simple" / "index.html").exists():
        return {}
    pages = [root / "index.html", root / "manifest.json", root / "packages" / "index.html"]
    pages += sorted((root / "simple").glob("*.*")) + sorted((root / "simple").glob("*/*"))
    pages += sorted((root / "channels").glob("*/simple/*/*")) + sorted((root / "locks").glob("*"))
    return {str(page.relative_to(root)): page.read_bytes() for page in pages if page.exists()}


# ---- disks that fail -------------------------------------------------------------------------------------------------

_CHANGING = (
    "create", "write", "sync_file", "sync_folder", "sync_all", "make_folder", "rename", "link", "symlink", "remove",
    "remove_folder", "remove_tree", "set_time", "set_mode", "copy_into",
)  # fmt: skip


class Killed(BaseException):
    """The process is dead: nothing catches this."""


class QuickDisk(Disk):
    """A disk that does not wait for the medium."""

    def sync_file(self, file: BinaryIO) -> None:
        file.flush()

    def sync_folder(self, path: Path) -> None:
        assert path.is_dir()

    def sync_all(self) -> None:
        pass


class FaultyDisk(QuickDisk):
    """A disk whose operation number *at* (from 0) does not happen; with *dead*, none after it does either.

    ``names`` has every operation that was begun.
    """

    def __init__(self, at: int = -1, error: Callable[[], BaseException] = Killed, *, dead: bool = True) -> None:
        self.names: list[str] = []
        self._at = at
        self._error = error
        self._dead = dead
        for name in _CHANGING:
            setattr(self, name, self._counted(name, getattr(super(), name)))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*args: Any, **kwargs: Any) -> Any:
            number = len(self.names)
            self.names.append(name)
            if number == self._at or (self._dead and 0 <= self._at < number):
                raise self._error()
            return real(*args, **kwargs)

        return operate


def names_under(path: Path) -> set[str]:
    return {str(each.relative_to(path)) for each in path.rglob("*")}


def project(name: str) -> NormalizedName:
    return NormalizedName(name)
