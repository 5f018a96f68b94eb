"""What goes wrong for people, told in a clear sentence with the right exit code; and a rerun that finishes the job."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes.server import FakeServer, cut, portal, reset, silence, slow, status, wrong_bytes
from tests.worlds import TARGET, Program, Ran, environment, small_bundle

QUICK = ("--timeout", "2", "--retries", "1")


def bundle(program: Program, server: FakeServer, *more: str, wishes: tuple[str, ...] = ("app",)) -> Ran:
    return program("bundle", *wishes, *TARGET, "-i", server.index_url, "-o", "app.tar", *QUICK, *more)


def nothing_was_written(program: Program) -> bool:
    """Neither the bundle nor a temporary file of it."""
    return not [path for path in program.work.iterdir() if path.suffix == ".tar" or ".tar." in path.name]


# ---- wishes ---------------------------------------------------------------------------------------------------------


def test_an_unknown_project_is_named_with_who_wants_it(program: Program, server: FakeServer) -> None:
    ran = bundle(program, server, wishes=("app", "nosuch"))
    assert ran.code == 6
    assert "no index has nosuch, wanted by the command line [unknown-project]" in ran.err
    assert nothing_was_written(program)


def test_a_project_without_a_file_for_the_target_says_what_its_files_are_for(
    program: Program, server: FakeServer
) -> None:
    ran = program("plan", "fast", "--python", "3.12", "--platform", "macosx_12_0_arm64", "-i", server.index_url, *QUICK)
    assert ran.code == 6
    assert "fast has no usable file" in ran.err
    assert "2 files: 2 other platforms" in ran.err


def test_every_fault_of_nested_files_is_told_in_one_run(program: Program, server: FakeServer) -> None:
    (program.work / "nested").mkdir()
    (program.work / "requirements.txt").write_text("app\n-r nested/more.txt\n-e ./here\n")
    (program.work / "nested" / "more.txt").write_text("# fine\nlib >>> 1\ngit+https://index.example/x\n")
    ran = program(
        "bundle", "-r", "requirements.txt", "--python", "3.99", "--platform", "rhel9-x86_46", "-i", server.index_url,
        "-o", "x.tar",
    )  # fmt: skip
    assert ran.code == 2
    errors = [line for line in ran.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 5, ran.err
    assert "nested/more.txt:2" in ran.err
    assert "nested/more.txt:3" in ran.err
    assert "requirements.txt:3" in ran.err
    assert "hint: nearest: x86_64" in ran.err
    assert not server.requests


def test_two_targets_of_one_name_are_refused(program: Program, server: FakeServer) -> None:
    described = program("target").out
    (program.work / "a.json").write_text(described)
    (program.work / "b.json").write_text(described.replace("linux_x86_64", "linux_x86_65"))
    ran = program("plan", "app", "--target", "a.json", "--target", "b.json", "-i", server.index_url)
    assert ran.code == 2
    assert "two different targets are named" in ran.err


def test_nothing_asked_for_is_told(program: Program) -> None:
    ran = program("bundle", "-o", "x.tar")
    assert ran.code == 2
    assert "nothing is asked for" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("bundel",),
            "there is: bundle, plan, render, add, status, verify, repair, show, withdraw, rollback, prune, config",
        ),
        (("bundle", "app"), "--output"),
        (("bundle", "app", "-o", "x.tar", "--colour"), "No such option"),
        (("render", "x.tar"), "TREE"),
        (("bundle", "app", "-o", "x.tar", "--channel", "../up"), "not a usable name"),
        (("plan", "app", "--exclude-newer", "yesterday"), "not a time"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(program: Program, arguments: tuple[str, ...], words: str) -> None:
    ran = program(*arguments)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err


# ---- the network ----------------------------------------------------------------------------------------------------


def test_a_portal_in_place_of_a_wheel_is_named(program: Program, server: FakeServer) -> None:
    server.faults.append(portal("/files/lib*.whl"))
    ran = bundle(program, server)
    assert ran.code == 3
    assert "HotelWifi" in ran.err
    assert "not a wheel" in ran.err
    assert nothing_was_written(program)


def test_a_portal_in_place_of_a_page_is_never_an_empty_project(program: Program, server: FakeServer) -> None:
    server.faults.append(portal("/simple/lib/"))
    ran = bundle(program, server)
    assert ran.code == 3
    assert "HotelWifi" in ran.err


def test_401_asks_for_credentials_and_shows_none(program: Program, server: FakeServer) -> None:
    server.auth = ("someone", "s3cr3t-canary")
    ran = bundle(program, server)
    assert ran.code == 3
    assert "[needs-credentials]" in ran.err
    address = server.index_url.replace("://", "://someone:wrong-canary@")
    ran = program("bundle", "app", *TARGET, "-i", address, "-o", "app.tar", *QUICK)
    assert ran.code == 3
    assert "canary" not in ran.err + ran.out
    address = server.index_url.replace("://", "://someone:s3cr3t-canary@")
    ran = program("bundle", "app", *TARGET, "-i", address, "-o", "app.tar", *QUICK, "-v")
    assert ran.code == 0, ran.err
    assert "canary" not in ran.err + ran.out
    assert b"canary" not in (program.work / "app.tar").read_bytes()


def test_a_cut_connection_is_resumed_in_the_same_run(program: Program, server: FakeServer) -> None:
    server.faults.append(cut("/files/lib*.whl", after=100, times=1))
    assert bundle(program, server).code == 0


def test_after_a_lost_connection_a_rerun_fetches_only_the_rest(program: Program, server: FakeServer) -> None:
    server.faults.append(reset("/files/lib*.whl", after=50, times=None))
    ran = bundle(program, server)
    assert ran.code == 3
    assert "run again" in ran.err or "run the same command again" in ran.err, ran.err
    assert nothing_was_written(program)
    server.faults.clear()
    server.forget()
    assert bundle(program, server).code == 0
    fetched = [path for path in server.paths("/files/*") if path.endswith(".whl")]
    assert all("/lib-" in path for path in fetched), fetched


def test_a_file_that_is_always_wrong_is_an_integrity_error(program: Program, server: FakeServer) -> None:
    server.faults.append(wrong_bytes("/files/lib*.whl", b"PK" + b"x" * 500, times=None))
    ran = bundle(program, server)
    assert ran.code == 4
    assert nothing_was_written(program)


def test_an_index_that_is_down_is_told_in_one_line(program: Program) -> None:
    ran = program("bundle", "app", *TARGET, "-i", "http://127.0.0.1:9/simple", "-o", "app.tar", *QUICK)
    assert ran.code == 3
    assert len([line for line in ran.err.splitlines() if line.startswith("error:")]) == 1


def test_an_index_that_fails_for_a_dependency_is_no_reason_for_an_older_version(
    program: Program, server: FakeServer
) -> None:
    server.faults.append(status("/simple/lib/", 500, times=None))
    ran = bundle(program, server)
    assert ran.code == 3
    assert "500" in ran.err


# ---- the disk -------------------------------------------------------------------------------------------------------


def tiny_disk(program: Program, folder: Path, kilobytes: int, *arguments: str) -> Ran:
    """A run in a mount namespace of its own, in which *folder* is a disk of so many kilobytes."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to make a small disk with")
    script = f'mount -t tmpfs -o size={kilobytes}k none "{folder}" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", *program.command(*arguments)]
    probe = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no small disk can be mounted here: {probe.stderr.decode().strip()}")
    ran = subprocess.run(
        command, cwd=program.work, env=environment(program.home), capture_output=True, timeout=120, check=False
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


@pytest.mark.parametrize("kilobytes", [4, 12, 20])
def test_a_full_disk_leaves_nothing_half_written(program: Program, server: FakeServer, kilobytes: int) -> None:
    small = program.work / "small"
    small.mkdir()
    ran = tiny_disk(
        program, small, kilobytes, "bundle", "app", "source", *TARGET, "-i", server.index_url, "-o", "small/app.tar",
    )  # fmt: skip
    assert ran.code == 7, ran.err
    assert "disk-full" in ran.err


@pytest.mark.parametrize("kilobytes", [8, 60, 100])
def test_a_full_disk_stops_a_render_before_anything_is_served(program: Program, tmp_path: Path, kilobytes: int) -> None:
    made = small_bundle(tmp_path / "made.tar")
    small = program.work / "small"
    small.mkdir()
    ran = tiny_disk(program, small, kilobytes, "render", str(made), "small/tree")
    assert ran.code == 7, ran.err
    assert "disk-full" in ran.err


def test_a_full_disk_for_the_cache_is_told(program: Program, server: FakeServer) -> None:
    small = program.work / "small"
    small.mkdir()
    ran = tiny_disk(
        program, small, 8, "bundle", "app", "source", *TARGET, "-i", server.index_url, "-o", "app.tar",
        "--cache-dir", "small/cache",
    )  # fmt: skip
    assert ran.code == 7, ran.err
    assert "disk-full" in ran.err
    assert nothing_was_written(program)


def test_a_folder_that_is_not_there_is_told(program: Program, server: FakeServer) -> None:
    ran = program("bundle", "app", *TARGET, "-i", server.index_url, "-o", "no/such/app.tar")
    assert ran.code == 7
    assert "no folder" in ran.err


# ---- bundles --------------------------------------------------------------------------------------------------------


def test_what_is_no_bundle_is_refused(program: Program) -> None:
    (program.work / "x.tar").write_bytes(b"\x1f\x8b" + bytes(1000))
    ran = program("render", "x.tar", "tree")
    assert ran.code == 4
    assert "not-a-bundle" in ran.err


def test_a_damaged_bundle_changes_nothing(program: Program, tmp_path: Path) -> None:
    data = bytearray(small_bundle(tmp_path / "made.tar").read_bytes())
    (program.work / "good.tar").write_bytes(data)
    assert program("render", "good.tar", "tree").code == 0
    before = (program.work / "tree" / ".pypimirror" / "current").readlink()
    data[len(data) // 2] ^= 1
    (program.work / "bad.tar").write_bytes(data)
    ran = program("render", "bad.tar", "tree")
    assert ran.code == 4, ran.err
    assert (program.work / "tree" / ".pypimirror" / "current").readlink() == before


def test_a_folder_of_somebody_else_is_not_made_a_tree(program: Program, tmp_path: Path) -> None:
    made = small_bundle(tmp_path / "made.tar")
    (program.work / "photos").mkdir()
    (program.work / "photos" / "cat.jpg").write_bytes(b"meow")
    ran = program("render", str(made), "photos")
    assert ran.code == 2
    assert "not-a-tree" in ran.err
    assert [path.name for path in (program.work / "photos").iterdir()] == ["cat.jpg"]


# ---- signals --------------------------------------------------------------------------------------------------------


def asked_for(server: FakeServer, pattern: str) -> bool:
    return bool(server.paths(pattern))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_resolving_ends_the_run_at_once(program: Program, server: FakeServer, number: int) -> None:
    server.faults.append(silence("/simple/lib/", seconds=60))
    ran = program.interrupted(
        "bundle", "app", *TARGET, "-i", server.index_url, "-o", "app.tar",
        when=lambda: asked_for(server, "/simple/lib/"), number=number,
    )  # fmt: skip
    assert ran.code == 128 + number
    assert "interrupted" in ran.err
    assert "Traceback" not in ran.err
    assert nothing_was_written(program)


def test_ctrl_c_while_downloading_loses_nothing_that_was_verified(program: Program, server: FakeServer) -> None:
    server.faults.append(slow("/files/lib*.whl", pause=0.2))
    ran = program.interrupted(
        "bundle", "app", *TARGET, "-i", server.index_url, "-o", "app.tar",
        when=lambda: asked_for(server, "/files/lib*.whl") and asked_for(server, "/files/app*.whl"),
    )  # fmt: skip
    assert ran.code == 130
    assert nothing_was_written(program)
    server.faults.clear()
    assert bundle(program, server).code == 0


def test_ctrl_c_while_packing_leaves_no_file(program: Program, server: FakeServer) -> None:
    """Packing into a pipe that nobody empties stands still until the signal comes."""
    filename, data = "big-1.0-py3-none-any.whl", big_wheel()
    server.add(filename, data)
    reading, writing = os.pipe()
    try:
        ran = program.interrupted(
            "bundle", "big", *TARGET, "-i", server.index_url, "-o", "-", stdout=writing,
            when=lambda: bool(readable(reading)),
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    assert ran.code == 130, ran.err
    assert "Traceback" not in ran.err


def readable(descriptor: int) -> list[int]:
    import select  # noqa: PLC0415 - for this test alone

    return select.select([descriptor], [], [], 0)[0]


def big_wheel() -> bytes:
    from tests.fakes.archives import make_wheel  # noqa: PLC0415 - for this test alone

    return make_wheel("big", "1.0", files={"big.bin": os.urandom(2_000_000)})[1]


# ---- the output -----------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves_early_is_no_fault(program: Program, server: FakeServer) -> None:
    command = program.command("plan", "app", "source", *TARGET, "-i", server.index_url)
    env = environment(program.home)
    with subprocess.Popen(
        command, cwd=program.work, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read().decode()
        process.wait(timeout=60)
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_quiet_says_nothing_when_all_is_well(program: Program, server: FakeServer) -> None:
    ran = bundle(program, server, "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_data_goes_to_standard_output_and_words_to_standard_error(program: Program, server: FakeServer) -> None:
    ran = bundle(program, server, "--json")
    assert ran.code == 0
    assert ran.json()["bundle"] == "app.tar"
    assert "Resolving" in ran.err


@pytest.mark.parametrize("command", ["verify", "show", "render"])
def test_what_is_said_can_not_steer_a_terminal(program: Program, command: str) -> None:
    name = "x\x1b[2J\u202e.tar"
    ran = program(command, name, *(["tree"] if command == "render" else []))
    assert ran.code == 7
    assert "\x1b" not in ran.err
    assert "x\\x1b[2J\\u202e.tar" in ran.err
