"""Root scopes take turns, whoever has enqueued how much."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from executions import models
from executions.jobs import QUEUE, enqueue_advance
from tests.engine.world import LINE
from tests.executions.moves import start

pytestmark = pytest.mark.django_db


def taken() -> str:
    """Take the next job as a worker does; return the key of its scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (procrastinate_fetch_job_v2(%s::varchar[], NULL)).lock", [[QUEUE]])
        execution_id = cursor.fetchone()[0]
    return models.Execution.objects.select_related("scope").get(id=UUID(execution_id)).scope.key


def begin(ann: User, scope: str, count: int) -> list[UUID]:
    """Start some executions in a scope."""
    return [start(ann, LINE, scope=scope).id for _ in range(count)]


def test_one_of_a_quiet_scope_does_not_wait_for_all_of_a_busy_one(ann: User) -> None:
    begin(ann, "busy", 20)
    assert [taken() for _ in range(5)] == ["busy"] * 5
    begin(ann, "quiet", 2)
    assert [taken() for _ in range(6)] == ["busy", "quiet", "busy", "quiet", "busy", "busy"]


def test_three_scopes_take_turns_in_the_order_in_which_they_came(ann: User) -> None:
    for scope in ("a", "b", "c"):
        begin(ann, scope, 3)
    assert "".join(taken() for _ in range(9)) == "abcabcabc"


def test_within_a_scope_the_first_goes_first(ann: User) -> None:
    first, second, third = begin(ann, "a", 3)
    with connection.cursor() as cursor:
        cursor.execute("SELECT lock FROM procrastinate_jobs ORDER BY priority DESC, id")
        assert [UUID(lock) for (lock,) in cursor.fetchall()] == [first, second, third]


def test_tags_begin_again_when_the_queue_is_empty(ann: User) -> None:
    begin(ann, "a", 3)
    for _ in range(3):
        taken()
    begin(ann, "a", 1)
    assert ProcrastinateJob.objects.get(status="todo").priority == 0


def test_what_goes_on_after_an_answer_takes_its_turn_too(ann: User) -> None:
    begin(ann, "busy", 5)
    [waiting] = begin(ann, "quiet", 1)
    assert [taken(), taken()] == ["busy", "quiet"]
    ProcrastinateJob.objects.filter(lock=str(waiting)).delete()
    enqueue_advance(waiting)
    assert [taken(), taken()] == ["busy", "quiet"]


def test_the_tag_is_found_by_index_among_many(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status) "
            "SELECT 'executions', 'x', number::text, jsonb_build_object('scope', number), 'todo' "
            "FROM generate_series(1, 3000) AS number"
        )
        cursor.execute("ANALYZE procrastinate_jobs")
        cursor.execute(
            "EXPLAIN SELECT min(priority) FROM procrastinate_jobs "
            "WHERE status = 'todo' AND queue_name = 'executions' AND args ->> 'scope' = '7'"
        )
        assert "executions_job_scope" in str(cursor.fetchall())
