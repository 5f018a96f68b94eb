"""Whether a file that somebody hands us is what its name says, and what it says of itself. The one gate of all files.

Essential reading: the binary distribution format (PEP 427), the source distribution format (PEP 625), PEP 643.
"""

from __future__ import annotations

from typing import BinaryIO

from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index import sdist, wheel
from pypimirror.index.metadata import parse_core_metadata
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import ParsedName
from pypimirror.values import dataclass

__all__ = ["Admitted", "admit"]

_HINT = "nothing was added; build it anew, and add that"


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """What a file says of itself; ``exact`` are the bytes of a wheel's METADATA, None for an sdist."""

    metadata: CoreMetadata
    exact: bytes | None


def admit(source: BinaryIO, name: ParsedName) -> Admitted:
    """Look through a whole file, which stands at its beginning; its memory is bounded, and nothing is extracted.

    An sdist is taken at its PKG-INFO's word, as ``learnt_from`` then says, where only a build could tell for certain.
    Raises IntegrityFault (``bad-wheel``, ``bad-sdist``, ``bad-metadata``, ``metadata-mismatch``,
    ``metadata-not-static``); OSError as *source* raises it.
    """
    try:
        if name.filename.endswith(".whl"):
            data = wheel.gate(source, name=name)
            return Admitted(metadata=parse_core_metadata(data, filename=name), exact=data)
        texts = sdist.read_metadata(source, name)
        if texts.pkg_info is None:
            raise IntegrityFault(f"{name.filename}: it has no PKG-INFO", code="bad-sdist")
        return Admitted(metadata=sdist.core_metadata(texts, name=name, trust_egg_info=True), exact=None)
    except IntegrityFault as fault:
        fault.hint = _HINT
        raise
    except ResolutionFault:
        raise IntegrityFault(
            f"{name.filename}: what it depends on can't be read from it",
            code="metadata-not-static",
            hint="build a wheel of it, and add that",
        ) from None
