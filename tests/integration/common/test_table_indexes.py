"""No index duplicates another index of its table, because every write pays for every index."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import pytest
from django.apps import apps
from django.db import connection

pytestmark = pytest.mark.django_db

OUR_APPS = ("access", "documents", "executions", "telemetry", "workflows")
#: Index columns in order, each with its operator class, collation and direction; and which rows the index has.
_INDEXES = """
SELECT indexed.relname, named.relname, coalesce(pg_get_expr(index.indpred, index.indrelid), ''), array_agg(
    concat_ws(' ', pg_get_indexdef(index.indexrelid, position::int, true), index.indclass[position - 1],
      index.indcollation[position - 1], CASE WHEN index.indnkeyatts > 1 THEN index.indoption[position - 1] END)
    ORDER BY position
  )
FROM pg_index AS index JOIN pg_class AS indexed ON indexed.oid = index.indrelid
JOIN pg_class AS named ON named.oid = index.indexrelid, generate_series(1, index.indnkeyatts) AS position
WHERE indexed.relname = ANY (%s) GROUP BY index.indexrelid, 1, 2, 3, index.indnkeyatts ORDER BY 1, 2
"""


class Index(NamedTuple):
    name: str
    rows: str
    columns: list[str]


def our_tables() -> list[str]:
    """Return our tables, and that of the queue, which has indexes of ours."""
    models = [each for name in OUR_APPS for each in apps.get_app_config(name).get_models(include_auto_created=True)]
    return [*(each._meta.db_table for each in models), "procrastinate_jobs"]


def indexes() -> dict[str, list[Index]]:
    """Return the indexes by table."""
    found = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, [our_tables()])
        for table, *rest in cursor.fetchall():
            found[table].append(Index(*rest))
    return found


def repeated(of_a_table: list[Index]) -> list[str]:
    """Return the indexes whose columns another index begins with, for the same rows."""
    return [
        f"{one.name} beside {other.name}"
        for one in of_a_table
        for other in of_a_table
        if one is not other and one.rows == other.rows and begins_with(other, one)
    ]


def begins_with(longer: Index, shorter: Index) -> bool:
    """Whether an index can stand in for a shorter one; the direction of a single column does not matter."""
    if len(shorter.columns) > 1:
        return longer.columns[: len(shorter.columns)] == shorter.columns
    first = longer.columns[0] if len(longer.columns) == 1 else longer.columns[0].rpartition(" ")[0]
    return first == shorter.columns[0]


def test_no_index_repeats_the_beginning_of_another() -> None:
    found = indexes()
    assert set(found) == set(our_tables())
    assert {table: names for table, of_table in found.items() if (names := repeated(of_table))} == {}


@pytest.mark.parametrize(
    ("columns", "is_repeated"),
    [
        ("execution_id", True),
        ("execution_id DESC", True),
        ("execution_id, step_id", True),
        ("execution_id, step_id DESC", False),
        ("execution_id) WHERE (attempt > 1", False),
        ("step_id", False),
        ("step_id varchar_pattern_ops", False),
    ],
)
def test_a_repeated_index_would_be_found(columns: str, is_repeated: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX one_more ON executions_executionstep ({columns})")
    names = repeated(indexes()["executions_executionstep"])
    assert any("one_more" in each for each in names) == is_repeated
