from __future__ import annotations

import itertools

import pytest

from pypimirror.errors import PolicyFault
from pypimirror.tree.compose import Composition, compose
from tests.tree.helpers import accepted, channels, fake, make_manifest

OLD, NEW = 1_790_000_000, 1_790_000_100


def names(composition: Composition) -> list[str]:
    return [file.filename for file in composition.files]


def test_bundles_of_one_channel_add_up() -> None:
    first = make_manifest([fake("a-1.0-py3-none-any.whl")], sequence=OLD)
    second = make_manifest([fake("a-2.0-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl")], sequence=NEW)
    composition = compose(map(accepted, (first, second)))
    assert names(composition) == ["a-1.0-py3-none-any.whl", "a-2.0-py3-none-any.whl", "b-1.0-py3-none-any.whl"]


def test_the_order_of_arrival_changes_nothing() -> None:
    bundles = [
        accepted(make_manifest([fake(f"a-{n}.0-py3-none-any.whl")], sequence=OLD + n, channel=channel))
        for n, channel in itertools.product(range(3), ("x", "y"))
    ]
    compositions = [compose(order) for order in itertools.permutations(bundles, len(bundles))]
    assert all(each == compositions[0] for each in compositions)


def test_the_highest_sequence_that_lists_a_file_says_what_it_is() -> None:
    file = fake("a-1.0-py3-none-any.whl", requires_python=">=3.8")
    bundles = [
        accepted(make_manifest([file], sequence=OLD, statuses={"a": ("active", "")})),
        accepted(make_manifest([file.but(yanked="broken")], sequence=NEW, statuses={"a": ("archived", "moved")})),
        accepted(make_manifest([fake("b-1.0-py3-none-any.whl")], sequence=NEW + 1)),
    ]
    a = compose(bundles).projects[0]
    assert (a.files[0].yanked, a.status, a.reason) == ("broken", "archived", "moved")


def test_metadata_that_only_an_older_bundle_had_is_kept() -> None:
    file = fake("a-1.0-py3-none-any.whl")
    bundles = [make_manifest([file], sequence=OLD), make_manifest([file.but(metadata=None)], sequence=NEW)]
    assert compose(map(accepted, bundles)).projects[0].files[0].metadata == file.file.metadata


def test_a_project_of_an_upper_channel_hides_the_same_project_below_whole() -> None:
    outside = make_manifest([fake("a-9.0-py3-none-any.whl"), fake("b-1.0-py3-none-any.whl")], channel="default")
    inside = make_manifest([fake("a-1.0-py3-none-any.whl")], channel="inside")
    both = [accepted(outside), accepted(inside)]
    upper = compose(both, channels=channels("inside"))
    assert names(upper) == ["a-1.0-py3-none-any.whl", "b-1.0-py3-none-any.whl"]
    assert upper.channels == channels("inside", "default")
    assert names(compose(both)) == ["a-9.0-py3-none-any.whl", "b-1.0-py3-none-any.whl"]


def test_a_hidden_file_with_other_bytes_does_no_harm() -> None:
    outside = make_manifest([fake("a-1.0-py3-none-any.whl", b"theirs")], channel="default")
    inside = make_manifest([fake("a-1.0-py3-none-any.whl", b"ours")], channel="inside")
    composition = compose(map(accepted, (outside, inside)), channels=channels("inside"))
    assert [file.sha256 for file in composition.files] == [inside.files[0].sha256]


@pytest.mark.parametrize("other", ["a-1.0-py3-none-any.whl", "A-1.0-py3-none-any.whl"])
def test_one_name_with_two_contents_is_refused_and_both_bundles_are_named(other: str) -> None:
    first = accepted(make_manifest([fake("a-1.0-py3-none-any.whl", b"one")], sequence=OLD))
    second = accepted(make_manifest([fake(other, b"two")], sequence=NEW))
    with pytest.raises(PolicyFault) as caught:
        compose([first, second])
    assert caught.value.code == "two-contents"
    assert first.digest in str(caught.value)
    assert second.digest in str(caught.value)


def test_two_metadata_siblings_of_one_file_are_refused() -> None:
    file = fake("a-1.0-py3-none-any.whl")
    assert file.file.metadata is not None
    forged = file.but(metadata=fake("b-1.0-py3-none-any.whl").file.metadata)
    with pytest.raises(PolicyFault, match=r"a-1\.0-py3-none-any\.whl\.metadata has two contents"):
        compose(map(accepted, (make_manifest([file], sequence=OLD), make_manifest([forged], sequence=NEW))))


def test_two_bundles_of_one_sequence_are_refused_and_both_are_printed() -> None:
    bundles = [accepted(make_manifest([fake(f"{name}-1.0-py3-none-any.whl")])) for name in "ab"]
    with pytest.raises(PolicyFault) as caught:
        compose(bundles)
    assert caught.value.code == "two-bundles-one-sequence"
    assert all(each.digest in str(caught.value) for each in bundles)
    assert compose([bundles[0], bundles[0]]).bundles == (bundles[0],)


@pytest.mark.parametrize(
    ("wanted", "constraints", "pinned"),
    [
        ("a==1.0", (), True),
        ("a===1.0", (), True),
        ("A[extra]==1.0; python_version > '3'", (), True),
        ("a==1.*", (), False),
        ("a<2", (), False),
        ("a", ("a==1.0",), True),
        ("a", ("b==1.0",), False),
        ("not a requirement ==1", (), False),
    ],
)
def test_a_yanked_file_counts_as_pinned_only_by_an_exact_pin(
    wanted: str, constraints: tuple[str, ...], *, pinned: bool
) -> None:
    name = "a-1.0-py3-none-any.whl"
    manifest = make_manifest([fake(name, yanked="")], pins={name: wanted}, constraints=constraints)
    (project,) = compose([accepted(manifest)]).projects
    assert project.pinned == ({name} if pinned else set())


def test_versions_stand_in_their_order_not_in_that_of_text() -> None:
    samples = [fake(f"a-{version}-py3-none-any.whl") for version in ("10.0", "9.0", "1!0.1", "9.0rc1")]
    (project,) = compose([accepted(make_manifest(samples))]).projects
    assert [str(version) for version in project.versions] == ["9.0rc1", "9.0", "10.0", "1!0.1"]
