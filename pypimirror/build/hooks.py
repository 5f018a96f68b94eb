"""One hook of a build backend, called in its own process; what it answers is checked before anybody uses it.

Essential reading: PEP 517. The calling convention is pyproject_hooks': a script of its own runs in the process, takes
``input.json`` and leaves ``output.json``. Of the latter only what is needed here is ever handed to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing, UnsupportedOperation

from pypimirror.build.faults import BuildFault, printable
from pypimirror.build.limits import Limits
from pypimirror.build.reading import Unreadable, opened
from pypimirror.build.running import Outcome
from pypimirror.build.sandbox import PlainSight, View
from pypimirror.build.source import Backend

__all__ = ["Hooks"]

_MAX_ANSWER = 1024 * 1024
_MAX_REQUIREMENTS = 1000
_HINTS = {
    "time": "the time for one hook is bounded; a compiled project may need more",
    "memory": "the memory of a build is bounded; a compiled project may need more",
    "disk": "the room for a build is bounded, or the disk is nearly full",
}


def _nothing(_: str) -> None:
    return None


class Hooks:
    """The hooks of one source, which lies in ``src`` of the view's folder; they may write into ``out`` of it.

    ``output`` are the last lines of the last hook.
    """

    def __init__(self, backend: Backend, *, place: PlainSight, view: View, limits: Limits, label: str) -> None:
        self._place = place
        self._view = view
        self._limits = limits
        self._label = label
        self.output: tuple[str, ...] = ()
        try:
            self._caller = BuildBackendHookCaller(
                str(place.seen(view, "src")),
                backend.name,
                backend.path,
                runner=self._run,
                python_executable=str(place.seen(view, "env/bin/python")),
            )
        except ValueError as error:
            raise BuildFault(f"its backend-path can't be used: {error}", source=label, code="bad-sdist") from None

    def requires(self) -> tuple[str, ...]:
        """What ``get_requires_for_build_wheel`` adds. Raises BuildFault; OSError."""
        answer = self._call("get_requires_for_build_wheel")
        if not isinstance(answer, list) or len(answer) > _MAX_REQUIREMENTS:
            raise self._lied("get_requires_for_build_wheel", "answered something else than a list of requirements")
        for each in answer:
            try:
                Requirement(each if isinstance(each, str) else "")
            except InvalidRequirement:
                shown = printable(str(each)[:80])
                raise self._lied("get_requires_for_build_wheel", f"answered {shown!r}, no requirement") from None
        return tuple(dict.fromkeys(answer))

    def metadata(self) -> str | None:
        """The folder in ``out`` that ``prepare_metadata_for_build_wheel`` made; None where there is no such hook."""
        name = "prepare_metadata_for_build_wheel"
        try:
            answer = self._call(name, str(self._place.seen(self._view, "out")), _allow_fallback=False)
        except HookMissing:
            return None
        if not isinstance(answer, str) or not answer.endswith(".dist-info") or "/" in answer or len(answer) > 255:  # noqa: PLR2004 - a file name
            raise self._lied(name, "answered something else than the name of a .dist-info folder")
        return answer

    def wheel(self) -> str:
        """The file in ``out`` that ``build_wheel`` made."""
        answer = self._call("build_wheel", str(self._place.seen(self._view, "out")))
        if not isinstance(answer, str) or len(answer) > 255:  # noqa: PLR2004 - a file name
            raise self._lied("build_wheel", "answered something else than the name of a wheel")
        return answer

    def _call(self, hook: str, *arguments: object, **options: object) -> object:
        """Call *hook*. Raises BuildFault; HookMissing where that may be, OSError."""
        try:
            return getattr(self._caller, hook)(*arguments, **options)
        except BackendUnavailable:
            raise self._failed(hook, "its backend can't be imported", "build-failed") from None
        except UnsupportedOperation:
            raise self._failed(hook, f"its backend does not support {hook}", "build-failed") from None
        except HookMissing:
            if "_allow_fallback" in options:
                raise
            raise self._failed(hook, f"its backend has no {hook}", "build-failed") from None

    def _run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        """pyproject_hooks' way out: *cmd* is a Python, its script, the hook, and a folder with ``input.json``."""
        del cwd  # "src", as we told it
        _, script, hook, folder = cmd
        exchange = self._view.folder / "call"
        exchange.mkdir()
        (exchange / "input.json").write_bytes((Path(folder) / "input.json").read_bytes())
        self._place.give(exchange)
        readable = (*self._view.readable, (Path(script), "hook.py"))
        view = View(folder=self._view.folder, readable=readable)
        python, own_script, own_folder = (
            str(self._place.seen(view, each)) for each in ("env/bin/python", "hook.py", "call")
        )
        outcome = self._place.run(
            [python, own_script, hook, own_folder],
            cwd="src",
            extra=dict(extra_environ or {}),
            view=view,
            limits=self._limits,
        )
        self.output = outcome.output
        if not outcome.good:
            raise self._broken(hook, outcome)
        (Path(folder) / "output.json").write_text(json.dumps(self._answer(hook)), "utf-8")

    def _answer(self, hook: str) -> dict[str, Any]:
        """``output.json``, reduced to what is used. No number is: none is wanted, and long ones take long to read."""
        try:
            with opened(self._view.folder, "call/output.json", limit=_MAX_ANSWER) as file:
                found = json.loads(file.read(_MAX_ANSWER).decode("utf-8"), parse_int=_nothing, parse_float=_nothing)
        except Unreadable as error:
            raise self._lied(hook, f"left no answer: {error}") from None
        except (ValueError, RecursionError):
            raise self._lied(hook, "left an answer that can't be read") from None
        if not isinstance(found, dict):
            raise self._lied(hook, "left an answer that can't be read")
        flags = {key: True for key in ("unsupported", "no_backend", "hook_missing") if found.get(key) is True}
        return {"return_val": found.get("return_val"), **flags}

    def _broken(self, hook: str, outcome: Outcome) -> BuildFault:
        code = "build-timeout" if outcome.limit == "time" else "build-failed"
        hint = _HINTS.get(outcome.limit or "", "")
        return BuildFault(
            f"{hook} failed: {outcome}", source=self._label, hook=hook, code=code, output=outcome.output, hint=hint
        )

    def _failed(self, hook: str, what: str, code: str) -> BuildFault:
        return BuildFault(what, source=self._label, hook=hook, code=code, output=self.output)

    def _lied(self, hook: str, what: str) -> BuildFault:
        return self._failed(hook, f"{hook} {what}", "build-lied")
