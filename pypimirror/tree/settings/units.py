"""Units of systemd that publish whatever bundle comes to lie in a folder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pypimirror.errors import UsageFault
from pypimirror.tree.settings.quoting import check_path, in_shell, in_unit
from pypimirror.tree.settings.servers import UNIT_MINDS
from pypimirror.tree.settings.texts import rendered
from pypimirror.values import dataclass

__all__ = ["UNITS", "Drop", "Unit", "unit_settings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """Bundles that arrive in *folder* are rendered into *tree*; both are absolute paths."""

    folder: str
    tree: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A unit: what it is, and how it is made."""

    about: str
    make: Callable[[Drop], str]


def unit_settings(name: str, drop: Drop) -> str:
    """The unit *name*, a key of ``UNITS``. Raises UsageFault: ``bad-path``, or ``usage`` for a folder in the tree."""
    for path in (drop.folder, drop.tree):
        check_path(path, "systemd", UNIT_MINDS)
    if f"{drop.folder}/".startswith(f"{drop.tree.rstrip('/')}/"):
        hint = "choose a folder beside the tree: what lies in a tree is its own, and served"
        raise UsageFault(f"bundles can't arrive inside of the tree {drop.tree}", code="usage", hint=hint)
    return UNITS[name].make(drop)


def _render(drop: Drop) -> str:
    return rendered(
        "systemd-render.service",
        drop=drop.folder,
        tree=drop.tree,
        drop_path=in_unit(drop.folder),
        tree_path=in_unit(drop.tree),
        drop_variable=in_unit(f"DROP={drop.folder}"),
        tree_variable=in_unit(f"TREE={drop.tree}"),
        folders=f"{in_shell(drop.folder)} {in_shell(drop.tree)}",
    )


def _watch(drop: Drop) -> str:
    return rendered("systemd-watch.path", drop=drop.folder, watched=drop.folder.replace("%", "%%"))


UNITS: Mapping[str, Unit] = {
    "systemd-render": Unit(about="a service that renders what lies in a folder", make=_render),
    "systemd-watch": Unit(about="a path unit that starts it when something arrives", make=_watch),
}
"""By the name that a person types, in the order of the help."""
