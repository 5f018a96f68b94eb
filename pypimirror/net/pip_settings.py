"""pip's own settings on this host: its files and its variables, read as pip reads them, without starting it.

Files, later ones winning: global (``/etc/xdg/pip/pip.conf``, ``/etc/pip.conf``), user (``~/.pip/pip.conf``,
``~/.config/pip/pip.conf``), site (``pip.conf`` in the environment), and the one that ``PIP_CONFIG_FILE`` names, which
takes the user's place; ``PIP_CONFIG_FILE=/dev/null`` turns every file off. Then sections: ``[global]``, ``[install]``,
``[download]``; then the variables ``PIP_<OPTION>``. An empty value counts as none. A list in one place replaces the
same list of an earlier place. Nothing is expanded: ``${VAR}`` in a file is taken as it stands, as pip does.

Two choices of ours. pip reads only the section of the command it runs; we heed ``[install]`` below ``[download]``,
since what we fetch is fetched to be installed, and that is where people write. And the site file is that of this
Python's environment and, above it, that of the activated one (``VIRTUAL_ENV``), whose pip answers to ``pip``.
"""

from __future__ import annotations

import locale
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar, cast, get_args

from pypimirror.errors import InputFaults, UsageFault
from pypimirror.inputs.formats import no_binary, only_binary
from pypimirror.model.requests import FormatControl
from pypimirror.net.credentials import KeyringProvider
from pypimirror.net.sources import Said, bad_setting, shown
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["PipSettings", "config_files", "home_folder", "read_pip_settings"]

T = TypeVar("T")

_SECTIONS = ("global", "install", "download")
_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE = frozenset({"n", "no", "f", "false", "off", "0"})
_SAME = {"pypi-url": "index-url", "default-timeout": "timeout"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PipSettings:
    """What pip would work with, its command line left aside; None where nothing is set.

    ``timeout`` in seconds. ``no_input``: a keyring that nobody asked for by name must not be started. ``where`` tells
    for each name of an option where its value stands: ``PIP_INDEX_URL``, ``/etc/pip.conf [global] index-url``.
    Addresses stand here as written, passwords included; they are left out of ``repr``.
    """

    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = field(default=(), repr=False)
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float | None = None
    retries: int | None = None
    keyring: KeyringProvider | None = None
    no_input: bool = False
    constraints: tuple[str, ...] = field(default=(), repr=False)
    pre: bool = False
    prefer_binary: bool = False
    require_hashes: bool = False
    formats: FormatControl = field(default_factory=FormatControl)
    where: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def read_pip_settings(
    *,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    isolated: bool = False,
    reporter: Reporter | None = None,
) -> PipSettings:
    """What pip is set to on this host. ``isolated``: as ``pip --isolated``, without variables and the user's files.

    Raises UsageFault (``bad-setting``; InputFaults for several) for a file that can't be parsed and for a value that
    is not of its option's kind. A file that may not be read is noted, and left out as pip leaves it out.
    """
    environ = os.environ if environ is None else environ
    reporter = reporter or Reporter()
    named = environ.get("PIP_CONFIG_FILE")
    if named and not Path(named).exists():
        reporter.note(f"PIP_CONFIG_FILE names {named}, which does not exist")
    values: dict[tuple[str, str], Said] = {}
    for path in config_files(environ=environ, home=home_folder(environ, home), isolated=isolated):
        for section, key, value in _read_file(path, reporter):
            values[section, key] = Said(value, f"{path} [{section}] {key}")
    ordered = [(key, value) for wanted in _SECTIONS for (section, key), value in values.items() if section == wanted]
    if not isolated:
        ordered += [(_option(name[4:]), Said(text, name)) for name, text in environ.items() if name[:4] == "PIP_"]
    return _interpret([(_SAME.get(key, key), value) for key, value in ordered if value.text])


def home_folder(environ: Mapping[str, str], home: Path | None = None) -> Path:
    """The user's folder: *home* if given, else as ``~`` stands for in *environ*."""
    if home is not None:
        return home
    named = environ.get("USERPROFILE" if os.name == "nt" else "HOME")
    return Path(named) if named else Path("~").expanduser()


def config_files(
    *, environ: Mapping[str, str], home: Path, isolated: bool = False, platform: str = sys.platform
) -> tuple[Path, ...]:
    """Where pip looks for its files on *platform* (as ``sys.platform``), there or not; the last one wins."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return ()
    name = "pip.ini" if platform == "win32" else "pip.conf"
    folders = [*_global_folders(environ, platform)]
    if not isolated and not (named and Path(named).exists()):
        folders += _user_folders(environ, home, platform)
    folders += _site_folders(environ)
    files = [folder / name for folder in folders]
    if named:
        files.append(Path(named))
    return tuple(reversed(dict.fromkeys(reversed(files))))


def _global_folders(environ: Mapping[str, str], platform: str) -> list[Path]:
    if platform == "win32":
        shared = environ.get("PROGRAMDATA") or environ.get("ALLUSERSPROFILE") or "C:\\ProgramData"
        return [Path(shared, "pip")]
    if platform == "darwin":
        brew = Path("/opt/homebrew")
        brewed = [brew / "share" / "pip"] if Path(sys.prefix).is_relative_to(brew) else []
        return [*brewed, Path("/Library/Application Support/pip")]
    shared = environ.get("XDG_CONFIG_DIRS", "")
    folders = shared.split(os.pathsep) if shared.strip() else ["/etc/xdg"]
    return [*(Path(folder, "pip").expanduser() for folder in folders), Path("/etc")]


def _user_folders(environ: Mapping[str, str], home: Path, platform: str) -> list[Path]:
    if platform == "win32":
        return [home / "pip", Path(environ.get("APPDATA") or home / "AppData" / "Roaming", "pip")]
    if platform == "darwin":
        own = home / "Library" / "Application Support" / "pip"
        return [home / ".pip", own if own.is_dir() else home / ".config" / "pip"]
    base = environ.get("XDG_CONFIG_HOME", "")
    return [home / ".pip", (Path(base) if base.strip() else home / ".config") / "pip"]


def _site_folders(environ: Mapping[str, str]) -> list[Path]:
    active = environ.get("VIRTUAL_ENV")
    return [Path(sys.prefix), *([Path(active)] if active else [])]


def _read_file(path: Path, reporter: Reporter) -> Iterator[tuple[str, str, str]]:
    """Every section, option and value of a file; nothing where there is none."""
    import configparser  # noqa: PLC0415 - not needed where no file is read

    encoding = "utf-8" if sys.flags.utf8_mode else locale.getpreferredencoding(False)
    parser = configparser.RawConfigParser()
    try:
        text = path.read_text(encoding=encoding)
        parser.read_string(text, source=str(path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    except OSError as error:
        reporter.note(f"pip's settings in {path} were not used: {error.strerror or 'it can not be read'}")
        return
    except UnicodeDecodeError:
        said = Said("", str(path))
        raise bad_setting(said, f"it holds bytes that are no {encoding} text", "save it in that encoding") from None
    except configparser.Error as error:
        # The error's own text quotes lines, and lines hold passwords.
        what = f"line {lines} can't be read" if (lines := _lines(error)) else "it can't be read"
        raise bad_setting(Said("", str(path)), what, "mend the file: pip can't read it either") from None
    for section in parser.sections():
        for name, value in parser.items(section):
            yield section, _option(name), value


def _lines(error: Exception) -> str:
    if getattr(error, "errors", None):
        return ", ".join(str(number) for number, _ in vars(error)["errors"])
    number = getattr(error, "lineno", None)
    return "" if number is None else str(number)


def _option(name: str) -> str:
    """The name of an option as pip compares them: ``INDEX_URL``, ``index_url`` and ``--index-url`` are one."""
    return name.lower().replace("_", "-").removeprefix("--")


class _Reading(Generic[T]):
    """How the text of one option is read, and under which name of ``PipSettings`` it goes."""

    def __init__(self, name: str, read: Callable[[str], T], kind: str) -> None:
        self.name = name
        self.read = read
        self.kind = kind


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _flag(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _path(text: str) -> str:
    return str(Path(text).expanduser())


def _seconds(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or number <= 0:
        raise ValueError
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _keyring(text: str) -> KeyringProvider:
    if text not in get_args(KeyringProvider):
        raise ValueError
    return cast("KeyringProvider", text)


_YES_OR_NO = "yes or no"
_READINGS: Mapping[str, _Reading[object]] = {
    "index-url": _Reading("index_url", str, "an address"),
    "extra-index-url": _Reading("extra_index_urls", _words, "addresses"),
    "find-links": _Reading("find_links", _words, "addresses"),
    "no-index": _Reading("no_index", _flag, _YES_OR_NO),
    "trusted-host": _Reading("trusted_hosts", _words, "hosts"),
    "cert": _Reading("cert", _path, "a path"),
    "client-cert": _Reading("client_cert", _path, "a path"),
    "proxy": _Reading("proxy", str, "an address"),
    "timeout": _Reading("timeout", _seconds, "a number of seconds above 0"),
    "retries": _Reading("retries", _count, "a whole number, 0 or more"),
    "keyring-provider": _Reading("keyring", _keyring, "one of " + ", ".join(get_args(KeyringProvider))),
    "no-input": _Reading("no_input", _flag, _YES_OR_NO),
    "constraint": _Reading("constraints", _words, "files"),
    "pre": _Reading("pre", _flag, _YES_OR_NO),
    "prefer-binary": _Reading("prefer_binary", _flag, _YES_OR_NO),
    "require-hashes": _Reading("require_hashes", _flag, _YES_OR_NO),
}


def _interpret(ordered: list[tuple[str, Said]]) -> PipSettings:
    found: dict[str, object] = {}
    where: dict[str, str] = {}
    faults: list[UsageFault] = []
    formats = FormatControl()
    for key, value in ordered:
        if key == "only-binary":
            formats = only_binary(formats, value.text)
        elif key == "no-binary":
            formats = no_binary(formats, value.text)
        elif key in _READINGS:
            reading = _READINGS[key]
            try:
                found[reading.name] = reading.read(value.text)
                where[key] = value.where
            except ValueError:
                what = f"{shown(value.text)!r} is not {reading.kind}"
                faults.append(bad_setting(value, what, f"write {reading.kind}"))
    if faults:
        raise faults[0] if len(faults) == 1 else InputFaults(tuple(faults))
    return PipSettings(**found, formats=formats, where=MappingProxyType(where))  # type: ignore[arg-type]  # named above
