"""What inputs come to: direct references, where we differ from pip on purpose, and what is kept secret."""

from pathlib import Path

import pytest

from pypimirror.errors import IndexFault, InputFaults
from pypimirror.host_reader import LocalReader
from pypimirror.inputs.requirements import read_wishes
from pypimirror.inputs.wishes import Wishes
from pypimirror.model.requests import FormatControl, Origin
from tests.inputs.files import Files, faults_of, read

A, B = "a" * 64, "b" * 64
SECRET = "s3cr3t"  # noqa: S105 - the password of nobody


def test_a_root_knows_its_file_line_and_words() -> None:
    wishes = read({"requirements.txt": "\nflask>=1 \\\n  ,<2\n-r sub/more.txt\n", "sub/more.txt": "#\nmore\n"}, "click")
    assert [(str(root.requirement), str(root.origin)) for root in wishes.roots] == [
        ("click", "click"),
        ("flask<2,>=1", "requirements.txt:2"),
        ("more", "sub/more.txt:2"),
    ]


def test_a_wheel_by_its_path_is_asked_for_by_name_and_version() -> None:
    files = {"dist/Demo_Two-1.0+cpu-py3-none-any.whl": "", "requirements.txt": ""}
    (root,) = read(files, "./dist/Demo_Two-1.0+cpu-py3-none-any.whl[b,a] ; os_name == 'nt'").roots
    assert str(root.requirement) == 'demo-two[a,b]==1.0+cpu; os_name == "nt"'
    assert root.direct is not None
    assert root.direct.url == "file:///here/dist/Demo_Two-1.0%2Bcpu-py3-none-any.whl"
    assert (root.direct.name.filename, root.direct.index) == ("Demo_Two-1.0+cpu-py3-none-any.whl", "direct")


@pytest.mark.parametrize(
    "text",
    [
        "file:///here/dist/x-1.0.tar.gz",
        "file:dist/x-1.0.tar.gz",
        "file:///here/sub/../dist/x-1.0.tar.gz",
        "x @ file:///here/dist/x-1.0.tar.gz",
        "x @ ./dist/x-1.0.tar.gz",
        "/here/dist/x-1.0.tar.gz",
        "dist/x-1.0.tar.gz",
    ],
)
def test_one_file_may_be_named_in_many_ways(text: str) -> None:
    (root,) = read({"requirements.txt": text, "dist/x-1.0.tar.gz": ""}).roots
    assert root.direct is not None
    assert (str(root.requirement), root.direct.url) == ("x==1.0", "file:///here/dist/x-1.0.tar.gz")


def test_a_path_in_a_nested_file_counts_from_the_current_folder_as_in_pip() -> None:
    files = {"requirements.txt": "-r sub/more.txt", "sub/more.txt": "./x-1.0.tar.gz", "x-1.0.tar.gz": ""}
    assert len(read(files).roots) == 1


def test_the_name_of_an_old_sdist_may_hold_dashes() -> None:
    (root,) = read("python-dateutil-two @ https://h.example/python-dateutil-two-2.0.zip").roots
    assert str(root.requirement) == "python-dateutil-two==2.0"


def test_an_address_gives_up_its_login_and_its_fragment() -> None:
    text = f"x @ https://me%40home:{SECRET}@h.example:8443/a/x-1.0-py3-none-any.whl?sig={SECRET}#sha256={A}&egg=x"
    wishes = read(text)
    (root,) = wishes.roots
    assert root.direct is not None
    assert root.direct.url == f"https://h.example:8443/a/x-1.0-py3-none-any.whl?sig={SECRET}"
    assert root.direct.hashes == root.hashes == (("sha256", A),)
    assert wishes.credentials == ((root.direct.url, "me@home", SECRET),)
    assert not wishes.require_hashes


def test_a_semicolon_without_a_blank_belongs_to_an_address_as_in_pip() -> None:
    (root,) = read("https://h.example/a;b/x-1.0.zip ; os_name == 'nt'").roots
    assert root.direct is not None
    assert root.direct.url == "https://h.example/a;b/x-1.0.zip"
    assert [fault.code for fault in faults_of("https://h.example/x-1.0.zip;os_name=='nt'")] == ["bad-file-name"]


def test_a_token_as_a_user_name_is_kept_too() -> None:
    assert read("https://tok@h.example/x-1.0.zip").credentials == (("https://h.example/x-1.0.zip", "tok", ""),)


def test_a_weak_hash_in_an_address_does_not_satisfy_hash_mode() -> None:
    text = f"x @ https://h.example/x-1.0.zip#md5={'c' * 32}"
    (root,) = read(text).roots
    assert root.direct is not None
    assert (root.hashes, root.direct.hashes) == ((), (("md5", "c" * 32),))
    assert [fault.code for fault in faults_of(text, require_hashes=True)] == ["hash-mode"]


def test_a_strong_hash_in_an_address_satisfies_hash_mode() -> None:
    assert read(f"x @ https://h.example/x-1.0.zip#sha512={'D' * 128}", require_hashes=True).require_hashes


def test_a_hash_in_a_constraint_satisfies_hash_mode() -> None:
    files = {"requirements.txt": "-c limits.txt\nIdna==3.7\n", "limits.txt": f"idna --hash=sha256:{A}\n"}
    assert read(files).require_hashes


def test_hash_mode_can_be_forbidden() -> None:
    wishes = read(f"--no-require-hashes\nfoo==1 --hash=sha256:{A}\nbar\n")
    assert not wishes.require_hashes
    assert [root.hashes for root in wishes.roots] == [(("sha256", A),), ()]
    (fault,) = faults_of("--no-require-hashes\n--require-hashes\n")
    assert str(fault) == "--require-hashes and --no-require-hashes exclude each other"


def test_an_extra_index_before_the_index_is_kept_unlike_in_pip() -> None:
    options = read("--extra-index-url https://two.example/s\n-i https://one.example/s\n").options
    assert (options.index_url, options.extra_index_urls) == ("https://one.example/s", ("https://two.example/s",))


def test_every_find_links_of_a_line_counts_unlike_in_pip() -> None:
    assert read("-f https://a.example/ -f https://b.example/\n").options.find_links == (
        "https://a.example/",
        "https://b.example/",
    )


def test_find_links_beside_a_nested_file_is_joined_to_its_folder() -> None:
    files = {"requirements.txt": "-r sub/more.txt", "sub/more.txt": "-f wheels\n-f other\n", "sub/wheels/x": ""}
    assert read(files).options.find_links == ("sub/wheels", "other")


def test_what_the_command_line_says_of_formats_is_added_to() -> None:
    reader = Files({"requirements.txt": "--no-binary numpy\n"})
    wishes = read_wishes(
        requirement_files=["requirements.txt"],
        reader=reader,
        environ={},
        formats=FormatControl(only_binary=frozenset({":all:", "numpy"})),
    )
    assert wishes.formats == FormatControl(only_binary=frozenset({":all:"}), no_binary=frozenset({"numpy"}))


def test_what_is_ignored_is_said() -> None:
    text = "--use-feature fast-deps\nfoo --pre -C a=b --global-option=x\nbar==${NOT_SET}.0\n--config-settings a=b\n"
    with pytest.raises(InputFaults):
        read(text)
    assert read(text.replace("bar==", "-f ")).notes == (
        "requirements.txt:1: '--use-feature fast-deps' means nothing here and is ignored",
        "requirements.txt:2: --pre behind a requirement is ignored, as pip ignores it",
        "requirements.txt:2: --config-settings concerns building, and nothing is built here: it is ignored",
        "requirements.txt:2: --global-option concerns building, and nothing is built here: it is ignored",
        "requirements.txt:3: ${NOT_SET} has no value and stays as it is",
        "requirements.txt:4: '--config-settings a=b' means nothing here and is ignored",
    )


def test_a_file_from_the_web_includes_what_lies_beside_it() -> None:
    files = {
        "requirements.txt": f"-r https://me:{SECRET}@h.example/a/r.txt\n",
        f"https://me:{SECRET}@h.example/a/r.txt": "-r b/s.txt\n-r /c.txt\n",
        f"https://me:{SECRET}@h.example/a/b/s.txt": "one\n",
        f"https://me:{SECRET}@h.example/c.txt": "two\n",
    }
    wishes = read(files)
    assert [root.origin for root in wishes.roots] == [
        Origin(path="https://****@h.example/a/b/s.txt", line=1),
        Origin(path="https://****@h.example/c.txt", line=1),
    ]


def test_a_variable_is_filled_in_once() -> None:
    (root,) = read("${A}", environ={"A": "b-${A}".replace("-${A}", "")}).roots
    assert root.requirement.name == "b"
    assert read("-f ${A}", environ={"A": "${A}${A}"}).options.find_links == ("${A}${A}",)


LEAKS = [
    f"foo @ https://me:{SECRET}@h.example/bar-1.0.zip",
    f"https://me:{SECRET}@h.example/nothing",
    f"https://{SECRET}@h.example/nothing",
    f"https://me:{SECRET}/@h.example/nothing",
    f"https://me:{SECRET}@[h.example/x-1.0.zip",
    f"git+https://me:{SECRET}@h.example/x.git",
    f"-e git+https://me:{SECRET}@h.example/x.git",
    f"-i https://me:{SECRET}@h.example/s --nope",
    f"--index-url https://me:{SECRET}@h.example/s foo",
    f"--index-url 'https://me:{SECRET}@h.example/s x'",
    f"--index-url me:{SECRET}@h.example/s foo",
    f"--trusted-host me:{SECRET}@h.example",
    f"-ihttps://me:{SECRET}@h.example/s foo",
    f"-r https://me:{SECRET}@h.example/gone.txt",
    f"-r https://me:{SECRET}@[h.example/gone.txt",
    f"-r https://h.example/gone.txt?token={SECRET}",
    f"https://h.example/nothing?access_token={SECRET}",
    "foo=${SECRET}",
    "${SECRET}=1",
    "foo ; ${SECRET}",
    "foo==1 --hash=sha256:${SECRET}",
    "foo==1 --hash=${SECRET}:1",
    "--${SECRET}",
    "-${SECRET}",
    "--pre ${SECRET}",
    "--pre=${SECRET}",
    "-r ${SECRET}",
    "-r ${SECRET}/x.txt",
    "-c ${SECRET}.lock",
    "-e ${SECRET}",
    "./${SECRET}",
    "./${SECRET}.whl",
    "x @ https://h.example/${SECRET}.zip",
    "x @ https://h.example/${SECRET}-1.0.zip",
    "https://h.example/${SECRET}",
    "${SECRET} @ https://h.example/x-1.0.zip",
    "--only-final ${SECRET}",
    "--all-releases ${SECRET}",
    "--no-binary '${SECRET} x'",
    "--trusted-host https://${SECRET}",
    "-f '${SECRET}",
    "--use-feature ${SECRET}\nfoo=1",
    "foo --config-settings=${SECRET}\nfoo=1",
    "--require-hashes\nfoo>1,!=${VERSION}",
    "-r nested/${SECRET}.txt",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_message_holds_a_secret(text: str) -> None:
    files = {"requirements.txt": text, f"nested/{SECRET}.txt": "foo=1\n-r ../requirements.txt\n"}
    faults = faults_of(files, environ={"SECRET": SECRET, "VERSION": "1.515"})
    said = " ".join(f"{fault} {fault!r} {fault.hint} {vars(fault)}" for fault in faults)
    assert SECRET not in said
    assert "1.515" not in said


def test_no_argument_leaks_into_its_origin_or_its_fault() -> None:
    (root,) = read({}, f"https://me:{SECRET}@h.example/x-1.0.zip").roots
    assert root.origin.path == "https://****@h.example/x-1.0.zip"
    (fault,) = faults_of({}, f"https://me:{SECRET}@h.example/x")
    assert SECRET not in f"{fault!r}"


def test_wishes_can_be_printed() -> None:
    wishes = read(
        f"-i https://me:{SECRET}@h.example/s\n--extra-index-url https://me:{SECRET}@h.example/t\n"
        f"-f https://me:{SECRET}@h.example/l\nx @ https://me:{SECRET}@h.example/x-1.0.zip\n"
    )
    assert SECRET not in repr(wishes)
    assert SECRET in wishes.credentials[0][2]
    assert SECRET in str(wishes.options.index_url)


class TestLocalReader:
    """The reader of this machine's files."""

    def test_it_reads_paths_and_addresses(self, tmp_path: Path) -> None:
        (tmp_path / "a b.txt").write_text("flask\n")
        reader = LocalReader(base=tmp_path)
        address = (tmp_path / "a b.txt").as_uri()
        assert reader.read("a b.txt") == reader.read(address) == b"flask\n"
        assert reader.is_file(address)
        assert reader.is_folder(".")
        assert reader.absolute("sub/../a b.txt") == reader.absolute(address) == address

    def test_what_is_not_there_is_neither_file_nor_folder(self, tmp_path: Path) -> None:
        reader = LocalReader(base=tmp_path)
        for path in ("gone", "a\0b", "file://other.example/x", "x" * 5000, "file://[x"):
            assert not reader.is_file(path)
            assert not reader.is_folder(path)

    def test_a_file_without_an_end_is_read_to_the_limit(self) -> None:
        assert len(LocalReader().read("/dev/zero")) == 16 * 2**20 + 1

    def test_an_address_goes_to_the_callable(self) -> None:
        assert LocalReader(fetch=lambda url: url.encode()).read("https://h.example/r.txt") == b"https://h.example/r.txt"

    def test_without_a_callable_an_address_is_a_network_fault(self) -> None:
        with pytest.raises(IndexFault) as caught:
            LocalReader().read(f"https://me:{SECRET}@h.example/r.txt")
        assert str(caught.value) == "https://****@h.example/r.txt: there is no network here to read it from"
        assert caught.value.hint == "download the file, and name its path"

    def test_real_faults_of_the_disk_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_text("-r gone.txt\n-r .\n-r file://other.example/x\n-r 'a\\\0b'\n")
        with pytest.raises(InputFaults):
            self._read(tmp_path)
        (tmp_path / "requirements.txt").write_text("-r gone.txt\n-r .\n-r file://other.example/x\n")
        with pytest.raises(InputFaults) as caught:
            self._read(tmp_path)
        assert [fault.code for fault in caught.value.faults] == ["not-found", "is-a-folder", "unreadable"]

    def _read(self, folder: Path) -> Wishes:
        return read_wishes(requirement_files=["requirements.txt"], reader=LocalReader(base=folder), environ={})
