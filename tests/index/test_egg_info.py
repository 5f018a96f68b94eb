"""requires.txt of an old sdist: what setuptools writes is read back as it was meant, and what is none is refused."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pypimirror.index.egg_info import requires_dist
from tests.interpreters import interpreter

OLD = """\
simple>=1,<2
with_extras[a,b]
at @ https://files.example/at.zip

[:python_version < "3"]
old

[:(sys_platform == "win32") or (os_name == "nt")]
either

[Test_Extra]
pytest

[Test_Extra:python_version < "3"]
mock; sys_platform == "linux"

[empty]
"""


def test_sections_become_markers_and_extras() -> None:
    read = requires_dist(OLD)
    assert read is not None
    expected = (
        "simple<2,>=1",
        "with_extras[a,b]",
        "at @ https://files.example/at.zip",
        'old; python_version < "3"',
        'either; sys_platform == "win32" or os_name == "nt"',
        'pytest; extra == "test-extra"',
        'mock; sys_platform == "linux" and python_version < "3" and extra == "test-extra"',
    )
    assert tuple(map(Requirement, read[0])) == tuple(map(Requirement, expected))
    assert read[1] == ("test-extra", "empty")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "\r\n"])
def test_an_empty_file_means_no_requirements(text: str) -> None:
    assert requires_dist(text) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "not a requirement",
        "a >> 1",
        "a==1.0-final-draft",
        "[extra",
        "[a][b]\nx",
        "[extra:not a marker]\nx",
        "[:'a' ==]\nx",
        '[:python_version < "3" and (]\nx',
        '[:python_version < "3") or (os_name == "nt"]\nx',
        "<html>",
        "a\n\x00",
        "a;b",
        "-e .",
        "a\n" * 10_001,
    ],
)
def test_a_line_that_cannot_be_read_takes_all_belief(text: str) -> None:
    assert requires_dist(text) is None


def test_an_address_keeps_its_marker_apart() -> None:
    read = requires_dist("[x]\nat @ https://files.example/at.zip\n")
    assert read is not None
    (requirement,) = map(Requirement, read[0])
    assert (requirement.url, str(requirement.marker)) == ("https://files.example/at.zip", 'extra == "x"')


@pytest.mark.parametrize(("name", "extra"), [("Some.Extra", "some-extra"), ("two words", "two-words"), ("a+b", "a-b")])
def test_an_extra_is_named_as_its_wheel_would_name_it(name: str, extra: str) -> None:
    assert requires_dist(f"[{name}]\nx\n") == ((f'x; extra == "{extra}"',), (extra,))


@pytest.mark.parametrize("name", ['"', "-", "'] or ['", "\u00e9", "x\"; os_name == 'nt"])
def test_an_extra_that_cannot_be_named_is_never_put_into_a_marker(name: str) -> None:
    read = requires_dist(f"a\n[{name}]\nb\n[fine]\nc\n")
    if read is not None:
        assert not [text for text in read[0] if "os_name" in text]
        assert all(extra == canonicalize_name(extra) and extra.replace("-", "").isalnum() for extra in read[1])


def test_a_line_of_any_length_takes_bounded_time() -> None:
    begun = time.monotonic()
    for text in ("[" * 1_000_000, "a" * 1_000_000, "[a:" * 300_000):
        assert requires_dist(text) is None
    for deep in ("(" * 5_000, "(" * 100_000):
        marker = f"{deep}os_name == 'x'{')' * len(deep)}"
        assert requires_dist(f"[a:{marker}]\nx") is None
        assert requires_dist(f"x; {marker}") is None
    assert time.monotonic() - begun < 10


# ---- what setuptools writes -----------------------------------------------------------------------------------------

WRITE = """
import json, pathlib, sys
from setuptools import Distribution
from setuptools.command import egg_info
for number, facts in enumerate(json.loads(sys.argv[1])):
    distribution = Distribution({"name": "thing", "version": "1.0", **facts})
    command = egg_info.egg_info(distribution)
    path = pathlib.Path(sys.argv[2], str(number))
    egg_info.write_requirements(command, path.name, str(path))
"""

Facts = Mapping[str, object]
MARKERS = (
    "",
    "python_version < '3'",
    'python_version >= "3.10" and sys_platform == "linux"',
    "sys_platform == 'win32' or os_name == 'nt'",
    "(python_version<'3' or sys_platform=='darwin') and platform_python_implementation != 'PyPy'",
    'platform_machine in "x86_64 aarch64"',
)
NAMES = ("a", "b>=1,<2", "C_c[x,y]", "d.d~=1.4", "e==1.*", "f @ https://files.example/f.zip")
EXTRAS = ("test", "All_Of", "dev.more")


def _facts(chance: random.Random) -> dict[str, object]:
    def some() -> list[str]:
        return [
            f"{name} ; {marker}" if marker else name
            for name in chance.sample(NAMES, chance.randrange(4))
            for marker in chance.sample(MARKERS, chance.randrange(1, 3))
        ]

    extras: dict[str, list[str]] = {extra: some() for extra in chance.sample(EXTRAS, chance.randrange(4))}
    if extras and chance.random() < 0.3:
        extras[f"{next(iter(extras))}:{chance.choice(MARKERS[1:3])}"] = ["old-style"]
    return {"install_requires": some(), "extras_require": extras}


def _written(all_facts: Sequence[Facts], folder: Path) -> list[str]:
    """The requires.txt of each; one that has nothing to say is not written. Skips where there is no setuptools."""
    for minor in (11, 10, 9, 8, 12, 13):
        try:
            python = interpreter(minor)
        except pytest.skip.Exception:
            continue
        command = [python, "-I", "-W", "ignore", "-c", WRITE, json.dumps(all_facts), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)
        if done.returncode == 0:
            paths = (folder / str(number) for number in range(len(all_facts)))
            return [path.read_text("utf-8") if path.exists() else "" for path in paths]
        assert "No module named" in done.stderr, done.stderr
    pytest.skip("no setuptools here")


def _meant(facts: Facts) -> list[tuple[str, Requirement]]:
    """The extra, or nothing, under which each requirement holds; a key may have a marker, too."""
    base, extras = facts["install_requires"], facts["extras_require"]
    assert isinstance(base, list)
    assert isinstance(extras, dict)
    found = [("", Requirement(text)) for text in base]
    for key, texts in extras.items():
        extra, _, marker = key.partition(":")
        found += [(extra, Requirement(f"{text} ; {marker}" if marker else text)) for text in texts]
    return found


def _active(found: Iterable[tuple[str, Requirement]], asked: str, environment: Mapping[str, str]) -> set[str]:
    """What is to be installed where the extra *asked* is."""
    active = set()
    for extra, requirement in found:
        holds = requirement.marker is None or requirement.marker.evaluate({**environment, "extra": asked})
        if holds and extra in ("", asked):
            requirement.marker, kept = None, requirement.marker
            active.add(str(requirement))
            requirement.marker = kept
    return active


def test_what_setuptools_writes_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    chance = random.Random(4)  # noqa: S311 - the same cases each time
    cases = [_facts(chance) for _ in range(60)]
    here = {key: str(value) for key, value in default_environment().items()}
    environments = [
        {**here, "python_version": version, "sys_platform": system, "os_name": name, "platform_machine": machine}
        for version, (system, name), machine in itertools.product(
            ("2.7", "3.9", "3.12"), (("linux", "posix"), ("win32", "nt"), ("darwin", "posix")), ("x86_64", "i686")
        )
    ]
    for facts, text in zip(cases, _written(cases, tmp_path), strict=True):
        read = requires_dist(text)
        assert read is not None, text
        extras = facts["extras_require"]
        assert isinstance(extras, dict)
        plain = {key for key in extras if ":" not in key}
        assert set(read[1]) == {canonicalize_name(key) for key in plain}
        stated = [("", Requirement(each)) for each in read[0]]
        for environment, asked in itertools.product(environments, ("", *sorted(plain))):
            got = _active(stated, canonicalize_name(asked), environment)
            assert got == _active(_meant(facts), asked, environment), (facts, text, asked)
