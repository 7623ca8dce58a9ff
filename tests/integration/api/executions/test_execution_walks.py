"""Lists of executions have what a plain query finds, by any filters, and a page reads few rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from access.models import Scope, ScopeRole
from access.user import User
from common.database import walks
from common.database.walks import After
from executions.models import Execution, ExecutionStep, ExecutionTag
from executions.selectors import executions as selectors
from executions.selectors import lists
from executions.selectors.lists import ExecutionQuery
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import ids
from tests.integration.rows_read import rows_read

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, tzinfo=UTC)
ROOTS = [("project", "a"), ("project", "b"), ("epic", "a"), ("epic", "c")]
STATUSES = ["pending", "running", "waiting", "completed", "failed", "cancelled"]
WAITS = ["clarification", "acceptance", "budget", "rate_limit"]
WORKFLOWS, TAGS, MINUTES = ["one", "two"], ["x", "y"], 2

_COPY = """
INSERT INTO executions_execution
SELECT (jsonb_populate_record(one, changed.row)).*
FROM executions_execution AS one, jsonb_array_elements(%s::jsonb) AS changed (row) WHERE one.id = %s
"""


class World(NamedTuple):
    pattern: UUID  # an execution to copy
    roots: list[UUID]
    children: list[UUID]  # one below each of the roots
    users: list[User]  # staff, one with all scopes, one with the first, one with the others, one without


@pytest.fixture
def world(ada: Caller, report: int) -> World:
    pattern = reports.start(ada.user, key="pattern").id
    Execution.objects.filter(id=pattern).update(created_at=START - timedelta(days=1))
    roots = [Scope.objects.create(type=scope_type, key=key) for scope_type, key in ROOTS]
    children = [Scope.objects.create(type="story", key="s", parent=each, root=each) for each in roots]
    users = [User.objects.create(username=name, is_staff=name == "staff") for name in ("staff", "all", "first", "rest")]
    for user, seen in zip(users[1:], (roots, roots[:1], roots[1:]), strict=True):
        ScopeRole.objects.bulk_create(ScopeRole(scope=each, user=user, role="viewer") for each in seen)
    users.append(User.objects.create(username="no"))
    return World(pattern, [each.id for each in roots], [each.id for each in children], users)


def copy(pattern: UUID, rows: Sequence[dict[str, Any]]) -> None:
    """Store copies of an execution with other values, without its steps."""
    with connection.cursor() as cursor:
        cursor.execute(_COPY, [json.dumps(rows, default=str), pattern])


# --- what a list has --------------------------------------------------------------------------------------------------

shapes: dict[str, st.SearchStrategy[Any]] = {
    "minute": st.integers(0, MINUTES),
    "root": st.integers(0, len(ROOTS) - 1),
    "status": st.sampled_from(["waiting", "completed", *STATUSES]),
    "workflow_id": st.sampled_from(WORKFLOWS),
    "tags": st.lists(st.sampled_from(TAGS), unique=True),
    "waiting_on": st.lists(st.sampled_from(WAITS), unique=True),
    "dry": st.booleans(),
    "child": st.booleans(),
}
rows = st.fixed_dictionaries(shapes)
alike = st.fixed_dictionaries(
    {**shapes, "root": st.integers(0, 1), "status": st.just("completed"), "workflow_id": st.just(WORKFLOWS[0])}
)  # many in one stretch of an index
moments = st.integers(0, MINUTES + 1).map(lambda each: START + timedelta(minutes=each))
#: `scope` is the number of a root, or of the scope below it plus the number of roots.
filters = {
    "status": st.lists(st.sampled_from(STATUSES), min_size=1, max_size=3, unique=True),
    "workflow_id": st.sampled_from([*WORKFLOWS, "none"]),
    "scope_type": st.sampled_from(["project", "epic", "none"]),
    "scope_id": st.sampled_from(["a", "b", "none"]),
    "scope": st.integers(0, 2 * len(ROOTS)),
    "tag": st.sampled_from([*TAGS, "none"]),
    "waiting_on": st.sampled_from(WAITS),
    "dry_run": st.booleans(),
    "created_after": moments,
    "created_before": moments,
}
#: Few filters at once, or nearly all queries would find nothing.
queries = st.lists(st.sampled_from(sorted(filters)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: filters[name] for name in names})
)


def _step(execution_id: UUID, scope_id: UUID) -> ExecutionStep:
    known = {"step_id": "s", "status": "completed", "position": 0, "level": 0}
    return ExecutionStep(execution_id=execution_id, scope_id=scope_id, **known)


def fill(world: World, drawn: Sequence[dict[str, Any]]) -> None:
    made = []
    for each in drawn:
        values = {name: each[name] for name in ("status", "workflow_id", "tags")}
        values["waiting_on"] = each["waiting_on"] if each["status"] == "waiting" else []
        values["script"] = {"steps": {}} if each["dry"] else None
        values["created_at"] = (START + timedelta(minutes=each["minute"])).isoformat()
        made.append({"id": uuid4(), "scope_id": world.roots[each["root"]], **values})
    copy(world.pattern, made)
    ExecutionStep.objects.bulk_create(
        _step(new["id"], world.children[each["root"]]) for new, each in zip(made, drawn, strict=True) if each["child"]
    )


def expected(world: World, user: User, query: ExecutionQuery) -> list[UUID]:
    """Return what a plain query finds."""
    wanted = {
        "status__in": list(query.status) or None,
        "workflow_id": query.workflow_id,
        "scope__type": query.scope_type,
        "scope__key": query.scope_id,
        "tags__contains": None if query.tag is None else [query.tag],
        "waiting_on__contains": None if query.waiting_on is None else [query.waiting_on],
        "script__isnull": None if query.dry_run is None else not query.dry_run,
        "created_at__gte": query.created_after,
        "created_at__lt": query.created_before,
    }
    found = Execution.objects.filter(**{name: value for name, value in wanted.items() if value is not None})
    if not user.is_staff:
        found = found.filter(scope__roles__user=user)
    if query.scope is not None:
        in_root = query.scope in world.roots
        found = found.filter(scope_id=query.scope) if in_root else found.filter(steps__scope_id=query.scope)
    return list(found.order_by("-created_at", "-id").values_list("id", flat=True))


def pages(user: User, query: ExecutionQuery, limit: int) -> Iterator[list[UUID]]:
    after = None
    while True:
        page = selectors.newest_executions(user=user, query=query, limit=limit, after=after)
        yield [each.id for each in page.executions]
        if page.next is None:
            return
        after = After(*page.next)


@contextmanager
def budgets(*, first: int, few: int, small: int) -> Iterator[None]:
    """Have walks be inconclusive with as few rows as the test has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "FIRST_BUDGET", first)
        patch.setattr(walks, "GROWTH", 2)
        patch.setattr(walks, "FEW_STRETCHES", few)
        patch.setattr(lists, "SMALL", small)
        patch.setattr(lists, "MAX_SCOPES", small or 2)
        yield


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    drawn=st.one_of(st.lists(rows, max_size=20), st.lists(alike, min_size=20, max_size=40)),
    asked=st.lists(queries, max_size=5),
    limit=st.integers(1, 5),
    first=st.integers(1, 20),
    few=st.sampled_from([0, 16]),
    small=st.sampled_from([0, 64]),
)
def test_all_pages_are_what_a_plain_query_finds(
    world: World, drawn: list[dict[str, Any]], asked: list[dict[str, Any]], limit: int, first: int, few: int, small: int
) -> None:
    with transaction.atomic(), budgets(first=first, few=few, small=small):
        fill(world, drawn)
        for user in world.users:
            for values in ({}, *asked):
                known = [*world.roots, *world.children, uuid4()]
                scope = {"scope": known[values["scope"]]} if "scope" in values else {}
                query = ExecutionQuery(**{**values, **scope})
                wanted = expected(world, user, query)
                event(f"{min(len(wanted), 3)} found")
                cut = [wanted[start : start + limit] for start in range(0, len(wanted), limit)]
                assert list(pages(user, query, limit)) == (cut or [[]])
        transaction.set_rollback(True)


def test_the_filters_of_this_test_are_all_filters() -> None:
    assert {each.name for each in fields(ExecutionQuery)} == set(filters)


# --- tags -------------------------------------------------------------------------------------------------------------


def listed() -> set[tuple[str, UUID]]:
    return set(ExecutionTag.objects.values_list("tag", "execution_id"))


def test_tags_are_listed_as_their_execution_changes_and_goes(ada: Caller, report: int) -> None:
    first = reports.start(ada.user, tags=["pilot", "city"]).id
    second = reports.start(ada.user, tags=["city"]).id
    reports.start(ada.user)
    assert listed() == {("pilot", first), ("city", first), ("city", second)}
    Execution.objects.filter(id=first).update(tags=["pilot", "new"], created_at=START)
    assert listed() == {("pilot", first), ("new", first), ("city", second)}
    assert set(ExecutionTag.objects.filter(execution_id=first).values_list("created_at", flat=True)) == {START}
    reports.cancel(ada.user, second)
    assert listed() == {("pilot", first), ("new", first), ("city", second)}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("DELETE FROM executions_execution WHERE id = %s", [first])
        assert listed() == {("city", second)}
        cursor.execute("UPDATE executions_execution SET tags = '[]'")
    assert listed() == set()
    transaction.set_rollback(True)


# --- what a page reads ------------------------------------------------------------------------------------------------

MANY = 4_500
OLDEST = 5  # executions of the rare status, workflow, tag and so on, which have no newer ones
MAX_ROWS = 1_000  # that a page may read, of all

_MANY = """
INSERT INTO executions_execution
SELECT (jsonb_populate_record(one, jsonb_build_object(
  'id', gen_random_uuid(), 'created_at', %(start)s::timestamptz + number * interval '1 second',
  'scope_id', CASE WHEN number <= %(oldest)s THEN %(old)s WHEN number %% 2 = 0 THEN %(new)s ELSE %(other)s END,
  'status', CASE WHEN number = 1 THEN 'cancelled' WHEN number <= %(oldest)s THEN 'waiting'
    WHEN number %% 2 = 0 THEN 'completed' ELSE 'failed' END,
  'workflow_id', CASE WHEN number <= %(oldest)s THEN 'rare' WHEN number %% 2 = 0 THEN 'usual' ELSE 'other' END,
  'tags', CASE WHEN number <= %(oldest)s THEN '["rare"]'::jsonb ELSE '["usual"]' END,
  'waiting_on', CASE WHEN number BETWEEN 2 AND %(oldest)s THEN '["budget"]'::jsonb ELSE '[]' END,
  'script', CASE WHEN number <= %(oldest)s THEN '{"steps": {}}'::jsonb END
))).*
FROM executions_execution AS one, generate_series(1, %(many)s) AS number WHERE one.id = %(pattern)s
"""


_STEPS = """
INSERT INTO executions_executionstep (execution_id, step_id, position, level, status, item_order, optional, label, name,
  role, produces, depends_on, version, attempt, invalid_outputs, input_versions, rounds, decisions, violations,
  failure_code, failure_message)
SELECT id, 's', 0, 0, 'completed', 0, false, '', '', '', '', '[]', 1, 0, 0, '[]', '[]', '[]', '[]', '', ''
FROM executions_execution AS one
WHERE NOT EXISTS (SELECT FROM executions_executionstep AS step WHERE step.execution_id = one.id)
"""


@pytest.fixture(params=["with statistics", "with statistics of an empty table"])
def many(world: World, request: pytest.FixtureRequest) -> World:
    """Thousands of executions in two scopes in turns; the oldest few are in another one, and differ in everything.

    In turns, because PostgreSQL then thinks little of indexes that do not begin with the time.
    """
    given: dict[str, Any] = {"oldest": OLDEST, "many": MANY, "start": START, "pattern": world.pattern}
    given |= {"old": str(world.roots[0]), "new": str(world.roots[1]), "other": str(world.roots[2])}
    analyze = "ANALYZE executions_execution"
    with connection.cursor() as cursor:
        cursor.execute(analyze)
        cursor.execute(_MANY, given)
        cursor.execute(_STEPS)
        if request.param == "with statistics":
            cursor.execute(analyze)
    return world


def second(number: int) -> datetime:
    return START + timedelta(seconds=number)


FULL = 50


CASES: list[tuple[str, dict[str, Any], int]] = [
    ("staff", {}, FULL),
    ("all", {}, FULL),
    ("first", {}, OLDEST),
    ("staff", {"status": ["completed"]}, FULL),
    ("staff", {"status": ["cancelled"]}, 1),
    ("staff", {"status": ["running"]}, 0),
    ("first", {"status": ["completed"]}, 0),
    ("all", {"status": ["running"]}, 0),
    ("staff", {"workflow_id": "rare"}, OLDEST),
    ("staff", {"workflow_id": "usual"}, FULL),
    ("first", {"workflow_id": "usual"}, 0),
    ("staff", {"workflow_id": "rare", "dry_run": False}, 0),
    ("staff", {"workflow_id": "usual", "status": ["running"]}, 0),
    ("staff", {"workflow_id": "usual", "scope_id": "c"}, 0),
    ("all", {"workflow_id": "usual", "status": ["running"], "dry_run": False}, 0),
    ("staff", {"scope_type": "project", "scope_id": "a"}, OLDEST),
    ("staff", {"scope_type": "project", "status": ["cancelled"]}, 1),
    ("all", {"scope_id": "c"}, 0),
    ("staff", {"tag": "rare"}, OLDEST),
    ("staff", {"tag": "usual"}, FULL),
    ("staff", {"tag": "none"}, 0),
    ("first", {"tag": "usual"}, 0),
    ("staff", {"tag": "usual", "status": ["running"]}, 0),
    ("staff", {"tag": "rare", "workflow_id": "usual"}, 0),
    ("staff", {"waiting_on": "budget"}, OLDEST - 1),
    ("staff", {"waiting_on": "acceptance"}, 0),
    ("staff", {"waiting_on": "budget", "workflow_id": "usual"}, 0),
    ("staff", {"dry_run": True}, OLDEST),
    ("rest", {"dry_run": True}, 0),
    ("staff", {"dry_run": True, "scope_id": "b"}, 0),
    ("staff", {"dry_run": False}, FULL),
    ("staff", {"dry_run": True, "status": ["completed"]}, 0),
    ("staff", {"created_before": second(OLDEST + 1), "created_after": second(0)}, OLDEST),
    ("first", {"created_after": second(OLDEST + 1)}, 0),
    ("staff", {"created_before": second(MANY), "status": ["running"]}, 0),
]


def test_a_page_reads_few_of_many_rows(many: World) -> None:
    users = {each.username: each for each in many.users}
    for who, query, found in CASES:
        with rows_read("executions_execution") as read, transaction.atomic():
            shown = lists.newest(user=users[who], query=ExecutionQuery(**query), count=FULL)
        assert len(shown) == found, (who, query)
        assert read[0] <= MAX_ROWS, (who, query)


@pytest.mark.parametrize("many", ["with statistics"], indirect=True)
def test_the_api_reads_few_rows_for_a_page(many: World, caller: Callable[..., Caller]) -> None:
    asking = caller("first")
    with rows_read("executions_execution") as read:
        assert len(ids(asking, tag="rare", dry_run="true", limit=OLDEST)) == OLDEST
    assert read[0] <= 10 * OLDEST
