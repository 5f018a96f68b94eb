"""The options that commands share. Those that pip or uv have keep their names and their meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from pypimirror.cli.voice import Voice

if TYPE_CHECKING:
    from pypimirror.model.manifest import WithdrawnVersion
    from pypimirror.model.names import NormalizedName

__all__ = ["index_options", "mixed_option", "speech_options", "wait_option", "wish_options"]

Function = TypeVar("Function", bound=Callable[..., Any])


class _Platform(click.types.StringParamType):
    name = "platform"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pypimirror.model.platforms import known_platforms  # noqa: PLC0415 - only a completing shell needs it

        del ctx, param
        return [CompletionItem(name) for name in known_platforms() if name.startswith(incomplete)]


class _Python(click.types.StringParamType):
    name = "python"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pypimirror.model.pythons import known_pythons  # noqa: PLC0415 - only a completing shell needs it

        del ctx, param
        return [CompletionItem(name) for name in known_pythons() if name.startswith(incomplete)]


def _together(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _set_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    del param
    ctx.ensure_object(Voice).verbose |= value


def _set_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    del param
    ctx.ensure_object(Voice).quiet |= value


def _set_color(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del param
    if value is not None:
        ctx.ensure_object(Voice).color = value


def _withdrawn(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[WithdrawnVersion, ...]:
    del ctx, param
    if not value:
        return ()
    from pypimirror.cli.versions import withdrawn_version  # noqa: PLC0415 - nothing that --help needs

    return tuple(withdrawn_version(text, hint="--withdraw") for text in value)


def _mixed(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[NormalizedName, ...]:
    del ctx, param
    if not value:
        return ()
    from pypimirror.model.names import project_name  # noqa: PLC0415 - nothing that --help needs

    try:
        return tuple(project_name(name) for name in value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


wait_option = click.option(
    "--wait", default=0.0, type=click.FloatRange(min=0), metavar="SECONDS", help="For a tree that is busy."
)

mixed_option = click.option(
    "--allow-mixed",
    "mix",
    multiple=True,
    metavar="NAME",
    callback=_mixed,
    help="Let the channels of this project add up, from now on.",
)

speech_options = _together(
    click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_set_verbose, help="Tell more."),
    click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_set_quiet, help="Tell nothing but errors."
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        expose_value=False,
        callback=_set_color,
        help="Colours on standard error; auto: on a terminal, unless NO_COLOR is set.",
    ),
)

wish_options = _together(
    click.argument("requirements", nargs=-1, metavar="[REQUIREMENT]..."),
    click.option("-r", "--requirement", "requirement_files", metavar="FILE", multiple=True, help="Read requirements."),
    click.option("-c", "--constraint", "constraint_files", metavar="FILE", multiple=True, help="Read constraints."),
    click.option(
        "--python",
        "pythons",
        metavar="V",
        type=_Python(),
        multiple=True,
        help="A Python of the closed network: 3.12 (every patch release), 3.12.4, 3.13t, pypy3.10.",
    ),
    click.option(
        "--platform",
        "platforms",
        metavar="P",
        type=_Platform(),
        multiple=True,
        help="A platform: a system (rhel9-x86_64, debian12-aarch64), a wheel tag (manylinux_2_28_x86_64, win_amd64) "
        "or uv's name (windows, aarch64-apple-darwin).",
    ),
    click.option(
        "--target",
        "target_files",
        metavar="FILE",
        multiple=True,
        help="A target that 'pypimirror target' described on a machine of the closed network.",
    ),
    click.option(
        "--bootstrap",
        is_flag=True,
        help="The newest pip, setuptools, wheel and uv as well, so that a bare host can begin.",
    ),
    click.option("--align", is_flag=True, help="One version of a project over all targets, where that is possible."),
    click.option("--pre", is_flag=True, help="Take pre-releases as well."),
    click.option(
        "--only-binary", metavar="NAMES", multiple=True, help="Wheels alone, of these projects or of ':all:'."
    ),
    click.option("--no-binary", metavar="NAMES", multiple=True, help="Sdists alone, of these projects or of ':all:'."),
    click.option("--prefer-binary", is_flag=True, help="Rather an older wheel than a newer sdist."),
    click.option(
        "--sdist",
        type=click.Choice(["fallback", "never", "always"]),
        default="fallback",
        help="Sdists where a target has no wheel; never, as with '--only-binary :all:'; or always, beside the wheels.",
    ),
    click.option(
        "--build-constraint",
        "build_constraint_files",
        metavar="FILE",
        multiple=True,
        help="Read constraints for what building sdists takes, and for nothing else.",
    ),
    click.option(
        "--allow-build",
        metavar="NAME",
        multiple=True,
        help="Let sdists of this project, or of ':all:', be built to learn what they need: code of theirs runs.",
    ),
    click.option(
        "--build-wheels",
        is_flag=True,
        help="Build sdists here, with --allow-build, and carry the wheels where they serve the targets.",
    ),
    click.option(
        "--unsandboxed-build", is_flag=True, help="Where this system has no sandbox: let builds see this machine."
    ),
    click.option(
        "--trust-egg-info",
        is_flag=True,
        help="Believe what the egg-info of old sdists says that they depend on; the manifest tells.",
    ),
    click.option("--require-hashes", is_flag=True, help="Every requirement must have a --hash."),
    click.option("--allow-unhashed", is_flag=True, help="Accept files for which the index states no sha256."),
    click.option(
        "--exclude-newer",
        metavar="TIME",
        help="Take nothing that was uploaded at or after TIME (2026-11-21, or RFC 3339).",
    ),
    click.option(
        "--withdraw",
        metavar="'NAME==V: WHY'",
        multiple=True,
        callback=_withdrawn,
        help="Never take this version, and take it back from older bundles of the channel where this one is rendered.",
    ),
)

index_options = _together(
    click.option("-i", "--index-url", metavar="URL", help="The index; pip's own setting on this host by default."),
    click.option(
        "--extra-index-url", "extra_index_urls", metavar="URL", multiple=True, help="An index asked before it."
    ),
    click.option(
        "-f", "--find-links", "find_links", metavar="PLACE", multiple=True, help="A folder or page with files."
    ),
    click.option("--no-index", is_flag=True, help="Ask no index; --find-links alone."),
    click.option(
        "--trusted-host", "trusted_hosts", metavar="HOST", multiple=True, help="Accept plain http of this host."
    ),
    click.option("--cert", metavar="FILE", help="CA certificates."),
    click.option("--client-cert", metavar="FILE", help="A client certificate with its key."),
    click.option("--proxy", metavar="URL", help="The proxy."),
    click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Of silence, until a retry."),
    click.option("--retries", type=click.IntRange(min=0), metavar="N", help="After the first try."),
    click.option(
        "--keyring-provider",
        type=click.Choice(["auto", "disabled", "subprocess"]),
        help="Whether to ask the keyring command for passwords.",
    ),
    click.option("--isolated", is_flag=True, help="Ignore pip's variables and the user's pip configuration."),
    click.option(
        "--cache-dir", metavar="FOLDER", envvar="PYPIMIRROR_CACHE_DIR", help="Where to keep what was fetched."
    ),
    click.option("--no-cache", is_flag=True, help="Keep nothing for the next run."),
)
