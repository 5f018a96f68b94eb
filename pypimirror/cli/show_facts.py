"""What ``show --json`` says; the keys are listed in ``show``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pypimirror.cli.pin_tree import patches_facts, pin_facts, resolution_facts, targets_by_file, uncovered_facts
from pypimirror.cli.show_project import uses
from pypimirror.cli.show_source import ShownBundle, ShownTree, is_sdist, moment, size_of
from pypimirror.cli.show_tree import pinning, targets
from pypimirror.model.manifest import BundledFile, BundledSet, Manifest, Sidecar, WrittenRequirement
from pypimirror.model.manifest_lists import files_of
from pypimirror.model.manifest_out import built_out
from pypimirror.model.names import Label, NormalizedName
from pypimirror.model.targets import Target
from pypimirror.tree.compose import Accepted, ServedProject

__all__ = ["bundle", "bundle_project", "tree", "tree_project"]

Facts = dict[str, object]


def bundle(shown: ShownBundle) -> Facts:
    manifest = shown.manifest
    wanting = targets_by_file(manifest.targets, manifest.resolutions)
    statuses = {each.name: (each.status, each.reason) for each in manifest.projects}
    return {
        "kind": "bundle",
        **_named(manifest, shown.digest),
        "channel": manifest.channel,
        "bundle_size": shown.size,
        "size": size_of(manifest.files),
        "targets": [
            _target(each, [file for file in manifest.files if each.name in wanting.get(file.filename, ())])
            for each in manifest.targets
        ],
        "sets": [_set(each) for each in manifest.sets],
        "resolutions": [resolution_facts(each) for each in manifest.resolutions],
        "uncovered": [uncovered_facts(gap) for gap in manifest.uncovered],
        "projects": [
            {"name": name, "status": statuses[name][0], "reason": statuses[name][1], "versions": versions}
            for name, versions in _versions(manifest.files).items()
        ],
        "files": [_file(file) | {"targets": wanting.get(file.filename, [])} for file in manifest.files],
        "members": [{"path": each.path, "size": each.size, "sha256": each.sha256} for each in manifest.members],
        "built": [built_out(each) for each in manifest.built],
        "withdrawn": [
            {"project": each.project, "version": str(each.version), "reason": each.reason}
            for each in manifest.withdrawn
        ],
    }


def bundle_project(shown: ShownBundle, name: NormalizedName) -> Facts:
    manifest = shown.manifest
    wanting = targets_by_file(manifest.targets, manifest.resolutions)
    (project,) = (each for each in manifest.projects if each.name == name)
    files = files_of(manifest.files)(name)
    return {
        "kind": "bundle-project",
        "bundle": manifest.stem,
        "manifest": shown.digest,
        "project": name,
        "status": project.status,
        "reason": project.reason,
        "files": [_file(file) | {"targets": wanting.get(file.filename, [])} for file in files],
        "uses": _uses(manifest, name),
    }


def tree(shown: ShownTree) -> Facts:
    composition = shown.composition
    return {
        "kind": "tree",
        "tree": shown.view.shown,
        "plain": shown.view.plain,
        "generation": shown.view.generation,
        "size": size_of(composition.files),
        "channels": [
            _channel(name, shown.bundles(name), [each for each in composition.projects if each.channel == name])
            for name in composition.channels
        ],
        "targets": [{"name": name, "channels": channels} for name, channels in targets(shown).items()],
        "projects": [
            {
                "name": each.name,
                "channel": each.channel,
                "status": each.status,
                "reason": each.reason,
                "versions": list(map(str, each.versions)),
            }
            for each in composition.projects
        ],
        "hidden": [
            {
                "project": each.project,
                "channel": each.channel,
                "behind": each.behind,
                "versions": list(map(str, each.versions)),
            }
            for each in shown.hidden()
        ],
        "files": [_file(file) | {"channel": each.channel} for each in composition.projects for file in each.files],
    }


def tree_project(shown: ShownTree, project: ServedProject) -> Facts:
    bundles = [
        (each.manifest.stem, {file.filename for file in files_of(each.manifest.files)(project.name)})
        for each in shown.bundles(project.channel)
    ]
    newest = pinning(shown, project.name, project.channel)
    return {
        "kind": "tree-project",
        "tree": shown.view.shown,
        "generation": shown.view.generation,
        "project": project.name,
        "channel": project.channel,
        "status": project.status,
        "reason": project.reason,
        "files": [
            _file(file) | {"bundles": [stem for stem, names in bundles if file.filename in names]}
            for file in project.files
        ],
        "hidden": [
            {"channel": each.channel, "versions": list(map(str, each.versions))}
            for each in shown.hidden()
            if each.project == project.name
        ],
        "why": None if newest is None else newest.manifest.stem,
        "uses": [] if newest is None else _uses(newest.manifest, project.name),
    }


# ---- the parts ------------------------------------------------------------------------------------------------------


def _named(manifest: Manifest, digest: str) -> Facts:
    return {
        "name": manifest.stem,
        "sequence": manifest.sequence,
        "time": _time(moment(manifest.sequence)),
        "manifest": digest,
        "tool": manifest.tool,
        "base": manifest.base,
    }


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}Z"


def _channel(name: Label, bundles: Iterable[Accepted], projects: list[ServedProject]) -> Facts:
    return {
        "name": name,
        "projects": len(projects),
        "files": sum(len(project.files) for project in projects),
        "size": sum(size_of(project.files) for project in projects),
        "bundles": [
            {
                **_named(each.manifest, each.digest),
                "files": len(each.manifest.files),
                "size": size_of(each.manifest.files),
                "targets": [target.name for target in each.manifest.targets],
            }
            for each in bundles
        ],
    }


def _target(target: Target, files: list[BundledFile]) -> Facts:
    return {
        "name": target.name,
        "python": target.python,
        "platform": target.platform,
        "implementation": target.environment.platform_python_implementation,
        "patches": patches_facts(target.patches),
        "files": len(files),
        "size": size_of(files),
    }


def _set(each: BundledSet) -> Facts:
    return {
        "name": each.name,
        "builds": each.builds,
        "roots": [_written(root) for root in each.roots],
        "constraints": [_written(constraint) for constraint in each.constraints],
        "prereleases": each.prereleases,
        "only_binary": list(each.only_binary),
        "no_binary": list(each.no_binary),
        "prefer_binary": each.prefer_binary,
    }


def _written(written: WrittenRequirement) -> Facts:
    return {
        "requirement": written.requirement,
        "origin": written.origin,
        "hashes": list(written.hashes),
        "filename": written.filename,
    }


def _versions(files: Iterable[BundledFile]) -> dict[NormalizedName, list[str]]:
    """By project, both in order."""
    versions: dict[NormalizedName, dict[str, None]] = {}
    for file in sorted(files, key=lambda file: (file.project, file.version)):
        versions.setdefault(file.project, {})[str(file.version)] = None
    return {name: list(some) for name, some in versions.items()}


def _file(file: BundledFile) -> Facts:
    return {
        "filename": file.filename,
        "project": file.project,
        "version": str(file.version),
        "sdist": is_sdist(file),
        "size": file.size,
        "sha256": file.sha256,
        "requires_python": file.requires_python,
        "yanked": file.yanked,
        "upload_time": file.upload_time,
        "index": file.index,
        "index_hash": file.index_hash,
        "metadata": _sidecar(file.metadata),
        "provenance": _sidecar(file.provenance),
        "requires_dist": list(file.requires_dist),
        "provides_extra": list(file.provides_extra),
        "build_requires": None if file.build_requires is None else list(file.build_requires),
        "languages": list(file.languages),
        "learnt_from": file.learnt_from,
    }


def _sidecar(sidecar: Sidecar | None) -> Facts | None:
    return None if sidecar is None else {"sha256": sidecar.sha256, "size": sidecar.size}


def _uses(manifest: Manifest, name: NormalizedName) -> list[Facts]:
    return [
        {
            "set": resolution.set,
            "target": resolution.target,
            "patches": patches_facts(resolution.patches),
            **{key: value for key, value in pin_facts(pin).items() if key != "project"},
            "paths": list(tree.paths(pin)),
            "wants": [
                {"requirement": text, "project": wanted.project, "version": str(wanted.version)}
                for text, wanted in tree.below(pin)
            ],
        }
        for resolution, pin, tree in uses(manifest, name)
    ]
