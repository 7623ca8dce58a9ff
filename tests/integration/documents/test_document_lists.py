"""Filters of the list of documents, and the rows that a page reads, whatever the caller may see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from access.models import Scope, ScopeRole
from access.user import User
from documents.models import Document
from tests.factories.documents import NOW, scope_of, store
from tests.integration.rows_read import rows_read

pytestmark = pytest.mark.django_db

Api = Callable[..., APIClient]
MANY = 4_500  # a search reads up to 4,008 matches from the text index instead of comparing words
OLDEST = 5  # documents of the scope, type, workflow and author that have no newer ones
MAX_ROWS = 1_400  # that a page may read, of all: two samples and a walk of a search, and the page


def titles(client: APIClient, **query: Any) -> list[str]:
    found: list[str] = []
    while True:
        response = client.get("/api/v1/documents/", query)
        assert response.status_code == 200, response.content
        page = response.json()
        found += [row["title"] for row in page["data"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def minute(number: int) -> str:
    return (NOW + timedelta(minutes=number)).isoformat()


@pytest.fixture
def few(alice: User) -> dict[str, Any]:
    """A model made `first` and `second`; alice edited `second` after `third`, and `fourth` is stale."""
    scope, execution = scope_of(alice), uuid7()
    made = {"execution_id": execution, "provenance": {"workflow_id": "concept"}}
    store(scope, type="first", title="first", created_at=NOW, **made)
    second = store(scope, type="second", title="second", created_at=NOW + timedelta(minutes=1), **made)
    store(scope_of(alice, "beta", "epic"), type="third", title="third", created_at=NOW + timedelta(minutes=2))
    fourth = store(scope, type="fourth", title="fourth", created_at=NOW + timedelta(minutes=3), **made)
    edit = {"author_id": alice.pk, "author_name": "alice", "base_version": 1}
    store(scope, id=second, type="second", version=2, title="second", created_at=NOW + timedelta(minutes=4), **edit)
    Document.objects.filter(id=fourth).update(stale=True)
    return {"execution": execution}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["second", "fourth", "third", "first"]),
        ({"workflow_id": "concept"}, ["fourth", "first"]),
        ({"author": "alice"}, ["second"]),
        ({"author": "bob"}, []),
        ({"stale": "true"}, ["fourth"]),
        ({"stale": "false"}, ["second", "third", "first"]),
        ({"execution_id": "execution"}, ["second", "fourth", "first"]),
        ({"execution_id": "execution", "author": "alice"}, ["second"]),
        ({"updated_after": minute(2)}, ["second", "fourth", "third"]),
        ({"updated_before": minute(2)}, ["first"]),
        ({"updated_after": minute(2), "updated_before": minute(4)}, ["fourth", "third"]),
        ({"created_after": minute(1)}, ["fourth", "third", "second"]),
        ({"created_before": minute(2)}, ["second", "first"]),
        ({"created_after": minute(1), "author": "alice"}, ["second"]),
        ({"created_after": minute(1), "updated_before": minute(4)}, ["fourth", "third"]),
        ({"scope_id": "alpha", "workflow_id": "concept", "stale": "false"}, ["first"]),
        ({"scope_type": "epic", "type": "third"}, ["third"]),
        ({"scope_type": "nothing"}, []),
        ({"q": "second", "author": "alice"}, ["second"]),
        ({"q": "second", "stale": "true"}, []),
        ({"q": "second or fourth", "created_after": minute(3)}, ["fourth"]),
    ],
)
def test_each_filter_narrows_the_list(
    api: Api, alice: User, few: dict[str, Any], query: dict[str, Any], expected: list[str]
) -> None:
    named = {key: few[value] if key == "execution_id" else value for key, value in query.items()}
    assert [titles(api(alice), limit=limit, **named) for limit in (1, 50)] == [expected, expected]
    alice.is_staff = True
    alice.save()
    assert [titles(api(alice), limit=limit, **named) for limit in (1, 50)] == [expected, expected]


def test_a_list_has_only_what_the_caller_may_read(api: Api, alice: User, bob: User, few: dict[str, Any]) -> None:
    assert titles(api(bob)) == titles(api(bob), q="first") == titles(api(bob), scope_id="alpha") == []
    ScopeRole.objects.create(scope=Scope.objects.get(key="beta"), user=bob, role="viewer")
    assert titles(api(bob)) == ["third"]
    assert titles(api(bob), workflow_id="concept") == titles(api(bob), scope_id="alpha", q="first") == []


def test_documents_of_many_scopes_are_listed_by_time(api: Api, alice: User) -> None:
    scopes = [scope_of(alice, f"s{number}") for number in range(40)]
    for number in range(120):
        store(
            scopes[number % 40], type=f"t{number}", title=str(number), created_at=NOW + timedelta(seconds=number // 3)
        )
    expected = [str(number) for number in sorted(range(120), key=lambda each: (each // 3, each), reverse=True)]
    assert titles(api(alice), limit=7) == expected


#: Heads without versions, one per second.
_MANY = """
INSERT INTO documents_document (id, scope_id, root_id, type, title, status, version, last_version, workflow_id,
  author_name, stale, created_at, updated_at, search, search_language)
SELECT gen_random_uuid(), scope, scope, name || number, number, 'current', 1, 1, name,
  CASE name WHEN 'rare' THEN 'bob' ELSE '' END, name = 'rare', %(now)s + number * interval '1 second',
  %(now)s + number * interval '1 second', to_tsvector('simple', name || ' ' || number), 'simple'
FROM (
  SELECT number, CASE WHEN number <= %(oldest)s THEN %(old)s::uuid ELSE %(root)s::uuid END AS scope,
    CASE WHEN number <= %(oldest)s THEN 'rare' ELSE 'usual' END AS name
  FROM generate_series(1, %(many)s) AS number
) AS numbered
"""


@pytest.fixture
def many(alice: User, bob: User) -> None:
    """Thousands of documents of alice; the oldest few are bob's, with another workflow, author and word."""
    given: dict[str, Any] = {"old": scope_of(bob, "old").id, "root": scope_of(alice).id, "now": NOW}
    given |= {"oldest": OLDEST, "many": MANY}
    with connection.cursor() as cursor:
        cursor.execute(_MANY, given)


def second(number: int) -> str:
    return (NOW + timedelta(seconds=number)).isoformat()


RARE = [str(number) for number in range(OLDEST, 0, -1)]


@pytest.mark.parametrize(
    ("who", "query", "expected"),
    [
        ("alice", {}, 50),
        ("bob", {}, RARE),
        ("staff", {}, 50),
        ("bob", {"status": "current"}, RARE),
        ("staff", {"status": "current"}, 50),
        ("staff", {"type": "rare3"}, ["3"]),
        ("staff", {"workflow_id": "rare"}, RARE),
        ("staff", {"workflow_id": "usual"}, 50),
        ("staff", {"author": "bob"}, RARE),
        ("staff", {"stale": "true"}, RARE),
        ("staff", {"stale": "false"}, 50),
        ("staff", {"scope_id": "old"}, RARE),
        ("staff", {"scope_type": "project", "stale": "true"}, RARE),
        ("bob", {"workflow_id": "usual"}, []),
        ("staff", {"created_before": second(OLDEST + 1)}, RARE),
        ("staff", {"updated_before": second(OLDEST + 1)}, RARE),
        ("bob", {"updated_before": second(MANY)}, RARE),
        ("alice", {"q": "usual"}, 50),
        ("staff", {"q": "rare"}, 5),
        ("staff", {"q": "1234"}, ["1234"]),
        ("bob", {"q": "rare"}, 5),
        ("bob", {"q": "usual"}, []),
        ("bob", {"q": "-usual"}, 5),
        ("staff", {"q": "rare", "workflow_id": "usual"}, []),
        ("staff", {"q": "nothing"}, []),
    ],
)
def test_a_page_reads_few_of_many_rows(
    api: Api, alice: User, bob: User, many: None, who: str, query: dict[str, str], expected: Any
) -> None:
    user = {"alice": alice, "bob": bob}.get(who) or User.objects.create(username="staff", is_staff=True)
    client = api(user)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE documents_document")  # statistics of earlier tests would decide about the plan
    with rows_read("documents_document") as read:
        response = client.get("/api/v1/documents/", query)
    assert response.status_code == 200, response.content
    found = [row["title"] for row in response.json()["data"]]
    assert found == expected if isinstance(expected, list) else len(found) == expected
    assert read[0] <= MAX_ROWS
