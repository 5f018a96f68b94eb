"""What the tests of the connected world share."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from pathlib import Path

from pypimirror.connected import Request
from pypimirror.host_reader import LocalReader
from pypimirror.inputs.requirements import read_wishes
from pypimirror.model.aim import target
from pypimirror.model.files import ListedFile
from pypimirror.model.names import NormalizedName, label, project_name
from pypimirror.model.requests import FormatControl, Policy, WishSet
from pypimirror.net.cache import Cache
from pypimirror.net.client import Client, Limits
from pypimirror.net.credentials import Credentials
from pypimirror.net.online_index import OnlineIndex
from pypimirror.net.settings import Settings, Source
from pypimirror.reporting import Reporter
from tests.fakes.archives import make_wheel
from tests.fakes.server import FakeServer, ServedFile

QUICK = Limits(backoff=0.01, longest_backoff=0.05)


def settings_for(*sources: Source, **changes: object) -> Settings:
    base: dict[str, object] = {"credentials": Credentials(environ={}), "timeout": 2.0, "retries": 2}
    return Settings(sources=sources, **{**base, **changes})  # type: ignore[arg-type]  # the tests' own keywords


def index_source(server: FakeServer, index: str = "simple", *, name: str = "index.example") -> Source:
    return Source(name=name, url=f"{server.url}/{index}", kind="index")


def add_wheel(
    server: FakeServer,
    name: str = "demo",
    version: str = "1.0",
    *,
    size: int = 0,
    requires_dist: tuple[str, ...] = (),
    **served: object,
) -> ServedFile:
    """A wheel in the universe, of *size* bytes at least."""
    filename, data = make_wheel(name, version, requires_dist=requires_dist, files={f"{name}.bin": noise(size)})
    return server.add(filename, data, **served)  # type: ignore[arg-type]  # the server's own keywords


def noise(size: int) -> bytes:
    """Bytes that don't compress, the same each time."""
    return b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(size // 32 + 1))[:size]


class Recorder(Reporter):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.retries: list[str] = []
        self.bytes: Counter[str] = Counter()
        self.done: dict[str, bool] = {}
        self.total: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def retrying(self, *, what: str, reason: str, attempt: int, wait: float) -> None:
        self.retries.append(f"{what}: {reason}, {attempt}, {wait >= 0}")

    def download_total(self, *, files: int, size: int) -> None:
        self.total = (files, size)

    def download_bytes(self, *, filename: str, count: int) -> None:
        with self._lock:
            self.bytes[filename] += count

    def download_done(self, *, filename: str, size: int, from_cache: bool) -> None:
        with self._lock:
            self.done[filename] = from_cache
            assert size > 0


class World:
    """A client, a cache and an index over *settings*, as one run has them. A context manager."""

    def __init__(self, folder: Path, settings: Settings, *, limits: Limits = QUICK) -> None:
        self.reporter = Recorder()
        self.cache = Cache(folder)
        self.client = Client(settings, reporter=self.reporter, limits=limits)
        self.index = OnlineIndex(self.client, self.cache, settings, self.reporter)

    def __enter__(self) -> World:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.index.close()
        self.client.__exit__(None, None, None)

    def files(self, project: str = "demo") -> dict[str, ListedFile]:
        listing = self.index.listing(name(project))
        assert listing is not None
        return {str(file.name.filename): file for file in listing.files}

    def one(self, project: str = "demo") -> ListedFile:
        (file,) = self.files(project).values()
        return file


def name(project: str) -> NormalizedName:
    return project_name(project)


TARGETS = (target("3.12", "manylinux_2_28_x86_64"), target("3.11", "win_amd64"))


def request(*requirements: str, **policy: object) -> Request:
    """What the command line would ask for, on two targets; *policy* are fields of Policy."""
    wishes = read_wishes(
        arguments=requirements,
        requirement_files=(),
        constraint_files=(),
        reader=LocalReader(),
        environ={},
        formats=FormatControl(),
        require_hashes=False,
    )
    rules = Policy(**policy)  # type: ignore[arg-type]  # the fields' own names
    return Request(sets=(WishSet(name=label("default"), roots=wishes.roots, policy=rules),), targets=TARGETS)
