"""One row of a page becomes a ListedFile, or a Rejection that says why not. Whether it was JSON or HTML is gone here.

A row is hostile: its name must pass the checkers of ``model.names``, its link must lead to http or https (to a file
only from a page that is itself a file), credentials in a link are dropped, a digest is exactly as long as its
algorithm makes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote, urljoin, urlsplit

from pypimirror.index.metadata import usable_requires_python
from pypimirror.model.files import ListedFile, Refusal, Rejection
from pypimirror.model.names import SDIST_ENDINGS, NormalizedName, ParsedName, parse_file_name
from pypimirror.model.urls import public_url, split_credentials

__all__ = ["ENDINGS", "Links", "Rows", "clean_text", "digests", "fragment_digests", "locations", "shown"]

ENDINGS = (".whl", *SDIST_ENDINGS)
_DIGEST_LENGTHS = {
    "md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128, "sha3_224": 56, "sha3_256": 64,
    "sha3_384": 96, "sha3_512": 128, "blake2b": 128, "blake2s": 64,
}  # fmt: skip
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]+")
_LONGEST_LINK = 8192
_LONGEST_TEXT = 4096
_MOST_LOCATIONS = 100

# Links of these shapes need no further look: no user part, no query, nothing to quote or to resolve.
_PLAIN_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*")
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!%~-]*")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")


def shown(text: str) -> str:
    """*text* fit to be shown to a person: bounded, and without anything that a terminal would act on."""
    if len(text) > 200:  # noqa: PLR2004  about what a file's name may be long
        text = text[:200] + "..."
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def clean_text(text: str) -> str:
    """Free text of an index, bounded, with U+FFFD for NUL and for what can't be written as UTF-8."""
    if not text.isprintable():
        text = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return text[:_LONGEST_TEXT].strip()


def locations(said: Iterable[str]) -> tuple[str, ...]:
    """The addresses of PEP 708, each once. One that can't be published is as none, and so are all after the first 100.

    Nothing is fetched from there: they only tell clients, and people, what belongs together.
    """
    found: dict[str, None] = {}
    for text in said:
        with suppress(ValueError):
            found[public_url(split_credentials(text.strip())[0])] = None
        if len(found) == _MOST_LOCATIONS:
            break
    return tuple(found)


def digests(claimed: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Hashes as a ListedFile holds them. Raises ValueError for a digest that is none, or two that disagree.

    Algorithms that hashlib does not always have are left out: they could not be checked.
    """
    sha256 = claimed.get("sha256")
    # So it is in nearly every row of nearly every page.
    if type(sha256) is str and len(claimed) == 1 and _SHA256.fullmatch(sha256):
        return (("sha256", sha256),)
    return _checked(claimed.items())


def _checked(claimed: Iterable[tuple[str, object]]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for algorithm, digest in claimed:
        length = _DIGEST_LENGTHS.get(algorithm.lower())
        if length is None:
            continue
        folded = digest.lower() if isinstance(digest, str) else ""
        if len(folded) != length or not _HEX.fullmatch(folded):
            raise ValueError(f"its {algorithm.lower()} is not {length} hexadecimal digits")
        if found.setdefault(algorithm.lower(), folded) != folded:
            raise ValueError(f"two values of its {algorithm.lower()} disagree")
    return tuple(sorted(found.items()))


def fragment_digests(fragment: str) -> tuple[tuple[str, str], ...]:
    """The hashes in ``sha256=...&md5=...``. Raises ValueError as ``digests`` does."""
    if fragment.startswith("sha256=") and _SHA256.fullmatch(fragment, len("sha256=")):
        return (("sha256", fragment[len("sha256=") :]),)
    pairs = (piece.partition("=") for piece in fragment.split("&"))
    return _checked((key, digest) for key, equals, digest in pairs if equals)


class Links:
    """Resolves the links of one page (RFC 3986, 5) against its final address, or the base that it names."""

    def __init__(self, page_url: str, base: str | None = None) -> None:
        self._from_file = page_url[:5].lower() == "file:"
        self._base = page_url
        if base is not None:
            self._base = self.resolve(base)
        self._folders: dict[str, str] = {}

    def resolve(self, link: str) -> str:
        """The absolute address, without credentials or fragment. Raises ValueError with the reason."""
        if _PLAIN_LINK.fullmatch(link):
            return link if len(link) <= _LONGEST_LINK else self._resolve(link)
        folder, _, last = link.rpartition("/")
        unusual = not _PLAIN_SEGMENT.fullmatch(last) or "?" in folder or "#" in folder or folder.endswith("/")
        if unusual or len(link) > _LONGEST_LINK:
            return self._resolve(link)
        # The relative links of a page mostly share one folder, and urljoin is slow.
        resolved = self._folders.get(folder)
        if resolved is None:
            resolved = self._resolve(f"{folder}/" if "/" in link else "./")
            if not resolved.endswith("/"):
                return self._resolve(link)
            self._folders[folder] = resolved
        return resolved + last

    def _resolve(self, link: str) -> str:
        link = link.strip(" \t\n\r\f")
        if len(link) > _LONGEST_LINK:
            raise ValueError(f"its link is longer than {_LONGEST_LINK} characters")
        if _CONTROL.search(link.replace(" ", "")):
            raise ValueError("its link holds control characters")
        bare = split_credentials(urljoin(self._base, link))[0]
        parts = urlsplit(bare)
        scheme = parts.scheme.lower()
        if scheme == "file" and not self._from_file:
            raise ValueError("its link leads to a file, from a page that is none")
        if scheme not in ("http", "https", "file"):
            raise ValueError(f"its link is neither http nor https: {shown(scheme)}")
        if scheme != "file" and not (parts.hostname and parts.netloc.isascii()):
            raise ValueError("its link names no usable host")
        path = quote(parts.path, safe="/%~!$&'()*+,;=:@")
        query = quote(parts.query, safe="/%~!$&'()*+,;=:@?[]")
        return parts._replace(scheme=scheme, path=path, query=query, fragment="").geturl()


class Rows:
    """Collects the rows of one page. ``project`` is None for a page of many projects."""

    def __init__(self, *, links: Links, index: str, project: NormalizedName | None) -> None:
        self.files: list[ListedFile] = []
        self.rejected: list[Rejection] = []
        self.saw_distribution = False
        self.links = links
        self._index = index
        self._project = project
        self._seen: dict[str, ListedFile] = {}

    def add(
        self,
        filename: str,
        link: str,
        *,
        hashes: Mapping[str, object] | str,
        requires_python: str | None = None,
        yanked: str | None = None,
        core_metadata: Mapping[str, object] | str | None = None,
        size: int | None = None,
        upload_time: str | None = None,
        provenance: str | None = None,
    ) -> None:
        """Judge one row. Hashes are a mapping (JSON) or a fragment (HTML); *core_metadata* None where not offered."""
        name = self._name(filename)
        if name is None:
            return
        try:
            url = self.links.resolve(link)
        except ValueError as error:
            self._reject(filename, Refusal.BAD_NAME, str(error), name)
            return
        try:
            claimed = fragment_digests(hashes) if isinstance(hashes, str) else digests(hashes)
        except ValueError as error:
            self._reject(filename, Refusal.NO_HASH, str(error), name)
            return
        file = ListedFile(
            name=name,
            url=url,
            hashes=claimed,
            size=size,
            requires_python=None if requires_python is None else usable_requires_python(requires_python),
            yanked=None if yanked is None else clean_text(yanked),
            core_metadata=None if core_metadata is None else _metadata_digests(core_metadata),
            upload_time=None if upload_time is None else _time(upload_time),
            provenance=None if provenance is None else self._provenance(provenance),
            index=self._index,
        )
        earlier = self._seen.setdefault(filename, file)
        if earlier is file:
            self.files.append(file)
        else:
            agree = earlier.hashes == file.hashes
            detail = "listed twice" if agree else "listed twice, with different hashes"
            self._reject(filename, Refusal.BAD_NAME, detail, name)

    def _name(self, filename: str) -> ParsedName | None:
        if not filename.endswith(ENDINGS):
            self._reject(filename, Refusal.BAD_NAME, "not a wheel or an sdist", None)
            return None
        self.saw_distribution = True
        try:
            return parse_file_name(filename, project=self._project)
        except ValueError as error:
            self._reject(filename, Refusal.BAD_NAME, shown(str(error)), None)
            return None

    def _reject(self, filename: str, reason: Refusal, detail: str, name: ParsedName | None) -> None:
        version = None if name is None else name.version
        self.rejected.append(Rejection(filename=shown(filename), reason=reason, detail=detail, version=version))

    def _provenance(self, link: str) -> str | None:
        """Provenance is an offer: an address that can't be used is as none at all."""
        try:
            return self.links.resolve(link)
        except ValueError:
            return None


def _metadata_digests(claimed: Mapping[str, object] | str) -> tuple[tuple[str, str], ...]:
    """The hashes of a metadata sibling. One that is malformed says nothing: the sibling is compared with the file."""
    try:
        return fragment_digests(claimed) if isinstance(claimed, str) else digests(claimed)
    except ValueError:
        return ()


def _time(text: str) -> str | None:
    """PEP 700: ISO 8601, in UTC, marked Z. Anything else is as none, so that rules about age fail closed."""
    if not _TIME.fullmatch(text):
        if not text.endswith("+00:00") or not _TIME.fullmatch(f"{text[:-6]}Z"):
            return None
        text = f"{text[:-6]}Z"
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return None
    return text
