"""Counts that stop at a limit: the rows that they read do not depend on the number of rows that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.database.bulk import SqlQuery

MAX_COUNT = 101  # people are shown "100+"


def count_text(count: int) -> str:
    """Return a count as people are shown it: exact to 100."""
    return str(count) if count < MAX_COUNT else f"{MAX_COUNT - 1}+"


def limited_counts(table: str, columns: Mapping[str, tuple[str, Sequence[Any]]], *, where: str = "true") -> SqlQuery:
    """Return the query for the number of rows, at most `MAX_COUNT`, of each combination of values of indexed columns.

    A row of its result has the values and the number; combinations without rows are left out.

    Args:
        table: Name of the table.
        columns: Type in SQL and values of each column.
        where: Condition of the rows that count.
    """
    given = ", ".join(f"unnest(%s::{kind}[]) AS each_{name} (value)" for name, (kind, _) in columns.items())
    shown = ", ".join(f"each_{name}.value" for name in columns)
    same = " AND ".join(f"{name} = each_{name}.value" for name in columns)
    text = f"""SELECT {shown}, counted.number FROM {given}, LATERAL (
      SELECT count(*) AS number FROM (SELECT FROM {table} WHERE {same} AND {where} LIMIT {MAX_COUNT}) AS listed
    ) AS counted WHERE counted.number > 0"""  # noqa: S608 - no input in it
    return SqlQuery(text, [list(values) for _, values in columns.values()])
