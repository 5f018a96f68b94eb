"""How the program speaks: data to standard output, all else to standard error, no meaning in colour alone."""

from __future__ import annotations

import os
import sys

import click

from pypimirror.cli.printable import printable
from pypimirror.errors import PypimirrorError
from pypimirror.values import dataclass

__all__ = ["Voice"]


@dataclass
class Voice:
    """What the person asked of the output. One for each run; the options of a command set it."""

    verbose: bool = False
    quiet: bool = False
    color: str = "auto"

    def error(self, error: PypimirrorError) -> None:
        """``error: ...``, the hint on a line of its own, and the code to look up."""
        self._line("error", "red", f"{error} [{error.code}]")
        if error.hint:
            self._line("hint", "cyan", error.hint)

    def note(self, text: str) -> None:
        """A sentence that a person should read; kept back by ``--quiet``."""
        if not self.quiet:
            self._line("note", "yellow", text)

    def say(self, text: str) -> None:
        """Words without a label; said even with ``--quiet``."""
        click.echo(_safe(text), err=True)

    def tell(self, text: str) -> None:
        """Progress in plain words; kept back by ``--quiet``."""
        if not self.quiet:
            click.echo(_safe(text), err=True)

    def data(self, text: str) -> None:
        """What was asked for, on standard output. Raises DiskFault where that can't take it; BrokenPipeError passes."""
        try:
            click.echo(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - what is left must not be tried again
            from pypimirror.disk import disk_fault  # noqa: PLC0415 - nothing that --help needs

            raise disk_fault(error, "writing to standard output") from error

    @property
    def colored(self) -> bool:
        """Whether standard error takes colours: asked for, or a terminal that does, and NO_COLOR is not set."""
        if self.color != "auto":
            return self.color == "always"
        return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def lively(self) -> bool:
        """Whether to draw progress: only on a terminal."""
        return sys.stderr.isatty() and not self.quiet and os.environ.get("TERM") != "dumb"

    def _line(self, label: str, color: str, text: str) -> None:
        shown = click.style(f"{label}:", fg=color, bold=True) if self.colored else f"{label}:"
        click.echo(f"{shown} {_safe(text)}", err=True, color=self.colored)


def _safe(text: str) -> str:
    """Names and reasons of others stand in what is said: none of them may steer the terminal."""
    return "\n".join(map(printable, text.split("\n")))
