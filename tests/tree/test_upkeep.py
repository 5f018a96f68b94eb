from __future__ import annotations

import gzip
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from pypimirror.closed import verify
from pypimirror.errors import Incomplete, UsageFault
from pypimirror.model.findings import Kind
from pypimirror.model.manifest import WithdrawnVersion
from pypimirror.standing import status
from pypimirror.tree.revise import Edit
from pypimirror.upkeep import GRACE, prune, rollback, withdraw
from tests.tree import clients
from tests.tree.helpers import (
    NOW,
    MemoryBundle,
    Sample,
    bundle,
    channels,
    check_tree,
    links,
    names_under,
    project,
    render,
    snapshot,
    wheel,
)

NOVEMBER, DECEMBER, JANUARY = 1_790_000_000, 1_792_600_000, 1_795_200_000
APP1, APP2 = wheel("app", "1.0", requires_dist=["lib"]), wheel("app", "2.0", requires_dist=["lib"])
LIB1, LIB2 = wheel("lib", "1.0"), wheel("lib", "1.1")
EVIL1, EVIL2 = wheel("evil", "1.0"), wheel("evil", "1.1")
TOOL, OUR_LIB = wheel("tool", "3.0"), wheel("lib", "0.5+ours")


def made(
    *samples: Sample, withdrawn: Collection[WithdrawnVersion] = (), channel: str = "default", sequence: int
) -> MemoryBundle:
    """A bundle whose set asks for just what it has, the newest of each."""
    newest = {each.file.project: each for each in sorted(samples, key=lambda each: each.file.version)}
    pins = {each.file.filename: each.file.project for each in newest.values()}
    found = bundle(*samples, pins=pins, channel=channel, sequence=sequence)
    return MemoryBundle(replace(found.manifest, withdrawn=tuple(withdrawn)), found.samples)


def taken(name: str, version: str) -> WithdrawnVersion:
    return WithdrawnVersion(project=project(name), version=Version(version), reason="steals passwords")


FIRST = made(APP1, LIB1, EVIL1, sequence=NOVEMBER)
SECOND = made(APP2, LIB2, EVIL2, sequence=DECEMBER)
OTHERS = made(TOOL, LIB1, channel="team-b", sequence=NOVEMBER + 1)
INSIDE = made(OUR_LIB, channel="inside", sequence=NOVEMBER + 2)
CLEANER = made(APP2, LIB2, sequence=DECEMBER + 1, withdrawn=[taken("evil", "1.0")])
EVIL = {(project("evil"), Version("1.0"))}
BOTH = EVIL | {(project("evil"), Version("1.1"))}

both_kinds = pytest.mark.parametrize("plain", [False, True], ids=["linked", "plain"])


def whole(tree: Path, *, unsolvable: bool = False) -> None:
    """Every byte and page is right; and every set installs, unless what it needs was withdrawn."""
    assert check_tree(tree) == []
    findings = [each for each in verify(tree).findings if not (unsolvable and each.kind is Kind.UNSOLVABLE)]
    assert findings == []
    gzipped = {path for path in tree.rglob("*.gz") if ".pypimirror" not in path.parts}
    for twin in gzipped:
        assert gzip.decompress(twin.read_bytes()) == twin.with_suffix("").read_bytes(), twin
    assert bool(gzipped) is status(tree).view.contents.gzip


def versions(tree: Path, name: str, index: str = "simple") -> list[str]:
    return [link["text"].split("-")[1] for link in links(tree / index / name / "index.html")]


def stored(tree: Path) -> set[str]:
    return {path.name.rpartition("-py3")[0] for path in (tree / "packages").glob("*.whl")}


@both_kinds
@pytest.mark.parametrize("twins", [False, True], ids=["pages", "twins"])
def test_a_tree_of_two_teams_and_a_wheel_of_ours_through_its_months(
    tmp_path: Path, *, plain: bool, twins: bool
) -> None:
    tree = tmp_path / "tree"
    edit = Edit(bundles=tuple(each.digest for each in (FIRST, OTHERS, INSIDE)), channels=channels("inside", "default"))
    render(tree, FIRST, OTHERS, INSIDE, plain=plain, edit=replace(edit, gzip=twins))
    whole(tree, unsolvable=True)
    assert versions(tree, "lib") == ["0.5+ours"]

    render(tree, SECOND, now=NOW + 100)
    whole(tree, unsolvable=True)
    assert (versions(tree, "app"), versions(tree, "evil")) == (["1.0", "2.0"], ["1.0", "1.1"])
    if not plain:
        assert versions(tree, "lib", "channels/default/simple") == ["1.0", "1.1"]
        assert versions(tree, "lib", "channels/team-b/simple") == ["1.0"]
        assert not (tree / "channels" / "team-b" / "simple" / "app").exists()

    gone = withdraw(tree, BOTH, reason="steals passwords", now=NOW + 200)
    whole(tree, unsolvable=True)
    assert versions(tree, "evil") == []
    assert "evil-1.0" not in stored(tree)
    assert {name.rpartition("-py3")[0] for name in gone.files} == {"evil-1.0", "evil-1.1"}
    assert gone.left == ()
    assert [(each.channel, each.set, each.target, str(each.version)) for each in gone.pinned] == [
        ("default", "main", "3.12-linux", "1.1")
    ]

    render(tree, made(APP2, LIB2, sequence=JANUARY), now=NOW + 300)
    assert status(tree).previous is not None
    done = rollback(tree, now=NOW + 400)
    assert [each.sequence for each in done.dropped] == [JANUARY]
    whole(tree, unsolvable=True)
    assert (versions(tree, "app"), versions(tree, "evil")) == (["1.0", "2.0"], [])

    kept = prune(tree, now=NOW + 500, keep=1)
    assert [each.sequence for each in kept.dropped] == [NOVEMBER]
    assert {name.rpartition("-py3")[0] for name in kept.graceful} == {"app-1.0"}
    whole(tree, unsolvable=True)
    assert (versions(tree, "app"), stored(tree) & {"app-1.0"}) == (["2.0"], {"app-1.0"})
    freed = prune(tree, now=NOW + 500 + GRACE + 10)
    assert {name.rpartition("-py3")[0] for name in freed.files} == {"app-1.0"}
    assert stored(tree) == {"app-2.0", "lib-1.0", "lib-1.1", "tool-3.0", "lib-0.5+ours"}
    whole(tree, unsolvable=True)
    assert status(tree).previous is None


# ---- withdraw -------------------------------------------------------------------------------------------------------


@both_kinds
def test_what_is_withdrawn_leaves_at_once_and_no_bundle_or_rollback_brings_it_back(
    tmp_path: Path, *, plain: bool
) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    withdraw(tree, EVIL, reason="bad", now=NOW + 1)
    assert stored(tree) == {"app-1.0", "lib-1.0"}
    assert list(links(tree / "simple" / "evil" / "index.html")) == []
    whole(tree, unsolvable=True)
    with pytest.raises(UsageFault, match="withdrawn"):
        rollback(tree, now=NOW + 2)
    for each in (FIRST, SECOND):
        render(tree, each, now=NOW + 3)
        assert "evil-1.0" not in stored(tree)
    rollback(tree, now=NOW + 4)
    assert stored(tree) == {"app-1.0", "app-2.0", "lib-1.0", "lib-1.1", "evil-1.1"}
    assert list(links(tree / "simple" / "evil" / "index.html")) == []
    whole(tree, unsolvable=True)


def test_withdrawing_again_changes_nothing_and_a_dry_run_neither(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    before = names_under(tree), snapshot(tree)
    looked = withdraw(tree, EVIL, reason="bad", now=NOW + 1, dry_run=True)
    assert (looked.published, len(looked.files), len(looked.pinned)) == (None, 2, 1)
    assert (names_under(tree), snapshot(tree)) == before
    withdraw(tree, EVIL, reason="bad", now=NOW + 1)
    again = withdraw(tree, EVIL, reason="bad", now=NOW + 1000)
    assert again.published is not None
    assert (again.published.changed, again.files) == (False, {})
    (told,) = status(tree).view.contents.withdrawn
    assert (told.reason, told.time) == ("bad", NOW + 1)


@both_kinds
def test_to_restore_a_version_a_bundle_must_bring_it_again(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    before = snapshot(tree)["simple/evil/index.html"]
    with pytest.raises(UsageFault) as caught:
        withdraw(tree, EVIL, restore=True, now=NOW + 1)
    assert caught.value.code == "not-withdrawn"
    withdraw(tree, EVIL, reason="bad", now=NOW + 1)
    with pytest.raises(Incomplete) as lacking:
        withdraw(tree, EVIL, restore=True, now=NOW + 2)
    assert "render the bundle" in lacking.value.hint
    whole(tree, unsolvable=True)
    render(tree, FIRST)
    assert "evil-1.0" not in stored(tree)
    assert status(tree).spare > 0
    withdraw(tree, EVIL, restore=True, now=NOW + 3)
    assert snapshot(tree)["simple/evil/index.html"] == before
    assert "evil-1.0" in stored(tree)
    whole(tree)


def test_a_version_that_is_not_there_can_be_kept_out_ahead(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    future = {(project("evil"), Version("1.1")), (project("new"), Version("1.0"))}
    with pytest.raises(UsageFault) as caught:
        withdraw(tree, future, reason="bad", now=NOW + 1)
    assert caught.value.code == "no-such-version"
    withdraw(tree, future, reason="bad", now=NOW + 1, ahead=True)
    render(tree, SECOND)
    assert versions(tree, "evil") == ["1.0"]
    whole(tree, unsolvable=True)


def test_a_slip_of_the_pen_makes_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UsageFault):
        withdraw(tmp_path / "tree", EVIL, reason="bad", now=NOW)
    with pytest.raises(UsageFault):
        prune(tmp_path / "tree", now=NOW)
    with pytest.raises(UsageFault):
        rollback(tmp_path / "tree", now=NOW)
    assert list(tmp_path.iterdir()) == []


# ---- a bundle withdraws ---------------------------------------------------------------------------------------------


@both_kinds
@pytest.mark.parametrize("order", [(FIRST, CLEANER), (CLEANER, FIRST)], ids=["in order", "late"])
def test_a_bundle_takes_back_what_older_ones_of_its_channel_have_whatever_comes_first(
    tmp_path: Path, order: tuple[MemoryBundle, MemoryBundle], *, plain: bool
) -> None:
    tree, other = tmp_path / "tree", tmp_path / "other"
    for each in order:
        render(tree, each, plain=plain)
        whole(tree, unsolvable=True)
    assert "evil-1.0" not in stored(tree)
    render(other, FIRST, CLEANER, plain=plain)
    assert snapshot(tree) == snapshot(other)
    assert [(each.project, str(each.version)) for each in _tombstones(tree)] == [("evil", "1.0")]
    again = made(APP2, LIB2, EVIL1, sequence=JANUARY)
    render(tree, again, now=NOW + 10)
    assert versions(tree, "evil") == ["1.0"]
    whole(tree)
    render(tree, made(EVIL1, sequence=DECEMBER), now=NOW + 20)  # older: it changes nothing
    assert versions(tree, "evil") == ["1.0"]


def _tombstones(tree: Path) -> list[WithdrawnVersion]:
    return [one for each in status(tree).view.contents.accepted for one in each.withdrawn]


@both_kinds
def test_a_bundle_that_replaces_all_others_takes_back_at_once_too(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    render(tree, CLEANER, now=NOW + 1, replace=channels("default"))
    assert stored(tree) == {"app-1.0", "lib-1.0", "app-2.0", "lib-1.1"}  # in grace, but for what is evil
    whole(tree)
    render(tree, FIRST, now=NOW + 2)
    assert "evil-1.0" not in stored(tree)
    whole(tree, unsolvable=True)


@both_kinds
def test_a_rollback_keeps_what_the_dropped_bundle_took_back(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    render(tree, CLEANER, now=NOW + 1)
    done = rollback(tree, now=NOW + 2)
    assert [(each.project, str(each.version), each.reason) for each in done.withdrawn] == [
        ("evil", "1.0", "steals passwords")
    ]
    assert (versions(tree, "app"), versions(tree, "evil")) == (["1.0"], [])
    assert "evil-1.0" not in stored(tree)
    whole(tree, unsolvable=True)
    rollback(tree, now=NOW + 3)
    assert versions(tree, "app") == ["1.0", "2.0"]
    assert "evil-1.0" not in stored(tree)
    whole(tree, unsolvable=True)


def test_another_channel_keeps_what_one_takes_back(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, made(EVIL1, channel="team-b", sequence=NOVEMBER), FIRST, CLEANER)
    assert versions(tree, "evil", "channels/team-b/simple") == ["1.0"]
    assert "evil-1.0" in stored(tree)
    whole(tree, unsolvable=True)


# ---- channels -------------------------------------------------------------------------------------------------------


@both_kinds
def test_the_landing_page_leads_to_the_index_of_each_of_several_channels(tmp_path: Path, *, plain: bool) -> None:
    """But where there are none: without links."""
    tree = tmp_path / "tree"

    def shown() -> list[str]:
        return [link["href"] for link in links(tree / "index.html") if link["href"].startswith("channels/")]

    render(tree, FIRST, plain=plain)
    assert shown() == []
    render(tree, OTHERS, now=NOW + 1)
    assert shown() == ([] if plain else ["channels/default/simple/", "channels/team-b/simple/"])
    assert all((tree / each / "index.html").is_file() for each in shown())
    whole(tree)


# ---- rollback -------------------------------------------------------------------------------------------------------


@both_kinds
def test_a_rollback_serves_what_was_served_and_a_second_one_undoes_it(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    before = snapshot(tree)
    render(tree, SECOND, now=NOW + 1)
    after = snapshot(tree)
    looked = rollback(tree, now=NOW + 2, dry_run=True)
    assert (snapshot(tree), looked.published) == (after, None)
    page = tree / "simple" / "app" / "index.html"
    times = [page.stat().st_mtime]
    for expected in (before, after, before):
        rollback(tree, now=NOW + 2)
        times.append(page.stat().st_mtime)
        assert snapshot(tree) == expected
        whole(tree)
    assert times == sorted(set(times))  # or servers say "not modified"


@both_kinds
def test_a_channel_can_be_served_as_it_was_with_an_older_bundle(tmp_path: Path, *, plain: bool) -> None:
    """Two bundles back, with another channel in between, which stays."""
    tree = tmp_path / "tree"
    third = made(wheel("app", "3.0"), sequence=JANUARY)
    render(tree, FIRST, OTHERS, plain=plain, channels=channels("default", "team-b"))
    before = snapshot(tree)
    render(tree, SECOND, now=NOW + 1)
    render(tree, third, now=NOW + 2)
    newest = snapshot(tree)
    looked = rollback(tree, now=NOW + 3, to=FIRST.manifest.stem, dry_run=True)
    assert [each.digest for each in looked.dropped] == [SECOND.digest, third.digest]
    assert snapshot(tree) == newest
    done = rollback(tree, now=NOW + 3, to=FIRST.manifest.stem)
    assert (done.dropped, done.back) == (looked.dropped, ())
    assert snapshot(tree) == before
    whole(tree)
    again = rollback(tree, now=NOW + 4, to=FIRST.manifest.stem)
    assert again.published is not None
    assert (again.published.changed, again.dropped) == (False, ())
    rollback(tree, now=NOW + 5)
    assert snapshot(tree) == newest
    whole(tree)


@both_kinds
def test_going_back_to_a_bundle_brings_nothing_back_that_a_newer_one_withdrew(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    render(tree, CLEANER, now=NOW + 1)
    render(tree, made(wheel("app", "3.0"), sequence=JANUARY), now=NOW + 2)
    done = rollback(tree, now=NOW + 3, to=FIRST.manifest.stem)
    assert [(each.project, str(each.version), each.reason) for each in done.withdrawn] == [
        ("evil", "1.0", "steals passwords")
    ]
    assert (versions(tree, "app"), versions(tree, "evil")) == (["1.0"], [])
    assert "evil-1.0" not in stored(tree)
    whole(tree, unsolvable=True)


def test_a_bundle_that_is_not_served_can_t_be_gone_back_to(tmp_path: Path) -> None:
    render(tmp_path / "tree", FIRST)
    with pytest.raises(UsageFault, match=SECOND.manifest.stem) as caught:
        rollback(tmp_path / "tree", now=NOW, to=SECOND.manifest.stem)
    assert caught.value.code == "no-such-bundle"
    assert FIRST.manifest.stem in caught.value.hint


def test_nothing_to_roll_back_to_is_said(tmp_path: Path) -> None:
    render(tmp_path / "tree", FIRST)
    with pytest.raises(UsageFault) as caught:
        rollback(tmp_path / "tree", now=NOW)
    assert caught.value.code == "nothing-before"


# ---- prune ----------------------------------------------------------------------------------------------------------


@both_kinds
def test_prune_keeps_the_grace_of_what_just_left_unless_told(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    render(tree, SECOND, now=NOW + 1, replace=channels("default"))
    fresh = prune(tree, now=NOW + GRACE, dry_run=True)
    assert (fresh.files, len(fresh.graceful), fresh.size) == ({}, 6, 0)
    before = names_under(tree)
    assert prune(tree, now=NOW + GRACE) == fresh
    assert names_under(tree) == before
    late = prune(tree, now=NOW + 1 + GRACE, dry_run=True)
    at_once = prune(tree, now=NOW + 2, at_once=True, dry_run=True)
    assert late == at_once
    assert set(late.files) == set(fresh.graceful)
    assert (late.size, status(tree).spare) == (status(tree).spare, sum(each.size for each in late.files.values()))
    assert names_under(tree) == before
    prune(tree, now=NOW + 2, at_once=True)
    assert stored(tree) == {"app-2.0", "lib-1.1", "evil-1.1"}
    whole(tree)
    assert prune(tree, now=NOW + 2, at_once=True).size == 0


@both_kinds
def test_prune_at_once_with_keep_leaves_just_what_is_served(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, OTHERS, plain=plain)
    render(tree, SECOND, now=NOW + 1)
    looked = prune(tree, now=NOW + 2, keep=1, at_once=True, dry_run=True)
    assert prune(tree, now=NOW + 2, keep=1, at_once=True) == looked
    assert {name.rpartition("-py3")[0] for name in looked.files} == {"app-1.0", "evil-1.0"}
    assert stored(tree) == {"app-2.0", "lib-1.0", "lib-1.1", "evil-1.1", "tool-3.0"}
    whole(tree, unsolvable=True)
    assert len(list((tree / ".pypimirror" / "manifests").iterdir())) == 2


def test_prune_leaves_bundles_that_wait_unless_told(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    volume = MemoryBundle(SECOND.manifest, SECOND.samples, frozenset([APP2.file.filename]))
    with pytest.raises(Incomplete):
        render(tree, volume)
    (waiting,) = status(tree).waiting
    assert list(waiting.missing) == [APP2.file.filename, f"{APP2.file.filename}.metadata"]
    assert prune(tree, now=NOW + 2 * GRACE).waiting == {}
    gone = prune(tree, now=NOW + 2 * GRACE, incomplete=True)
    assert len(gone.waiting) == 5
    assert list((tree / ".pypimirror" / "incoming").iterdir()) == []
    whole(tree)


@both_kinds
def test_keeping_is_by_channel(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    months = [made(wheel("app", f"{month}.0"), sequence=NOVEMBER + month) for month in range(1, 5)]
    render(tree, *months, OTHERS, plain=plain)
    prune(tree, now=NOW, keep=3)
    assert versions(tree, "app") == ["2.0", "3.0", "4.0"]
    assert versions(tree, "tool") == ["3.0"]
    whole(tree)


# ---- the rest -------------------------------------------------------------------------------------------------------


@both_kinds
def test_mixed_layers_stay_mixed_through_it_all(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    digests = tuple(each.digest for each in (FIRST, INSIDE))
    edit = Edit(bundles=digests, channels=channels("inside", "default"), mix=[project("lib")])
    render(tree, FIRST, INSIDE, plain=plain, edit=edit)
    assert versions(tree, "lib") == ["0.5+ours", "1.0"]
    render(tree, SECOND, now=NOW + 1)
    withdraw(tree, {(project("lib"), Version("1.0"))}, reason="old", now=NOW + 2)
    assert versions(tree, "lib") == ["0.5+ours", "1.1"]
    whole(tree, unsolvable=True)
    assert status(tree).view.contents.mixed == ("lib",)


def test_status_writes_nothing_and_needs_no_lock(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    render(tree, SECOND, now=NOW + 1)
    (tree / ".pypimirror" / "lock").unlink()
    before = names_under(tree)
    told = status(tree)
    assert names_under(tree) == before
    assert told.published == NOW + 1
    assert told.previous is not None
    assert [each.source.digest for each in told.previous.accepted] == [FIRST.digest]
    assert told.spare == 0
    assert told.free > 0


def test_pip_installs_at_each_step_what_it_should(tmp_path: Path) -> None:
    tree = tmp_path / "tree"

    def installed(step: str) -> dict[str, str]:
        target = tmp_path / "installed" / step
        index = (tree / "simple").as_uri()
        clients.pip(target, "--no-deps", "--index-url", index, "app", "lib", "evil")
        return clients.installed(target)

    edit = Edit(bundles=tuple(each.digest for each in (FIRST, OTHERS, INSIDE)), channels=channels("inside", "default"))
    render(tree, FIRST, OTHERS, INSIDE, edit=edit)
    assert installed("first") == {"app": "1.0", "lib": "0.5+ours", "evil": "1.0"}
    render(tree, SECOND, now=NOW + 1)
    assert installed("second") == {"app": "2.0", "lib": "0.5+ours", "evil": "1.1"}
    withdraw(tree, {(project("evil"), Version("1.1"))}, reason="bad", now=NOW + 2)
    assert installed("withdrawn") == {"app": "2.0", "lib": "0.5+ours", "evil": "1.0"}
    render(tree, made(wheel("app", "3.0"), sequence=JANUARY), now=NOW + 3)
    assert installed("third")["app"] == "3.0"
    rollback(tree, now=NOW + 4)
    assert installed("rolled back") == {"app": "2.0", "lib": "0.5+ours", "evil": "1.0"}
    prune(tree, now=NOW + 5, at_once=True)
    assert installed("pruned") == {"app": "2.0", "lib": "0.5+ours", "evil": "1.0"}
