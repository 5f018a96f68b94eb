"""A shelf tells at once which of its versions a specifier admits; it must say what asking one by one would."""

from __future__ import annotations

from itertools import product

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pypimirror.model import aim
from pypimirror.model.names import NormalizedName, Version
from pypimirror.model.requests import Policy
from pypimirror.resolve.judge import Judge
from pypimirror.resolve.shelf import Shelf
from tests.fakes.universe import Universe

RELEASES = ("0.9", "1.0", "1.0.1", "1.1", "2.0", "1!0.5")
ENDINGS = ("", ".dev1", "a1", "a1.dev2", "rc1", "rc1.post1", ".post1", ".post1.dev3", "+local", "+local.2", ".post1+l")
OPERATORS = ("", ">=", "<=", "<", ">", "==", "!=", "~=", "===")
BOUNDS = [f"{release}{ending}" for release, ending in product(("1.0", "1.1", "1.0.2", "3"), ENDINGS)]
JUDGE = Judge(aim.target("3.11", "manylinux_2_28_x86_64"), 0)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    universe = Universe()
    for release, ending in product(RELEASES, ENDINGS):
        universe.add("a", f"{release}{ending}")
    listing = universe.listing(NormalizedName("a"))
    assert listing is not None
    return Shelf(listing, JUDGE, Policy())


def specifiers() -> list[SpecifierSet]:
    made = [SpecifierSet("==1.0.*"), SpecifierSet("!=1.*,>0.9"), SpecifierSet(">=1.0,<2.0a.0"), SpecifierSet()]
    for operator, bound in product(OPERATORS, BOUNDS):
        try:
            made.append(SpecifierSet(operator + bound))
        except InvalidSpecifier:  # "~=3", and local versions where there is an order
            continue
    return made


def test_the_bits_of_a_specifier_are_the_versions_that_it_admits_one_by_one(shelf: Shelf) -> None:
    every = specifiers()
    assert len(every) > 250
    for specifier in every:
        one_by_one = [version for version in shelf.versions if specifier.contains(version, prereleases=True)]
        assert list(shelf.each(shelf.admitted(specifier))) == one_by_one, str(specifier)


def test_versions_come_newest_first_and_finals_are_told_apart(shelf: Shelf) -> None:
    assert list(shelf.each(shelf.admitted(SpecifierSet()))) == sorted(shelf.versions, reverse=True)
    assert set(shelf.each(shelf.finals)) == {version for version in shelf.versions if not version.is_prerelease}


def test_a_single_version_has_its_own_bit_and_an_unknown_one_none(shelf: Shelf) -> None:
    for version in shelf.versions:
        assert list(shelf.each(shelf.exactly(version))) == [version]
    assert list(shelf.each(shelf.exactly(Version("1.0.0")))) == [Version("1.0")]
    assert shelf.exactly(Version("7")) == 0
