"""Paths, as each syntax wants them written; what it can't say is refused. Pure.

Addresses need none of this: ``Address`` quotes all but letters, digits and ``-._~``, and brackets about an IPv6 host.
"""

from __future__ import annotations

from pypimirror.errors import UsageFault

__all__ = ["check_path", "in_double_quotes", "in_shell", "in_toml", "in_unit", "shown"]


def shown(text: str) -> str:
    """*text* in printable ASCII, for a message."""
    plain = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in plain)


def check_path(path: str, program: str, forbidden: str = "") -> str:
    """*path*, if the settings of *program* can hold it: printable, no space at its ends, nothing *forbidden* in it.

    Raises UsageFault (``bad-path``).
    """
    found = sorted({char for char in path if char in forbidden})
    if not found and path and path.isprintable() and path == path.strip():
        return path
    if found:
        hint = f"{' '.join(found)} can't be quoted there; rename the file or folder, or give it a link"
    else:
        hint = "give it a name that is printable, in UTF-8 and without spaces at its ends; a link will do"
    raise UsageFault(f"the path '{shown(path)}' can't be written into {program}'s settings", code="bad-path", hint=hint)


def in_double_quotes(text: str) -> str:
    """*text* between double quotes, as nginx, Apache and Dockerfiles read it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def in_toml(text: str) -> str:
    """*text*, which is printable, as a basic string of TOML 1.0."""
    return in_double_quotes(text)


def in_shell(text: str) -> str:
    """*text* as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def in_unit(text: str) -> str:
    """*text* between double quotes in a unit of systemd, its specifiers doubled. ``ExecStart`` wants "$" so, too."""
    return in_double_quotes(text).replace("%", "%%")
