from __future__ import annotations

import importlib.util
import netrc
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pypimirror.errors import UsageFault
from pypimirror.net import credentials as credentials_module
from pypimirror.net import tls
from pypimirror.net.credentials import Credentials, KeyringProvider
from pypimirror.net.settings import Settings
from pypimirror.net.tls import ssl_context
from pypimirror.reporting import Reporter

CANARY = "c4n4ry"

# A keyring that notes what it is asked, and knows what stands in the file ``secrets``: "service user password" lines.
KEYRING = f"""#!{sys.executable}
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
words = [word for word in sys.argv[1:] if not word.startswith("--")]
with open(os.path.join(here, "asked"), "a") as file:
    print(*sys.argv[1:], file=file)
with open(os.path.join(here, "variables"), "w") as file:
    print(*os.environ, sep="\\n", file=file)
assert words.pop(0) == "get"
for line in open(os.path.join(here, "secrets")):
    service, user, password = line.split()
    if words in ([service], [service, user]):
        creds = "--mode=creds" in sys.argv
        print(json.dumps({{"username": user, "password": password}}) if creds else password)
        sys.exit(0)
sys.exit(1)
"""


class Notes(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


class Keyring:
    """A ``keyring`` command on a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": str(folder), "HOME": str(folder), "PIP_INDEX_URL": f"https://u:{CANARY}@index.example"}
        command = folder / "keyring"
        command.write_text(KEYRING)
        command.chmod(0o755)

    def knows(self, *lines: str) -> None:
        (self.folder / "secrets").write_text("\n".join(lines))

    @property
    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def credentials(self, provider: KeyringProvider = "subprocess", *, interactive: bool = True) -> Credentials:
        return Credentials(environ=self.environ, home=self.folder, keyring=provider, interactive=interactive)


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    if os.name == "nt":
        pytest.skip("the stand-in is a script with a #! line")
    # What is installed beside the tests' Python must not matter.
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    made = Keyring(tmp_path)
    made.knows()
    return made


def plain(tmp_path: Path) -> Credentials:
    return Credentials(environ={}, home=tmp_path)


def test_a_user_part_is_split_off_and_unquoted(tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    assert credentials.split("https://m%40e:p%2Fw%3A@index.example/simple") == "https://index.example/simple"
    assert credentials.for_url("https://index.example/simple/foo/") == ("m@e", "p/w:")


def test_a_login_can_be_told_apart_from_its_address(tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    credentials.remember("https://files.example/a/foo.whl", "me", "pw")
    assert credentials.for_url("https://files.example/a/foo.whl") == ("me", "pw")


def test_a_name_alone_is_sent_with_an_empty_password_and_a_password_alone_with_an_empty_name(tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    credentials.split("https://token@a.example/")
    credentials.split("https://:pw@b.example/")
    credentials.split("https://me:@c.example/")
    assert credentials.for_url("https://a.example/x") == ("token", "")
    assert credentials.for_url("https://b.example/x") == ("", "pw")
    assert credentials.for_url("https://c.example/x") == ("me", "")


@pytest.mark.parametrize(
    "url",
    [
        "http://index.example/simple/",
        "https://index.example:8443/simple/",
        "https://other.example/simple/",
        "https://index.example.evil.example/simple/",
        "https://sub.index.example/simple/",
        "file:///simple/",
    ],
)
def test_a_login_goes_to_no_other_origin(url: str, tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    credentials.split("https://me:pw@index.example/simple")
    assert credentials.for_url(url) is None
    assert credentials.after_refusal(url) is None


@pytest.mark.parametrize("url", ["https://INDEX.example/x", "https://index.example:443/x", "HTTPS://index.example"])
def test_one_origin_may_be_written_in_several_ways(url: str, tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    credentials.split("https://me:pw@index.example/simple")
    assert credentials.for_url(url) == ("me", "pw")


def test_of_several_logins_for_one_origin_the_one_with_the_nearest_path_counts(tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    credentials.split("https://a:1@index.example/team-a/simple")
    credentials.split("https://b:2@index.example/team-b/simple")
    assert credentials.for_url("https://index.example/team-b/simple/foo/") == ("b", "2")
    assert credentials.for_url("https://index.example/team-b/files/foo.whl") == ("b", "2")
    assert credentials.for_url("https://index.example/team-bb/foo.whl") == ("a", "1")
    assert credentials.for_url("https://index.example/files/foo.whl") == ("a", "1")


def test_an_address_of_its_own_user_part_outweighs_what_is_known(tmp_path: Path) -> None:
    credentials = plain(tmp_path)
    credentials.split("https://a:1@index.example/simple")
    assert credentials.for_url("https://b:2@index.example/simple") == ("b", "2")


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_netrc_is_asked_by_host_whatever_the_port(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("machine index.example login me password pw\n")
    credentials = plain(tmp_path)
    assert credentials.for_url("https://index.example:8443/simple") == ("me", "pw")
    assert credentials.for_url("https://other.example/simple") is None
    assert credentials.for_url("file:///index.example") is None


def test_netrc_of_another_name_and_a_login_for_every_host(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("machine a.example account me password pw\ndefault login any password thing\n")
    credentials = Credentials(environ={"NETRC": str(tmp_path / "mine")}, home=tmp_path / "elsewhere")
    assert credentials.for_url("https://a.example/") == ("me", "pw")
    assert credentials.for_url("https://b.example/") == ("any", "thing")


def test_an_address_with_a_password_outweighs_netrc_and_one_with_a_name_alone_does_not(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine index.example login net password rc\n")
    credentials = plain(tmp_path)
    credentials.split("https://me@index.example/simple")
    assert credentials.for_url("https://index.example/simple/x") == ("net", "rc")
    credentials.split("https://me:pw@index.example/simple/deeper")
    assert credentials.for_url("https://index.example/simple/deeper/x") == ("me", "pw")


def test_a_netrc_that_can_not_be_read_is_noted_once_without_its_words(tmp_path: Path, notes: Notes) -> None:
    path = tmp_path / ".netrc"
    path.write_text(f"machine index.example\nlogin me passwort {CANARY}\n")
    credentials = Credentials(environ={}, home=tmp_path, reporter=notes)
    for _ in range(3):
        assert credentials.for_url("https://index.example/") is None
    assert notes.texts == [f"{path} was not used: line 2 can't be read"]


def test_a_netrc_that_is_no_text_or_not_permitted_is_noted(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").touch()

    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(netrc, "netrc", refuse)
    assert Credentials(environ={}, home=tmp_path, reporter=notes).for_url("https://index.example/") is None
    assert notes.texts == [f"{tmp_path / '.netrc'} was not used: Permission denied"]


def test_the_keyring_is_asked_only_after_a_refusal_and_once(keyring: Keyring) -> None:
    keyring.knows("https://index.example/simple/ me pw")
    credentials = keyring.credentials()
    credentials.split("https://me@index.example/simple")
    assert credentials.for_url("https://index.example/simple/foo/") == ("me", "")
    assert keyring.asked == []
    assert credentials.after_refusal("https://index.example/simple/foo/", sent=("me", "")) == ("me", "pw")
    assert credentials.after_refusal("https://index.example/simple/bar/") == ("me", "pw")
    assert credentials.for_url("https://index.example/simple/bar/") == ("me", "pw")
    assert keyring.asked == ["get https://index.example/simple/ me"]


def test_a_keyring_is_asked_for_the_index_and_then_for_its_host(keyring: Keyring) -> None:
    keyring.knows("index.example:8443 me pw")
    credentials = keyring.credentials()
    credentials.split("https://me@index.example:8443/simple")
    assert credentials.after_refusal("https://index.example:8443/files/foo.whl") == ("me", "pw")
    assert keyring.asked == ["get https://index.example:8443/simple/ me", "get index.example:8443 me"]


def test_a_keyring_may_know_the_user_as_well(keyring: Keyring) -> None:
    keyring.knows("https://index.example/simple/ me pw")
    credentials = keyring.credentials()
    credentials.split("https://index.example/simple")
    assert credentials.after_refusal("https://index.example/simple/foo/") == ("me", "pw")
    assert credentials.for_url("https://index.example/simple/bar/") == ("me", "pw")
    assert keyring.asked == ["--mode=creds --output=json get https://index.example/simple/"]


def test_a_login_that_was_refused_is_not_offered_again(keyring: Keyring) -> None:
    keyring.knows("https://index.example/simple/ me pw")
    credentials = keyring.credentials()
    credentials.split("https://me:pw@index.example/simple")
    assert credentials.after_refusal("https://index.example/simple/foo/", sent=("me", "pw")) is None


def test_a_keyring_that_knows_nothing_is_asked_once(keyring: Keyring) -> None:
    credentials = keyring.credentials()
    for _ in range(3):
        assert credentials.after_refusal("https://index.example/simple/foo/") is None
    assert len(keyring.asked) == 2


def test_of_many_threads_one_asks_the_keyring_and_all_get_the_answer(keyring: Keyring) -> None:
    keyring.knows("index.example me pw")
    credentials = keyring.credentials()
    credentials.split("https://me@index.example/simple")
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(credentials.after_refusal("https://index.example/simple/x/")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [("me", "pw")] * 8
    assert len(keyring.asked) == 2


def test_a_keyring_is_not_asked_where_pip_would_not(keyring: Keyring) -> None:
    keyring.knows("index.example me pw")
    url = "https://me@index.example/simple/"
    assert keyring.credentials("disabled").after_refusal(url) is None
    assert keyring.credentials("import").after_refusal(url) is None
    assert keyring.credentials("auto", interactive=False).after_refusal(url) is None
    assert keyring.asked == []
    assert keyring.credentials("subprocess", interactive=False).after_refusal(url) == ("me", "pw")
    assert keyring.credentials("auto").after_refusal(url) == ("me", "pw")


def test_pips_variables_are_kept_from_the_keyring(keyring: Keyring) -> None:
    keyring.credentials().after_refusal("https://index.example/simple/")
    variables = (keyring.folder / "variables").read_text().splitlines()
    assert "HOME" in variables
    assert "PIP_INDEX_URL" not in variables


def test_a_keyring_that_hangs_or_does_not_start_is_noted_and_left_alone(
    keyring: Keyring, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials_module, "_KEYRING_SECONDS", 0.2)
    (keyring.folder / "keyring").write_text("#!/bin/sh\nexec /bin/sleep 5\n")
    credentials = Credentials(environ=keyring.environ, home=keyring.folder, keyring="auto", reporter=notes)
    assert credentials.after_refusal("https://index.example/simple/") is None
    assert credentials.after_refusal("https://other.example/simple/") is None
    assert len(notes.texts) == 1
    (keyring.folder / "keyring").write_text("#!/no/such/interpreter\n")
    credentials = Credentials(environ=keyring.environ, home=keyring.folder, keyring="auto", reporter=notes)
    assert credentials.after_refusal("https://index.example/simple/") is None
    assert len(notes.texts) == 2


def test_while_a_keyring_thinks_other_requests_go_on(keyring: Keyring) -> None:
    (keyring.folder / "keyring").write_text('#!/bin/sh\n: > "$HOME/thinking"\nread line < "$HOME/go"\necho pw\n')
    os.mkfifo(keyring.folder / "go")
    credentials = keyring.credentials()
    credentials.split("https://me:pw@files.example/")
    thread = threading.Thread(target=credentials.after_refusal, args=("https://me@index.example/",))
    thread.start()
    while not (keyring.folder / "thinking").exists():
        time.sleep(0.01)
    assert credentials.for_url("https://files.example/x") == ("me", "pw")
    assert credentials.for_url("https://index.example/x") is None
    (keyring.folder / "go").write_text("go\n")
    thread.join()
    assert credentials.after_refusal("https://me@index.example/") == ("me", "pw")


def test_an_answer_that_is_no_login_is_none(keyring: Keyring) -> None:
    for answer in ("", "null", "[]", '{"username": "me"}', "\\377", "Traceback"):
        (keyring.folder / "keyring").write_text(f"#!/bin/sh\nprintf '{answer}'\n")
        assert keyring.credentials().after_refusal("https://index.example/simple/") is None


def test_no_representation_shows_a_secret(keyring: Keyring) -> None:
    keyring.knows(f"https://index.example/ me {CANARY}")
    credentials = keyring.credentials()
    credentials.split(f"https://me:{CANARY}@files.example/simple?token={CANARY}")
    credentials.split("https://me@index.example/")
    assert credentials.after_refusal("https://index.example/x") == ("me", CANARY)
    assert repr(credentials) == (
        "Credentials(origins=['https://files.example', 'https://index.example'], keyring='subprocess')"
    )
    assert CANARY not in repr(credentials._known)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A folder with a certificate of its own authority, its key, the two in one, and the same with a password."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make certificates with")
    folder = tmp_path / "pem"
    folder.mkdir()
    subject = ["-subj", "/CN=index.example", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    for name, protect in (("open", ["-nodes"]), ("locked", ["-passout", "pass:secret"])):
        key, cert = folder / f"{name}.key", folder / f"{name}.pem"
        command = [openssl, "req", "-x509", *subject, *protect, "-keyout", str(key), "-out", str(cert)]
        subprocess.run(command, check=True, capture_output=True)
        (folder / f"{name}-both.pem").write_bytes(key.read_bytes() + cert.read_bytes())
    return folder


def settings(tmp_path: Path, *, cert: Path | None = None, client_cert: Path | None = None) -> Settings:
    return Settings(
        sources=(),
        credentials=plain(tmp_path),
        cert=None if cert is None else str(cert),
        client_cert=None if client_cert is None else str(client_cert),
    )


def test_with_certificates_named_those_alone_are_believed(tmp_path: Path, pem: Path) -> None:
    context = ssl_context(settings(tmp_path, cert=pem / "open.pem"))
    assert [cert["subject"] for cert in context.get_ca_certs()] == [((("commonName", "index.example"),),)]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_folder_of_certificates_will_do(tmp_path: Path, pem: Path) -> None:
    assert ssl_context(settings(tmp_path, cert=pem)).get_ca_certs() == []


def test_a_context_is_made_once_and_the_one_for_trusted_hosts_checks_nothing(tmp_path: Path) -> None:
    given = settings(tmp_path)
    assert ssl_context(given) is ssl_context(given)
    unchecked = ssl_context(given, verify=False)
    assert unchecked.verify_mode is ssl.CERT_NONE
    assert not unchecked.check_hostname
    assert ssl_context(given).verify_mode is ssl.CERT_REQUIRED


def test_a_client_certificate_is_one_file_with_its_key(tmp_path: Path, pem: Path) -> None:
    given = settings(tmp_path, client_cert=pem / "open-both.pem")
    assert {ssl_context(given, verify=verify).verify_mode for verify in (True, False)} == {
        ssl.CERT_REQUIRED,
        ssl.CERT_NONE,
    }


@pytest.mark.parametrize("name", ["open.pem", "locked-both.pem", "empty.pem"])
def test_a_client_certificate_without_its_key_or_with_a_locked_one_is_a_fault(
    name: str, tmp_path: Path, pem: Path
) -> None:
    (pem / "empty.pem").touch()
    with pytest.raises(UsageFault, match=name) as caught:
        ssl_context(settings(tmp_path, client_cert=pem / name))
    assert caught.value.code == "bad-setting"


def test_a_file_without_certificates_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing\n")
    with pytest.raises(UsageFault, match=r"ca\.pem can't be used"):
        ssl_context(settings(tmp_path, cert=tmp_path / "ca.pem"))


def test_where_the_system_names_no_certificates_a_bundle_is_believed(
    pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    paths = ssl.get_default_verify_paths()._replace(openssl_capath=str(pem))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert not tls._believes_anyone(empty)
    (pem / "0a1b2c3d.0").touch()
    assert tls._believes_anyone(empty)
    monkeypatch.setattr(tls, "_BUNDLES", ("/gone.pem", str(pem / "open.pem")))
    tls._believe_a_bundle(empty)
    assert len(empty.get_ca_certs()) == 1
    monkeypatch.setattr(tls, "_BUNDLES", ())
    tls._believe_a_bundle(empty)
    assert len(empty.get_ca_certs()) > 1


def test_certificates_named_in_a_variable_are_not_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    assert tls._believes_anyone(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
