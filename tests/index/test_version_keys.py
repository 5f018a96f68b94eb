"""Keys stand for versions: they are in the same order, and equal where the versions are."""

from __future__ import annotations

import itertools
import random

import pytest

from pypimirror.index.version_keys import is_final, version_key
from pypimirror.model.names import Version

RELEASES = ("0", "0.0", "1", "1.0", "1.0.0", "1.0.1", "01.2", "1.2", "1.10", "2023.8.1", "1!0.5", "1!1", "0!1")
PRES = ("", "a0", "a1", "a10", "b1", "rc1", "c1", "alpha1", "-beta.2", ".rc.1", "RC2", "a", "pre3")
POSTS = ("", ".post0", ".post1", ".post10", "-1", "post2", ".rev3", ".post")
DEVS = ("", ".dev0", ".dev1", ".dev10", "dev2", "-dev")
LOCALS = ("", "+cpu", "+1", "+10", "+cpu.1", "+Cpu", "+1.cpu", "+ubuntu-1", "+0")
SPELT = [f"{a}{b}{c}{d}{e}" for a in RELEASES for b in PRES for c in POSTS for d in DEVS for e in LOCALS]


def test_keys_are_in_the_order_of_versions_and_equal_where_they_are() -> None:
    dice = random.Random(6)  # noqa: S311 - the same versions every time
    some = [*dice.sample(SPELT, 3000), *(f"{a}{b}{c}" for a in RELEASES for b in PRES[:6] for c in DEVS)]
    pairs = sorted(((Version(text), version_key(text)) for text in some), key=lambda pair: pair[0])
    for (lower, low), (higher, high) in itertools.pairwise(pairs):
        assert low is not None
        assert high is not None
        assert ((low == high), (low < high)) == ((lower == higher), (lower < higher)), (lower, higher)
        assert is_final(low) is not lower.is_prerelease


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".1", "1..2", "x", "1.0-", "1_0+", "\u0661", "1.\u0662", "\u00b2", "1" * 201, "9" * 5000, "+1"],
)
def test_what_spells_no_version_that_a_file_can_have_has_no_key(text: str) -> None:
    assert version_key(text) is None


@pytest.mark.parametrize("text", ["v1.0", " 1.0", "1.0\n", "1_0", "1.0-1", "1.0.DEV3", "1.0.0-ALPHA"])
def test_odd_spellings_are_read_as_version_reads_them(text: str) -> None:
    try:
        version = Version(text)
    except ValueError:
        assert version_key(text) is None
    else:
        assert version_key(text) == version_key(str(version))
