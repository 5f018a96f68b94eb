"""User names and passwords for indexes: where they come from, and who may have them.

    userinfo   written in an address; sent to the origin (scheme, host, port) it was written for, and nowhere else
    netrc      ``~/.netrc`` or the file that ``NETRC`` names; sent to the host that the entry names
    keyring    the ``keyring`` command, asked once an index has refused, as pip does

Among several addresses of one origin the one that shares most of its path counts, as with pip: two teams on one host
may have two passwords. Nothing here is ever shown: ``repr`` tells origins and no more.

RFC 7617 (basic authentication); the netrc format is what the standard library's ``netrc`` reads.
"""

from __future__ import annotations

import importlib.util
import json
import netrc
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pypimirror.model.urls import origin, redact, split_credentials
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

__all__ = ["Credentials", "KeyringProvider", "Login"]

KeyringProvider = Literal["auto", "disabled", "import", "subprocess"]

Login = tuple[str, str]
"""A user name and a password; either may be empty (a token is often written as a name alone)."""

_KEYRING_SECONDS = 60.0
"""A keyring that waits for a person to unlock it should not hold up a night's run for ever."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known for an address: a user without a password still is of use, to ask the keyring with."""

    url: str
    user: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"_Known({redact(self.url)!r})"


class Credentials:
    """Logins by address. Safe to ask from several threads at once.

    ``home`` and ``environ`` say where netrc and the keyring are looked for. With ``interactive`` false a keyring that
    nobody asked for by name (``auto``) is left alone, since it may want to talk to a person.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        keyring: KeyringProvider = "disabled",
        interactive: bool = True,
        reporter: Reporter | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._home = home
        self._keyring: KeyringProvider = "disabled" if keyring == "auto" and not interactive else keyring
        self._reporter = reporter or Reporter()
        self._known: list[_Known] = []
        self._places: list[str] = []
        self._answers: dict[tuple[str, str | None], Login | None] = {}
        self._netrc: netrc.netrc | None = None
        self._netrc_read = False
        self._lock = threading.Lock()
        self._asking = (
            threading.Lock()
        )  # held while a keyring thinks; nobody who only wants to know what is known waits

    def __repr__(self) -> str:
        with self._lock:
            origins = sorted({origin(known.url) for known in self._known})
        return f"Credentials(origins={origins}, keyring={self._keyring!r})"

    def split(self, url: str) -> str:
        """*url* without its user part, which is remembered for its origin.

        Raises ValueError where *url* is no address (an unclosed ``[``, a port that is no number).
        """
        bare, user, password = split_credentials(url)
        self.remember(bare, user, password)
        return bare

    def remember(self, url: str, user: str | None, password: str | None) -> None:
        """A login for the origin of *url*, an address without a user part. Raises ValueError as ``split`` does."""
        if not origin(url).startswith(("http:", "https:")):
            return
        with self._lock:
            self._places.append(url)
            if user is not None or password is not None:
                self._known.append(_Known(url, user, password))

    def for_url(self, url: str) -> Login | None:
        """The login to send along with the first request for *url*, or None.

        An address's own comes first, then netrc's, then what the keyring said earlier for the same place.
        Raises ValueError where *url* is no address.
        """
        if self._netrc_read and not (self._known or self._netrc or self._answers) and "@" not in url:
            return None  # nothing is known of any address, as nearly always
        bare, user, password = self._stated(url)
        if user is not None and password is not None:
            return user, password
        if password is not None:
            return "", password
        remembered = self._from_netrc(bare)
        if remembered is None:
            place = (self._service(bare), user)
            with self._lock:
                remembered = self._answers.get(place)
        if remembered is not None:
            return remembered
        return None if user is None else (user, "")

    def after_refusal(self, url: str, *, sent: Login | None = None) -> Login | None:
        """What the keyring knows for *url*, once the index answered 401; None where that is nothing new.

        *sent* is the login that was refused: the same one is never offered again. A place is asked for once in a run,
        whatever the number of threads; the others wait for the answer. This may take seconds.
        """
        bare, user, _ = self._stated(url)
        service = self._service(bare)
        with self._asking:
            with self._lock:
                asked = (service, user) in self._answers
            if not asked:
                found = self._ask_keyring(service, user)
                with self._lock:
                    self._answers[service, user] = found
        with self._lock:
            found = self._answers[service, user]
        return None if found == sent else found

    def _stated(self, url: str) -> tuple[str, str | None, str | None]:
        """The bare address, with the user and the password that stand in it, or in the nearest one that has some."""
        bare, user, password = split_credentials(url)
        if user is None and password is None and (known := self._nearest(bare)) is not None:
            user, password = known.user, known.password
        return bare, user, password

    def _nearest(self, bare: str) -> _Known | None:
        """The address of the same origin that has a user part and shares most of the path; the earliest of equals."""
        with self._lock:
            found = [known for known in self._known if _same_origin(known.url, bare)]
        return max(found, key=lambda known: _shared_path(known.url, bare), default=None)

    def _service(self, bare: str) -> str:
        """The index that *bare* belongs to, with one slash at its end; else its origin."""
        with self._lock:
            found = [place for place in self._places if _same_origin(place, bare)]
        nearest = max(found, key=lambda place: _shared_path(place, bare), default=origin(bare))
        return nearest.rstrip("/") + "/"

    def _from_netrc(self, bare: str) -> Login | None:
        host = urlsplit(bare).hostname
        with self._lock:
            if not self._netrc_read:
                self._netrc_read = True
                self._netrc = self._read_netrc()
        entry = self._netrc.authenticators(host) if self._netrc and host else None
        if entry is None:
            return None
        login, account, password = entry
        return login or account or "", password or ""

    def _read_netrc(self) -> netrc.netrc | None:
        for path in self._netrc_paths():
            try:
                if not path.is_file():
                    continue
                return netrc.netrc(str(path))
            except netrc.NetrcParseError as error:
                # Its message may quote a piece of a password.
                self._reporter.note(f"{path} was not used: line {error.lineno} can't be read")
            except (OSError, UnicodeDecodeError, RuntimeError) as error:
                why = error.strerror if isinstance(error, OSError) and error.strerror else "it can't be read"
                self._reporter.note(f"{path} was not used: {why}")
            return None
        return None

    def _netrc_paths(self) -> Iterator[Path]:
        named = self._environ.get("NETRC")
        if named:
            yield Path(named).expanduser()
            return
        home = self._home if self._home is not None else Path("~").expanduser()
        yield home / ".netrc"
        yield home / "_netrc"

    def _ask_keyring(self, service: str, user: str | None) -> Login | None:
        # The index first, then its host: a keyring may hold either, and the former says more (pip's order).
        for name in (service, urlsplit(service).netloc):
            command = _keyring_command(self._keyring, self._environ)
            found = None if command is None else self._get(command, name, user)
            if found is not None:
                return found
        return None

    def _get(self, command: tuple[str, ...], name: str, user: str | None) -> Login | None:
        if user is not None:
            password = self._run((*command, "get", name, user))
            return None if password is None else (user, password.strip("\r\n"))
        # Only a keyring of 2024 or newer tells a user's name; an older one fails, which is an answer as well.
        text = self._run((*command, "--mode=creds", "--output=json", "get", name))
        try:
            answer = json.loads(text or "null")
            return str(answer["username"]), str(answer["password"])
        except (ValueError, TypeError, LookupError):
            return None

    def _run(self, command: tuple[str, ...]) -> str | None:
        """What the command printed; None where it failed."""
        import subprocess  # noqa: PLC0415 - slow to import, and only where a login is needed

        # pip's own variables may hold addresses with passwords, which are no business of a keyring's.
        environ = {name: value for name, value in self._environ.items() if not name.upper().startswith("PIP_")}
        environ["PYTHONIOENCODING"] = "utf-8"
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and what follows are an address and a user's name
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environ,
                timeout=_KEYRING_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._reporter.note(f"the keyring did not answer within {_KEYRING_SECONDS:.0f} seconds and was not used")
            self._keyring = "disabled"
            return None
        except OSError as error:
            self._reporter.note(f"the keyring could not be asked: {error.strerror or 'it does not start'}")
            self._keyring = "disabled"
            return None
        return None if done.returncode else done.stdout.decode("utf-8", errors="replace")


def _keyring_command(provider: KeyringProvider, environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """How to call the keyring: the one beside this Python for ``import``, the one on PATH, or either, as pip does."""
    if provider in ("import", "auto") and importlib.util.find_spec("keyring") is not None:
        return (sys.executable, "-m", "keyring")
    if provider in ("subprocess", "auto"):
        import shutil  # noqa: PLC0415 - slow to import, and only where a login is needed

        found = shutil.which("keyring", path=environ.get("PATH"))
        return None if found is None else (found,)
    return None


def _same_origin(one: str, other: str) -> bool:
    return origin(one) == origin(other)


def _shared_path(one: str, other: str) -> int:
    """How many whole leading parts the paths of two addresses share."""
    count = 0
    for mine, theirs in zip(_parts(one), _parts(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _parts(url: str) -> list[str]:
    return [part for part in urlsplit(url).path.split("/") if part]
