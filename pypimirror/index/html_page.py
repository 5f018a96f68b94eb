"""The links of an HTML page (PEP 503), found in one pass whose time and memory grow with the page and no faster.

The scanner follows the HTML standard's tokenizer as far as links need it: comments, raw text (``script``, ``title``),
attributes quoted or not, the first of two attributes of one name. The standard library's parser is not used: it takes
16 microseconds a link, and in unpatched Pythons a crafted page costs it quadratic time. An anchor of the usual shape
is read by one regular expression; any other tag by the scanner's longer way, which gives the same.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import unquote

from pypimirror.index.row_places import siblings
from pypimirror.values import dataclass

__all__ = ["HtmlPage", "decode", "link_parts", "outline", "scan"]

_USUAL_ANCHOR = re.compile(r'<a((?:\s+[a-z-]+="[^"]*")+)\s*>[^<]*</a>\s*(?:<br\s*/?>\s*)?')
_PLAIN_ANCHOR = re.compile(  # one of those, with the name of its file: nothing in it is quoted
    r'<a\s+href="(?:[^"#?%&]*/)?([^"#?%&/]+)(?:#[^"]*)?"(?:\s+[a-z-]+="[^"]*")*\s*>[^<]*</a>\s*(?:<br\s*/?>\s*)?'
)
_USUAL_PAIR = re.compile(r'([a-z-]+)="([^"]*)"')
_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
_TAG_END = re.compile(r"[\s/]*>")
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>][^\s>]*)))?""")
_OPEN_QUOTE = re.compile(r"""\s*=\s*["']""")
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
_ATTRIBUTES = frozenset({
    "content", "data-core-metadata", "data-dist-info-metadata", "data-provenance", "data-requires-python", "data-size",
    "data-upload-time", "data-yanked", "href", "http-equiv", "name",
})  # fmt: skip
_INTERACTIVE = frozenset({"form", "iframe", "input", "script"})
_CHARSETS = {
    "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}  # fmt: skip


@dataclass(kw_only=True, slots=True)
class HtmlPage:
    """What was found. ``links`` are the attributes of every ``<a href>`` in order, None for one without a value.

    ``metas`` are those named ``pypi:...``, the first of each; ``tracks`` and ``alternate_locations`` are all of those.
    ``interactive`` tells that the page has a form, a script or a refresh, which no page of an index has.
    """

    links: list[dict[str, str | None]] = field(default_factory=list)
    base: str | None = None
    title: str = ""
    heading: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    tracks: list[str] = field(default_factory=list)
    alternate_locations: list[str] = field(default_factory=list)
    is_markup: bool = False
    interactive: bool = False


def decode(data: bytes, charset: str) -> str:
    """The page's text. A charset that is not known counts as UTF-8; what can't be decoded becomes U+FFFD."""
    return data.decode(_CHARSETS.get(charset.lower(), "utf-8-sig"), "replace")


def scan(text: str, *, limit: int) -> HtmlPage:
    """Read a page. Raises OverflowError where it has more than *limit* links."""
    page = HtmlPage()
    position = 0
    while (start := text.find("<", position)) >= 0:
        position = _read_tag(text, start, page)
        if len(page.links) > limit:
            raise OverflowError(len(page.links))
    page.is_markup = page.is_markup or bool(page.links)
    return page


def outline(text: str, *, limit: int) -> tuple[HtmlPage, list[tuple[str, int, int]]]:
    """The page as ``scan`` gives it, its links left out; and of each the file's name, and where it begins and ends.

    What stands there, scanned by itself, gives the link. Files of one version that stand side by side are as one.
    Raises OverflowError as ``scan`` does.
    """
    page = HtmlPage()
    found: list[tuple[str, int, int]] = []
    match, find = _PLAIN_ANCHOR.match, text.find
    count = position = end = 0
    first, begin, (run, sdist) = "", -1, siblings("")
    while (start := find("<", position)) >= 0:
        plain = match(text, start)
        if plain is not None:
            name, position = plain[1], plain.end()
        else:
            position = _read_tag(text, start, page)
            if not page.links:
                continue
            name = link_parts(page.links.pop())[0]
        count += 1
        if count > limit:
            raise OverflowError(count)
        if begin < 0 or (name != sdist and not (name.startswith(run) and name.endswith(".whl"))):
            if begin >= 0:
                found.append((first, begin, end))
            first, begin, (run, sdist) = name, start, siblings(name)
        end = position
    if begin >= 0:
        found.append((first, begin, end))
    page.is_markup = page.is_markup or count > 0
    return page, found


def _read_tag(text: str, start: int, page: HtmlPage) -> int:
    """Read what begins with the ``<`` at *start*, with the whole of an anchor of the usual shape; where it ends."""
    usual = _USUAL_ANCHOR.match(text, start)
    if usual is None:
        return _read_markup(text, start, page)
    pairs = _USUAL_PAIR.findall(usual[1])
    pairs.reverse()  # of two attributes of one name the first counts
    attributes = {key: _unescaped(value) if "&" in value else value for key, value in pairs}
    if "href" in attributes:
        page.links.append(attributes)
    return usual.end()


def _read_markup(text: str, start: int, page: HtmlPage) -> int:
    """Read what begins with the ``<`` at *start*; the position after it. What is not closed reaches to the end."""
    tag = _TAG.match(text, start)
    if tag is None:
        return _skip(text, start, page)
    position, attributes = _read_attributes(text, tag.end())
    if attributes is None or tag[1]:
        return position
    name = tag[2].lower()
    _note(name, attributes, page)
    if name == "plaintext":
        return len(text)
    if name in _RAW_TEXT:
        closing = _RAW_TEXT[name].search(text, position)
        end = closing.start() if closing else len(text)
        if name == "title" and not page.title:
            page.title = _text_of(text, position, end)
        return end
    if name == "h1" and not page.heading:
        end = text.find("<", position)
        page.heading = _text_of(text, position, end if end >= 0 else len(text))
    return position


def _skip(text: str, start: int, page: HtmlPage) -> int:
    """Pass a comment, a declaration, or a ``<`` that begins nothing."""
    if text.startswith("<!--", start):
        end = text.find("-->", start + 2)  # "<!-->" is a whole comment
        return end + 3 if end >= 0 else len(text)
    if text.startswith(("<!", "<?", "</"), start):
        page.is_markup = page.is_markup or text[start + 2 : start + 9].lower() == "doctype"
        end = text.find(">", start)
        return end + 1 if end >= 0 else len(text)
    return start + 1


def _read_attributes(text: str, position: int) -> tuple[int, dict[str, str | None] | None]:
    """The position after the tag, and those attributes that matter; None where the tag has no end."""
    attributes: dict[str, str | None] = {}
    while (end := _TAG_END.match(text, position)) is None:
        match = _ATTRIBUTE.match(text, position)
        if match is None:
            return len(text), None
        position = match.end()
        value = next((group for group in match.groups()[1:] if group is not None), None)
        if value is None and _OPEN_QUOTE.match(text, position):
            return len(text), None
        name = match[1].lower()
        if name in _ATTRIBUTES and name not in attributes:
            attributes[name] = None if value is None else _unescaped(value)
    return end.end(), attributes


def _note(name: str, attributes: dict[str, str | None], page: HtmlPage) -> None:
    if name == "a":
        if "href" in attributes:
            page.links.append(attributes)
    elif name == "base":
        if page.base is None:
            page.base = attributes.get("href")
    elif name == "meta":
        _note_meta((attributes.get("name") or "").lower(), attributes.get("content") or "", page)
        page.interactive |= (attributes.get("http-equiv") or "").lower() == "refresh"
    elif name in _INTERACTIVE:
        page.interactive = True
    elif name in ("html", "head", "body"):
        page.is_markup = True


def _note_meta(key: str, content: str, page: HtmlPage) -> None:
    if key.startswith("pypi:"):
        page.metas.setdefault(key, content)
    if key == "pypi:tracks":
        page.tracks.append(content)
    elif key == "pypi:alternate-locations":
        page.alternate_locations.append(content)


def _text_of(text: str, start: int, end: int) -> str:
    return " ".join(_unescaped(text[start : min(end, start + 1000)]).split())


def _unescaped(text: str) -> str:
    """Character references resolved; all left as it is where one is a number that Python refuses to read."""
    try:
        return html.unescape(text)
    except ValueError:
        return text


def link_parts(attributes: Mapping[str, str | None]) -> tuple[str, str, str]:
    """The file's name, its link and the link's fragment.

    An anchor's link names the file: PEP 503 wants the text to be the same, and nobody reads it.
    """
    href = attributes.get("href") or ""
    link, _, fragment = href.partition("#")
    filename = link.partition("?")[0].rpartition("/")[2]
    if "%" in filename:
        filename = unquote(filename)
    return filename or href, link, fragment
