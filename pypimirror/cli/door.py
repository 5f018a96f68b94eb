"""The front door: the commands by name, and what becomes of each family of errors.

A command's module is imported when it is called, and not before: ``pypimirror --help`` needs click alone.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from importlib import import_module
from types import FrameType

import click

from pypimirror import __version__
from pypimirror.cli.voice import Voice
from pypimirror.errors import InputFaults, PypimirrorError, SeveralFaults, UsageFault

__all__ = ["cli", "main"]

_COMMANDS = {
    "bundle": "Resolve, download and pack one bundle for the closed network.",
    "plan": "Show what a bundle would hold, and why; download nothing.",
    "render": "Verify bundles and publish them as a static tree.",
    "add": "Add wheels and sdists of your own to a tree, above all others.",
    "status": "Tell what a tree serves, how old it is, what waits.",
    "verify": "Check every byte and page of a bundle or a tree, and that it installs.",
    "repair": "Put back what rotted in a tree: files, pages, links, modes.",
    "show": "Show what a bundle or a tree holds, why, and for which targets.",
    "withdraw": "Take versions back from a tree, at once.",
    "rollback": "Serve again what a tree served before.",
    "prune": "Remove from the disk what a tree needs no longer.",
    "config": "Print settings for clients and web servers, ready to paste.",
    "serve": "Look at a tree in a browser; not for production.",
    "target": "Describe this interpreter as a target, to carry to the connected host.",
}

_CRASHED = 70
_ASK_AGAIN = 3.0

# What click 8.2 and newer raise where no command is named.
_HELP_ASKED: type[click.UsageError] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


class _Commands(click.Group):
    """The commands, each imported late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"pypimirror.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - each command's module keeps to this
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message.rstrip('.')}; there is: {', '.join(_COMMANDS)}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 something missing, 2 usage, 3 network or index, 4 wrong bytes, 5 refused by policy, "
    "6 cannot resolve, 7 local disk, 8 busy, 128+n ended by a signal.",
)
@click.version_option(__version__, "--version", prog_name="pypimirror")
def cli() -> None:
    """Offline mirrors of Python packages: one bundle across the air gap, one static tree behind it.

    \b
    On the connected host:
      pypimirror bundle -r requirements.txt --python 3.12 --platform rhel9-x86_64 -o wheels.tar
    Behind the gap:
      pypimirror render wheels.tar /srv/pypi
      pip install --index-url file:///srv/pypi/simple -r requirements.txt
    """


class _Ended(BaseException):
    """A signal asked the process to end. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _end(number: int, frame: FrameType | None) -> None:
    """End the run by an exception; and ask again soon, for Python drops what is raised inside a destructor."""
    del frame
    again = threading.Timer(_ASK_AGAIN, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()
    raise _Ended(number)


def main(arguments: list[str] | None = None) -> None:
    """Run a command line, and exit."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    # A run makes hundreds of thousands of values, nearly all of which stay until it ends: looking for those that are
    # needed no longer, as often as Python does, costs a fifth of the time, and finds none.
    gc.set_threshold(100_000, 50, 100)
    voice = Voice()
    code = _run(arguments, voice)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _broken_pipe()
    sys.stderr.flush()
    if code > 128:  # noqa: PLR2004 - ended by a signal: threads may still wait for the network, and must not hold us
        os._exit(code)
    sys.exit(code)


def _run(arguments: list[str] | None, voice: Voice) -> int:
    """One run: whatever is raised becomes words and a number."""
    try:
        returned = cli.main(arguments, prog_name="pypimirror", standalone_mode=False, obj=voice)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        code = _misused(error, voice)
    except PypimirrorError as error:
        for fault in error.faults if isinstance(error, (InputFaults, SeveralFaults)) else (error,):
            voice.error(fault)
        code = error.exit_code
    except BrokenPipeError:
        code = _broken_pipe()
    except (KeyboardInterrupt, click.Abort):
        code = _interrupted(signal.SIGINT, voice)
    except _Ended as ended:
        code = _interrupted(ended.number, voice)
    except Exception as error:  # noqa: BLE001 - the last door: a crash is told as one, and asks to be reported
        code = _crashed(error, voice)
    else:
        code = returned if isinstance(returned, int) else 0  # what ``Context.exit`` was given
    return code


def _misused(error: click.ClickException, voice: Voice) -> int:
    """Click's own complaint, in the words of all others."""
    if isinstance(error, _HELP_ASKED):
        error.show(file=sys.stderr)
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"see '{context.command_path} --help'" if context is not None else ""
    if isinstance(error, click.NoSuchOption) and context is not None and isinstance(context.command, click.Group):
        hint = "options stand behind the command: pypimirror bundle --option ..."
    voice.error(UsageFault(error.format_message().rstrip("."), code="usage", hint=hint))
    return error.exit_code


def _interrupted(number: int, voice: Voice) -> int:
    for each in (signal.SIGINT, number):
        signal.signal(each, signal.SIG_IGN)
    voice.say(f"interrupted ({signal.Signals(number).name}): what was verified is kept; run the same command again")
    return 128 + number


def _broken_pipe() -> int:
    """Whoever read our output has gone: be quiet about it, as other filters are."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives until the process ends
    return 128 + getattr(signal, "SIGPIPE", 13)


def _crashed(error: Exception, voice: Voice) -> int:
    import traceback  # noqa: PLC0415 - slow to import, and hardly ever needed

    from pypimirror.model.urls import redact  # noqa: PLC0415 - nothing that --help needs

    told = redact("".join(traceback.format_exception(error)))
    voice.say(f"{told}\nerror: this is a fault of pypimirror, not of what you asked for; please report the lines above")
    return _CRASHED
