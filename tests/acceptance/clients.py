"""The clients: how a person tells each where the tree is, and what it has installed afterwards, by normalised name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.acceptance.world import EVERYTHING, WISHES
from tests.tree.clients import environment, settings

__all__ = ["CLIENTS", "Job", "Refused"]

_SECONDS = 120
_QUIET = {"PYTHONWARNINGS": "ignore"}


class Refused(Exception):
    """A client ended with an error; the text is what it said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """*python* is that of the client's own environment; *work* a folder for this job alone."""

    client: str
    python: Path
    url: str
    links: bool
    work: Path
    env: Mapping[str, str]
    """Variables on top of a clean environment."""

    @property
    def index(self) -> str:
        return f"{self.url}simple/"

    @property
    def page(self) -> str:
        return f"{self.url}packages/index.html"

    @property
    def program(self) -> str:
        """The client's command, beside its Python."""
        name = {"pip-tools": "pip-compile"}.get(self.client, self.client.split()[0])
        return str(self.python.parent / name)

    def config(self, kind: str, **changes: str) -> dict[str, str]:
        """Variables that name a file with the settings that ``pypimirror config`` prints."""
        path = self.work / f"{kind}.conf"
        path.write_text(_settings(self, kind, links=self.links), encoding="utf-8")
        return {f"{kind.upper()}_CONFIG_FILE": str(path), **changes}

    def run(self, *command: str, cwd: Path | None = None, told: Mapping[str, str] | None = None) -> None:
        """Run a client in *cwd*, else in ``work``. Of variables that clients read it sees those of *told* alone.

        Raises Refused where it fails.
        """
        home = self.work / "home"
        home.mkdir(exist_ok=True)
        env = {name: value for name, value in environment(HOME=str(home)).items() if not name.startswith(_FOREIGN)}
        env |= {**_QUIET, **self.env, **(told or {})}
        done = subprocess.run(
            command, env=env, cwd=cwd or self.work, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if done.returncode != 0:
            raise Refused(f"{done.stdout}\n{done.stderr}".strip())


def _settings(job: Job, kind: str, *, links: bool) -> str:
    """What ``pypimirror config`` prints for a client. Raises Refused where it says that the client can't."""
    try:
        return settings(kind, "--url", job.url, *(["--find-links"] if links else []))
    except AssertionError as error:
        raise Refused(str(error)) from None


_FOREIGN = ("POETRY_", "PDM_", "HATCH_", "PIPX_", "PIPTOOLS_")


def _pip(job: Job) -> dict[str, str]:
    command = [str(job.python), "-m", "pip", "install", "--no-cache-dir", "--target", str(job.work / "into")]
    job.run(*command, *WISHES, told=job.config("pip"))
    return _installed(job.work / "into")


def _uv(job: Job) -> dict[str, str]:
    command = [job.program, "--no-cache", "pip", "install", "--target", str(job.work / "into")]
    job.run(*command, "--python", sys.executable, *WISHES, told=job.config("uv"))
    return _installed(job.work / "into")


def _old_uv(job: Job) -> dict[str, str]:
    """Told by options: it does not know all that is in our settings, and they say so."""
    command = [job.program, "--no-cache", "--no-config", "pip", "install", "--target", str(job.work / "into")]
    where = ["--no-index", "--find-links", job.page] if job.links else ["--default-index", job.index]
    job.run(*command, "--python", sys.executable, *where, *WISHES)
    return _installed(job.work / "into")


def _poetry(job: Job) -> dict[str, str]:
    # It has no words for a page of links; an address that ends in .html is one to it.
    source = _settings(job, "poetry", links=False).replace(job.index, job.page if job.links else job.index)
    project = _project(job, f"[tool.poetry]\npackage-mode = false\n{source}")
    variables = {
        "POETRY_VIRTUALENVS_IN_PROJECT": "1",
        "POETRY_VIRTUALENVS_USE_POETRY_PYTHON": "1",
        "POETRY_CACHE_DIR": str(job.work / "cache"),
        "POETRY_NO_INTERACTION": "1",
        "POETRY_KEYRING_ENABLED": "0",
    }
    job.run(job.program, "lock", cwd=project, told=variables)
    job.run(job.program, "install", cwd=project, told=variables)
    return _installed(project / ".venv")


def _pdm(job: Job) -> dict[str, str]:
    project = _project(job, f"[tool.pdm]\ndistribution = false\n{_settings(job, 'pdm', links=job.links)}")
    variables = {
        "PDM_CHECK_UPDATE": "0",
        "PDM_CACHE_DIR": str(job.work / "cache"),
        "PDM_LOG_DIR": str(job.work / "log"),
        "PDM_IGNORE_SAVED_PYTHON": "1",
    }
    job.run(str(job.python), "-m", "venv", "--without-pip", str(project / ".venv"))
    job.run(job.program, "lock", cwd=project, told=variables)
    job.run(job.program, "sync", cwd=project, told=variables)
    return _installed(project / ".venv")


def _hatch(job: Job) -> dict[str, str]:
    project = _project(job, f"""\
[tool.hatch.envs.default]
path = ".venv"
skip-install = true
dependencies = {json.dumps(WISHES)}
""", dependencies=())  # fmt: skip
    folders = {f"HATCH_{kind}_DIR": str(job.work / kind.lower()) for kind in ("DATA", "CACHE")}
    job.run(job.program, "env", "create", cwd=project, told={**folders, **job.config("pip", PIP_NO_CACHE_DIR="1")})
    return _installed(project / ".venv")


def _pipx(job: Job) -> dict[str, str]:
    folders = {"PIPX_HOME": str(job.work / "pipx"), "PIPX_BIN_DIR": str(job.work / "bin")}
    shared = {"PIPX_SHARED_LIBS": str(job.python.parent.parent / "home" / "shared")}
    settled = job.config("pip", PIP_NO_CACHE_DIR="1")
    job.run(job.program, "install", EVERYTHING, told={**folders, **shared, **settled})
    return _installed(job.work / "pipx" / "venvs" / EVERYTHING)


def _pip_tools(job: Job) -> dict[str, str]:
    (job.work / "wishes.in").write_text("\n".join(WISHES), encoding="utf-8")
    options = ["--no-header", "--strip-extras", "--generate-hashes", "--cache-dir", str(job.work / "cache")]
    job.run(job.program, *options, "-o", "pins.txt", "wishes.in", told=job.config("pip"))
    text = (job.work / "pins.txt").read_text("utf-8")
    assert text.count("--hash=sha256:") >= len(WISHES), text
    return {_normalised(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


_RECORDING = """\
import json, pathlib, zipfile
from importlib.metadata import distributions

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    found = {each.metadata["Name"]: each.version for each in distributions()}
    pathlib.Path("found.json").write_text(json.dumps(found))
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / "project-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("project-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1.0\\n")
    return "project-1.0-py3-none-any.whl"
"""


def _build(job: Job) -> dict[str, str]:
    """A project whose build asks for all of it; its backend tells what it found."""
    project = job.work / "project"
    project.mkdir()
    (project / "backend.py").write_text(_RECORDING, encoding="utf-8")
    lines = ["[build-system]", f"requires = {json.dumps(WISHES)}", 'build-backend = "backend"', 'backend-path = ["."]']
    (project / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    settled = job.config("pip", PIP_NO_CACHE_DIR="1")
    job.run(str(job.python), "-m", "build", "--wheel", cwd=project, told=settled)
    found = json.loads((project / "found.json").read_text("utf-8"))
    return _without_tools({_normalised(name): version for name, version in found.items()})


def _project(job: Job, more: str, dependencies: Iterable[str] = WISHES) -> Path:
    folder = job.work / "project"
    folder.mkdir()
    minor = sys.version_info.minor
    lines = ["[project]", 'name = "project"', 'version = "1.0"', f'requires-python = ">=3.{minor},<3.{minor + 1}"']
    lines += [f"dependencies = {json.dumps(list(dependencies))}", more]
    (folder / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def _installed(folder: Path) -> dict[str, str]:
    names = [path.name.removesuffix(".dist-info") for path in folder.glob("**/*.dist-info")]
    return _without_tools({_normalised(name.rpartition("-")[0]): name.rpartition("-")[2] for name in names})


def _without_tools(found: Mapping[str, str]) -> dict[str, str]:
    """Without what the client itself put there."""
    return {name: found[name] for name in sorted(found) if name not in ("pip", "setuptools", "wheel", EVERYTHING)}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


CLIENTS: Mapping[str, Callable[[Job], dict[str, str]]] = MappingProxyType({
    "pip 19.3": _pip,
    "pip 22.3": _pip,
    "pip 23.2": _pip,
    "pip 25.0": _pip,
    "pip": _pip,
    "uv 0.4": _old_uv,
    "uv": _uv,
    "poetry": _poetry,
    "pdm": _pdm,
    "hatch": _hatch,
    "pipx": _pipx,
    "pip-tools": _pip_tools,
    "build": _build,
})  # fmt: skip
"""By the names of ``PROGRAMS``."""
