"""Independent queries in one network round trip, by PostgreSQL's pipeline mode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from common.database import bulk

Rows = Iterable[tuple[Any, ...]]


@dataclass(slots=True)
class SqlQuery:
    """A statement with server-side parameters; `run_together` fills `rows`."""

    text: str
    parameters: Sequence[object]
    rows: list[tuple[Any, ...]] = field(default_factory=list)


def run_together(*queries: QuerySet[Any, Any] | SqlQuery) -> None:
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
    with bulk.pipeline():
        cursors = [
            bulk.execute(each.text, each.parameters) if isinstance(each, SqlQuery) else _send(compilers[number])
            for number, each in enumerate(queries)
        ]
    with connection.wrap_database_errors:
        for number, (each, cursor) in enumerate(zip(queries, cursors, strict=True)):
            found = [] if cursor is None else cursor.fetchall()
            if isinstance(each, SqlQuery):
                each.rows = found
            else:
                _fill(each, compilers[number], found)


def _send(compiler: Any) -> Any:
    """Return the cursor of a QuerySet's statement; None: the QuerySet is empty, and no statement is sent."""
    try:
        statement, parameters = compiler.as_sql()
    except EmptyResultSet:
        return None
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return cursor


def _fill(queryset: Any, compiler: Any, rows: Rows) -> None:
    """Give a QuerySet its rows: Django converts them as if it had fetched them itself."""
    compiler.execute_sql = lambda *_args, **_named: [rows]
    own = queryset.query
    query = own.chain()
    query.get_compiler = lambda *_args, **_named: compiler
    queryset._query = query  # noqa: SLF001 - setting `query` would reset how rows are converted
    bool(queryset)
    queryset._query = own  # noqa: SLF001 - derived QuerySets must run their own query
