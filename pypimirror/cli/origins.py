"""Where a person wrote something, in words that may cross the gap: folders are named after people and projects."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pypimirror.model.requests import Constraint, Origin, Root
from pypimirror.model.urls import is_url

__all__ = ["carried"]

_USER_AND_QUERY = re.compile(r"(https?://)(?:[^\s/?#]*@)?([^\s?#;]*)(?:[?#][^\s;]*)?", re.IGNORECASE)
_MAX_ORIGIN = 1000


def carried(written: Root | Constraint) -> Origin:
    """An origin fit for a manifest, which crosses the gap: no folder outside the current one is named in it.

    A path below the current folder becomes relative to it; of any other, only the last part is kept. Addresses lose
    their user part and their query. A file that was named on the command line is told by its own name.
    """
    origin = written.origin
    if not origin.line and isinstance(written, Root) and written.source is not None:
        local = written.source.url.lower().startswith(("file:", "git+file:"))
        place = "sources of this host" if local else str(written.source)
        return replace(origin, path=f"{written.requirement.name} @ {place}"[:_MAX_ORIGIN])
    if not origin.line:
        return replace(origin, path=written.direct.name.filename) if written.direct is not None else origin
    if is_url(origin.path) and not origin.path.lower().startswith("file:"):
        return replace(origin, path=_USER_AND_QUERY.sub(lambda match: match[1] + match[2], origin.path)[:_MAX_ORIGIN])
    path = Path(urlsplit(origin.path).path) if is_url(origin.path) else Path(origin.path)
    try:
        shown = Path(os.path.abspath(path)).relative_to(Path.cwd()).as_posix()  # noqa: PTH100 - takes out ".."
    except ValueError:
        shown = path.name
    return replace(origin, path=shown[-_MAX_ORIGIN:])
