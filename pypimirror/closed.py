"""The closed half, told as a story. No network; the resolver, pure Python, only where something is verified.

render   bundles -> verified files -> pages -> one swap
verify   a bundle or a tree -> every byte, every page, every set on every target -> a report
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pypimirror.bundle.audit import audit_bundle
from pypimirror.bundle.faults import BundleFault
from pypimirror.bundle.reader import Bundle, open_bundle
from pypimirror.errors import BusyFault, IntegrityFault
from pypimirror.model.findings import Finding, Kind, Report
from pypimirror.model.manifest import Manifest
from pypimirror.model.names import Label, NormalizedName
from pypimirror.reporting import Reporter
from pypimirror.tree.audit import TreeAudit
from pypimirror.tree.compose import Composition, Layers
from pypimirror.tree.folder import open_tree
from pypimirror.tree.hiding import why_absent
from pypimirror.tree.importing import Imported, import_bundle
from pypimirror.tree.lock import is_held
from pypimirror.tree.publish import Published, publish
from pypimirror.tree.revise import NOTHING, Edit
from pypimirror.tree.served_index import ServedIndex
from pypimirror.tree.view import View, look
from pypimirror.tree.writing import telling
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.resolve.proof import Proof

__all__ = ["Rendered", "render", "verify"]

_REMEMBERED = 4096  # projects


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What came of each bundle, and what is served now."""

    imported: tuple[Imported, ...]
    published: Published


def render(
    bundles: Sequence[Path | BinaryIO],
    tree_path: Path,
    *,
    now: int,
    plain: bool = False,
    edit: Edit = NOTHING,
    replace: bool = False,
    wait: float = 0,
    reporter: Reporter | None = None,
) -> Rendered:
    """Import every bundle, then publish them all in one step. *now* in seconds since 1970, *wait* in seconds.

    *edit* says what else is to change; with *replace*, older bundles of the same channels are dropped. Verified files
    are kept even when a later step fails; what clients see changes only at the very end.
    """
    reporter = reporter or Reporter()
    with open_tree(tree_path, plain=plain, wait=wait) as tree:
        imported: list[Imported] = []
        for source in bundles:
            reporter.step("Importing")
            with open_bundle(source, reporter=reporter) as bundle:
                size = source.stat().st_size if isinstance(source, Path) else None
                imported.append(import_bundle(tree, bundle, bundle_size=size))
        replaced: Collection[Label] = {each.manifest.channel for each in imported} if replace else ()
        digests = tuple(dict.fromkeys(each.digest for each in imported))
        published = publish(
            tree, now=now, edit=dataclasses.replace(edit, bundles=digests, replace=replaced), reporter=reporter
        )
    return Rendered(imported=tuple(imported), published=published)


def verify(source: Path | BinaryIO, *, quick: bool = False, reporter: Reporter | None = None) -> Report:
    """Look at a bundle, or at the tree in a folder, and tell all that is wrong. Writes nothing, holds no lock.

    With *quick* sizes stand in for the hashes of files, pages are not compared with what the bundles say, and nothing
    is solved again.

    Raises UsageFault where *source* is neither, Incomplete where a tree serves nothing yet, BusyFault where a tree was
    published meanwhile, DiskFault where it can't be read at all.
    """
    reporter = reporter or Reporter()
    if isinstance(source, Path) and _is_folder(source):
        try:
            view = look(source)
        except IntegrityFault as fault:  # its own records can't be trusted: nothing can be checked against them
            found = Finding.of(fault, kind=Kind.CHANGED, path="")
            return Report(what="tree", name=str(source), quick=quick, findings=(found,))
        return _verify_tree(view, quick=quick, reporter=reporter)
    name = str(source) if isinstance(source, Path) else "the bundle on standard input"
    try:
        with open_bundle(source, reporter=reporter) as bundle:
            return _verify_bundle(bundle, quick=quick, reporter=reporter)
    except BundleFault as fault:  # not even its manifest can be read
        finding = Finding.of(fault, kind=Kind.CHANGED, path=fault.part)
        return Report(what="bundle", name=name, quick=quick, findings=(finding,))


def _is_folder(path: Path) -> bool:
    with telling(f"reading {path}"):
        return path.is_dir()


def _verify_bundle(bundle: Bundle, *, quick: bool, reporter: Reporter) -> Report:
    manifest = bundle.manifest
    reporter.step("Reading")
    audit = audit_bundle(bundle, quick=quick)
    proof = None if quick else _solve([manifest], None, reporter)
    return Report(
        what="bundle",
        name=bundle.name,
        quick=quick,
        bundles=((manifest.stem, bundle.digest),),
        checked=dataclasses.replace(audit.checked, resolutions=proof.resolutions if proof else 0),
        findings=(*audit.findings, *(_unsolvable(proof) if proof else ())),
        notes=(*audit.notes, *(proof.notes if proof else ()), *_uncovered([manifest])),
    )


def _verify_tree(view: View, *, quick: bool, reporter: Reporter) -> Report:
    audit = TreeAudit(view, quick=quick, reporter=reporter)
    proof = None
    with telling(f"reading {view.shown}"):
        reporter.step("Reading")
        audit.run()
        manifests = [each.manifest for each in audit.accepted]
        if audit.composition is not None and not quick:
            proof = _solve(manifests, audit.composition, reporter)
        if audit.findings and (is_held(view.at.lock) or not view.is_current()):
            raise BusyFault(
                f"{view.shown} was being published while it was looked at",
                code="tree-busy",
                hint="run the same command again when that is done",
            )
    return Report(
        what="tree",
        name=view.shown,
        quick=quick,
        bundles=tuple((each.manifest.stem, each.digest) for each in audit.accepted),
        checked=dataclasses.replace(audit.checked, resolutions=proof.resolutions if proof else 0),
        findings=(*audit.findings, *(_unsolvable(proof) if proof else ())),
        notes=(*audit.notes, *(proof.notes if proof else ()), *_uncovered(manifests)),
    )


def _solve(manifests: Sequence[Manifest], served: Composition | None, reporter: Reporter) -> Proof:
    """Every set of every manifest, from its own pins, and from all that is served with them."""
    from pypimirror.resolve.proof import Proof, check  # noqa: PLC0415 - render must do without the resolver

    reporter.step("Solving every set on every target")
    layers: Callable[[NormalizedName], Layers | None] = lru_cache(maxsize=_REMEMBERED)(
        lambda name: served.layers[name] if served is not None and name in served.layers else None
    )
    index = None if served is None else ServedIndex(layers)
    proofs = [check(manifest, index, absent=lambda pin: why_absent(pin, layers(pin.project))) for manifest in manifests]
    return Proof(
        faults=tuple(fault for proof in proofs for fault in proof.faults),
        notes=tuple(dict.fromkeys(note for proof in proofs for note in proof.notes)),
        resolutions=sum(proof.resolutions for proof in proofs),
    )


def _unsolvable(proof: Proof) -> Iterator[Finding]:
    for fault in proof.faults:
        yield Finding.of(fault, kind=Kind.UNSOLVABLE, path="")


def _uncovered(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What the builder said that it would not install on; known then, and worth knowing now."""
    for manifest in manifests:
        pythons = {target.name: target.environment.python_version for target in manifest.targets}
        for gap in manifest.uncovered:
            patches = gap.patches.describe(pythons.get(gap.target, ""))
            yield f"{manifest.stem}: {gap.set} on {gap.target} does not cover Python {patches}: {gap.reason}"
