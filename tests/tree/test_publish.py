from __future__ import annotations

import errno
import itertools
import json
import os
import stat
from pathlib import Path

import pytest

from pypimirror.disk import Disk, StrPath
from pypimirror.errors import DiskFault, Incomplete, IntegrityFault, PolicyFault, UsageFault
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.stocking import missing_of
from tests.tree.helpers import (
    NOW,
    FaultyDisk,
    MemoryBundle,
    QuickDisk,
    bundle,
    channels,
    check_tree,
    fake,
    links,
    names_under,
    render,
    snapshot,
)

OLD, NEW, NEWEST = 1_790_000_000, 1_790_000_100, 1_790_000_200
A1, A2, B1, C1 = (fake(f"{stem}-py3-none-any.whl") for stem in ("a-1.0", "a-2.0", "b-1.0", "c-1.0"))
B1_CP312, B1_CP313 = (fake(f"b-1.0-{tag}-{tag}-linux_x86_64.whl") for tag in ("cp312", "cp313"))
FIRST = bundle(A1, B1, B1_CP312, sequence=OLD)
SECOND = bundle(A1.but(yanked="bad"), A2, B1_CP313, C1, sequence=NEW)

both_kinds = pytest.mark.parametrize("plain", [False, True], ids=["linked", "plain"])


def published_files(tree: Path) -> set[str]:
    return {path.name for path in (tree / "packages").iterdir() if path.name.endswith(".whl")}


@both_kinds
def test_a_bundle_becomes_a_tree_that_is_whole(tmp_path: Path, *, plain: bool) -> None:
    published = render(tmp_path / "tree", FIRST, plain=plain)
    assert published.changed
    assert check_tree(tmp_path / "tree") == []
    assert (tmp_path / "tree" / "simple" / "a" / "index.html").is_file()
    assert any(path.is_symlink() for path in (tmp_path / "tree").rglob("*")) is not plain
    assert sorted(path.name for path in (tmp_path / "tree" / ".pypimirror" / "incoming").iterdir()) == []


@both_kinds
def test_a_plain_tree_and_a_linked_one_serve_the_same(tmp_path: Path, *, plain: bool) -> None:
    render(tmp_path / "two", FIRST, SECOND, plain=plain)
    render(tmp_path / "one", SECOND, plain=not plain)
    render(tmp_path / "one", FIRST)
    one, two = (
        {
            path: data
            for path, data in snapshot(tmp_path / name).items()
            if not path.startswith("channels/") and not path.endswith("/json")
        }
        for name in ("one", "two")
    )
    assert one == two


@both_kinds
def test_a_second_bundle_adds_to_the_first_and_takes_nothing_away(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    render(tree, SECOND)
    assert check_tree(tree) == []
    assert [link["text"] for link in links(tree / "simple" / "index.html")] == ["a", "b", "c"]
    assert links(tree / "simple" / "a" / "index.html")[0]["data-yanked"] == "bad"


@both_kinds
def test_the_same_bundle_again_changes_nothing_not_even_a_time(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)

    def state() -> dict[str, tuple[int, int]]:
        paths = [path for path in tree.rglob("*") if path.name != "lock"]
        return {str(path): ((status := path.lstat()).st_ino, status.st_mtime_ns) for path in paths if path.is_file()}

    before = state()
    published = render(tree, FIRST, now=NOW + 1000)
    assert not published.changed
    assert state() == before


@both_kinds
def test_a_newer_bundle_can_take_a_yank_back(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, SECOND, plain=plain)
    render(tree, bundle(A1, sequence=NEWEST))
    assert "data-yanked" not in links(tree / "simple" / "a" / "index.html")[0]
    render(tree, bundle(A1.but(yanked="late"), sequence=OLD + 1))
    assert "data-yanked" not in links(tree / "simple" / "a" / "index.html")[0]


@both_kinds
def test_an_incomplete_bundle_publishes_nothing_and_the_next_volume_completes_it(
    tmp_path: Path, *, plain: bool
) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    before = snapshot(tree)
    volumes = [
        MemoryBundle(SECOND.manifest, SECOND.samples, frozenset(left_out))
        for left_out in ([A2.file.filename, B1_CP313.file.filename], [C1.file.filename])
    ]
    with pytest.raises(Incomplete) as caught:
        render(tree, volumes[0])
    assert A2.file.filename in str(caught.value)
    assert C1.file.filename not in str(caught.value)
    assert snapshot(tree) == before
    render(tree, volumes[1])
    assert check_tree(tree) == []
    assert snapshot(tree).keys() > before.keys()


def test_a_delta_may_leave_out_what_the_tree_has_even_under_another_name(tmp_path: Path) -> None:
    render(tmp_path / "tree", FIRST)
    twin = fake("d-1.0-py3-none-any.whl", A1.data)
    delta = bundle(A1, B1, twin, sequence=NEW, left_out=[A1.file.filename, B1.file.filename])
    with open_tree(tmp_path / "tree") as tree:
        imported = import_bundle(tree, delta)
        assert (missing_of(tree, delta.manifest), imported.files) == ((), 2)
    render(tmp_path / "tree", MemoryBundle(delta.manifest, delta.samples, delta.left_out))
    assert check_tree(tmp_path / "tree") == []


def test_an_unpublished_bundle_finds_what_a_published_one_took_out_of_incoming(tmp_path: Path) -> None:
    """Wheels of one version share their metadata: it must serve two bundles."""
    tree = tmp_path / "tree"
    waiting = bundle(B1_CP312, C1, channel="other", left_out=[C1.file.filename])
    with pytest.raises(Incomplete):
        render(tree, waiting)
    render(tree, bundle(B1_CP313))
    with open_tree(tree) as opened:
        rest = MemoryBundle(waiting.manifest, waiting.samples, frozenset([B1_CP312.file.filename]))
        import_bundle(opened, rest)
        assert missing_of(opened, rest.manifest) == ()


@both_kinds
def test_dropped_files_stay_for_one_generation_more(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    (tree / "packages" / "stray-1.0-py3-none-any.whl").write_bytes(b"put there by a person")
    render(tree, bundle(C1, sequence=NEW), replace=channels("default"))
    assert [link["text"] for link in links(tree / "simple" / "index.html")] == ["c"]
    assert not (tree / "simple" / "a").exists()
    assert (tree / "packages" / A1.file.filename).exists()
    render(tree, bundle(A2, sequence=NEWEST), replace=channels("default"))
    kept = {C1.file.filename, A2.file.filename, "stray-1.0-py3-none-any.whl"}
    assert published_files(tree) == kept
    assert not (tree / "packages" / f"{A1.file.filename}.metadata").exists()
    assert check_tree(tree) == []


def test_old_generations_and_pages_that_nobody_refers_to_are_swept(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(5):
        render(tree, bundle(fake(f"a-{number}.0-py3-none-any.whl"), B1, sequence=OLD + number))
    inside = tree / ".pypimirror"
    assert sorted(path.name for path in (inside / "generations").iterdir()) == ["4", "5"]
    assert len([path for path in (inside / "pages").iterdir() if path.name[:2] in ("a-", "b-")]) == 3
    assert [len(list((inside / name).iterdir())) for name in ("ledger", "shards")] == [4, 3]
    assert (inside / "current").readlink().as_posix() == "generations/5"


def test_unchanged_pages_are_shared_by_generations(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    before = (tree / "simple" / "b" / "index.html").stat()
    render(tree, bundle(A2, sequence=NEW), now=NOW + 500)
    after = (tree / "simple" / "b" / "index.html").stat()
    assert (after.st_ino, after.st_mtime) == (before.st_ino, before.st_mtime)
    assert (tree / "simple" / "a" / "index.html").stat().st_mtime == NOW + 500


@both_kinds
def test_a_changed_page_is_always_newer_than_the_one_it_replaces(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    pages = ["simple/a/index.html", "simple/a/index.json", "packages/index.html", "index.html", "manifest.json"]
    times: list[list[int]] = []
    for now, yanked in ((NOW, "x"), (NOW, "y"), (NOW - 5000, "x"), (NOW + 50, "y")):
        render(tree, bundle(A1.but(yanked=yanked), B1, sequence=OLD + len(times)), now=now, plain=plain)
        times.append([int((tree / page).stat().st_mtime) for page in pages])
    assert [each[0] for each in times] == [NOW, NOW + 1, NOW + 2, NOW + 50]
    assert all(later[4] > earlier[4] for earlier, later in itertools.pairwise(times))


@both_kinds
def test_a_page_that_comes_back_is_newer_too(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, bundle(A1, sequence=OLD), plain=plain)
    render(tree, bundle(A1, A2, sequence=NEW), replace=channels("default"))
    render(tree, bundle(A1, sequence=NEWEST), replace=channels("default"))
    assert (tree / "simple" / "a" / "index.html").stat().st_mtime == NOW + 2


def test_channels_are_layers_whose_order_is_remembered(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    inside = bundle(fake("a-1.0-py3-none-any.whl", b"ours"), channel="inside")
    render(tree, inside, channels=channels("inside"))
    render(tree, FIRST)
    assert (tree / "packages" / A1.file.filename).read_bytes() == b"ours"
    assert [link["text"] for link in links(tree / "simple" / "index.html")] == ["a", "b"]
    assert check_tree(tree) == []


def test_a_published_name_never_gets_other_bytes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    before = snapshot(tree)
    inside = bundle(fake("a-1.0-py3-none-any.whl", b"ours"), channel="inside")
    with pytest.raises(PolicyFault) as caught:
        render(tree, inside, channels=channels("inside"))
    assert caught.value.code == "two-contents"
    assert snapshot(tree) == before


def test_two_bundles_of_one_sequence_are_refused(tmp_path: Path) -> None:
    render(tmp_path / "tree", FIRST)
    with pytest.raises(PolicyFault) as caught:
        render(tmp_path / "tree", bundle(C1, sequence=OLD))
    assert caught.value.code == "two-bundles-one-sequence"
    assert check_tree(tmp_path / "tree") == []


def test_replacing_by_an_older_bundle_is_refused(tmp_path: Path) -> None:
    render(tmp_path / "tree", SECOND)
    with pytest.raises(PolicyFault) as caught:
        render(tmp_path / "tree", FIRST, replace=channels("default"))
    assert caught.value.code == "older-bundle"


@both_kinds
def test_a_file_that_rotted_is_repaired_by_the_same_bundle(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST, plain=plain)
    path = tree / "packages" / A1.file.filename
    path.write_bytes(bytes(len(A1.data)))
    published = render(tree, FIRST)
    assert (published.changed, published.repaired) == (False, 1)
    assert path.read_bytes() == A1.data


def test_what_a_crash_left_in_incoming_is_hashed_before_it_is_believed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    with open_tree(tree):
        pass
    inside = tree / ".pypimirror" / "incoming"
    (inside / A1.file.sha256).write_bytes(bytes(len(A1.data)))
    (tree / "packages" / B1.file.filename).write_bytes(bytes(len(B1.data)))
    render(tree, FIRST)
    assert check_tree(tree) == []


# ---- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@both_kinds
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, mask: int, *, plain: bool) -> None:
    old = os.umask(mask)
    try:
        render(tmp_path / "new" / "tree", FIRST, plain=plain)
        render(tmp_path / "new" / "tree", SECOND)
    finally:
        os.umask(old)
    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_a_folder_of_somebody_else_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageFault, match=r"holds notes\.txt") as caught:
        render(tmp_path, FIRST)
    assert caught.value.code == "not-a-tree"
    assert names_under(tmp_path) == {"notes.txt"}


def test_a_file_in_the_place_of_the_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").write_text("mine")
    with pytest.raises(UsageFault, match="is not a folder"):
        render(tmp_path / "tree", FIRST)
    with pytest.raises(DiskFault):
        render(tmp_path / "tree" / "deeper", FIRST)


def test_an_empty_folder_a_missing_one_and_a_link_to_one_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty" / "lost+found").mkdir(parents=True)
    (tmp_path / "link").symlink_to("empty")
    render(tmp_path / "link", FIRST)
    render(tmp_path / "a" / "b", FIRST)
    assert (tmp_path / "link").is_symlink()
    assert check_tree(tmp_path / "empty") == check_tree(tmp_path / "a" / "b") == []


def test_a_tree_can_be_moved(tmp_path: Path) -> None:
    render(tmp_path / "one", FIRST)
    (tmp_path / "one").rename(tmp_path / "two")
    render(tmp_path / "two", SECOND)
    assert check_tree(tmp_path / "two") == []


def test_a_tree_with_links_does_not_become_a_plain_one(tmp_path: Path) -> None:
    render(tmp_path / "tree", FIRST)
    with pytest.raises(UsageFault) as caught:
        render(tmp_path / "tree", SECOND, plain=True)
    assert caught.value.code == "tree-has-links"


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format":9}', b"[" * 10000])
def test_a_tree_whose_records_are_damaged_is_left_alone(tmp_path: Path, damage: bytes) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    (tree / "manifest.json").write_bytes(damage)
    before = names_under(tree)
    with pytest.raises(IntegrityFault) as caught:
        render(tree, SECOND)
    assert caught.value.code == "tree-damaged"
    assert names_under(tree) == before


def test_a_tree_that_lost_its_current_link_is_left_alone(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    render(tree, SECOND)
    (tree / ".pypimirror" / "current").unlink()
    before = names_under(tree)
    with pytest.raises(IntegrityFault):
        render(tree, SECOND)
    assert names_under(tree) == before


def test_a_path_that_leads_out_of_the_tree_is_not_taken_from_its_records(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    render(tree, FIRST)
    said = json.loads((tree / "manifest.json").read_bytes())
    for key, path in (("pages", "../../precious"), ("ledger", "../../../precious"), ("indexes", "..")):
        lie = said | {key: {**said[key], path: {"sha256": "0" * 64, "size": 1}}}
        (tree / "manifest.json").write_text(json.dumps(lie))
        with pytest.raises(IntegrityFault, match="can't be trusted"):
            render(tree, SECOND)


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    class SmallDisk(Disk):
        def free(self, path: Path) -> int:
            return 50 if path.exists() else 0

    with pytest.raises(DiskFault, match=r"needs .*, 50 bytes free") as caught:
        render(tmp_path / "tree", FIRST, disk=SmallDisk())
    assert caught.value.code == "disk-full"
    assert published_files(tmp_path / "tree") == set()


def test_a_file_that_vanishes_while_files_are_put_in_place_is_named_and_nothing_is_published(tmp_path: Path) -> None:
    class Thief(QuickDisk):
        def rename(self, source: StrPath, target: StrPath) -> None:
            if Path(target).name == C1.file.filename:
                Path(source).unlink()
            super().rename(source, target)

    render(tmp_path / "tree", FIRST)
    before = snapshot(tmp_path / "tree")
    with pytest.raises(IntegrityFault, match=f"{C1.file.filename} vanished") as caught:
        render(tmp_path / "tree", SECOND, disk=Thief())
    assert caught.value.code == "tree-damaged"
    assert snapshot(tmp_path / "tree") == before
    render(tmp_path / "tree", SECOND)
    assert check_tree(tmp_path / "tree") == []


def test_where_no_link_can_be_made_plain_is_recommended(tmp_path: Path) -> None:
    class NoLinks(Disk):
        def symlink(self, text: str, path: Path, *, folder: bool = False) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), text, None, str(path) if folder else None)

    with pytest.raises(DiskFault) as caught:
        render(tmp_path / "tree", FIRST, disk=NoLinks())
    assert caught.value.code == "no-links"
    assert "--plain" in caught.value.hint


# ---- the order of steps (what a crash may leave is for tests/crashes) ------------------------------------------------


def test_everything_is_synced_before_the_swap_and_the_swap_after_it(tmp_path: Path) -> None:
    render(tmp_path / "tree", FIRST)
    disk = FaultyDisk()
    render(tmp_path / "tree", SECOND, disk=disk)
    at = max(number for number, name in enumerate(disk.names) if name == "sync_all")
    assert disk.names[at + 1 : at + 4] == ["symlink", "rename", "sync_folder"]
    assert not {"create", "write", "rename"} & set(disk.names[at + 4 :])
