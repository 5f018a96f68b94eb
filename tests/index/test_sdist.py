"""The metadata of an sdist is taken where it is static, and evil archives are refused or ignored in bounded time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
from collections.abc import Callable
from typing import get_args

import pytest
from packaging.requirements import Requirement

from pypimirror.errors import IntegrityFault, ResolutionFault
from pypimirror.index import sdist, tars
from pypimirror.index.backends import LEGACY_REQUIRES
from pypimirror.model.files import CoreMetadata
from pypimirror.model.names import parse_file_name
from tests.fakes.archives import SdistFormat, core_metadata_text, make_sdist, make_tar, make_zip

NAME = parse_file_name("thing-1.0.tar.gz")
PKG_INFO = core_metadata_text("thing", "1.0", metadata_version="2.2", requires_dist=["a>=1"]).encode()
PYPROJECT = b'[build-system]\nrequires = ["hatchling>=1"]\n'


def _static(filename: str, data: bytes) -> CoreMetadata:
    name = parse_file_name(filename)
    return sdist.core_metadata(sdist.read_metadata(io.BytesIO(data), name), name=name)


def _texts(data: bytes) -> sdist.SdistTexts:
    return sdist.read_metadata(io.BytesIO(data), NAME)


@pytest.mark.parametrize("form", get_args(SdistFormat))
def test_static_metadata_is_read_from_every_form_of_archive(form: SdistFormat) -> None:
    filename, data = make_sdist(
        "Some.Thing",
        "1.0",
        requires_dist=["a>=1", 'b; extra == "x"'],
        extras=["x"],
        requires_python=">=3.8",
        format=form,
    )
    read = _static(filename, data)
    assert (read.project, str(read.version)) == ("some-thing", "1.0")
    assert read.requires_dist == ("a>=1", 'b; extra == "x"')
    assert (read.provides_extra, read.requires_python) == (("x",), ">=3.8")
    assert read.build_requires == ()
    assert read.sha256 is not None


@pytest.mark.parametrize(
    ("pyproject", "requires"),
    [
        (None, LEGACY_REQUIRES),
        ("", LEGACY_REQUIRES),
        ("[tool.black]\nline-length = 100\n", LEGACY_REQUIRES),
        ('[build-system]\nrequires = ["hatchling>=1", "x"]\n', ("hatchling>=1", "x")),
        ("[build-system]\nrequires = []\n", ()),
    ],
)
def test_what_a_build_requires_is_told(pyproject: str | None, requires: tuple[str, ...]) -> None:
    assert _static(*make_sdist("thing", "1.0", pyproject=pyproject)).build_requires == requires


@pytest.mark.parametrize(
    "pyproject",
    ["= broken", "[build-system]\n", "[build-system]\nrequires = 3\n", 'build-system = "x"\n', "a = " + "[" * 9999],
)
def test_a_pyproject_that_no_build_could_read_is_a_fault(pyproject: str) -> None:
    with pytest.raises(IntegrityFault, match="pyproject") as caught:
        _static(*make_sdist("thing", "1.0", pyproject=pyproject))
    assert caught.value.code == "bad-sdist"


@pytest.mark.parametrize(
    ("version", "dynamic"),
    [
        ("2.1", ()),
        ("1.2", ()),
        ("2.2", ("Requires-Dist",)),
        ("2.4", ("requires-python", "License")),
        ("2.2", ("Provides-Extra",)),
        ("junk", ()),
    ],
)
def test_metadata_that_only_a_build_can_tell_is_a_fault_with_a_hint(version: str, dynamic: tuple[str, ...]) -> None:
    with pytest.raises(ResolutionFault) as caught:
        _static(*make_sdist("thing", "1.0", metadata_version=version, dynamic=dynamic, pyproject=None, setup_py="x"))
    assert caught.value.code == "metadata-not-static"
    assert "thing-1.0.tar.gz" in str(caught.value)
    assert "--allow-build" in caught.value.hint


def test_other_dynamic_fields_do_no_harm() -> None:
    read = _static(*make_sdist("thing", "1.0", metadata_version="2.10", dynamic=["License", "Summary"]))
    assert read.dynamic == {"license", "summary"}


def _from_project(table: str) -> CoreMetadata:
    """An sdist whose PKG-INFO settles nothing and whose [project] is this."""
    return _static(*make_sdist("thing", "1.0", metadata_version="2.1", pyproject=table, requires_dist=["no"]))


def test_a_project_table_that_leaves_nothing_open_is_as_good() -> None:
    read = _from_project(
        '[project]\nname = "Thing"\ndynamic = ["version", "readme"]\nrequires-python = ">=3.9"\n'
        'dependencies = ["a>=1", "b; os_name == \'nt\'"]\n'
        "[project.optional-dependencies]\nAll_Of = [\"c[x]>2\", \"d; os_name == 'nt' or os_name == 'x'\", "
        '"e @ https://files.example/e.zip"]\n'
    )
    assert read.requires_dist[:2] == ("a>=1", "b; os_name == 'nt'")
    expected = (
        'c[x]>2; extra == "all-of"',
        'd; (os_name == "nt" or os_name == "x") and extra == "all-of"',
        'e @ https://files.example/e.zip ; extra == "all-of"',
    )
    assert tuple(map(Requirement, read.requires_dist[2:])) == tuple(map(Requirement, expected))
    assert (read.provides_extra, read.requires_python) == (("all-of",), ">=3.9")
    assert read.build_requires == LEGACY_REQUIRES
    assert _from_project('[project]\nname = "thing"\nversion = "1.0.0"\n').requires_dist == ()


@pytest.mark.parametrize(
    "table",
    [
        '[project]\nname = "thing"\nversion = "1.0"\ndynamic = ["dependencies"]\n',
        '[project]\nname = "thing"\nversion = "1.0"\ndynamic = ["optional-dependencies"]\n',
        '[project]\nname = "thing"\nversion = "1.0"\ndynamic = ["requires-python"]\n',
        '[project]\nname = "thing"\n',
        '[project]\nversion = "1.0"\n',
        '[project]\nname = "thing"\nversion = "1.0"\ndependencies = "a"\n',
        '[project]\nname = "thing"\nversion = "1.0"\n[project.optional-dependencies]\nx = ["not a requirement"]\n',
        'project = "x"\n',
    ],
)
def test_a_project_table_that_leaves_something_open_is_not_static(table: str) -> None:
    with pytest.raises(ResolutionFault, match="only a build"):
        _from_project(table)


def test_an_sdist_of_something_else_is_an_integrity_fault() -> None:
    for members in (
        [("thing-1.0/PKG-INFO", PKG_INFO.replace(b"Name: thing", b"Name: other"))],
        [("thing-1.0/pyproject.toml", b'[project]\nname = "other"\nversion = "1.0"\n')],
        [("thing-1.0/pyproject.toml", b'[project]\nname = "thing"\nversion = "2.0"\n')],
    ):
        with pytest.raises(IntegrityFault) as caught:
            _static("thing-1.0.tar.gz", gzip.compress(make_tar(members)))
        assert caught.value.code == "metadata-mismatch"


def test_only_the_first_file_one_folder_deep_counts() -> None:
    members = [
        ("PKG-INFO", b"no"),
        ("/PKG-INFO", b"no"),
        ("../PKG-INFO", b"no"),
        ("thing-1.0/thing.egg-info/PKG-INFO", b"no"),
        ("./thing-1.0/PKG-INFO", PKG_INFO),
        ("thing-1.0/PKG-INFO", b"no"),
    ]
    assert _texts(gzip.compress(make_tar(members))).pkg_info == PKG_INFO
    zipped = sdist.read_metadata(io.BytesIO(make_zip(members)), parse_file_name("thing-1.0.zip"))
    assert zipped.pkg_info == PKG_INFO


def _tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue())


def _info(path: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_links_and_devices_are_passed_over(form: int) -> None:
    long = "thing-1.0/" + "d" * (80 if form == tarfile.USTAR_FORMAT else 300) + "/PKG-INFO"
    data = _tar(
        (_info(long), b"no" * 700),
        (_info("thing-1.0/PKG-INFO", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (_info("thing-1.0/PKG-INFO", tarfile.LNKTYPE, "../../etc/passwd"), b""),
        (_info("thing-1.0/PKG-INFO", tarfile.FIFOTYPE), b""),
        (_info("thing-1.0/PKG-INFO", tarfile.CHRTYPE), b""),
        (_info("thing-1.0/PKG-INFO", tarfile.DIRTYPE), b""),
        (_info("thing-1.0/pyproject.toml"), PYPROJECT),
        (_info("thing-1.0/PKG-INFO"), PKG_INFO),
        form=form,
    )
    read = _texts(data)
    assert (read.pkg_info, read.build_requires) == (PKG_INFO, ("hatchling>=1",))


def test_a_pax_path_names_the_member() -> None:
    info = _info("short")
    info.pax_headers = {"path": "thing-1.0/PKG-INFO", "comment": "x"}
    assert _texts(_tar((info, PKG_INFO), (_info("other"), b"x"))).pkg_info == PKG_INFO


def _header(path: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = _info(path, kind)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_link_that_states_a_size_has_no_contents_all_the_same() -> None:
    tar = _header("thing-1.0/link", 5000, tarfile.LNKTYPE) + make_tar([("thing-1.0/PKG-INFO", PKG_INFO)])
    assert _texts(gzip.compress(tar)).pkg_info == PKG_INFO


@pytest.mark.parametrize(
    ("tar", "said"),
    [
        (_header("thing-1.0/big", 10 << 30), "larger than 2147483648"),
        (_header("thing-1.0/PKG-INFO", 17 << 20), "larger than 16777216"),
        (_header("x", 2 << 20, tarfile.XHDTYPE), "larger than 1048576"),
        (_header("x", 2 << 20, tarfile.GNUTYPE_LONGNAME), "larger than 1048576"),
        (_header("x", 1 << 62), "larger than 2147483648"),
        (_header("x", -1), "damaged"),
        (_header("x", 100, tarfile.GNUTYPE_SPARSE), "sparse"),
        (_header("x", 5000), "damaged"),
        (b"\1" * 512, "damaged"),
        (_header("x", 0)[:300], "damaged"),
        (_header("x", 10, tarfile.XHDTYPE) + b"999 path=a".ljust(512, b"\0"), "damaged"),
        (_header("x", 10, tarfile.XHDTYPE) + b"junkjunkju".ljust(512, b"\0"), "damaged"),
        (_header("x", 11, tarfile.XHDTYPE) + b"11 size=-1\n".ljust(512, b"\0") + _header("y", 0), "damaged"),
        (_header("x", 0, tarfile.XHDTYPE) * 200_001, "more than 200000 members"),
    ],
)
def test_tars_out_of_all_bounds_are_refused_in_bounded_time(tar: bytes, said: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(IntegrityFault, match=said) as caught:
        _texts(gzip.compress(tar, 1))
    assert caught.value.code == "bad-sdist"
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("ending", "compress"), [("tar.gz", gzip.compress), ("tar.bz2", bz2.compress), ("tar.xz", lzma.compress)]
)
def test_a_bomb_is_given_up_at_the_bound(
    ending: str, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "MAX_UNPACKED", 20 << 20)
    bomb = (_header("thing-1.0/zeros", 8 << 20) + bytes(8 << 20)) * 4
    with pytest.raises(IntegrityFault, match="unpacked it is larger"):
        sdist.read_metadata(io.BytesIO(compress(bomb)), parse_file_name(f"thing-1.0.{ending}"))


def test_xz_that_asks_for_too_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    data = lzma.compress(b"x", filters=filters)
    with pytest.raises(IntegrityFault, match="damaged"):
        sdist.read_metadata(io.BytesIO(data), parse_file_name("thing-1.0.tar.xz"))


@pytest.mark.parametrize("form", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_a_cut_or_damaged_archive_is_refused_and_never_half_believed(form: SdistFormat) -> None:
    # With no pyproject.toml the reader must get to the end of the archive before it knows.
    filename, data = make_sdist("thing", "1.0", pyproject=None, format=form, files={"big": bytes(range(256)) * 4000})
    for cut in (0, 1, len(data) // 2, len(data) - 40):
        with pytest.raises(IntegrityFault) as caught:
            _static(filename, data[:cut])
        assert caught.value.code == "bad-sdist"
    for at in range(0, len(data), 211):
        damaged = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        try:
            _static(filename, damaged)
        except (IntegrityFault, ResolutionFault):
            continue


def test_an_error_of_the_disk_stays_what_it_is() -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        sdist.read_metadata(Broken(), NAME)


def test_an_archive_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(IntegrityFault, match="of this kind"):
        sdist.read_metadata(io.BytesIO(b""), parse_file_name("thing-1.0.tar.Z"))


def test_an_old_sdist_is_taken_at_the_word_of_the_file_that_it_has() -> None:
    """egg-info where there is one; else what PKG-INFO states itself, as old tools that are not setuptools wrote it."""
    stated = make_sdist("thing", "1.0", metadata_version="2.1", requires_dist=["lib>=1"], pyproject=None)
    egg = {"thing.egg-info/requires.txt": "other\n"}
    both = make_sdist("thing", "1.0", metadata_version="2.1", requires_dist=["lib>=1"], pyproject=None, files=egg)
    neither = make_sdist("thing", "1.0", metadata_version="1.2", pyproject=None)
    for (filename, data), wanted in ((stated, ("lib>=1",)), (both, ("other",)), (neither, ())):
        name = parse_file_name(filename)
        read = sdist.core_metadata(sdist.read_metadata(io.BytesIO(data), name), name=name, trust_egg_info=True)
        assert (read.requires_dist, read.learnt_from) == (wanted, "egg-info")


def test_a_setup_py_that_decides_by_code_what_it_is_built_with_is_marked() -> None:
    for script, undecided in (("setup(setup_requires=['a'])", False), ("setup(setup_requires=find())", True)):
        read = _static(*make_sdist("thing", "1.0", pyproject=None, setup_py=script))
        assert read.build_undecided is undecided
