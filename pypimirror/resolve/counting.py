"""Refusals counted, in words. Apart from ``explain``, since whoever only shows an answer needs no resolver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pypimirror.model.files import Refusal, Rejection

__all__ = ["count_rejections"]

_WORDS = {
    Refusal.BAD_NAME: ("has an unusable name", "have unusable names"),
    Refusal.OTHER_PLATFORM: ("other platform", "other platforms"),
    Refusal.OTHER_PYTHON: ("other Python", "other Pythons"),
    Refusal.YANKED: ("yanked", "yanked"),
    Refusal.NO_HASH: ("without a sha256", "without a sha256"),
    Refusal.HASH_NOT_ALLOWED: ("not among the hashes given", "not among the hashes given"),
    Refusal.FORMAT_NOT_ALLOWED: ("of a format not allowed", "of a format not allowed"),
    Refusal.QUARANTINED: ("quarantined by the index", "quarantined by the index"),
    Refusal.TOO_NEW: ("too new", "too new"),
    Refusal.WITHDRAWN: ("withdrawn", "withdrawn"),
    Refusal.METADATA: ("with unusable metadata", "with unusable metadata"),
}


def count_rejections(rejections: Iterable[Rejection]) -> str:
    """``12 files: 9 other platforms, 3 need Python >=3.13``."""
    counts: Counter[tuple[str, str]] = Counter()
    for rejection in rejections:
        if rejection.reason is Refusal.REQUIRES_PYTHON:
            bound = rejection.detail.removeprefix("needs ")
            counts[f"needs {bound}", f"need {bound}"] += 1
        else:
            counts[_WORDS.get(rejection.reason, (rejection.reason.value, rejection.reason.value))] += 1
    total = sum(counts.values())
    parts = [
        f"{count} {one if count == 1 else many}"
        for (one, many), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return f"{total} {'file' if total == 1 else 'files'}: {', '.join(parts)}" if total else "no files at all"
