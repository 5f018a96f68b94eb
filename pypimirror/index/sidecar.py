"""A file's metadata sibling beside what a manifest says of the file. Pure.

A manifest is solved without opening a single file; so what it says of them must be what they say themselves.
"""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pypimirror.errors import IntegrityFault
from pypimirror.index.metadata import MAX_BYTES, parse_core_metadata
from pypimirror.model.files import CoreMetadata
from pypimirror.model.manifest import BundledFile
from pypimirror.model.names import parse_file_name

__all__ = ["contradiction", "oversize"]


def contradiction(file: BundledFile, metadata: bytes) -> str:
    """What the bytes of the metadata sibling say otherwise than the manifest does, for people; empty where they agree.

    The manifest may ask for less of Python's versions than the file does: it holds what the index says of it, too.
    """
    try:
        said = parse_core_metadata(metadata, filename=parse_file_name(file.filename, project=file.project))
    except (IntegrityFault, ValueError) as fault:
        return str(fault)
    if said.requires_dist != file.requires_dist:
        return (
            f"the manifest says that it requires {_list(file.requires_dist)}, its metadata {_list(said.requires_dist)}"
        )
    if said.provides_extra != file.provides_extra:
        return (
            f"the manifest gives it the extras {_list(file.provides_extra)}, its metadata {_list(said.provides_extra)}"
        )
    if not _admits_no_more(file, said):
        return f"the manifest says that it runs on Python {file.requires_python}, its metadata {said.requires_python}"
    return ""


def oversize(file: BundledFile) -> str:
    """What is wrong with the size that the manifest gives the metadata sibling; empty where it can be read whole."""
    size = file.metadata.size if file.metadata is not None else 0
    return f"no core metadata has {size} bytes" if size > MAX_BYTES else ""


def _admits_no_more(file: BundledFile, said: CoreMetadata) -> bool:
    if said.requires_python is None:
        return True
    try:
        return set(SpecifierSet(said.requires_python)) <= set(SpecifierSet(file.requires_python or ""))
    except InvalidSpecifier:
        return False


def _list(texts: tuple[str, ...]) -> str:
    return ", ".join(texts) or "nothing"
