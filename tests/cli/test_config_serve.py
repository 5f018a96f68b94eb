"""``config`` and ``serve`` as a person types them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pypimirror.cli.config import command
from pypimirror.cli.voice import Voice
from pypimirror.errors import UsageFault
from pypimirror.tree.settings import CLIENTS, SERVERS, UNITS
from tests.tree.clients import environment
from tests.tree.example import example
from tests.tree.helpers import render
from tests.worlds import ROOT, Program

# ---- config ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("pip", "--url", "http://mirror:8080/pypi/simple"), "index-url = http://mirror:8080/pypi/simple/"),
        (("pip", "--url", "/srv/my pypi"), "index-url = file:///srv/my%20pypi/simple/"),
        (("pip", "--tree", "/srv/pypi", "--find-links"), "find-links = file:///srv/pypi/packages/index.html"),
        (("uv", "--url", "http://mirror/"), 'url = "http://mirror/simple/"'),
        (("uv", "--url", "file:///srv/pypi", "--find-links"), 'find-links = ["file:///srv/pypi/packages/index.html"]'),
        (("nginx", "--tree", "/srv/pypi", "--url", "http://mirror:8080/"), "    server_name mirror;"),
    ],
)
def test_settings_are_all_that_is_printed(program: Program, arguments: tuple[str, ...], line: str) -> None:
    ran = program("config", *arguments)
    assert ran.code == 0, ran.err
    assert line in ran.out.splitlines()
    assert ran.err == ""
    assert ran.out.endswith("\n")
    assert not ran.out.endswith("\n\n")


def test_help_lists_every_program_under_its_kind(program: Program) -> None:
    ran = program("config", "--help")
    assert ran.code == 0
    kinds = re.split(r"^(\w[\w ]*)(?: \(.*\))?:$", ran.out, flags=re.MULTILINE)
    listed = {
        kind: re.findall(r"^  ([a-z-]+)  +\S", text, re.MULTILINE)
        for kind, text in zip(kinds[1::2], kinds[2::2], strict=True)
    }
    assert {kind: names for kind, names in listed.items() if kind != "Options"} == {
        "Clients": [*CLIENTS],
        "Servers": [*SERVERS],
        "Bundles that arrive": [*UNITS],
    }


def test_a_relative_path_is_that_of_this_folder(program: Program) -> None:
    (program.work / "tree").mkdir()
    here = program.work.as_uri()
    for path in ("./tree", "tree", "tree/simple", "../work/tree", str(program.work / "tree") + "/"):
        (program.work / "tree" / "simple").mkdir(exist_ok=True)
        assert f"index-url = {here}/tree/simple/" in program("config", "pip", "--url", path).out
    assert f'root "{program.work}/tree";' in program("config", "nginx", "--tree", "tree", "--url", "http://m/").out


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ((), "Missing argument 'PROGRAM'", "config --help"),
        (("iis",), "'iis' is not one of 'pip', 'uv', 'poetry'", "config --help"),
        (("pip",), "name one of them: --url", "config --help"),
        (("pip", "--url", "http://m/", "--tree", "/x"), "name one of them: --url", "config --help"),
        (("nginx", "--url", "http://m/"), "nginx needs both", "config --help"),
        (("nginx", "--tree", "/x"), "nginx needs both", "config --help"),
        (
            ("nginx", "--tree", "/x", "--url", "http://m/", "--find-links"),
            "--find-links is for clients",
            "config --help",
        ),
        (("nginx", "--tree", "/x", "--url", "/x"), "a server is reached by http", "the address that clients"),
        (("nginx", "--tree", "/x$y", "--url", "http://m/"), "can't be written into nginx's settings", "rename"),
        (("pip", "--url", "mirror:8080/pypi"), "does not say how", "write http://mirror:8080/pypi"),
        (("uv", "--url", "http://u:s3cret@m/"), "http://****@m/ can't be used", "netrc"),
        (("pip", "--tree", "/a\nb"), "more than one way", "plainly"),
    ],
)
def test_what_can_not_be_meant_is_told_with_a_hint(
    program: Program, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    ran = program("config", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert error in ran.err
    assert hint in ran.err
    assert "s3cret" not in ran.err
    assert "Traceback" not in ran.err


def _asked(*arguments: str) -> Result:
    """The command in this process: a good part of a second less than a whole run."""
    return CliRunner().invoke(command, arguments, obj=Voice())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("pdm", "--url", "http://mirror/", "--find-links"), 'url = "http://mirror/packages/index.html"'),
        (("poetry", "--url", "http://m/", "--channel", "team"), 'url = "http://m/channels/team/simple/"'),
        (("pip", "--url", "https://m/", "--ca", "/etc/our ca.pem"), "cert = /etc/our ca.pem"),
        (("pipx", "--tree", "/srv/pypi"), "export PIP_INDEX_URL='file:///srv/pypi/simple/'"),
        (("tox", "--url", "http://m/"), "    PIP_TRUSTED_HOST = m"),
        (("caddy", "--tree", "/srv/pypi", "--url", "http://mirror:8080/"), "http://mirror:8080 {"),
        (
            ("apache", "--tree", "/x", "--url", "https://m/", "--tls", "/c.pem", "/k.pem", "--auth", "/p"),
            '    SSLCertificateKeyFile "/k.pem"',
        ),
        (("systemd-watch", "--tree", "/srv/pypi", "--drop", "/srv/new"), "PathChanged=/srv/new"),
    ],
)
def test_each_program_has_its_settings(arguments: tuple[str, ...], line: str) -> None:
    ran = _asked(*arguments)
    assert ran.exit_code == 0
    assert line in ran.stdout.splitlines()


def test_settings_are_the_same_each_time() -> None:
    options = {"--url": "http://m/", "--tree": "/srv/pypi", "--drop": "/srv/new"}
    for names, wanted in ((CLIENTS, ["--url"]), (SERVERS, ["--url", "--tree"]), (UNITS, ["--drop", "--tree"])):
        for name in names:
            arguments = [name, *(each for option in wanted for each in (option, options[option]))]
            first, second = _asked(*arguments), _asked(*arguments)
            assert first.stdout == second.stdout
            assert first.stdout.startswith("# ")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("pip", "--url", "http://m/", "--auth", "/x"), "--auth is for servers", ""),
        (("pip", "--url", "http://m/", "--tls", "/x", "/y"), "--tls is for servers", ""),
        (("nginx", "--tree", "/x", "--url", "http://m/", "--ca", "/x"), "--ca is for clients", ""),
        (("nginx", "--tree", "/x", "--url", "http://m/", "--channel", "x"), "--channel is for", ""),
        (("systemd-watch", "--tree", "/x", "--drop", "/y", "--url", "http://m/"), "--url is for", ""),
        (("systemd-watch", "--tree", "/x"), "needs both: --drop", ""),
        (("systemd-render", "--tree", "/x", "--drop", "/x/y"), "inside of the tree", "beside the tree"),
        (("systemd", "--tree", "/x", "--url", "http://m/", "--auth", "/x"), "can't ask for passwords", "nginx, caddy"),
        (("nginx", "--tree", "/x", "--url", "http://m/", "--tls", "/c", "/k"), "is plain http", "https:"),
        (("nginx", "--tree", "/x", "--url", "https://m/", "--tls", "/c"), "requires 2 arguments", ""),
        (("pip", "--url", "http://m/", "--channel", "../x"), "no channel can have that name", "show TREE"),
        (("pip", "--url", "http://m/", "--ca", "/x"), "has no certificate to check", "https:"),
        (("poetry", "--tree", "/x"), "poetry installs from http: and https: alone", "pypimirror serve"),
    ],
)
def test_an_option_that_means_nothing_here_is_refused(arguments: tuple[str, ...], error: str, hint: str) -> None:
    with pytest.raises((UsageFault, click.UsageError)) as caught:
        command.main(list(arguments), standalone_mode=False, obj=Voice())
    assert error in str(caught.value)
    assert getattr(caught.value, "exit_code", None) == 2
    assert hint in getattr(caught.value, "hint", "")


# ---- serve ----------------------------------------------------------------------------------------------------------


@contextmanager
def serving(tree: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command, and its first lines, until it has told what to type."""
    command = [sys.executable, "-m", "pypimirror", "serve", str(tree), "--port", "0", *arguments]
    env = environment(PYTHONPATH=str(ROOT), PYTHONWARNINGS="error")
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=-1, stderr=-1, text=True) as process:
        try:
            assert process.stderr is not None
            lines = [process.stderr.readline()]
            while "to try it" not in lines[-1]:
                lines.append(process.stderr.readline())
                assert lines[-1], lines
            yield process, lines
        finally:
            process.kill()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    render(tmp_path / "tree", example())
    return tmp_path / "tree"


def test_serve_tells_where_it_is_and_ends_quietly(tree: Path) -> None:
    with serving(tree, "-v") as (process, lines):
        url = re.fullmatch(rf"serving {tree} at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n", lines[0])
        assert url is not None, lines
        assert lines[1:] == [f"to try it: python -m pip install --index-url {url[1]}simple/ NAME\n"]
        with urllib.request.urlopen(f"{url[1]}simple/", timeout=10) as answer:  # noqa: S310 - loopback
            size = len(answer.read())
        assert process.stderr is not None
        assert process.stderr.readline() == f"127.0.0.1 200 {size} GET /simple/ HTTP/1.1\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", "stopped\n")
    assert process.returncode == 130


def test_serve_ends_at_once_while_clients_are_connected(tree: Path) -> None:
    with serving(tree) as (process, lines):
        url = lines[0].split(" at ")[1].split()[0]
        with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - loopback
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "Traceback" not in err


def test_serve_says_that_others_can_reach_it(tree: Path) -> None:
    with serving(tree, "--host", "0.0.0.0") as (process, lines):  # noqa: S104 - what is tested
        assert "note: other machines reach it" in lines[1]
        assert re.search(r"--index-url http://\S+:(\d+)/simple/ --trusted-host \S+:\1 NAME", lines[2])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def test_serve_refuses_what_is_no_tree(program: Program, tree: Path) -> None:
    (program.work / "empty").mkdir()
    (program.work / "begun" / ".pypimirror").mkdir(parents=True)
    for arguments, code, word in [
        (("empty",), 2, "not-a-tree"),
        (("nothing",), 2, "not-a-tree"),
        (("begun",), 1, "not-published"),
        ((tree, "--host", "198.51.100.77"), 2, "no-such-address"),
        ((tree, "--port", "99999"), 2, "usage"),
    ]:
        ran = program("serve", *arguments)
        assert ran.code == code, ran
        assert f"[{word}]" in ran.err
        assert "hint: " in ran.err
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["config", "serve"])
def test_neither_command_needs_the_network_libraries(tree: Path, command: str) -> None:
    poisoned = ["httpx", "httpcore", "resolvelib", "rich", "pip", "ssl"] + ["jinja2"] * (command == "serve")
    arguments = {"config": ["config", "pip", "--url", "http://m/"], "serve": ["serve", str(tree), "--port", "99999"]}
    code = (
        "import sys\n"
        f"for name in {poisoned!r}: sys.modules[name] = None\n"
        "from pypimirror.cli import main\n"
        f"main({arguments[command]!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == {"config": 0, "serve": 2}[command], done.stderr
    assert "Traceback" not in done.stderr
