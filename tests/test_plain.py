"""Values as plain data and back: the round trip, and that nothing else gets through."""

from __future__ import annotations

import json

import pytest
from packaging.requirements import Requirement

from pypimirror.model.files import CoreMetadata, ListedFile, Refusal, Rejection
from pypimirror.model.names import Version, parse_file_name, project_name
from pypimirror.model.plain import plain, value_of, values_of
from pypimirror.model.reading import Malformed
from pypimirror.model.requests import FormatControl, Origin, Policy, Root
from pypimirror.model.targets import PatchRange
from tests.net.helpers import TARGETS, request

VALUES = [
    PatchRange(lowest=3),
    ListedFile(
        name=parse_file_name("Demo_Pkg-1.0-2rc-py3-none-any.whl"),
        url="https://files.example/x",
        hashes=(("md5", "0" * 32), ("sha256", "1" * 64)),
        core_metadata=(),
        yanked="",
    ),
    ListedFile(name=parse_file_name("a-b-c-1.0.tar.gz", project=project_name("a-b-c")), url="https://files.example/y"),
    CoreMetadata(
        project=project_name("demo"),
        version=Version("1!2.0.post1+local"),
        dynamic=frozenset({"b", "a"}),
        build_requires=(),
    ),
    Rejection(filename="x.whl", reason=Refusal.QUARANTINED, version=None),
    Policy(
        formats=FormatControl(only_binary=frozenset({":all:"})),
        withdrawn=frozenset({(project_name("a"), Version("1"))}),
    ),
    Root(requirement=Requirement("demo[b,a]>=1,<2; python_version < '3.9'"), origin=Origin(path="r.txt", line=2)),
    request("top>1", "other").sets[0],
    TARGETS[0],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_was_written_as_json_is_read_as_the_same_value(value: object) -> None:
    data = json.loads(json.dumps(plain(value)))
    assert value_of(type(value), data) == value
    assert values_of(type(value), [data, data]) == (value, value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_of_another_shape_is_refused(value: object) -> None:
    data = json.loads(json.dumps(plain(value)))
    several: list[object] = [[*data, None], data[:-1], [[]] * len(data), [7.5] * len(data), {}, "x", None, 7, True]
    for wrong in several:
        with pytest.raises(Malformed):
            value_of(type(value), wrong)


def test_a_truth_is_no_number_and_a_name_must_be_one() -> None:
    with pytest.raises(Malformed):
        value_of(PatchRange, [True, None])
    with pytest.raises(Malformed, match="no ListedFile"):
        value_of(ListedFile, ["../x.whl", *[None] * 9])
    with pytest.raises(Malformed, match="is none of"):
        value_of(Rejection, ["x.whl", "because", "", None])


def test_equal_sets_are_equal_data() -> None:
    names = [f"project{number}" for number in range(50)]
    assert plain(FormatControl(no_binary=frozenset(names))) == plain(FormatControl(no_binary=frozenset(names[::-1])))


def test_what_has_no_plain_form_is_told() -> None:
    with pytest.raises(TypeError, match="no plain form of object"):
        plain(object())
    with pytest.raises(TypeError, match="no plain form of float"):
        plain((1.5,))
