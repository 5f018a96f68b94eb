"""Every fault of one run, gathered within bounds."""

from __future__ import annotations

from pypimirror.errors import InputFaults, UsageFault
from pypimirror.model.requests import Origin
from pypimirror.model.urls import redact

__all__ = ["Faults", "quoted"]

_MOST = 1000
_QUOTED = 160


def quoted(text: str) -> str:
    """*text* as a message shows it: without secrets, on one line, not too long, in quotes."""
    shown = " ".join(redact(text).split())
    if len(shown) > _QUOTED:
        shown = f"{shown[:_QUOTED]}..."
    printable = "".join(letter if letter.isprintable() else "?" for letter in shown)
    return f'"{printable}"' if "'" in printable and '"' not in printable else f"'{printable}'"


class Faults:
    """Collects faults; the first thousand are kept, the others counted."""

    def __init__(self) -> None:
        self.kept: list[UsageFault] = []
        self._more = 0

    def __len__(self) -> int:
        return len(self.kept) + self._more

    def add(self, origin: Origin | None, code: str, what: str, hint: str = "") -> None:
        """One more fault. Where *origin* is no line of a file, *what* itself must name what it is about."""
        self.keep(UsageFault(f"{origin}: {what}" if origin is not None else what, code=code, hint=hint))

    def keep(self, fault: UsageFault) -> None:
        if len(self.kept) < _MOST:
            self.kept.append(fault)
        else:
            self._more += 1

    def cut(self, length: int) -> None:
        """Forget the faults after the first *length*."""
        del self.kept[length:]
        self._more = max(0, length - len(self.kept))

    def raise_all(self) -> None:
        """Raise InputFaults if there is a fault."""
        if not self.kept:
            return
        faults = list(self.kept)
        if self._more:
            faults.append(UsageFault(f"... and {self._more} more faults", code="bad-input"))
        raise InputFaults(tuple(faults))
