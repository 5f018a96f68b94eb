"""``pypimirror show``.

With ``--json``, one object on standard output. Its keys are stable; more may come. Sizes are in bytes, times in
ISO 8601, ``null`` stands for "not known" or "none". A ``size`` beside ``files`` counts their metadata siblings, too.
``kind`` says which of four it is:

``bundle``: name, channel, sequence, time, manifest (the sha256 that is the bundle's name), tool, base, bundle_size,
    size, targets [name, python, platform, implementation, patches, files, size], sets [name, builds, roots,
    constraints, prereleases, only_binary, no_binary, prefer_binary], resolutions [set, target, patches, pins],
    uncovered [set, target, patches, reason], projects [name, status, reason, versions], files, members [path, size,
    sha256], built [source, sha256, backend, requirements [filename, sha256], sandboxed, output],
    withdrawn [project, version, reason]
``tree``: tree, plain, generation, channels [name, projects, files, size, bundles [name, sequence, time, manifest, tool,
    base, files, size, targets]], targets [name, channels], projects [name, channel, status, reason, versions],
    hidden [project, channel, behind, versions], files (each with its channel), size
``bundle-project``: bundle, manifest, project, status, reason, files, uses
``tree-project``: tree, generation, project, channel, status, reason, files (each with the bundles it is in),
    hidden [channel, versions], why (the bundle that ``uses`` are from), uses

A file: filename, project, version, sdist, size, sha256, requires_python, yanked, upload_time, index, index_hash,
    metadata {sha256, size}, provenance {sha256, size}, requires_dist, provides_extra, build_requires, languages,
    learnt_from, and in a bundle the targets that install it
A root or a constraint: requirement, origin, hashes, filename
A pin: project, version, file, extras, wanted_by [by, requirement], passed_over [file, reason, detail]
A use: set, target, patches, the keys of a pin but project, paths (from a root down, as text), wants [requirement,
    project, version]
Patches: lowest, highest (null: all that will ever be)
"""

from __future__ import annotations

import difflib
import gc
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from pypimirror.cli import show_bundle, show_facts, show_project, show_tree
from pypimirror.cli.options import speech_options
from pypimirror.cli.printable import screen
from pypimirror.cli.show_source import ShownBundle, ShownTree, open_source
from pypimirror.cli.voice import Voice
from pypimirror.errors import Incomplete
from pypimirror.model.names import NormalizedName, is_project_name, project_name

__all__ = ["command"]


@click.command(name="show")
@click.argument("source", metavar="BUNDLE|TREE")
@click.argument("project", required=False)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON on standard output.")
@speech_options
@click.pass_obj
def command(voice: Voice, source: str, project: str | None, *, as_json: bool) -> None:
    """Show what a bundle or a tree holds: why each file is there, for which targets, and how large it is.

    \b
    A bundle, and one project in it:
      pypimirror show wheels.tar
      pypimirror show wheels.tar jinja2
    With the tree of who wants what, and every file:
      pypimirror show wheels.tar --verbose
    What is served, and from which bundles:
      pypimirror show /srv/pypi

    Of a bundle only the manifest is read, so a large one is shown at once; 'pypimirror verify' reads every byte. '-'
    is standard input.
    """
    name = _asked_name(project)
    with _no_collecting():
        opened = open_source(source)
        if isinstance(opened, ShownBundle):
            out = _of_bundle(opened, name, voice, as_json=as_json)
        else:
            out = _of_tree(opened, name, voice, as_json=as_json)
        voice.data(_json(out) if isinstance(out, dict) else screen(out, sys.stdout.encoding or "ascii"))


def _of_bundle(
    shown: ShownBundle, name: NormalizedName | None, voice: Voice, *, as_json: bool
) -> dict[str, object] | Iterable[str]:
    if name is None:
        shown = shown.in_hand()
        return show_facts.bundle(shown) if as_json else show_bundle.words(shown, verbose=voice.verbose)
    if not any(each.name == name for each in shown.manifest.projects):
        raise _not_there(name, shown.manifest.stem, (each.name for each in shown.manifest.projects))
    return show_facts.bundle_project(shown, name) if as_json else show_project.words(shown, name)


def _of_tree(
    shown: ShownTree, name: NormalizedName | None, voice: Voice, *, as_json: bool
) -> dict[str, object] | Iterable[str]:
    if name is None:
        return show_facts.tree(shown) if as_json else show_tree.words(shown, verbose=voice.verbose)
    project = next((each for each in shown.composition.projects if each.name == name), None)
    if project is None:
        raise _not_there(name, shown.view.shown, (each.name for each in shown.composition.projects))
    return show_facts.tree_project(shown, project) if as_json else show_tree.project_words(shown, project)


# ---- what is asked for ----------------------------------------------------------------------------------------------


def _asked_name(project: str | None) -> NormalizedName | None:
    if project is None:
        return None
    if not is_project_name(project):
        message = f"not a project name: {project!r}; name the project alone, without a version"
        raise click.BadParameter(message, param_hint="PROJECT")
    return project_name(project)


def _not_there(name: NormalizedName, where: str, names: Iterable[NormalizedName]) -> Incomplete:
    every = list(names)
    near = difflib.get_close_matches(name, every, n=5, cutoff=0.6)
    near += [each for each in every if name in each and each not in near][: 5 - len(near)]
    hint = f"there is {', '.join(near)}" if near else "see what there is by the same command without a project"
    return Incomplete(f"{name} is not in {where}", code="no-such-project", hint=hint)


# ---- out ------------------------------------------------------------------------------------------------------------


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Without looking for cycles: a manifest has none, and millions of values are made of a large one."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _json(facts: dict[str, object]) -> str:
    """One key a line, and one line for each element of a list: quick for machines, and people can still read it."""
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {_value(value)}" for key, value in facts.items()) + "\n}"


def _value(value: object) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"
