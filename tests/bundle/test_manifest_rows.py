"""Two readers of one manifest: the quick one takes nothing that the thorough one refuses, or reads otherwise."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pypimirror.model import manifest_json
from pypimirror.model.manifest import BuildRecord, BundledProject, Manifest
from pypimirror.model.manifest_lists import FileList, parts_of
from pypimirror.model.names import FileName, Sha256, parse_version
from pypimirror.model.reading import Malformed
from tests.bundle.making import chance, make, small, tiny

ROUNDS = 150


def quick(data: bytes) -> Manifest | None:
    return manifest_json._quick(data)


def thorough(data: bytes) -> Manifest | Malformed:
    try:
        return manifest_json._thorough(data)
    except Malformed as error:
        return error


def many() -> Manifest:
    """More files than are read at a time, each with something of its own."""
    manifest = make(small())
    first = manifest.files[0]
    files = [
        replace(first, filename=FileName(f"alpha-1.{n}-py3-none-any.whl"), version=_version(n)) for n in range(600)
    ]
    files[0] = replace(
        files[0], requires_python=None, yanked="", requires_dist=(), metadata=None, languages=("C", "Rust")
    )
    files[1] = replace(files[1], yanked='"\u00fc\U0001f600\\', build_requires=("setuptools",), upload_time=None)
    files[2] = replace(files[2], learnt_from="build", index_hash=False)
    rest = [file for file in manifest.files if file.project != first.project]
    return replace(
        manifest,
        files=tuple(sorted([*files, *rest], key=lambda file: file.filename)),
        built=(BuildRecord(source="x", sha256=None, backend="b", requirements=(), sandboxed=True),),
    )


def _version(number: int) -> Any:  # noqa: ANN401 - packaging's
    return parse_version(f"1.{number}")


@pytest.mark.parametrize("make_one", [many, lambda: make(small()), lambda: make(tiny()), lambda: make({})])
def test_what_is_canonical_is_read_quickly_and_the_same(make_one: Callable[[], Manifest]) -> None:
    data = manifest_json.dump(make_one())
    assert quick(data) == make_one() == thorough(data)


@pytest.mark.parametrize("seed", range(10))
def test_any_manifest_is_read_quickly_and_the_same(seed: int) -> None:
    manifest = make(chance(seed))
    data = manifest_json.dump(manifest)
    assert quick(data) == manifest == thorough(data)


def test_the_bytes_are_what_json_makes_of_all_at_once() -> None:
    data = manifest_json.dump(many())
    text = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"))
    assert data == text.encode("ascii") + b"\n"


def test_a_byte_changed_anywhere_is_judged_as_the_thorough_reader_judges_it() -> None:
    dice = random.Random(1)  # noqa: S311 - a test's dice
    data = manifest_json.dump(make(small()))
    for _ in range(ROUNDS):
        at = dice.randrange(len(data))
        bytes_ = data[:at] + dice.choice((b"", b'"', b"1", b"A", b",", b" ", b"\0", b"\xff", b"0")) + data[at + 1 :]
        found = quick(bytes_)
        assert found is None or found == thorough(bytes_)


STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 2**53, 2**53 + 1, "", "x", "X", "\0", "\ud800", "\u00fc", "x" * 65_537, [], [1],
    ["x"], ["\0"], [["x"]], {}, {"sha256": "0" * 64, "size": 1}, {"sha256": "A" * 64, "size": 1}, {"sha256": "0" * 64},
    {"sha256": "0" * 64, "size": True}, "0" * 64, "A" * 64, "1.0", "1.0.0.0", "01.0", "1.0.RC1", "Alpha", "alpha",
    "alpha-1.0-py3-none-any.whl", "alpha-1.0.tar.gz", "../x", "egg-info", "simple/x/index.html", "packages/x",
]  # fmt: skip


@pytest.mark.parametrize("part", ["files", "members", "projects", "built"])
def test_a_value_changed_anywhere_is_judged_as_the_thorough_reader_judges_it(part: str) -> None:
    built = BuildRecord(source="x", sha256=Sha256("a" * 64), backend="b", requirements=(), sandboxed=True)
    decoded = json.loads(manifest_json.dump(replace(make(small()), built=(built,), base=Sha256("b" * 64))))
    taken = 0
    for row in [*decoded[part][:1], *decoded[part][2:3], decoded]:
        for key, right in [*row.items(), ("more", "")]:
            for strange in STRANGE:
                row[key] = strange
                data = json.dumps(decoded, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
                found, said = quick(data), thorough(data)
                taken += found is not None
                assert (found == said) if found is not None else isinstance(said, Malformed)
            row[key] = right
            if key == "more":
                del row[key]
    assert taken


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data.replace(b'"files":[', b'"files":[ ', 1),
        lambda data: data.replace(b'"index_hash":true', b'"index_hash":true,"index_hash":true', 1),
        lambda data: data.replace(b'"filename":"alpha', b'"filename":"\\u0061lpha', 1),
        lambda data: data.replace(b'},{"build_requires"', b'}, {"build_requires"', 1),
        lambda data: data.replace(b'"format":1', b'"format":1.0', 1),
        lambda data: data.replace(b'"projects":[', b'"projects":[ ', 1),
        lambda data: data.replace(b'"tool"', b'"tool":"","tool"', 1),
    ],
)
def test_what_is_not_canonical_is_refused_by_both(spoil: Callable[[bytes], bytes]) -> None:
    data = spoil(manifest_json.dump(make(small())))
    assert data != manifest_json.dump(make(small()))
    assert quick(data) is None
    assert isinstance(thorough(data), Malformed)
    with pytest.raises(Malformed):
        manifest_json.parse(data)


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_of_files_are_found_without_decoding_them(seed: int) -> None:
    """Whatever else is said of them, even where a text looks like what is looked for."""
    first, *rest = make(chance(seed)).files or make(small()).files
    texts = ['"size":1,', '"sha256":"' + "0" * 64 + '","size":1,', '\\"metadata":null,"project":"x","provenance":null,']
    odd = replace(first, requires_dist=tuple(texts), languages=tuple(texts), yanked=texts[1], requires_python=texts[0])
    for files in ((first, *rest), (odd, *rest), many().files):
        manifest = replace(make(chance(seed)), files=files, resolutions=(), sets=())
        projects = tuple(BundledProject(name=name) for name in sorted({file.project for file in files}))
        read = quick(manifest_json.dump(replace(manifest, projects=projects)))
        assert read is not None
        assert isinstance(read.files, FileList)
        assert list(parts_of(read.files)) == list(parts_of(files))
        assert [part[:3] for part in parts_of(files)] == [(file.filename, file.sha256, file.size) for file in files]
