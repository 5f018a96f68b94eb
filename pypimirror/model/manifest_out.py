"""A manifest as what JSON is made of; the way back, with all its checks, is ``manifest_json``'s."""

from __future__ import annotations

from pypimirror.model.manifest import (
    FORMAT,
    BuildRecord,
    BundledFile,
    BundledProject,
    BundledSet,
    Manifest,
    Member,
    Sidecar,
    WrittenRequirement,
)
from pypimirror.model.plan import Resolution
from pypimirror.model.target_json import patches_out, target_out

__all__ = ["built_out", "file_out", "manifest_out", "member_out", "project_out"]


def manifest_out(manifest: Manifest) -> dict[str, object]:
    return {
        "format": FORMAT,
        "channel": manifest.channel,
        "sequence": manifest.sequence,
        "base": manifest.base,
        "tool": manifest.tool,
        "targets": [target_out(target) for target in manifest.targets],
        "sets": [_set_out(each) for each in manifest.sets],
        "resolutions": [_resolution_out(each) for each in manifest.resolutions],
        "uncovered": [
            {"set": gap.set, "target": gap.target, "patches": patches_out(gap.patches), "reason": gap.reason}
            for gap in manifest.uncovered
        ],
        "projects": [project_out(each) for each in manifest.projects],
        "files": [file_out(file) for file in manifest.files],
        "members": [member_out(each) for each in manifest.members],
        "built": [built_out(each) for each in manifest.built],
        "withdrawn": [
            {"project": each.project, "version": str(each.version), "reason": each.reason}
            for each in manifest.withdrawn
        ],
    }


def member_out(each: Member) -> dict[str, object]:
    return {"path": each.path, "size": each.size, "sha256": each.sha256}


def project_out(each: BundledProject) -> dict[str, object]:
    return {
        "name": each.name,
        "status": each.status,
        "reason": each.reason,
        "tracks": list(each.tracks),
        "alternate_locations": list(each.alternate_locations),
    }


def _set_out(each: BundledSet) -> dict[str, object]:
    return {
        "name": each.name,
        "roots": [_written_out(root) for root in each.roots],
        "constraints": [_written_out(constraint) for constraint in each.constraints],
        "prereleases": each.prereleases,
        "only_binary": list(each.only_binary),
        "no_binary": list(each.no_binary),
        "prefer_binary": each.prefer_binary,
        "builds": each.builds,
    }


def built_out(each: BuildRecord) -> dict[str, object]:
    return {
        "source": each.source,
        "sha256": each.sha256,
        "backend": each.backend,
        "requirements": [{"filename": filename, "sha256": sha256} for filename, sha256 in each.requirements],
        "sandboxed": each.sandboxed,
        "output": each.output,
    }


def _written_out(written: WrittenRequirement) -> dict[str, object]:
    return {
        "requirement": written.requirement,
        "origin": written.origin,
        "hashes": list(written.hashes),
        "filename": written.filename,
    }


def _resolution_out(each: Resolution) -> dict[str, object]:
    return {
        "set": each.set,
        "target": each.target,
        "patches": patches_out(each.patches),
        "pins": [
            {
                "project": pin.project,
                "version": str(pin.version),
                "file": pin.file,
                "extras": list(pin.extras),
                "wanted_by": [[want.by, want.text] for want in pin.wanted_by],
            }
            for pin in each.pins
        ],
    }


def _sidecar_out(sidecar: Sidecar | None) -> dict[str, object] | None:
    return None if sidecar is None else {"sha256": sidecar.sha256, "size": sidecar.size}


def file_out(file: BundledFile) -> dict[str, object]:
    return {
        "filename": file.filename,
        "project": file.project,
        "version": str(file.version),
        "sha256": file.sha256,
        "size": file.size,
        "requires_python": file.requires_python,
        "requires_dist": list(file.requires_dist),
        "provides_extra": list(file.provides_extra),
        "yanked": file.yanked,
        "upload_time": file.upload_time,
        "metadata": _sidecar_out(file.metadata),
        "index": file.index,
        "index_hash": file.index_hash,
        "build_requires": None if file.build_requires is None else list(file.build_requires),
        "languages": list(file.languages),
        "learnt_from": file.learnt_from,
        "provenance": _sidecar_out(file.provenance),
    }
