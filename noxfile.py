"""What developers and ``.ci/run`` run. The default sessions change nothing, and need an index only to install from.

nox              lint, types, tests on most Pythons that are there, minimums, dist
nox -s tests     tests on each Python that is there
nox -l           every session, with its docstring
nox -s tests-3.12 -- -k tree -x
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
"""Those that are not there are skipped, and said. Sessions that need just one take the Python that runs nox."""

# The oldest Python has its tests in ``minimums``, with the oldest versions; one that lies between two others is left to
# ``nox -s tests``, which takes them all: the gate has a quarter of an hour on two cores.
GATE = [python for python in PYTHONS if python not in ("3.10", "3.12")]
nox.options.sessions = ["lint", "types", *(f"tests-{python}" for python in GATE), "minimums", "dist"]

# pyenv keeps its Pythons off the PATH until they are chosen; "each Python that is there" means these, too.
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(Path.home().glob(".pyenv/versions/*/bin")))])

ONCE = [
    "tests/acceptance",
    "tests/benchmarks",
    "tests/build",
    "tests/crashes",
    "tests/bundle/test_damage.py",
    "tests/bundle/test_hostile.py",
]
ONCE += [
    f"tests/tree/test_{name}.py"
    for name in (
        "answers", "clients", "damaged_bundles", "inhouse", "large", "locks_clients", "markup", "publish", "repair",
        "server", "server_settings", "servers", "settings", "storm", "upkeep", "verify",
    )
]  # fmt: skip
ONCE += ["tests/cli/test_add.py", "tests/cli/test_upkeep.py", "tests/net/test_ahead.py"]
"""What takes long, and does not depend on the Python that runs it: crashes, attacks, real clients and servers."""

PROJECT = nox.project.load_toml("pyproject.toml")
CLEAN = {"PIP_CONFIG_FILE": "/dev/null"}
"""Tests must not depend on how this machine's pip is set up. Installing before them may."""


def group(name: str) -> list[str]:
    """The requirements of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on each Python that is there; what follows ``--`` goes to pytest.

    On the Python that runs nox all of them, on the others those that may come out otherwise there.
    """
    session.install("-e", ".", *group("test"))
    everything = session.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    left_out = [] if everything else [f"--ignore={path}" for path in (*ONCE, "tests/cli/test_builds.py")]
    if everything:  # clients to try a tree with, in environments of their own; those that can't be had are said
        session.run("python", "-m", "tests.acceptance", "--install", "pip 23.2,poetry")
    session.run("pytest", "-n", "2", *(session.posargs or ["-m", "not online and not slow", *left_out]), env=CLEAN)


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take more than ten seconds each: every bit flipped, gigabytes packed."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-n", "2", "-m", "slow and not online", *session.posargs, env=CLEAN)


@nox.session(python="3.10")
def minimums(session: nox.Session) -> None:
    """The tests with the oldest versions that pyproject.toml admits, on the oldest Python.

    Without those that meet no library of others in our process: containers, crashes, and what clients do with a tree.
    """
    lowest = [requirement.partition(",")[0].replace(">=", "==") for requirement in PROJECT["project"]["dependencies"]]
    session.install(*lowest, *group("test"))
    session.install("-e", ".", "--no-deps")
    left_out = [f"--ignore={path}" for path in ONCE]
    session.run("pytest", "-n", "2", "-m", "not online and not slow", *left_out, *session.posargs, env=CLEAN)


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, over the package, the tests and this file."""
    session.install("-e", ".", *group("types"))
    session.run("mypy")
    session.run("mypy", "--explicit-package-bases", "noxfile.py")


@nox.session
def lint(session: nox.Session) -> None:
    """The rules of ruff, and its format."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def dist(session: nox.Session) -> None:
    """Build the sdist and the wheel, install the wheel alone, bundle and render with it: shows what it lacks."""
    session.install("build", "flit_core>=3.11,<4")
    folder = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", "--outdir", str(folder), silent=True)
    (wheel,) = folder.glob("*.whl")
    session.install("--force-reinstall", str(wheel))
    work = folder.parent
    with session.chdir(work):
        bundle, tree = work / "own.tar", work / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        asked = [f"./dist/{wheel.name}", "--no-index", "-f", "wheelhouse"]
        session.run("pip", "download", "-q", "-d", "wheelhouse", str(wheel), silent=True)
        session.run("pypimirror", "bundle", *asked, "-o", str(bundle), "--no-cache", "-q", env=CLEAN)
        session.run("pypimirror", "render", str(bundle), str(tree), env=CLEAN)


@nox.session
def online(session: nox.Session) -> None:
    """The tests that ask the index of this machine's pip: each example, for foreign targets, installed at the end."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-m", "online", "-s", *session.posargs)


@nox.session
def sdists(session: nox.Session) -> None:
    """Real sdists, installed from a tree alone; then the share of popular ones whose metadata is static, as a table."""
    session.install("-e", ".", *group("test"))
    alone = {**CLEAN, "PIP_EXTRA_INDEX_URL": None, "PIP_FIND_LINKS": None}
    session.run("pytest", "-m", "online", "tests/online/test_sdists.py", env=alone)
    session.run("python", "-m", "tests.online.static_share", *session.posargs, env=alone)


@nox.session
def clients(session: nox.Session) -> None:
    """Print the table: clients x ways to a tree, what each installs from it, and what it asks for."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.acceptance", *session.posargs)


@nox.session
def agreement(session: nox.Session) -> None:
    """Print the table: the pins of each example on six targets, beside those of ``uv pip compile``."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.agreement", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Race bundle against pip, uv and curl over a recorded index; what follows ``--`` goes to the suite: -n 3, ...

    Records the index that this machine's pip asks on first use (2 GB, outside the repository), never again. Writes
    tests/benchmarks/RESULTS.md and results.svg. An hour for everything: ``-- --heat cold --workload W1`` is a minute.
    """
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.benchmarks", "record", "--missing")
    session.run("python", "-m", "tests.benchmarks.parse_pages")
    session.run("python", "-m", "tests.benchmarks", "suite", *session.posargs)


@nox.session
def trees(session: nox.Session) -> None:
    """Race render and what keeps a tree against other makers of static indexes, at 1,000 to 100,000 files.

    Writes tests/benchmarks/trees/TREES.md and trees.svg. An hour for everything: ``-- --files 1000 -n 1`` is a minute.
    """
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.benchmarks.trees", *session.posargs)


@nox.session
def flames(session: nox.Session) -> None:
    """Write a flame graph of each workload, and print where more than 5 % of the CPU goes. ``-- --workload W2``."""
    session.install("-e", ".", "py-spy", *group("test"))
    session.run("python", "-m", "tests.benchmarks", "record", "--missing")
    session.run("python", "-m", "tests.benchmarks", "flames", *session.posargs)


if __name__ == "__main__":
    nox.main()
