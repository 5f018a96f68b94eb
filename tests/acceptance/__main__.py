"""Print the table: ``python -m tests.acceptance [--clients A,B] [--ways A,B] [--refresh] [--install A,B]``."""

# ruff: noqa: T201 - a program that prints a table

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.acceptance.cell import Asked, Cell, run_cell
from tests.acceptance.programs import PROGRAMS, install
from tests.acceptance.table import faults, markdown
from tests.acceptance.ways import WAYS
from tests.acceptance.world import make_tree


def main() -> int:
    asked = _arguments()
    pythons = _installed(asked.install or asked.clients, refresh=asked.refresh)
    if asked.install:
        return 0
    ways = [way for way in asked.ways if _is_here(way)]
    with tempfile.TemporaryDirectory(prefix="pypimirror-acceptance-") as name:
        folder = Path(name)
        tree = make_tree(folder / "world")
        pairs = [(client, way) for client in pythons for way in ways]
        with ThreadPoolExecutor(asked.jobs) as pool:
            cells = pool.map(lambda pair: _cell(pair[0], pair[1], pythons[pair[0]], tree, folder), pairs)
            table = dict(zip(pairs, cells, strict=True))
    print(markdown(table, {client: _version(client, pythons[client]) for client in pythons}))
    if not all(cell.alone for cell in table.values()):
        print("\nNo network of one's own could be made: proxies that are not there kept clients from other addresses.")
    bad = {pair: found for pair, cell in table.items() if (found := faults(*pair, cell))}
    for (client, way), found in bad.items():
        print(f"\n### {client}, {way}\n", *found, sep="\n")
    lost = set(asked.clients) - set(pythons)
    return 1 if bad or lost else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance", description=sys.modules[__name__].__doc__)
    for name, among in (("clients", PROGRAMS), ("ways", WAYS)):
        parser.add_argument(f"--{name}", type=_Names(among), default=list(among), metavar="A,B")
    parser.add_argument("--install", type=_Names(PROGRAMS), metavar="A,B", help="install these clients, and end")
    parser.add_argument("--refresh", action="store_true", help="look for newer clients")
    parser.add_argument("--jobs", type=int, default=2, help="cells at the same time")
    return parser.parse_args()


class _Names:
    """The converter of an option: names with commas between them, all of them *among* the known ones."""

    def __init__(self, among: Collection[str]) -> None:
        self._among = among

    def __call__(self, text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in self._among]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(self._among)}")
        return names


def _installed(names: Collection[str], *, refresh: bool) -> dict[str, Path]:
    """Their Pythons. Those that can't be installed are said."""

    def one(name: str) -> Path | None:
        try:
            return install(name, refresh=refresh)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            print(f"{name} could not be installed: {error}", file=sys.stderr)
            return None

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(names, pool.map(one, names), strict=True))
    return {name: python for name, python in found.items() if python is not None}


def _is_here(way: str) -> bool:
    if WAYS[way].program() is None:
        print(f"{way} is left out: its server is not installed", file=sys.stderr)
        return False
    return True


def _cell(client: str, way: str, python: Path, tree: Path, folder: Path) -> Cell:
    work = str(folder / f"{client} {way}".replace(" ", "-").replace("/", "root"))
    cell = run_cell(Asked(client=client, way=way, python=str(python), tree=str(tree), work=work))
    shutil.rmtree(work, ignore_errors=True)  # environments by the dozen: none is looked at again
    print(f"{client}, {way}: {cell.seconds:.1f} s", file=sys.stderr)
    return cell


def _version(client: str, python: Path) -> str:
    distribution = client.split(maxsplit=1)[0]
    script = (
        f"import sys; from importlib.metadata import version; print(version({distribution!r}), sys.version_info[1])"
    )
    if distribution == "pip":
        script = "import sys, pip; print(pip.__version__, sys.version_info[1])"
    told = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True, timeout=60)
    version, minor = told.stdout.split()
    return f"{distribution} {version} (3.{minor})"


if __name__ == "__main__":
    sys.exit(main())
