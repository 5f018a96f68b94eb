"""Clients fetch without pause while the tree is published without pause, behind nginx and behind http.server.

What is promised: whoever read a page of generation n finds every file of that page, with the bytes that the page
states, while n or n + 1 is current. So a publisher here never publishes twice between a client's page and its last
fetch: a *gate* holds the second publish back until those clients are done. Nothing holds the first one back, and some
clients wait for it on purpose, with a page of the past in hand.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from pypimirror.disk import DISK, Disk
from pypimirror.model.names import label
from pypimirror.tree.contents import Contents
from pypimirror.tree.folder import Tree
from pypimirror.tree.stock import Move, Stock
from pypimirror.tree.view import look
from tests.tree.clients import STOCK, installed, nginx, open_to_all, pip, uv
from tests.tree.helpers import LinkReader, MemoryBundle, QuickDisk, Sample, bundle, fake, render, wheel

SEQUENCE = 1_790_000_000
PROJECTS = ("alpha", "beta", "gamma")
READERS = 3  # for each server
LATE = 0.2  # of the clients wait for the next generation before they fetch
PATIENCE = 60.0

Record = Callable[[str, object], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Facts for reports. pytest's own fixture for it warns where one is written as XML."""
    return lambda name, value: request.node.user_properties.append((name, value))


# ---- the gate -------------------------------------------------------------------------------------------------------


class Gate:
    """Counts publishes, and knows which generations clients hold pages of: none may become two behind."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._holding: Counter[int] = Counter()
        self._dropped: frozenset[str] = frozenset()
        self.begun = self.done = 0
        self.over = False

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Within, a client reads one page and fetches from it; gives the oldest generation that the page can be of."""
        with self._change:
            low = self.done
            self._holding[low] += 1
        try:
            yield low
        finally:
            with self._change:
                self._holding[low] -= 1
                self._change.notify_all()

    def wait_for_next(self, low: int) -> None:
        """Until the generation after *low* is current, and what *low* alone had is a file of the past."""
        with self._change:
            assert self._change.wait_for(lambda: self.done > low or self.over, PATIENCE), "nothing was published"

    def is_promised(self, low: int) -> bool:
        """Whether at most one generation began to be published since *low* was current."""
        with self._change:
            return self.begun - low <= 1

    def has_dropped(self, name: str) -> bool:
        """Whether the file is none of the current generation's, and was one of the generation before."""
        return name in self._dropped

    @contextmanager
    def publishing(self, dropped: frozenset[str]) -> Iterator[bool]:
        """Within, the next generation is published; gives False where it all is over."""
        with self._change:
            assert self._change.wait_for(lambda: self.over or not self._behind(), PATIENCE), "a client does not end"
            self.begun += not self.over
            over = self.over
        yield not over
        if not over:
            with self._change:
                self.done += 1
                self._dropped = dropped
                self._change.notify_all()

    def _behind(self) -> bool:
        return any(count for low, count in self._holding.items() if low < self.begun)

    def end(self) -> None:
        with self._change:
            self.over = True
            self._change.notify_all()


# ---- the publisher --------------------------------------------------------------------------------------------------


def _release(project: str, version: str) -> Sample:
    size = random.Random(f"{project} {version}").randrange(100, 60_000)  # noqa: S311 - a test's dice
    return fake(f"{project}-{version}-py3-none-any.whl", f"{project} {version} ".encode() * (size // 10))


def _releases(*versions: str) -> tuple[Sample, ...]:
    return tuple(_release(project, version) for project in PROJECTS for version in versions)


_BASE, _COMET = _releases("1.0", "1.1", "1.2"), _release("comet", "1.0")
SCENES: tuple[tuple[tuple[Sample, ...], bool], ...] = (
    (_BASE, True),
    ((*_releases("1.3"), _COMET), False),  # added to the base
    (_releases("2.0", "2.1"), True),  # in its place: the base and the comet are dropped
    (_releases("3.0", "1.0"), True),  # again; a little of the base returns, the rest is removed by now
    (
        (*_BASE, *(each.but(yanked="bad") for each in _releases("1.3"))),
        True,
    ),  # all of the base returns, and some yanked
)
"""What each publish brings, and whether it replaces what was there."""


class Publisher(threading.Thread):
    """Publishes scene after scene until the gate is over."""

    def __init__(self, tree: Path, gate: Gate, disk: Disk, *, pause: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(name="publisher")
        self._tree = tree
        self._gate = gate
        self._disk = disk
        self._pause = pause
        self._served: frozenset[str] = frozenset()
        self._number = 0
        self.error: BaseException | None = None

    def publish(self) -> None:
        """The next scene, in this thread."""
        samples, replaces = self.scene(self._number)
        names = frozenset(each.file.filename for each in samples)
        served = names if replaces else names | self._served
        with self._gate.publishing(self._served - served) as may:
            if may:
                made: MemoryBundle = bundle(*samples, sequence=SEQUENCE + self._number)
                done = render(self._tree, made, disk=self._disk, replace=[label("default")] if replaces else [])
                assert done.changed
                assert {name for name in look(self._tree).inventory().packages if name.endswith(".whl")} >= served
        self._served = served
        self._number += 1

    def scene(self, number: int) -> tuple[tuple[Sample, ...], bool]:
        return SCENES[number % len(SCENES)]

    def run(self) -> None:
        try:
            while not self._gate.over:
                time.sleep(self._pause())
                self.publish()
        except BaseException as error:  # noqa: BLE001 - told where the thread is joined
            self.error = error
            self._gate.end()


# ---- clients --------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of the fetches from one server. *late*: the next generation was current; *past*: without that file."""

    pages: int = 0
    fetches: int = 0
    late: int = 0
    past: int = 0
    unpromised: int = 0
    failures: list[str] = field(default_factory=list)


class Link(NamedTuple):
    """A file as a page names it, with the hash of its metadata sibling, or none."""

    path: str
    sha256: str
    metadata: str


class Connection:
    """One connection that is kept as long as the server keeps it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)

    def get(self, path: str) -> bytes:
        """Raises AssertionError for any status but 200, OSError and HTTPException for an answer that is cut short."""
        try:
            self._http.request("GET", path)
            with self._http.getresponse() as answer:
                body = answer.read()
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise
        assert answer.status == 200, f"status {answer.status}"
        return body

    def close(self) -> None:
        self._http.close()


def links_of(path: str, body: bytes) -> list[Link]:
    """What a page leads to. A page that isn't whole is refused."""
    if path.endswith(".json"):
        rows = json.loads(body)["files"]
        return [
            Link(_path(path, row["url"]), row["hashes"]["sha256"], row.get("core-metadata", {}).get("sha256", ""))
            for row in rows
        ]
    text = body.decode("utf-8")
    assert text.rstrip().endswith("</html>"), "half a page"
    found = []
    for link in LinkReader(text).links:
        href, _, fragment = link["href"].partition("#sha256=")
        found.append(Link(_path(path, href), fragment, link.get("data-core-metadata", "").removeprefix("sha256=")))
    return found


def _path(page: str, href: str) -> str:
    return urljoin(page, href)


class Client(threading.Thread):
    """Reads a page, then fetches from it; again and again, until its server has given enough."""

    def __init__(self, url: str, gate: Gate, tally: Tally, *, enough: int, seed: int) -> None:
        super().__init__(name=f"client {seed} of {url}")
        self._connection = Connection(url)
        self._gate = gate
        self._tally = tally
        self._enough = enough
        self._dice = random.Random(seed)  # noqa: S311 - a test's dice
        project = PROJECTS[seed % len(PROJECTS)]
        self._pages = (f"/simple/{project}/index.html", f"/simple/{project}/index.json", "/packages/index.html")

    def run(self) -> None:
        try:
            while self._tally.fetches < self._enough and not self._gate.over:
                with self._gate.reading() as low:
                    self._visit(low)
        except BaseException as error:  # noqa: BLE001 - told with the others
            self._tally.failures.append(repr(error))
        finally:
            self._connection.close()

    def _visit(self, low: int) -> None:
        page = self._dice.choice(self._pages)
        links: list[Link] = []
        with self._noting(page, low):
            links = links_of(page, self._connection.get(page))
            assert links, "an empty page"
        self._tally.pages += 1
        if not links:
            return
        if self._dice.random() < LATE:
            self._gate.wait_for_next(low)
        for link in self._dice.choices(links, k=2):
            sibling = bool(link.metadata) and self._dice.random() < 0.3
            path, expected = (f"{link.path}.metadata", link.metadata) if sibling else (link.path, link.sha256)
            late, past = self._gate.done > low, self._gate.has_dropped(unquote(link.path.rpartition("/")[2]))
            with self._noting(path, low):
                assert hashlib.sha256(self._connection.get(path)).hexdigest() == expected, "other bytes"
            if self._gate.is_promised(low):
                self._tally.fetches += 1
                self._tally.late += late
                self._tally.past += late and past

    @contextmanager
    def _noting(self, path: str, low: int) -> Iterator[None]:
        try:
            yield
        except (AssertionError, OSError, http.client.HTTPException, ValueError) as error:
            if self._gate.is_promised(low):
                self._tally.failures.append(f"{path} of generation {low}, while {self._gate.done} is served: {error!r}")
            else:
                self._tally.unpromised += 1


@contextmanager
def python_http_server(folder: Path) -> Iterator[str]:
    """``python -m http.server``, in a process of its own."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()  # Serving HTTP on 127.0.0.1 port 41235 ...
            yield f"http://127.0.0.1:{int(words[words.index('port') + 1])}/"
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextmanager
def nginx_as_it_comes(tree: Path, work: Path) -> Iterator[str]:
    open_to_all(tree.parent)
    with nginx(work, lambda port: STOCK.format(port=port, root=tree)) as site:
        yield site.url


@dataclass(frozen=True)
class Weather:
    """What a storm left behind."""

    published: int
    by_server: dict[str, Tally]

    @property
    def failures(self) -> list[str]:
        return [failure for tally in self.by_server.values() for failure in tally.failures]

    def tell(self, record: Record) -> None:
        record("generations published", self.published)
        for name, tally in self.by_server.items():
            record(
                name,
                f"{tally.fetches} fetches, {tally.late} of them with a page of the generation before, {tally.past} of "
                f"these of files that the current one dropped; {tally.pages} pages; {len(tally.failures)} failures; "
                f"{tally.unpromised} not promised",
            )


def storm(folder: Path, *, fetches: int, disk: Disk) -> Weather:
    """So many fetches, half through each server, while the tree is published; ends early at a first failure."""
    tree, gate = folder / "tree", Gate()
    publisher = Publisher(tree, gate, disk)
    publisher.publish()
    tallies: dict[str, Tally] = {"nginx": Tally(), "http.server": Tally()}
    with nginx_as_it_comes(tree, folder / "work") as first, python_http_server(tree) as second:
        clients = [
            Client(url, gate, tallies[name], enough=fetches // 2, seed=seed)
            for name, url in zip(tallies, (first, second), strict=True)
            for seed in range(READERS)
        ]
        publisher.start()
        for client in clients:
            client.start()
        try:
            while any(client.is_alive() for client in clients) and not any(each.failures for each in tallies.values()):
                time.sleep(0.02)
        finally:
            gate.end()
            for thread in (*clients, publisher):
                thread.join(PATIENCE)
    if publisher.error is not None:
        raise publisher.error
    return Weather(gate.done, tallies)


def _check(weather: Weather, fetches: int) -> None:
    assert weather.failures == []
    for tally in weather.by_server.values():
        assert tally.fetches >= fetches // 2
        assert tally.unpromised <= tally.fetches // 100
        # A storm in which nobody holds an old page, or no file is ever of the past, shows nothing.
        assert tally.late > tally.fetches // 20
        assert tally.past > tally.fetches // 100
    assert weather.published > len(SCENES)


def test_2_000_fetches_while_the_tree_is_published_never_fail(tmp_path: Path, record: Record) -> None:
    weather = storm(tmp_path, fetches=2_000, disk=QuickDisk())
    weather.tell(record)
    _check(weather, 2_000)


@pytest.mark.slow
def test_20_000_fetches_while_the_tree_is_published_never_fail(tmp_path: Path, record: Record) -> None:
    weather = storm(tmp_path, fetches=20_000, disk=DISK)
    weather.tell(record)
    _check(weather, 20_000)


def test_the_storm_finds_files_that_leave_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    """The fault is put in: the generation before is forgotten at the swap, and swept with the files it alone had."""
    advance = Tree.advance

    def forgetful(tree: Tree, contents: Contents) -> None:
        advance(tree, contents)
        tree.previous, tree.previous_generation = tree.contents, tree.generation

    monkeypatch.setattr(Tree, "advance", forgetful)
    weather = storm(tmp_path, fetches=2_000, disk=QuickDisk())
    weather.tell(record)
    assert weather.failures
    assert all("status 404" in failure for failure in weather.failures)


def test_the_storm_finds_pages_that_come_before_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is put in: new files are stocked only after the swap."""
    put_off: list[tuple[Stock, Move]] = []
    carry_out, advance = Stock.carry_out, Tree.advance

    def stocking(tree: Tree, contents: Contents) -> None:
        time.sleep(0.05)  # long enough for a client to come by, on a busy machine, too
        while put_off:
            carry_out(*put_off.pop())
        advance(tree, contents)

    monkeypatch.setattr(Stock, "carry_out", lambda stock, move: put_off.append((stock, move)))
    monkeypatch.setattr(Tree, "advance", stocking)
    weather = storm(tmp_path, fetches=2_000, disk=QuickDisk())
    assert weather.failures
    assert all("status 404" in failure for failure in weather.failures)


# ---- installers -----------------------------------------------------------------------------------------------------


CHAIN = ("app", "bolt", "cog", "dial", "elbow", "flange")


class Releases(Publisher):
    """Each project wants the next. Each has one version in a generation, and another one in the following."""

    def scene(self, number: int) -> tuple[tuple[Sample, ...], bool]:
        version = f"{number % 3 + 1}.0"
        wants = [*((f"{name}>=1",) for name in CHAIN[1:]), ()]
        return tuple(
            wheel(name, version, requires_dist=wanted) for name, wanted in zip(CHAIN, wants, strict=True)
        ), True


@pytest.mark.slow
@pytest.mark.parametrize(("name", "install", "times"), [("uv", uv, 20), ("pip", pip, 6)])
def test_installs_while_the_tree_is_published_never_fail(
    tmp_path: Path, record: Record, name: str, install: Callable[..., None], times: int
) -> None:
    """An installer reads several pages, some of this generation, some of the next; all that it then wants is there."""
    gate, dice, tree = Gate(), random.Random(7), tmp_path / "tree"  # noqa: S311 - a test's dice
    seconds = 0.15 if name == "uv" else 1.5  # what an install takes, about: a publish may fall anywhere into it
    publisher = Releases(tree, gate, DISK, pause=lambda: dice.uniform(0, seconds))
    publisher.publish()
    mixed = crossed = 0
    with nginx_as_it_comes(tree, tmp_path / "work") as url:
        publisher.start()
        try:
            for number in range(times):
                target = tmp_path / "installed" / str(number)
                with gate.reading() as low:
                    install(target, "--index-url", f"{url}simple/", "app")
                    assert gate.is_promised(low)
                    crossed += gate.done > low
                found = installed(target)
                assert found.keys() == set(CHAIN)
                mixed += len(set(found.values())) > 1
        finally:
            gate.end()
            publisher.join(PATIENCE)
    if publisher.error is not None:
        raise publisher.error
    record(f"{name} installs", f"{times}, {crossed} of them across a publish, {mixed} with pages of both sides")
    assert crossed >= times // 4
