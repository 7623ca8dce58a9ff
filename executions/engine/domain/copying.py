"""Fast changed copies of the engine's dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

__all__ = ["IdentityKey", "replace"]

T = TypeVar("T")


class IdentityKey(Generic[T]):
    """A value that is hashed and compared by identity, not by content."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityKey) and other.value is self.value


if TYPE_CHECKING:
    from dataclasses import replace  # for the names and types of what is changed
else:

    def replace(value: T, /, **changes: object) -> T:
        """Return a copy of a dataclass with some fields changed.

        It does what `dataclasses.replace` does, in a tenth of the time for a class without slots and in a quarter for
        one with slots. One step makes about thirty copies of values with up to thirty fields. `__init__` and
        `__post_init__` are not called; the engine's dataclasses have no code there.

        Raises:
            AttributeError: a name in `changes` is not a field.
        """
        cls = type(value)
        copy = _new(cls)
        if not _has_slots(cls):
            fields_of_copy, fields_before = copy.__dict__, value.__dict__
            fields_of_copy.update(fields_before)
            fields_of_copy.update(changes)
            if len(fields_of_copy) != len(fields_before):
                raise AttributeError(f"{cls.__name__} has no {', '.join(changes.keys() - fields_before.keys())}")
            return copy
        read, writes = _access(cls)
        for write, field in zip(writes, read(value), strict=True):
            write(copy, field)
        for name, field in changes.items():
            _set(copy, name, field)
        return copy


_new = object.__new__
_set = object.__setattr__  # sets fields of a frozen copy that is not shared yet


@cache
def _has_slots(cls: type[Any]) -> bool:
    return "__slots__" in vars(cls)


@cache
def _access(cls: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[Callable[[Any, object], None], ...]]:
    """Return a function that reads all fields of a class with slots, and one function per field that writes it."""
    first, *others = [field.name for field in fields(cls)]
    read = attrgetter(first, *others) if others else lambda value: (getattr(value, first),)
    return read, tuple(getattr(cls, name).__set__ for name in (first, *others))
