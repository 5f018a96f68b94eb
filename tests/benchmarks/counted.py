"""``pypimirror`` with the calls of some functions counted: ``python -m tests.benchmarks.counted FILE ARGUMENT...``.

The counts go to FILE as JSON, a number for each name of ``HOT``, and ``BYTES``. They count calls that ran: what a cache
answered is no call. They are those of this process: on one processor (``alone``) no other one has a part in it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pypimirror.cli import main
from pypimirror.index import metadata, rows, simple
from pypimirror.model import names

HOT: dict[str, tuple[Callable[..., object], ...]] = {
    "pages": (simple.parse_page, simple.open_page),
    "page texts": (simple._text,),  # where the bytes of a page are read, however it came
    "rows judged": (rows.Rows.add,),
    "file names": (names.parse_file_name,),
    "metadata": (metadata.parse_core_metadata,),
    "Version()": (Version.__init__,),
    "Requirement()": (Requirement.__init__,),
    "SpecifierSet()": (SpecifierSet.__init__,),
    "markers evaluated": (Marker.evaluate,),
}
BYTES = "bytes of pages"
"""How many bytes were handed to the functions of "page texts"."""


def alone() -> None:
    """Have one processor from now on."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def counted(target: Path, arguments: list[str]) -> None:
    """Run the command line, and exit."""
    codes: dict[CodeType, str] = {
        getattr(function, "__wrapped__", function).__code__: name
        for name, several in HOT.items()
        for function in several
    }
    counts = Counter(dict.fromkeys([*HOT, BYTES], 0))
    lock = threading.Lock()

    def hook(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in codes:
            name = codes[frame.f_code]
            with lock:
                counts[name] += 1
                if name == "page texts":
                    counts[BYTES] += len(frame.f_locals["data"])

    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        main(arguments)
    finally:
        sys.setprofile(None)
        target.write_text(json.dumps(counts))


if __name__ == "__main__":
    alone()
    counted(Path(sys.argv[1]), sys.argv[2:])
