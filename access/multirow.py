"""Many rows in one statement, on Django's own connection and in its transaction.

The ORM's bulk operations spend most of their time on building statements. Here the text of a statement depends on
its columns alone (the rows travel as one JSON array), so that PostgreSQL prepares it once.
"""

from __future__ import annotations

import json
import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import psycopg
from django.db import connection, models
from pydantic import TypeAdapter

_PREFER_INDEXES = (
    "SELECT set_config('enable_seqscan', 'off', true), "
    "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)

_JSON: TypeAdapter[Any] = TypeAdapter(Any)

Row = Mapping[str, object]  # by name of a field, or of its column


def execute(statement: str, parameters: Sequence[object]) -> psycopg.Cursor[tuple[Any, ...]]:
    """Return the cursor of a statement whose parameters the server binds.

    Raises:
        django.db.Error: as Django raises it.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, parameters)
        if _guards.get() is not None:
            _send_all(connection.connection)
        return cursor


def _send_all(to: psycopg.Connection[Any]) -> None:
    """Wait until the server has been sent what was said so far.

    In pipeline mode psycopg 3.3 leaves the rest of what a socket does not take at once (more than a few 100 kB) to the
    next statement, and waits for an answer if there is none: for ever, as the server waits for the rest.
    """
    ready = select.poll()
    ready.register(to.pgconn.socket, select.POLLIN | select.POLLOUT)
    while to.pgconn.flush():
        if any(event & select.POLLIN for _, event in ready.poll()):
            to.pgconn.consume_input()  # a server that cannot say what it has to does not listen


def prefer_indexes() -> None:
    """Have the rest of the transaction find its rows by index.

    The planner does not know how few rows an array holds, and keeps the plan that it made while a table was small:
    reading the whole table. All that is asked for here is asked for by key.
    """
    execute(_PREFER_INDEXES, ())


@dataclass(frozen=True, slots=True)
class _Guard:
    cursor: psycopg.Cursor[Any]
    count: int
    otherwise: Exception

    def check(self) -> None:
        if self.cursor.rowcount != self.count:
            raise self.otherwise


_guards: ContextVar[list[_Guard] | None] = ContextVar("guards", default=None)  # of the statements that travel together


@contextmanager
def together() -> Iterator[None]:
    """Have statements travel together (PostgreSQL's pipeline mode): the server is waited for once, not for each.

    Reading a result waits for all that was sent so far. What guarded statements have written is looked at in the end.

    Raises:
        django.db.Error: as Django raises it.
        Exception: the `otherwise` of a guarded statement that did not find its rows.
    """
    connection.ensure_connection()
    guards: list[_Guard] = []
    before = _guards.set(guards)
    try:
        with connection.wrap_database_errors, connection.connection.pipeline() as pipeline:
            yield
            pipeline.sync()
            for guard in guards:
                guard.check()
    finally:
        _guards.reset(before)


def insert(model: type[models.Model], rows: Sequence[Row], *, or_ignore: bool = False) -> None:
    """Store new rows, all with the same columns.

    Args:
        model: Whose table it is.
        rows: The values of every column that has no default in the database.
        or_ignore: Leave out rows that break a constraint of uniqueness.
    """
    if rows:
        execute(_insert(model, tuple(rows[0]), or_ignore), [as_json(model, rows)])


def update(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    expected: Sequence[int],
    otherwise: Exception,
) -> None:
    """Write rows over those of the same key that have the expected `version`.

    Raises:
        Exception: `otherwise`, when one of them has not; of statements that travel together, in the end.
    """
    if not rows:
        return
    guarded = [{**row, "expected": version} for row, version in zip(rows, expected, strict=True)]
    guard = _Guard(execute(_update(model, tuple(rows[0]), key), [as_json(model, guarded)]), len(rows), otherwise)
    if (guards := _guards.get()) is None:
        guard.check()
    else:
        guards.append(guard)


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


def as_json(model: type[models.Model], rows: Sequence[Row]) -> str:
    """Return rows, all with the same columns, as one JSON array; what is JSON in a column is a text in it."""
    inner = _inner(model, tuple(rows[0]))
    return _text([{**row, **{name: None if row[name] is None else _text(row[name]) for name in inner}} for row in rows])


@lru_cache
def _inner(model: type[models.Model], columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if name != "expected" and _cast(model, name))


def _text(value: object) -> str:
    try:
        return _JSON.dump_json(value).decode()
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
