"""Settings as text: addresses that are read, refused, and never say more than they should."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pypimirror.errors import UsageFault
from pypimirror.tree.settings import Address, nginx_settings, parse_address, pip_settings, uv_settings
from tests.tree.clients import environment, nginx_command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# ---- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://mirror:8080/pypi/", "http://mirror:8080/pypi/"),
        ("http://mirror:8080/pypi", "http://mirror:8080/pypi/"),
        ("http://mirror:8080/pypi/simple", "http://mirror:8080/pypi/"),
        ("http://mirror:8080/pypi/simple/", "http://mirror:8080/pypi/"),
        ("http://mirror:8080/pypi/simple/index.html", "http://mirror:8080/pypi/"),
        ("http://mirror:8080/pypi/packages/index.html", "http://mirror:8080/pypi/"),
        ("http://mirror/index.html", "http://mirror/"),
        ("http://mirror", "http://mirror/"),
        (" HTTPS://Mirror.Example/ ", "https://mirror.example/"),
        ("http://mirror/a b/c%20d/", "http://mirror/a%20b/c%20d/"),
        ("http://mirror/p\u00e4th/", "http://mirror/p%C3%A4th/"),
        ("http://mirror/p%C3%A4th/", "http://mirror/p%C3%A4th/"),
        ("http://mirror/100%25/", "http://mirror/100%25/"),
        ("http://mirror/100%/", "http://mirror/100%25/"),
        ('http://mirror/a"b;c{d}$e\\f/', "http://mirror/a%22b%3Bc%7Bd%7D%24e%5Cf/"),
        ("http://192.168.1.5:8080/", "http://192.168.1.5:8080/"),
        ("http://[FD00::0005]:8080/x", "http://[fd00::5]:8080/x/"),
        ("http://[::1]/", "http://[::1]/"),
        ("http://docker_name.local:1/", "http://docker_name.local:1/"),
        ("file:///srv/my tree/simple", "file:///srv/my%20tree/"),
        ("file:/srv/pypi", "file:///srv/pypi/"),
        ("file://localhost/srv/pypi", "file:///srv/pypi/"),
        ("file:///srv/100%25%23", "file:///srv/100%25%23/"),
    ],
)
def test_an_address_is_that_of_the_served_folder(text: str, url: str) -> None:
    address = parse_address(text)
    assert address.url == url
    assert address.index == f"{url}simple/"
    assert address.links == f"{url}packages/index.html"
    assert parse_address(address.index) == parse_address(address.links) == parse_address(url) == address


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("", "does not say how", "http://"),
        ("mirror:8080/pypi", "does not say how", "write http://mirror:8080/pypi"),
        ("mirror", "does not say how", "write http://mirror"),
        ("ftp://mirror/", "ftp: is nothing", "http:, https: or file:"),
        ("javascript:alert(1)", "does not say how", "begin with http://"),
        ("http://user:s3cret@mirror/", "user name or password", "netrc"),
        ("http://s3cret@mirror/", "user name or password", "netrc"),
        ("http://mirror/?token=s3cret", "neither a query nor a fragment", "%3F"),
        ("http://mirror/?", "neither a query", "%3F"),
        ("http://mirror/#x", "nor a fragment", "%23"),
        ("file:///srv/a#b", "nor a fragment", "%23"),
        ("http:///pypi/", "names no host", "letters, digits"),
        ("http:/pypi/", "names no host", "letters, digits"),
        ("http://mir ror/", "no name of a host", "letters"),
        ("http://sp\u00e4t/", "no name of a host", "xn--"),
        ("http://a;b/", "no name of a host", "letters"),
        ("http://a{b/", "no name of a host", "letters"),
        ("http://a$b/", "no name of a host", "letters"),
        ("http://-x/", "no name of a host", "letters"),
        ("http://mirror:/../x", "more than one way", "plainly"),
        ("http://mirror:99999/", "", "http://mirror.internal:8080/pypi/"),
        ("http://mirror:x/", "", "http://mirror.internal:8080/pypi/"),
        ("http://mirror:0/", "port 0", "65535"),
        ("http://[fd00::5/", "", "http://mirror.internal"),
        ("http://[fe80::1%25eth0]/", "IPv6", "[fd00::5]"),
        ("http://mirror/a/../b/", "more than one way", "plainly"),
        ("http://mirror/a/%2e%2e/b/", "more than one way", "plainly"),
        ("http://mirror//a/", "", ""),
        ("http://mirror/a//b/", "more than one way", "plainly"),
        ("http://mirror/a%2Fb/", "more than one way", "plainly"),
        ("http://mirror/a%0Ab/", "more than one way", "plainly"),
        ("http://mirror/a%00b/", "more than one way", "plainly"),
        ("http://mirror/a\nb/", "invisible", "by hand"),
        ("http://mirror/\u202eb/", "invisible", "by hand"),
        ("http://mirror/%ff/", "UTF-8", "quote"),
        ("file://server/share", "folder of this machine", "three slashes"),
    ],
)
def test_an_address_that_can_not_be_meant_is_refused_with_a_hint(text: str, what: str, hint: str) -> None:
    if text == "http://mirror//a/":  # a slash too many in front says nothing else
        assert parse_address(text).url == "http://mirror/a/"
        return
    with pytest.raises(UsageFault) as caught:
        parse_address(text)
    assert caught.value.code == "bad-address"
    assert what in str(caught.value)
    assert hint in caught.value.hint
    told = str(caught.value) + caught.value.hint
    assert "s3cret" not in told
    assert told.isprintable()


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ("http://mirror:8080/", "mirror:8080"),
        ("http://mirror/", "mirror"),
        ("http://192.168.1.5/", "192.168.1.5"),
        ("http://[fd00::5]:81/", "[fd00::5]:81"),
        ("http://localhost.example/", "localhost.example"),
        ("https://mirror/", None),
        ("http://localhost:8000/", None),
        ("http://127.0.0.1:8000/", None),
        ("http://127.9.9.9/", None),
        ("http://[::1]:8000/", None),
        ("file:///srv/pypi", None),
    ],
)
def test_a_host_is_trusted_by_name_where_pip_would_refuse_it(text: str, trusted: str | None) -> None:
    for find_links in (False, True):
        assert _pip(pip_settings(parse_address(text), find_links=find_links)).get("trusted-host") == trusted


# ---- texts ----------------------------------------------------------------------------------------------------------

ODD = "http://mirror:1/a b\"'c;d{e}$f\\g#=%h]/".replace("#", "%23")


def _pip(text: str) -> dict[str, str]:
    """As pip reads it."""
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser.sections() == ["global"]
    return dict(parser["global"])


def _uv(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


@pytest.mark.parametrize("text", ["http://mirror:1/pypi/", "https://mirror/", "file:///srv/my tree", ODD])
def test_pip_reads_what_was_meant(text: str) -> None:
    address = parse_address(text)
    trusted = {"trusted-host": "mirror:1"} if text.startswith("http:") else {}
    always = {"disable-pip-version-check": "true", **trusted}
    assert _pip(pip_settings(address)) == {"index-url": address.index, **always}
    links = {"no-index": "true", "find-links": address.links}
    assert _pip(pip_settings(address, find_links=True)) == {**links, **always}
    assert " " not in address.links  # pip takes a list of addresses, apart by spaces


@pytest.mark.parametrize("text", ["http://mirror:1/pypi/", "https://mirror/", "file:///srv/my tree", ODD])
def test_uv_reads_what_was_meant(text: str) -> None:
    address = parse_address(text)
    fresh = {} if text.startswith("file:") else {"cache-control": {"api": "no-cache"}}
    index = {"name": "mirror", "url": address.index, "default": True, **fresh}
    assert _uv(uv_settings(address)) == {"index": [index]}
    assert _uv(uv_settings(address, find_links=True)) == {"no-index": True, "find-links": [address.links]}


@pytest.mark.parametrize("text", ["http://mirror:1/pypi/", "https://mirror/", "file:///srv/my tree"])
def test_texts_are_short_and_ascii(text: str) -> None:
    for made in (pip_settings, uv_settings):
        for find_links in (False, True):
            lines = made(parse_address(text), find_links=find_links).splitlines()
            assert len(lines) <= 12
            assert all(len(line) <= 120 and line.isascii() and line.strip() for line in lines)


# ---- nginx ----------------------------------------------------------------------------------------------------------


def _said(text: str, name: str) -> list[str]:
    return re.findall(rf"^ *{name} +(.*?);", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("url", "listen", "server_name"),
    [
        ("http://mirror.internal:8080/pypi/", "8080", "mirror.internal"),
        ("http://mirror/", "80", "mirror"),
        ("http://192.168.1.5:8080/", "8080", "192.168.1.5"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080", "127.0.0.1"),
        ("http://localhost:8080/", "127.0.0.1:8080", "localhost"),
        ("http://[::1]:8080/", "[::1]:8080", "[::1]"),
        ("http://[fd00::5]:8080/", "[::]:8080", "[fd00::5]"),
        ("https://mirror/", "443 ssl", "mirror"),
        ("https://mirror:8443/", "8443 ssl", "mirror"),
    ],
)
def test_port_and_name_are_those_of_the_address(url: str, listen: str, server_name: str) -> None:
    text = nginx_settings(parse_address(url), "/srv/pypi")
    assert _said(text, "listen") == [listen]
    assert _said(text, "server_name") == [server_name]
    assert bool(_said(text, "ssl_certificate")) == url.startswith("https")


@pytest.mark.parametrize(
    ("url", "tree"),
    [
        ("http://mirror/", "/srv/$HOME"),
        ("http://mirror/", "/srv/a\nb"),
        ("http://mirror/", "/srv/\x07"),
        ("http://mirror/", "/srv/\udcff"),
        ("http://mirror/.hidden/", "/srv/pypi"),
        ("file:///srv/pypi", "/srv/pypi"),
    ],
)
def test_what_nginx_can_not_say_is_refused(url: str, tree: str) -> None:
    with pytest.raises(UsageFault) as caught:
        nginx_settings(parse_address(url), tree)
    assert caught.value.hint
    assert str(caught.value).isprintable()


def _checked(work: Path, text: str) -> str:
    """What ``nginx -t`` says of it."""
    done = subprocess.run(
        [*nginx_command(work, text), "-t"], capture_output=True, text=True, check=False, timeout=60, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("url", "tree"),
    [
        ("http://mirror.internal:18080/pypi/", "/srv/pypi"),
        ("http://mirror.internal:18080/", "/"),
        ("http://[::1]:18080/", "/srv/pypi"),
        ("http://mirror:18080/a/b.c/d+e(f)[g]^h|i*j?k/".replace("?", "%3F"), "/srv/pypi"),
        ("http://mirror:18080/" + "".join(chr(c) for c in range(33, 127) if chr(c) not in "#?%/") + "/", "/srv/a b"),
        ("http://mirror:18080/", "/" + "".join(chr(c) for c in range(32, 127) if chr(c) != "$")),
        ("http://mirror:18080/\u4e2d\u6587 \u00e4/", "/srv/\u4e2d\u6587 \u00e4"),
        ("http://mirror:18080/" + "x" * 200 + "/", "/srv/" + "y/" * 500),
    ],
)
def test_nginx_takes_the_text(tmp_path: Path, url: str, tree: str) -> None:
    said = _checked(tmp_path, nginx_settings(parse_address(url), tree))
    assert "test is successful" in said
    assert "emerg" not in said


def test_two_trees_stand_beside_each_other_in_one_nginx(tmp_path: Path) -> None:
    texts = [nginx_settings(parse_address(f"http://{name}:18080/{name}/"), f"/srv/{name}") for name in ("a", "b")]
    assert "warn" not in _checked(tmp_path, "\n".join(texts)).replace('the "user" directive', "")


def test_an_address_knows_its_kind() -> None:
    address = Address(scheme="http", host="mirror", port=None, path=())
    assert address.url == "http://mirror/"
    assert address.is_untrusted
