"""Changed copies of the engine's values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["replace"]

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import replace  # for the names and types of what is changed
else:

    def replace(value: T, /, **changes: object) -> T:
        """Return a copy of a dataclass with slots, some of its fields changed.

        As `dataclasses.replace`, in a quarter of its time: a step makes some thirty copies of values with up to thirty
        fields. What a class does after its initialisation is left out; none of ours does anything.

        Raises:
            AttributeError: there is no field of such a name.
        """
        cls = type(value)
        copy = _new(cls)
        read, writes = _access(cls)
        for write, field in zip(writes, read(value), strict=True):
            write(copy, field)
        for name, field in changes.items():
            _set(copy, name, field)
        return copy


_new = object.__new__
_set = object.__setattr__  # of a frozen one, which is nobody's yet


@cache
def _access(cls: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[Callable[[Any, object], None], ...]]:
    """Return what reads all fields of a class with slots at once, and what writes each of them."""
    first, *others = [each.name for each in fields(cls)]
    read = attrgetter(first, *others) if others else lambda value: (getattr(value, first),)
    return read, tuple(getattr(cls, name).__set__ for name in (first, *others))
