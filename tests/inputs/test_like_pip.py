"""Requirements files compared with pip's own parser, whichever pip is installed beside the tests.

Where a pip of some version reads a case differently, the case says since when; where pypimirror differs from every pip
on purpose, ``test_wishes.py`` says so.
"""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pip
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pypimirror.errors import InputFaults
from pypimirror.host_reader import LocalReader
from pypimirror.inputs.requirements import read_wishes
from pypimirror.inputs.wishes import Wishes
from pypimirror.model.requests import Constraint, Root

# What some pips carry inside warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PIP = Version(pip.__version__)
A, B, C = "a" * 64, "b" * 64, "c" * 128
ENVIRON = {
    "USER_1": "me",
    "TOKEN": "s3cret",
    "NAME": "flask",
    "EMPTY": "",
    "lower": "x",
    "VERSION": "1.0",
    "FILE": "plain",
}
EVERYWHERE = {
    "sub/more.txt": "more==1\n-r deeper/deep.txt\n",
    "sub/deeper/deep.txt": "deep==2\n-c ../../limits.txt\n",
    "limits.txt": "urllib3<2\nidna==3.7\n",
    "hashed.txt": f"idna==3.7 --hash=sha256:{A}\n",
    "plain.txt": "plain\n",
    "in_limits.txt": "-r plain.txt\n-c limits.txt\nbound<3\n",
    "dist/demo-1.0-py3-none-any.whl": "",
    "dist/demo_two-2.0.tar.gz": "",
    "sub/wheels/": "",
    "links/": "",
}


@dataclass(frozen=True)
class Case:
    name: str
    text: str | bytes
    since: str = "23.0"
    until: str = "999"


CASES = [
    Case("nothing", ""),
    Case("blank lines and comments", "\n  \n# a comment\n   # another\n\t# tab\n"),
    Case("a name", "flask\n"),
    Case("no newline at the end", "flask==1.0"),
    Case("spaces everywhere", "   flask  >= 1.0 ,  < 2.0  \n"),
    Case("every operator", "a~=1.4\nb==1.*\nc!=1.5\nd>1,<2\ne===weird-one\nf>=1.0.post1,<=2!3.0rc1\n"),
    Case("a local version", "torch==2.4.0+cpu\n"),
    Case("odd spellings of names", "Flask_Login\nzope.interface\nA--B\n"),
    Case("extras", "requests[socks,Use_Chardet]>=2\nuvicorn[standard]\n"),
    Case("empty extras", "requests[]\n"),
    Case("parentheses", "requests (>=2.0)\n"),
    Case("a marker", 'colorama; sys_platform == "win32"\n'),
    Case("markers with and, or, parentheses", "a>=1 ; (python_version<'3.9' or os_name=='nt') and extra != 'x'\n"),
    Case("a marker without spaces", "a;python_version<'3.9'\n"),
    Case("a semicolon and no marker", "a ;\nb==1;\n"),
    Case("a comment behind", "flask # the web\n"),
    Case("a comment behind a tab", "flask\t# the web\n"),
    Case("a hash sign without a space in an address", f"https://files.example/x-1.0-py3-none-any.whl#sha256={A}\n"),
    Case("a continuation", "flask\\\n>=1.0\n"),
    Case("a continuation with spaces", "flask \\\n    >=1.0, \\\n    <2\n"),
    Case("a continuation ended by a comment", "flask \\\n# why not\nclick\n"),
    Case("a continuation ended by the end", "flask \\"),
    Case("a continuation ended by a blank line", "flask \\\n\nclick\n"),
    Case("a comment is not continued", "# a comment \\\nflask\n"),
    Case("a comment behind is cut after joining", "flask \\\n>=1 # one \\\n,<2\nclick\n"),
    Case("several backslashes", "flask\\\\\\\n>=1\n"),
    Case("a backslash in front", "\\flask\\\n==1\n"),
    Case(
        "Windows line ends",
        b"flask==1 \\\r\n  --hash=sha256:" + A.encode() + b"\r\nclick==2 --hash=sha512:" + C.encode() + b"\r\n",
    ),
    Case("old Mac line ends", b"flask\rclick\r"),
    Case("form feeds and line separators", "flask\x0cclick\u2028idna\x85six\n"),
    Case("a byte order mark", b"\xef\xbb\xbfflask\n"),
    Case("UTF-16", "flask # ü\n".encode("utf-16")),
    Case("UTF-16 big endian", b"\xfe\xff" + "flask\n".encode("utf-16-be")),
    Case("UTF-32", "flask # ü\n".encode("utf-32"), since="25.0"),
    Case("an encoding in a comment", "# -*- coding: latin-1 -*-\nflask # \xfc\n".encode("latin-1")),
    Case("an encoding in the second line", "#!x\n# vim: set fileencoding=cp1252 :\nflask # \xfc\n".encode("cp1252")),
    Case("UTF-8", "# größer\nflask\n".encode()),
    Case("one hash", f"flask==1.0 --hash=sha256:{A}\n"),
    Case("hashes over lines", f"flask==1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B} # why\n"),
    Case("hashes of several kinds", f"flask==1.0 --hash sha256:{A} --hash=sha512:{C} --hash=sha384:{'d' * 96}\n"),
    Case("hash and marker", f"flask==1.0 ; python_version>'3' --hash=sha256:{A}\n"),
    Case("a quoted hash", f"flask==1.0 --hash='sha256:{A}'\n"),
    Case("an option cut short", f"flask==1.0 --ha=sha256:{A}\n"),
    Case("an index", "--index-url https://index.example/simple\n"),
    Case("short options", "-i https://index.example/simple\n-f https://files.example/links/\n"),
    Case("short options that stick", "-ihttps://index.example/simple\n-fhttps://files.example/links/\n"),
    Case("the old name of the index", "--pypi-url=https://index.example/simple\n"),
    Case("the last index counts", "-i https://one.example/simple\n-i https://two.example/simple\n"),
    Case("extra indexes", "--extra-index-url https://one.example/s\n--extra-index-url=https://two.example/s\nflask\n"),
    Case("index and extra on one line", "-i https://a.example/s --extra-index-url https://b.example/s\n"),
    Case("no index", "--no-index\n--find-links links\n"),
    Case("no index wins", "-i https://index.example/s\n--no-index\n-i https://other.example/s\n"),
    Case("find-links beside the file", "-f links\n"),
    Case("find-links with quotes", "-f 'no such folder'\n"),
    Case("find-links nowhere", "-f nowhere\n"),
    Case("pre-releases", "--pre\nflask\n"),
    Case("prefer binary", "--prefer-binary\n"),
    Case("only binary", "--only-binary=:all:\n"),
    Case("only binary with exceptions", "--only-binary :all:\n--no-binary numpy,Flask_Login\n"),
    Case("no binary undone", "--no-binary :all:\n--no-binary :none:\n--only-binary numpy\n"),
    Case("all behind names", "--no-binary a,b,:all:,c\n--only-binary c\n"),
    Case("all twice with a none", "--no-binary a,:all:,:none:,b,:all:,c\n"),
    Case("all, none, names", "--no-binary x\n--only-binary :all:,:none:,a\n"),
    Case("trusted hosts", "--trusted-host files.example --trusted-host index.example:8443\n"),
    Case("options behind a requirement are ignored", "flask --pre --index-url https://index.example/s\n"),
    Case("a nested file", "-r sub/more.txt\nflask\n"),
    Case("a nested file by its long name", "--requirement=sub/more.txt\n"),
    Case("a nested file that sticks", "-rsub/more.txt\n"),
    Case("constraints", "-c limits.txt\nflask\n"),
    Case("constraints with hashes", f"-c hashed.txt\nidna==3.7\nflask==1.0 --hash=sha256:{B}\n"),
    Case("requirements inside constraints", "-c in_limits.txt\n"),
    Case("a name with a variable", "${NAME}==${VERSION}\n"),
    Case("a nested file with a variable", "-r ${FILE}.txt\n"),
    Case("variables in an address", "-i https://${USER_1}:${TOKEN}@index.example/simple\n"),
    Case("variables that are none", "--extra-index-url https://index.example/${EMPTY}/${UNSET}/${lower}/$NAME\n"),
    Case("a wheel by its path", "./dist/demo-1.0-py3-none-any.whl\n"),
    Case("a wheel by its path with extras", "./dist/demo-1.0-py3-none-any.whl[one,two]\n"),
    Case("a wheel by its path with a marker", "dist/demo-1.0-py3-none-any.whl ; python_version > '3'\n"),
    Case("a wheel by its address", "https://files.example/a/x_y-1.0-py3-none-any.whl\n"),
    Case("a wheel by its address with a marker", "https://files.example/x-1.0-py3-none-any.whl ; os_name == 'nt'\n"),
    Case("a wheel with an epoch, escaped", "https://files.example/x-1%212.0-py3-none-any.whl\n"),
    Case("a direct reference", "x @ https://files.example/x-1.0-py3-none-any.whl\n"),
    Case("a direct reference without spaces", "x@https://files.example/x-1.0-py3-none-any.whl\n"),
    Case(
        "a direct reference with everything", f"X[a,b]@https://files.example/x-1.0.tar.gz#sha256={A} ; os_name=='nt'\n"
    ),
    Case("a direct reference with a login", "x @ https://me:pw@files.example/x-1.0.tar.gz\n"),
    Case("an sdist with its egg", "https://files.example/x-1.0.tar.gz#egg=x\n"),
    Case("the same name twice", "flask>=1\nflask<2\n"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in EVERYWHERE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text(text)
    monkeypatch.chdir(tmp_path)
    for key, value in ENVIRON.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("UNSET", raising=False)
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_means_what_it_means_to_pip(case: Case, folder: Path) -> None:
    if not Version(case.since) <= PIP < Version(case.until):
        pytest.skip(f"pip {PIP} reads it otherwise")
    data = case.text if isinstance(case.text, bytes) else case.text.encode()
    (folder / "requirements.txt").write_bytes(data)
    theirs = what_pip_reads("requirements.txt")
    wishes = read_wishes(requirement_files=["requirements.txt"], reader=LocalReader(), environ=ENVIRON)
    assert what_we_read(wishes) == theirs


REFUSED = [
    "flask=1.0",
    "flask=>1",
    "foo bar",
    "foo-bar#x",
    "flask; python_versio < '3'",
    "flask; python_version < ",
    "flask[one",
    "flask==1.0[extra]",
    "flask --no-such-option",
    "--no-such-option",
    "--e x",
    "-x",
    "--hash=md5:abc",
    "flask==1 --hash=md5:abc",
    "flask==1 --hash=sha256",
    "--pre=yes",
    "-r",
    "-i",
    "-f 'open",
    "-r missing.txt",
    "-c missing.txt",
    "flask^1.0",
    "==1.0",
    "[extra]",
    "flask >= 1.0 and < 2",
    '"flask"',
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_pip_refuses_is_refused(text: str, folder: Path) -> None:
    (folder / "requirements.txt").write_text(text + "\n")
    with pytest.raises(BaseException) as theirs:  # noqa: PT011 - pip raises errors of five families, and exits
        what_pip_reads("requirements.txt")
    assert not isinstance(theirs.value, KeyboardInterrupt)
    with pytest.raises(InputFaults):
        read_wishes(requirement_files=["requirements.txt"], reader=LocalReader(), environ=ENVIRON)


def what_we_read(wishes: Wishes) -> dict[str, object]:
    options = wishes.options
    index = [] if options.index_url is None else [options.index_url]
    return {
        "requirements": sorted([*map(_ours, wishes.roots), *map(_ours, wishes.constraints)], key=repr),
        "indexes": [*index, *options.extra_index_urls],
        "find_links": [str(Path(link).absolute()) if Path(link).exists() else link for link in options.find_links],
        "no_index": options.no_index,
        "trusted": list(options.trusted_hosts),
        "only_binary": sorted(wishes.formats.only_binary),
        "no_binary": sorted(wishes.formats.no_binary),
        "prefer_binary": wishes.prefer_binary,
        "pre": wishes.prereleases,
        "hash_mode": wishes.require_hashes,
    }


def _ours(value: Root | Constraint) -> tuple[object, ...]:
    requirement = value.requirement
    direct = value.direct
    return (
        isinstance(value, Constraint),
        # We show a path as it was typed, variables and all.
        os.path.normpath(value.origin.path.replace("${FILE}", ENVIRON["FILE"])),
        value.origin.line,
        canonicalize_name(requirement.name),
        # A direct reference asks for its file's version; pip leaves that to the file.
        str(requirement.specifier) if direct is None else "",
        sorted(canonicalize_name(extra) for extra in requirement.extras),
        str(requirement.marker or ""),
        sorted(value.hashes),
        "" if direct is None else direct.url,
    )


def what_pip_reads(path: str) -> dict[str, object]:
    session = _pip("network.session").PipSession()
    finder = _finder(session)
    parse = _pip("req.req_file").parse_requirements
    build = _pip("req.constructors").install_req_from_parsed_requirement
    requirements = [build(parsed) for parsed in parse(path, session=session, finder=finder)]
    release_control = getattr(finder, "release_control", None)
    return {
        "requirements": sorted(map(_theirs, requirements), key=repr),
        "indexes": finder.index_urls,
        "find_links": [str(Path(link).absolute()) if Path(link).exists() else link for link in finder.find_links],
        "no_index": finder.search_scope.no_index,
        "trusted": [host if port is None else f"{host}:{port}" for host, port in session.pip_trusted_origins],
        "only_binary": sorted(finder.format_control.only_binary),
        "no_binary": sorted(finder.format_control.no_binary),
        "prefer_binary": finder.prefer_binary,
        "pre": ":all:" in release_control.all_releases if release_control else _all(finder),
        "hash_mode": any(requirement.has_hash_options for requirement in requirements),
    }


def _theirs(found: Any) -> tuple[object, ...]:  # noqa: ANN401 - pip's own objects, of any version
    _, source, _, line = str(found.comes_from).split(" ")
    link = found.original_link
    hashes = [(kind, value) for kind, values in found.hash_options.items() for value in values]
    if link is not None and link.hash:
        hashes.append((link.hash_name, link.hash))
    return (
        found.constraint,
        os.path.relpath(source),
        int(line.rstrip(")")),
        canonicalize_name(found.req.name),
        str(found.req.specifier) if link is None else "",
        sorted({canonicalize_name(extra) for extra in found.extras}),
        str(found.markers or ""),
        sorted(hashes),
        "" if link is None else _without_user(link.url_without_fragment),
    )


def _all(finder: Any) -> bool:  # noqa: ANN401 - pip's own objects, of any version
    return bool(getattr(finder, "allow_all_prereleases", False))


def _without_user(url: str) -> str:
    return url.replace("me:pw@", "")


def _finder(session: Any) -> Any:  # noqa: ANN401 - pip's own objects, of any version
    scope = _pip("models.search_scope").SearchScope(find_links=[], index_urls=[], no_index=False)
    collector = _pip("index.collector").LinkCollector(session=session, search_scope=scope)
    preferences = _pip("models.selection_prefs").SelectionPreferences(allow_yanked=False)
    return _pip("index.package_finder").PackageFinder.create(link_collector=collector, selection_prefs=preferences)


def _pip(module: str) -> Any:  # noqa: ANN401 - another version of it on every machine
    return importlib.import_module(f"pip._internal.{module}")
