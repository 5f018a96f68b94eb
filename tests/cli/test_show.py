"""``show``: what people and machines are told of a bundle, a tree, and one project; and what a terminal is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pypimirror.bundle.reader import open_bundle
from pypimirror.bundle.writer import write_bundle
from pypimirror.cli import show, show_project, show_source
from pypimirror.cli.printable import printable, screen
from pypimirror.cli.show import command
from pypimirror.cli.voice import Voice
from pypimirror.errors import Incomplete, IntegrityFault, UsageFault
from pypimirror.model import manifest_json
from pypimirror.model.files import Refusal, Rejection
from pypimirror.model.manifest import BundledProject, BundledSet, Manifest, WrittenRequirement
from pypimirror.model.names import Sha256, label, parse_version
from pypimirror.model.plan import Pin, Resolution, Uncovered, Want
from pypimirror.model.targets import PatchRange
from pypimirror.tree.view import View, look
from tests.bundle.making import layout_of
from tests.fakes.server import FakeServer
from tests.tree.helpers import TARGET, MemoryBundle, Sample, bundle, fake, make_manifest, project, render
from tests.worlds import TARGET as TARGET_OPTIONS
from tests.worlds import Program

SEQUENCE = 1_790_000_000
STEM = "default-20260921T141320Z"


def run(*arguments: str | Path, verbose: bool = False) -> Result:
    """The command in this process; what it raises is raised."""
    return CliRunner().invoke(
        command, list(map(str, arguments)), obj=Voice(verbose=verbose), standalone_mode=False, catch_exceptions=False
    )


def told(*arguments: str | Path, verbose: bool = False) -> str:
    return run(*arguments, verbose=verbose).stdout


def facts(*arguments: str | Path) -> Any:  # noqa: ANN401 - whatever it printed
    return json.loads(run(*arguments, "--json").stdout)


def pack(path: Path, manifest: Manifest, samples: tuple[Sample, ...] = ()) -> Path:
    """A real bundle. Without *samples* only its beginning is there: all that ``show`` may read."""
    if samples:
        contents = {each.file.path: each.data for each in samples}
        contents |= {f"{each.file.path}.metadata": each.metadata for each in samples if each.metadata is not None}
        write_bundle(manifest, contents, path)
        return path
    layout = layout_of(manifest)
    own = {"manifest.json": manifest_json.dump(manifest), "SHA256SUMS": b"".join(layout.sums())}
    parts = [(entry.header, b"" if entry.sha256 is None else own[entry.path]) for entry in layout.opening()]
    path.write_bytes(b"".join(header + data + bytes(-len(data) % 512) for header, data in parts))
    return path


APP, LIB, OLD, SOURCE = (
    fake("app-2.0-py3-none-any.whl", requires_dist=("lib>=1",), upload_time="2026-05-06T07:08:09Z"),
    fake("lib-1.1-py3-none-any.whl", yanked="leaks <memory>", requires_python=">=3.9"),
    fake("lib-1.0-py3-none-any.whl", index="other", index_hash=False),
    fake("source-0.1.tar.gz", requires_dist=("lib==1.0",), build_requires=("setuptools>=61", "wheel")),
)
SAMPLES = (APP, LIB, OLD, SOURCE)


def pin(sample: Sample, *wants: tuple[str, str], **more: Any) -> Pin:  # noqa: ANN401 - fields by name
    file = sample.file
    return Pin(
        project=file.project,
        version=file.version,
        file=file.filename,
        wanted_by=tuple(Want(by=by, text=text) for by, text in wants),
        **more,
    )


def world(**changes: Any) -> Manifest:  # noqa: ANN401 - fields by name
    """Two sets that disagree on ``lib``, two targets, a patch interval that isn't covered, a project that ended."""
    main, tools, windows = label("main"), label("tools"), label("3.12-win_amd64")
    manifest = replace(
        make_manifest(SAMPLES, statuses={"source": ("archived", "use app")}, sequence=SEQUENCE),
        targets=(TARGET, replace(TARGET, name=windows, platform="win_amd64")),
        sets=(
            BundledSet(
                name=main,
                roots=(
                    WrittenRequirement(requirement="app", origin="wishes.txt:10"),
                    WrittenRequirement(requirement="never; python_version < '3'", origin="wishes.txt:9"),
                ),
                constraints=(WrittenRequirement(requirement="lib<2", origin="c.txt:3"),),
            ),
            BundledSet(
                name=tools, roots=(WrittenRequirement(requirement="source", origin="source"),), prereleases=True
            ),
        ),
        resolutions=(
            *(
                Resolution(
                    set=main,
                    target=target,
                    patches=PatchRange(lowest=3),
                    pins=(pin(APP, ("wishes.txt:10", "app")), pin(LIB, ("app==2.0", "lib>=1"))),
                )
                for target in (TARGET.name, windows)
            ),
            Resolution(
                set=tools,
                target=TARGET.name,
                patches=PatchRange(),
                pins=(pin(OLD, ("source==0.1", "lib==1.0")), pin(SOURCE, ("source", "source"))),
            ),
        ),
        uncovered=(
            Uncovered(
                set=main,
                target=TARGET.name,
                patches=PatchRange(lowest=0, highest=2),
                reason="app 2.0 needs Python >=3.12.3\n  wanted by wishes.txt:10",
            ),
        ),
    )
    return replace(manifest, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return pack(tmp_path / "world.tar", world(), SAMPLES)


# ---- a bundle -------------------------------------------------------------------------------------------------------


def test_a_bundle_is_told_summary_first(path: Path) -> None:
    digest = manifest_json.digest(manifest_json.dump(world()))
    size = path.stat().st_size
    assert told(path).splitlines() == [
        STEM,
        "  channel   default",
        "  sequence  1790000000 (2026-09-21 14:13:20 UTC)",
        f"  manifest  sha256 {digest}",
        "  made by   pypimirror 0",
        f"  size      {size / 1000:.1f} kB ({size} bytes)",
        "  contents  4 files of 3 projects, 224 B; 1 source, 1 yanked",
        "  from      index (3 files), other (1 file)",
        "  checked   the manifest alone, no bytes: 'pypimirror verify' reads every one",
        "",
        "Targets",
        "  3.12-linux (CPython 3.12): 4 files, 224 B",
        "    main: covered: 3.12.3 and newer",
        "    main: NOT covered: 3.12.0 to 3.12.2: app 2.0 needs Python >=3.12.3",
        "        wanted by wishes.txt:10",
        "  3.12-win_amd64 (CPython 3.12): 2 files, 138 B",
        "    main: covered: 3.12.3 and newer",
        "",
        "Set main",
        "  wishes.txt:10: app  -> app 2.0",
        "  wishes.txt:9: never; python_version < '3'  -> no target installs it",
        "  constraints",
        "    c.txt:3: lib<2",
        "",
        "Set tools",
        "  pre-releases are admitted",
        "  source  -> source 0.1",
        "",
        "Worth knowing",
        "  source-0.1.tar.gz: source: needs a build behind the gap, with setuptools>=61, wheel",
        "  lib-1.1-py3-none-any.whl: yanked: leaks <memory>",
        "  lib-1.0-py3-none-any.whl: the index claimed no sha256; the one here was made by the builder",
        "  source: archived: use app",
        "",
        "Projects",
        "  app 2.0, lib 1.0 1.1, source 0.1",
        "",
        f"For who wants what, and every file: pypimirror show {path} --verbose",
        f"For one project: pypimirror show {path} PROJECT",
    ]


def test_verbose_adds_each_tree_and_each_file(path: Path) -> None:
    text = told(path, verbose=True)
    assert text[text.index("main: 3.12-linux") :].splitlines() == [
        "main: 3.12-linux (CPython 3.12.3 and newer): 2 files, 138 B",
        "main: 3.12-win_amd64 (CPython 3.12.3 and newer): 2 files, 138 B",
        "  wishes.txt:10: app",
        "    app 2.0",
        "      lib 1.1  <- lib>=1",
        "",
        "tools: 3.12-linux (CPython 3.12): 2 files, 86 B",
        "  source",
        "    source 0.1",
        "      lib 1.0  <- lib==1.0",
        "",
        "Files",
        "  app-2.0-py3-none-any.whl       24 B  all targets; from index",
        "  lib-1.0-py3-none-any.whl       24 B  3.12-linux; from other",
        "  lib-1.1-py3-none-any.whl       24 B  all targets; yanked: leaks <memory>; from index",
        "  source-0.1.tar.gz              17 B  3.12-linux; source: needs a build behind the gap; from index",
    ]


def test_the_tree_of_a_bundle_is_that_of_its_plan(program: Program, server: FakeServer) -> None:
    wishes = ("app[speed]<2", "source", *TARGET_OPTIONS, "--platform", "win_amd64", "-i", server.index_url)
    planned = program("plan", *wishes)
    assert planned.code == 0, planned.err
    assert program("bundle", *wishes, "-o", "b.tar").code == 0
    shown = program("show", "b.tar", "-v")
    assert (shown.code, shown.err) == (0, "")
    trees = [line for line in planned.out.split("\nFiles\n")[0].splitlines() if line.startswith("  ")]
    assert len(trees) > 8
    assert "\n".join(trees) in "\n".join(line for line in shown.out.splitlines() if line.startswith("  "))
    plan, bundled = program("plan", *wishes, "--json").json(), program("show", "b.tar", "--json").json()
    assert [file["targets"] for file in bundled["files"]] == [file["targets"] for file in plan["files"]]
    for mine, theirs in zip(bundled["resolutions"], plan["resolutions"], strict=True):
        for pinned in (*mine["pins"], *theirs["pins"]):
            pinned.pop("passed_over")  # what a manifest does not keep
        assert mine == theirs


def test_only_the_beginning_of_a_bundle_is_read(path: Path, tmp_path: Path) -> None:
    begun = pack(tmp_path / "begun.tar", world())
    assert begun.stat().st_size < path.stat().st_size
    assert path.read_bytes().startswith(begun.read_bytes())
    keys = facts(path).keys() - {"bundle_size"}
    assert {key: facts(begun)[key] for key in keys} == {key: facts(path)[key] for key in keys}


def test_a_delta_names_its_base_and_says_that_it_is_one(tmp_path: Path) -> None:
    base = Sha256("ab" * 32)
    text = told(pack(tmp_path / "d.tar", world(base=base)))
    assert f"  base      sha256 {base}\n            a delta: it carries what the base lacks" in text


def test_an_unpacked_bundle_is_shown_too(path: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", str(path)], cwd=tmp_path, check=True, timeout=60)
    assert facts(tmp_path / STEM) == facts(path) | {"bundle_size": None}
    assert "'sha256sum --check SHA256SUMS' in the folder reads every one" in told(tmp_path / STEM)
    (tmp_path / STEM / "manifest.json").write_bytes(b'{"format": "\x1b[2J"}')
    with pytest.raises(
        IntegrityFault, match=r"manifest.json can't be used: top level: not JSON: Invalid control"
    ) as caught:
        run(tmp_path / STEM)
    assert caught.value.code == "bad-manifest"


def test_standard_input_is_a_bundle_too(program: Program, path: Path) -> None:
    ran = program("show", "-", "lib", "--json", stdin=path.read_bytes())
    assert ran.code == 0, ran.err
    assert ran.json() == facts(path, "lib")


def test_a_reader_that_leaves_early_is_no_fault_of_the_writer_or_ours(program: Program, path: Path) -> None:
    ran = subprocess.run(
        ["sh", "-c", f"cat {path} | {sys.executable} -m pypimirror show - -v | head -n 1"],
        env={"PYTHONPATH": str(Path(show.__file__).parents[2])},
        cwd=program.work,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert (ran.stdout.decode(), ran.stderr) == (f"{STEM}\n", b"")


# ---- one project ----------------------------------------------------------------------------------------------------


def test_a_project_is_told_with_every_file_and_every_way_to_it(path: Path) -> None:
    lib, old = LIB.file, OLD.file
    assert lib.metadata is not None
    assert old.metadata is not None
    assert told(path, "Lib").splitlines() == [
        f"lib in {STEM}: 2 files, 48 B",
        "",
        "1.1",
        "  lib-1.1-py3-none-any.whl",
        "    size       24 B",
        f"    sha256     {lib.sha256}",
        "    python     >=3.9",
        "    uploaded   2026-01-02T03:04:05.678901Z",
        "    index      index",
        f"    metadata   sha256 {lib.metadata.sha256}, 45 B",
        "    yanked     leaks <memory>",
        "    targets    all targets",
        "  requires nothing",
        "",
        "1.0",
        "  lib-1.0-py3-none-any.whl",
        "    size       24 B",
        f"    sha256     {old.sha256} (made by the builder: the index claimed none)",
        "    python     any",
        "    uploaded   2026-01-02T03:04:05.678901Z",
        "    index      other",
        f"    metadata   sha256 {old.metadata.sha256}, 45 B",
        "    targets    3.12-linux",
        "  requires nothing",
        "",
        "main: 3.12-linux (CPython 3.12.3 and newer),",
        "main: 3.12-win_amd64 (CPython 3.12.3 and newer)",
        "  lib 1.1, wanted by",
        "    wishes.txt:10: app -> app 2.0: lib>=1",
        "",
        "tools: 3.12-linux (CPython 3.12)",
        "  lib 1.0, wanted by",
        "    source -> source 0.1: lib==1.0",
        "",
        "Checked: the manifest alone, no bytes: 'pypimirror verify' reads every one",
    ]
    assert "  and it wants\n    lib>=1 -> lib 1.1\n" in told(path, "app")
    assert "  its index calls it archived: use app\n" in told(path, "source")
    assert "    source     needs a build behind the gap, with setuptools>=61, wheel\n" in told(path, "source")


def test_a_newer_version_that_was_passed_over_is_told_where_the_answer_knows_it() -> None:
    """A manifest of today does not carry it; the lines are those of ``plan``."""
    refused = Rejection(filename="x", reason=Refusal.YANKED, version=parse_version("1.2"))
    old = pin(LIB, ("r.txt:1", "lib"), passed_over=(refused,))
    resolution = replace(world().resolutions[0], pins=(old,))
    lines = list(show_project.why(replace(world(), resolutions=(resolution,)), project("lib")))
    assert "  lib 1.1  (1.2 passed over: 1 file: 1 yanked), wanted by" in lines


def test_a_project_that_is_not_there_exits_1_and_near_names_are_told(program: Program, path: Path) -> None:
    ran = program("show", path, "Sources")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: sources is not in {STEM} [no-such-project]\nhint: there is source\n"
    with pytest.raises(Incomplete) as caught:
        run(path, "zzz")
    assert caught.value.hint == "see what there is by the same command without a project"
    assert program("show", path, "lib==1.1").code == 2


# ---- a tree ---------------------------------------------------------------------------------------------------------


OWN = fake("lib-9.0-py3-none-any.whl")


@pytest.fixture(params=[False, True], ids=["linked", "plain"])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Three bundles in two channels; the upper one hides ``lib`` of the lower one."""
    old = bundle(OLD, fake("gone-1.0-py3-none-any.whl"), pins={OLD.file.filename: "lib"}, sequence=SEQUENCE - 5)
    new = MemoryBundle(world(), SAMPLES)
    own = bundle(OWN, channel="own", sequence=SEQUENCE + 60)
    render(tmp_path / "tree", old, plain=request.param)
    render(tmp_path / "tree", new, own, channels=[label("own"), label("default")])
    return tmp_path / "tree"


def test_a_tree_is_told_by_channels_and_bundles(tree: Path) -> None:
    lines = told(tree).splitlines()
    own, new, old = _digests(tree)
    generation = "none: a plain tree has no numbers" if look(tree).plain else "2"
    assert lines[: lines.index("Worth knowing")] == [
        str(tree),
        "  serves     4 files of 4 projects, 226 B; 1 source",
        f"  generation {generation}",
        "  checked    the records alone, no bytes: 'pypimirror verify' reads every file and page",
        "",
        "Channels, the upper one first",
        "  own: serves 1 file of 1 project, 69 B",
        "    own-20260921T141420Z: 1 file, 69 B",
        "      sequence 1790000060 (2026-09-21 14:14:20 UTC), by pypimirror 0",
        f"      sha256 {own}",
        "  default: serves 3 files of 3 projects, 157 B; 1 source",
        f"    {STEM}: 4 files, 224 B",
        "      sequence 1790000000 (2026-09-21 14:13:20 UTC), by pypimirror 0",
        f"      sha256 {new}",
        "    default-20260921T141315Z: 2 files, 140 B",
        "      sequence 1789999995 (2026-09-21 14:13:15 UTC), by pypimirror 0",
        f"      sha256 {old}",
        "",
        "Targets",
        "  3.12-linux (own, default)",
        "  3.12-win_amd64 (default)",
        "",
        "Hidden: an upper channel has a project of the same name",
        "  lib 1.0, 1.1 of channel default, behind channel own",
        "",
    ]
    assert "  app 2.0, gone 1.0, lib 9.0, source 0.1" in lines
    assert "  lib-9.0-py3-none-any.whl        24 B  own" in told(tree, verbose=True).splitlines()


def _digests(tree: Path) -> list[str]:
    return [each["manifest"] for channel in facts(tree)["channels"] for each in channel["bundles"]]


def test_a_project_of_a_tree_is_told_with_its_bundles_and_why(tree: Path) -> None:
    text = told(tree, "app")
    assert text.startswith(f"app in {tree}: 1 file, 24 B, served from channel default\n")
    assert f"    in         {STEM}\n" in text
    assert f"\nAs {STEM} has it\n" in text
    assert "    wishes.txt:10: app\n" in text
    text = told(tree, "lib")
    assert "served from channel own\n  hidden behind it: 1.0, 1.1 of channel default\n" in text
    assert text.endswith("\nNo target installs it\n")
    gone = facts(tree, "gone")
    assert (gone["why"], gone["uses"], gone["files"][0]["bundles"]) == (None, [], ["default-20260921T141315Z"])
    with pytest.raises(Incomplete, match="lob is not in"):
        run(tree, "lob")


def test_why_comes_from_the_newest_bundle_that_pins_the_project(tmp_path: Path) -> None:
    first = bundle(OLD, pins={OLD.file.filename: "lib<1"}, sequence=SEQUENCE)
    second = bundle(OLD, pins={OLD.file.filename: "lib<2"}, sequence=SEQUENCE + 1)
    third = bundle(OLD, sequence=SEQUENCE + 2)
    render(tmp_path / "tree", third, first, second)
    shown = facts(tmp_path / "tree", "lib")
    assert shown["why"] == second.manifest.stem
    assert shown["uses"][0]["paths"] == ["wishes.txt:1: lib<2"]
    assert shown["files"][0]["bundles"] == [each.manifest.stem for each in (third, second, first)]


def test_a_tree_that_is_published_twice_meanwhile_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    render(tree, bundle(APP, sequence=SEQUENCE))
    stale = look(tree)
    for number in (1, 2):
        render(tree, bundle(LIB, sequence=SEQUENCE + number), replace=[label("default")])
    views: list[View] = [stale]
    monkeypatch.setattr(show_source, "look", lambda path: views.pop() if views else look(path))
    assert facts(tree)["generation"] == 3
    (tree / ".pypimirror" / "manifests" / f"{look(tree).contents.accepted[0].source.digest}.json").unlink()
    with pytest.raises(IntegrityFault, match="it is missing"):
        run(tree)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"no tree of ours"):
        run(tmp_path)
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b")
    with pytest.raises(IntegrityFault, match="gzip"):
        run(tmp_path / "x.tar")


# ---- for machines ---------------------------------------------------------------------------------------------------


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in _keys(each)}
    return {key for each in value for key in _keys(each)} if isinstance(value, list) else set()


def test_every_key_of_the_json_is_documented(path: Path, tree: Path) -> None:
    shown = {each["kind"]: each for each in (facts(path), facts(path, "lib"), facts(tree), facts(tree, "app"))}
    assert set(shown) == {"bundle", "bundle-project", "tree", "tree-project"}
    assert show.__doc__ is not None
    words = set(re.findall(r"\w+", show.__doc__))
    assert {key for each in shown.values() for key in _keys(each)} <= words


def test_the_json_holds_the_facts(path: Path) -> None:
    shown = facts(path)
    assert shown["time"] == "2026-09-21T14:13:20Z"
    assert shown["size"] == sum(each["size"] + (each["metadata"] or {"size": 0})["size"] for each in shown["files"])
    assert [each["files"] for each in shown["targets"]] == [4, 2]
    assert shown["uncovered"][0]["patches"] == {"lowest": 0, "highest": 2}
    assert {each["filename"] for each in shown["files"] if each["sdist"]} == {"source-0.1.tar.gz"}
    assert [each["yanked"] for each in shown["files"]] == [None, None, "leaks <memory>", None]
    (use, *_) = facts(path, "app")["uses"]
    assert use["wants"] == [{"requirement": "lib>=1", "project": "lib", "version": "1.1"}]


# ---- hostile manifests ----------------------------------------------------------------------------------------------

EVIL = "\x1b]0;title\x07\x1b[2J\r\nerror: faked\u2028\u202egpj\u200f\u2066\x9b31m\u200b\x7f\t\x85end"
HARMLESS = r"\x1b]0;title\x07\x1b[2J\r\nerror: faked\u2028\u202egpj\u200f\u2066\x9b31m\u200b\x7f\t\x85end"


def evil() -> Manifest:
    """Control characters wherever a manifest takes free text."""
    wish = WrittenRequirement(requirement="app===\x1b[2J", origin=EVIL, hashes=(EVIL,))
    nasty = fake(
        "app-2.0.tar.gz", yanked=EVIL, requires_python=EVIL, requires_dist=(EVIL,), provides_extra=(EVIL,),
        upload_time=EVIL, index=EVIL, build_requires=(EVIL,),
    )  # fmt: skip
    other = fake("lib-1.0-py3-none-any.whl", index=f"{EVIL}2", index_hash=False)
    environment = replace(TARGET.environment, platform_python_implementation=EVIL, python_version=EVIL)
    manifest = replace(
        make_manifest([nasty, other], sequence=SEQUENCE),
        tool=EVIL,
        projects=tuple(BundledProject(name=project(name), status=EVIL, reason=EVIL) for name in ("app", "lib")),
        sets=(
            BundledSet(name=label("main"), roots=(wish,), constraints=(wish,), only_binary=(EVIL,), no_binary=(EVIL,)),
        ),
        targets=(replace(TARGET, python=EVIL, platform=EVIL, environment=environment),),
        resolutions=(
            Resolution(
                set=label("main"),
                target=TARGET.name,
                patches=PatchRange(),
                pins=(pin(nasty, (EVIL, EVIL), (EVIL, f"app {EVIL}"), extras=(EVIL,)), pin(other, ("app==2.0", EVIL))),
            ),
        ),
        uncovered=(Uncovered(set=label("main"), target=TARGET.name, patches=PatchRange(), reason=EVIL),),
    )
    assert manifest_json.parse(manifest_json.dump(manifest)) == manifest
    return manifest


def _harmless(text: str) -> bool:
    return all(letter == "\n" or unicodedata.category(letter) not in {"Cc", "Cf", "Zl", "Zp"} for letter in text)


@pytest.mark.parametrize("arguments", [(), ("app",), ("lib",), ("--json",), ("app", "--json")], ids=" ".join)
@pytest.mark.parametrize("verbose", [False, True])
def test_no_text_of_a_manifest_steers_the_terminal(
    tmp_path: Path, arguments: tuple[str, ...], *, verbose: bool
) -> None:
    manifest = evil()
    shown = [pack(tmp_path / "evil.tar", manifest), tmp_path / "tree"]
    samples = tuple(
        fake(file.filename, **{name: getattr(file, name) for name in ("yanked", "requires_python", "index")})
        for file in manifest.files
    )
    render(tmp_path / "tree", MemoryBundle(manifest, samples))
    for each in shown:
        text = told(each, *arguments, verbose=verbose)
        assert _harmless(text)
        assert not any(line.startswith("error: ") for line in text.splitlines())
        assert "title" in text


def test_what_is_spelt_out_can_be_read() -> None:
    assert printable(EVIL) == HARMLESS
    assert printable("grün, 日本, עברית, /srv/π") == "grün, 日本, עברית, /srv/π"
    assert screen(["grün", "a\nb"], "ascii") == "gr\\xfcn\na\\nb"
    assert printable("x" * 5000).endswith("x ... (1000 more characters)")


def test_a_terminal_of_another_encoding_is_no_crash(program: Program, tmp_path: Path) -> None:
    written = BundledSet(name=label("main"), roots=(WrittenRequirement(requirement="app", origin="wünsche.txt:1"),))
    path = pack(tmp_path / "b.tar", world(sets=(written,), resolutions=(), uncovered=()))
    ran = program("show", path, env={"PYTHONIOENCODING": "ascii"})
    assert ran.code == 0, ran.err
    assert r"w\xfcnsche.txt:1: app" in ran.out


def chain(length: int, *, closed: bool = False) -> Manifest:
    """Each project wants the next; *closed*: the last one the first, and no root leads in."""
    samples = [fake(f"p{number:05}-1-py3-none-any.whl") for number in range(length)]
    first = (f"p{length - 1:05}==1", "p00000") if closed else ("r.txt:1", "p00000")
    wants = [first, *((f"p{number:05}==1", f"p{number + 1:05}>=1") for number in range(length - 1))]
    pins = tuple(pin(sample, want) for sample, want in zip(samples, wants, strict=True))
    manifest = make_manifest(samples, sequence=SEQUENCE)
    return replace(manifest, resolutions=(replace(manifest.resolutions[0], pins=pins),))


def test_a_chain_longer_than_the_stack_and_a_ring_are_shown(tmp_path: Path) -> None:
    path = pack(tmp_path / "chain.tar", chain(3000))
    text = told(path, verbose=True)
    assert "p02999 1  <- p02999>=1" in text
    assert max(map(len, text.splitlines())) < 200
    (way,) = facts(path, "p02999")["uses"][0]["paths"]
    assert way.startswith("r.txt:1: p00000 -> p00000 1: p00001>=1 -> ")
    assert " -> (2988 more) -> " in way
    path = pack(tmp_path / "ring.tar", chain(3, closed=True))
    assert "  no requirement leads to these\n    p00000 1\n    p00001 1\n    p00002 1\n" in told(path, verbose=True)
    assert facts(path, "p00001")["uses"][0]["paths"] == ["p00000 1: p00001>=1"]


# ---- what it must not cost ------------------------------------------------------------------------------------------


POISONED = ("httpx", "httpcore", "resolvelib", "jinja2", "rich", "ssl", "http.client", "pip")


def test_show_needs_no_network_no_resolver_and_no_templates(path: Path, tmp_path: Path) -> None:
    render(tmp_path / "tree", MemoryBundle(world(), SAMPLES))
    for arguments in (
        [path],
        [path, "lib"],
        [path, "-v"],
        [path, "--json"],
        [tmp_path / "tree"],
        [tmp_path / "tree", "lib"],
    ):
        code = (
            "import sys\n"
            f"for name in {POISONED!r}: sys.modules[name] = None\n"
            "from pypimirror.cli import main\n"
            f"try: main(['show', *{list(map(str, arguments))!r}])\n"
            "except SystemExit as end: sys.exit(end.code)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("large") / "large.tar", chain(10_000))


@pytest.mark.parametrize("arguments", [(), ("--verbose",), ("--json",), ("p09999",)], ids=" ".join)
def test_showing_ten_thousand_files_takes_a_few_times_what_reading_their_manifest_takes(
    large: Path, arguments: tuple[str, ...]
) -> None:
    with open_bundle(large) as bundle:
        data = manifest_json.dump(bundle.manifest)
    began = time.process_time()
    manifest_json.parse(data)
    floor = time.process_time() - began
    began = time.process_time()
    assert "p09999" in told(large, *arguments, verbose="--verbose" in arguments)
    assert time.process_time() - began < 5 * floor
