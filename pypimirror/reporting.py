"""The reporter: one empty method for each thing worth telling a person. Code below ``cli`` neither prints nor logs.

Methods may be called from several threads at once. None of them may raise; what they return is not looked at.
"""

from __future__ import annotations

__all__ = ["Reporter"]


class Reporter:
    """A reporter that tells nothing. Override what is worth telling."""

    def note(self, text: str) -> None:
        """A sentence that a person should read, once the run is over at the latest."""

    def resolving(self, *, set_name: str, target: str, done: int, total: int) -> None:
        """A resolution begins; ``done`` of ``total`` lie behind."""

    def download_total(self, *, files: int, size: int) -> None:
        """Downloads begin: so many files, so many bytes (0 where an index states no sizes)."""

    def download_bytes(self, *, filename: str, count: int) -> None:
        """``count`` more bytes of a file arrived. Negative where a broken transfer begins again."""

    def download_done(self, *, filename: str, size: int, from_cache: bool) -> None:
        """One file is whole and verified."""

    def retrying(self, *, what: str, reason: str, attempt: int, wait: float) -> None:
        """A request failed and will be tried again after ``wait`` seconds."""

    def packing(self, *, done: int, total: int) -> None:
        """So many bytes of the bundle are written, or read."""

    def step(self, name: str) -> None:
        """A new phase begins: "Proving", "Publishing"."""
