"""A step changes only columns without an index, so PostgreSQL makes a heap-only update of the execution's row."""

from __future__ import annotations

import pytest
from django.db import connection

from access.user import User
from tests.factories import reports

pytestmark = pytest.mark.django_db(transaction=True)


def updates() -> tuple[int, int]:
    """Return the updates of executions in this database: all, and those that touched no index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")  # this session reports its counts when the query has ended
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'executions_execution'::regclass"
        )
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
