"""Values of the model as plain data, which JSON can hold, and back. For what a run keeps for the next one.

The form follows the classes: a dataclass is the list of its fields, in their order. So it suits no format that is
handed on, for a change of a class is a change of the form; and one who keeps such data keeps the version beside it.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from packaging.requirements import InvalidRequirement, Requirement

from pypimirror.model.names import ParsedName, Version, parse_file_name, parse_version
from pypimirror.model.reading import Malformed

__all__ = ["plain", "value_of", "values_of"]

T = TypeVar("T")
_Turn = Callable[[Any], Any]

_PLAIN = frozenset({str, int, bool, type(None)})
_AS_TEXT: dict[type[Any], _Turn] = {Version: parse_version, Requirement: Requirement}


def plain(value: object) -> object:
    """*value* as lists, texts, numbers, truths and None. What has no order is sorted: equal values, equal data."""
    kind = type(value)
    return value if kind in _PLAIN else _writer(cast("Any", kind))(value)


@lru_cache(maxsize=256)
def _writer(kind: type[Any]) -> _Turn:
    """What writes values of one class."""
    if issubclass(kind, Enum):
        return attrgetter("value")
    if kind is tuple:
        return lambda value: [plain(each) for each in value]
    if kind is frozenset:
        return lambda value: sorted(map(plain, value), key=str)
    if kind is ParsedName:
        return lambda value: [value.filename, value.project]
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return lambda value: [plain(getattr(value, name)) for name in names]
    if kind not in _AS_TEXT:
        raise TypeError(f"no plain form of {kind.__name__}")
    return str


def value_of(kind: type[T], data: object) -> T:
    """The value whose ``plain`` form *data* is. Raises Malformed for what is none of that class."""
    reader: Callable[[object], T] = _reader(cast("Any", kind))
    try:
        return reader(data)
    except (ValueError, TypeError, InvalidRequirement) as error:
        raise Malformed("", f"no {kind.__name__}: {error}") from None


def values_of(kind: type[T], data: object) -> tuple[T, ...]:
    """As ``value_of``, of several."""
    return cast("tuple[T, ...]", value_of(cast("Any", tuple[kind, ...]), data))  # type: ignore[valid-type]  # a variable


@lru_cache(maxsize=256)
def _reader(kind: Any) -> _Turn:  # noqa: ANN401 - a class, or what typing makes of some
    """What reads one kind of value, by its annotation."""
    kind = getattr(kind, "__supertype__", kind)  # a NewType
    make = _OF_GENERIC.get(get_origin(kind))
    if make is not None:
        return make(get_args(kind))
    if kind is ParsedName:
        return _parsed_name
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if issubclass(kind, Enum):
        return _one_of({each.value: each for each in kind})
    if kind in _AS_TEXT:
        made = _AS_TEXT[kind]
        return lambda data: made(_exactly(str, data))
    if kind not in _PLAIN:
        raise TypeError(f"nothing reads {kind}")
    return lambda data: data if type(data) is kind else _exactly(kind, data)


def _parsed_name(data: object) -> ParsedName:
    filename, project = (_exactly(str, each) for each in _list(data))
    return parse_file_name(filename, project=project)


def _dataclass_reader(kind: Any) -> _Turn:  # noqa: ANN401 - any dataclass
    hints = get_type_hints(kind)
    readers = [(field.name, _reader(hints[field.name])) for field in dataclasses.fields(kind)]

    def read(data: object) -> object:
        values = _list(data)
        if len(values) != len(readers):
            raise ValueError("another number of fields")
        return kind(**{name: reader(value) for (name, reader), value in zip(readers, values, strict=False)})

    return read


def _tuple_reader(kinds: tuple[Any, ...]) -> _Turn:
    if kinds[-1] is Ellipsis:
        each = _reader(kinds[0])
        if getattr(kinds[0], "__supertype__", kinds[0]) is str:  # most are, and long
            return lambda data: tuple(data if set(map(type, _list(data))) <= {str} else map(each, data))
        return lambda data: tuple(map(each, _list(data)))
    readers = tuple(map(_reader, kinds))
    return lambda data: tuple(reader(value) for reader, value in zip(readers, _list(data), strict=True))


def _set_reader(kinds: tuple[Any, ...]) -> _Turn:
    each = _reader(kinds[0])
    return lambda data: frozenset(map(each, _list(data)))


def _optional_reader(kinds: tuple[Any, ...]) -> _Turn:
    (one,) = (_reader(each) for each in kinds if each is not types.NoneType)
    return lambda data: None if data is None else one(data)


def _one_of(known: dict[Any, Any]) -> _Turn:
    def read(data: object) -> object:
        if not isinstance(data, str) or data not in known:
            raise ValueError(f"{data!r:.40} is none of {len(known)}")
        return known[data]

    return read


def _exactly(kind: type[Any], data: object) -> Any:  # noqa: ANN401 - a value of *kind*
    if type(data) is not kind:
        raise ValueError(f"{data!r:.40} is no {kind.__name__}")
    return data


def _list(data: object) -> list[Any]:
    return _exactly(list, data)  # type: ignore[no-any-return]  # checked


_OF_GENERIC: dict[Any, Callable[[tuple[Any, ...]], _Turn]] = {
    tuple: _tuple_reader,
    frozenset: _set_reader,
    Union: _optional_reader,
    types.UnionType: _optional_reader,
    Literal: lambda kinds: _one_of({each: each for each in kinds}),
}
