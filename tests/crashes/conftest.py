from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes.cases import Playground
from tests.crashes.counting import TALLY


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Counts what was tried, for the last line of the run; ``torn`` are the violations."""
    counted: Counter[str] = Counter()
    yield counted
    request.node.user_properties.append((TALLY, dict(counted)))


@pytest.fixture(scope="session")
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where there is such a thing."""
    memory = Path("/dev/shm")  # noqa: S108 - a new folder of ours in it
    folder = Path(tempfile.mkdtemp(prefix="crashes-", dir=memory if memory.is_dir() else None)).resolve()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def play(quick_folder: Path) -> Iterator[Playground]:
    folder = Path(tempfile.mkdtemp(dir=quick_folder))
    yield Playground(folder)
    shutil.rmtree(folder)
