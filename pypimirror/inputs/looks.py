"""Files that are something else than a requirements file, told by their name or their first bytes."""

from __future__ import annotations

import re
from pathlib import PurePath

from pypimirror.model.urls import split_fragment

__all__ = ["other_kind_by_content", "other_kind_by_name", "other_kind_by_text"]

_LATER = "lock files are not read yet; export it: 'uv export --format requirements-txt' or 'poetry export'"
_EXPORT_GROUPS = "write its requirements to a file: 'uv pip compile pyproject.toml -o requirements.txt'"
# rye writes requirements files that are called requirements.lock.
_BY_NAME = (
    (re.compile(r"pylock(?:\.[^.]+)?\.toml"), "a lock file", _LATER),
    (re.compile(r"(?!requirements).+\.lock"), "a lock file", _LATER),
    (re.compile(r"pyproject\.toml|setup\.cfg|setup\.py|Pipfile"), "the description of a project", _EXPORT_GROUPS),
    (
        re.compile(r"environment\.ya?ml|meta\.ya?ml"),
        "a file of conda",
        "write its packages as requirements, one a line",
    ),
    (re.compile(r".+\.(?:whl|tar\.gz|zip|tar\.bz2|tar\.xz|tgz)"), "a package", "leave '-r' out: name it by its path"),
)
_BY_BYTES = (
    (b"PK\x03\x04", "a zip archive or a wheel", "leave '-r' out: name it by its path"),
    (b"\x1f\x8b", "a gzip archive", "leave '-r' out: name it by its path"),
    (b"%PDF", "a PDF document", "name a requirements file"),
    (b"\x7fELF", "a program", "name a requirements file"),
)
_WEB = re.compile(r"\s*(?:<!doctype|<html|<head|<\?xml|<!--|<svg)", re.IGNORECASE)


def other_kind_by_name(path: str) -> tuple[str, str] | None:
    """What *path*, a local one or an address, is by its name, and what to do instead; None for all else."""
    name = PurePath(split_fragment(path)[0].partition("?")[0]).name
    return next(((kind, hint) for pattern, kind, hint in _BY_NAME if pattern.fullmatch(name)), None)


def other_kind_by_content(data: bytes) -> tuple[str, str] | None:
    """What the bytes of a file are, where they are no text at all."""
    return next(((kind, hint) for magic, kind, hint in _BY_BYTES if data.startswith(magic)), None)


def other_kind_by_text(text: str) -> tuple[str, str] | None:
    """What a text is that no requirements file begins like."""
    head = text[:2000]
    if _WEB.match(head):
        return "a web page", "download the raw file instead of the page that shows it"
    if head.lstrip().startswith(("{", "[{")):
        return "JSON", "name a requirements file"
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in head):
        return "binary data", "name a requirements file; if it is one, save it as UTF-8"
    return None
