"""The error families. Plain text; facts in attributes, the sentence in ``__str__``.

    PypimirrorError
    |-- Incomplete           1  checked: something is missing, extra or too old
    |-- UsageFault           2  a wrong option, a bad line, an unknown name
    |   `-- InputFaults         several of them at once
    |-- IndexFault           3  the network, or an index that can't be read
    |-- IntegrityFault       4  wrong bytes: a hash, a container, metadata that lies
    |-- PolicyFault          5  refused by a rule that a person set
    |-- ResolutionFault      6  no resolution: unknown project, no file, a conflict
    |-- DiskFault            7  the local disk
    |-- BusyFault            8  another process holds the lock
    `-- SeveralFaults           of several things that one run was given; the exit code is the gravest one's

A family owns an exit code. Each error carries a kebab-case ``code`` that the README lists, a message that says what
happened and to what, and a hint that says what to do next. This module imports nothing of ours, and no terminal
library.
"""

from __future__ import annotations

from typing import ClassVar


class PypimirrorError(Exception):
    """Base of every fault that a person is told of. ``code`` is stable; ``hint`` may be empty."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(kind: type[PypimirrorError], args: tuple[object, ...], state: dict[str, object]) -> PypimirrorError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class Incomplete(PypimirrorError):
    """Something was checked and is missing, extra or too old."""

    exit_code = 1


class UsageFault(PypimirrorError):
    """What a person wrote can't be used: an option, a line of a file, a name."""

    exit_code = 2


class InputFaults(UsageFault):
    """Every fault of the inputs of one run. ``faults`` holds at least one."""

    def __init__(self, faults: tuple[UsageFault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults), code="bad-input")
        self.faults = faults


class IndexFault(PypimirrorError):
    """The network failed, or an index answered what can't be read."""

    exit_code = 3


class IntegrityFault(PypimirrorError):
    """Bytes are not what they were said to be."""

    exit_code = 4


class PolicyFault(PypimirrorError):
    """A rule that a person set refuses this."""

    exit_code = 5


class ResolutionFault(PypimirrorError):
    """The requirements have no resolution for a target; the message explains why."""

    exit_code = 6


class DiskFault(PypimirrorError):
    """The local disk refused: full, read-only, not permitted, broken."""

    exit_code = 7


class BusyFault(PypimirrorError):
    """Another process works on the same tree."""

    exit_code = 8


class SeveralFaults(PypimirrorError):
    """Faults of several things that one run was given, told together. ``faults`` holds at least one.

    The gravest exit code, the highest number, is that of all.
    """

    def __init__(self, faults: tuple[PypimirrorError, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults), code=faults[0].code)
        self.faults = faults
        vars(self)["exit_code"] = max(fault.exit_code for fault in faults)  # of this one, in place of the class's
