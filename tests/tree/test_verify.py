"""``verify`` on trees: each thing that can be wrong is found, named, and given its exit code."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pypimirror.closed import verify
from pypimirror.errors import BusyFault, Incomplete, UsageFault
from pypimirror.index import metadata
from pypimirror.model import manifest_json
from pypimirror.model.findings import Kind, Report
from pypimirror.tree import contents as contents_of_tree
from pypimirror.tree.contents import Served
from pypimirror.tree.folder import open_tree
from pypimirror.tree.walk import REPAIR
from tests.tree.example import example
from tests.tree.helpers import FaultyDisk, Killed, MemoryBundle, bundle, channels, fake, render, sample, sha256

OLD, NEW = 1_790_000_000, 1_790_000_100
A1, A2, B1, C1 = (fake(f"{stem}-py3-none-any.whl") for stem in ("a-1.0", "a-2.0", "b-1.0", "c-1.0"))
FIRST = bundle(A1, B1, sequence=OLD, pins={A1.file.filename: "a", B1.file.filename: "b"})
SECOND = bundle(A2, B1, C1, sequence=NEW + 1)
EVIL = "packages/evil-1.0-py3-none-any.whl"
WHEEL, SIBLING = f"packages/{A1.file.filename}", f"packages/{A1.file.filename}.metadata"


@contextmanager
def no_more_than(*, seconds: int) -> Iterator[None]:
    """Fail where the block hangs, or asks for memory without end."""

    def too_long(*_: object) -> None:
        raise AssertionError("it hangs")  # no OSError, which is caught on the way

    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, limits[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


both_kinds = pytest.mark.parametrize("plain", [False, True], ids=["linked", "plain"])


def found(report: Report) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.path) for finding in report.findings]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a generation before the one that is served, and nothing solved: its sets ask for what it has."""
    render(tmp_path / "tree", FIRST)
    render(tmp_path / "tree", bundle(A2, B1, sequence=NEW, pins={A2.file.filename: "a", B1.file.filename: "b"}))
    return tmp_path / "tree"


@both_kinds
def test_a_tree_as_it_was_rendered_is_whole(tmp_path: Path, *, plain: bool) -> None:
    render(tmp_path / "tree", example(), plain=plain)
    for quick in (False, True):
        report = verify(tmp_path / "tree", quick=quick)
        # Its manifest pins just a part of what it asks for: that is what the example is for.
        assert {kind for kind, _ in found(report)} <= {Kind.UNSOLVABLE}
    assert verify(tmp_path / "tree").checked.files == len(example().samples)


@both_kinds
def test_trees_of_several_bundles_and_channels_are_whole(tmp_path: Path, *, plain: bool) -> None:
    path = tmp_path / "tree"
    steps: list[tuple[MemoryBundle, dict[str, Any]]] = [
        (FIRST, {}),
        (bundle(fake("d-1.0-py3-none-any.whl"), channel="inside"), {"channels": channels("inside", "default")}),
        (SECOND, {"replace": channels("default")}),
        (bundle(A1.but(yanked="bad"), sequence=NEW + 2), {}),
    ]
    for each, options in steps:
        render(path, each, plain=plain, **options)
        report = verify(path)
        assert [f for f in report.findings if f.kind is not Kind.UNSOLVABLE] == []


Damage = Callable[[Path], object]


def _wrong_page(tree: Path) -> None:
    page = tree / "simple" / "a" / "index.html"
    page.write_bytes(page.read_bytes().replace(b"2.0", b"3.0"))


def _redirect(tree: Path) -> None:
    link = next((tree / ".pypimirror" / "shards").glob("*/a"))
    link.unlink()
    link.symlink_to("/etc")


def _replace_by_link(tree: Path) -> None:
    (tree / WHEEL).rename(tree.parent / "elsewhere")
    (tree / WHEEL).symlink_to(tree.parent / "elsewhere")


def _pipe(tree: Path) -> None:
    (tree / WHEEL).unlink()
    os.mkfifo(tree / WHEEL)


def _copy_in_place_of_a_link(tree: Path) -> None:
    data = (tree / "index.html").read_bytes()
    (tree / "index.html").unlink()
    (tree / "index.html").write_bytes(data)


CURRENT = ".pypimirror/generations/2"
DAMAGES: dict[str, tuple[Damage, Kind, str]] = {
    "byte": (lambda t: (t / WHEEL).write_bytes(bytes(len(A1.data))), Kind.CHANGED, WHEEL),
    "shorter": (lambda t: (t / WHEEL).write_bytes(b""), Kind.CHANGED, WHEEL),
    "sibling": (lambda t: (t / SIBLING).write_bytes(bytes(len(A1.metadata or b""))), Kind.CHANGED, SIBLING),
    "gone": (lambda t: (t / WHEEL).unlink(), Kind.MISSING, WHEEL),
    "all gone": (lambda t: shutil.rmtree(t / "packages"), Kind.MISSING, "packages"),
    "stray wheel": (lambda t: (t / EVIL).write_bytes(b"x"), Kind.EXTRA, EVIL),
    "stray page": (lambda t: (t / CURRENT / "simple" / "evil").mkdir(), Kind.EXTRA, f"{CURRENT}/simple/evil"),
    "stray file": (lambda t: (t / "setup.exe").write_bytes(b"x"), Kind.EXTRA, "setup.exe"),
    "stray folder": (lambda t: (t / "packages" / "d").mkdir(), Kind.EXTRA, "packages/d"),
    "link out": (lambda t: (t / "packages" / "etc").symlink_to("/etc"), Kind.EXTRA, "packages/etc"),
    "hidden": (lambda t: (t / ".pypimirror" / "x").write_bytes(b"x"), Kind.EXTRA, ".pypimirror/x"),
    "link in place of a file": (_replace_by_link, Kind.CHANGED, WHEEL),
    "pipe in place of a file": (_pipe, Kind.CHANGED, WHEEL),
    "a project's link": (_redirect, Kind.CHANGED, ".pypimirror/shards/ca-"),
    "mode of a file": (lambda t: (t / WHEEL).chmod(0o600), Kind.MODE, WHEEL),
    "mode of a folder": (lambda t: (t / "packages").chmod(0o777), Kind.MODE, "packages"),
    "mode of the tree": (lambda t: t.chmod(0o777), Kind.MODE, "."),
    "stable link": (_copy_in_place_of_a_link, Kind.CHANGED, "index.html"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_and_nothing_else_is(tree: Path, name: str) -> None:
    damage, kind, path = DAMAGES[name]
    damage(tree)
    report = verify(tree)
    (only,) = found(report)
    assert only[0] is kind
    assert only[1].startswith(path) if path.endswith("-") else only[1] == path
    assert path in report.findings[0].message
    assert report.findings[0].hint
    assert report.exit_code == (4 if kind is Kind.CHANGED else 1)


def test_a_page_that_changed_is_named(tree: Path) -> None:
    _wrong_page(tree)
    report = verify(tree)
    assert {kind for kind, _ in found(report)} == {Kind.CHANGED}
    assert any(path.endswith("/index.html") for _, path in found(report))
    assert verify(tree, quick=True).exit_code == 4


def test_a_quick_look_sees_sizes_and_not_bytes(tree: Path) -> None:
    (tree / WHEEL).write_bytes(bytes(len(A1.data)))
    assert verify(tree, quick=True).exit_code == 0
    (tree / WHEEL).write_bytes(b"")
    assert verify(tree, quick=True).exit_code == 4


def test_a_page_that_was_forged_together_with_the_records_is_found(tree: Path) -> None:
    """Whoever can write into the tree can make its manifest.json agree; the bundles' own manifests do not."""
    contents = tree / ".pypimirror" / "current" / "packages.html"
    forged = contents.read_bytes().replace(A2.file.sha256.encode(), b"0" * 64)
    contents.write_bytes(forged)
    record = tree / "manifest.json"
    said = contents_of_tree.parse(record.read_bytes())
    pages = {**said.pages, "packages/index.html": Served(sha256(forged), len(forged))}
    record.write_bytes(contents_of_tree.dump(replace(said, pages=pages)))
    assert found(verify(tree)) == [(Kind.CHANGED, "packages/index.html")]
    assert verify(tree, quick=True).exit_code == 0


def test_pages_of_another_version_that_mean_the_same_are_a_note(tree: Path) -> None:
    page = tree / ".pypimirror" / "current" / "packages.html"
    other = page.read_bytes().replace(b"</body>", b"  </body>")
    assert other != page.read_bytes()
    page.write_bytes(other)
    record = tree / "manifest.json"
    said = contents_of_tree.parse(record.read_bytes())
    pages = {**said.pages, "packages/index.html": Served(sha256(other), len(other))}
    record.write_bytes(contents_of_tree.dump(replace(said, pages=pages)))
    report = verify(tree)
    assert report.exit_code == 0
    assert any("another version of pypimirror" in note for note in report.notes)


def test_a_record_that_lists_other_bundles_is_found(tree: Path) -> None:
    record = tree / "manifest.json"
    said = contents_of_tree.parse(record.read_bytes())
    first = said.accepted[0]
    lie = replace(first, source=replace(first.source, sequence=first.source.sequence + 1))
    record.write_bytes(contents_of_tree.dump(replace(said, accepted=(lie, *said.accepted[1:]))))
    assert (Kind.CHANGED, "manifest.json") in found(verify(tree))


def test_a_manifest_that_is_gone_is_told_and_what_could_not_be_done_without_it(tree: Path) -> None:
    (digest, *_) = [each["digest"] for each in json.loads((tree / "manifest.json").read_bytes())["accepted"]]
    (tree / ".pypimirror" / "manifests" / f"{digest}.json").unlink()
    report = verify(tree)
    assert found(report) == [(Kind.MISSING, f".pypimirror/manifests/{digest}.json")]
    assert any("nothing was solved" in note for note in report.notes)


def test_a_manifest_that_contradicts_the_files_is_found(tmp_path: Path) -> None:
    """The proof stands on what manifests say of files; a forged one would pass it."""
    lying = A1.but(requires_dist=("nothing-of-the-kind",))
    render(tmp_path / "tree", bundle(lying, fake("nothing_of_the_kind-1.0-py3-none-any.whl")))
    assert (Kind.CHANGED, SIBLING) in found(verify(tmp_path / "tree"))


def test_a_set_that_no_longer_installs_is_found(tmp_path: Path) -> None:
    """Its own pins are all there; but an upper channel hides one of them behind a version that will not do."""
    path = tmp_path / "tree"
    wants = fake("a-1.0-py3-none-any.whl", requires_dist=("b<2",))
    render(path, bundle(wants, B1, pins={A1.file.filename: "a", B1.file.filename: "b<2"}))
    assert all(kind is not Kind.UNSOLVABLE for kind, _ in found(verify(path)))
    above = fake("b-2.0-py3-none-any.whl")
    render(path, bundle(above, channel="inside", pins={above.file.filename: "b"}), channels=channels("inside"))
    report = verify(path)
    assert [finding for finding in report.findings if finding.kind is Kind.UNSOLVABLE]
    assert "b" in report.findings[-1].message
    assert "from what is served" in report.findings[-1].message
    assert "--channels" in report.findings[-1].hint
    # The hint is true: in the other order nothing is hidden that is needed.
    render(path, bundle(above, channel="inside", pins={above.file.filename: "b"}), channels=channels("default"))
    assert all(kind is not Kind.UNSOLVABLE for kind, _ in found(verify(path)))


def test_files_with_a_second_name_elsewhere_are_worth_a_note(tree: Path) -> None:
    (tree.parent / "second").hardlink_to(tree / WHEEL)
    report = verify(tree)
    assert report.exit_code == 0
    assert any("hard link" in note and WHEEL in note for note in report.notes)


# ---- runs that were cut short ---------------------------------------------------------------------------------------


def test_what_a_crash_left_at_any_operation_is_no_finding(tmp_path: Path) -> None:
    disk = FaultyDisk()
    render(tmp_path / "count", FIRST)
    render(tmp_path / "count", SECOND, disk=disk, replace=channels("default"))
    noted = 0
    for number in range(len(disk.names)):
        path = tmp_path / f"tree{number}"
        render(path, FIRST)
        with suppress(Killed):
            render(path, SECOND, disk=FaultyDisk(number), replace=channels("default"))
        report = verify(path)
        assert [f for f in report.findings if f.kind is not Kind.UNSOLVABLE] == [], disk.names[number]
        noted += bool(report.notes)
    assert noted > len(disk.names) // 2, "a crash leaves something, and it is told"


def test_a_bundle_that_waits_for_its_other_volume_is_a_note(tree: Path) -> None:
    volume = MemoryBundle(SECOND.manifest, SECOND.samples, frozenset([C1.file.filename]))
    with pytest.raises(Incomplete):
        render(tree, volume)
    report = verify(tree)
    assert report.exit_code == 0
    assert any(SECOND.manifest.stem in note for note in report.notes)


def test_a_tree_that_is_published_meanwhile_is_not_called_damaged(tree: Path) -> None:
    (tree / "packages" / "new-1.0-py3-none-any.whl").write_bytes(b"of a run that is at work")
    with open_tree(tree), pytest.raises(BusyFault):
        verify(tree)
    assert verify(tree).exit_code == 1


# ---- what is no tree ------------------------------------------------------------------------------------------------


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault) as caught:
        verify(tmp_path)
    assert caught.value.code == "not-a-tree"
    with open_tree(tmp_path / "empty"):
        pass
    with pytest.raises(Incomplete) as empty:
        verify(tmp_path / "empty")
    assert empty.value.code == "nothing-published"


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _huge(path: Path) -> None:
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10 << 30)
    path.chmod(0o644)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


PLANTED: dict[str, Callable[[Path], object]] = {
    "broken": lambda path: path.write_bytes(b"{}"),
    "gone": Path.unlink,
    "folder": _folder,
    "pipe": _fifo,
    "10 GB": _huge,
    "/dev/zero": _endless,
}


@both_kinds
@pytest.mark.parametrize("name", PLANTED)
def test_a_record_that_can_not_be_trusted_is_a_finding_and_holds_nobody(
    tmp_path: Path, name: str, *, plain: bool
) -> None:
    if plain and name == "gone":
        pytest.skip("a plain tree without a manifest is one in which nothing is published")
    render(tmp_path / "tree", FIRST, plain=plain)
    PLANTED[name](Path(os.path.realpath(tmp_path / "tree" / "manifest.json")))
    with no_more_than(seconds=20):
        report = verify(tmp_path / "tree")
    assert [(kind, report.what) for kind, _ in found(report)] == [(Kind.CHANGED, "tree")]
    assert report.exit_code == 4
    assert "manifest.json" in report.findings[0].message


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_manifest_of_a_bundle_is_told_once_and_holds_nobody(tree: Path, name: str) -> None:
    path = next((tree / ".pypimirror" / "manifests").iterdir())
    PLANTED[name](path)
    with no_more_than(seconds=20):
        report = verify(tree)
    assert found(report) == [(Kind.MISSING if name == "gone" else Kind.CHANGED, str(path.relative_to(tree)))]


def test_what_runs_left_is_read_warily_too(tree: Path) -> None:
    os.mkfifo(tree / ".pypimirror" / "manifests" / f"{'0' * 64}.json")
    _fifo(tree / ".pypimirror" / "lock")
    (tree / EVIL).write_bytes(b"x")
    with no_more_than(seconds=20):
        report = verify(tree)
    assert {kind for kind, _ in found(report)} == {Kind.CHANGED, Kind.EXTRA}
    assert len(report.findings) == 3


def test_a_current_that_is_no_link_is_a_finding(tree: Path) -> None:
    (tree / ".pypimirror" / "current").unlink()
    (tree / ".pypimirror" / "current").write_bytes(b"generations/2")
    report = verify(tree)
    assert (report.exit_code, len(report.findings)) == (4, 1)
    assert "no link" in report.findings[0].message


def test_a_manifest_with_the_right_digest_that_is_none_of_ours_is_found(tree: Path) -> None:
    """Else whoever plants one, and names it in the tree's record, has a tree in which nothing is compared."""
    garbage = b"of another format, or of nobody"
    said = contents_of_tree.parse((tree / "manifest.json").read_bytes())
    path = tree / ".pypimirror" / "manifests" / f"{sha256(garbage)}.json"
    path.write_bytes(garbage)
    path.chmod(0o644)
    first, *rest = said.accepted
    lie = replace(first, source=replace(first.source, digest=sha256(garbage)))
    (tree / "manifest.json").write_bytes(contents_of_tree.dump(replace(said, accepted=(lie, *rest))))
    for quick in (False, True):
        report = verify(tree, quick=quick)
        assert found(report) == [(Kind.CHANGED, str(path.relative_to(tree)))]
        assert any("nothing was solved" in note for note in report.notes)


@both_kinds
def test_a_page_that_became_a_pipe_or_endless_is_not_read(tmp_path: Path, *, plain: bool) -> None:
    """Forged together with the records, so that it would be compared."""
    for number, plant in enumerate((_fifo, _endless)):
        path = tmp_path / f"tree{number}"
        render(path, FIRST, plain=plain)
        page = Path(os.path.realpath(path / "packages" / "index.html"))
        record = Path(os.path.realpath(path / "manifest.json"))
        said = contents_of_tree.parse(record.read_bytes())
        pages = {**said.pages, "packages/index.html": Served(sha256(b"forged"), 6)}
        record.write_bytes(contents_of_tree.dump(replace(said, pages=pages)))
        plant(page)
        with no_more_than(seconds=20):
            report = verify(path)
        assert found(report) == [(Kind.CHANGED, str(page.relative_to(path.resolve())))]


def test_a_previous_generation_whose_record_is_damaged_is_one_finding(tree: Path) -> None:
    """What it held was right, and is not called a stranger."""
    (tree / ".pypimirror" / "generations" / "1" / "manifest.json").write_bytes(b"{}")
    assert found(verify(tree)) == [(Kind.CHANGED, ".pypimirror/generations/1/manifest.json")]


@pytest.mark.parametrize("name", ["packages", ".pypimirror"])
def test_a_folder_that_became_a_link_is_one_finding(tree: Path, name: str) -> None:
    (tree / name).rename(tree.parent / "moved")
    (tree / name).symlink_to("../moved")
    report = verify(tree)
    assert (Kind.CHANGED, name) in found(report)
    assert all(finding.path in (name, "packages/index.html") for finding in report.findings)


def test_what_lies_in_a_folder_that_can_not_be_read_is_not_called_missing(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refusing(path: Path) -> Any:  # noqa: ANN401 - what os.scandir returns has no name
        if Path(path).name == "packages":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert found(verify(tree)) == [(Kind.UNREADABLE, "packages")]


def test_a_tree_that_was_turned_back_by_hand_is_worth_a_note(tree: Path) -> None:
    (tree / ".pypimirror" / "current").unlink()
    (tree / ".pypimirror" / "current").symlink_to("generations/1")
    report = verify(tree)
    assert report.exit_code == 0
    assert any("generation 2 is newer than 1" in note for note in report.notes)


def test_a_plain_tree_that_lost_its_record_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    for each in (FIRST, SECOND):
        render(tmp_path / "tree", each, plain=True)
    (tmp_path / "tree" / "manifest.json").unlink()
    report = verify(tmp_path / "tree")
    assert (report.exit_code, len(report.findings)) == (4, 1)


def test_a_tree_that_others_can_not_enter_is_worth_a_note(tree: Path) -> None:
    tree.chmod(0o700)
    report = verify(tree)
    assert report.exit_code == 0
    assert any("web server" in note for note in report.notes)
    tree.chmod(0o755)
    assert not any("web server" in note for note in verify(tree).notes)


def test_a_copy_without_hidden_files_is_told_as_one(tree: Path) -> None:
    shutil.rmtree(tree / ".pypimirror")
    with pytest.raises(UsageFault) as caught:
        verify(tree)
    assert "hidden files" in caught.value.hint


LEADING_OUT = [
    (f".pypimirror/pages/x-{'0' * 32}", "/etc"),
    (".pypimirror/generations/9", "/etc"),
    (f".pypimirror/incoming/{'0' * 64}", "/etc/hostname"),
    (".pypimirror/link.part", "/etc"),
    (".pypimirror/other.part", "generations/1"),
    ("lost+found", "/etc"),
]


@pytest.mark.parametrize(("path", "text"), LEADING_OUT)
def test_a_link_out_of_the_tree_is_no_remainder_of_a_run(tree: Path, path: str, text: str) -> None:
    (tree / path).symlink_to(text)
    assert found(verify(tree)) == [(Kind.EXTRA, path)]


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_an_extra_file_that_can_not_be_read_ends_nothing(tree: Path) -> None:
    render(tree, SECOND)
    (tree / WHEEL).chmod(0)
    assert found(verify(tree)) == [(Kind.EXTRA, WHEEL)]


def test_a_hint_says_what_mends_it(tree: Path) -> None:
    """Rendering a bundle again looks at the files in packages/, and at nothing else."""
    (tree / WHEEL).unlink()
    assert "once more" in verify(tree).findings[0].hint
    render(tree, FIRST)
    (tree / "index.html").unlink()
    _wrong_page(tree)
    assert {finding.hint for finding in verify(tree).findings} == {REPAIR}


def test_the_hint_for_modes_mends_them(tree: Path) -> None:
    (tree / "packages").chmod(0o2755)
    (tree / WHEEL).chmod(0o600)
    for finding in verify(tree).findings:
        mode = finding.hint.split()[1]
        subprocess.run(["/bin/chmod", mode, tree / finding.path], check=True)
    assert verify(tree).exit_code == 0


def test_metadata_of_an_absurd_size_is_not_read(tmp_path: Path) -> None:
    """It is bounded by the manifest alone, and that is made by whoever made the bundle."""
    size = metadata.MAX_BYTES + 1
    data = f"Name: a\nVersion: 1.0\nX: {'x' * size}".encode()[:size]
    render(tmp_path / "tree", bundle(sample(A1.file.filename, A1.data, data)))
    finding = next(each for each in verify(tmp_path / "tree").findings if each.kind is Kind.CHANGED)
    assert finding.path == SIBLING
    assert "no core metadata has" in finding.message


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be sure to change and to keep modes of others")
def test_verifying_changes_nothing(tree: Path) -> None:
    def state() -> dict[str, tuple[int, int, int]]:
        return {str(path): ((s := path.lstat()).st_ino, s.st_mtime_ns, s.st_mode) for path in (tree, *tree.rglob("*"))}

    before = state()
    verify(tree)
    assert state() == before


def test_a_bundle_is_verified_by_the_same_name(tmp_path: Path) -> None:
    data = manifest_json.dump(FIRST.manifest)
    (tmp_path / "x.tar").write_bytes(data)
    report = verify(tmp_path / "x.tar")
    assert (report.what, report.exit_code) == ("bundle", 4)
