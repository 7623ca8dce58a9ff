"""Root scopes take turns in the queue, however many jobs each has."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from access.user import User
from executions import models
from executions.queue.jobs import ADVANCE, PRUNE, QUEUE, enqueue_advance, enqueue_prune
from tests.factories.engine import LINE
from tests.factories.executions import start

pytestmark = pytest.mark.django_db


def taken() -> str:
    """Take the next job as a worker does; return the key of its scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lock FROM executions_take_jobs(%s::varchar[], NULL, 1, 1000)", [[QUEUE]])
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


def owners(count: int, *, per_user: int = 1000) -> list[str]:
    """Take so many jobs at once, or as many as may go; return whose they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lock FROM executions_take_jobs(%s::varchar[], NULL, %s, %s)", [[QUEUE], count, per_user])
        ids = [UUID(lock) for (lock,) in cursor.fetchall()]
    names = dict(models.Execution.objects.filter(id__in=ids).values_list("id", "requested_by__username"))
    return [names[each] for each in ids]


@pytest.mark.parametrize("scopes", [1, 20])
def test_users_take_turns_however_many_scopes_each_uses(ann: User, bob: User, scopes: int) -> None:
    for number in range(20):
        begin(ann, f"a{number % scopes}", 1)
    assert owners(3) == ["ann"] * 3
    begin(bob, "b", 2)
    assert owners(6) == ["ann", "bob", "ann", "bob", "ann", "ann"]


def test_within_the_turns_of_a_user_the_scopes_take_theirs(ann: User, bob: User) -> None:
    begin(ann, "busy", 6)
    begin(bob, "other", 3)
    begin(ann, "quiet", 2)
    assert [taken() for _ in range(8)] == ["busy", "other", "quiet", "other", "busy", "other", "quiet", "busy"]


def test_a_user_who_runs_as_many_as_they_may_is_passed(ann: User, bob: User) -> None:
    for number in range(8):
        begin(ann, f"a{number}", 1)
    assert owners(20, per_user=3) == ["ann"] * 3
    begin(bob, "b", 2)
    assert owners(20, per_user=3) == ["bob"] * 2
    assert owners(20, per_user=3) == []
    ended = ProcrastinateJob.objects.filter(status="doing", args__user=str(ann.pk)).first()
    assert ended is not None
    ProcrastinateJob.objects.filter(id=ended.id).delete()
    assert owners(20, per_user=3) == ["ann"]


def test_what_no_user_has_started_has_no_limit_and_takes_its_turn(ann: User) -> None:
    enqueue_prune()
    begin(ann, "a", 2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name FROM executions_take_jobs(%s::varchar[], NULL, 9, 1)", [[QUEUE]])
        assert [name for (name,) in cursor.fetchall()] == [PRUNE, ADVANCE]


def test_two_jobs_of_an_execution_count_once(ann: User) -> None:
    [first] = begin(ann, "a", 1)
    begin(ann, "b", 1)
    assert owners(1, per_user=2) == ["ann"]
    enqueue_advance(first)
    assert owners(9, per_user=2) == ["ann"]  # of the other: the lock of the first is taken
    assert ProcrastinateJob.objects.get(status="todo").lock == str(first)


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


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("min(priority) FROM procrastinate_jobs WHERE coalesce(args ->> 'user', '') = '7'", "executions_job_user"),
        (
            "min(coalesce((args ->> 'turn')::integer, 0)) FROM procrastinate_jobs "
            "WHERE coalesce(args ->> 'user', '') = '7'",
            "executions_job_user_turn",
        ),
        (
            "max(coalesce((args ->> 'turn')::integer, 0)) FROM procrastinate_jobs WHERE args ->> 'scope' = '7'",
            "executions_job_scope_turn",
        ),
    ],
)
def test_a_tag_is_found_by_index_among_many(db: None, wanted: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status) SELECT 'executions', 'x', "
            "number::text, jsonb_build_object('scope', number::text, 'user', number::text, 'turn', number), 'todo' "
            "FROM generate_series(1, 3000) AS number"
        )
        cursor.execute("ANALYZE procrastinate_jobs")
        cursor.execute(f"EXPLAIN SELECT {wanted} AND status = 'todo' AND queue_name = 'executions'")
        assert f"{index} " in str(cursor.fetchall())
