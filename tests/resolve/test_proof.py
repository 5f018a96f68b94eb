"""The proof: what a plan holds is enough to solve it again, and what is missing is noticed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from packaging.requirements import Requirement

from pypimirror.bundle.sealing import make_manifest
from pypimirror.errors import Incomplete, IntegrityFault, PolicyFault, ResolutionFault
from pypimirror.model import aim, manifest_json
from pypimirror.model.files import CoreMetadata, ListedFile
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import label, parse_file_name
from pypimirror.model.plan import Plan, VerifiedFile
from pypimirror.model.requests import Origin, Policy, Root, WishSet
from pypimirror.reporting import Reporter
from pypimirror.resolve.planning import make_plan
from pypimirror.resolve.proof import prove
from tests.fakes.universe import Universe
from tests.resolve.test_scenarios import SOLVABLE, plan, universe

TARGET = aim.target("3.11", "manylinux_2_28_x86_64")


def sealed(made: Plan) -> Manifest:
    """The manifest of a plan, as if every file had been fetched."""
    verified = [
        VerifiedFile(
            planned=file,
            path=file.filename,
            sha256=hashlib.sha256(file.filename.encode()).hexdigest(),
            size=1,
            metadata_path=None,
            metadata_sha256=None,
            metadata_size=None,
        )
        for file in made.files
    ]
    return make_manifest(made, verified, channel=label("default"), sequence=1, tool="test")


@pytest.mark.parametrize("scenario", list(SOLVABLE.values()), ids=SOLVABLE)
def test_every_plan_of_the_scenarios_proves_itself_after_its_way_through_json(scenario: dict[str, Any]) -> None:
    manifest = sealed(plan(scenario, universe(scenario)))
    prove(manifest_json.parse(manifest_json.dump(manifest)))


def test_a_file_that_only_some_patch_releases_want_is_missed_when_it_is_not_there() -> None:
    index = Universe()
    index.add("a", "1.0", requires=["b; python_full_version >= '3.11.5'"])
    index.add("b", "1.0")
    manifest = sealed(_plan(index, "a"))
    newest, oldest = manifest.resolutions
    assert newest.patches.lowest == 5
    # As if the two intervals had been taken for one.
    joined = replace(oldest, patches=TARGET.patches)
    with pytest.raises(Incomplete) as caught:
        prove(replace(manifest, resolutions=(joined,)))
    assert "b" in str(caught.value)


def test_a_requires_python_of_which_the_index_knows_nothing_stands_in_the_manifest() -> None:
    index = Universe()
    index.add("a", "1.0")
    index.add("a", "2.0", requires_python=">=3.8", metadata_python=">=3.12")
    index.add("b", "1.0", requires_python=">=3.8, <4", metadata_python="<4,>=3.8")
    targets = (TARGET, aim.target("3.12", "manylinux_2_28_x86_64"))
    made = make_plan((_wishes(_root("a"), _root("b")),), targets, index, Reporter())
    manifest = sealed(made)
    assert [file.requires_python for file in manifest.files] == [None, ">=3.8,>=3.12", ">=3.8, <4"]
    assert prove(manifest) == ()


# ---- files that a person named --------------------------------------------------------------------------------------


def _root(text: str, *hashes: tuple[str, str], direct: ListedFile | None = None) -> Root:
    return Root(
        requirement=Requirement(text), origin=Origin(path="requirements.txt", line=1), hashes=hashes, direct=direct
    )


def _wishes(*roots: Root) -> WishSet:
    return WishSet(name=label("default"), roots=roots, policy=Policy())


def _plan(index: Universe, *roots: Root | str) -> Plan:
    wishes = _wishes(*(_root(root) if isinstance(root, str) else root for root in roots))
    return make_plan((wishes,), (TARGET,), index, Reporter())


def _named(index: Universe, *hashes: tuple[str, str]) -> ListedFile:
    """A file that the index knows nothing of, but whose metadata can be read."""
    index.add("mine", "1.0")
    release = index.projects.pop(parse_file_name("mine-1.0.tar.gz").project)["1.0"]
    file = replace(release.files[0], hashes=hashes, url="file:///wheels/mine-1.0-py3-none-any.whl", index="direct")
    index.direct[file.name.filename] = release.metadata
    return file


ONE, OTHER = ("sha256", "1" * 64), ("sha256", "2" * 64)


def test_a_hash_given_for_a_named_file_is_what_its_download_is_held_to() -> None:
    index = Universe()
    made = _plan(index, _root("mine==1.0", ONE, direct=_named(index)))
    assert made.files[0].listed.hashes == (ONE,)


def test_a_named_file_whose_address_states_another_hash_than_the_one_given_is_refused() -> None:
    index = Universe()
    with pytest.raises(ResolutionFault, match="1 file: 1 not among the hashes given"):
        _plan(index, _root("mine==1.0", ONE, direct=_named(index, OTHER)))


def test_no_index_is_asked_for_a_project_that_a_person_named_as_a_file() -> None:
    index = Universe()
    _plan(index, _root("mine==1.0", direct=_named(index)))
    assert "listing mine" not in index.asked


def test_one_address_with_and_without_a_hash_is_one_file_and_another_address_is_not() -> None:
    index = Universe()
    file = _named(index)
    roots = _root("mine==1.0; sys_platform == 'linux'", direct=file), _root("mine==1.0", ONE, direct=file)
    targets = (TARGET, aim.target("3.11", "win_amd64"))
    made = make_plan((_wishes(*roots),), targets, index, Reporter())
    assert [each.filename for each in made.files] == ["mine-1.0-py3-none-any.whl"]
    elsewhere = replace(file, url="https://files.example/mine-1.0-py3-none-any.whl")
    roots = (
        _root("mine==1.0; sys_platform == 'linux'", direct=file),
        _root("mine==1.0; sys_platform == 'win32'", direct=elsewhere),
    )
    with pytest.raises(PolicyFault) as caught:
        make_plan((_wishes(*roots),), targets, index, Reporter())
    assert caught.value.code == "two-contents"


# ---- files that are not what they say -----------------------------------------------------------------------------


class _Broken(Universe):
    """An index with one file whose inside is of something else."""

    def core_metadata(self, file: ListedFile) -> CoreMetadata:
        if str(file.name.version) == "2.0":
            raise IntegrityFault(f"{file.name.filename}: its metadata is of 'b' '2.0'", code="metadata-mismatch")
        return super().core_metadata(file)


def test_a_broken_file_that_the_search_only_looks_at_does_not_end_it() -> None:
    index = _Broken()
    index.add("a", "1.0")
    index.add("a", "2.0")
    index.add("b", "1.0", requires=["a<2"])
    (resolution,) = _plan(index, "a", "b").resolutions
    assert [(pin.project, str(pin.version)) for pin in resolution.pins] == [("a", "1.0"), ("b", "1.0")]


@pytest.mark.parametrize("versions", [("2.0",), ("1.0", "2.0")])
def test_a_broken_file_that_would_be_taken_is_told_as_what_it_is(versions: tuple[str, ...]) -> None:
    index = _Broken()
    for version in versions:
        index.add("a", version)
    with pytest.raises(IntegrityFault) as caught:
        _plan(index, "a")
    assert caught.value.code == "metadata-mismatch"
