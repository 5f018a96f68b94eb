"""Five thousand mutations of good files: what comes is Wishes or InputFaults, and soon."""

import random
import time

import pytest

from pypimirror.errors import InputFaults, UsageFault
from tests.inputs.files import Files, read

A = "a" * 64
GOOD = f"""\
# -*- coding: utf-8 -*-
--index-url https://me:${{TOKEN}}@index.example/simple
--extra-index-url=https://two.example/s -f ./links
--only-binary :all: --no-binary numpy,scipy
-c limits.txt
-r sub/more.txt
flask[async]>=1.0,<3 ; python_version < "3.12" and (os_name == 'nt' or extra == "x") # why
torch==2.4.0+cpu \\
    --hash=sha256:{A} \\
    --hash=sha512:{"b" * 128}
./dist/x-1.0-py3-none-any.whl[one]
demo @ https://u:p@files.example/a/demo-1!2.0.tar.gz#sha256={A}&egg=demo ; sys_platform != "win32"
https://files.example/y-1.0-1-cp312-abi3-manylinux_2_28_x86_64.whl
--pre
--trusted-host index.example:8443
"""
PIECES = [
    "\\\n", "\n", " ", "\t", "#", " #", "${TOKEN}", "${", "}", "'", '"', "\\", ";", "; ", ",", "==", "===", "~=", "=",
    "@", " @ ", "[", "]", "(", ")", "-", "--", "-r ", "-c ", "-e ", "-i", "--hash=", "--hash=sha256:", "https://", "file://",
    "file:", "git+", "http://[", "%", "%00", "\0", "\ufeff", "\u2028", "\x0c", "é", "\ud7ff", "..", "./", "../", ".whl",
    ".tar.gz", "/", "://", "*", "!", "9" * 5000, "(" * 3000, "sub/more.txt", "requirements.txt", ":all:", ":none:",
    "not ", " in ", "\r", "\r\n", "x" * 70_000, "\u0130", "\U0001f40d",
]  # fmt: skip


@pytest.mark.timeout(240)
def test_mutations_end_in_wishes_or_input_faults() -> None:
    chance = random.Random(20261121)  # noqa: S311 - not for secrets
    outcomes = {"wishes": 0, "faults": 0}
    for _ in range(5000):
        text = _mutated(chance)
        data = _bytes(chance, text)
        files = Files(
            {
                "requirements.txt": data,
                "limits.txt": _mutated(chance) if chance.random() < 0.1 else "idna<4\n",
                "sub/more.txt": "-r ../limits.txt\nmore==1\n",
                "dist/x-1.0-py3-none-any.whl": "",
                "links/x": "",
            }
        )
        began = time.monotonic()
        faults = _faults(files)
        assert time.monotonic() - began < 5
        outcomes["faults" if faults else "wishes"] += 1
        assert not any("s3cr3t" in f"{fault} {fault.hint}" or len(str(fault)) > 3000 for fault in faults)
    assert outcomes["wishes"] > 100
    assert outcomes["faults"] > 1000


def _faults(files: Files) -> tuple[UsageFault, ...]:
    try:
        read(files, environ={"TOKEN": "s3cr3t"})
    except InputFaults as error:
        assert error.faults  # noqa: PT017 - nothing else may come, so there is nothing to expect
        return error.faults
    return ()


def _mutated(chance: random.Random) -> str:
    lines = GOOD.splitlines(keepends=True)
    if chance.random() < 0.5:
        # Without hash mode, and the lines in another order.
        lines = [line for line in lines if "--hash" not in line]
        chance.shuffle(lines)
    text = "".join(lines)
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + chance.randrange(1, 30) :]
        elif kind == 2:
            start = chance.randrange(len(text) + 1)
            text = text[:at] + text[start : start + 40] + text[at:]
        else:
            text = text[:at] + chr(chance.choice([chance.randrange(128), chance.randrange(0xD7FF)])) + text[at + 1 :]
    return text


def _bytes(chance: random.Random, text: str) -> bytes:
    data = text.encode(chance.choice(["utf-8"] * 12 + ["utf-16", "utf-32", "utf-8-sig", "utf-16-le"]))
    if chance.random() < 0.05:
        at = chance.randrange(len(data) + 1)
        data = data[:at] + bytes([chance.randrange(256)]) + data[at:]
    return data
