"""A step changes only columns without an index, so PostgreSQL makes a heap-only update of the execution's row."""

from __future__ import annotations

import pytest
from django.db import connection

from access.user import User
from tests.factories import reports

pytestmark = pytest.mark.django_db

_UPDATES = """
SELECT pg_stat_get_xact_tuples_updated(id), pg_stat_get_xact_tuples_hot_updated(id)
FROM (SELECT 'executions_execution'::regclass) AS wanted(id)
"""


def updates() -> tuple[int, int]:
    """Return the updates of executions in this transaction: all, and those that touched no index."""
    with connection.cursor() as cursor:
        cursor.execute(_UPDATES)
        every, heap_only = cursor.fetchone()
    return every, heap_only


def test_a_step_that_gets_on_touches_no_index_of_executions(ann: User) -> None:
    reports.publish()
    claimed = reports.claim(reports.start(ann))
    before = updates()
    reports.finish_step(claimed, "research")
    after = updates()
    made = [now - then for now, then in zip(after, before, strict=True)]
    assert made[0] == made[1] > 0, made
