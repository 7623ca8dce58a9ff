"""Queries that are compiled once have the rows of their QuerySets, for any values, in any thread."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import Count, Q, QuerySet

from access.models import Scope, ScopeRole
from access.services import ensure_user
from access.user import User
from common.database.bulk import run_together
from common.database.compiled_queries import compiled

pytestmark = pytest.mark.django_db


@compiled
def scope_in(*ids: UUID) -> QuerySet[Scope]:
    return Scope.objects.filter(id__in=ids).select_related("parent").order_by("key")


@compiled
def named(name: str | None, since: datetime) -> QuerySet[User, Any]:
    rows = User.objects.filter(date_joined__gte=since).order_by("username")
    return (rows if name is None else rows.filter(username=name)).values("username", "is_staff")


@compiled
def counted(user_id: int, role: str) -> QuerySet[ScopeRole, Any]:
    rows = ScopeRole.objects.filter(user_id=user_id).order_by("user_id").values_list("user_id")
    return rows.annotate(all=Count("id"), such=Count("id", filter=Q(role=role)))


def scope(key: str, parent: Scope | None = None) -> Scope:
    """Store a scope."""
    return Scope.objects.create(type="project", key=key, parent=parent, root=parent)


def test_each_call_has_the_rows_of_its_own_values() -> None:
    root = scope("a")
    child, other = scope("b", root), scope("c")
    assert [(each.key, each.parent) for each in scope_in(child.id, other.id)] == [("b", root), ("c", None)]
    assert [each.key for each in scope_in(root.id, uuid4())] == ["a"]
    assert [each.key for each in scope_in(other.id, root.id)] == ["a", "c"]
    assert list(scope_in()) == []


def test_related_rows_are_read_with_their_rows(django_assert_num_queries: Any) -> None:
    child = scope("b", scope("a"))
    with django_assert_num_queries(1):
        [found] = scope_in(child.id)
        assert found.parent is not None
        assert found.parent.key == "a"


def test_the_rows_are_read_once(django_assert_num_queries: Any) -> None:
    found = scope_in(scope("a").id)
    with django_assert_num_queries(1):
        assert list(found) == list(found)


def test_texts_times_and_none_are_values() -> None:
    ensure_user(name="ann")
    ensure_user(name="ben")
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=1)
    assert list(named("ann", long_ago)) == [{"username": "ann", "is_staff": False}]
    assert [each["username"] for each in named(None, long_ago)] == ["ann", "ben"]
    assert list(named("ann", now + timedelta(days=1))) == []
    assert [each["username"] for each in named("ben", long_ago)] == ["ben"]


def test_values_in_annotations_are_replaced() -> None:
    ann = ensure_user(name="ann")
    for key, role in (("a", "owner"), ("b", "viewer"), ("c", "viewer")):
        ScopeRole.objects.create(scope=scope(key), user=ann, role=role)
    assert list(counted(ann.pk, "owner")) == [(ann.pk, 3, 1)]
    assert list(counted(ann.pk, "viewer")) == [(ann.pk, 3, 2)]
    assert list(counted(ann.pk + 1, "owner")) == []


def test_queries_run_in_one_round_trip_with_others() -> None:
    one, two = scope("a"), scope("b")
    first, second, plain = scope_in(one.id), scope_in(two.id), Scope.objects.filter(id=one.id)
    run_together(first, second, plain)
    assert [[each.key for each in found] for found in (first, second, plain)] == [["a"], ["b"], ["a"]]


def test_the_queryset_is_built_once_for_each_shape() -> None:
    shapes = []

    @compiled
    def query(*ids: UUID) -> QuerySet[Scope]:
        shapes.append(len(ids))
        return Scope.objects.filter(id__in=ids)

    for number in (1, 2, 1, 2, 1):
        list(query(*(uuid4() for _ in range(number))))
    assert shapes == [1, 2]


def test_a_value_that_is_no_parameter_is_refused() -> None:
    @compiled
    def branching(limit: int) -> QuerySet[Scope]:
        return Scope.objects.order_by("key" if limit > 5 else "type")

    @compiled
    def sliced(key: str, limit: int) -> QuerySet[Scope]:
        return Scope.objects.filter(key=key)[: abs(limit)]

    with pytest.raises(TypeError, match="sliced does not use each of its values"):
        sliced("a", 3)
    with pytest.raises(TypeError, match="branching does not use each of its values"):
        branching(3)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns after each few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("eager_threads")
def test_threads_share_a_query_and_not_its_rows() -> None:
    scopes = [scope(f"s{number}") for number in range(8)]

    def read(each: Scope) -> list[str]:
        try:
            return [found.key for _ in range(100) for found in scope_in(each.id)]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, scopes)) == [[each.key] * 100 for each in scopes]
