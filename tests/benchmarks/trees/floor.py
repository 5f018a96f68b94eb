"""The floor: as many files, links and folders as a tree has, with as many bytes, by the plainest of loops.

    python floor.py survey TREE PLAN             write down what a tree holds
    python floor.py write PLAN BUNDLE FOLDER [--sync] [--hash]

Run as a script, so that nothing is imported that a loop doesn't need. The bytes are those of the bundle, from the
front: what they are doesn't matter to a disk, that they are read does. *--sync* waits for the disk at the end, as ours
does; *--hash* takes the sha256 of every file as well, as ours must.
"""

# ruff: noqa: PTH102, PTH115, PTH123, PTH211
# The point is what it costs without objects for paths.

from __future__ import annotations

import hashlib
import json
import os
import sys

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def survey(tree: str, plan: str) -> None:
    """Folders before what is in them; files with their sizes, links with their texts; each folder in order of names."""
    rows: list[list[object]] = []

    def walk(folder: str, inside: str) -> None:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{inside}{entry.name}"
                if entry.is_symlink():
                    rows.append([path, os.readlink(entry.path)])
                elif entry.is_dir():
                    rows.append([path, None])
                    walk(entry.path, f"{path}/")
                else:
                    rows.append([path, entry.stat().st_size])

    walk(tree, "")
    with open(plan, "w", encoding="utf-8") as file:
        json.dump(rows, file)


def write(plan: str, bundle: str, root: str, *, sync: bool, digests: bool) -> None:
    """Make what *plan* says in a new folder *root*."""
    with open(plan, encoding="utf-8") as file:
        rows = json.load(file)
    os.mkdir(root)
    with open(bundle, "rb", buffering=1 << 20) as source:
        for path, what in rows:
            place = f"{root}/{path}"
            if isinstance(what, str):
                os.symlink(what, place)
            elif what is None:
                os.mkdir(place)
            else:
                data = source.read(what)
                if len(data) < what:
                    source.seek(0)
                    data += source.read(what - len(data)) if what < 1 << 20 else bytes(what - len(data))
                if digests:
                    hashlib.sha256(data).hexdigest()
                descriptor = os.open(place, _FLAGS, 0o644)
                os.write(descriptor, data)
                os.close(descriptor)
    if sync:
        os.sync()


def main(words: list[str]) -> None:
    if words[0] == "survey":
        survey(words[1], words[2])
    else:
        write(words[1], words[2], words[3], sync="--sync" in words, digests="--hash" in words)


if __name__ == "__main__":
    main(sys.argv[1:])
