from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pypimirror.errors import BusyFault
from pypimirror.tree.folder import open_tree
from tests.tree.helpers import bundle, check_tree, fake, links, render

HOLD = """
import sys
from pathlib import Path
from pypimirror.tree.folder import open_tree
with open_tree(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "tree")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_render_is_told_who_is_at_work(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    try:
        with pytest.raises(BusyFault, match=f"process {holder.pid} on {socket.gethostname()}") as caught:
            render(tmp_path / "tree", bundle(fake("a-1.0-py3-none-any.whl")))
    finally:
        _end(holder)
    assert caught.value.exit_code == 8
    assert not (tmp_path / "tree" / "simple" / "index.html").exists()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    _end(holder)
    render(tmp_path / "tree", bundle(fake("a-1.0-py3-none-any.whl")))
    assert check_tree(tmp_path / "tree") == []


def test_a_render_can_wait_for_its_turn(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    timer = threading.Timer(0.3, _end, [holder])
    timer.start()
    with open_tree(tmp_path / "tree", wait=60) as tree:
        assert not tree.contents.is_published
    timer.join()


def test_renders_at_once_in_one_process_take_turns(tmp_path: Path) -> None:
    bundles = [bundle(fake(f"a-{n}.0-py3-none-any.whl"), sequence=1_790_000_000 + n) for n in range(6)]
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while True:
                try:
                    render(tmp_path / "tree", bundles[number])
                except BusyFault:
                    continue
                break
        except BaseException as fault:  # noqa: BLE001 - told by the assertion below
            faults.append(fault)

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(bundles))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert check_tree(tmp_path / "tree") == []
    assert len(links(tmp_path / "tree" / "simple" / "a" / "index.html")) == len(bundles)
