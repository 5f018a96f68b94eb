"""A process that publishes bundles of its own in a tree that others work on, too.

    python -m tests.crashes.worker TREE WORKER ROUNDS [--without-lock | --stop]

With ``--stop`` it stops itself before the swap of its first bundle.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

from pypimirror.errors import BusyFault
from pypimirror.tree.folder import open_tree
from pypimirror.tree.importing import import_bundle
from pypimirror.tree.publish import publish
from tests.tree.helpers import NOW, MemoryBundle, QuickDisk, bundle, fake


class Lockless(QuickDisk):
    """Everybody holds the lock."""

    def lock(self, file: BinaryIO) -> bool:  # noqa: ARG002 - as Disk has it
        return True


class Stopping(QuickDisk):
    """Stops the process before everything is synced."""

    def sync_all(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)


def own_bundle(worker: int, number: int) -> MemoryBundle:
    """One file of a project that all share, and one of the worker's own."""
    samples = [fake(f"shared-{worker}.{number}-py3-none-any.whl"), fake(f"own{worker}-{number}.0-py3-none-any.whl")]
    return bundle(*samples, sequence=1_790_000_000 + worker * 1000 + number)


def work(tree: Path, worker: int, rounds: int, disk: QuickDisk) -> None:
    wait = 60.0 if worker % 2 else 0.0  # every other one asks again by itself
    for number in range(rounds):
        each = own_bundle(worker, number)
        while True:
            try:
                with open_tree(tree, wait=wait, disk=disk) as opened:
                    publish(opened, [import_bundle(opened, each).digest], now=NOW)
                break
            except BusyFault:
                time.sleep(0.005)


if __name__ == "__main__":
    options = sys.argv[4:]
    work(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        Lockless() if "--without-lock" in options else Stopping() if "--stop" in options else QuickDisk(),
    )
