"""The harness finds what it is for: each fault below is put in, and must be seen.

Without them, ``test_power`` sees none.
"""

from __future__ import annotations
import __future__

import inspect
import random
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pypimirror.bundle import beside, writer
from pypimirror.tree import folder, linked, plain, publish, stock
from tests.crashes.cases import CASES, Playground, exhibit, journal
from tests.crashes.test_power import kills, power_losses, violations


def mutated(module: ModuleType, name: str, *pairs: tuple[str, str]) -> Callable[..., Any]:
    """The function with text of it replaced; each text must be there."""
    owner, _, method = name.rpartition(".")
    source = textwrap.dedent(inspect.getsource(getattr(getattr(module, owner) if owner else module, method)))
    for old, new in pairs:
        assert source.count(old) == 1, f"{name} no longer says {old!r}: adapt the mutant"
        source = source.replace(old, new)
    names = dict(vars(module))
    flags = __future__.annotations.compiler_flag
    exec(compile(source, str(module.__file__), "exec", flags, dont_inherit=True), names)  # noqa: S102 - our own source
    changed: Callable[..., Any] = names[method]
    return changed


def _without(text: str) -> tuple[str, str]:
    return text, ""


def _then(text: str, more: str) -> tuple[str, str]:
    return text, text + more


def found_by(play: Playground, quick_folder: Path, name: str, **options: Callable[[str, str], bool]) -> str:
    """The first violation after power losses and kills. What is served before and after was seen without the fault."""
    found = exhibit(CASES[name], quick_folder)
    record = journal(found.case, play.laid_out(found.before), **options)
    states = [*power_losses(record, seeds=1, brief=True), *kills(record)]
    last = [each for each in states if "before the end" in each[0]]
    random.Random(0).shuffle(states)  # noqa: S311 - most faults are seen in many states
    return next(violations(play, found, last + states, Counter(), "states"), "")


SYNCS = {
    "linked-no-sync-of-all": ("render-second-linked", lambda name, _: name == "sync_all"),
    "linked-no-sync-of-the-swap": (
        "render-second-linked",
        lambda name, path: name == "sync_folder" and path == "tree/.pypimirror",
    ),
    "linked-no-sync-before-a-list-goes": (
        "render-second-linked",
        lambda name, path: name == "sync_folder" and path == "tree/packages",
    ),
    "no-sync-of-a-new-folder": ("render-first-linked", lambda name, _: name == "sync_folder"),
    "plain-no-sync-of-all": ("render-second-plain", lambda name, _: name == "sync_all"),
    "bundle-no-sync-of-the-file": ("bundle-second", lambda name, _: name == "sync_file"),
    "bundle-no-sync-of-the-folder": ("bundle-second", lambda name, _: name == "sync_folder"),
}


@pytest.mark.parametrize("mutant", SYNCS)
def test_a_sync_that_is_left_out_is_found(mutant: str, play: Playground, quick_folder: Path) -> None:
    name, ignored = SYNCS[mutant]
    assert found_by(play, quick_folder, name, ignored=ignored)


AFTER = "        tree.advance(contents)\n"  # in run: the swap is done
PRINTED = "    contents = self._print_projects(revision, stocking, lists)\n"
PUBLISHED = "        contents = self._publish(revision, stocking)\n"

STEPS: dict[str, tuple[str, ModuleType, str, tuple[tuple[str, str], ...]]] = {
    "swap-before-pages": (
        "render-second-linked",
        linked,
        "LinkedPress.publish",
        (
            _then(
                '    disk.make_folder(folder / "simple")\n',
                '    disk.symlink(f"generations/{number}", at.mark / "x.part")\n'
                '    disk.rename(at.mark / "x.part", at.current)\n',
            ),
        ),
    ),
    "stable-links-after-swap": (
        "render-first-linked",
        linked,
        "LinkedPress.publish",
        (
            _without("    self._make_stable_links(contents)\n"),
            _then("    disk.sync_folder(at.mark)\n", "    self._make_stable_links(contents)\n"),
        ),
    ),
    "shards-after-swap": (
        "render-second-linked",
        linked,
        "LinkedPress.publish",
        (
            _without("    self._make_shards(folder, contents)\n"),
            _then("    disk.sync_folder(at.mark)\n", "    self._make_shards(folder, contents)\n"),
        ),
    ),
    "manifest-kept-after-swap": (
        "render-second-linked",
        publish,
        "_Publication._publish",
        (
            _without("    self._keep_manifests(revision)\n"),
            _then("    self._press.publish(contents, roots, locks)\n", "    self._keep_manifests(revision)\n"),
        ),
    ),
    "old-files-go-before-the-swap": (
        "render-second-linked",
        publish,
        "_Publication._publish",
        (
            _then(
                PRINTED,
                "    for each in revision.projects.values():\n"
                "        for name in (each.before.files.keys() if each.before else set()) - each.files.keys():\n"
                "            self._tree.disk.remove(self._tree.at.packages / name)\n",
            ),
        ),
    ),
    "files-after-pages": (
        "render-second-plain",
        publish,
        "_Publication.run",
        (
            (PUBLISHED, "        contents = self._publish(revision, None)\n"),
            _then(AFTER, "        for share in self._shares(revision):\n            stocking.carry_out(share)\n"),
        ),
    ),
    "plain-begun-without-a-mark": (
        "render-second-plain",
        plain,
        "PlainPress.publish",
        (('        put(disk, at.unfinished, replaced, part=at.incoming / "unfinished.part")\n', "        pass\n"),),
    ),
    "bundle-under-its-name-at-once": (
        "bundle-second",
        beside,
        "beside",
        (
            (
                "    part = _create(target.parent, prefix, disk)\n",
                "    disk.remove(target)\n    part = Part(target, disk.create(target))\n",
            ),
            _without("        disk.rename(part.path, target)\n"),
        ),
    ),
    "bundle-named-before-it-is-synced": (
        "bundle-second",
        beside,
        "beside",
        (
            _without("        disk.sync_file(part.file)\n"),
            _then("        disk.rename(part.path, target)\n", "        disk.sync_file(part.file)\n"),
        ),
    ),
}


@pytest.mark.parametrize("mutant", STEPS)
def test_steps_in_another_order_are_found(
    mutant: str, play: Playground, quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, module, function, pairs = STEPS[mutant]
    exhibit(CASES[name], quick_folder)
    owner, _, method = function.rpartition(".")
    home = getattr(module, owner) if owner else writer
    monkeypatch.setattr(home, method, mutated(module, function, *pairs))
    assert found_by(play, quick_folder, name)


def test_believing_what_a_crash_left_in_incoming_is_found(
    play: Playground, quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhibit(CASES["render-second-linked"], quick_folder)
    monkeypatch.setattr(stock.Stock, "_hashes", lambda *_: True)
    assert found_by(play, quick_folder, "render-second-linked")


def test_a_sweep_that_sweeps_nothing_is_found(
    play: Playground, quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhibit(CASES["render-second-linked"], quick_folder)
    for home in (folder, publish):
        monkeypatch.setattr(home, "sweep", lambda tree: None)  # noqa: ARG005 - as it is called
    assert found_by(play, quick_folder, "render-second-linked")
