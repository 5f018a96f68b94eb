"""``dataclass``, made cheap to define: most of a start-up went into writing methods that a run never calls.

The standard library's writes the source of ``__init__``, ``__repr__``, ``__eq__``, ``__hash__`` and of two guards for
each class, and compiles them one by one: a millisecond a class, a hundred classes a run. Here it writes ``__init__``
alone; the others are the same few functions for every class. What the guards refuse at run time, to change a frozen
value, the type checker refuses before: for it this *is* the standard library's.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type[Any] | None = None,
        /,
        *,
        frozen: bool = False,
        kw_only: bool = False,
        slots: bool = False,
        eq: bool = True,
        order: bool = False,
    ) -> Any:  # noqa: ANN401 - a class, or what makes one
        """As ``dataclasses.dataclass``, with the same meaning of every option, but for guards at run time."""

        def made(cls: type[Any]) -> type[Any]:
            if order:
                return dataclasses.dataclass(cls, frozen=frozen, kw_only=kw_only, slots=slots, order=True)
            cls = dataclasses.dataclass(cls, repr=False, eq=False, kw_only=kw_only, slots=slots)
            if cls.__repr__ is object.__repr__:
                cls.__repr__ = _repr
            if eq and "__eq__" not in cls.__dict__:
                _compare_by_value(cls, hashable=frozen)
            return cls

        return made if cls is None else made(cls)


def _repr(self: Any) -> str:  # noqa: ANN401 - of any class
    said = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({said})"


def _compare_by_value(cls: type[Any], *, hashable: bool) -> None:
    """Equal are those of one class whose fields are."""
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    values = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: Any, other: object) -> bool:  # noqa: ANN401, N807 - of any class; it becomes a method
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: ANN401, N807 - likewise
        return hash(values(self))

    cls.__eq__ = __eq__  # type: ignore[assignment]
    if "__hash__" not in cls.__dict__:
        cls.__hash__ = __hash__ if hashable else None  # type: ignore[assignment]
