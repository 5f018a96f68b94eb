"""Real servers by our settings: each of them answers what ``answers`` says, at the root and at a path."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.model.names import label
from pypimirror.tree.answers import FRESH, IMMUTABLE, JSON_PAGE, OCTETS, PROVENANCE, landing_policy
from pypimirror.tree.settings import Site, client_settings, parse_address, server_settings
from pypimirror.tree.settings.clients import Source
from tests.tree.clients import EXPECTED, WISHES, installed, open_to_all, pip, uv
from tests.tree.example import example
from tests.tree.helpers import render
from tests.tree.servers import (
    PASSWORD,
    USER,
    Authority,
    Served,
    add_siblings,
    authority,
    basic,
    checked,
    passwords,
    running,
)

SERVERS = ["nginx", "caddy", "apache", "htaccess"]
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
REFUSED = f"{JSON_PAGE};q=0, text/html"
SDIST = "packages/from_source-0.1.zip"
RAW = "packages/other-1.0.tar"  # what lies beside it is no compressed form of it
PROOF = f"{SDIST}.provenance"
TAR = "packages/other-1.0.tar.gz"
ODD = "packages/evil-1.0+a.php.tar.gz"
LOCAL = "packages/local_thing-2.4.0%2Bcpu-py3-none-any.whl"
PAGES = ("simple/", "simple/plain-thing/", "channels/default/simple/", "channels/default/simple/plain-thing/")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered tree, in which lie some files with names that a server may misunderstand."""
    path = tmp_path_factory.mktemp("www") / "a" / "pypi"
    path.parent.mkdir()
    render(path, example())
    (path / ODD).write_bytes(b"<?php 1;")
    (path / PROOF).write_text("{}", encoding="ascii")
    (path / RAW).write_bytes(b"raw" * 999)
    (path / TAR).write_bytes(gzip.compress(b"tar" * 999))
    open_to_all(path)
    return path


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = authority(tmp_path_factory.mktemp("tls") / "of ours")
    open_to_all(made.ca)
    return made


@contextmanager
def serving(
    name: str, tree: Path, work: Path, *, path: str = "/", auth: bool = False, tls: Authority | None = None
) -> Iterator[Served]:
    """*name* by our settings, with *tree* at *path*."""
    work.mkdir(parents=True, exist_ok=True)
    file = str(passwords(name, work / "the passwords")) if auth else None
    both = (str(tls.cert), str(tls.key)) if tls else None
    scheme = "https" if tls else "http"

    def text(port: int) -> str:
        address = parse_address(f"{scheme}://127.0.0.1:{port}{path}")
        return server_settings(name, Site(address=address, tree=str(tree), auth=file, tls=both))

    above = tree.parents[path.count("/") - 2] if name == "htaccess" else None
    with running(name, work, text, above=above) as port:
        yield Served(f"{scheme}://127.0.0.1:{port}{path}", tls.context if tls else None)


# Where others run Apache, the path is that of the folders.
WAYS = [
    ("nginx", "/"),
    ("nginx", "/a/pypi/"),
    ("caddy", "/a/pypi/"),
    ("apache", "/"),
    ("htaccess", "/a/pypi/"),
    pytest.param("caddy", "/", marks=pytest.mark.slow),
    pytest.param("apache", "/a/pypi/", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "path"), WAYS)
def test_every_server_answers_what_it_should(tree: Path, tmp_path: Path, name: str, path: str) -> None:
    with serving(name, tree, tmp_path / "server", path=path) as ask:
        for page in PAGES:
            check_page(ask, page, tree)
        check_files(ask, tree)
        check_denied(ask)
        check_redirections(ask, path)
        for channel in (None, label("default")) if path == "/" else (None,):
            config = client_settings("uv", Source(address=parse_address(ask.url), channel=channel))
            uv(tmp_path / f"uv {channel}", *WISHES, config=config)
            assert installed(tmp_path / f"uv {channel}") == EXPECTED


def check_page(ask: Served, page: str, tree: Path, *, sibling: bool = False) -> None:
    for accept, ending, kind in (
        (PIP, "json", JSON_PAGE),
        (JSON_PAGE.replace("v1+", "latest+").upper(), "json", JSON_PAGE),
        (REFUSED, "html", "text/html; charset=utf-8"),
        ("*/*", "html", "text/html; charset=utf-8"),
    ):
        expected = (tree / page / f"index.{ending}").read_bytes()
        for encoding in ("identity", "gzip", "gzip;q=0"):
            got = ask(page, Accept=accept, Accept_Encoding=encoding)
            assert got.status == 200, (page, accept)
            assert got.of("Content-Type").lower() == kind, (page, accept, encoding)
            assert got.plain == expected + b" " * (sibling and encoding == "gzip"), (page, accept, encoding)
            if sibling or encoding != "gzip":  # on the way, a server may leave a small page as it is
                assert got.of("Content-Encoding") == ("gzip" if encoding == "gzip" else ""), (page, accept, encoding)
            assert got.of("Cache-Control") == FRESH
            assert {"accept", "accept-encoding"} <= {each.strip().lower() for each in got.of("Vary").split(",")}
            assert got.of("X-Content-Type-Options") == "nosniff"
            if ending == "html":
                assert "script-src" not in got.of("Content-Security-Policy")
                assert got.of("Content-Security-Policy").startswith("default-src 'none'")
        tag = ask(page, Accept=accept, Accept_Encoding="identity").of("ETag")
        again = ask(page, Accept=accept, Accept_Encoding="identity", If_None_Match=tag)
        assert (again.status, again.body) == (304, b"")


def check_files(ask: Served, tree: Path) -> None:
    for path in (SDIST, TAR, RAW, ODD, LOCAL, f"channels/default/{LOCAL}", PROOF):
        got = ask(path, Accept_Encoding="gzip")
        kind = PROVENANCE if path == PROOF else OCTETS
        assert (got.status, got.of("Content-Type"), got.of("Cache-Control")) == (200, kind, IMMUTABLE), path
        assert got.of("Content-Encoding") == ""
        assert got.body == (tree / path.replace("%2B", "+")).read_bytes()
    assert ask(SDIST, Range="bytes=0-9").status == 206
    got = ask("packages/index.html")
    assert (got.status, got.of("Content-Type").lower()) == (200, "text/html; charset=utf-8")
    assert got.of("Cache-Control") == ask("packages/").of("Cache-Control") == FRESH
    assert ask("packages/").body == got.body
    assert ask("channels/default/packages/").body == got.body
    for path in ("pypi/plain-thing/json", "channels/default/simple/plain-thing/json"):
        got = ask(path)
        assert (got.status, got.of("Content-Type"), got.of("Cache-Control")) == (200, "application/json", FRESH), path
        assert json.loads(got.body)["info"]["name"] == "plain-thing"
    got = ask("simple/index.json")
    assert (got.status, got.of("Content-Type")) == (200, JSON_PAGE)
    assert ask("").of("Content-Security-Policy") == landing_policy()
    assert ask("", Accept_Encoding="gzip").plain.startswith(b"<!DOCTYPE html>")
    assert ask("manifest.json").of("Content-Type").startswith("application/json")
    json.loads(ask("manifest.json").body)


def check_denied(ask: Served) -> None:
    for path in (
        ".pypimirror/current/simple/",
        ".pypimirror/",
        "%2epypimirror/lock",
        ".htaccess",
        "simple/.x/",
        "x//.y",
    ):
        assert ask(path).status in (403, 404), path
    for path in (
        "simple/nothing/",
        "packages/nothing-1.0.whl",
        "pypi/nothing/json",
        "channels/no/simple/",
        "channels/",
    ):
        got = ask(path, Accept=PIP)
        assert got.status in (403, 404), path
        assert got.of("Cache-Control") in ("", FRESH), path
    for method in ("POST", "PUT", "DELETE"):
        assert ask("simple/", method=method).status == 405
    assert ask("simple/", method="HEAD").body == b""


def check_redirections(ask: Served, path: str) -> None:
    for step in ("simple", "simple/plain-thing", "channels/default/simple", "packages"):
        got = ask(step)
        assert got.status in (301, 308), step
        assert got.of("Location").removeprefix(ask.url.removesuffix(path)) == f"{path}{step}/"


@pytest.mark.parametrize("name", SERVERS)
def test_pages_that_were_compressed_before_go_out_as_they_are(tree: Path, tmp_path: Path, name: str) -> None:
    copied = tmp_path / "www" / "pypi"
    shutil.copytree(tree, copied)
    add_siblings(copied)
    with serving(name, copied, tmp_path / "server", path="/pypi/") as ask:
        for page in PAGES[1::2]:
            check_page(ask, page, copied, sibling=True)
        check_files(ask, copied)


# ---- passwords and certificates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_passwords_and_certificates_are_asked_for(
    tree: Path, tmp_path: Path, certified: Authority, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "htaccess":  # the certificate is the business of those that run Apache
        with serving(name, tree, tmp_path / "server", path="/pypi/", auth=True) as ask:
            check_guarded(ask)
        return
    with serving(name, tree, tmp_path / "server", path="/a/pypi/", auth=True, tls=certified) as ask:
        check_guarded(ask)
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # pip heeds them first, and its settings say so
            monkeypatch.delenv(variable, raising=False)
        source = Source(address=parse_address(ask.url), ca=str(certified.ca))
        config = client_settings("uv", source)
        with pytest.raises(AssertionError, match=r"401 Unauthorized|UnknownIssuer|certificate"):
            uv(tmp_path / "stranger", "plain-thing", config=config)
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1\nlogin {USER}\npassword {PASSWORD}\n", encoding="ascii")
        (tmp_path / ".netrc").chmod(0o600)
        if name == "nginx":
            pip(tmp_path / "pip", *WISHES, config=client_settings("pip", source))
            assert installed(tmp_path / "pip") == EXPECTED
        (variable,) = re.findall(r"^#   SSL_CERT_FILE='(.*)'$", config, re.MULTILINE)
        monkeypatch.setenv("SSL_CERT_FILE", variable)
        uv(tmp_path / "uv", *WISHES, config=config)
    assert installed(tmp_path / "uv") == EXPECTED


def check_guarded(ask: Served) -> None:
    known = replace(ask, headers={"Authorization": basic()})
    for path in ("", "simple/", "simple/index.json", SDIST, "packages/index.html", "pypi/plain-thing/json"):
        for stranger in (ask, replace(ask, headers={"Authorization": basic(password="wrong")})):  # noqa: S106 - it is wrong
            got = stranger(path)
            assert got.status == 401, path
            assert got.of("WWW-Authenticate").startswith("Basic realm=")
        assert known(path).status == 200, path
    assert known(SDIST).of("Cache-Control") == IMMUTABLE.replace("public", "private")
    assert known(".pypimirror/current/simple/").status == 404


# ---- settings that only the program itself can judge ----------------------------------------------------------------

SPACED = "/srv/a b'c;d,e#f@g=h~i\u00e4"


@pytest.mark.parametrize("name", ["nginx", "caddy", "apache"])
@pytest.mark.parametrize(
    "url", ["http://mirror.internal:18080/a.b/p-q/", "http://[::1]:18080/", "http://localhost:18080/"]
)
def test_every_server_takes_the_text(tmp_path: Path, name: str, url: str) -> None:
    tree = tmp_path / SPACED.strip("/")
    tree.mkdir(parents=True)
    file = passwords(name, tree / "passwords")
    text = server_settings(name, Site(address=parse_address(url), tree=str(tree), auth=str(file)))
    said = checked(name, tmp_path / "server", text)
    assert "unnecessary" not in said
    assert "not formatted" not in said
