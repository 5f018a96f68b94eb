"""Settings as text: addresses that are read, refused, and never say more than they should."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from pypimirror.errors import UsageFault
from pypimirror.model.names import label
from pypimirror.tree.settings import (
    CLIENTS,
    Address,
    Site,
    Source,
    client_settings,
    parse_address,
    server_settings,
)

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
    address = parse_address(text)
    for find_links in (False, True):
        source = Source(address=address, find_links=find_links)
        assert _pip(client_settings("pip", source)).get("trusted-host") == trusted
        assert _toml("pdm", source)["tool"]["pdm"]["source"][0].get("verify_ssl", True) == (trusted is None)
    for name in ("pipx", "hatch"):
        assert _variables(name, Source(address=address)).get("PIP_TRUSTED_HOST") == trusted


# ---- texts ----------------------------------------------------------------------------------------------------------

ODD = "http://mirror:1/a b\"'c;d{e}$f\\g#=%h]/".replace("#", "%23")


def _pip(text: str) -> dict[str, str]:
    """As pip reads it."""
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser.sections() == ["global"]
    return dict(parser["global"])


def _toml(name: str, source: Source) -> dict[str, Any]:
    return tomllib.loads(client_settings(name, source))


def _variables(name: str, source: Source) -> dict[str, str]:
    """As a shell reads them."""
    text = client_settings(name, source)
    done = subprocess.run(["sh", "-euc", f"{text}\nenv -0"], check=True, capture_output=True, text=True, env={})
    named = dict(each.split("=", 1) for each in done.stdout.split("\0") if each)
    return {name: value for name, value in named.items() if name.startswith(("PIP_", "UV_", "SSL_"))}


@pytest.mark.parametrize("text", ["http://mirror:1/pypi/", "https://mirror/", "file:///srv/my tree", ODD])
def test_pip_reads_what_was_meant(text: str) -> None:
    address = parse_address(text)
    trusted = {"trusted-host": "mirror:1"} if text.startswith("http:") else {}
    always = {"disable-pip-version-check": "true", **trusted}
    assert _pip(client_settings("pip", Source(address=address))) == {"index-url": address.index, **always}
    links = {"no-index": "true", "find-links": address.links}
    assert _pip(client_settings("pip", Source(address=address, find_links=True))) == {**links, **always}
    assert " " not in address.links  # pip takes a list of addresses, apart by spaces


@pytest.mark.parametrize("text", ["http://mirror:1/pypi/", "https://mirror/", "file:///srv/my tree", ODD])
def test_uv_reads_what_was_meant(text: str) -> None:
    address = parse_address(text)
    fresh = {} if text.startswith("file:") else {"cache-control": {"api": "no-cache"}}
    index = {"name": "mirror", "url": address.index, "default": True, **fresh}
    assert _toml("uv", Source(address=address)) == {"index": [index]}
    assert _toml("uv", Source(address=address, find_links=True)) == {
        "no-index": True,
        "find-links": [address.links],
    }


@pytest.mark.parametrize(
    "text", ["http://mirror:1/pypi/", "https://mirror/", "http://127.0.0.1:1/", "file:///srv/my tree"]
)
def test_the_other_clients_read_what_was_meant(text: str) -> None:
    address = parse_address(text)
    source = Source(address=address)
    verify = {"verify_ssl": False} if address.is_untrusted else {}
    assert _toml("pdm", source) == {"tool": {"pdm": {"source": [{"name": "pypi", "url": address.index, **verify}]}}}
    links = Source(address=address, find_links=True)
    assert _toml("pdm", links)["tool"]["pdm"]["source"] == [
        {"name": "pypi", "url": address.links, "type": "find_links", **verify}
    ]
    variables = {
        "PIP_INDEX_URL": address.index,
        "UV_DEFAULT_INDEX": address.index,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    variables |= {"PIP_TRUSTED_HOST": address.authority} if address.is_untrusted else {}
    assert _variables("pipx", source) == _variables("hatch", source) == variables
    tox = configparser.RawConfigParser()
    tox.read_string(client_settings("tox", source))
    assert dict(each.split(" = ") for each in tox["testenv"]["set_env"].strip().splitlines()) == {**variables}
    lines = client_settings("dockerfile", source).replace(" \\\n", " ").splitlines()
    (line,) = [each for each in lines if not each.startswith("#")]
    assert dict(each.split("=", 1) for each in line.split()[1:]) == variables
    if address.host:
        assert _toml("poetry", source)["tool"]["poetry"]["source"] == [
            {"name": "mirror", "url": address.index, "priority": "primary"}
        ]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_channel_is_an_index_of_its_own(name: str) -> None:
    source = Source(address=parse_address("https://mirror/pypi/"), channel=label("team+x"))
    assert "https://mirror/pypi/channels/team%2Bx/simple/" in client_settings(name, source)
    assert "https://mirror/pypi/simple/" not in client_settings(name, source)


HARD = '/srv/o\'ur "ca" $HOME\\n%(x)s `id` #\u00e4.pem'


def test_the_path_of_an_authority_is_read_as_it_is() -> None:
    source = Source(address=parse_address("https://mirror/"), ca=HARD)
    assert _pip(client_settings("pip", source))["cert"] == HARD
    assert _toml("pdm", source)["tool"]["pdm"]["source"][0]["ca_certs"] == HARD
    for name in ("pipx", "hatch"):
        assert _variables(name, source)["PIP_CERT"] == _variables(name, source)["SSL_CERT_FILE"] == HARD
    for name, begin in (
        ("uv", "SSL_CERT_FILE="),
        ("poetry", "poetry config certificates.mirror.cert "),
        ("dockerfile", "cp "),
    ):
        (word,) = re.findall(
            rf"^#   {re.escape(begin)}(.*?)(?: mirror-ca\.pem)?$", client_settings(name, source), re.MULTILINE
        )
        said = subprocess.run(["sh", "-euc", f"printf %s {word}"], check=True, capture_output=True, text=True)
        assert said.stdout == HARD
    with pytest.raises(UsageFault, match="can't be written into tox's settings"):
        client_settings("tox", source)
    assert "PIP_CERT = /srv/our ca.pem\n" in client_settings("tox", replace(source, ca="/srv/our ca.pem"))


@pytest.mark.parametrize(
    ("name", "url", "options", "what"),
    [
        ("poetry", "file:///srv/pypi", {}, "http: and https: alone"),
        ("poetry", "http://m/", {"find_links": True}, "poetry is not told of a list of files"),
        ("tox", "http://m/", {"find_links": True}, "tox is not told of a list of files"),
        ("pip", "http://m/", {"find_links": True, "channel": label("team")}, "that of all channels"),
        ("pip", "http://m/", {"ca": "/ca.pem"}, "has no certificate"),
        ("pip", "file:///srv/pypi", {"ca": "/ca.pem"}, "has no certificate"),
        ("pip", "https://m/", {"ca": "/ca\nindex-url = x"}, "can't be written"),
        ("uv", "https://m/", {"ca": "/ca\r\x1b"}, "can't be written"),
        ("pdm", "https://m/", {"ca": "/ca\udcff"}, "can't be written"),
        ("pip", "https://m/", {"ca": "/ca.pem "}, "can't be written"),
    ],
)
def test_what_a_client_can_not_be_told_is_refused(name: str, url: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageFault, match=what) as caught:
        client_settings(name, Source(address=parse_address(url), **options))
    assert caught.value.hint
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["http://mirror:1/pypi/", "https://mirror/"])
def test_texts_are_short_and_ascii_and_say_where_they_go(text: str) -> None:
    ca = "/etc/ssl/ca.pem" if text.startswith("https") else None
    for name in CLIENTS:
        lines = client_settings(name, Source(address=parse_address(text), ca=ca)).splitlines()
        assert re.search("save as|add to|save|has no setting", lines[0], re.IGNORECASE)
        assert len(lines) <= 16
        assert all(len(line) <= 120 and line.isascii() and line == line.rstrip() for line in lines)
    both = ("/etc/ssl/a.pem", "/etc/ssl/a.key") if text.startswith("https") else None
    for name in ("nginx", "caddy", "apache", "htaccess", "containerfile"):
        named = None if name == "htaccess" else both
        site = Site(address=parse_address(text), tree="/srv/pypi", auth="/etc/passwords", tls=named)
        lines = server_settings(name, site).splitlines()
        assert lines[0] == f"# /srv/pypi, seen by clients at {parse_address(text).url}"
        assert lines[1].startswith("# Save as ")
        assert all(line.isascii() and line == line.rstrip() for line in lines)
        assert all(len(line.expandtabs(4).strip()) <= 120 for line in lines if re.match("# [A-Za-z]", line.strip()))


def test_an_address_knows_its_kind() -> None:
    address = Address(scheme="http", host="mirror", port=None, path=())
    assert address.url == "http://mirror/"
    assert address.is_untrusted
