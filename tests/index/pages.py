"""One made-up content as JSON and as HTML, for tests that hold for both."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pypimirror.index.simple import parse_page
from pypimirror.model.files import Listing
from pypimirror.model.names import project_name

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
URL = "https://index.example/simple/some-thing/"
Row = Mapping[str, object]


def json_page(rows: Sequence[object], *, name: object = "some-thing", **top: object) -> bytes:
    return json.dumps({"meta": {"api-version": "1.4"}, "name": name, "files": list(rows), **top}).encode()


def html_page(rows: Sequence[Row], *, title: str = "Links for some-thing", head: str = "") -> bytes:
    """The same rows as anchors; keys that HTML has no attribute for are left out."""
    lines = [f"<!DOCTYPE html><html><head><title>{html.escape(title)}</title>{head}</head><body>"]
    lines += [f"<h1>{html.escape(title)}</h1>", *map(_anchor, rows), "</body></html>"]
    return "\n".join(lines).encode()


def _anchor(row: Row) -> str:
    link, hashes, metadata = str(row["url"]), row.get("hashes"), row.get("core-metadata")
    if isinstance(hashes, dict) and hashes:
        link += "#" + "&".join(f"{key}={value}" for key, value in hashes.items())
    attributes = {"href": link}
    for key, attribute in (("requires-python", "requires-python"), ("provenance", "provenance")):
        if row.get(key) is not None:
            attributes[f"data-{attribute}"] = str(row[key])
    for key in ("size", "upload-time"):
        if row.get(key) is not None:
            attributes[f"data-{key}"] = str(row[key])
    if row.get("yanked"):
        attributes["data-yanked"] = "" if row["yanked"] is True else str(row["yanked"])
    if metadata:
        items = metadata.items() if isinstance(metadata, dict) else ()
        attributes["data-core-metadata"] = "&".join(f"{key}={value}" for key, value in items) or "true"
    words = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<a {words}>{html.escape(str(row['filename']))}</a><br>"


def row(filename: str, **fields: object) -> dict[str, object]:
    return {"filename": filename, "url": f"../../packages/{quote(filename, safe='')}", "hashes": {}} | fields


def listing(data: bytes, content_type: str, *, url: str = URL, project: str = "some-thing") -> Listing:
    return parse_page(data, content_type, url=url, project=project_name(project), index="main")
