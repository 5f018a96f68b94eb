"""``repair``: whatever rots in a tree is put back, and nothing else is touched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.bundle.writer import write_bundle
from pypimirror.closed import verify
from pypimirror.errors import BusyFault, IntegrityFault, PypimirrorError, UsageFault
from pypimirror.model.findings import Kind, Report
from pypimirror.repair import Repaired, repair
from pypimirror.tree import contents as contents_of_tree
from pypimirror.tree.contents import Served
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.layout import ledger_file
from pypimirror.tree.publish import publish
from pypimirror.tree.revise import Edit
from pypimirror.upkeep import rollback, withdraw
from tests.crashes.cases import sources
from tests.tree.helpers import (
    NOW,
    MemoryBundle,
    QuickDisk,
    bundle,
    channels,
    fake,
    render,
    sha256,
    snapshot,
)

OLD, NEW, NEWEST = 1_790_000_000, 1_790_000_100, 1_790_000_200
A1, A2, B1, C1 = (fake(f"{x}-py3-none-any.whl", f"of {x}".encode()) for x in ("a-1.0", "a-2.0", "b-1.0", "c-1.0"))
FIRST = bundle(A1, B1, sequence=OLD, pins={A1.file.filename: "a", B1.file.filename: "b"})
SECOND = bundle(A2, B1, sequence=NEW, pins={A2.file.filename: "a", B1.file.filename: "b"})
INSIDE = bundle(C1, channel="inside", sequence=NEWEST)
WHEEL, SIBLING = f"packages/{A1.file.filename}", f"packages/{A1.file.filename}.metadata"

both_kinds = pytest.mark.parametrize("plain", [False, True], ids=["linked", "plain"])


def tar(folder: Path, each: MemoryBundle) -> Path:
    path = folder / f"{each.manifest.stem}.tar"
    if not path.exists():
        write_bundle(each.manifest, sources(each), path, members=False, disk=QuickDisk())
    return path


def tars(folder: Path) -> list[Path]:
    return [tar(folder, each) for each in (FIRST, SECOND, INSIDE)]


def mend(tree: Path, *bundles: Path, dry_run: bool = False) -> Repaired:
    return repair(tree, bundles, now=NOW + 1000, dry_run=dry_run, disk=QuickDisk())


@pytest.fixture
def made(tmp_path: Path) -> Callable[[bool], Path]:
    """Two channels, and a state before the one that is served."""

    def make(plain: bool) -> Path:  # noqa: FBT001 - what a test is parametrized by
        tree = tmp_path / "tree"
        render(tree, FIRST, plain=plain)
        render(tree, SECOND, INSIDE, plain=plain, channels=channels("inside"), replace=channels("default"))
        return tree

    return make


def entries(tree: Path) -> list[str]:
    """Every entry that ``verify`` misses where it is gone, but for the tree's own word, which nothing vouches for."""
    names = [path.relative_to(tree).as_posix() for path in sorted(tree.rglob("*"))]
    left_out = {f".pypimirror{each}" for each in ("", "/lock", "/incoming", "/plain", "/generations")}
    left_out |= {".pypimirror/generations/1", ".pypimirror/generations/2"}  # with the tree's own word in them
    return [name for name in names if name not in left_out and not is_record(tree, name)]


def is_record(tree: Path, name: str) -> bool:
    return name.endswith(("manifest.json", "previous.json")) and not (tree / name).is_symlink()


def some(tree: Path) -> list[str]:
    """One entry of each sort."""
    found: dict[tuple[object, ...], str] = {}
    for name in entries(tree):
        path = tree / name
        folder = re.sub(r"(?<=/)([0-9]+|default|inside|[^/]*-[a-z2-7]{26})(?=/|$)", "*", name.rpartition("/")[0])
        found.setdefault((folder, path.suffix, path.is_symlink(), path.is_dir()), name)
    return list(found.values())


def only_unsolvable(report: Report) -> bool:
    return all(finding.kind is Kind.UNSOLVABLE for finding in report.findings)


def gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def linked(path: Path) -> None:
    gone(path)
    path.symlink_to("/etc/hostname")


def copied(path: Path) -> None:
    """A link that somebody replaced by what it leads to, as copying programs do."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def closed(path: Path) -> None:
    path.chmod(0o700)


def rots(path: Path, *, plain: bool) -> list[Callable[[Path], None]]:
    """What can become of an entry."""
    if path.is_symlink():
        return [gone, linked, *([] if path.is_dir() else [copied])]
    if path.is_dir():
        return [gone]
    return [flipped, gone, cut, piped, linked, *([] if plain else [closed])]


def rot_and_mend(whole: Path, name: str, rot: Callable[[Path], None]) -> None:
    """Repairing says by itself that all is well then; what is served is what was served."""
    tree = whole.parent / "copy"
    shutil.copytree(whole, tree, symlinks=True)
    rot(tree / name)
    repaired = mend(tree, *tars(whole.parent))
    case = f"{name} {rot.__name__}"
    assert (repaired.findings, repaired.anew, repaired.forgot) == ((), False, False), case
    assert name in repaired.mended, case
    if (whole / name).is_symlink() or not (whole / name).is_dir():
        assert repaired.mended == (name,), case
    assert snapshot(tree) == snapshot(whole), case
    shutil.rmtree(tree)


@both_kinds
def test_whatever_rots_comes_back(made: Callable[[bool], Path], *, plain: bool) -> None:
    whole = made(plain)
    for number, name in enumerate(some(whole)[::2]):
        ways = rots(whole / name, plain=plain)
        rot_and_mend(whole, name, ways[number % len(ways)])


@pytest.mark.slow
@pytest.mark.timeout(600)
@both_kinds
def test_whatever_rots_in_whatever_way_comes_back(made: Callable[[bool], Path], *, plain: bool) -> None:
    whole = made(plain)
    for name in entries(whole):
        for rot in rots(whole / name, plain=plain):
            if not (plain and rot is gone and name in (WHEEL, SIBLING)):  # there, what was served before may be gone
                rot_and_mend(whole, name, rot)


@both_kinds
def test_a_tree_that_is_whole_is_not_touched(made: Callable[[bool], Path], *, plain: bool) -> None:
    tree = made(plain)

    def state() -> dict[str, tuple[int, int, int]]:
        found = {path: path.lstat() for path in tree.rglob("*") if path.name not in ("lock", "incoming")}
        return {str(path): (s.st_ino, s.st_mtime_ns, s.st_mode) for path, s in found.items()}

    before = state()
    repaired = mend(tree)
    assert (repaired.mended, repaired.findings, repaired.anew) == ((), (), False)
    assert state() == before


@both_kinds
def test_much_damage_at_once_comes_back(tmp_path: Path, made: Callable[[bool], Path], *, plain: bool) -> None:
    tree = made(plain)
    served = snapshot(tree)
    for name in entries(tree):
        if (tree / name).is_file() and not (tree / name).is_symlink():
            flipped(tree / name)
    assert verify(tree).exit_code == 4
    repaired = mend(tree, *tars(tmp_path))
    assert repaired.findings == ()
    assert only_unsolvable(verify(tree))
    assert snapshot(tree) == served


def test_what_no_bundle_has_is_told_and_the_rest_is_mended(tmp_path: Path, made: Callable[[bool], Path]) -> None:
    tree = made(False)
    (tree / WHEEL).unlink()
    flipped(tree / "packages" / C1.file.filename)
    (tree / "index.html").unlink()
    repaired = mend(tree, tar(tmp_path, INSIDE))
    assert [(finding.kind, finding.path) for finding in repaired.findings] == [(Kind.MISSING, WHEEL)]
    assert "--from" in repaired.findings[0].hint
    assert repaired.exit_code == 1
    assert repaired.mended == ("index.html", f"packages/{C1.file.filename}")
    assert mend(tree, tar(tmp_path, FIRST)).exit_code == 0


def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path: Path, made: Callable[[bool], Path]) -> None:
    tree = made(False)
    (tree / WHEEL).unlink()
    (tree / SIBLING).unlink()
    flipped(tree / "packages" / C1.file.filename)
    (tree / "index.html").unlink()
    (tree / "packages").chmod(0o777)
    before = {path: path.lstat().st_mtime_ns for path in tree.rglob("*") if path.name != "lock"}
    told = mend(tree, tar(tmp_path, INSIDE), dry_run=True)
    assert {path: path.lstat().st_mtime_ns for path in tree.rglob("*") if path.name != "lock"} == before
    assert [finding.path for finding in told.findings] == [WHEEL, SIBLING]
    done = mend(tree, tar(tmp_path, INSIDE))
    assert told.mended == done.mended
    assert {finding.path for finding in done.findings} == {WHEEL, SIBLING}


def test_bytes_that_stand_under_another_name_need_no_bundle(tmp_path: Path) -> None:
    """Wheels of one version share their metadata."""
    other = fake("a-1.0-cp312-cp312-linux_x86_64.whl")
    render(tmp_path / "tree", bundle(A1, other))
    (tmp_path / "tree" / SIBLING).unlink()
    assert mend(tmp_path / "tree").exit_code == 0
    assert (tmp_path / "tree" / SIBLING).read_bytes() == A1.metadata


def test_what_is_not_of_the_tree_is_left_and_told(made: Callable[[bool], Path]) -> None:
    tree = made(False)
    (tree / "setup.exe").write_bytes(b"x")
    (tree / "index.html").unlink()
    repaired = mend(tree)
    assert [(finding.kind, finding.path) for finding in repaired.findings] == [(Kind.EXTRA, "setup.exe")]
    assert repaired.mended == ("index.html",)
    assert (tree / "setup.exe").read_bytes() == b"x"


def test_a_manifest_comes_out_of_a_bundle_and_without_it_is_told(tmp_path: Path, made: Callable[[bool], Path]) -> None:
    tree = made(False)
    manifest = tree / ".pypimirror" / "manifests" / f"{SECOND.digest}.json"
    flipped(manifest)
    assert mend(tree).exit_code == 4
    assert mend(tree, tar(tmp_path, SECOND)).exit_code == 0
    assert only_unsolvable(verify(tree))


@pytest.mark.parametrize("rot", [gone, flipped, cut])
@both_kinds
def test_a_record_of_what_was_served_before_is_given_up(
    made: Callable[[bool], Path], rot: Callable[[Path], None], *, plain: bool
) -> None:
    tree = made(plain)
    record = tree / ".pypimirror" / ("previous.json" if plain else "generations/1/manifest.json")
    data = record.read_bytes().replace(b'"format":1', b'"format":x') if rot is flipped else b""
    if data:
        record.write_bytes(data)
    else:
        rot(record)
    if plain and rot is gone:
        return  # then nothing was kept
    repaired = mend(tree)
    assert repaired.forgot
    with open_tree(tree, disk=QuickDisk()):
        pass  # it can be worked on again
    assert {finding.kind for finding in verify(tree).findings} <= {Kind.UNSOLVABLE, Kind.EXTRA}


# ---- the tree's own word --------------------------------------------------------------------------------------------


def word(tree: Path) -> Path:
    """What the tree says of itself, where it stands."""
    return Path(os.path.realpath(tree / "manifest.json"))


def forged(path: Path) -> None:
    path.write_bytes(b"{}")


@pytest.mark.parametrize("rot", [gone, forged, cut, linked])
@both_kinds
def test_the_tree_s_own_word_is_recalled_where_all_else_proves_it(
    made: Callable[[bool], Path], rot: Callable[[Path], None], *, plain: bool
) -> None:
    tree = made(plain)
    served, record = snapshot(tree), word(tree)
    said = contents_of_tree.parse(record.read_bytes())
    rot(record)
    name = record.relative_to(tree.resolve()).as_posix()
    told = mend(tree, dry_run=True)
    assert told.mended == (name,)
    assert record.is_symlink() or not record.exists() or b"pages" not in record.read_bytes() or rot is cut
    repaired = mend(tree)
    assert (repaired.mended, repaired.findings, repaired.anew, repaired.forgot) == ((name,), (), False, False)
    assert any("made again" in note for note in repaired.notes)
    again = contents_of_tree.parse(word(tree).read_bytes())
    assert replace(again, channels=said.channels) == said
    assert again.channels == channels("inside", "default")  # as they lie, whether a person said so or not
    assert {**snapshot(tree), "manifest.json": b""} == {**served, "manifest.json": b""}
    assert only_unsolvable(verify(tree))
    rollback(tree, now=NOW + 2000, disk=QuickDisk())
    assert only_unsolvable(verify(tree))


@both_kinds
def test_what_rotted_beside_the_tree_s_own_word_is_mended_as_ever(
    tmp_path: Path, made: Callable[[bool], Path], *, plain: bool
) -> None:
    tree = made(plain)
    gone(word(tree))
    gone(tree / ".pypimirror" / "manifests" / f"{SECOND.digest}.json")
    flipped(tree / WHEEL.replace("1.0", "2.0"))
    flipped(tree / "simple" / "a" / "index.html")
    with pytest.raises(IntegrityFault, match="missing"):
        mend(tree)
    repaired = mend(tree, *tars(tmp_path))
    assert repaired.findings == ()
    assert only_unsolvable(verify(tree))


@both_kinds
def test_rules_are_recalled_from_what_they_made(tmp_path: Path, *, plain: bool) -> None:
    """Withdrawals, mixed channels and compressed pages: they show, but for the reasons."""
    tree = tmp_path / "tree"
    upper = bundle(fake("b-2.0-py3-none-any.whl"), channel="inside", sequence=NEWEST)
    render(tree, FIRST, SECOND, plain=plain)
    withdraw(tree, {(A1.file.project, A1.file.version)}, reason="a hole", now=NOW, disk=QuickDisk())
    edit = Edit(bundles=(upper.digest,), channels=channels("inside"), gzip=True, mix=[B1.file.project])
    with open_tree(tree, disk=QuickDisk()) as opened:
        import_bundle(opened, upper)
        publish(opened, now=NOW, edit=edit)
    said = contents_of_tree.parse(word(tree).read_bytes())
    gone(word(tree))
    assert mend(tree).findings == ()
    again = contents_of_tree.parse(word(tree).read_bytes())
    assert replace(again, channels=said.channels) == said

    withdraw(tree, {(A2.file.project, A2.file.version)}, reason="another", now=NOW, disk=QuickDisk())
    gone(word(tree))
    repaired = mend(tree)
    assert repaired.findings == ()
    assert any("a 2.0" in note and "nobody knows why" in note for note in repaired.notes)
    again = contents_of_tree.parse(word(tree).read_bytes())
    assert [(each.version, each.reason) for each in again.withdrawn][:1] == [(A1.file.version, "a hole")]
    assert again.withdrawn[1].version == A2.file.version
    render(tree, SECOND, now=NOW + 3000)
    assert "a-2.0" not in (tree / "simple" / "a" / "index.html").read_text()


@both_kinds
def test_the_tree_s_own_word_is_not_guessed(made: Callable[[bool], Path], *, plain: bool) -> None:
    """Where a ledger or the landing page is lost as well, nothing proves what the rules were."""
    tree = made(plain)
    forged(word(tree))
    page = Path(os.path.realpath(tree / "index.html"))
    data = page.read_bytes()
    page.write_bytes(data.replace(b"inside", b"insida"))
    with pytest.raises(IntegrityFault) as caught:
        mend(tree)
    assert caught.value.code == "tree-damaged"
    assert "new folder" in caught.value.hint
    page.write_bytes(data)
    ledgers = sorted((tree / ".pypimirror" / "ledger").iterdir(), key=lambda path: path.read_bytes().count(b"inside"))
    gone(ledgers[-1])
    with pytest.raises(IntegrityFault):
        mend(tree)
    assert word(tree).read_bytes() == b"{}"


@both_kinds
def test_a_tree_in_which_nothing_is_published_is_told_as_such(tmp_path: Path, *, plain: bool) -> None:
    with open_tree(tmp_path / "tree", plain=plain, disk=QuickDisk()):
        pass
    with pytest.raises(PypimirrorError) as caught:
        mend(tmp_path / "tree")
    assert caught.value.code == "nothing-published"


def test_a_plain_tree_that_was_cut_short_knows_what_it_served_before(made: Callable[[bool], Path]) -> None:
    """When its ``manifest.json`` was new, what it replaced had not come to be called ``previous.json``."""
    tree = made(True)
    inside = tree / ".pypimirror"
    (inside / "previous.json").rename(inside / "unfinished")
    ledgers = sorted((inside / "ledger").iterdir())
    assert not mend(tree).forgot
    assert sorted((inside / "ledger").iterdir()) == ledgers
    before = contents_of_tree.parse((inside / "unfinished").read_bytes())
    of_before = next(inside / "ledger" / ledger_file(shard, each.sha256) for shard, each in before.ledger.items())
    flipped(of_before)
    assert of_before.relative_to(tree).as_posix() in mend(tree).mended
    forged(inside / "unfinished")
    repaired = mend(tree)
    assert repaired.forgot
    with open_tree(tree, disk=QuickDisk()) as opened:
        assert not opened.previous.is_published
    assert (inside / "unfinished").exists()  # the next run looks at every page still


@both_kinds
def test_pages_that_were_forged_together_with_the_records_are_printed_anew(
    made: Callable[[bool], Path], *, plain: bool
) -> None:
    tree = made(plain)
    served = snapshot(tree)
    page = Path(os.path.realpath(tree / "packages" / "index.html"))
    forged = page.read_bytes().replace(B1.file.sha256.encode(), b"0" * 64)
    page.write_bytes(forged)
    record = tree / "manifest.json"
    said = contents_of_tree.parse(record.read_bytes())
    pages = {**said.pages, "packages/index.html": Served(sha256(forged), len(forged))}
    record.write_bytes(contents_of_tree.dump(replace(said, pages=pages)))
    assert verify(tree).exit_code == 4
    repaired = mend(tree)
    assert repaired.anew
    assert repaired.findings == ()
    assert only_unsolvable(verify(tree))
    assert snapshot(tree) == served
    render(tree, bundle(fake("d-1.0-py3-none-any.whl"), sequence=NEWEST))
    assert only_unsolvable(verify(tree))


@both_kinds
def test_a_ledger_of_another_version_is_written_anew(made: Callable[[bool], Path], *, plain: bool) -> None:
    """What can't be made again as it was, since the program changed, is made as it is made now."""
    tree = made(plain)
    served = snapshot(tree)
    record = Path(os.path.realpath(tree / "manifest.json"))
    said = contents_of_tree.parse(record.read_bytes())
    shard, old = next(iter(said.ledger.items()))
    other = Served(sha256(b"of another version"), old.size)
    record.write_bytes(contents_of_tree.dump(replace(said, ledger={**said.ledger, shard: other})))
    assert verify(tree).exit_code == 4
    repaired = mend(tree)
    assert (repaired.anew, repaired.findings) == (True, ())
    assert only_unsolvable(verify(tree))
    assert snapshot(tree) == served


def test_what_stands_in_the_way_is_left_and_told(made: Callable[[bool], Path]) -> None:
    tree = made(False)
    (tree / WHEEL).unlink()
    (tree / WHEEL).mkdir()
    (tree / WHEEL / "mine").write_bytes(b"x")
    (tree / "packages" / "index.html").unlink()
    repaired = mend(tree)
    assert repaired.exit_code == 4
    assert any(WHEEL in note and "move it away" in note for note in repaired.notes)
    assert (tree / WHEEL / "mine").read_bytes() == b"x"
    assert repaired.mended == ("packages/index.html",)


def test_a_damaged_bundle_gives_what_it_has(tmp_path: Path, made: Callable[[bool], Path]) -> None:
    tree = made(False)
    (tree / WHEEL).unlink()
    (tree / "packages" / B1.file.filename).unlink()
    carried = tar(tmp_path, FIRST)
    data = carried.read_bytes()
    carried.write_bytes(data.replace(B1.data, bytes(len(B1.data))))
    repaired = mend(tree, carried)
    assert (tree / WHEEL).read_bytes() == A1.data
    assert [finding.path for finding in repaired.findings] == [f"packages/{B1.file.filename}"]
    assert repaired.notes


def test_what_is_no_tree_is_refused_and_a_busy_one_is_waited_for(made: Callable[[bool], Path]) -> None:
    tree = made(False)
    with pytest.raises(UsageFault):
        mend(tree.parent)
    with open_tree(tree, disk=QuickDisk()), pytest.raises(BusyFault):
        mend(tree)
