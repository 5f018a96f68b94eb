"""A process that has imported the program, and runs a child of it for each line, to be killed after a while.

A line is JSON: the command line, and seconds (or none). The answer is the child's exit status, negative for a signal,
and how long it ran. The medium is not waited for: a killed process takes nothing from the system's memory.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from pypimirror.cli import bundle, main, render

COMMANDS = (bundle.command, render.command)  # imported now, not in each child


def run(arguments: list[str], seconds: float | None) -> tuple[int, float]:
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        try:
            main(arguments)
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 0)
        os._exit(70)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # it is ours, and not waited for yet: its number is no other's
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - begin


def serve() -> None:
    os.sync = os.fsync = lambda *_: None  # type: ignore[assignment]  # see above
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(*json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
