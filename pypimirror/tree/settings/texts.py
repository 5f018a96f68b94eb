"""Templates -> texts. Each template tells which program wants a line, and why; comments say where the file goes."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files as resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

__all__ = ["rendered"]


def rendered(template: str, **values: object) -> str:
    """The text, with one newline at its end. Values go in as they are: whoever calls has quoted them."""
    return _environment().get_template(f"{template}.j2").render(values).rstrip("\n") + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    folder = resources("pypimirror.tree.settings").joinpath("templates")
    return Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=False,  # noqa: S701 - no HTML: what goes in was quoted for the syntax of each text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
