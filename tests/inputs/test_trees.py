"""Source trees as requirements: folders and git repositories, each by name."""

from __future__ import annotations

import pytest

from pypimirror.model.requests import Root, SourceTree
from tests.inputs.files import faults_of, read

FOLDERS: dict[str, str | bytes | Exception] = {
    "app/pyproject.toml": '[project]\nname = "My.App"\n',
    "poetic/pyproject.toml": '[tool.poetry]\nname = "poetic"\n',
    "old/setup.cfg": "[metadata]\nname = old-one\n",
    "bad/pyproject.toml": "[project\n",
    "odd/pyproject.toml": '[project]\nname = "../x"\n',
    "mono/packages/part/pyproject.toml": '[project]\nname = "part"\n',
}


def root(text: str) -> Root:
    (only,) = read({**FOLDERS, "requirements.txt": f"{text}\n"}).roots
    return only


@pytest.mark.parametrize(
    ("text", "requirement", "url", "subdirectory"),
    [
        ("./app", "My.App", "file:///here/app", ""),
        ("./app/", "My.App", "file:///here/app", ""),
        ("./app[cli,web]", "My.App[cli,web]", "file:///here/app", ""),
        ("./app ; os_name == 'nt'", 'My.App; os_name == "nt"', "file:///here/app", ""),
        ("./poetic", "poetic", "file:///here/poetic", ""),
        ("./old", "old-one", "file:///here/old", ""),
        ("file:///here/app", "My.App", "file:///here/app", ""),
        ("named @ file:///here/bad", "named", "file:///here/bad", ""),
        ("named[x] @ file:///here/app ; os_name == 'nt'", 'named[x]; os_name == "nt"', "file:///here/app", ""),
        ("file:///here/mono#subdirectory=packages/part", "part", "file:///here/mono", "packages/part"),
    ],
)
def test_a_folder_is_a_source_tree_with_the_name_that_it_states(
    text: str, requirement: str, url: str, subdirectory: str
) -> None:
    found = root(text)
    assert (str(found.requirement), found.source) == (requirement, SourceTree(url=url, subdirectory=subdirectory))
    assert found.direct is None


@pytest.mark.parametrize(
    ("text", "requirement", "tree"),
    [
        ("x @ git+https://h.example/x.git", "x", SourceTree(url="git+https://h.example/x.git")),
        ("x @ git+https://h.example/x@v1.0", "x", SourceTree(url="git+https://h.example/x", revision="v1.0")),
        (
            "x[a] @ git+ssh://git@h.example/me/x.git@main#subdirectory=py/x",
            "x[a]",
            SourceTree(url="git+ssh://git@h.example/me/x.git", revision="main", subdirectory="py/x"),
        ),
        ("git+https://h.example/x.git@feature/a#egg=x", "x",
         SourceTree(url="git+https://h.example/x.git", revision="feature/a")),
        ("x @ git+file:///here/repo@abc", "x", SourceTree(url="git+file:///here/repo", revision="abc")),
    ],
)  # fmt: skip
def test_a_repository_is_a_source_tree_with_its_revision(text: str, requirement: str, tree: SourceTree) -> None:
    found = root(text)
    assert (str(found.requirement), found.source) == (requirement, tree)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("./bad", "unnamed-project"),
        ("./odd", "unnamed-project"),
        ("file:///here/mono", "unnamed-project"),
        ("file:///here/mono#subdirectory=../app", "bad-url"),
        ("file:///here/mono#subdirectory=gone", "not-found"),
        ("git+https://h.example/x.git", "unnamed-project"),
        ("x @ git+https://me:secret@h.example/x.git", "bad-url"),
        ("x @ git+https://token@h.example/x.git", "bad-url"),
        ("x @ git+https://h.example/x.git@--upload-pack=evil", "bad-url"),
        ("x @ svn+https://h.example/x", "version-control"),
        ("x @ git+ext://h.example/x", "version-control"),
        ("-e ./app", "editable"),
        ("-c limits.txt", "bad-constraint"),
    ],
)
def test_what_can_not_be_built_from_is_refused(text: str, code: str) -> None:
    files = {**FOLDERS, "limits.txt": "app @ file:///here/app\n", "requirements.txt": f"{text}\n"}
    (fault,) = faults_of(files)
    assert fault.code == code
    assert "secret" not in str(fault)
    assert fault.hint


def test_a_tree_has_no_hash_and_so_is_refused_in_hash_mode() -> None:
    assert faults_of({**FOLDERS, "requirements.txt": f"./app\nother==1 --hash=sha256:{'0' * 64}\n"})
