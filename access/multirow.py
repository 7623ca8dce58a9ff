"""Many rows in one statement, on Django's own connection and in its transaction.

The ORM's bulk operations spend most of their time on building statements. Here the text of a statement depends on
its columns alone (the values travel as one array per column), so that PostgreSQL prepares it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from django.db import connection, models

Row = Mapping[str, object]  # by name of a field, or of its column


def execute(statement: str, parameters: Sequence[object]) -> psycopg.Cursor[tuple[Any, ...]]:
    """Return the cursor of a statement whose parameters the server binds.

    Raises:
        django.db.Error: as Django raises it.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        return cursor.execute(statement, parameters)


def insert(model: type[models.Model], rows: Sequence[Row], *, or_ignore: bool = False) -> int:
    """Store new rows, all with the same columns; return how many were stored.

    Args:
        model: Whose table it is.
        rows: The values of every column that has no default in the database.
        or_ignore: Leave out rows that break a constraint of uniqueness.
    """
    if not rows:
        return 0
    columns = tuple(rows[0])
    return execute(_insert(model, columns, or_ignore), _arrays(model, columns, rows)).rowcount


def update(model: type[models.Model], rows: Sequence[Row], *, key: tuple[str, ...], expected: Sequence[int]) -> int:
    """Write rows over those of the same key that have the expected `version`; return how many there were."""
    if not rows:
        return 0
    columns = tuple(rows[0])
    return execute(_update(model, columns, key), [*_arrays(model, columns, rows), list(expected)]).rowcount


@lru_cache
def _insert(model: type[models.Model], columns: tuple[str, ...], or_ignore: bool) -> str:
    names = ", ".join(_name(model, each) for each in columns)
    values = ", ".join(f'v."{each}"{_cast(model, each)}' for each in columns)
    ignore = " ON CONFLICT DO NOTHING" if or_ignore else ""
    return f"INSERT INTO {_table(model)} ({names}) SELECT {values} FROM {_given(model, columns)}{ignore}"  # noqa: S608


@lru_cache
def _update(model: type[models.Model], columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    written = [each for each in columns if each not in key]
    assignments = ", ".join(f'{_name(model, each)} = v."{each}"{_cast(model, each)}' for each in written)
    same = " AND ".join(f't.{_name(model, each)} = v."{each}"' for each in key)
    given = _given(model, columns, "expected", "integer")
    return f"UPDATE {_table(model)} AS t SET {assignments} FROM {given} WHERE {same} AND t.version = v.expected"  # noqa: S608


def _given(model: type[models.Model], columns: tuple[str, ...], *more: str) -> str:
    types = [*(_array_type(model, each) for each in columns), *more[1:]]
    names = ", ".join(f'"{each}"' for each in (*columns, *more[:1]))
    return f"unnest({', '.join(f'%s::{each}[]' for each in types)}) AS v({names})"


def _arrays(model: type[models.Model], columns: tuple[str, ...], rows: Sequence[Row]) -> list[list[object]]:
    return [_array(_field(model, each), [row[each] for row in rows]) for each in columns]


def _array(field: models.Field[Any, Any], values: list[object]) -> list[object]:
    if isinstance(field, models.JSONField):
        return [None if value is None else json.dumps(value) for value in values]
    return values


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    return cast("models.Field[Any, Any]", model._meta.get_field(name))  # noqa: SLF001 - a documented API


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'  # noqa: SLF001 - a documented API


def _name(model: type[models.Model], name: str) -> str:
    return f'"{_field(model, name).column}"'


def _array_type(model: type[models.Model], name: str) -> str:
    """Return the type that values travel as: texts without a length, as a cast would cut them off in silence."""
    column = str(_field(model, name).db_type(connection)).partition("(")[0]
    return "text" if column in {"varchar", "json", "jsonb"} else column


def _cast(model: type[models.Model], name: str) -> str:
    column = str(_field(model, name).db_type(connection))
    return f"::{column}" if column in {"json", "jsonb"} else ""
