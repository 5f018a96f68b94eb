"""What an sdist is written in is told by the names of its files, and by those alone that a build takes."""

from __future__ import annotations

import pytest

from pypimirror.index.languages import Languages, compiler_note


def _told(*paths: str) -> tuple[str, ...]:
    languages = Languages()
    for path in paths:
        languages.look(path)
    return languages.found()


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/thing.c", "C"),
        ("src/thing.CPP", "C++"),
        ("thing/_fast.pyx", "Cython"),
        ("Cargo.toml", "Rust"),
        ("rust/src/lib.rs", "Rust"),
        ("CMakeLists.txt", "CMake"),
        ("meson.build", "Meson"),
        ("thing/solve.f90", "Fortran"),
        ("thing/solve.F", "Fortran"),
        ("thing/start.S", "Assembler"),
    ],
)
def test_a_file_tells_a_language(path: str, language: str) -> None:
    assert _told(path) == (language,)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "thing.py",
        "README",
        "thing.c/",
        "c",
        "Makefile.",
        "thing.h",
        "cargo.toml.txt",
        "tests/fast.c",
        "thing/tests/fast.c",
        "Docs/example.rs",
        "examples/CMakeLists.txt",
        "thing/benchmarks/deep/down/x.cpp",
    ],
)
def test_other_files_and_those_aside_tell_nothing(path: str) -> None:
    assert _told(path) == ()


def test_a_folder_is_aside_by_its_whole_name_alone() -> None:
    assert _told("latest/thing.c", "thing/test_runner.rs", "protests/x.go") == ("C", "Go", "Rust")


def test_languages_come_once_by_name_whatever_the_order() -> None:
    paths = ["b.rs", "a.c", "CMakeLists.txt", "c.c", "Cargo.toml", "d.cpp"]
    assert _told(*paths) == _told(*reversed(paths)) == ("C", "C++", "CMake", "Rust")


def test_a_note_names_the_compiler_and_what_the_system_must_have() -> None:
    assert compiler_note((), "cffi") == ""
    assert compiler_note(("C",), "thing") == "a compiler (C)"
    assert compiler_note(("C", "Cython"), "cffi") == "a compiler (C, Cython), and libffi"
