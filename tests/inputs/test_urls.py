"""What of an address may be shown."""

import pytest

from pypimirror.model.urls import is_url, origin, redact, split_credentials, split_fragment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@h.example/x", "https://****@h.example/x"),
        ("https://token@h.example/x", "https://****@h.example/x"),
        ("https://me:p/w?#d@h.example/x", "https://****@h.example/x"),
        ("https://me@home:pw@h.example/x", "https://****@h.example/x"),
        ("-ihttps://me:pw@h.example/x", "-ihttps://****@h.example/x"),
        ("https:/me:pw@h.example/x", "https:/****@h.example/x"),
        ("//me:pw@h.example/x", "//****@h.example/x"),
        ("-i me:pw@h.example/x", "-i ****@h.example/x"),
        ("git+ssh://git@h.example/x.git@v1", "git+ssh://****@h.example/x.git@v1"),
        ("from https://a:b@h.example/ to https://c:d@h.example/", "from https://****@h.example/ to https://****@h.example/"),
        ("https://h.example/x?token=pw&a=1", "https://h.example/x?token=****&a=1"),
        ("https://h.example/x?a=1&X-Amz-Signature=pw", "https://h.example/x?a=1&X-Amz-Signature=****"),
        ("https://h.example/x-1.0.whl#sha256=abc", "https://h.example/x-1.0.whl#sha256=abc"),
        ("https://h.example:8443/x@1.0", "https://h.example:8443/x@1.0"),
        ("https://h.example/x@1.0", "https://h.example/x@1.0"),
        ("https://[::1]:80/x@1", "https://[::1]:80/x@1"),
        ("file:///srv/x@1.0/y", "file:///srv/x@1.0/y"),
        ("file:/srv/x@1.0/y", "file:/srv/x@1.0/y"),
        ("/srv/x@1.0/y", "/srv/x@1.0/y"),
        ("requirements.txt:7: 'x' is bad", "requirements.txt:7: 'x' is bad"),
        ("x@https://h.example/y", "x@https://h.example/y"),
        ("git@h.example:me/x.git", "git@h.example:me/x.git"),
    ],
)  # fmt: skip
def test_logins_and_tokens_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize("piece", ["a", "a:", "a://b:", "://", "?token", "//", "a@", "=:", "&sig="])
@pytest.mark.timeout(20)
def test_hiding_takes_time_in_proportion(piece: str) -> None:
    redact(piece * (2**20 // len(piece)))


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://h.example/x", ("https://h.example/x", None, None)),
        ("https://me:p%40w@h.example:80/x?y#z", ("https://h.example:80/x?y#z", "me", "p@w")),
        ("https://me@h.example", ("https://h.example", "me", None)),
        ("https://:pw@h.example", ("https://h.example", None, "pw")),
        ("https://a@b:c@h.example", ("https://h.example", "a@b", "c")),
        ("file:///x@y", ("file:///x@y", None, None)),
    ],
)
def test_credentials_are_split_off(url: str, parts: tuple[str, str | None, str | None]) -> None:
    assert split_credentials(url) == parts


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("HTTPS://Me@H.Example:443/x?y") == "https://h.example"
    assert origin("http://h.example:8080/x") == "http://h.example:8080"
    assert origin("https://[::1]:8443/") == "https://[::1]:8443"
    assert origin("file:///x") == "file://"
    with pytest.raises(ValueError, match=r"[Pp]ort"):
        origin("https://h.example:x/")


def test_fragments_are_split_at_the_first_sign() -> None:
    assert split_fragment("https://h.example/x#a#b") == ("https://h.example/x", "a#b")


def test_an_address_is_told_from_a_name() -> None:
    assert is_url("HTTPS://h.example")
    assert not is_url("C:\\x")
    assert not is_url("x @ https://h.example")
