"""One small bundle with all that pages have to say, for the golden tree and for real clients."""

from __future__ import annotations

from dataclasses import replace

from pypimirror.model.manifest import Manifest
from tests.tree.helpers import MemoryBundle, Sample, make_manifest, sdist, wheel

__all__ = ["PROVENANCE", "SAMPLES", "example"]

PROVENANCE = b'{"attestation_bundles":[{"attestations":[],"publisher":{"claims":null,"kind":"none"}}],"version":1}'

SAMPLES: tuple[Sample, ...] = (
    wheel("plain-thing", "1.0", requires_dist=("yanked-thing", "local-thing"), upload_time=None),
    wheel(
        "plain-thing",
        "1.1",
        upload_time="2026-02-03T04:05:06Z",
        requires_dist=("yanked-thing", "local-thing"),
        provenance=PROVENANCE,
    ),
    # A newest version that would be wrong to choose: it is for Pythons that are not there yet.
    wheel("plain-thing", "2.0", requires_python=">=3.99,!=3.99.0,<4"),
    wheel("yanked-thing", "1.0", requires_python="<4"),
    wheel("yanked-thing", "1.1", yanked='broken: "<b>" & co, use 1.2'),
    wheel("yanked-thing", "1.2", yanked=""),
    wheel("epoch-thing", "3.0"),
    wheel("epoch-thing", "1!2.0"),
    wheel("local-thing", "2.4.0"),
    wheel("local-thing", "2.4.0+cpu", provenance=PROVENANCE),
    wheel("Odd.Name", "1.0", rename="Odd.Name-1.0-py3-none-any.whl"),
    sdist("from-source", "0.1", requires_python=">=3.6"),
)

LOCATIONS = {
    "plain-thing": (
        ("https://index.example/simple/plain-thing/", "https://other.example/a&b/plain-thing/"),
        ("https://files.example/simple/plain-thing/",),
    ),
}

STATUSES = {
    "epoch-thing": ("archived", ""),
    "local-thing": ("deprecated", "use <other-thing> & be happy"),
    "odd-name": ("quarantined", "looked odd"),
}


def example(**changes: object) -> MemoryBundle:
    """The bundle; *changes* replace fields of its manifest."""
    manifest: Manifest = make_manifest(
        SAMPLES,
        statuses=STATUSES,
        locations=LOCATIONS,
        sequence=1_790_000_000,
        pins={
            "plain_thing-1.1-py3-none-any.whl": "plain-thing",
            "yanked_thing-1.1-py3-none-any.whl": "yanked-thing==1.1",
        },
    )
    return MemoryBundle(replace(manifest, **changes), SAMPLES)  # type: ignore[arg-type]  # names of fields, as replace has them
