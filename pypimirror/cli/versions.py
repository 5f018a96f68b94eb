"""``PROJECT==VERSION`` on the command line."""

from __future__ import annotations

import click

from pypimirror.model.manifest import WithdrawnVersion
from pypimirror.model.names import NormalizedName, Version, parse_version, project_name

__all__ = ["named_version", "withdrawn_version"]


def named_version(text: str, *, hint: str) -> tuple[NormalizedName, Version]:
    """The project and the version of ``PROJECT==VERSION``. Raises BadParameter, about the parameter *hint*."""
    name, equals, version = text.partition("==")
    try:
        if not equals:
            raise ValueError("no '==' in it")
        return project_name(name.strip()), parse_version(version.strip())
    except ValueError as error:
        raise click.BadParameter(
            f"write PROJECT==VERSION, one exact version, not {text!r} ({error})", param_hint=hint
        ) from None


def withdrawn_version(text: str, *, hint: str) -> WithdrawnVersion:
    """What ``PROJECT==VERSION: REASON`` takes back; the reason may be left out. Raises BadParameter."""
    named, _, reason = text.partition(":")
    project, version = named_version(named, hint=hint)
    return WithdrawnVersion(project=project, version=version, reason=reason.strip())
