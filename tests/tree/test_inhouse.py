"""``add``: files of our own come in whole or not at all, and hide what is outside."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pypimirror.closed import verify
from pypimirror.errors import IntegrityFault, PolicyFault, PypimirrorError, SeveralFaults, UsageFault
from pypimirror.inhouse import Added, add
from pypimirror.model.findings import Kind
from pypimirror.model.manifest import BundledProject, Manifest
from pypimirror.model.names import label, parse_version, project_name
from pypimirror.reporting import Reporter
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.offered import Parcel, examine
from pypimirror.tree.records import read_accepted
from pypimirror.tree.view import look
from pypimirror.upkeep import rollback, withdraw
from tests.fakes.archives import make_sdist, make_wheel, make_zip
from tests.tree import clients
from tests.tree.helpers import NOW, QuickDisk, bundle, channels, check_tree, links, render, sha256, snapshot, wheel

OLD = 1_790_000_000
A1, B1 = wheel("a", "1.0", requires_dist=("b<3",)), wheel("b", "1.0")
OUTSIDE = bundle(A1, B1, sequence=OLD, pins={A1.file.filename: "a", B1.file.filename: "b"})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    render(tmp_path / "tree", OUTSIDE)
    return tmp_path / "tree"


def dist(folder: Path, *made: tuple[str, bytes]) -> list[Path]:
    (folder / "dist").mkdir(exist_ok=True)
    for name, data in made:
        (folder / "dist" / name).write_bytes(data)
    return [folder / "dist" / name for name, _ in made]


def adding(tree: Path, files: list[Path], *, now: int = NOW, **more: Any) -> Added:  # noqa: ANN401 - passed on
    return add(tree, files, now=now, disk=QuickDisk(), **more)


def served(tree: Path, project: str) -> list[str]:
    return [link["text"] for link in links(tree / "simple" / project / "index.html")]


def manifest_of(tree: Path, channel: str = "in-house") -> Manifest:
    view = look(tree)
    (source,) = [each.source for each in view.contents.accepted if each.source.channel == channel]
    return read_accepted(view.at.manifest(source.digest), source.digest).manifest


@pytest.mark.parametrize("plain", [False, True], ids=["linked", "plain"])
def test_files_come_in_as_a_channel_above_all_others(tmp_path: Path, *, plain: bool) -> None:
    tree = tmp_path / "tree"
    render(tree, OUTSIDE, plain=plain)
    files = dist(tmp_path, make_wheel("corp", "1.0", requires_python=">=3.9"), make_sdist("corp", "1.0"))
    added = adding(tree, files)
    assert added.order == channels("in-house", "default")
    assert added.published is not None
    assert served(tree, "corp") == ["corp-1.0-py3-none-any.whl", "corp-1.0.tar.gz"]
    assert check_tree(tree) == []
    assert verify(tree).findings == ()
    (row, _) = links(tree / "simple" / "corp" / "index.html")
    with zipfile.ZipFile(files[0]) as archive:
        metadata = archive.read("corp-1.0.dist-info/METADATA")
    assert row["data-core-metadata"] == f"sha256={sha256(metadata)}"
    assert (tree / "packages" / f"{files[0].name}.metadata").read_bytes() == metadata
    assert row["data-requires-python"] == ">=3.9"
    manifest = manifest_of(tree)
    assert (manifest.sequence, manifest.sets, manifest.resolutions) == (NOW, (), ())
    assert [(file.index, file.index_hash) for file in manifest.files] == [("in-house", False)] * 2
    assert manifest.files[1].build_requires == ()


def test_the_next_manifest_is_the_full_list_again(tmp_path: Path, tree: Path) -> None:
    first, second = dist(tmp_path, make_wheel("corp", "1.0"), make_wheel("tool", "1.0"))
    adding(tree, [first])
    added = adding(tree, [second], now=NOW - 50)  # a clock that was turned back
    assert added.order is None
    manifest = manifest_of(tree)  # and there is one of this channel
    assert [file.filename for file in manifest.files] == [first.name, second.name]
    assert manifest.sequence == NOW + 1
    assert manifest.files[0].upload_time != manifest.files[1].upload_time
    rollback(tree, now=NOW)
    assert not (tree / "simple" / "tool").exists()
    assert served(tree, "corp") == [first.name]


def test_the_same_file_once_more_changes_nothing(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("corp", "1.0"))
    adding(tree, files)
    before = snapshot(tree)
    added = adding(tree, [*files, *files], now=NOW + 5)
    assert added.published is not None
    assert not added.published.changed
    assert ([file.filename for file in added.known], added.new) == ([files[0].name], ())
    assert snapshot(tree) == before
    (tree / "packages" / files[0].name).write_bytes(b"rotten")
    mended = adding(tree, files)
    assert mended.published is not None
    assert mended.published.repaired == 1
    assert check_tree(tree) == []


def test_a_name_with_other_bytes_is_refused(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("corp", "1.0"))
    adding(tree, files)
    before = snapshot(tree)
    others = dist(tmp_path, make_wheel("corp", "1.0", files={"corp.py": "other"}), make_wheel("b", "1.0"))
    with pytest.raises(SeveralFaults) as caught:
        adding(tree, others, now=NOW + 5)
    assert caught.value.exit_code == PolicyFault.exit_code
    assert [fault.code for fault in caught.value.faults] == ["two-contents"] * 2  # one of its own, one from outside
    assert snapshot(tree) == before


def test_a_withdrawn_version_does_not_come_in(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("corp", "1.0"))
    corp = {(project_name("corp"), parse_version("1.0"))}
    withdraw(tree, corp, reason="stolen key", now=NOW, ahead=True, disk=QuickDisk())
    with pytest.raises(PolicyFault, match="stolen key") as caught:
        adding(tree, [*files, *dist(tmp_path, make_wheel("tool", "3.0"))])
    assert caught.value.code == "withdrawn"
    assert "--restore" in caught.value.hint
    assert not (tree / "simple" / "tool").exists()


def test_a_withdrawn_file_is_kept_so_that_it_can_be_restored(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("corp", "1.0"))
    corp = {(project_name("corp"), parse_version("1.0"))}
    adding(tree, files)
    withdraw(tree, corp, reason="bad", now=NOW, disk=QuickDisk())
    assert not (tree / "packages" / files[0].name).exists()
    added = adding(tree, files)
    assert [file.filename for file in added.withdrawn] == [files[0].name]
    assert served(tree, "corp") == []
    withdraw(tree, corp, reason="", now=NOW, restore=True, disk=QuickDisk())
    assert served(tree, "corp") == [files[0].name]
    assert check_tree(tree) == []


# ---- what is hidden -------------------------------------------------------------------------------------------------


def test_a_project_of_our_own_hides_the_one_outside_and_that_is_told(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("b", "2.0"))
    for dry_run in (True, False):
        added = adding(tree, files, dry_run=dry_run)
        (hidden,) = added.hidden
        assert (hidden.project, hidden.versions) == ("b", {"default": (parse_version("1.0"),)})
        assert hidden.sets == ((label("main"), label("3.12-linux")),)
        assert hidden.broken == ()  # b 2.0 will do
    assert served(tree, "b") == [files[0].name]
    assert [link["text"] for link in links(tree / "channels" / "default" / "simple" / "b" / "index.html")] == [
        B1.file.filename
    ]
    assert adding(tree, dist(tmp_path, make_wheel("b", "2.1"))).hidden == ()  # it was hidden before
    later = wheel("b", "99.0")
    render(tree, bundle(later, sequence=OLD + 1))
    assert later.file.filename not in served(tree, "b")


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (make_wheel("b", "5.0"), "no version of b meets b<3"),
        (make_wheel("b", "2.0", requires_dist=["not-there"]), "no index has not-there"),
    ],
)
def test_a_set_that_it_breaks_is_told_when_it_is_added_and_when_it_is_verified(
    tmp_path: Path, tree: Path, made: tuple[str, bytes], what: str
) -> None:
    (hidden,) = adding(tree, dist(tmp_path, made)).hidden
    (finding,) = verify(tree).findings
    assert finding.kind is Kind.UNSOLVABLE
    for said in (str(hidden.broken[0]), finding.message):
        assert "channel 'in-house' hides b 1.0 of channel 'default'" in said
        assert what in said
    assert "--allow-mixed" in finding.hint
    adding(tree, [tmp_path / "dist" / made[0]], mix=[B1.file.project])
    assert set(served(tree, "b")) == {made[0], B1.file.filename}
    assert verify(tree).findings == ()


def test_an_order_that_a_person_stated_stays(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("b", "2.0"), make_wheel("corp", "1.0"))
    render(tree, bundle(wheel("x", "1.0"), channel="in-house"), channels=channels("default", "in-house"))
    added = adding(tree, files)
    assert (added.order, added.hidden) == (None, ())
    assert [file.filename for file in added.unseen] == [files[0].name]
    assert served(tree, "b") == [B1.file.filename]
    assert served(tree, "x")  # what was bundled for the channel is still there, and its sets are
    assert [each.resolutions for each in look(tree).contents.accepted if each.source.channel == "in-house"] == [1, 0]


def test_pip_and_uv_never_take_the_one_from_outside(tmp_path: Path, tree: Path) -> None:
    """Dependency confusion: whatever version stands outside, ours is the one."""
    adding(tree, dist(tmp_path, make_wheel("b", "0.1")))
    render(tree, bundle(wheel("b", "99.0"), sequence=OLD + 1))
    url = f"{tree.as_uri()}/simple/"
    for name, install in (("pip", clients.pip), ("uv", clients.uv)):
        install(tmp_path / name, "--index-url", url, "a")
        assert clients.installed(tmp_path / name) == {"a": "1.0", "b": "0.1"}
    adding(tree, [tmp_path / "dist" / "b-0.1-py3-none-any.whl"], mix=[B1.file.project])
    clients.uv(tmp_path / "mixed", "--index-url", url, "b")
    assert clients.installed(tmp_path / "mixed") == {"b": "99.0"}


# ---- dry runs, and runs that were cut short -------------------------------------------------------------------------


def test_a_dry_run_changes_nothing(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("b", "2.0"))

    def state() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in tree.rglob("*") if path.name != "lock"}

    before = state()
    added = adding(tree, files, dry_run=True)
    assert added.published is None
    assert [file.filename for file in added.new] == [files[0].name]
    assert state() == before
    assert adding(tmp_path / "not-yet", files, dry_run=True).new
    assert not (tmp_path / "not-yet").exists()
    adding(tmp_path / "not-yet", files)
    assert served(tmp_path / "not-yet", "b") == [files[0].name]


def test_what_an_earlier_try_left_is_cleared_away(tmp_path: Path, tree: Path) -> None:
    offers = examine(dist(tmp_path, make_wheel("corp", "1.0")), Reporter())
    adding(tree, dist(tmp_path, make_wheel("tool", "1.0")))
    with open_tree(tree, disk=QuickDisk()) as opened:
        manifest = manifest_of(tree)
        import_bundle(opened, Parcel(manifest=manifest_with(manifest, offers[0].file), offers=offers))
    adding(tree, dist(tmp_path, make_wheel("other", "1.0")), now=NOW + 10)
    assert list((tree / ".pypimirror" / "incoming").iterdir()) == []


def manifest_with(manifest: Manifest, file: Any) -> Manifest:  # noqa: ANN401 - of any kind
    projects = (BundledProject(name=file.project), *manifest.projects)
    return replace(
        manifest,
        sequence=manifest.sequence + 1,
        files=tuple(sorted((*manifest.files, file), key=lambda each: each.filename)),
        projects=tuple(sorted(projects, key=lambda each: each.name)),
    )


# ---- the gate -------------------------------------------------------------------------------------------------------


def members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


_, GOOD = make_wheel("corp", "1.0")
_, SDIST = make_sdist("corp", "1.0")
INFO = "corp-1.0.dist-info"
Bad = Callable[[Path], object]
WHEEL = "corp-1.0-py3-none-any.whl"


def bomb() -> bytes:
    """A member of a hundred megabytes of nothing."""
    own = [(path, data) for path, data in members(GOOD) if not path.endswith("RECORD")]
    own.append(("corp/zeros", bytes(100 << 20)))
    record = "".join(f"{path},,\n" for path, _ in own) + f"{INFO}/RECORD,,\n"
    return make_zip([*own, (f"{INFO}/RECORD", record.encode())])


REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "other name": ("other-1.0-py3-none-any.whl", lambda: GOOD, "bad-wheel"),
    "other version": ("corp-2.0-py3-none-any.whl", lambda: GOOD, "bad-wheel"),
    "metadata of another": (
        WHEEL,
        lambda: make_zip((p, d.replace(b"Name: corp", b"Name: evil")) for p, d in members(GOOD)),
        "metadata-mismatch",
    ),
    "two dist-infos": (WHEEL, lambda: make_zip([*members(GOOD), ("x-1.dist-info/METADATA", b"")]), "bad-wheel"),
    "not in RECORD": (WHEEL, lambda: make_zip([*members(GOOD), ("evil.py", b"")]), "bad-wheel"),
    "leads out": (WHEEL, lambda: make_zip([*members(GOOD), ("../evil.py", b"")]), "bad-wheel"),
    "bytes after it": (WHEEL, lambda: GOOD + b"x", "bad-wheel"),
    "bytes before it": (WHEEL, lambda: b"x" + GOOD, "bad-wheel"),
    "no zip": (WHEEL, lambda: b"no zip at all", "bad-wheel"),
    "bomb": (WHEEL, bomb, "bad-wheel"),
    "sdist of another": ("corp-2.0.tar.gz", lambda: SDIST, "metadata-mismatch"),
    "sdist without PKG-INFO": ("corp-1.0.zip", lambda: make_zip([("corp-1.0/setup.py", b"")]), "bad-sdist"),
    "no sdist": ("corp-1.0.tar.gz", lambda: b"no archive", "bad-sdist"),
    "no name of a file": ("corp.whl", lambda: GOOD, "bad-file-name"),
    "no package at all": ("README.md", lambda: b"", "bad-file-name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_pass_the_gate_is_refused(tmp_path: Path, tree: Path, name: str) -> None:
    filename, data, code = REFUSED[name]
    with pytest.raises(PypimirrorError) as caught:
        adding(tree, dist(tmp_path, (filename, data())))
    assert caught.value.code == code
    assert filename in str(caught.value)
    assert caught.value.hint
    assert not (tree / "simple" / "corp").exists()


def test_ten_bad_files_are_ten_messages_and_nothing_comes_in(tmp_path: Path, tree: Path) -> None:
    before = snapshot(tree)
    made = [(f"x{number}-1.0-py3-none-any.whl", b"no zip") for number in range(10)]
    with pytest.raises(SeveralFaults) as caught:
        adding(tree, [*dist(tmp_path, *made), *dist(tmp_path, make_wheel("corp", "1.0"))])
    assert len(caught.value.faults) == 10
    assert caught.value.exit_code == IntegrityFault.exit_code
    assert snapshot(tree) == before
    assert list((tree / ".pypimirror" / "incoming").iterdir()) == []


def test_links_folders_and_pipes_are_refused(tmp_path: Path, tree: Path) -> None:
    (real,) = dist(tmp_path, make_wheel("corp", "1.0"))
    link, folder, pipe = (tmp_path / f"{x}-1.0-py3-none-any.whl" for x in ("corp", "folder", "pipe"))
    link.symlink_to(real)
    folder.mkdir()
    os.mkfifo(pipe)
    with pytest.raises(SeveralFaults) as caught:
        adding(tree, [link, folder, pipe, tmp_path / "absent-1.0-py3-none-any.whl"])
    assert [fault.code for fault in caught.value.faults] == ["not-a-regular-file"] * 3 + ["no-such-file"]


def test_one_name_twice_with_other_bytes_is_refused(tmp_path: Path, tree: Path) -> None:
    (first,) = dist(tmp_path, make_wheel("corp", "1.0"))
    (tmp_path / "more").mkdir()
    (second,) = dist(tmp_path / "more", make_wheel("corp", "1.0", files={"x.py": ""}))
    with pytest.raises(PolicyFault) as caught:
        adding(tree, [first, second])
    assert caught.value.code == "two-contents"
    assert len(adding(tree, [first, first]).new) == 1


def test_a_file_that_changes_after_it_was_looked_through_does_not_come_in(tmp_path: Path, tree: Path) -> None:
    files = dist(tmp_path, make_wheel("corp", "1.0"))

    class Changing(Reporter):
        def step(self, name: str) -> None:
            if name == "Importing":
                files[0].write_bytes(make_wheel("corp", "1.0", files={"evil.py": ""})[1])

    with pytest.raises(IntegrityFault) as caught:
        adding(tree, files, reporter=Changing())
    assert caught.value.code == "changed-file"
    assert not (tree / "simple" / "corp").exists()


def test_an_sdist_that_only_a_build_could_know_is_taken_at_its_word(tmp_path: Path, tree: Path) -> None:
    made = make_sdist("old", "1.0", metadata_version="1.2", requires_dist=["b"], pyproject=None, setup_py="x")
    (file,) = adding(tree, dist(tmp_path, made)).new
    assert (file.learnt_from, file.requires_dist) == ("egg-info", ("b",))
    assert "setuptools" in " ".join(file.build_requires or ())


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    files = dist(tmp_path, make_wheel("corp", "1.0"))
    for dry_run in (True, False):
        with pytest.raises(UsageFault) as caught:
            adding(files[0], files, dry_run=dry_run)
        assert caught.value.code == "not-a-tree"


class _Stubborn(QuickDisk):
    """A disk on which no manifest that came in can be removed."""

    def remove(self, path: Path) -> None:
        if path.parent.name == "incoming" and path.suffix == ".json":
            raise OSError(errno.EIO, "Input/output error")
        super().remove(path)


def test_what_can_t_be_cleared_away_afterwards_is_a_note_and_the_next_run_does_it(tmp_path: Path, tree: Path) -> None:
    """The files are served: to say that it failed would be wrong."""
    notes: list[str] = []

    class Listening(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

    (first, second) = dist(tmp_path, make_wheel("corp", "1.0"), make_wheel("corp", "2.0"))
    added = add(tree, [first], now=NOW, reporter=Listening(), disk=_Stubborn())
    assert added.published is not None
    assert served(tree, "corp") == [first.name]
    assert any("the next 'add' removes the rest" in each for each in notes)
    assert [*(tree / ".pypimirror" / "incoming").glob("*.json")]
    adding(tree, [second], now=NOW + 1)
    assert served(tree, "corp") == [first.name, second.name]
    assert [*(tree / ".pypimirror" / "incoming").iterdir()] == []
