"""Pages of an index, as they arrive, become what the resolver asks for. Bytes and a content type in, never a client.

    parse_page        one project's page, JSON or HTML, whichever the answer says it is -> Listing
    open_page         the same, but rows are judged when somebody looks at their version
    parse_find_links  a page of files of many projects                                  -> rows
    folder_files      the names in a find-links folder                                  -> rows
    by_project        rows -> a Listing for each project

Nothing is skipped in silence: each row is a ListedFile, or a Rejection with the reason. Where a page and pip disagree
with the standards, pip's reading is taken: a Requires-Python that can't be parsed is ignored, ``data-yanked`` without a
value and JSON's ``true`` both mean yanked without a reason.

Essential reading: PEP 503, 592, 629, 658, 691, 700, 708, 714, 740, 792.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from pypimirror.errors import IndexFault
from pypimirror.index import html_page, json_page
from pypimirror.index.drawers import OutlinedFiles, Refused
from pypimirror.index.outline import Outline, draw
from pypimirror.index.rows import ENDINGS, Links, Rows, clean_text, locations, shown
from pypimirror.model.files import ListedFile, Listing, ProjectStatus, Rejection
from pypimirror.model.names import NormalizedName
from pypimirror.model.reading import Malformed
from pypimirror.model.urls import redact, split_credentials

__all__ = ["MAX_FILES", "by_project", "folder_files", "open_page", "parse_find_links", "parse_page"]

MAX_FILES = 200_000
"""No page lists more: the largest real one holds some 15,000."""

_SIMPLE_TYPE = re.compile(r"application/vnd\.pypi\.simple\.(v[0-9]+|latest)\+(json|html)")
_PORTAL_HINT = "a login page or a proxy may have answered in its place: open the address in a browser"


def parse_page(data: bytes, content_type: str, *, url: str, project: NormalizedName, index: str) -> Listing:
    """One project's page. *url* is its final address, after redirects; *content_type* the header as it came.

    Raises IndexFault: ``unreadable-page`` where it is none, ``index-too-new`` for another major version of the simple
    API, ``page-too-large`` for more than 200,000 files. A page without files is a Listing without files.
    """
    rows, status = _read(data, content_type, url=url, project=project, index=index)
    return Listing(project=project, index=index, files=tuple(rows.files), rejected=tuple(rows.rejected), status=status)


def open_page(
    data: bytes | Callable[[], bytes],
    content_type: str,
    *,
    url: str,
    project: NormalizedName,
    index: str,
    outline: Outline | None = None,
) -> tuple[Listing, Outline]:
    """As ``parse_page``, with rows judged when somebody looks at their version; and the page's outline.

    *data* may be a function that gives the page's bytes, each time the same: it is called where more is wanted than
    the outline holds, and what it gave is dropped. Where *outline* is at hand, from the same bytes and the same type,
    nothing but rows that are looked at is read. What is wrong inside a row raises IndexFault only then.
    """
    url = split_credentials(url)[0]
    media, charset, is_json = _kind(content_type, url)

    def read() -> str:
        return _text(data if isinstance(data, bytes) else data(), url, media, charset, is_json=is_json)

    if outline is None:
        with _bounded(url):
            draw = _outline_json if is_json else _outline_html
            outline = draw(read(), media, url=url, project=project)
    links = Links(url, outline.base)

    def judge(texts: Iterable[str]) -> Rows:
        rows = Rows(links=links, index=index, project=project)
        for text in texts:
            _judge_span(text, rows, url=url, is_json=is_json)
        return rows

    files = OutlinedFiles(outline, read, judge)
    return Listing(project=project, index=index, files=files, rejected=Refused(files), status=outline.status), outline


def _judge_span(text: str, rows: Rows, *, url: str, is_json: bool) -> None:
    if not is_json:
        for attributes in html_page.scan(text, limit=MAX_FILES).links:
            _read_link(attributes, rows)
        return
    try:
        json_page.read_rows({"files": json.loads(f"[{text}]")}, rows, limit=MAX_FILES)
    except (ValueError, RecursionError) as error:
        _unreadable(url, f"a row of the page is none: {shown(str(error))}")


def _outline_json(text: str, media: str, *, url: str, project: NormalizedName) -> Outline:
    try:
        top, rows = json_page.outline(text, limit=MAX_FILES)
        status = json_page.read_status(top, project)
    except json_page.TooNew as error:
        _too_new(url, str(error))
    except Malformed as error:
        title = _title_of(text[:65536].encode("utf-8", "replace"))
        _unreadable(url, f"got {media}{title}, not a page of the simple API: {error}")
    return draw(text, rows, kind="json", project=project, status=status, base=None)


def _outline_html(text: str, media: str, *, url: str, project: NormalizedName) -> Outline:
    page, rows = html_page.outline(text, limit=MAX_FILES)
    _must_be_readable(page, url)
    _must_be_of_an_index(page, media, url, project, any(name.endswith(ENDINGS) for name, _, _ in rows))
    return draw(text, rows, kind="html", project=project, status=_status_of(page), base=page.base)


def parse_find_links(data: bytes, content_type: str, *, url: str, index: str) -> tuple[ListedFile | Rejection, ...]:
    """A page of files of many projects: those of one project stand together, in the page's order; rejections come last.

    Raises IndexFault as ``parse_page`` does.
    """
    rows, _ = _read(data, content_type, url=url, project=None, index=index)
    return _grouped(rows)


def folder_files(names: Iterable[tuple[str, str, int]], *, index: str) -> tuple[ListedFile | Rejection, ...]:
    """The files of a find-links folder, given as address, file name and size in bytes; grouped as by parse_find_links.

    The order in which a folder lists its names has no effect.
    """
    rows = Rows(links=Links("file:///"), index=index, project=None)
    for address, filename, size in sorted(names, key=lambda each: each[1]):
        rows.add(filename, address, hashes={}, size=size)
    return _grouped(rows)


def by_project(rows: Iterable[ListedFile | Rejection], *, index: str) -> Mapping[NormalizedName, Listing]:
    """A Listing for each project. A rejected row's project is not known for sure, so none of them holds one."""
    files: dict[NormalizedName, list[ListedFile]] = {}
    for row in rows:
        if isinstance(row, ListedFile):
            files.setdefault(row.name.project, []).append(row)
    return {
        project: Listing(project=project, index=index, files=tuple(group)) for project, group in sorted(files.items())
    }


def _grouped(rows: Rows) -> tuple[ListedFile | Rejection, ...]:
    return (*sorted(rows.files, key=lambda file: file.name.project), *rows.rejected)


def _read(
    data: bytes, content_type: str, *, url: str, project: NormalizedName | None, index: str
) -> tuple[Rows, ProjectStatus]:
    url = split_credentials(url)[0]
    media, charset, is_json = _kind(content_type, url)
    with _bounded(url):
        if is_json:
            return _read_json(data, media, url=url, project=project, index=index)
        return _read_html(html_page.decode(data, charset), media, url=url, project=project, index=index)


def _kind(content_type: str, url: str) -> tuple[str, str, bool]:
    """The media type of a page, the charset of its text, and whether it is JSON."""
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    simple = _SIMPLE_TYPE.fullmatch(media)
    if simple is not None and simple[1] not in ("v1", "latest"):
        _too_new(url, simple[1][1:])
    is_json = media == "application/json" if simple is None else simple[2] == "json"
    if not is_json and simple is None and media not in ("text/html", "application/xhtml+xml"):
        _unreadable(url, f"got {shown(media) or 'no content type'}, not a page of the simple API")
    charset = re.search(r"charset\s*=\s*[\"']?([A-Za-z0-9_-]+)", parameters, re.IGNORECASE)
    return media, charset[1] if charset else "utf-8", is_json


@contextmanager
def _bounded(url: str) -> Iterator[None]:
    try:
        yield
    except OverflowError:
        raise IndexFault(
            f"{redact(url)}: the page lists more than {MAX_FILES} files",
            code="page-too-large",
            hint="no index has such a project: check the address",
        ) from None


def _text(data: bytes, url: str, media: str, charset: str, *, is_json: bool) -> str:
    if not is_json:
        return html_page.decode(data, charset)
    try:
        return json_page.text_of(data)
    except Malformed as error:
        _unreadable(url, f"got {media}{_title_of(data)}, not a page of the simple API: {error}")


def _read_json(
    data: bytes, media: str, *, url: str, project: NormalizedName | None, index: str
) -> tuple[Rows, ProjectStatus]:
    rows = Rows(links=Links(url), index=index, project=project)
    try:
        top = json_page.decode(data)
        status = json_page.read_status(top, project)
        json_page.read_rows(top, rows, limit=MAX_FILES)
    except json_page.TooNew as error:
        _too_new(url, str(error))
    except Malformed as error:
        _unreadable(url, f"got {media}{_title_of(data)}, not a page of the simple API: {error}")
    return rows, status


def _read_html(
    text: str, media: str, *, url: str, project: NormalizedName | None, index: str
) -> tuple[Rows, ProjectStatus]:
    page = html_page.scan(text, limit=MAX_FILES)
    _must_be_readable(page, url)
    rows = Rows(links=Links(url, page.base), index=index, project=project)
    for attributes in page.links:
        _read_link(attributes, rows)
    _must_be_of_an_index(page, media, url, project, rows.saw_distribution)
    return rows, _status_of(page)


def _must_be_readable(page: html_page.HtmlPage, url: str) -> None:
    """Of a version that can be read, with a base that can be used."""
    version = page.metas.get("pypi:repository-version", "1.0").strip()
    if version.partition(".")[0] != "1":  # PEP 629
        _too_new(url, version)
    try:
        Links(url, page.base)
    except ValueError as error:
        _unreadable(url, f"the page's <base> can't be used: {error}")


def _must_be_of_an_index(
    page: html_page.HtmlPage,
    media: str,
    url: str,
    project: NormalizedName | None,
    has_files: bool,  # noqa: FBT001
) -> None:
    if has_files or _may_be_empty(page, project):
        return
    title = page.title or page.heading
    what = f" (title '{shown(title)}')" if title else ""
    _unreadable(url, f"got {media}{what}, not a page of the simple API")


def _status_of(page: html_page.HtmlPage) -> ProjectStatus:
    word, reason = (page.metas.get(key, "") for key in ("pypi:project-status", "pypi:project-status-reason"))
    known = word in json_page.STATUSES
    return ProjectStatus(
        status=word if known else "active",
        reason=clean_text(reason) if known else "",
        tracks=locations(page.tracks),
        alternate_locations=locations(page.alternate_locations),
    )


def _read_link(attributes: Mapping[str, str | None], rows: Rows) -> None:
    get = attributes.get
    filename, link, fragment = html_page.link_parts(attributes)
    core_metadata = get("data-core-metadata" if "data-core-metadata" in attributes else "data-dist-info-metadata")
    size = get("data-size") or ""  # not in any PEP, and neither is data-upload-time: trees of ours and of others say it
    rows.add(
        filename,
        link,
        hashes=fragment,
        requires_python=get("data-requires-python"),
        yanked=(get("data-yanked") or "") if "data-yanked" in attributes else None,
        core_metadata=None if core_metadata in (None, "", "false") else core_metadata,
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 16 else None,  # noqa: PLR2004  2**53 bytes
        upload_time=get("data-upload-time"),
        provenance=get("data-provenance") or None,
    )


def _may_be_empty(page: html_page.HtmlPage, project: NormalizedName | None) -> bool:
    """Whether a page without a single file can be an index's at all, and not a login page or an error page.

    It is one when it says so (PEP 629), or calls itself what simple pages and folder listings are called. With no
    title it is taken for one unless it has what no index's page has.
    """
    if "pypi:repository-version" in page.metas:
        return True
    said = f"{page.title} {page.heading}".strip().lower()
    if page.interactive or not page.is_markup:
        return False
    if project is not None and re.sub(r"[-_.]+", "-", said).find(project) >= 0:
        return True
    return not said or project is None or re.search(r"\blinks for\b|\bindex of\b|\bsimple\b", said) is not None


def _title_of(data: bytes) -> str:
    """`` (title '...')`` where the bytes are HTML after all, as a login page's are; else nothing."""
    if not data[:1000].lstrip().startswith(b"<"):
        return ""
    title = html_page.scan(html_page.decode(data[:65536], "utf-8"), limit=MAX_FILES).title
    return f" (title '{shown(title)}')" if title else ""


def _unreadable(url: str, what: str) -> NoReturn:
    raise IndexFault(f"{redact(url)}: {what}", code="unreadable-page", hint=_PORTAL_HINT)


def _too_new(url: str, version: str) -> NoReturn:
    raise IndexFault(
        f"{redact(url)}: the index answers version {shown(version)} of the simple API, and only 1.x can be read",
        code="index-too-new",
        hint="a newer pypimirror may know it; or ask another index",
    )
