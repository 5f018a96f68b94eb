"""Locks: what they pin, for which Python, under which names, and when there is none. Clients: test_locks_clients."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from packaging.pylock import Pylock, PylockSelectError, PylockValidationError
from packaging.requirements import Requirement
from packaging.tags import Tag

from pypimirror.model import manifest_json
from pypimirror.model.aim import target as aim
from pypimirror.model.manifest import BundledSet, Manifest, WrittenRequirement
from pypimirror.model.names import Label, file_name, label, parse_file_name
from pypimirror.model.plan import Pin, Resolution, Uncovered, Want
from pypimirror.model.targets import PatchRange, Target
from pypimirror.tree.compose import Composition, compose
from pypimirror.tree.lists import bundle_members
from pypimirror.tree.lock_files import covering_marker
from pypimirror.tree.locks import LEFT_OUT, lock_pages, tree_locks
from tests.bundle.making import packed, read
from tests.tree.example import example
from tests.tree.helpers import Sample, accepted, channels, fake, make_manifest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TARGET = aim("3.11", "manylinux_2_28_x86_64")
NEW, OLD = PatchRange(lowest=3), PatchRange(lowest=0, highest=2)


def pins(*filenames: str) -> tuple[Pin, ...]:
    parsed = sorted((parse_file_name(name) for name in filenames), key=lambda name: name.project)
    return tuple(
        Pin(
            project=name.project,
            version=name.version,
            file=name.filename,
            wanted_by=(Want(by="r.txt:1", text=f"{name.project}=={name.version}"),),
        )
        for name in parsed
    )


def resolution(*filenames: str, of: str = "main", on: Target = TARGET, patches: PatchRange | None = None) -> Resolution:
    return Resolution(set=label(of), target=on.name, patches=patches or on.patches, pins=pins(*filenames))


def manifest(samples: Sequence[Sample], *resolutions: Resolution, **changes: Any) -> Manifest:  # noqa: ANN401 - fields
    """A manifest of these files and resolutions, of whatever sets and targets these name."""
    made = make_manifest(samples, channel=changes.pop("channel", "default"))
    builds = changes.pop("builds", {})
    names = dict.fromkeys(each.set for each in resolutions)
    values: dict[str, Any] = {
        "targets": (TARGET,),
        "sets": tuple(
            BundledSet(
                name=name,
                roots=(WrittenRequirement(requirement="a", origin="r.txt:1"),),
                builds=file_name(builds[name]) if name in builds else None,
            )
            for name in names
        ),
        "resolutions": resolutions,
    }
    changed = replace(made, **(values | changes))
    assert manifest_json.parse(manifest_json.dump(changed)) == changed
    return changed


def locks(source: Manifest | Composition) -> dict[str, str]:
    pages = lock_pages(source) if isinstance(source, Manifest) else tree_locks(source)
    return {page.path.removeprefix("locks/"): page.data.decode("ascii") for page in pages}


def lock(source: Manifest | Composition, stem: str = "main-3.11-manylinux_2_28_x86_64") -> tuple[list[str], Pylock]:
    """The lines of one requirements file but its comments; and its pylock, which must be valid."""
    texts = locks(source)
    lines = texts[f"{stem}.requirements.txt"].replace(" \\\n    ", " ").splitlines()
    toml = tomllib.loads(texts[f"pylock.{stem.replace('.', '_')}.toml"])
    return [line for line in lines if not line.startswith("#")], Pylock.from_dict(toml)


def selected(pylock: Pylock, patch: int, target: Target = TARGET) -> dict[str, str]:
    """What a client that keeps to the standard takes on a patch release of the target: file names by project."""
    tags = [Tag(*tag.split("-")) for tag in target.tags]
    environment: Any = target.environment_at(patch).markers()
    chosen = pylock.select(environment=environment, tags=tags)
    return {package.name: file.path.rpartition("/")[2] for package, file in chosen}  # type: ignore[union-attr]  # wheels and sdists have a path


def _takes(pylock: Pylock, patch: int) -> dict[str, str] | None:
    try:
        return selected(pylock, patch)
    except PylockSelectError:
        return None


# ---- what is pinned -------------------------------------------------------------------------------------------------


def test_a_pin_has_its_version_its_hash_and_a_path_from_the_lock_to_the_file() -> None:
    a = fake(
        "a-1!2.0+cpu.1-py3-none-any.whl", requires_python=">=3.8, !=3.9.*", upload_time="2026-01-02T03:04:05.123456789Z"
    )
    lines, pylock = lock(manifest([a], resolution(a.file.filename)))
    assert lines == [
        "--no-index",
        "--find-links ../packages/index.html",
        f"a==1!2.0+cpu.1 --hash=sha256:{a.file.sha256}",
    ]
    (package,) = pylock.packages
    assert (package.name, str(package.version)) == ("a", "1!2.0+cpu.1")
    assert package.requires_python == ">=3.8,!=3.9.*"
    assert package.wheels is not None
    (file,) = package.wheels
    assert (file.path, file.size, file.hashes) == (
        "../packages/a-1!2.0+cpu.1-py3-none-any.whl", a.file.size, {"sha256": a.file.sha256},
    )  # fmt: skip
    assert file.upload_time == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)


def test_each_patch_release_gets_the_pins_that_were_solved_for_it() -> None:
    samples = [fake(f"{name}-py3-none-any.whl") for name in ("a-1.0", "b-1.0", "b-2.0", "below-1.0", "above-1.0")]
    a, b1, b2, below, above = (each.file.filename for each in samples)
    made = manifest(samples, resolution(a, b2, above, patches=NEW), resolution(a, b1, below, patches=OLD))
    lines, pylock = lock(made)
    assert [line.split(" --hash")[0] for line in lines[2:]] == [
        "a==1.0",
        "above==1.0 ; python_full_version >= '3.11.3'",
        "b==1.0 ; python_full_version < '3.11.3'",
        "b==2.0 ; python_full_version >= '3.11.3'",
        "below==1.0 ; python_full_version < '3.11.3'",
    ]
    for patch, wanted in ((0, {a, b1, below}), (2, {a, b1, below}), (3, {a, b2, above}), (14, {a, b2, above})):
        assert set(selected(pylock, patch).values()) == wanted
        environment = TARGET.environment_at(patch).markers()
        asked = [Requirement(line.split(" --hash")[0]) for line in lines[2:]]
        taken = {
            f"{each.name}{each.specifier}" for each in asked if not each.marker or each.marker.evaluate(environment)
        }
        assert taken == {f"{p.project}=={p.version}" for p in (parse_file_name(name) for name in wanted)}


@pytest.mark.parametrize("cuts", [(), (1,), (4,), (1, 2), (2, 5), (1, 2, 5)])
def test_a_marker_holds_where_its_pin_was_solved_and_nowhere_else(cuts: tuple[int, ...]) -> None:
    """Every choice among the intervals of every way to cut six patch releases and the rest."""
    parts = sorted(PatchRange().split(frozenset(cuts)), key=lambda each: each.lowest)
    samples = [fake("a-1.0-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl")]
    for chosen in itertools.product((False, True), repeat=len(parts)):
        both, only = (each.file.filename for each in samples)
        made = [
            resolution(both, *([only] if pick else []), patches=part) for part, pick in zip(parts, chosen, strict=True)
        ]
        _, pylock = lock(manifest(samples, *made[::-1]))
        for patch in range(8):
            wanted = next(pick for part, pick in zip(parts, chosen, strict=True) if patch in part)
            assert (only in selected(pylock, patch).values()) == wanted, (chosen, patch)


def test_what_all_covered_patch_releases_have_needs_no_marker() -> None:
    assert covering_marker([OLD, NEW], [OLD, NEW], "3.11") == ""
    assert covering_marker([NEW], [NEW], "3.11") == ""


def test_a_python_that_is_not_covered_is_refused() -> None:
    a = fake("a-1.0-py3-none-any.whl")
    gap = Uncovered(set=label("main"), target=TARGET.name, patches=OLD, reason="a has\nno file")
    made = manifest([a], resolution(a.file.filename, patches=NEW), uncovered=(gap,))
    lines, pylock = lock(made)
    assert lines[2] == f"a==1.0 --hash=sha256:{a.file.sha256}"
    assert "# Not for Python 3.11.0 to 3.11.2.\n" in "".join(locks(made).values())
    assert selected(pylock, 3)
    with pytest.raises(PylockSelectError):
        selected(pylock, 2)
    holed = manifest(
        [a], *(resolution(a.file.filename, patches=each) for each in (NEW, PatchRange(lowest=0, highest=1)))
    )
    assert [bool(_takes(lock(holed)[1], patch)) for patch in range(5)] == [True, True, False, True, True]
    for other in (aim("3.12", TARGET.platform), aim("3.11", "win_amd64"), aim("pypy3.11", TARGET.platform)):
        with pytest.raises(PylockSelectError):
            selected(pylock, other.patches.lowest + 3, other)


@pytest.mark.parametrize(
    ("word", "platform"),
    [
        ("3.11.4", "manylinux_2_17_i686"),
        ("3.8", "win32"),
        ("3.13t", "macosx_11_0_arm64"),
        ("3.15", "alpine3.20-aarch64"),
        ("pypy3.11", "linux"),
    ],
)
def test_every_kind_of_target_may_use_its_own_lock(word: str, platform: str) -> None:
    a, target = fake("a-1.0-py3-none-any.whl"), aim(word, platform)
    made = manifest([a], resolution(a.file.filename, on=target), targets=(target,))
    _, pylock = lock(made, f"main-{target.name}")
    assert selected(pylock, target.patches.lowest, target) == {"a": a.file.filename}


def test_a_python_of_32_bits_on_a_kernel_of_64_may_use_its_lock() -> None:
    a, target = fake("a-1.0-py3-none-any.whl"), aim("3.11", "manylinux_2_17_i686")
    _, pylock = lock(manifest([a], resolution(a.file.filename, on=target), targets=(target,)), f"main-{target.name}")
    seen = replace(target, environment=replace(target.environment, platform_machine="x86_64"))
    assert selected(pylock, 0, seen)


def test_other_wheels_of_the_version_come_after_the_one_that_was_chosen() -> None:
    names = {
        "own": "a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "poorer": "a-1.0-py3-none-any.whl",
        "refused when the pin was made": "a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "refused, too": "a-1.0-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "other platform": "a-1.0-cp311-cp311-win_amd64.whl",
        "source": "a-1.0.tar.gz",
        "other version": "a-1.1-py3-none-any.whl",
    }
    samples = [fake(name) for name in names.values()]
    samples.append(fake("a-1.0-py2.py3-none-any.whl", yanked="bad"))
    samples.append(fake("a-1.0-cp311-none-any.whl", requires_python="<3.11"))
    lines, pylock = lock(manifest(samples, resolution(names["own"])))
    assert [line.count("--hash") for line in lines[2:]] == [2]
    (package,) = pylock.packages
    assert [file.filename for file in package.wheels or ()] == [names["own"], names["poorer"]]
    assert selected(pylock, 5) == {"a": names["own"]}


def test_a_version_is_told_from_one_with_a_local_label_only() -> None:
    samples = [fake("a-1.0-py3-none-any.whl"), fake("a-1.0+cpu-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl")]
    lines, _ = lock(manifest(samples, resolution(samples[0].file.filename, samples[2].file.filename)))
    assert [line.split(" ")[0] for line in lines[2:]] == ["a===1.0", "b==1.0"]


def test_extras_are_pins_of_what_they_bring() -> None:
    samples = [fake("a-1.0-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl")]
    made = resolution(*(each.file.filename for each in samples))
    made = replace(made, pins=(replace(made.pins[0], extras=("cli", "speed")), made.pins[1]))
    lines, pylock = lock(manifest(samples, made))
    assert [line.split(" ")[0] for line in lines[2:]] == ["a==1.0", "b==1.0"]
    assert len(selected(pylock, 1)) == 2


def test_an_sdist_is_locked_as_one_and_the_heading_says_where_its_tools_come_from() -> None:
    samples = [fake("a-1.0.tar.gz", build_requires=("t",)), fake("t-1.0-py3-none-any.whl")]
    made = manifest(
        samples,
        resolution("a-1.0.tar.gz"),
        resolution("t-1.0-py3-none-any.whl", of="build-a"),
        builds={"build-a": "a-1.0.tar.gz"},
    )
    lines, pylock = lock(made)
    assert lines[2:] == [f"a==1.0 --hash=sha256:{samples[0].file.sha256}"]
    assert selected(pylock, 1) == {"a": "a-1.0.tar.gz"}
    assert len(locks(made)) == 2, "what builds an sdist has no lock"
    assert "--find-links ../packages/index.html" in locks(made)["pylock.main-3_11-manylinux_2_28_x86_64.toml"]


@pytest.mark.parametrize("filename", ["a-1.0.tar.bz2", "a-1.0-1.zip"])
def test_an_old_sdist_whose_name_is_outside_the_standard_does_not_spoil_the_lock(filename: str) -> None:
    version = "1.0" if "bz2" in filename else "1.0.post1"
    base = fake("a-1.0.tar.gz").file
    old = Sample(
        replace(base, filename=file_name(filename), version=parse_file_name(f"a-{version}.zip").version), b"", None
    )
    made = resolution("a-1.0.tar.gz")
    made = replace(made, pins=(replace(made.pins[0], file=old.file.filename, version=old.file.version),))
    _, pylock = lock(manifest([old], made))
    (package,) = pylock.packages
    assert package.archive is not None
    assert package.archive.path == f"../packages/{filename}"


def test_a_target_that_needs_nothing_has_a_lock_that_installs_nothing() -> None:
    lines, pylock = lock(manifest([fake("a-1.0-py3-none-any.whl")], resolution()))
    assert lines == ["--no-index", "--find-links ../packages/index.html"]
    assert pylock.packages == []


VALID = [">=3.8, <4 ", "", ">=3.8\n", ">=3.8,\t\r\x0b<4"]
HOSTILE = [*VALID, ">=3.8\n[tool.x]", '>=3.8"', ">=3.8\\", ">=3.8\x7f", "not one", "≥3.8", "\U0001f600"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_an_index_says_can_not_break_a_lock(text: str) -> None:
    a = fake("a-1.0-py3-none-any.whl", requires_python=text, upload_time=f"2026-01-02T03:04:05Z{text}" if text else "x")
    _, pylock = lock(manifest([a], resolution(a.file.filename)))
    (package,) = pylock.packages
    assert (package.requires_python is None) == (text not in VALID)
    assert package.wheels is not None
    assert package.wheels[0].upload_time is None


@pytest.mark.parametrize(
    "time",
    [
        "2026-02-30T00:00:00Z",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "٢٠٢٦-01-02T03:04:05Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_a_time_that_is_none_is_left_out(time: str) -> None:
    a = fake("a-1.0-py3-none-any.whl", upload_time=time)
    _, pylock = lock(manifest([a], resolution(a.file.filename)))
    assert pylock.packages[0].wheels is not None
    assert pylock.packages[0].wheels[0].upload_time is None


def test_our_check_of_a_pylock_does_check() -> None:
    a = fake("a-1.0-py3-none-any.whl")
    made = manifest([a], resolution(a.file.filename))
    text = locks(made)["pylock.main-3_11-manylinux_2_28_x86_64.toml"]
    with pytest.raises(PylockValidationError):
        Pylock.from_dict(tomllib.loads(text.replace('version = "1.0"\nwheels', 'version = "1.1"\nwheels')))


# ---- names ----------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"(pylock\.[^.]+\.toml|[A-Za-z0-9][A-Za-z0-9._+-]*\.requirements\.txt)")


def named(pairs: Sequence[tuple[str, str]], channel: str = "default") -> Manifest:
    """A manifest with a resolution of each set on each target of these pairs."""
    a = fake("a-1.0-py3-none-any.whl")
    targets = {name: replace(TARGET, name=Label(name)) for _, name in pairs}
    made = [resolution(a.file.filename, of=name, on=targets[target]) for name, target in pairs]
    return manifest([a], *made, targets=tuple(targets.values()), channel=channel)


def test_dots_are_respelt_in_the_name_of_a_pylock_alone() -> None:
    assert sorted(locks(named([("dev", "3.12.4-alpine3.20-x86_64")]))) == [
        "dev-3.12.4-alpine3.20-x86_64.requirements.txt",
        "pylock.dev-3_12_4-alpine3_20-x86_64.toml",
    ]


@pytest.mark.parametrize(
    "pairs",
    [
        [("a-b", "c"), ("a", "b-c")],
        [("a.b", "c"), ("a_b", "c"), ("A-b", "c")],
        [("dev", "c"), ("Dev", "c"), ("DEV", "c")],
        [("s" * 100, "t" * 100), ("s" * 100, "t" * 99 + "u"), ("s" * 100, "T" * 100)],
    ],
)
def test_no_two_locks_share_a_name_on_any_disk(pairs: list[tuple[str, str]]) -> None:
    for order in (pairs, pairs[::-1]):
        made = named(order)
        names = locks(made)
        assert len({name.casefold() for name in names}) == len(names) == 2 * len(pairs)
        assert all(_NAME.fullmatch(name) and len(name) <= 200 for name in names)
        # The very same names, however they are ordered, each with the same content.
        assert names == locks(named(pairs))
        # And the gate of manifests lets them in.
        pages = {page.path: page.data for page in lock_pages(made)}
        assert read(packed(pages))[1] == pages


# ---- trees ----------------------------------------------------------------------------------------------------------


def tree(*manifests: Manifest, **options: Any) -> Composition:  # noqa: ANN401 - those of compose
    return compose([accepted(each) for each in manifests], **options)


def test_a_tree_of_one_bundle_has_the_locks_of_the_bundle() -> None:
    made = example().manifest
    assert locks(tree(made)) == locks(made)
    assert {page.path for page in bundle_members(made)} >= {f"locks/{name}" for name in locks(made)}


def test_the_newest_bundle_of_a_channel_has_the_say() -> None:
    old, new = fake("a-1.0-py3-none-any.whl"), fake("a-2.0-py3-none-any.whl")
    first = manifest([old], resolution(old.file.filename))
    second = manifest([new], resolution(new.file.filename), sequence=first.sequence + 1)
    in_house = manifest([fake("own-1.0-py3-none-any.whl")], sequence=first.sequence + 2)
    lines, _ = lock(tree(first, second, in_house))
    assert lines[2].startswith("a==2.0 ")


def test_two_channels_that_would_share_a_name_put_theirs_before_it() -> None:
    made = [named([("dev", "c"), (channel, "c")], channel=channel) for channel in ("one", "two")]
    assert sorted(name for name in locks(tree(*made)) if name.endswith(".txt")) == [
        "one-c.requirements.txt",
        "one-dev-c.requirements.txt",
        "two-c.requirements.txt",
        "two-dev-c.requirements.txt",
    ]


def test_a_lock_whose_files_an_upper_channel_hides_is_left_out_and_told() -> None:
    a, b, own = (fake(f"{name}-py3-none-any.whl") for name in ("a-1.0", "b-1.0", "a-9.0"))
    outside = manifest(
        [a, b], resolution(a.file.filename, b.file.filename), resolution(b.file.filename, of="other"), channel="outside"
    )
    team = manifest([own], channel="team")
    found = locks(tree(outside, team, channels=channels("team", "outside")))
    told = found.pop(LEFT_OUT.removeprefix("locks/"))
    assert all(name.removeprefix("pylock.").startswith("other-") for name in found)
    assert told.splitlines()[-1] == (
        "main-3.11-manylinux_2_28_x86_64: a-1.0-py3-none-any.whl is not offered: channel team hides it"
    )
    assert LEFT_OUT.removeprefix("locks/") not in locks(tree(outside, team, channels=channels("outside", "team")))


def test_a_lock_whose_sdist_can_not_be_built_any_more_is_left_out() -> None:
    samples = [fake("a-1.0.tar.gz", build_requires=("t",)), fake("t-1.0.tar.gz", build_requires=("u",))]
    samples += [fake("u-1.0-py3-none-any.whl")]
    made = manifest(
        samples,
        resolution("a-1.0.tar.gz"),
        resolution("t-1.0.tar.gz", of="build-a"),
        resolution("u-1.0-py3-none-any.whl", of="build-t"),
        builds={"build-a": "a-1.0.tar.gz", "build-t": "t-1.0.tar.gz"},
    )
    assert len(locks(made)) == 2
    team = manifest([fake("u-0.1-py3-none-any.whl")], channel="team")
    assert list(locks(tree(made, team, channels=channels("team")))) == [LEFT_OUT.removeprefix("locks/")]


def test_a_pin_that_is_yanked_by_now_is_locked_only_where_it_was_asked_for_by_its_version() -> None:
    a = fake("a-1.0-py3-none-any.whl", yanked="bad")
    exact = resolution(a.file.filename)
    assert len(locks(manifest([a], exact))) == 2
    loose = replace(exact, pins=(replace(exact.pins[0], wanted_by=(Want(by="r.txt:1", text="a"),)),))
    assert list(locks(manifest([a], loose))) == [LEFT_OUT.removeprefix("locks/")]
