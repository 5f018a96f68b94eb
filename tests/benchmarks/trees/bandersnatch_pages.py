"""bandersnatch's page writer as a library. Run as a script by the Python that has bandersnatch.

    python bandersnatch_pages.py LISTING FOLDER

LISTING has a JSON object a line, as dumb-pypi reads it. Pages are made by ``SimpleAPI``, and written as its mirror
writes them: to a temporary file each, then renamed.
"""

from __future__ import annotations

import configparser
import json
import sys
from pathlib import Path
from typing import Any

# mypy: disable-error-code="import-not-found"
# What is raced has an environment of its own, and is not there where types are checked.
from bandersnatch.package import Package
from bandersnatch.simple import SimpleAPI
from bandersnatch_storage_plugins.filesystem import FilesystemStorage


def main(listing: Path, folder: Path) -> None:
    config = configparser.ConfigParser()
    config.read_dict({"mirror": {"directory": str(folder), "workers": "1"}})
    storage = FilesystemStorage(config=config)
    api = SimpleAPI(storage, "ALL", [], "sha256", False, None)
    for name, releases in projects(listing).items():
        package = Package(name, 1)
        package._metadata = {"info": {"name": name}, "last_serial": 1, "releases": releases}
        pages = api.generate_simple_pages(package)
        place = folder / "simple" / name
        place.mkdir(parents=True)
        for path, text in ((place / "index.html", pages.html), (place / "index.v1_json", pages.json)):
            with storage.rewrite(path, "w", encoding="utf-8") as file:
                file.write(text)
    api.sync_index_page(True, folder, 1)


def projects(listing: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with listing.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            name, version = row["filename"].split("-")[:2]
            release = {
                "filename": row["filename"],
                "url": f"/packages/{row['filename']}",
                "digests": {"sha256": row["hash"].partition("=")[2]},
                "requires_python": row["requires_python"],
                "size": 1000,
                "upload_time_iso_8601": "2026-01-02T03:04:05.000000Z",
                "yanked": "yanked_reason" in row,
                "yanked_reason": row.get("yanked_reason"),
                "core-metadata": {"sha256": row["core_metadata"].partition("=")[2]},
            }
            found.setdefault(name, {}).setdefault(version, []).append(release)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
