"""The default index: the one that the installed pip has built in. No index address is spelt in this repository.

pip is looked up, not imported: its constant is read out of its source (half a millisecond). Should a pip to come keep
it elsewhere, ``pip help download`` says it too, at the price of a process (a second).
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin

from pypimirror.errors import UsageFault

__all__ = ["default_index"]

_HELP_SECONDS = 60.0
_STATED = re.compile(r"--index-url.*?\(default:?\s+(?P<url>https?://[^\s)]+)\)", re.DOTALL)


@lru_cache(maxsize=1)
def default_index() -> str:
    """The address of pip's built-in index, without a slash at its end.

    Raises UsageFault (``no-default-index``) where there is no pip, or it doesn't tell.
    """
    found = _from_source() or _from_help()
    if found is None:
        raise UsageFault(
            "no index is named, and the pip of this Python does not tell its own",
            code="no-default-index",
            hint="name one with --index-url, or install pip into this environment",
        )
    return found.rstrip("/")


def _from_source() -> str | None:
    """What pip's source says; None where it is not as expected, whatever the reason."""
    try:
        spec = importlib.util.find_spec("pip")
        if spec is None or spec.origin is None:
            return None
        source = Path(spec.origin).parent.joinpath("_internal", "models", "index.py").read_text(encoding="utf-8")
        return _constant(ast.parse(source))
    except (ImportError, OSError, SyntaxError, ValueError):
        return None


def _constant(tree: ast.Module) -> str | None:
    """``PyPI = PackageIndex(<base>, ...)`` joined with ``self.simple_url = self._url_for_path(<path>)``."""
    base = path = None
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        target, text = node.targets[0], _first_text(node.value)
        if isinstance(target, ast.Name) and target.id == "PyPI":
            base = text
        elif isinstance(target, ast.Attribute) and target.attr == "simple_url":
            path = text
    if base is None or path is None or not base.startswith(("http://", "https://")):
        return None
    return urljoin(base, path)


def _first_text(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _from_help() -> str | None:
    """What ``pip help download`` prints as the default, its settings left aside."""
    import subprocess  # noqa: PLC0415 - slow to import, and hardly ever needed

    # "--isolated" turns its variables off, but for the one that turns its files off.
    environ = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "COLUMNS": "10000", "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            (sys.executable, "-m", "pip", "--isolated", "help", "download"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            timeout=_HELP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _STATED.search(done.stdout.decode("utf-8", errors="replace"))
    return match["url"] if match else None
