"""Queries that Django compiles once: building a QuerySet and its SQL takes longer than PostgreSQL needs for the rows.

A function that returns a QuerySet becomes one that returns a `CompiledQuery`. The first call for each shape builds the
QuerySet with stand-ins for the values, and finds these among the parameters of its statement. Later calls only put
their values there. The QuerySet stays the one definition of the query.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from types import NoneType
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

T = TypeVar("T")
_MAX_SHAPES = 256  # of one function

#: A value that no query has, by type; the number of the argument is added.
_STAND_INS: dict[type, Callable[[int], object]] = {
    UUID: lambda number: UUID(int=0x5CA1AB1E << 96 | number),
    int: lambda number: -1_735_820_000 - number,
    str: lambda number: f"\N{REPLACEMENT CHARACTER}stand-in {number}",
    datetime: lambda number: datetime(1, 2, 3, tzinfo=UTC) + timedelta(microseconds=number),
}


@dataclass(frozen=True, slots=True)
class _Template:
    """A compiled query: where in its parameters the values go."""

    statement: str | None  # None: the query has no rows, whatever the values
    parameters: Sequence[Any]
    places: Sequence[tuple[int, int]]  # (index among the parameters, number of the value)
    queryset: Any
    compiler: Any


class CompiledQuery(Generic[T]):
    """A query whose rows are read once, as those of a QuerySet: when they are needed, or by `bulk.run_together`."""

    def __init__(self, template: _Template, values: Sequence[Any]) -> None:
        self._template = template
        parameters = list(template.parameters)
        for index, number in template.places:
            parameters[index] = values[number]
        self._parameters = parameters
        self._rows: list[T] | None = None

    def __iter__(self) -> Iterator[T]:
        """Yield the rows.

        Raises:
            django.db.Error: the query failed.
        """
        if self._rows is None:
            cursor = self.send()
            self.fill([] if cursor is None else cursor.fetchall())
        return iter(self._rows or ())

    def send(self) -> Any:
        """Send the statement, and return its cursor; None: the query has no rows, and nothing is sent."""
        if self._template.statement is None:
            return None
        cursor = connection.cursor()
        cursor.execute(self._template.statement, self._parameters)
        return cursor

    def fill(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Take the rows of the cursor: Django converts them as those of the QuerySet."""
        compiler = copy.copy(self._template.compiler)  # other threads use it, too
        compiler.execute_sql = lambda *_args, **_named: [rows]
        queryset = self._template.queryset._chain()  # noqa: SLF001 - a copy without rows; `all()` costs the same
        queryset.query.get_compiler = lambda *_args, **_named: compiler
        self._rows = list(queryset)


def compiled(build: Callable[..., QuerySet[Any, T]]) -> Callable[..., CompiledQuery[T]]:
    """Return a function that takes what `build` takes, and compiles its QuerySet once for each shape.

    Positional arguments are values: UUIDs, texts, integers or times. A QuerySet must have them as parameters of its
    statement, each value on its own; `build` may do nothing else with them. Their number and types are part of the
    shape, so `build` may ask whether one is None. What else a QuerySet depends on must be constant.
    """
    templates: dict[object, _Template] = {}

    @wraps(build)
    def query(*values: object) -> CompiledQuery[T]:
        shape = tuple(map(type, values))
        template = templates.get(shape)
        if template is None:
            if len(templates) >= _MAX_SHAPES:
                templates.clear()
            template = templates[shape] = _compile(build, shape)
        return CompiledQuery(template, values)

    return query


def _compile(build: Callable[..., Any], shape: Sequence[type]) -> _Template:
    given = [None if kind is NoneType else _STAND_INS[kind](number) for number, kind in enumerate(shape)]
    queryset = build(*given)
    compiler = queryset.query.get_compiler(connection=connection)
    try:
        statement, parameters = compiler.as_sql()
    except EmptyResultSet:
        return _Template(None, (), (), queryset, compiler)
    numbers = {each: number for number, each in enumerate(given) if each is not None}
    places = [(index, numbers[each]) for index, each in enumerate(parameters) if _is_in(each, numbers)]
    if len({number for _, number in places}) < len(numbers):
        raise TypeError(f"{build.__name__} does not use each of its values as a parameter of its statement")
    return _Template(statement, parameters, places, queryset, compiler)


def _is_in(parameter: object, numbers: Mapping[object, int]) -> bool:
    return type(parameter) in _STAND_INS and parameter in numbers  # others may have no hash
