from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from pypimirror.errors import InputFaults, UsageFault
from pypimirror.net import default_index as default_index_module
from pypimirror.net.default_index import default_index
from pypimirror.net.pip_settings import PipSettings, config_files, read_pip_settings
from pypimirror.net.settings import CommandLineOptions, Settings, resolve_settings
from pypimirror.net.sources import local_path, named
from pypimirror.reporting import Reporter

# What the real pip of this environment makes of a list of cases, each with its own variables, home and prefix.
ORACLE = """
import json, os, sys
from pip._internal.commands import create_command

def ask(case):
    os.environ.clear()
    os.environ.update(case["environ"])
    sys.prefix = case["prefix"]
    try:
        options, _ = create_command("download", isolated=case["isolated"]).parse_args([*case["args"], "x"])
    except SystemExit:
        return None
    formats = options.format_control
    return {
        "index_url": options.index_url, "extra_index_urls": options.extra_index_urls,
        "find_links": options.find_links, "no_index": bool(options.no_index), "trusted_hosts": options.trusted_hosts,
        "cert": options.cert, "client_cert": options.client_cert, "proxy": options.proxy or None,
        "timeout": options.timeout, "retries": options.retries, "no_input": bool(options.no_input),
        "keyring": getattr(options, "keyring_provider", "auto"), "constraints": options.constraints,
        "pre": bool(options.pre), "prefer_binary": bool(options.prefer_binary),
        "require_hashes": bool(options.require_hashes),
        "only_binary": sorted(formats.only_binary), "no_binary": sorted(formats.no_binary),
    }

json.dump([ask(case) for case in json.load(sys.stdin)], sys.stdout)
"""


@dataclass(frozen=True)
class Case:
    """Files below a home folder, variables (``{home}`` is filled in), and arguments for pip's command line."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    isolated: bool = False


USER = ".config/pip/pip.conf"
LEGACY = ".pip/pip.conf"
SITE = "prefix/pip.conf"
XDG = {"XDG_CONFIG_DIRS": "{home}/xdg1:{home}/xdg2"}

CASES = [
    Case("nothing is set"),
    Case("the user's file", {USER: "[global]\nindex-url = https://index.example/user\ntimeout = 3\n"}),
    Case("the old place of the user's file", {LEGACY: "[global]\nindex-url = https://index.example/old\n"}),
    Case("the new place wins", {LEGACY: "[global]\nretries = 1\nproxy = a.example:1\n", USER: "[global]\nretries=2\n"}),
    Case("the site's file wins over the user's", {USER: "[global]\nretries = 1\n", SITE: "[global]\nretries = 2\n"}),
    Case(
        "global files",
        {"xdg1/pip/pip.conf": "[global]\nretries=1\ntimeout=9\n", "xdg2/pip/pip.conf": "[global]\nretries=2\n"},
        XDG,
    ),
    Case(
        "a user's folder of one's own", {"own/pip/pip.conf": "[global]\nretries=8\n"}, {"XDG_CONFIG_HOME": "{home}/own"}
    ),
    Case("the command's section wins", {USER: "[download]\nretries = 4\n[global]\nretries = 5\n"}),
    Case(
        "a command's section of a lower file wins over a global one of a higher",
        {USER: "[download]\nretries = 4\n", SITE: "[global]\nretries = 5\n"},
    ),
    Case("other commands' sections don't count", {USER: "[wheel]\nretries = 4\n[list]\ntimeout = 1\n"}),
    Case("variables win over files", {USER: "[download]\nretries = 4\n"}, {"PIP_RETRIES": "7"}),
    Case("an empty variable is none", {USER: "[global]\nretries = 4\n"}, {"PIP_RETRIES": "", "PIP_INDEX_URL": ""}),
    Case(
        "an empty value in a higher file takes one away",
        {USER: "[global]\nretries = 4\n", SITE: "[global]\nretries =\n"},
    ),
    Case("a variable in mixed letters is none", environ={"pip_retries": "7", "PIP_Timeout": "8"}),
    Case(
        "lists over several lines",
        {USER: "[global]\nextra-index-url =\n    https://a.example\n    https://b.example\nfind-links = /a\n  /b\n"},
    ),
    Case(
        "a list replaces the list of a lower place",
        {USER: "[global]\nextra-index-url = https://a.example\nfind_links = /a\n"},
        {"PIP_EXTRA_INDEX_URL": "https://b.example https://c.example", "PIP_FIND_LINKS": "/b  /c"},
    ),
    Case(
        "underscores and capitals",
        {USER: "[global]\nIndex_URL = https://index.example/x\nTRUSTED_HOST = a.example b.example:8\n"},
    ),
    Case("two dashes before a name", {USER: "[global]\n--index-url = https://index.example/x\n"}),
    Case("defaults of a file", {USER: "[DEFAULT]\nretries = 3\n[global]\ntimeout = 4\n"}),
    Case("a default alone is no section", {USER: "[DEFAULT]\nretries = 3\n"}),
    Case(
        "nothing is expanded",
        {USER: "[global]\nindex-url = https://${{USER}}:%(x)s@index.example/simple\n"},
        {"USER": "me"},
    ),
    Case("a comment and a colon", {USER: "# yes\n[global]\nindex-url: https://index.example/c\n; no\n"}),
    Case(
        "a file of one's own",
        {"my.conf": "[global]\nretries = 6\n", USER: "[global]\ntimeout = 1\n"},
        {"PIP_CONFIG_FILE": "{home}/my.conf"},
    ),
    Case(
        "a file of one's own wins over the site's",
        {"my.conf": "[global]\nretries = 6\n", SITE: "[global]\nretries = 1\n"},
        {"PIP_CONFIG_FILE": "{home}/my.conf"},
    ),
    Case(
        "a file of one's own that isn't there",
        {USER: "[global]\ntimeout = 1\n"},
        {"PIP_CONFIG_FILE": "{home}/gone.conf"},
    ),
    Case(
        "no files at all",
        {USER: "[global]\nretries = 1\n", SITE: "[global]\ntimeout = 2\n"},
        {"PIP_CONFIG_FILE": os.devnull},
    ),
    Case("other names of options", environ={"PIP_PYPI_URL": "https://index.example/p", "PIP_DEFAULT_TIMEOUT": "180"}),
    Case("two names of one option", environ={"PIP_TIMEOUT": "1", "PIP_DEFAULT_TIMEOUT": "2.5"}),
    Case("two names of one option, turned round", environ={"PIP_DEFAULT_TIMEOUT": "2.5", "PIP_TIMEOUT": "1"}),
    Case("certificates", environ={"PIP_CERT": "~/ca.pem", "PIP_CLIENT_CERT": "{home}/me.pem"}),
    Case(
        "proxy and keyring",
        {USER: "[global]\nproxy = http://u:p@proxy.example:3128\nkeyring-provider = subprocess\nno-input = yes\n"},
    ),
    Case("no index", environ={"PIP_NO_INDEX": "true", "PIP_FIND_LINKS": "/w"}),
    Case("no no index", {USER: "[global]\nno-index = 1\n"}, {"PIP_NO_INDEX": "off"}),
    Case(
        "rules for choosing",
        environ={
            "PIP_PRE": "1",
            "PIP_PREFER_BINARY": "YES",
            "PIP_REQUIRE_HASHES": "on",
            "PIP_CONSTRAINT": "a.txt b.txt",
        },
    ),
    Case("formats", environ={"PIP_ONLY_BINARY": ":all:", "PIP_NO_BINARY": "Foo_Bar,baz"}),
    Case(
        "formats of two sections add up",
        {USER: "[global]\nonly-binary = a,b\n[download]\nonly-binary = c\nno-binary = a\n"},
    ),
    Case(
        "formats taken back",
        {USER: "[global]\nno-binary = a\n"},
        {"PIP_NO_BINARY": ":none:,b", "PIP_ONLY_BINARY": "x,:all:,:none:,y"},
    ),
    Case("all and a name", environ={"PIP_NO_BINARY": ":all:,b"}),
    Case(
        "isolated", {USER: "[global]\nretries=1\n", SITE: "[global]\ntimeout=2\n"}, {"PIP_RETRIES": "3"}, isolated=True
    ),
    Case(
        "isolated with a file of one's own",
        {"my.conf": "[global]\nretries=1\n"},
        {"PIP_CONFIG_FILE": "{home}/my.conf"},
        isolated=True,
    ),
    Case("bad number", environ={"PIP_TIMEOUT": "soon"}),
    Case("bad whole number", environ={"PIP_RETRIES": "1.5"}),
    Case("bad flag", {USER: "[global]\nno-index = perhaps\n"}),
    Case("bad choice", environ={"PIP_KEYRING_PROVIDER": "gnome"}),
    Case("no section", {USER: "index-url = https://index.example\n"}),
    Case("twice in a section", {USER: "[global]\nretries = 1\nretries = 2\n"}),
    Case("no file format", {USER: "[global]\nnonsense\n"}),
    Case("no text", {USER: "[global]\nindex-url = \udcff\n"}),
]

CLI_CASES = [
    Case(
        "an index", {USER: "[global]\nindex-url=https://index.example/user\n"}, args=("-i", "https://index.example/cli")
    ),
    Case(
        "lists add up",
        environ={"PIP_EXTRA_INDEX_URL": "https://a.example/s"},
        args=("--extra-index-url", "https://b.example/s"),
    ),
    Case("no index", environ={"PIP_INDEX_URL": "https://index.example/s"}, args=("--no-index",)),
    Case("no index in a variable", environ={"PIP_NO_INDEX": "1"}, args=("-i", "https://index.example/s")),
    Case("hosts add up", environ={"PIP_TRUSTED_HOST": "a.example"}, args=("--trusted-host", "b.example:81")),
    Case("numbers", environ={"PIP_TIMEOUT": "7", "PIP_RETRIES": "7"}, args=("--timeout", "3", "--retries", "0")),
    Case("links add up", environ={"PIP_FIND_LINKS": "https://a.example/l"}, args=("-f", "https://b.example/l")),
    Case("proxy", environ={"PIP_PROXY": "http://a.example:1"}, args=("--proxy", "http://b.example:2")),
]


def prepare(case: Case, home: Path) -> dict[str, str]:
    for name, text in case.files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("{{", "{").replace("}}", "}").encode("utf-8", "surrogateescape"))
    environ = {"HOME": str(home), "USERPROFILE": str(home), "PATH": os.environ.get("PATH", ""), "PYTHONUTF8": "1"}
    return environ | {name: text.replace("{home}", str(home)) for name, text in case.environ.items()}


@pytest.fixture(scope="session")
def pips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, str], dict[str, Any] | None]]:
    """For each case: its home, its variables, and what pip says; None where pip refuses."""
    homes = [tmp_path_factory.mktemp("home") for _ in range(len(CASES) + len(CLI_CASES))]
    asked, kept = [], []
    for case, home in zip([*CASES, *CLI_CASES], homes, strict=True):
        environ = prepare(case, home)
        kept.append(environ)
        asked.append({"environ": environ, "prefix": str(home / "prefix"), "args": case.args, "isolated": case.isolated})
    done = subprocess.run(
        [sys.executable, "-c", ORACLE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout[done.stdout.index("[{") :])
    together = zip([*CASES, *CLI_CASES], homes, kept, answers, strict=True)
    return {case.name + " ".join(case.args): (home, environ, answer) for case, home, environ, answer in together}


def as_pip_says(settings: PipSettings) -> dict[str, Any]:
    return {
        "index_url": settings.index_url or default_index(),
        "extra_index_urls": list(settings.extra_index_urls),
        "find_links": list(settings.find_links),
        "no_index": settings.no_index,
        "trusted_hosts": list(settings.trusted_hosts),
        "cert": settings.cert,
        "client_cert": settings.client_cert,
        "proxy": settings.proxy,
        "timeout": settings.timeout or 15,
        "retries": 5 if settings.retries is None else settings.retries,
        "no_input": settings.no_input,
        "keyring": settings.keyring or "auto",
        "constraints": list(settings.constraints),
        "pre": settings.pre,
        "prefer_binary": settings.prefer_binary,
        "require_hashes": settings.require_hashes,
        "only_binary": sorted(settings.formats.only_binary),
        "no_binary": sorted(settings.formats.no_binary),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pips_settings_are_read_as_the_real_pip_reads_them(
    case: Case, pips: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if case.name in ("proxy and keyring", "bad choice") and Version(version("pip")) < Version("23.1"):
        pytest.skip("pip before 23.1 has no --keyring-provider to compare with")
    home, environ, said = pips[case.name]
    monkeypatch.setattr(sys, "prefix", str(home / "prefix"))
    monkeypatch.setenv("HOME", str(home))
    if said is None:
        with pytest.raises(UsageFault) as caught:
            read_pip_settings(environ=environ, isolated=case.isolated)
        assert caught.value.code == "bad-setting"
    else:
        assert as_pip_says(read_pip_settings(environ=environ, isolated=case.isolated)) == said


@pytest.mark.parametrize("case", CLI_CASES, ids=lambda case: case.name)
def test_the_command_line_and_pips_settings_unite_as_in_the_real_pip(
    case: Case, pips: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, environ, said = pips[case.name + " ".join(case.args)]
    monkeypatch.setattr(sys, "prefix", str(home / "prefix"))
    ours = resolve_settings(options=options_of(case.args), environ=environ)
    indexes = [] if said["no_index"] else [said["index_url"], *said["extra_index_urls"]]
    assert sorted(source.url for source in ours.sources if source.kind == "index") == sorted(indexes)
    assert sorted(source.url for source in ours.sources if source.kind == "find-links") == sorted(said["find_links"])
    assert ours.trusted_hosts == set(said["trusted_hosts"])
    assert (ours.timeout, ours.retries, ours.proxy) == (said["timeout"], said["retries"], said["proxy"])


def options_of(args: tuple[str, ...]) -> CommandLineOptions:
    pairs = dict(zip(args, [*args[1:], ""], strict=True))

    def several(name: str) -> tuple[str, ...]:
        return (pairs[name],) if name in pairs else ()

    return CommandLineOptions(
        index_url=pairs.get("-i"),
        extra_index_urls=several("--extra-index-url"),
        find_links=several("-f"),
        trusted_hosts=several("--trusted-host"),
        no_index="--no-index" in pairs,
        timeout=float(pairs["--timeout"]) if "--timeout" in pairs else None,
        retries=int(pairs["--retries"]) if "--retries" in pairs else None,
        proxy=pairs.get("--proxy"),
    )


@dataclass(frozen=True)
class InFile:
    """The options of requirements files."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()


class Notes(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables of a host where nothing is set, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}


def resolve(
    environ: dict[str, str],
    *,
    in_file: InFile | None = None,
    notes: Notes | None = None,
    **options: Any,  # noqa: ANN401 - of CommandLineOptions
) -> Settings:
    return resolve_settings(
        options=CommandLineOptions(**options), file_options=in_file, environ=environ, reporter=notes
    )


def addresses(settings: Settings) -> list[str]:
    return [source.url for source in settings.sources]


def test_the_default_index_is_what_the_installed_pip_says_and_no_process_is_started(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    monkeypatch.setattr(subprocess, "Popen", never)
    default_index.cache_clear()
    assert addresses(resolve(environ)) == [asked.stdout.strip().rstrip("/")]


def never(*_: object, **__: object) -> None:
    raise AssertionError("a process was started")


def test_pips_internals_are_not_imported_to_ask_its_default(environ: dict[str, str]) -> None:
    program = (
        "import sys; from pypimirror.net.default_index import default_index; default_index();"
        "sys.exit('pip' in sys.modules or 'httpx' in sys.modules or 'ssl' in sys.modules)"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, "-c", program], env=environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0


def test_a_pip_that_is_built_otherwise_is_asked_by_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = default_index()
    monkeypatch.setattr(default_index_module, "_from_source", lambda: None)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/not-this-one")
    default_index.cache_clear()
    try:
        assert default_index() == stated
    finally:
        default_index.cache_clear()


def test_without_a_pip_an_index_has_to_be_named(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_index_module, "_from_source", lambda: None)
    monkeypatch.setattr(default_index_module, "_from_help", lambda: None)
    default_index.cache_clear()
    with pytest.raises(UsageFault) as caught:
        resolve(environ)
    assert caught.value.code == "no-default-index"
    assert addresses(resolve(environ, index_url="https://index.example/simple")) == ["https://index.example/simple"]
    default_index.cache_clear()


@pytest.mark.parametrize(
    "source",
    [
        "",
        "PyPI = PackageIndex(BASE)",
        "PyPI = 'https://index.example/'",
        "PyPI = PackageIndex('https://index.example/')",
        "def broken(",
    ],
)
def test_a_source_that_is_not_as_expected_is_not_guessed_at(source: str, tmp_path: Path) -> None:
    package = tmp_path / "pip"
    (package / "_internal" / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "_internal" / "models" / "index.py").write_text(source)
    program = "from pypimirror.net import default_index as d; print(d._from_source())"
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"


def test_extra_indexes_stand_before_the_default_one_and_find_links_before_all(environ: dict[str, str]) -> None:
    environ |= {"PIP_EXTRA_INDEX_URL": "https://pip.example/e", "PIP_FIND_LINKS": "https://pip.example/l"}
    found = resolve(
        environ,
        index_url="https://cli.example/i",
        extra_index_urls=("https://cli.example/e",),
        find_links=("https://cli.example/l",),
        in_file=InFile(extra_index_urls=("https://file.example/e",), find_links=("https://file.example/l",)),
    )
    assert addresses(found) == [
        "https://cli.example/l", "https://file.example/l", "https://pip.example/l",
        "https://cli.example/e", "https://file.example/e", "https://pip.example/e",
        "https://cli.example/i",
    ]  # fmt: skip
    assert [source.kind for source in found.sources] == ["find-links"] * 3 + ["index"] * 4


def test_an_index_url_in_a_requirements_file_replaces_every_index_named_elsewhere_and_says_so(
    environ: dict[str, str],
) -> None:
    environ |= {"PIP_EXTRA_INDEX_URL": "https://pip.example/e"}
    notes = Notes()
    in_file = InFile(index_url="https://file.example/i", extra_index_urls=("https://file.example/e",))
    found = resolve(environ, index_url="https://cli.example/i", in_file=in_file, notes=notes)
    assert addresses(found) == ["https://file.example/e", "https://file.example/i"]
    assert [text for text in notes.texts if "replaces the indexes named elsewhere (2)" in text]


@pytest.mark.parametrize("place", ["cli", "file", "pip"])
def test_no_index_leaves_only_find_links_wherever_it_stands(place: str, environ: dict[str, str]) -> None:
    if place == "pip":
        environ |= {"PIP_NO_INDEX": "1"}
    found = resolve(
        environ,
        no_index=place == "cli",
        index_url="https://cli.example/i",
        find_links=("https://cli.example/l",),
        in_file=InFile(no_index=place == "file", index_url="https://file.example/i"),
    )
    assert addresses(found) == ["https://cli.example/l"]


def test_the_install_section_counts_below_the_download_section(environ: dict[str, str], tmp_path: Path) -> None:
    conf = tmp_path / "my.conf"
    conf.write_text(
        "[download]\nretries=1\n[install]\nretries=2\ntrusted-host=a.example\n[global]\ntrusted-host=b.example\n"
    )
    environ["PIP_CONFIG_FILE"] = str(conf)
    found = resolve(environ)
    assert found.retries == 1
    assert found.trusted_hosts == {"a.example"}


def test_the_activated_environment_has_a_say_above_our_own(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "ours"))
    for name, text in {"ours": "[global]\nretries=1\ntimeout=2\n", "active": "[global]\nretries=3\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "pip.conf").write_text(text)
    del environ["PIP_CONFIG_FILE"]
    found = resolve(environ | {"VIRTUAL_ENV": str(tmp_path / "active")})
    assert (found.retries, found.timeout) == (3, 2)


def test_folders_paths_and_file_addresses_become_file_addresses(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my wheels").mkdir()
    (tmp_path / "page.html").touch()
    simple = tmp_path / "simple"
    simple.mkdir()
    found = resolve(
        environ,
        index_url="simple/",
        extra_index_urls=(simple.as_uri() + "/", f"file://localhost{simple}", str(simple), "~/simple"),
        find_links=("my wheels", "./my wheels/../page.html"),
    )
    assert addresses(found) == [
        (tmp_path / "my wheels").as_uri(),
        (tmp_path / "page.html").as_uri(),
        simple.as_uri(),
    ]
    assert [source.name for source in found.sources] == ["my wheels", "page.html", "simple"]
    assert local_path(found.sources[0].url) == tmp_path / "my wheels"


def test_a_missing_folder_is_a_fault_but_in_pips_own_find_links_a_note(environ: dict[str, str]) -> None:
    for options in ({"find_links": ("gone",)}, {"index_url": "gone"}, {"index_url": "file:///gone/at/all"}):
        with pytest.raises(UsageFault, match="there is no"):
            resolve(environ, **options)
    with pytest.raises(UsageFault, match="PIP_EXTRA_INDEX_URL: there is no"):
        resolve(environ | {"PIP_EXTRA_INDEX_URL": "/gone"})
    notes = Notes()
    found = resolve(environ | {"PIP_FIND_LINKS": "/gone/wheels"}, notes=notes)
    assert [source.kind for source in found.sources] == ["index"]
    assert len(notes.texts) == 1
    assert "PIP_FIND_LINKS" in notes.texts[0]
    assert "/gone/wheels" in notes.texts[0]


@pytest.mark.parametrize(
    "text",
    [
        "index.example/simple",
        "ftp://index.example/simple",
        "git+https://index.example/x",
        "https://",
        "https:///simple",
        "https://index.example:port/simple",
        "https://[::1/simple",
        "https://index.example/simple?token=x",
        "file://other.example/simple",
        "\0",
    ],
)
def test_what_is_no_place_for_an_index_is_a_fault_that_names_the_option(text: str, environ: dict[str, str]) -> None:
    with pytest.raises(UsageFault, match=r"^--index-url: ") as caught:
        resolve(environ, index_url=text)
    assert caught.value.code == "bad-setting"
    assert caught.value.hint


def test_every_bad_setting_is_told_in_one_run(environ: dict[str, str]) -> None:
    with pytest.raises(InputFaults) as caught:
        resolve(environ, index_url="https://", cert="/gone.pem", proxy="ftp://x.example")
    assert [str(fault).partition(":")[0] for fault in caught.value.faults] == ["--index-url", "--cert", "--proxy"]
    with pytest.raises(InputFaults) as caught:
        resolve(environ | {"PIP_TIMEOUT": "soon", "PIP_RETRIES": "-1"})
    assert [str(fault).partition(":")[0] for fault in caught.value.faults] == ["PIP_TIMEOUT", "PIP_RETRIES"]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf"])
def test_a_timeout_is_a_finite_number_above_zero(text: str, environ: dict[str, str]) -> None:
    with pytest.raises(UsageFault, match="PIP_TIMEOUT"):
        resolve(environ | {"PIP_TIMEOUT": text})


def test_a_fault_in_a_file_names_file_section_and_option(environ: dict[str, str], tmp_path: Path) -> None:
    conf = tmp_path / "my.conf"
    conf.write_text("[global]\nindex_url = nowhere\n")
    with pytest.raises(UsageFault) as caught:
        resolve(environ | {"PIP_CONFIG_FILE": str(conf)})
    assert str(caught.value).startswith(f"{conf} [global] index-url: ")


def test_a_file_that_may_not_be_read_and_one_that_is_named_in_vain_are_noted(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    resolve(environ | {"PIP_CONFIG_FILE": str(tmp_path / "gone.conf"), "XDG_CONFIG_HOME": str(tmp_path)}, notes=notes)
    assert any("gone.conf" in text for text in notes.texts)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    notes = Notes()
    read_pip_settings(environ=environ | {"PIP_CONFIG_FILE": str(tmp_path)}, reporter=notes)
    assert any("Permission denied" in text for text in notes.texts)


def test_names_are_hosts_with_ports_and_with_paths_only_where_two_share_a_host() -> None:
    assert [
        source.name
        for source in named(
            [
                ("https://Index.Example:8443/simple", "index"),
                ("https://files.example/a/simple", "index"),
                ("https://files.example/b/simple", "index"),
                ("https://cdn.example/l?token=one", "find-links"),
                ("https://cdn.example/l?token=two", "find-links"),
                ("file:///srv/one/wheels", "find-links"),
                ("file:///srv/two/wheels", "find-links"),
                ("file:///srv/a/deep/er", "find-links"),
                ("file:///srv/b/deep/er", "find-links"),
                ("file:///", "find-links"),
            ]
        )
    ] == [
        "index.example:8443", "files.example/a/simple", "files.example/b/simple", "cdn.example/l", "cdn.example/l#2",
        "one/wheels", "two/wheels", "deep/er", "deep/er#2", "/",
    ]  # fmt: skip


def test_a_place_named_twice_is_asked_once(environ: dict[str, str]) -> None:
    found = resolve(
        environ, index_url="https://index.example/simple", extra_index_urls=("https://u:p@index.example/simple/#x",)
    )
    assert addresses(found) == ["https://index.example/simple"]


def test_trusted_hosts_are_told_in_lower_case_and_an_address_is_taken_for_its_host(environ: dict[str, str]) -> None:
    hosts = ("Index.Example", "files.example:8080", "https://me:secret@cdn.example:444/simple", "[::1]", "10.0.0.1")
    assert resolve(environ, trusted_hosts=hosts).trusted_hosts == {
        "index.example", "files.example:8080", "cdn.example:444", "[::1]", "10.0.0.1",
    }  # fmt: skip
    for bad in ("", "host:port", "[::1", "/simple"):
        with pytest.raises(UsageFault, match="trusted-host"):
            resolve(environ, trusted_hosts=(bad,))


def test_a_proxy_gets_the_scheme_that_people_leave_out_and_an_empty_one_means_none(environ: dict[str, str]) -> None:
    environ |= {"PIP_PROXY": "proxy.example:3128"}
    assert resolve(environ).proxy == "http://proxy.example:3128"
    assert resolve(environ, proxy="").proxy == ""
    del environ["PIP_PROXY"]
    assert resolve(environ).proxy is None


def test_certificates_come_from_the_option_then_from_pip_then_from_the_variables_of_its_library(
    environ: dict[str, str], tmp_path: Path
) -> None:
    for name in ("cli", "pip", "requests", "curl"):
        (tmp_path / name).touch()
    environ |= {"CURL_CA_BUNDLE": str(tmp_path / "curl")}
    assert resolve(environ).cert == str(tmp_path / "curl")
    environ |= {"REQUESTS_CA_BUNDLE": str(tmp_path / "requests")}
    assert resolve(environ).cert == str(tmp_path / "requests")
    environ |= {"PIP_CERT": str(tmp_path / "pip")}
    assert resolve(environ).cert == str(tmp_path / "pip")
    assert resolve(environ, cert=str(tmp_path / "cli")).cert == str(tmp_path / "cli")
    assert resolve(environ, isolated=True).cert == str(tmp_path / "requests")
    with pytest.raises(UsageFault, match=r"^REQUESTS_CA_BUNDLE: there is no '/gone\.pem'"):
        resolve({**environ, "PIP_CERT": "", "REQUESTS_CA_BUNDLE": "/gone.pem"})


def test_pips_files_lie_elsewhere_on_macos_and_windows(tmp_path: Path) -> None:
    environ = {"PROGRAMDATA": "/ProgramData", "APPDATA": "/Users/me/AppData/Roaming", "VIRTUAL_ENV": "/venv"}
    windows = config_files(environ=environ, home=Path("/Users/me"), platform="win32")
    site = (Path(sys.prefix), Path("/venv"))
    assert windows == (
        Path("/ProgramData/pip/pip.ini"),
        Path("/Users/me/pip/pip.ini"),
        Path("/Users/me/AppData/Roaming/pip/pip.ini"),
        *(folder / "pip.ini" for folder in site),
    )
    macos = config_files(environ=environ, home=tmp_path, platform="darwin")
    assert macos[-5:] == (
        Path("/Library/Application Support/pip/pip.conf"),
        tmp_path / ".pip/pip.conf",
        tmp_path / ".config/pip/pip.conf",
        *(folder / "pip.conf" for folder in site),
    )
    own = tmp_path / "Library/Application Support/pip"
    own.mkdir(parents=True)
    assert config_files(environ=environ, home=tmp_path, platform="darwin")[-3] == own / "pip.conf"


CANARY = "c4n4ry"


def test_no_secret_shows_in_any_representation(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {
        "PIP_INDEX_URL": f"https://me:{CANARY}@index.example/simple",
        "PIP_EXTRA_INDEX_URL": f"https://{CANARY}@b.example/simple https://u:{CANARY}@c.example",
        "PIP_PROXY": f"http://me:{CANARY}@proxy.example:3128",
        "PIP_TRUSTED_HOST": f"https://u:{CANARY}@index.example",
        "NETRC": str(tmp_path / "netrc"),
    }
    (tmp_path / "netrc").write_text(f"machine d.example login me password {CANARY}\n")
    options = CommandLineOptions(
        index_url=f"https://{CANARY}@index.example",
        extra_index_urls=(f"https://u:{CANARY}@index.example/e",),
        find_links=(f"https://u:{CANARY}@files.example/l?token={CANARY}",),
        proxy=f"http://{CANARY}@proxy.example",
        trusted_hosts=(f"u:{CANARY}@index.example",),
    )
    settings = resolve_settings(options=options, environ=environ)
    assert settings.credentials.for_url("https://c.example/x") == ("u", CANARY)
    assert settings.credentials.for_url("https://d.example/x") == ("me", CANARY)
    shown = f"{options!r} {settings!r} {settings} {read_pip_settings(environ=environ)!r} {settings.credentials!r}"
    assert CANARY not in shown + "".join(f"{source!r} {source.name}" for source in settings.sources)
    assert "me:" not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{CANARY}@/simple",
        f"https://me:{CANARY}@index.example:port/simple",
        f"https://me:{CANARY}@[::1/simple",
        f"https://me:{CANARY}@index.example/simple?token={CANARY}",
        f"ftp://me:{CANARY}@index.example/simple",
        f"me:{CANARY}@index.example/simple",
        f"{CANARY}@index.example",
        f"file://me:{CANARY}@index.example/simple",
    ],
)
def test_no_secret_shows_in_a_fault_or_a_note(text: str, environ: dict[str, str], tmp_path: Path) -> None:
    conf = tmp_path / "my.conf"
    conf.write_text(f"[global]\nindex-url = https://index.example\n{text}\n{text}\n")
    notes = Notes()
    for options, variables in (
        ({"index_url": text}, {}),
        ({"find_links": (text,)}, {}),
        ({"trusted_hosts": (f"{text}:port",)}, {}),
        ({"proxy": f"ftp:{text}"}, {}),
        ({}, {"PIP_FIND_LINKS": text}),
        ({}, {"PIP_EXTRA_INDEX_URL": text}),
        ({}, {"PIP_TIMEOUT": text, "PIP_NO_INDEX": text, "PIP_KEYRING_PROVIDER": text}),
        ({}, {"PIP_CONFIG_FILE": str(conf)}),
    ):
        notes.texts += said_by_the_fault({**environ, **variables}, notes, options)
    assert len(notes.texts) >= 4
    assert CANARY not in "".join(notes.texts)


def said_by_the_fault(environ: dict[str, str], notes: Notes, options: dict[str, Any]) -> list[str]:
    try:
        resolve(environ, notes=notes, **options)
    except UsageFault as fault:
        return [f"{fault} {fault!r} {fault.hint} {fault.__cause__} {fault.__dict__}"]
    return []
