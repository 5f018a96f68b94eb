"""Every byte of a bundle looked at, going on past what is wrong: all damaged members are named, not the first one."""

from __future__ import annotations

import io
from collections.abc import Iterator

from pypimirror.bundle.faults import AGAIN, BundleFault
from pypimirror.bundle.layout import Kind as Member
from pypimirror.bundle.reader import Bundle, BundleMember
from pypimirror.errors import DiskFault
from pypimirror.index.sidecar import contradiction, oversize
from pypimirror.model.findings import Checked, Finding, Kind

__all__ = ["Audit", "audit_bundle"]


class Audit:
    """What is found while the members pass by."""

    def __init__(self, bundle: Bundle, *, quick: bool) -> None:
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self._bundle = bundle
        self._quick = quick
        self._files = self._size = self._pages = 0
        self._by_path = {f"{file.path}.metadata": file for file in bundle.manifest.files}

    @property
    def checked(self) -> Checked:
        return Checked(files=self._files, size=self._size, pages=self._pages)

    def run(self) -> None:
        """Read to the end, or to where nothing can be made of it any more."""
        try:
            for member in self._bundle.members():
                self._look(member)
        except (BundleFault, DiskFault) as fault:
            self.findings.append(_finding(fault, ""))
            return
        self.findings += self._missing()
        if self._bundle.left_out:
            self.notes.append(
                f"{len(self._bundle.left_out)} pages travel in another volume: this one alone can't be served unpacked"
            )

    def _look(self, member: BundleMember) -> None:
        """One member. A wrong content is told, and the next member looked at; a broken medium ends it."""
        entry = member.entry
        if self._quick:
            member.leap()
        else:
            try:
                self._read(member)
            except BundleFault as fault:
                if fault.code == "truncated-bundle":
                    raise
                self.findings.append(_finding(fault, entry.path))
        self._files += entry.kind is Member.FILE
        self._pages += entry.kind is Member.MEMBER
        self._size += 0 if self._quick else entry.size

    def _read(self, member: BundleMember) -> None:
        if member.entry.kind is not Member.METADATA:
            member.skip()
            return
        file, metadata = self._by_path[member.entry.path], io.BytesIO()
        said = oversize(file)
        if said:
            member.skip()
        else:
            member.copy_to(metadata)
            said = contradiction(file, metadata.getvalue())
        if said:
            self.findings.append(
                Finding(
                    kind=Kind.CHANGED,
                    path=member.entry.path,
                    message=f"{member.entry.path} contradicts the manifest: {said}",
                    hint="don't use this bundle: it was not made by pypimirror as it is, or on purpose so",
                )
            )

    def _missing(self) -> Iterator[Finding]:
        for filename in self._bundle.missing:
            yield Finding(
                kind=Kind.MISSING,
                path=f"packages/{filename}",
                message=f"packages/{filename} is in the manifest, and not in this volume",
                hint="render the other volumes, or a bundle that has it, as well: what came is kept",
            )


def audit_bundle(bundle: Bundle, *, quick: bool) -> Audit:
    """Look at every byte of *bundle*, which is read by that; with *quick* at its headers alone."""
    audit = Audit(bundle, quick=quick)
    audit.run()
    return audit


def _finding(fault: BundleFault | DiskFault, path: str) -> Finding:
    if isinstance(fault, DiskFault):
        return Finding.of(fault, kind=Kind.UNREADABLE, path=path)
    hint = fault.hint if path or fault.part == "end" else f"{AGAIN}; what follows could not be looked at"
    return Finding(kind=Kind.CHANGED, path=path or fault.part, message=str(fault), hint=hint)
