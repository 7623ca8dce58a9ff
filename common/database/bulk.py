"""Bulk SQL: many rows in one statement, many statements in one, and many queries in one network round trip.

The ORM's bulk operations spend most of their time on building statements. Here the text of a statement depends only
on its columns. The rows are one parameter, a JSON array, so PostgreSQL prepares the statement once.
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
from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import QuerySet
from pydantic_core import to_json

from common.database import deferred_statements
from common.database.compiled_queries import CompiledQuery

_PLANS = (
    "SELECT set_config('enable_seqscan', %s, true), "
    "set_config('enable_hashjoin', %s, true), set_config('enable_mergejoin', %s, true)"
)

T = TypeVar("T")
Row = Mapping[str, object]  # values by field name or column name


def execute(statement: str, parameters: Sequence[object]) -> psycopg.Cursor[tuple[Any, ...]]:
    """Execute a statement with server-side parameters, and return its cursor.

    Raises:
        django.db.Error: the statement failed.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return deferred_statements.Cursor(connection.connection).execute(statement, parameters)


def execute_later(statement: str, parameters: Sequence[object]) -> None:
    """Send a statement without a result together with the transaction's next statement, at the latest with COMMIT.

    An error of the statement is raised by that later statement.
    """
    if connection.in_atomic_block:
        deferred_statements.defer(connection.connection, statement, parameters)
    else:
        execute(statement, parameters)


def prefer_indexes() -> None:
    """Turn off sequential scans for the rest of the transaction.

    The planner does not know how few rows an array holds, and keeps the sequential-scan plan that it made while the
    table was small. All statements of this module find their rows by key.
    """
    execute(_PLANS, ["off"] * 3)


def allow_all_plans() -> None:
    """Undo `prefer_indexes`, for queries of the same transaction over many rows."""
    execute(_PLANS, ["on"] * 3)


def array_text(values: Iterable[object]) -> str:
    """Return an array in PostgreSQL's text format: a driver takes a microsecond and more over each value.

    The values are None, times, or values whose text needs no quotes, such as numbers and ids.
    """
    return f"{{{','.join(map(_array_element, values))}}}"


def _array_element(value: object) -> str:
    return "NULL" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)


@dataclass(frozen=True, slots=True)
class Write:
    """A data-modifying statement, or one part of a combined statement."""

    body: str  # SQL
    rows: str  # JSON, the parameter of `before` or `body`
    before: str = ""  # common table expressions that the body selects from
    reads: bool = False  # a version check that writes nothing
    count: int | None = None  # expected number of rows; None: any
    error: Exception = field(default_factory=lambda: RuntimeError("rows were not as expected"))

    @property
    def statement(self) -> str:
        """SQL of this write alone."""
        return f"WITH {self.before} {self.body}" if self.before else self.body

    def check(self, cursor: psycopg.Cursor[Any]) -> None:
        """Raise `error` if the number of rows differs from `count`."""
        if self.count is not None and cursor.rowcount != self.count:
            raise self.error


@contextmanager
def pipeline() -> Iterator[None]:
    """Use PostgreSQL's pipeline mode for the statements of the block: one network round trip in all.

    Reading a result waits for all statements sent so far.

    Raises:
        django.db.Error: a statement failed.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


class LazyResult(Generic[T]):
    """The result of a statement. In pipeline mode, reading it waits for the server."""

    def __init__(self, cursor: psycopg.Cursor[Any] | None, convert: Callable[[list[tuple[Any, ...]]], T]) -> None:
        """Store how to read the result: `convert` maps the rows to the value. Without a cursor there are no rows."""
        self._cursor, self._convert = cursor, convert
        # At most one value. A `cached_property` has one lock for all instances in Python 3.11.
        self._values: list[T] = []

    @property
    def value(self) -> T:
        """The converted rows.

        Raises:
            django.db.Error: the statement failed.
        """
        if not self._values:
            with connection.wrap_database_errors:
                self._values.append(self._convert([] if self._cursor is None else self._cursor.fetchall()))
        return self._values[0]


@dataclass(slots=True)
class SqlQuery:
    """A statement with server-side parameters; `run_together` fills `rows`."""

    text: str
    parameters: Sequence[object]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def send(self) -> psycopg.Cursor[tuple[Any, ...]]:
        """Send the statement, and return its cursor."""
        return execute(self.text, self.parameters)

    def fill(self, rows: list[tuple[Any, ...]]) -> None:
        """Take the rows of the cursor."""
        self.rows = rows


Query = QuerySet[Any, Any] | CompiledQuery[Any] | SqlQuery


def run_together(*queries: Query) -> None:
    """Run queries in this order. A QuerySet is evaluated, as if it had been iterated over.

    A query may not depend on the rows of another one, and a QuerySet may not prefetch.

    Raises:
        django.db.Error: a query failed.
    """
    compilers = {
        number: each.query.get_compiler(connection=connection)
        for number, each in enumerate(queries)
        if isinstance(each, QuerySet)
    }
    with pipeline():
        cursors = [
            _send_query(compilers[number]) if isinstance(each, QuerySet) else each.send()
            for number, each in enumerate(queries)
        ]
    with connection.wrap_database_errors:
        for number, (each, cursor) in enumerate(zip(queries, cursors, strict=True)):
            found = [] if cursor is None else cursor.fetchall()
            if isinstance(each, QuerySet):
                _fill_query(each, compilers[number], found)
            else:
                each.fill(found)


def _send_query(compiler: Any) -> Any:
    """Return the cursor of a QuerySet's statement; None: the QuerySet is empty, and no statement is sent."""
    try:
        statement, parameters = compiler.as_sql()
    except EmptyResultSet:
        return None
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return cursor


def _fill_query(queryset: Any, compiler: Any, rows: Iterable[tuple[Any, ...]]) -> None:
    """Give a QuerySet its rows: Django converts them as if it had fetched them itself."""
    compiler.execute_sql = lambda *_args, **_named: [rows]
    own = queryset.query
    query = own.chain()
    query.get_compiler = lambda *_args, **_named: compiler
    queryset._query = query  # noqa: SLF001 - setting `query` would reset how rows are converted
    bool(queryset)
    queryset._query = own  # noqa: SLF001 - derived QuerySets must run their own query


def write(writes: Iterable[Write]) -> None:
    """Execute writes one after the other.

    Raises:
        Exception: `error` of a write whose rows differ from its `count`.
    """
    for each in writes:
        each.check(execute(each.statement, [each.rows]))


def write_later(writes: Iterable[Write]) -> None:
    """Send writes with the transaction's next statement, at the latest with COMMIT.

    Their rows are not counted: use this for insertions only, which store all rows or fail.
    """
    for each in writes:
        execute_later(each.statement, [each.rows])


def is_refusal(error: BaseException | None) -> bool:
    """Return whether an error means that the rows of a `to_single_statement` write differ from its `count`."""
    return isinstance(error, psycopg.errors.DivisionByZero) or (
        isinstance(error, django.db.DataError) and is_refusal(error.__cause__)
    )


def to_single_statement(writes: Sequence[Write]) -> tuple[str, list[str]]:
    """Combine writes into one statement with %s placeholders, and return it with its parameters.

    The server executes all writes or none. The writes affect different tables, and each sees the tables as they were
    before the statement. They lock their rows in the given order. If rows differ from the `count` of a write, the
    server rejects the statement (`is_refusal`).
    """
    counts = [str(each.count) for each in writes if each.count is not None]
    parts = tuple((each.before, each.body, each.reads, each.count is not None) for each in writes)
    return _combine(parts), [*(each.rows for each in writes), *counts]


@lru_cache(maxsize=256)
def _combine(parts: tuple[tuple[str, str, bool, bool], ...]) -> str:
    """Return the combined statement. SQL has no assertion, so a failed check divides by zero."""
    queries: list[str] = []
    checks: list[str] = []
    for number, (before, body, reads, guarded) in enumerate(parts):
        returning = "" if reads else " RETURNING 1"
        queries += [*([before] if before else []), f"part_{number} AS ({body}{returning})"]
        if guarded:
            checks.append(f"(SELECT count(*) FROM part_{number}) = %s::bigint")  # noqa: S608 - no input in it
    check = " AND ".join(checks) or "true"
    return f"WITH {', '.join(queries)} SELECT 1 / ({check})::integer"


def insertion(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    or_ignore: bool = False,
    computed: tuple[tuple[str, str], ...] = (),
) -> Iterator[Write]:
    """Yield the write that inserts rows with equal columns; nothing if there are no rows.

    Args:
        model: The model of the table.
        rows: Values of every column that has no database default.
        or_ignore: Skip rows that violate a unique constraint.
        computed: Further columns, each with an SQL expression over the row `v`.
    """
    if rows:
        count = None if or_ignore else len(rows)
        columns = tuple(rows[0])
        given = rows_as_json(rows, inner=_json_columns(model, columns))
        yield Write(_insert(model, columns, or_ignore=or_ignore, computed=computed), given, count=count)


def insert(model: type[models.Model], rows: Sequence[Row], *, or_ignore: bool = False) -> None:
    """Insert rows; see `insertion`."""
    write(insertion(model, rows, or_ignore=or_ignore))


def replacement(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    expected: Sequence[int],
    error: Exception,
) -> Iterator[Write]:
    """Yield the write that updates rows by key if they have the expected `version`; nothing if there are no rows.

    The write raises `error` if a row has another version.
    """
    if rows:
        columns = tuple(rows[0])
        guarded = rows_as_json(rows, inner=_json_columns(model, columns), expected=expected)
        yield Write(_update(model, columns, key), guarded, count=len(rows), error=error)


def update(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    expected: Sequence[int],
    error: Exception,
) -> None:
    """Update rows; see `replacement`.

    Raises:
        Exception: `error`, if a row has another version.
    """
    write(replacement(model, rows, key=key, expected=expected, error=error))


@lru_cache
def _insert(
    model: type[models.Model], columns: tuple[str, ...], *, or_ignore: bool, computed: tuple[tuple[str, str], ...]
) -> str:
    names = ", ".join(_name(model, each) for each in (*columns, *(name for name, _ in computed)))
    given = (f'v."{each}"{_cast(model, each)}' for each in columns)
    values = ", ".join([*given, *(expression for _, expression in computed)])
    ignore = " ON CONFLICT DO NOTHING" if or_ignore else ""
    return f"INSERT INTO {_table(model)} ({names}) SELECT {values} FROM {_recordset(model, columns)}{ignore}"  # noqa: S608


@lru_cache
def _update(model: type[models.Model], columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    assignments = ", ".join(
        f'{_name(model, each)} = v."{each}"{_cast(model, each)}' for each in columns if each not in key
    )
    same = " AND ".join(f't.{_name(model, each)} = v."{each}"' for each in key)
    given = _recordset(model, columns, "expected integer")
    return f"UPDATE {_table(model)} AS t SET {assignments} FROM {given} WHERE {same} AND t.version = v.expected"  # noqa: S608


def _recordset(model: type[models.Model], columns: tuple[str, ...], *more: str) -> str:
    typed = ", ".join([*(f'"{each}" {_type(model, each)}' for each in columns), *more])
    return f"json_to_recordset(%s::json) AS v({typed})"


def _type(model: type[models.Model], name: str) -> str:
    """Return the type of a column in the recordset. Texts have no length: a cast would truncate them silently."""
    column = str(_field(model, name).db_type(connection))
    return "text" if column.startswith("varchar") or _cast(model, name) else column


@lru_cache
def _cast(model: type[models.Model], name: str) -> str:
    """Return the cast from text to a JSON column. Nested JSON would be parsed, which rejects some escapes."""
    column = str(_field(model, name).db_type(connection))
    return f"::{column}" if column in {"json", "jsonb"} else ""


def rows_as_json(rows: Sequence[Row], *, inner: Sequence[str], expected: Sequence[int] | None = None) -> str:
    """Return rows as one JSON array: JSON of an `inner` column is a text; `expected` adds the versions."""
    given: list[dict[str, object]] = []
    for row in rows:
        one = dict(row)
        for name in inner:
            if (value := one[name]) is not None:
                one[name] = to_json_text(value)
        given.append(one)
    if expected is not None:
        for one, version in zip(given, expected, strict=True):
            one["expected"] = version
    return to_json_text(given)


@lru_cache
def _json_columns(model: type[models.Model], columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if _cast(model, name))


def to_json_text(value: object) -> str:
    """Serialize plain data as JSON."""
    try:
        return to_json(value).decode()
    except ValueError:  # models and clients send lone surrogates, which only an escape can express
        return json.dumps(value, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is not a column value")


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    return cast("models.Field[Any, Any]", model._meta.get_field(name))  # noqa: SLF001 - a documented API


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'  # noqa: SLF001 - a documented API


def _name(model: type[models.Model], name: str) -> str:
    return f'"{_field(model, name).column}"'
