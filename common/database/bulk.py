"""Many rows in one statement, and many statements in one: on Django's own connection, or to be sent over another.

The ORM's bulk operations spend most of their time on building statements. Here the text of a statement depends on
its columns alone (the rows travel as one JSON array), so that PostgreSQL prepares it once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import django.db
import psycopg
from django.db import connection, models
from pydantic_core import to_json

from common.database import deferred_statements as pipelining

_PREFER_INDEXES = (
    "SELECT set_config('enable_seqscan', 'off', true), "
    "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)

T = TypeVar("T")
Row = Mapping[str, object]  # by name of a field, or of its column


def execute(statement: str, parameters: Sequence[object]) -> psycopg.Cursor[tuple[Any, ...]]:
    """Return the cursor of a statement whose parameters the server binds.

    Raises:
        django.db.Error: as Django raises it.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return pipelining.Cursor(connection.connection).execute(statement, parameters)


def execute_later(statement: str, parameters: Sequence[object]) -> None:
    """Have a statement that needs no answer travel with the next one of the transaction, at the latest with its COMMIT.

    What is wrong with it is raised there.
    """
    if connection.in_atomic_block:
        pipelining.later(connection.connection, statement, parameters)
    else:
        execute(statement, parameters)


def prefer_indexes() -> None:
    """Have the rest of the transaction find its rows by index.

    The planner does not know how few rows an array holds, and keeps the plan that it made while a table was small:
    reading the whole table. All that is asked for here is asked for by key.
    """
    execute(_PREFER_INDEXES, ())


@dataclass(frozen=True, slots=True)
class Write:
    """Rows that one statement writes, or a part of one."""

    body: str  # SQL
    rows: str  # JSON; its place is in one of both texts
    before: str = ""  # what the body selects from: named queries, as they stand in a WITH
    reads: bool = False  # it looks at rows only, whether they are as they are expected to be
    count: int | None = None  # rows that it has to write, or to find; None: as many as there are
    error: Exception = field(default_factory=lambda: RuntimeError("rows were not as expected"))

    @property
    def statement(self) -> str:
        """It alone."""
        return f"WITH {self.before} {self.body}" if self.before else self.body

    def check(self, cursor: psycopg.Cursor[Any]) -> None:
        """Raise `otherwise` if its rows were not as it expects."""
        if self.count is not None and cursor.rowcount != self.count:
            raise self.error


@contextmanager
def pipeline() -> Iterator[None]:
    """Have statements travel together (PostgreSQL's pipeline mode): the server is waited for once, not for each.

    Reading a result waits for all that was sent so far.

    Raises:
        django.db.Error: as Django raises it.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


class Answer(Generic[T]):
    """What a statement finds. Reading it waits for the server, where statements travel together, and else does not."""

    def __init__(self, cursor: psycopg.Cursor[Any] | None, convert: Callable[[list[tuple[Any, ...]]], T]) -> None:
        """Make `convert` return the value of the rows; without a cursor nothing was asked, and there are none."""
        self._cursor, self._convert = cursor, convert
        self._values: list[T] = []  # the one that was read; not a `cached_property`: Python 3.11 has one lock for all

    @property
    def value(self) -> T:
        """What the rows come to.

        Raises:
            django.db.Error: as Django raises it.
        """
        if not self._values:
            with connection.wrap_database_errors:
                self._values.append(self._convert([] if self._cursor is None else self._cursor.fetchall()))
        return self._values[0]


def write(writes: Iterable[Write]) -> None:
    """Carry out writes, one after the other.

    Raises:
        Exception: `otherwise` of one whose rows are not as it expects.
    """
    for each in writes:
        each.check(execute(each.statement, [each.rows]))


def write_later(writes: Iterable[Write]) -> None:
    """Have writes travel with the next statement of the transaction, at the latest with its COMMIT.

    Their rows are not counted: they are insertions, which store all rows or fail.
    """
    for each in writes:
        execute_later(each.statement, [each.rows])


def write_single_statement_later(writes: Sequence[Write]) -> None:
    """Have the one statement of all writes travel with the next one of the transaction, at the latest with its COMMIT.

    Where rows are not as one of the writes expects, what is raised there is a refusal (`is_refusal`).
    """
    if writes:
        execute_later(*to_single_statement(writes))


def is_refusal(error: BaseException | None) -> bool:
    """Whether an error says that rows were not as one of the writes of `to_single_statement` expects."""
    return isinstance(error, psycopg.errors.DivisionByZero) or (
        isinstance(error, django.db.DataError) and is_refusal(error.__cause__)
    )


def to_single_statement(writes: Sequence[Write]) -> tuple[str, list[str]]:
    """Return the one statement of all writes (with %s), and its parameters: all of them or none.

    Their rows are those of different tables; each sees the tables as they were before. They lock their rows one after
    the other, in this order. Where rows are not as one of them expects, the server refuses all (`is_refusal`).
    """
    counts = [str(each.count) for each in writes if each.count is not None]
    parts = tuple((each.before, each.body, each.reads, each.count is not None) for each in writes)
    return _as_one(parts), [*(each.rows for each in writes), *counts]


@lru_cache(maxsize=256)
def _as_one(parts: tuple[tuple[str, str, bool, bool], ...]) -> str:
    """Return the statement of all parts. SQL knows no assertion: what does not hold is divided by."""
    queries: list[str] = []
    checks: list[str] = []
    for number, (before, body, reads, guarded) in enumerate(parts):
        returning = "" if reads else " RETURNING 1"
        queries += [*([before] if before else []), f"part_{number} AS ({body}{returning})"]
        if guarded:
            checks.append(f"(SELECT count(*) FROM part_{number}) = %s::bigint")  # noqa: S608 - names of ours
    check = " AND ".join(checks) or "true"
    return f"WITH {', '.join(queries)} SELECT 1 / ({check})::integer"


def insertion(model: type[models.Model], rows: Sequence[Row], *, or_ignore: bool = False) -> Iterator[Write]:
    """Yield the write of new rows, all with the same columns; nothing if there are none.

    Args:
        model: Whose table it is.
        rows: The values of every column that has no default in the database.
        or_ignore: Leave out rows that break a constraint of uniqueness.
    """
    if rows:
        count = None if or_ignore else len(rows)
        columns = tuple(rows[0])
        yield Write(_insert(model, columns, or_ignore), as_json(rows, inner=_inner(model, columns)), count=count)


def insert(model: type[models.Model], rows: Sequence[Row], *, or_ignore: bool = False) -> None:
    """Store new rows, as `insertion` says."""
    write(insertion(model, rows, or_ignore=or_ignore))


def replacement(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    expected: Sequence[int],
    error: Exception,
) -> Iterator[Write]:
    """Yield the write of rows over those of the same key that have the expected `version`; nothing if there are none.

    `otherwise` is raised when one of them has not.
    """
    if rows:
        columns = tuple(rows[0])
        guarded = as_json(rows, inner=_inner(model, columns), expected=expected)
        yield Write(_update(model, columns, key), guarded, count=len(rows), error=error)


def update(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    expected: Sequence[int],
    error: Exception,
) -> None:
    """Write rows over others, as `replacement` says.

    Raises:
        Exception: `otherwise`, when one of them is not as expected.
    """
    write(replacement(model, rows, key=key, expected=expected, error=error))


@lru_cache
def _insert(model: type[models.Model], columns: tuple[str, ...], or_ignore: bool) -> str:
    names = ", ".join(_name(model, each) for each in columns)
    values = ", ".join(f'v."{each}"{_cast(model, each)}' for each in columns)
    ignore = " ON CONFLICT DO NOTHING" if or_ignore else ""
    return f"INSERT INTO {_table(model)} ({names}) SELECT {values} FROM {_given(model, columns)}{ignore}"  # noqa: S608


@lru_cache
def _update(model: type[models.Model], columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    assignments = ", ".join(
        f'{_name(model, each)} = v."{each}"{_cast(model, each)}' for each in columns if each not in key
    )
    same = " AND ".join(f't.{_name(model, each)} = v."{each}"' for each in key)
    given = _given(model, columns, "expected integer")
    return f"UPDATE {_table(model)} AS t SET {assignments} FROM {given} WHERE {same} AND t.version = v.expected"  # noqa: S608


def _given(model: type[models.Model], columns: tuple[str, ...], *more: str) -> str:
    typed = ", ".join([*(f'"{each}" {_type(model, each)}' for each in columns), *more])
    return f"json_to_recordset(%s::json) AS v({typed})"


def _type(model: type[models.Model], name: str) -> str:
    """Return the type that values are read as: texts without a length, as a cast would cut them off in silence."""
    column = str(_field(model, name).db_type(connection))
    return "text" if column.startswith("varchar") or _cast(model, name) else column


@lru_cache
def _cast(model: type[models.Model], name: str) -> str:
    """Return what turns a text into the column's JSON: within the array it would be taken apart, escapes and all."""
    column = str(_field(model, name).db_type(connection))
    return f"::{column}" if column in {"json", "jsonb"} else ""


def as_json(rows: Sequence[Row], *, inner: Sequence[str], expected: Sequence[int] | None = None) -> str:
    """Return rows as one JSON array: what is JSON in an `inner` column is a text in it; with `expected` versions."""
    given: list[dict[str, object]] = []
    for row in rows:
        one = dict(row)
        for name in inner:
            if (value := one[name]) is not None:
                one[name] = as_text(value)
        given.append(one)
    if expected is not None:
        for one, version in zip(given, expected, strict=True):
            one["expected"] = version
    return as_text(given)


@lru_cache
def _inner(model: type[models.Model], columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if _cast(model, name))


def as_text(value: object) -> str:
    """Return plain data as JSON."""
    try:
        return to_json(value).decode()
    except ValueError:  # half of a surrogate pair, as models and clients send it: only an escape can say that
        return json.dumps(value, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no value of a column")


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    return cast("models.Field[Any, Any]", model._meta.get_field(name))  # noqa: SLF001 - a documented API


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'  # noqa: SLF001 - a documented API


def _name(model: type[models.Model], name: str) -> str:
    return f'"{_field(model, name).column}"'
