"""From options to a request: the wishes, the targets, and the settings of this host, with every fault told at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pypimirror.cli.origins import carried
from pypimirror.connected import Connection, Request, connect
from pypimirror.errors import InputFaults, UsageFault
from pypimirror.host_reader import LocalReader
from pypimirror.inputs.formats import no_binary, only_binary
from pypimirror.inputs.requirements import read_wishes
from pypimirror.inputs.wishes import Wishes
from pypimirror.model import aim
from pypimirror.model.names import label
from pypimirror.model.requests import ALL, Consent, Constraint, FormatControl, Origin, Policy, Root, WishSet
from pypimirror.model.target_json import parse_target_file
from pypimirror.model.targets import Target
from pypimirror.net.cache import default_folder
from pypimirror.net.client import Client
from pypimirror.net.credentials import KeyringProvider
from pypimirror.net.pip_settings import PipSettings, read_pip_settings
from pypimirror.net.settings import CommandLineOptions, Settings, resolve_settings
from pypimirror.reporting import Reporter
from pypimirror.values import dataclass

if TYPE_CHECKING:
    from pypimirror.model.manifest import WithdrawnVersion

__all__ = ["Asked", "ask", "open_connection"]

_Read = TypeVar("_Read")

_BOOTSTRAP = ("pip", "setuptools", "wheel", "uv")
_MAX_PAGE = 16 * 1024 * 1024
_MAX_TARGET_FILE = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of ``bundle`` and ``plan``, as click gives them; the names are those of ``cli.options``."""

    requirements: tuple[str, ...]
    requirement_files: tuple[str, ...]
    constraint_files: tuple[str, ...]
    pythons: tuple[str, ...]
    platforms: tuple[str, ...]
    target_files: tuple[str, ...]
    bootstrap: bool
    align: bool
    pre: bool
    only_binary: tuple[str, ...]
    no_binary: tuple[str, ...]
    prefer_binary: bool
    sdist: str
    build_constraint_files: tuple[str, ...]
    trust_egg_info: bool
    allow_build: tuple[str, ...]
    build_wheels: bool
    unsandboxed_build: bool
    require_hashes: bool
    allow_unhashed: bool
    exclude_newer: str | None
    withdraw: tuple[WithdrawnVersion, ...]
    index_url: str | None
    extra_index_urls: tuple[str, ...]
    find_links: tuple[str, ...]
    no_index: bool
    trusted_hosts: tuple[str, ...]
    cert: str | None
    client_cert: str | None
    proxy: str | None
    timeout: float | None
    retries: int | None
    keyring_provider: KeyringProvider | None
    isolated: bool
    cache_dir: str | None
    no_cache: bool

    @property
    def cache_folder(self) -> Path | None:
        """Where the cache lies; None for none that lasts."""
        if self.no_cache:
            return None
        return Path(self.cache_dir) if self.cache_dir else default_folder(os.environ)


def ask(asked: Asked, reporter: Reporter) -> tuple[Request, Settings]:
    """Read every input. Raises InputFaults with all that is wrong with the wishes, the targets and the settings."""
    faults: list[UsageFault] = []

    def tried(read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except UsageFault as fault:
            faults.extend(_several(fault))
            return None

    options = _command_line(asked)
    pip = tried(lambda: read_pip_settings(isolated=asked.isolated, reporter=reporter)) or PipSettings()
    wishes = tried(lambda: _wishes(asked, pip, options, reporter))
    build_constraints = tried(lambda: _build_constraints(asked)) or ()
    targets = tried(lambda: _targets(asked)) or ()
    file_options = wishes.options if wishes else None
    settings = tried(lambda: resolve_settings(options=options, file_options=file_options, pip=pip, reporter=reporter))
    exclude_newer = tried(lambda: _moment(asked.exclude_newer))
    if wishes is not None and settings is not None and not settings.sources and not all(r.direct for r in wishes.roots):
        hint = "name a folder or a page of files with --find-links, or leave --no-index out"
        faults.append(
            UsageFault("there is nowhere to look: no index, and no --find-links", code="no-source", hint=hint)
        )
    if asked.build_wheels and not asked.allow_build:
        hint = "name what may be built: --allow-build NAME, or --allow-build :all:"
        faults.append(UsageFault("--build-wheels builds nothing by itself", code="usage", hint=hint))
    if faults or wishes is None or settings is None:
        raise InputFaults(tuple(faults))
    for note in wishes.notes:
        reporter.note(note)
    for url, user, password in wishes.credentials:
        settings.credentials.remember(url, user, password)
    sets = _sets(asked, _set(asked, pip, wishes, exclude_newer))
    request = Request(
        sets=sets,
        targets=targets,
        build_constraints=build_constraints,
        build_wheels=asked.build_wheels,
        withdrawn=asked.withdraw,
    )
    return request, settings


def open_connection(
    asked: Asked, request: Request, settings: Settings, reporter: Reporter
) -> AbstractContextManager[Connection]:
    """The connected world, with what was asked of it, and what was allowed."""
    return connect(
        settings,
        cache_folder=asked.cache_folder,
        reporter=reporter,
        consent=Consent(
            builds=frozenset(name if name == ALL else canonicalize_name(name) for name in asked.allow_build),
            sandboxed=not asked.unsandboxed_build,
            trust_egg_info=asked.trust_egg_info,
        ),
        build_constraints=request.build_constraints,
    )


def _several(fault: UsageFault) -> Sequence[UsageFault]:
    return fault.faults if isinstance(fault, InputFaults) else (fault,)


def _command_line(asked: Asked) -> CommandLineOptions:
    return CommandLineOptions(
        index_url=asked.index_url,
        extra_index_urls=asked.extra_index_urls,
        find_links=asked.find_links,
        no_index=asked.no_index,
        trusted_hosts=asked.trusted_hosts,
        cert=asked.cert,
        client_cert=asked.client_cert,
        proxy=asked.proxy,
        timeout=asked.timeout,
        retries=asked.retries,
        keyring=asked.keyring_provider,
        isolated=asked.isolated,
    )


def _wishes(asked: Asked, pip: PipSettings, options: CommandLineOptions, reporter: Reporter) -> Wishes:
    """The requirements. A file at an address is fetched with the settings of the command line and of pip."""

    def fetch(url: str) -> bytes:
        with Client(resolve_settings(options=options, pip=pip, reporter=reporter), reporter=reporter) as client:
            answer = client.get(url, limit=_MAX_PAGE)
        if answer.status != 200:  # noqa: PLR2004 - HTTP's "OK"
            raise FileNotFoundError(f"the server answered {answer.status}")
        return answer.body

    formats = pip.formats
    if asked.sdist == "never":
        formats = only_binary(formats, ALL)
    for value in asked.only_binary:
        formats = only_binary(formats, value)
    for value in asked.no_binary:
        formats = no_binary(formats, value)
    wishes = read_wishes(
        arguments=asked.requirements,
        requirement_files=asked.requirement_files,
        constraint_files=(*asked.constraint_files, *pip.constraints),
        reader=LocalReader(fetch=fetch),
        environ=os.environ,
        formats=formats,
        require_hashes=asked.require_hashes or pip.require_hashes,
    )
    if not wishes.roots and not asked.bootstrap:
        what = "nothing is asked for" if not asked.requirement_files else "the requirements files ask for nothing"
        raise UsageFault(what, code="no-requirements", hint="name a requirement, or a file of them with -r")
    return wishes


def _build_constraints(asked: Asked) -> tuple[Constraint, ...]:
    """What bounds builds alone, from files of pip's grammar."""
    if not asked.build_constraint_files:
        return ()
    read = read_wishes(
        arguments=(),
        requirement_files=(),
        constraint_files=asked.build_constraint_files,
        reader=LocalReader(),
        environ=os.environ,
        formats=FormatControl(),
        require_hashes=False,
    )
    return tuple(replace(each, origin=carried(each)) for each in read.constraints)


def _targets(asked: Asked) -> tuple[Target, ...]:
    """Every combination of Python and platform, and the described ones; this machine where nothing is named."""
    faults: list[UsageFault] = []
    described: list[Target] = []
    for path in asked.target_files:
        try:
            described.append(_read_target(path))
        except UsageFault as fault:
            faults.append(fault)
    named: tuple[Target, ...] = ()
    try:
        if asked.pythons or asked.platforms:
            named = aim.targets(asked.pythons or (_this_python(),), asked.platforms or (_this_platform(),))
        elif not asked.target_files:
            named = (_this_target(),)
    except UsageFault as fault:
        faults += _several(fault)
    found: dict[str, Target] = {}
    for target in (*named, *described):
        if found.setdefault(target.name, target) != target:
            what = f"two different targets are named {target.name}"
            faults.append(UsageFault(what, code="bad-target-file", hint="give one of them another name in its file"))
    if faults:
        raise InputFaults(tuple(faults))
    return tuple(found.values())


def _this_python() -> str:
    from pypimirror import host  # noqa: PLC0415 - slow to import, and not needed where the target is named

    return host.this_python()


def _this_platform() -> str:
    from pypimirror import host  # noqa: PLC0415 - likewise

    return host.this_platform()


def _this_target() -> Target:
    from pypimirror import host  # noqa: PLC0415 - likewise

    return host.this_target()


def _read_target(path: str) -> Target:
    try:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
            data = file.read(_MAX_TARGET_FILE)
    except OSError as error:
        raise UsageFault(
            f"{path}: {error.strerror}", code="bad-target-file", hint="make one with 'pypimirror target > FILE'"
        ) from None
    return parse_target_file(data, origin=path)


def _moment(text: str | None) -> str | None:
    """A day or a moment as ISO 8601 in UTC. What names no zone is taken as UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageFault(
            f"--exclude-newer: not a time: {text}", code="bad-time", hint="write 2026-11-21 or 2026-11-21T06:00:00Z"
        ) from None
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def _sets(asked: Asked, wished: WishSet) -> tuple[WishSet, ...]:
    """What was wished for, and what a bare host begins with: that is never built, and no hash was given for it."""
    if not asked.bootstrap:
        return (wished,)
    bootstrap = WishSet(
        name=label("bootstrap"),
        roots=tuple(Root(requirement=Requirement(name), origin=Origin(path="--bootstrap")) for name in _BOOTSTRAP),
        policy=Policy(
            formats=FormatControl(only_binary=frozenset({ALL})),
            allow_unhashed=wished.policy.allow_unhashed,
            exclude_newer=wished.policy.exclude_newer,
            withdrawn=wished.policy.withdrawn,
        ),
    )
    return (wished, bootstrap) if wished.roots else (bootstrap,)


def _set(asked: Asked, pip: PipSettings, wishes: Wishes, exclude_newer: str | None) -> WishSet:
    return WishSet(
        name=label("default"),
        roots=tuple(replace(root, origin=carried(root)) for root in wishes.roots),
        constraints=tuple(replace(each, origin=carried(each)) for each in wishes.constraints),
        policy=Policy(
            prereleases=asked.pre or pip.pre or wishes.prereleases,
            formats=FormatControl(
                only_binary=wishes.formats.only_binary,
                no_binary=wishes.formats.no_binary,
            ),
            prefer_binary=asked.prefer_binary or pip.prefer_binary or wishes.prefer_binary,
            require_hashes=wishes.require_hashes,
            allow_unhashed=asked.allow_unhashed,
            align=asked.align,
            exclude_newer=exclude_newer,
            carry_sdists=asked.sdist == "always",
            withdrawn=frozenset((each.project, each.version) for each in asked.withdraw),
        ),
    )
