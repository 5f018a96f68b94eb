"""People: one file a command; errors become words and exit codes, here and nowhere else."""

from pypimirror.cli.door import main

__all__ = ["main"]
