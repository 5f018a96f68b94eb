"""Imports go down only, and each third-party library has one home. The message says what to do instead."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pypimirror

PACKAGE = Path(pypimirror.__file__).parent

FLOORS = {
    "pypimirror": 0,
    "pypimirror.errors": 0,
    "pypimirror.reporting": 0,
    "pypimirror.model": 0,
    "pypimirror.index": 1,
    "pypimirror.inputs": 1,
    "pypimirror.resolve": 1,
    "pypimirror.bundle.layout": 1,
    "pypimirror.bundle.faults": 1,
    "pypimirror.bundle.sealing": 1,
    "pypimirror.tree.anatomy": 1,
    "pypimirror.tree.answers": 1,
    "pypimirror.tree.compose": 1,
    "pypimirror.tree.fidelity": 1,
    "pypimirror.tree.contents": 1,
    "pypimirror.tree.hiding": 1,
    "pypimirror.tree.inventory": 1,
    "pypimirror.tree.layout": 1,
    "pypimirror.tree.ledger": 1,
    "pypimirror.tree.lists": 1,
    "pypimirror.tree.lock_files": 1,
    "pypimirror.tree.locks": 1,
    "pypimirror.tree.long_page": 1,
    "pypimirror.tree.marks": 1,
    "pypimirror.tree.page": 1,
    "pypimirror.tree.pages": 1,
    "pypimirror.tree.press": 1,
    "pypimirror.tree.printing": 1,
    "pypimirror.tree.readme": 1,
    "pypimirror.tree.rows": 1,
    "pypimirror.tree.served_index": 1,
    "pypimirror.tree.settings": 1,
    "pypimirror.tree.shards": 1,
    "pypimirror.tree.slices": 1,
    "pypimirror.disk": 1,
    "pypimirror.host": 2,
    "pypimirror.host_reader": 2,
    "pypimirror.kept": 2,
    "pypimirror.net": 2,
    "pypimirror.net.heads": 1,
    "pypimirror.build": 2,
    "pypimirror.bundle": 2,
    "pypimirror.tree": 2,
    "pypimirror.connected": 3,
    "pypimirror.closed": 3,
    "pypimirror.standing": 3,
    "pypimirror.upkeep": 3,
    "pypimirror.inhouse": 3,
    "pypimirror.repair": 3,
    "pypimirror.remembered": 3,
    "pypimirror.cli": 4,
    "pypimirror.__main__": 5,
}
"""The longest name that fits a module gives its floor."""

PURE = 1
MAY_TOUCH = {"pypimirror.disk"}
"""On a pure floor, and yet not pure: the seam to the disk."""

HOMES = {
    "click": ("pypimirror.cli",),
    "rich": ("pypimirror.cli",),
    "httpx": ("pypimirror.net",),
    "httpcore": ("pypimirror.net",),
    "resolvelib": ("pypimirror.resolve",),
    "pyproject_hooks": ("pypimirror.build",),
    "jinja2": ("pypimirror.tree",),
    "markupsafe": ("pypimirror.tree",),
}

IMPURE = {
    "pathlib.Path",
    "os",
    "sys",
    "time",
    "socket",
    "subprocess",
    "tempfile",
    "shutil",
    "random",
    "platform",
    "threading",
}
EXCUSED = {
    ("pypimirror.index.sdist", "sys"): "which tomllib there is",
    ("pypimirror.inputs.trees", "sys"): "which tomllib there is",
    ("pypimirror.inputs.written", "os"): "os.sep: local paths are written as this host writes them",
    ("pypimirror.tree.layout", "pathlib.Path"): "it names paths and opens none",
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("pypimirror", *path.relative_to(PACKAGE).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, also inside functions; ``from a import b`` gives both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name in place of a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(module: str) -> int:
    return FLOORS[max((name for name in FLOORS if f"{module}.".startswith(f"{name}.")), key=len)]


MODULES = dict(modules())


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    for name in imports(MODULES[module]):
        if name in MODULES and name != "pypimirror":
            assert floor(name) <= floor(module), (
                f"{module} (floor {floor(module)}) imports {name} (floor {floor(name)}): move what it needs down, "
                "or hand it in as an argument"
            )


@pytest.mark.parametrize("module", MODULES)
def test_the_two_halves_do_not_know_each_other(module: str) -> None:
    halves = {"pypimirror.connected": "pypimirror.closed", "pypimirror.closed": "pypimirror.connected"}
    other = halves.get(module)
    assert other is None or other not in set(imports(MODULES[module])), (
        f"{module} imports {other}: they share the model"
    )


@pytest.mark.parametrize("module", MODULES)
def test_each_library_has_one_home(module: str) -> None:
    for name in imports(MODULES[module]):
        library = name.partition(".")[0]
        homes = HOMES.get(library)
        assert homes is None or module.startswith(homes), (
            f"{module} imports {library}, whose home is {homes[0]}: let that folder offer what you need"
        )


@pytest.mark.parametrize("module", [name for name in MODULES if floor(name) <= PURE and name not in MAY_TOUCH])
def test_pure_modules_ask_nothing_of_the_host(module: str) -> None:
    for name in imports(MODULES[module]):
        asked = name if name in IMPURE else name.partition(".")[0]
        assert asked not in IMPURE or (module, asked) in EXCUSED, (
            f"{module} is pure and imports {asked}: let the caller find out, and hand it in"
        )


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_help_needs_neither_the_network_nor_rich() -> None:
    run(
        "import sys\n"
        "for name in ('httpx', 'rich', 'resolvelib', 'jinja2', 'ssl', 'pip'): sys.modules[name] = None\n"
        "from pypimirror.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: sys.exit(end.code)\n"
    )


def test_render_needs_no_network_and_no_resolver(tmp_path: Path) -> None:
    """A real bundle is rendered in a process in which these libraries can't be imported."""
    from tests.worlds import small_bundle  # noqa: PLC0415 - not needed by the tests above

    bundle = small_bundle(tmp_path / "small.tar")
    run(
        "import sys\n"
        "for name in ('httpx', 'httpcore', 'resolvelib', 'ssl', 'http.client', 'pip'): sys.modules[name] = None\n"
        "from pypimirror.cli import main\n"
        f"try: main(['render', {str(bundle)!r}, {str(tmp_path / 'tree')!r}])\n"
        "except SystemExit as end: sys.exit(end.code)\n"
    )
    assert (tmp_path / "tree" / "simple" / "index.html").is_file()
