"""Every fault of the inputs, word for word."""

from pathlib import Path

import pytest

from pypimirror.errors import IndexFault, InputFaults, UsageFault
from pypimirror.inputs.requirements import read_wishes
from tests.inputs.files import Files, faults_of, read

BESIDE: dict[str, str | bytes | Exception] = {
    "dist/x-1.0-py3-none-any.whl": "",
    "project/pyproject.toml": "",
    "notes.txt": "x",
    "b.txt": "-r requirements.txt\n",
    "bad.txt": "# fine\nfoo=1\n",
    "uv.lock": "",
    "pyproject.toml": "",
    "page.txt": "<!DOCTYPE html><html>",
    "zip.txt": b"PK\x03\x04",
    "zeros.txt": b"flask\n\0\0\0",
    "json.txt": '{"a": 1}',
    "latin.txt": b"a\nb\nc # \xe9",
    "wrong.txt": b"# coding: utf-16\nflask\n",
    "odd.txt": b"# coding: klingon\nflask\n",
    "hex.txt": b"# coding: hex\n00\n",
    "escape.txt": b"# coding: unicode_escape\n\\d\n",
    "locked.txt": PermissionError(13, "Permission denied"),
}
EXAMPLE = 'a requirement is like: name[extra] >= 1.0, < 2 ; python_version < "3.12"'
UTF8 = (
    "save it as UTF-8, or say its encoding in the first line, as in '# -*- coding: latin-1 -*-'; "
    "this machine's locale is never used"
)
CODEC = "say an encoding that Python knows, or save the file as UTF-8 and leave the comment out"


def blocks() -> list[tuple[str, dict[str, str]]]:
    """The blocks of ``error_words.txt``: the bad lines, and what is said of them by its sign."""
    found = []
    for block in Path(__file__).with_name("error_words.txt").read_text(encoding="utf-8").split("\n\n")[1:]:
        rows = block.splitlines()
        bad = "\n".join(row[2:] for row in rows if row.startswith("<"))
        found.append((bad, {row[0]: row[2:] for row in rows if not row.startswith("<")}))
    return found


@pytest.mark.parametrize(("bad", "said"), blocks(), ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_a_bad_line_is_told_in_these_words(bad: str, said: dict[str, str]) -> None:
    (fault,) = faults_of({"requirements.txt": bad, **BESIDE})
    assert {"!": fault.code, "=": str(fault), "?": fault.hint} == {"?": "", **said}


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("latin.txt", "latin.txt:3: not UTF-8 (byte 0xe9)", UTF8),
        ("wrong.txt", "wrong.txt: not utf-16, as its first lines say", "save it as UTF-8"),
        ("odd.txt", "odd.txt:1: unknown encoding 'klingon'", CODEC),
        ("hex.txt", "hex.txt:1: 'hex' is not an encoding for text files", "save it as UTF-8"),
        ("escape.txt", "escape.txt:1: 'unicode_escape' is not an encoding for text files", CODEC),
    ],
)
def test_a_file_that_can_not_be_decoded_is_told_once(name: str, message: str, hint: str) -> None:
    (fault,) = faults_of({"requirements.txt": f"-r {name}\n", **BESIDE})
    assert fault.code == "bad-encoding"
    assert str(fault).removeprefix("requirements.txt:1: ").replace(f"'{name}': ", f"{name}: ") == message
    assert fault.hint == hint


@pytest.mark.parametrize(
    ("argument", "message", "hint"),
    [
        ("foo=1", "'foo=1' is not a requirement", "write '==' for an exact version"),
        ("-e .", "'-e .' is an option, not a requirement", "give it as an argument of its own, before any '--'"),
        ("notes.txt", "'notes.txt' is a file, not a requirement", "to read requirements from it, say '-r' before it"),
        ("./project", "'./project' does not tell its project's name", "write its name before it: name @ file:///..."),
        ("foo --pre", "'foo --pre' is not a requirement", EXAMPLE),
    ],
)
def test_a_bad_argument_is_told_by_its_words(argument: str, message: str, hint: str) -> None:
    (fault,) = faults_of(BESIDE, argument)
    assert (str(fault), fault.hint) == (message, hint)


def test_every_fault_of_all_files_and_arguments_is_told_in_one_run() -> None:
    files = {
        "requirements.txt": "-c sub/limits.txt\nfoo=1\nfine==1\n-r sub/more.txt\n-r gone.txt\n-e .\n",
        "sub/more.txt": "bar=2\n-r deeper/deep.txt\n-r deeper/deep.txt\n",
        "sub/deeper/deep.txt": "ok\nbaz=3\n",
        "sub/limits.txt": "fine[extra]<2\nhttps://h.example/x-1.0.tar.gz\n",
    }
    assert [str(fault) for fault in faults_of(files, "qux=4", "good")] == [
        "'qux=4' is not a requirement",
        "sub/limits.txt:1: 'fine[extra]<2' is a constraint with extras",
        "sub/limits.txt:2: 'https://h.example/x-1.0.tar.gz' is a constraint without a name",
        "requirements.txt:2: 'foo=1' is not a requirement",
        "sub/more.txt:1: 'bar=2' is not a requirement",
        "sub/deeper/deep.txt:2: 'baz=3' is not a requirement",
        "requirements.txt:5: 'gone.txt': no such file",
        "requirements.txt:6: '-e .' can't cross the gap: it is an editable install",
    ]


def test_ten_bad_lines_are_ten_messages() -> None:
    assert len(faults_of("".join(f"foo{i}=1\n" for i in range(10)))) == 10


def test_a_file_that_is_no_requirements_file_is_told_once() -> None:
    (fault,) = faults_of("".join(f"this is line {i} of a letter\n" for i in range(500)))
    assert str(fault) == "requirements.txt: this is not a requirements file: 500 of 500 lines can't be read"


@pytest.mark.timeout(20)
def test_a_huge_file_of_nonsense_is_not_read_to_its_end() -> None:
    (fault,) = faults_of("a b\n" * 4_000_000)
    assert str(fault) == "requirements.txt: this is not a requirements file: 1000 of 1000 lines can't be read"
    assert len(faults_of("a b\nc\n" * 100_000)) == 1001


def test_many_bad_lines_among_good_ones_are_all_told() -> None:
    assert len(faults_of("".join(f"foo{i}=1\nbar{i}\n" for i in range(100)))) == 100


def test_more_than_a_thousand_faults_are_counted() -> None:
    faults = faults_of("".join(f"foo{i}=1\nbar{i}\n" for i in range(1500)))
    assert len(faults) == 1001
    assert str(faults[-1]) == "... and 500 more faults"


def test_a_cycle_is_told_with_its_chain() -> None:
    (fault,) = faults_of({"requirements.txt": "-r b.txt\n", "b.txt": "a\n-c ./c/../requirements.txt\n"})
    assert fault.code == "include-cycle"
    assert str(fault) == (
        "b.txt:2: 'c/../requirements.txt' includes itself: requirements.txt -> b.txt -> c/../requirements.txt"
    )


def test_a_missing_root_file_is_told_by_its_path() -> None:
    with pytest.raises(InputFaults) as caught:
        read_wishes(requirement_files=["a.txt", "uv.lock"], constraint_files=["b.txt"], reader=Files({}), environ={})
    assert [str(fault) for fault in caught.value.faults] == [
        "b.txt: no such file",
        "a.txt: no such file",
        "uv.lock: this is a lock file, not a requirements file",
    ]


def test_a_network_failure_keeps_its_own_family() -> None:
    failure = IndexFault("no route to host", code="unreachable", hint="try again")
    with pytest.raises(IndexFault) as caught:
        read({"requirements.txt": "-r https://h.example/r.txt\nflask\n", "https://h.example/r.txt": failure})
    assert caught.value is failure


def test_a_network_failure_beside_other_faults_is_one_of_them() -> None:
    failure = IndexFault("no route to host", code="unreachable", hint="try again")
    faults = faults_of({"requirements.txt": "-r https://h.example/r.txt\nfoo=1\n", "https://h.example/r.txt": failure})
    assert [str(fault) for fault in faults] == ["requirements.txt:2: 'foo=1' is not a requirement", "no route to host"]


def test_a_readers_usage_fault_is_told_at_the_line_that_includes_it() -> None:
    failure = UsageFault("https://me:pw@h.example/r.txt needs a login", code="login")
    (fault,) = faults_of({"requirements.txt": "-r https://h.example/r.txt\n", "https://h.example/r.txt": failure})
    assert str(fault) == "requirements.txt:1: 'https://h.example/r.txt': https://****@h.example/r.txt needs a login"


def test_sizes_are_bounded() -> None:
    assert [fault.code for fault in faults_of(b"#" * (16 * 2**20 + 1))] == ["too-large"]
    assert [fault.code for fault in faults_of("flask\n" + "a" * 2**20 + "b\nclick\n")] == ["line-too-long"]
    big = {"BIG": "x" * 2**19}
    assert [fault.code for fault in faults_of("a-${BIG}${BIG}${BIG}\n", environ=big)] == ["line-too-long"]
    assert [fault.code for fault in faults_of("a>" + "1" * 70_000)] == ["line-too-long"]


def test_nesting_is_bounded() -> None:
    files = {f"{i}.txt": f"-r {i + 1}.txt\n" for i in range(60)} | {"60.txt": "", "requirements.txt": "-r 0.txt\n"}
    (fault,) = faults_of(files)
    assert str(fault) == "48.txt:1: '49.txt' is included more than 50 files deep"


def test_an_avalanche_of_includes_is_read_once_each() -> None:
    files = Files(
        {"requirements.txt": "-r 0.txt\n"} | {f"{i}.txt": f"-r {i + 1}.txt\n" * 5 for i in range(40)} | {"40.txt": "a"}
    )
    assert len(read(files).roots) == 1
    assert len(files.reads) == 42


def test_the_number_of_files_is_bounded() -> None:
    files = {f"{i}.txt": f"a{i}\n" for i in range(1100)}
    text = "".join(f"-r {i}.txt\n" for i in range(1100))
    (fault,) = faults_of({"requirements.txt": text, **files})
    assert str(fault) == "requirements.txt:1000: more than 1,000 files are included"
