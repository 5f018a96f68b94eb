"""The README.txt of a full bundle: for the person who unpacked the tar and has nothing else. Pure text."""

from __future__ import annotations

from datetime import datetime, timezone

from pypimirror.tree.compose import Composition

__all__ = ["readme"]

_TEXT = """\
Python packages for installing without the internet
====================================================

Made {made:%Y-%m-%d %H:%M} UTC, channel {channel}. {projects} projects, {files} files.
For: {targets}

This folder is a complete package index. Nothing needs to be run or unpacked any further.


Use it from this folder, without a server (NAME is what you want to install)

    pip install --no-index --find-links packages/index.html NAME
    uv pip install --default-index ./simple NAME
{locks}

Serve it to others: any web server that can serve a folder will do. To try it on this machine:

    python3 -m http.server --bind 127.0.0.1 8000
    pip install --index-url http://127.0.0.1:8000/simple/ NAME
    uv pip install --default-index http://127.0.0.1:8000/simple/ NAME

    Serve the folder that holds both simple/ and packages/. Pages must go out as text/html.
    From another machine, by plain http, pip also wants: --trusted-host HOST


Check it

    sha256sum --check --quiet SHA256SUMS


Keep it up to date: do not unpack the next bundle over this folder, clients would see half of each. Where Python is at
hand, `pypimirror render BUNDLE TREE` publishes bundles one after the other, each in one step.

    index.html              what is inside
    manifest.json           the same for programs: every file, its hash, who wanted it
    packages/               the files
    simple/                 the index that pip and uv read
"""


_LOCKS = """
Or all that was asked for on one target at once, as it was put together, with every hash checked:

    pip install -r locks/FILE.requirements.txt
    uv pip install -r locks/FILE.requirements.txt
"""


def readme(composition: Composition) -> str:
    """What is here and how to use it. The composition is that of one bundle."""
    manifest = composition.bundles[0].manifest
    return _TEXT.format(
        made=datetime.fromtimestamp(manifest.sequence, tz=timezone.utc),
        channel=manifest.channel,
        projects=len(composition.projects),
        files=sum(len(project.files) for project in composition.projects),
        locks=_LOCKS if manifest.resolutions else "",
        targets=", ".join(target.name for target in manifest.targets) or "any Python",
    )
