"""Hostile build backends: contained, bounded in time, and named. The letters are those of the threat model."""

# ruff: noqa: E501 - the code of backends, most of it on one line

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pypimirror.build.faults import BuildFault
from pypimirror.build.sandbox import Sandbox
from tests.build.helpers import MIB, SANDBOX, SMALL, builder, needs_sandbox, sdist_with
from tests.fakes.archives import make_wheel

BOTH = [pytest.param(SANDBOX, id="sandbox", marks=needs_sandbox), pytest.param(None, id="plain sight")]


def refused(tmp_path: Path, code: str, *, sandbox: Sandbox | None = SANDBOX, **limits: float) -> BuildFault:
    """Build an sdist with *code* in its backend: it fails with exit code 6, names the sdist, and leaves nothing."""
    own_limits = replace(SMALL, **limits)  # type: ignore[arg-type]  # numbers of both kinds
    out = tmp_path / "out"
    out.mkdir()
    began = time.monotonic()
    with pytest.raises(BuildFault) as caught, builder(tmp_path, sandbox=sandbox, limits=own_limits) as own:
        own.wheel(sdist_with(tmp_path, code), [], out)
    assert time.monotonic() - began < own_limits.seconds + 30
    assert caught.value.exit_code == 6
    assert str(caught.value).startswith("evil-1.0.tar.gz: ")
    assert list(out.iterdir()) == []
    assert list((tmp_path / "work").iterdir()) == []
    return caught.value


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def processes_with(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


@needs_sandbox
@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "::1"])
def test_a_nothing_is_reached_over_the_network(tmp_path: Path, listener: socket.socket, host: str) -> None:
    port = listener.getsockname()[1]
    fault = refused(
        tmp_path,
        f"""
        import socket
        def build_wheel(*args):
            socket.create_connection(({host!r}, {port}), timeout=5).sendall(b"secret")
        """,
    )
    assert "nreachable" in str(fault) or "Cannot assign requested address" in str(fault)
    with pytest.raises(TimeoutError):
        listener.accept()


@needs_sandbox
def test_a_not_even_abstract_sockets_of_this_machine_are_reached(tmp_path: Path) -> None:
    name = f"\0{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        fault = refused(
            tmp_path,
            f"import socket\ndef build_wheel(*args):\n    socket.socket(socket.AF_UNIX).connect({name!r})\n",
        )
    assert "ConnectionRefusedError" in str(fault)


@needs_sandbox
def test_b_neither_secrets_in_files_nor_in_the_environment_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = f"canary-{uuid.uuid4().hex}"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text(canary)
    (home / ".netrc").chmod(0o644)
    monkeypatch.setenv("HOME", str(home))
    for name in ("SECRET_TOKEN", "HTTPS_PROXY", "SSH_AUTH_SOCK", "PIP_INDEX_URL", "NETRC", "PYTHONPATH"):
        monkeypatch.setenv(name, canary)
    fault = refused(
        tmp_path,
        f"""
        import glob, os, sys
        def build_wheel(*args):
            found = [key for key, value in os.environ.items() if "canary" in value]
            for path in [*glob.glob("/proc/*/environ"), *glob.glob("/proc/*/cmdline")]:
                try:
                    found += [path] if b"canary" in open(path, "rb").read() else []
                except OSError:
                    pass
            for path in ({str(home / ".netrc")!r}, "~/.netrc", "~root/.netrc", "/etc/shadow", "/etc/ssh"):
                found += [path] if os.path.exists(os.path.expanduser(path)) else []
            for folder in (os.path.expanduser("~root"), "/home", {str(tmp_path)!r}, "/tmp", "/sys", "/run", "/var", os.path.expanduser("~")):
                seen = os.listdir(folder) if os.path.isdir(folder) else []
                found += [folder + "/" + each for each in seen if each not in (".pyenv", ".local", "work")]
            sys.exit("found: " + repr(found))
        """,
    )
    assert "found: []" in str(fault)
    assert canary not in str(fault)


def test_b_without_a_sandbox_the_environment_is_scrubbed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    code = "import os, sys\ndef build_wheel(*args):\n    sys.exit(repr(('canary' in repr(os.environ), sys.stdin.read())))\n"
    assert "(False, '')" in str(refused(tmp_path, code, sandbox=None))


@needs_sandbox
def test_c_nothing_is_written_but_in_the_builds_own_folder(tmp_path: Path) -> None:
    neighbour = Path("/tmp") / f"neighbour-{uuid.uuid4().hex}"  # noqa: S108 - the real one is the point
    neighbour.mkdir(mode=0o777)
    neighbour.chmod(0o777)
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    targets = [
        neighbour,
        cache,
        tmp_path / "out",
        Path("/usr"),
        Path("/"),
        Path("/etc"),
        Path("/dev"),
        Path(sys.base_prefix),
    ]
    try:
        fault = refused(
            tmp_path,
            f"""
            import os, sys
            def build_wheel(*args):
                written = []
                for folder in {[str(path) for path in targets]!r}:
                    try:
                        open(folder + "/planted", "w").close()
                        written.append(folder)
                    except OSError:
                        pass
                sys.exit("written: " + repr(written))
            """,
        )
        assert list(neighbour.iterdir()) == []
    finally:
        shutil.rmtree(neighbour)
    assert "written: []" in str(fault)
    assert list(cache.iterdir()) == []


@needs_sandbox
def test_c_no_right_is_left_and_none_is_to_be_had(tmp_path: Path) -> None:
    fault = refused(
        tmp_path,
        """
        import ctypes, os, socket, sys
        def build_wheel(*args):
            facts = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
            rights = {facts[key].strip("0\\n ") for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
            libc = ctypes.CDLL(None, use_errno=True)
            tried = {
                "unshare": libc.unshare(0x10000000),
                "mount": libc.mount(b"none", b"/build", b"tmpfs", 0, None),
                "remount": libc.mount(b"none", b"/usr", None, 32 | 4096, None),
                "umount": libc.umount2(b"/usr", 2),
                "trace": libc.ptrace(16, 1, None, None),
                "name": libc.sethostname(b"x", 1),
            }
            for path in ("/proc/1/mem", "/proc/1/environ", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/dev/mem"):
                try:
                    tried[path] = os.open(path, os.O_RDWR if "environ" not in path else os.O_RDONLY)
                except OSError:
                    pass
            try:
                os.kill(1, 9)
            except OSError:
                pass
            got = [name for name, result in tried.items() if result != -1]
            got += ["root"] if open("/proc/self/uid_map").read().split()[1] == "0" else []
            sys.exit(repr((rights, got, facts["NoNewPrivs"], os.getuid(), os.getppid(), len(os.listdir("/proc/self/fd")))))
        """,
    )
    assert fault.output[-1] == "({''}, [], '1', 1000, 1, 4)"


@pytest.mark.parametrize("sandbox", BOTH)
def test_d_who_sleeps_for_ever_is_ended(tmp_path: Path, sandbox: Sandbox | None) -> None:
    code = (
        "import time, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef build_wheel(*args): time.sleep(1e6)\n"
    )
    fault = refused(tmp_path, code, sandbox=sandbox, seconds=2)
    assert fault.code == "build-timeout"
    assert "limit of time" in str(fault)


@pytest.mark.parametrize("sandbox", BOTH)
def test_d_a_fork_bomb_is_put_out(tmp_path: Path, sandbox: Sandbox | None) -> None:
    mark = f"mark{uuid.uuid4().hex}"
    code = f"""
    import os, subprocess, sys, time
    def build_wheel(*args):
        while True:
            try:
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000) #{mark}"], start_new_session=True)
            except OSError:
                time.sleep(0.1)
    """
    fault = refused(tmp_path, code, sandbox=sandbox, seconds=8, processes=24)
    assert "limit of processes" in str(fault)
    assert processes_with(mark) == []


@needs_sandbox
def test_d_forks_that_fork_are_held_by_the_kernel(tmp_path: Path) -> None:
    fault = refused(tmp_path, "import os\ndef build_wheel(*args):\n    while True:\n        os.fork()\n", seconds=8)
    assert "limit of" in str(fault) or "BlockingIOError" in str(fault)


@pytest.mark.parametrize("sandbox", BOTH)
def test_d_eaten_memory_is_given_back(tmp_path: Path, sandbox: Sandbox | None) -> None:
    code = """
    import os, time
    def build_wheel(*args):
        for _ in range(8):
            if not os.fork():
                held = bytearray(os.urandom(1024)) * (60 * 1024)
                time.sleep(100)
        time.sleep(100)
    """
    assert "limit of memory" in str(refused(tmp_path, code, sandbox=sandbox))
    shutil.rmtree(tmp_path / "out")
    assert "MemoryError" in str(refused(tmp_path, "def build_wheel(*args): b'x' * 2**34\n", sandbox=sandbox))


@pytest.mark.parametrize("sandbox", BOTH)
def test_d_a_full_disk_is_prevented(tmp_path: Path, sandbox: Sandbox | None) -> None:
    many = """
    import os, time
    def build_wheel(*args):
        for number in range(1000):
            with open(f"{number}.bin", "wb") as file:
                file.write(os.urandom(4 * 1024 * 1024))
            time.sleep(0.02)
    """
    assert "limit of disk" in str(refused(tmp_path, many, sandbox=sandbox))
    shutil.rmtree(tmp_path / "out")
    one = (
        "def build_wheel(*args):\n    with open('big', 'wb') as file:\n        while True: file.write(bytes(1 << 20))\n"
    )
    fault = refused(tmp_path, one, sandbox=sandbox, disk=512 * MIB)
    assert "signal 25" in str(fault) or "File too large" in str(fault)


@pytest.mark.parametrize("sandbox", BOTH)
def test_d_folders_nested_without_end_are_refused_and_removed(tmp_path: Path, sandbox: Sandbox | None) -> None:
    code = """
    import os, time
    def build_wheel(*args):
        for number in range(1500):
            os.mkdir("deeper" * 20)
            os.chdir("deeper" * 20)
        open("file", "w").close()
        os.chmod(".", 0)
        time.sleep(100)
    """
    assert "limit of disk" in str(refused(tmp_path, code, sandbox=sandbox))


@pytest.mark.parametrize(
    "code",
    [
        'import os\ndef build_wheel(out, *args): return good_wheel(out, "other-1.0-py3-none-any.whl")',
        'import os\ndef build_wheel(out, *args): return good_wheel(out, "evil-2.0-py3-none-any.whl")',
        'def build_wheel(out, *args): return good_wheel(out, "../evil-1.0-py3-none-any.whl")',
        'def build_wheel(out, *args): return "/etc/passwd"',
        'def build_wheel(out, *args): return "evil-1.0-py3-none-any.whl"',
        "def build_wheel(out, *args): return 7",
        "def build_wheel(out, *args): return ['x']",
        "def build_wheel(out, *args): return 'x' * 100000",
        "def build_wheel(out, *args): return 'evil-1.0.tar.gz'",
        "import os\ndef build_wheel(out, *args): os.mkfifo(out + '/evil-1.0-py3-none-any.whl'); return 'evil-1.0-py3-none-any.whl'",
        "import os\ndef build_wheel(out, *args): os.symlink('/etc/passwd', out + '/evil-1.0-py3-none-any.whl'); return 'evil-1.0-py3-none-any.whl'",
        "import os\ndef build_wheel(out, *args): os.rename(out, out + '2'); os.symlink(out + '2', out); return good_wheel(out + '2')",
        "def build_wheel(out, *args):\n    name = good_wheel(out)\n    open(out + '/' + name, 'ab').write(b'tail')\n    return name",
        "def build_wheel(out, *args):\n    name = good_wheel(out)\n    open(out + '/' + name, 'wb').write(b'no zip')\n    return name",
        "import zipfile\ndef build_wheel(out, *args):\n    name = good_wheel(out)\n    with zipfile.ZipFile(out + '/' + name, 'a') as z: z.writestr('unlisted.py', '')\n    return name",
        "import os\ndef build_wheel(out, *args):\n    f = open(out + '/evil-1.0-py3-none-any.whl', 'wb')\n    f.truncate(63 << 20)\n    return 'evil-1.0-py3-none-any.whl'",
    ],
)  # fmt: skip
def test_e_a_wheel_that_lies_is_refused(tmp_path: Path, code: str) -> None:
    sandbox = SANDBOX if SANDBOX.probe() is None else None
    assert refused(tmp_path, code.replace("    ", "    ") + "\n", sandbox=sandbox).code == "build-lied"


def test_e_an_honest_wheel_of_another_project_is_refused(tmp_path: Path) -> None:
    name, data = make_wheel("other", "1.0")
    code = f"def build_wheel(out, *args):\n    open(out + '/{name}', 'wb').write({data!r})\n    return {name!r}\n"
    assert "a file of something else" in str(refused(tmp_path, code, sandbox=None))


@pytest.mark.parametrize("sandbox", BOTH)
def test_f_no_daemon_stays(tmp_path: Path, sandbox: Sandbox | None) -> None:
    mark = f"mark{uuid.uuid4().hex}"
    source = sdist_with(
        tmp_path,
        f"""
        import os, sys
        def build_wheel(out, *args):
            if not os.fork():
                os.setsid()
                if not os.fork():
                    for number in range(3, 256):
                        try: os.close(number)
                        except OSError: pass
                    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600) #{mark}"])
                os._exit(0)
            import time
            time.sleep(0.5)
            return good_wheel(out)
        """,
    )
    began = time.monotonic()
    with builder(tmp_path, sandbox=sandbox) as own:
        own.wheel(source, [], tmp_path)
        assert processes_with(mark) == []
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("sandbox", BOTH)
def test_a_gigabyte_of_output_is_not_kept(tmp_path: Path, sandbox: Sandbox | None) -> None:
    code = "import sys\ndef build_wheel(*args):\n    while True: sys.stdout.write('x' * 99 + '\\n')\n"
    assert "limit of output" in str(refused(tmp_path, code, sandbox=sandbox, output=8 * MIB))


def test_the_last_lines_of_output_are_told_and_can_steer_no_terminal(tmp_path: Path) -> None:
    code = "def build_wheel(*args):\n    for n in range(300): print('line', n)\n    raise SystemExit('\\x1b[31mred\\x07 \\u202eright')\n"
    fault = refused(tmp_path, code, sandbox=None)
    assert len(fault.output) == 100
    assert fault.output[-1] == "\ufffd[31mred\ufffd \ufffdright"
    assert fault.output[0] == "line 201"


@pytest.mark.parametrize(
    "answer",
    ["7", "None", "{'a': 1}", "['ok', 3]", "['not a requirement!']", "['a'] * 100000", "'setuptools'", "[['wheel']]"],
)
def test_hooks_that_answer_with_something_else_are_refused(tmp_path: Path, answer: str) -> None:
    source = sdist_with(tmp_path, f"def get_requires_for_build_wheel(config_settings=None): return {answer}\n")
    with builder(tmp_path, sandbox=None) as own, pytest.raises(BuildFault, match=r"evil-1\.0\.tar\.gz") as caught:
        own.requires_for_wheel(source, [])
    assert caught.value.code == "build-lied"


@pytest.mark.parametrize(
    "left",
    [
        "'[' * 100000",
        "'{\"return_val\": ' + '9' * 900000 + '}'",
        "'[1, 2]'",
        "'no json'",
        "'{\"return_val\": [], \"x\": \"' + 'x' * (2 << 20) + '\"}'",
        "None",
    ],
)
def test_an_answer_that_is_written_by_hand_is_refused(tmp_path: Path, left: str) -> None:
    source = sdist_with(
        tmp_path,
        f"""
        import os, sys
        def get_requires_for_build_wheel(config_settings=None):
            path = pathlib.Path(sys.argv[2]) / "output.json"
            if {left} is None:
                path.symlink_to("/dev/zero")
            else:
                path.write_text({left})
            os._exit(0)
        """,
    )
    began = time.monotonic()
    with builder(tmp_path, sandbox=None) as own, pytest.raises(BuildFault) as caught:
        own.requires_for_wheel(source, [])
    assert caught.value.code == "build-lied"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "code",
    [
        "(folder / 'METADATA').symlink_to('/etc/passwd')",
        "os.mkfifo(folder / 'METADATA')",
        "(folder / 'METADATA').mkdir()",
        "(folder / 'METADATA').write_text('Name: other\\nVersion: 1.0\\n')",
        "(folder / 'METADATA').write_text('Name: evil\\nVersion: 1.0.1\\n')",
        "(folder / 'METADATA').write_text('no headers')",
        "(folder / 'METADATA').write_bytes(b'x' * (17 << 20))",
        "None",
    ],
)
def test_metadata_that_lies_is_refused(tmp_path: Path, code: str) -> None:
    source = sdist_with(
        tmp_path,
        f"""
        import os
        def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
            folder = pathlib.Path(metadata_directory) / "evil-1.0.dist-info"
            folder.mkdir()
            {code}
            return folder.name
        """,
    )
    with builder(tmp_path, sandbox=None) as own, pytest.raises(BuildFault) as caught:
        own.metadata(source, [])
    assert caught.value.code == "build-lied"


def test_recursion_without_end_ends(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.setrecursionlimit(10**9)\ndef build_wheel(*args): f = lambda x: [f(x), *map(f, [x])]; f(1)\n"
    )
    refused(tmp_path, code, sandbox=SANDBOX if SANDBOX.probe() is None else None)


@pytest.mark.parametrize(
    ("pyproject", "code"),
    [
        ('[build-system]\nrequires = []\nbuild-backend = "nothing.there"\n', "build-failed"),
        ('[build-system]\nrequires = []\nbuild-backend = "a; import os"\n', "bad-sdist"),
        ('[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["../.."]\n', "bad-sdist"),
        ('[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["/etc"]\n', "bad-sdist"),
        ('[build-system]\nrequires = 1\nbuild-backend = "b"\n', "bad-sdist"),
        ("[[[", "bad-sdist"),
    ],
)
def test_a_backend_that_cant_be_is_refused(tmp_path: Path, pyproject: str, code: str) -> None:
    source = sdist_with(tmp_path, pyproject=pyproject)
    with builder(tmp_path, sandbox=None) as own, pytest.raises(BuildFault) as caught:
        own.metadata(source, [])
    assert (caught.value.code, caught.value.exit_code) == (code, 6)


@pytest.mark.parametrize("sandbox", BOTH)
def test_when_we_are_killed_the_build_ends_too(tmp_path: Path, sandbox: Sandbox | None) -> None:
    mark = f"mark{uuid.uuid4().hex}"
    code = f"""
    import os, subprocess, sys
    def build_wheel(*args):
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600) #{mark}"], start_new_session=True)
    """
    source = sdist_with(tmp_path, code)
    program = (
        "from pathlib import Path\nfrom tests.build.helpers import builder, SANDBOX\n"
        "from pypimirror.build.source import Source\n"
        f"sandbox = {'SANDBOX' if sandbox else 'None'}\n"
        f"with builder(Path({str(tmp_path)!r}), sandbox=sandbox) as own:\n"
        f"    own.wheel(Source(path=Path({str(source.path)!r}), label='evil-1.0.tar.gz'), [], Path({str(tmp_path)!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parent.parent.parent)
    try:
        until = time.monotonic() + 20
        while not processes_with(mark) and time.monotonic() < until:
            time.sleep(0.05)
        assert processes_with(mark)
    finally:
        os.kill(process.pid, 9)
        process.wait()
    until = time.monotonic() + 10
    while processes_with(mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_with(mark) == []
