"""One file as pages show it: a link in HTML, an object of the simple API, an object of the old JSON API. Pure.

Rows are nearly all that is rendered. They are put together by hand, since a template takes five times as long for
them, and json twice; each value goes through ``attribute`` or ``string`` on its way, so nothing can leave its place.

Where clients are stricter or older than the standards, a comment says which.
"""

from __future__ import annotations

import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii

from pypimirror.model.manifest import BundledFile

__all__ = ["attribute", "legacy_row", "link", "simple_row", "string", "truth"]

_SPELT = {
    ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&#34;", ord("'"): "&#39;",
    ord("\r"): "&#13;", ord("\n"): "&#10;",
}  # fmt: skip
_TO_BE_SPELT = re.compile("[&<>\"'\r\n]")

PACKAGES = "../../packages/"
"""From the page of a project to the files."""


def _attribute(text: str) -> str:
    """Text for a quoted attribute, or between tags.

    Line ends are spelt: a carriage return would be read as a line feed, and a row is one line.
    """
    return text.translate(_SPELT) if _TO_BE_SPELT.search(text) else text


# The same texts stand in many rows: requirements on Python, reasons, times of upload.
attribute = lru_cache(maxsize=8192)(_attribute)
string = lru_cache(maxsize=8192)(encode_basestring_ascii)
"""Text as JSON has it, with its quotes."""


def truth(value: bool) -> str:  # noqa: FBT001 - what JSON calls it is all that is asked for
    return "true" if value else "false"


def _quoted(name: str) -> str:
    """A name in ``packages/`` as a URL's path has it; ``+`` and ``!`` are all that it can hold of what needs quoting.

    uv, poetry and pdm send it as it stands, and S3 reads ``+`` as a space.
    """
    return name.replace("+", "%2B").replace("!", "%21")


def link(file: BundledFile, prefix: str = PACKAGES) -> str:
    """The file as HTML (PEP 503, 592, 714, 740), in one line. *prefix* leads from the page to the files.

    Never ``data-dist-info-metadata``: pip 22.3 to 23.1 then refuse names that are spelled otherwise.
    ``data-upload-time`` and ``data-size`` stand in no PEP; uv reads them.
    """
    name = _attribute(file.filename)
    parts = [f'<a href="{prefix}{_quoted(name)}#sha256={file.sha256}"']
    if file.requires_python is not None:
        parts.append(f' data-requires-python="{attribute(file.requires_python)}"')
    if file.yanked is not None:
        parts.append(f' data-yanked="{attribute(file.yanked)}"')
    if file.metadata is not None:
        parts.append(f' data-core-metadata="sha256={file.metadata.sha256}"')
    if file.provenance is not None:
        parts.append(f' data-provenance="{prefix}{_provenance(file)}"')
    if file.upload_time is not None:
        parts.append(f' data-upload-time="{attribute(file.upload_time)}"')
    parts.append(f' data-size="{file.size}">{name}</a><br>')
    return "".join(parts)


def simple_row(file: BundledFile) -> str:
    """The file as an object of the simple API (PEP 691, 700, 714, 740), as JSON with sorted keys.

    Never ``dist-info-metadata``: pip 22.3 to 23.1 crash on its dictionary.
    """
    name = file.filename
    parts = []
    if file.metadata is not None:
        parts.append(f'"core-metadata":{{"sha256":"{file.metadata.sha256}"}}')
    parts.append(f'"filename":{encode_basestring_ascii(name)},"hashes":{{"sha256":"{file.sha256}"}}')
    if file.provenance is not None:
        parts.append(f'"provenance":"{PACKAGES}{_provenance(file)}"')
    if file.requires_python is not None:
        parts.append(f'"requires-python":{string(file.requires_python)}')
    parts.append(f'"size":{file.size}')
    if file.upload_time is not None:
        parts.append(f'"upload-time":{string(file.upload_time)}')
    parts.append(f'"url":{encode_basestring_ascii(PACKAGES + _quoted(name))}')
    if file.yanked is not None:
        parts.append(f'"yanked":{string(file.yanked) if file.yanked else "true"}')  # pip and pdm take "" for not yanked
    return f"{{{','.join(parts)}}}"


def legacy_row(file: BundledFile) -> str:
    """The file as an object of the old JSON API, as JSON with sorted keys. It has no md5, which proves nothing."""
    name, is_wheel = file.filename, file.filename.endswith(".whl")
    metadata = "false" if file.metadata is None else f'{{"sha256":"{file.metadata.sha256}"}}'
    time = file.upload_time
    return (
        f'{{"core-metadata":{metadata},"digests":{{"sha256":"{file.sha256}"}},'
        f'"filename":{encode_basestring_ascii(name)},"packagetype":"{"bdist_wheel" if is_wheel else "sdist"}",'
        f'"python_version":{string(name.rsplit("-", 3)[1]) if is_wheel else chr(34) + "source" + chr(34)},'
        f'"requires_python":{_or_null(file.requires_python)},"size":{file.size},'
        f'"upload_time":{_or_null(None if time is None else time[:19])},"upload_time_iso_8601":{_or_null(time)},'
        f'"url":{encode_basestring_ascii(PACKAGES + _quoted(name))},'
        f'"yanked":{truth(file.yanked is not None)},"yanked_reason":{_or_null(file.yanked or None)}}}'
    )


def _or_null(text: str | None) -> str:
    return "null" if text is None else string(text)


def _provenance(file: BundledFile) -> str:
    return _quoted(_attribute(file.provenance_path.removeprefix("packages/")))
