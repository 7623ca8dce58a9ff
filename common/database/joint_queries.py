"""Several questions, asked together: the server is waited for once for all of them."""

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
class Question:
    """A statement whose parameters the server binds; `rows` is what it has found once it was asked."""

    text: str
    parameters: Sequence[object]
    rows: list[tuple[Any, ...]] = field(default_factory=list)


def ask_together(*questions: QuerySet[Any, Any] | Question) -> None:
    """Ask questions in this order. A QuerySet is as if it was iterated over: read from it what it has found.

    None of them may depend on the rows of another, nor prefetch.

    Raises:
        django.db.Error: as Django raises it.
    """
    compilers = {
        number: each.query.get_compiler(connection=connection)
        for number, each in enumerate(questions)
        if isinstance(each, QuerySet)
    }
    with bulk.pipeline():
        cursors = [
            bulk.execute(each.text, each.parameters) if isinstance(each, Question) else _sent(compilers[number])
            for number, each in enumerate(questions)
        ]
    with connection.wrap_database_errors:
        for number, (each, cursor) in enumerate(zip(questions, cursors, strict=True)):
            found = [] if cursor is None else cursor.fetchall()
            if isinstance(each, Question):
                each.rows = found
            else:
                _fill(each, compilers[number], found)


def _sent(compiler: Any) -> Any:
    """Return the cursor of a QuerySet's statement; None: nothing can be found, and nothing is asked."""
    try:
        statement, parameters = compiler.as_sql()
    except EmptyResultSet:
        return None
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return cursor


def _fill(queryset: Any, compiler: Any, rows: Rows) -> None:
    """Give a QuerySet its rows: Django makes of them what it makes of those that it has asked for itself."""
    compiler.execute_sql = lambda *_args, **_named: [rows]
    own = queryset.query
    query = own.chain()
    query.get_compiler = lambda *_args, **_named: compiler
    queryset._query = query  # noqa: SLF001 - to set `query` would forget what its rows are made into
    bool(queryset)
    queryset._query = own  # noqa: SLF001 - what is derived from it asks for itself
