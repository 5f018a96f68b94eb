"""Settings of servers and units as text: what is refused, and what the programs themselves say of the rest."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pypimirror.errors import UsageFault
from pypimirror.tree.settings import (
    SERVERS,
    UNITS,
    Drop,
    Site,
    parse_address,
    server_settings,
    unit_settings,
)
from tests.tree.clients import environment, nginx_command

# ---- nginx ----------------------------------------------------------------------------------------------------------


def _server(name: str, url: str, tree: str, **options: Any) -> str:  # noqa: ANN401 - fields of Site
    return server_settings(name, Site(address=parse_address(url), tree=tree, **options))


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
    text = _server("nginx", url, "/srv/pypi")
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
        _server("nginx", url, tree)
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
    said = _checked(tmp_path, _server("nginx", url, tree))
    assert "test is successful" in said
    assert "emerg" not in said


def test_two_trees_stand_beside_each_other_in_one_nginx(tmp_path: Path) -> None:
    texts = [_server("nginx", f"http://{name}:18080/{name}/", f"/srv/{name}") for name in ("a", "b")]
    assert "warn" not in _checked(tmp_path, "\n".join(texts)).replace('the "user" directive', "")


# ---- the other servers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "url", "tree"),
    [
        *(("caddy", "http://m/", f"/srv/a{char}b") for char in '{}"`\\*\n\udcff'),
        *(("apache", "http://m/", f"/srv/a{char}b") for char in '$"\\*?[]{}%\n\udcff'),
        *(("htaccess", "http://m/a*b/", "/srv/pypi") for _ in "x"),
        *(("systemd", "http://m/", f"/srv/a{char}b") for char in "\"'\\:\n\udcff"),
        *(("containerfile", "http://m/", f"/srv/a{char}b") for char in "\\:\n\udcff"),
        ("caddy", "http://m/a b/", "/srv/pypi"),
        ("caddy", "http://m/a*b/", "/srv/pypi"),
        ("apache", "http://m/a$b/", "/srv/pypi"),
        ("apache", "http://m/.hidden/", "/srv/pypi"),
        ("systemd", "http://m/pypi/", "/srv/pypi"),
        ("systemd", "https://m/", "/srv/pypi"),
        *((name, "file:///srv/pypi", "/srv/pypi") for name in SERVERS),
        *((name, "http://m/", "/srv/pypi ") for name in SERVERS),
    ],
)
def test_what_a_server_can_not_be_told_is_refused(name: str, url: str, tree: str) -> None:
    with pytest.raises(UsageFault) as caught:
        _server(name, url, tree)
    assert caught.value.hint
    assert str(caught.value).isprintable()
    assert caught.value.code in ("bad-path", "bad-address")


@pytest.mark.parametrize("name", ["nginx", "caddy", "apache", "htaccess", "containerfile"])
def test_a_path_of_passwords_or_certificates_is_checked_as_that_of_the_tree(name: str) -> None:
    for options in ({"auth": "/a\nb"}, {"tls": ("/a\nb", "/k")}, {"tls": ("/c", "/a\nb")}):
        if name == "htaccess" and "tls" in options:
            continue
        with pytest.raises(UsageFault, match="can't be written"):
            _server(name, "https://m/", "/srv/pypi", **options)


def test_options_that_mean_nothing_to_a_server_are_refused() -> None:
    for name, url, options in (
        ("systemd", "http://m/", {"auth": "/a"}),
        ("systemd", "http://m/", {"tls": ("/c", "/k")}),
        ("htaccess", "https://m/", {"tls": ("/c", "/k")}),
        ("nginx", "http://m/", {"tls": ("/c", "/k")}),
    ):
        with pytest.raises(UsageFault) as caught:
            _server(name, url, "/srv/pypi", **options)
        assert caught.value.code == "usage"


def test_a_container_has_the_settings_of_nginx(tmp_path: Path) -> None:
    """Its shell writes them: run here, with the folder of nginx's settings in another place."""
    text = _server("containerfile", "http://localhost:18080/it's/", "/srv/my 'tree'", auth="/etc/pass words")
    joined = text.replace("\\\n", "").splitlines()
    instructions = [line.split(maxsplit=1) for line in joined if line and not line.startswith("#")]
    assert [word for word, _ in instructions] == ["ARG", "FROM", "RUN", "EXPOSE"]
    script = dict(instructions)["RUN"].replace("/etc/nginx/conf.d", str(tmp_path))
    subprocess.run(["sh", "-euc", script], check=True, timeout=60)
    written = (tmp_path / "pypimirror.conf").read_text("utf-8")
    expected = _server("nginx", "http://localhost:18080/it's/", "/srv/pypi", auth="/etc/pass words")
    kept = [line for line in expected.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert written.splitlines() == [line.replace("listen 127.0.0.1:18080", "listen 18080") for line in kept]
    assert "test is successful" in _checked(tmp_path / "nginx", written)
    (volumes,) = re.findall(r"^#   podman run -d -p 18080:18080 (.*) pypimirror$", text, re.MULTILINE)
    said = subprocess.run(["sh", "-euc", f"printf '%s\n' {volumes}"], check=True, capture_output=True, text=True)
    assert said.stdout.splitlines() == ["-v", "/srv/my 'tree':/srv/pypi:ro", "-v", "/etc/pass words:/etc/pass words:ro"]


# ---- systemd --------------------------------------------------------------------------------------------------------

ODD_PATH = "srv/a %h $b;c #d=\u00e4&"


def _verified(work: Path, **units: str) -> None:
    """systemd itself must find nothing to say."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: a container without systemd")
    paths = [work / name.replace("__", ".").replace("_", "-") for name in units]
    for path, text in zip(paths, units.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    tree, folder = tmp_path / ODD_PATH / "tree", tmp_path / ODD_PATH / "drop"
    drop = Drop(folder=str(folder), tree=str(tree))
    _verified(
        tmp_path,
        pypimirror__service=_server("systemd", "http://mirror:8080/", str(tree)),
        pypimirror_render__service=unit_settings("systemd-render", drop),
        pypimirror_render__path=unit_settings("systemd-watch", drop),
    )


def _command(text: str) -> list[str]:
    """``ExecStart`` as systemd runs it: words, with ``$$`` and ``%%`` undone."""
    (line,) = re.findall(r"^ExecStart=(.*)$", text.replace("\\\n", " "), re.MULTILINE)
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)]


def test_the_service_serves_the_tree() -> None:
    text = _server("systemd", "http://localhost:8080/", f"/{ODD_PATH}")
    assert _command(text)[1:] == [
        "-I",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        f"/{ODD_PATH}",
        "8080",
    ]
    assert "CAP_NET_BIND_SERVICE" not in text
    text = _server("systemd", "http://[fd00::5]/", "/srv/pypi")
    assert _command(text)[-5:] == ["--bind", "::", "--directory", "/srv/pypi", "80"][-5:]
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text


def test_bundles_that_arrive_are_published_and_put_away(tmp_path: Path) -> None:
    """The service's command with a program in place of ours: what fails waits until something else was published."""
    folder, tree = tmp_path / ODD_PATH / "drop", tmp_path / ODD_PATH / "tree"
    folder.mkdir(parents=True)
    tree.mkdir()
    fake = tmp_path / "bin" / "pypimirror"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        '[ "$1" = render ] && grep -q good "$2" || exit 4\n'
        'case "$2" in */volume-1.tar) [ -e "$3/volume-2.tar" ] || exit 1;; esac\n'
        'cp "$2" "$3"\n',
        encoding="ascii",
    )
    fake.chmod(0o755)
    for name, content in (("a.tar", "good"), ("bad.tar", "bad"), ("volume-1.tar", "good"), ("x.tar.part", "good")):
        (folder / name).write_text(content, encoding="ascii")
    text = unit_settings("systemd-render", Drop(folder=str(folder), tree=str(tree)))
    told = dict(re.findall(r'^Environment="(DROP|TREE)=(.*)"$', text, re.MULTILINE))
    env = {name: value.replace("%%", "%") for name, value in told.items()} | {"PATH": f"{fake.parent}:/usr/bin:/bin"}

    def run() -> int:
        return subprocess.run(_command(text), env=env, check=False, timeout=60).returncode

    assert run() == 1  # of the last that failed
    assert sorted(path.name for path in folder.iterdir()) == ["bad.tar", "done", "volume-1.tar", "x.tar.part"]
    assert [path.name for path in tree.iterdir()] == ["a.tar"]
    (folder / "bad.tar").unlink()
    (folder / "volume-2.tar").write_text("good", encoding="ascii")
    assert run() == 0
    assert sorted(path.name for path in (folder / "done").iterdir()) == ["a.tar", "volume-1.tar", "volume-2.tar"]
    assert run() == 0


def test_bundles_can_not_arrive_in_the_tree() -> None:
    for name in UNITS:
        for folder, tree in (("/srv/pypi/new", "/srv/pypi"), ("/srv/pypi", "/srv/pypi"), ("/x", "/")):
            with pytest.raises(UsageFault, match="inside of the tree"):
                unit_settings(name, Drop(folder=folder, tree=tree))
        for path in ("/srv/a:b", '/srv/a"b', "/srv/a\nb"):
            with pytest.raises(UsageFault, match="can't be written"):
                unit_settings(name, Drop(folder=path, tree="/srv/pypi"))
