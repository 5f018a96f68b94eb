"""What can be wrong with a bundle: the facts in attributes, for a report; the sentence for a person."""

from __future__ import annotations

from pypimirror.errors import IntegrityFault

__all__ = ["AGAIN", "BundleFault", "damaged", "truncated"]

AGAIN = "copy it again, and compare its sha256 with that of the original"


class BundleFault(IntegrityFault):
    """A container that is not as its manifest says.

    ``bundle`` is its name for people, ``part`` what was being read ("contents of packages/x.whl"), ``offset`` the byte
    at which that part begins.
    """

    def __init__(self, message: str, *, code: str, bundle: str, part: str, offset: int, hint: str = AGAIN) -> None:
        super().__init__(message, code=code, hint=hint)
        self.bundle = bundle
        self.part = part
        self.offset = offset


def damaged(bundle: str, part: str, offset: int, what: str = "not as the manifest says") -> BundleFault:
    """Bytes are there, and wrong."""
    message = f"{bundle} is damaged: the {part}, at byte {offset}: {what}"
    return BundleFault(message, code="damaged-bundle", bundle=bundle, part=part, offset=offset)


def truncated(bundle: str, part: str, offset: int, end: int) -> BundleFault:
    """The bundle ends at byte *end*, within *part*."""
    message = f"{bundle} is cut short: it ends at byte {end}, in the {part}"
    return BundleFault(message, code="truncated-bundle", bundle=bundle, part=part, offset=offset)
