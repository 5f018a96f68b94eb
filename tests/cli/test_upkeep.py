from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pypimirror.bundle.writer import write_bundle
from pypimirror.closed import render
from pypimirror.model.names import label
from pypimirror.tree.revise import Edit
from tests.crashes.cases import sources
from tests.fakes.server import FakeServer
from tests.tree.helpers import Sample, bundle, links, wheel
from tests.worlds import TARGET, Program

DAY = 86400
APP1, APP2, EVIL = wheel("app", "1.0"), wheel("app", "2.0"), wheel("evil", "1.0")


def month(folder: Path, name: str, *samples: Sample, days: int, **manifest: object) -> Path:
    """A bundle that is so many days old."""
    options = {"sequence": int(time.time()) - days * DAY, **manifest}
    each = bundle(*samples, **options)  # type: ignore[arg-type]  # passed on as they come
    write_bundle(each.manifest, sources(each), folder / name)
    return folder / name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of one channel, and one bundle of a channel above it, with the tree that they make."""
    folder = tmp_path_factory.mktemp("made")
    pins = {EVIL.file.filename: "evil"}
    first = month(folder, "first.tar", APP1, EVIL, days=40, pins=pins)
    ours = month(folder, "ours.tar", wheel("ours", "1.0"), days=100, channel="inside")
    second = month(folder, "second.tar", APP2, EVIL, days=3, pins=pins)
    now = int(time.time()) - 60
    render([first, ours], folder / "tree", now=now, edit=Edit(channels=(label("inside"), label("default"))))
    render([second], folder / "tree", now=now + 1)
    return folder


@pytest.fixture
def tree(program: Program, made: Path) -> Path:
    shutil.copytree(made, program.work, symlinks=True, dirs_exist_ok=True)
    return program.work / "tree"


def versions(tree: Path, project: str) -> list[str]:
    return [link["text"].split("-")[1] for link in links(tree / "simple" / project / "index.html")]


# ---- status ---------------------------------------------------------------------------------------------------------


def test_status_tells_it_all_at_a_glance(program: Program, tree: Path) -> None:
    del tree
    program("withdraw", "tree", "evil==1.0", "--reason", "steals\x1b[2J")
    ran = program("status", "tree")
    assert ran.code == 0, ran.err
    for told in (
        "serves  3 files of 3 projects",
        "generation 3",
        "Channel inside (above the others)",
        "3 days old, 2 files",
        "40 days old, 2 files",
        "by pypimirror 0",
        "for 3.12-linux",
        "evil 1.0: steals\\u001b[2J (here, ",
        "'rollback --to' drops what is newer than one of: default-",
    ):
        assert told.replace("\\u001b", "\\x1b") in ran.out or told in ran.out, ran.out
    facts = program("status", "tree", "--json").json()
    assert (facts["generation"], facts["files"], facts["projects"]) == (3, 3, 3)
    assert [each["name"] for each in facts["channels"]] == ["inside", "default"]
    assert [each["reason"] for each in facts["withdrawn"]] == ["steals\x1b[2J"]
    assert facts["rollback"] is None
    assert facts["rollback_to"] == [facts["channels"][1]["bundles"][1]["name"]]
    assert facts["free"] > 0


@pytest.mark.parametrize(("age", "code"), [("30d", 1), ("36h", 1), ("15w", 0)])
def test_status_tells_monitoring_of_a_channel_that_is_too_old(
    program: Program, tree: Path, age: str, code: int
) -> None:
    del tree
    ran = program("status", "tree", "--max-age", age, "--quiet")
    assert ran.code == code, ran.out
    assert ("channel inside: the newest bundle is 100 days old" in ran.out) is (code == 1)
    assert ("channel default" in ran.out) is (age == "36h")
    assert (ran.out == "") is (code == 0)


def test_status_tells_of_a_bundle_that_waits(program: Program, tree: Path) -> None:
    del tree
    whole = bundle(wheel("late", "1.0"), wheel("later", "1.0"), sequence=int(time.time()))
    carried = frozenset([whole.samples[0].file.filename])
    write_bundle(whole.manifest, sources(whole), program.work / "volume.tar", carried=carried, members=False)
    assert program("render", "volume.tar", "tree").code == 1
    ran = program("status", "tree")
    assert re.search(r"lacks 2 files, .*: later-1.0-py3-none-any.whl, ", ran.out), ran.out
    assert "would serve what was served before: without default-" in ran.out


def test_status_of_nothing_is_an_error_in_words(program: Program) -> None:
    assert program("status", "nowhere").code == 2
    assert program("status", "nowhere", "--max-age", "soon").code == 2


# ---- withdraw, rollback, prune --------------------------------------------------------------------------------------


def test_versions_are_withdrawn_in_one_step_and_the_sets_that_miss_them_are_named(program: Program, tree: Path) -> None:
    looked = program("withdraw", "tree", "evil==1.0", "--reason", "bad", "--dry-run")
    assert (looked.code, versions(tree, "evil")) == (0, ["1.0"])
    assert "pinned by set main on 3.12-linux (channel default): evil 1.0" in looked.err
    ran = program("withdraw", "tree", "Evil==1.0", "app==1.0", "--reason", "bad", "--json")
    assert ran.code == 0, ran.err
    facts = ran.json()
    assert (facts["withdrawn"], facts["generation"], facts["left"]) == (["evil 1.0", "app 1.0"], 3, [])
    assert [each["name"] for each in facts["files"] if each["name"].endswith(".whl")] == [
        "app-1.0-py3-none-any.whl",
        "evil-1.0-py3-none-any.whl",
    ]
    assert (versions(tree, "app"), versions(tree, "evil")) == (["2.0"], [])
    assert not (tree / "packages" / "evil-1.0-py3-none-any.whl").exists()
    assert "withdrawn already" in program("withdraw", "tree", "evil==1.0", "--reason", "bad").err
    assert program("render", "second.tar", "tree").code == 0
    assert program("withdraw", "tree", "evil==1.0", "--restore").code == 0
    assert versions(tree, "evil") == ["1.0"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evil==1.0"], "say why"),
        (["evil", "--reason", "x"], "PROJECT==VERSION"),
        (["evil==1.*", "--reason", "x"], "PROJECT==VERSION"),
        (["evil==7.0", "--reason", "x"], "it has 1.0"),
        (["evil==1.0", "--restore"], "not withdrawn"),
        (["evil==1.0", "--restore", "--reason", "x"], "--restore goes without"),
    ],
)
def test_what_can_not_be_withdrawn_is_said(program: Program, tree: Path, arguments: Sequence[str], told: str) -> None:
    ran = program("withdraw", "tree", *arguments)
    assert (ran.code, told in ran.err) == (2, True), ran.err
    assert versions(tree, "evil") == ["1.0"]


def test_a_rollback_tells_which_bundle_goes(program: Program, tree: Path) -> None:
    looked = program("rollback", "tree", "--dry-run")
    assert (looked.code, versions(tree, "app")) == (0, ["1.0", "2.0"])
    assert "would serve" in looked.err
    ran = program("rollback", "tree")
    assert (ran.code, versions(tree, "app")) == (0, ["1.0"]), ran.err
    assert "  without default-" in ran.err
    facts = program("rollback", "tree", "--json").json()
    assert (facts["changed"], facts["dropped"], len(facts["back"])) == (True, [], 1)
    assert versions(tree, "app") == ["1.0", "2.0"]


def test_a_rollback_to_a_bundle_drops_what_came_after_it(program: Program, tree: Path) -> None:
    (older,) = program("status", "tree", "--json").json()["rollback_to"]
    assert program("rollback", "tree", "--to", "default-nothing").code == 2
    assert f"would serve {older} as the newest bundle" in program("rollback", "tree", "--to", older, "--dry-run").err
    for words in ("serves", "served already"):
        ran = program("rollback", "tree", "--to", older)
        assert (ran.code, versions(tree, "app")) == (0, ["1.0"]), ran.err
        assert f"tree: {words} {older} as the newest bundle of its channel: 3 files" in ran.err


def test_prune_tells_sizes_first(program: Program, tree: Path) -> None:
    looked = program("prune", "tree", "--keep", "1", "--at-once", "--dry-run")
    assert (looked.code, versions(tree, "app")) == (0, ["1.0", "2.0"])
    assert "would be dropped: default-" in looked.err
    assert "app-1.0-py3-none-any.whl" in looked.err
    ran = program("prune", "tree", "--keep", "1", "--at-once", "--json")
    facts = ran.json()
    assert [each["name"] for each in facts["files"]] == [
        "app-1.0-py3-none-any.whl",
        "app-1.0-py3-none-any.whl.metadata",
    ]
    assert facts["bytes"] == sum(each["size"] for each in facts["files"])
    assert (versions(tree, "app"), (tree / "packages" / "app-1.0-py3-none-any.whl").exists()) == (["2.0"], False)
    assert "all that is there is served" in program("prune", "tree", "--at-once").err


# ---- bundle --withdraw ----------------------------------------------------------------------------------------------


def test_the_next_bundle_takes_a_version_back_whatever_comes_first(program: Program, server: FakeServer) -> None:
    def bundled(name: str, sequence: int, *more: str) -> str:
        ran = program(
            "bundle", "app", "fast", *TARGET, "-i", server.index_url, "-o", name, *more, "-q",
            env={"SOURCE_DATE_EPOCH": str(sequence)},
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return name

    first = bundled("first.tar", 1_790_000_000)
    second = bundled("second.tar", 1_790_000_100, "--withdraw", "App==2.0: steals passwords")
    third = bundled("third.tar", 1_790_000_200)
    shown = program("show", second)
    assert "Withdraws from the older bundles of its channel" in shown.out
    assert "  app 2.0: steals passwords" in shown.out
    assert program("show", second, "--json").json()["withdrawn"] == [
        {"project": "app", "version": "2.0", "reason": "steals passwords"}
    ]
    for tree, order in (("in-order", (first, second)), ("late", (second, first))):
        for each in order:
            assert program("render", each, tree).code == 0
        assert versions(program.work / tree, "app") == ["1.0"]
        assert program("verify", tree, "--quick").code == 0
    pages = [(program.work / tree / "manifest.json").read_bytes() for tree in ("in-order", "late")]
    assert pages[0] == pages[1]
    assert "app 2.0: steals passwords (by default-" in program("status", "late").out
    assert program("render", third, "late").code == 0
    assert versions(program.work / "late", "app") == ["1.0", "2.0"]


def test_a_version_that_is_withdrawn_is_never_chosen_and_can_not_be_asked_for(
    program: Program, server: FakeServer
) -> None:
    ran = program("plan", "app", *TARGET, "-i", server.index_url, "--withdraw", "app==2.0", "--json")
    assert [each["filename"] for each in ran.json()["files"] if each["filename"].startswith("app")] == [
        "app-1.0-py3-none-any.whl"
    ]
    ran = program("bundle", "app==2.0", *TARGET, "-i", server.index_url, "-o", "x.tar", "--withdraw", "app==2.0: bad")
    assert ran.code == 6
    assert "withdrawn" in ran.err
    ran = program("bundle", "app", *TARGET, "-i", server.index_url, "-o", "x.tar", "--withdraw", "app>2.0")
    assert (ran.code, "PROJECT==VERSION" in ran.err) == (2, True)
    assert not (program.work / "x.tar").exists()
