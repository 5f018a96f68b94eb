"""Each file of ``tests/scenarios`` holds small worlds: an index, wishes and targets, and what must come of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from pypimirror.errors import PypimirrorError
from pypimirror.index.port import Index
from pypimirror.model import aim
from pypimirror.model.files import ProjectStatus
from pypimirror.model.names import label, project_name
from pypimirror.model.plan import Plan
from pypimirror.model.requests import Constraint, FormatControl, Origin, Policy, Root, WishSet
from pypimirror.reporting import Reporter
from pypimirror.resolve.planning import make_plan
from tests.fakes.universe import Universe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent.parent / "scenarios"
DEFAULT_TARGET = "3.11 manylinux_2_28_x86_64"


def _read() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(FOLDER.glob("*.toml")):
        for scenario in tomllib.loads(path.read_text("utf-8"))["scenario"]:
            yield f"{path.stem}: {scenario['intent']}", scenario


EVERY = dict(_read())
SOLVABLE = {name: scenario for name, scenario in EVERY.items() if "error" not in scenario}


def universe(scenario: dict[str, Any]) -> Universe:
    made = Universe()
    for project, versions in scenario.get("index", {}).items():
        name = project_name(project)
        made.projects.setdefault(name, {})
        for version, facts in versions.items():
            if version == "status":
                made.statuses[name] = ProjectStatus(status=facts, reason=versions.get("reason", ""))
            elif version == "also_on":
                made.also_on[name] = tuple(facts)
            elif version != "reason":
                for each in facts if isinstance(facts, list) else [facts]:
                    made.add(project, version, **each)
    return made


def wish_set(scenario: dict[str, Any]) -> WishSet:
    policy = dict(scenario.get("policy", {}))
    formats = FormatControl(
        only_binary=frozenset(policy.pop("only_binary", ())), no_binary=frozenset(policy.pop("no_binary", ()))
    )
    return WishSet(
        name=label("default"),
        roots=tuple(
            Root(
                requirement=Requirement(text.partition(" --hash=")[0]),
                origin=Origin(path="requirements.txt", line=line),
                hashes=tuple((h.partition(":")[0], h.partition(":")[2]) for h in text.split(" --hash=")[1:]),
            )
            for line, text in enumerate(scenario["roots"], 1)
        ),
        constraints=tuple(
            Constraint(requirement=Requirement(text), origin=Origin(path="constraints.txt", line=line))
            for line, text in enumerate(scenario.get("constraints", ()), 1)
        ),
        policy=Policy(formats=formats, **policy),
    )


def plan(scenario: dict[str, Any], index: Index) -> Plan:
    targets = tuple(aim.target(*words.split()) for words in scenario.get("targets", [DEFAULT_TARGET]))
    bounds = tuple(
        Constraint(requirement=Requirement(text), origin=Origin(path="builds.txt", line=line))
        for line, text in enumerate(scenario.get("build_constraints", ()), 1)
    )
    return make_plan((wish_set(scenario),), targets, index, Reporter(), build_constraints=bounds)


def outcome(made: Plan, *, builds: bool = False) -> dict[str, dict[str, str]]:
    """Pins by target; the patch releases stand behind a target's name where they were split.

    With *builds* those of the sets that build sdists, and of no others; their names come first.
    """
    minors = {target.name: target.environment.python_version for target in made.targets}
    several = len(made.targets) > 1
    found: dict[str, dict[str, str]] = {}
    building = {wishes.name for wishes in made.sets if wishes.builds is not None}
    for resolution in made.resolutions:
        if (resolution.set in building) is not builds:
            continue
        patches = resolution.patches.describe(minors[resolution.target])
        target = f"{resolution.target} " if several else ""
        of_set = f"{resolution.set} " if builds else ""
        found[f"{of_set}{target}{patches}"] = {
            pin.project + (f"[{','.join(pin.extras)}]" if pin.extras else ""): str(pin.version)
            for pin in resolution.pins
        }
    return found


@pytest.mark.parametrize("scenario", list(EVERY.values()), ids=EVERY)
def test_scenario(scenario: dict[str, Any]) -> None:
    index = universe(scenario)
    if "error" in scenario:
        with pytest.raises(PypimirrorError) as caught:
            plan(scenario, index)
        error = caught.value
        told = f"{error}\nhint: {error.hint}" if error.hint else str(error)
        assert told.strip() == scenario["error"].strip()
        assert error.code == scenario["code"]
        return
    made = plan(scenario, index)
    found = outcome(made)
    expected = scenario["pins"]
    if all(isinstance(value, str) for value in expected.values()):
        assert list(found.values()) == [expected] * len(found), found
        assert len(found) == len(made.targets)
    else:
        assert found == expected
    if "builds" in scenario:
        assert outcome(made, builds=True) == scenario["builds"]
    if "files" in scenario:
        assert [file.filename for file in made.files] == sorted(scenario["files"])
    if "notes" in scenario:
        assert list(made.notes) == scenario["notes"]


def test_every_intent_is_one_sentence_and_stands_once() -> None:
    intents = [scenario["intent"] for _, scenario in _read()]
    assert len(intents) == len(set(intents))
    assert len(intents) >= 60
    for intent in intents:
        assert 15 < len(intent) < 140, intent
        assert ". " not in intent, intent


@pytest.mark.parametrize("scenario", list(SOLVABLE.values()), ids=SOLVABLE)
def test_the_order_in_which_an_index_answers_changes_nothing(scenario: dict[str, Any]) -> None:
    """Reverse the order of projects, versions and files: the same plan, or the same error."""
    forward, backward = universe(scenario), universe(scenario)
    backward.projects = {
        name: {version: releases[version] for version in reversed(releases)}
        for name, releases in reversed(backward.projects.items())
    }
    for releases in backward.projects.values():
        for release in releases.values():
            release.files.reverse()
    assert plan(scenario, forward) == plan(scenario, backward)
