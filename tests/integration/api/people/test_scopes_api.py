"""Scopes over the API: roots with counts, children, budgets, and lists of one scope."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from access.models import Scope
from access.people.roles import give_role
from access.permissions import Role
from access.services import claim_root_scope
from telemetry.models import ScopeBudget
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.factories.documents import store

pytestmark = pytest.mark.django_db

ALPHA = "/scopes/project/alpha"


def claim(caller: Caller, key: str = "alpha") -> Scope:
    return claim_root_scope(user=caller.user, scope_type="project", scope_key=key)


def child_of(parent: Scope, key: str) -> Scope:
    root = parent if parent.root is None else parent.root
    return Scope.objects.create(parent=parent, root=root, type="epic", key=key)


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["scope_id"] for row in rows]


def test_the_list_has_the_roots_of_the_caller_with_counts(report: int, ada: Caller, eve: Caller) -> None:
    scope = claim(ada)
    claim(ada, "beta")
    claim(eve, "gamma")
    reports.ask(reports.start(ada.user))
    execution = reports.start(ada.user)
    ada.post(f"/executions/{execution.id}/cancel")
    store(child_of(scope, "e1"), type="epic")
    [alpha, beta] = ada.get("/scopes/").json()["data"]
    assert (alpha["scope_id"], alpha["role"], alpha["documents"], alpha["waiting"]) == ("alpha", "owner", 1, 1)
    assert {k: v for k, v in alpha["executions"].items() if v} == {"waiting": 1, "cancelled": 1}
    assert set(alpha["may"]) == {"start", "add_document", "give_roles", "invite", "set_budget", "set_retention"}
    assert (beta["scope_id"], beta["documents"], beta["waiting"], sum(beta["executions"].values())) == ("beta", 0, 0, 0)
    assert names(eve.get("/scopes/").json()["data"]) == ["gamma"]
    assert names(make_caller("root", staff=True).get("/scopes").json()["data"]) == ["alpha", "beta", "gamma"]
    page = ada.get("/scopes/", {"limit": 1}).json()
    assert names(ada.get("/scopes/", {"cursor": page["next_cursor"]}).json()["data"]) == ["beta"]
    assert names(ada.get("/scopes/", {"scope_id": "beta"}).json()["data"]) == ["beta"]


_MANY = """
INSERT INTO documents_document (id, scope_id, root_id, type, title, status, version, last_version, workflow_id,
  author_name, stale, created_at, updated_at, search_language)
SELECT gen_random_uuid(), %s, %s, 't' || number, '', 'current', 1, 1, '', '', false, now(), now(), ''
FROM generate_series(1, %s) AS number
"""


@pytest.mark.parametrize(("number", "shown"), [(100, 100), (101, "100+"), (102, "100+")])
def test_counts_are_exact_to_100(ada: Caller, number: int, shown: int | str) -> None:
    below = child_of(claim(ada), "e1")
    with connection.cursor() as cursor:
        cursor.execute(_MANY, [below.id, below.root_id, number])
    [alpha] = ada.get("/scopes/").json()["data"]
    assert alpha["documents"] == shown
    [child] = ada.get(ALPHA).json()["children"]
    assert child["documents"] == shown


def test_a_page_of_scopes_takes_as_many_queries_as_one(
    report: int, ada: Caller, django_assert_num_queries: Any
) -> None:
    for key in "abcd":
        claim(ada, key)
        reports.start(ada.user, key)
    for limit in (1, 4):
        with django_assert_num_queries(3):  # token, scopes, roles; counts are not captured
            assert len(ada.get("/scopes/", {"limit": limit}).json()["data"]) == limit


def test_a_scope_has_owners_budget_and_pages_of_children(ada: Caller, eve: Caller) -> None:
    scope = claim(ada)
    first = child_of(scope, "e1")
    child_of(scope, "e2")
    below = child_of(first, "e1")
    store(first, type="epic")
    assert eve.get(ALPHA).status_code == 404
    give_role(user=ada.user, scope_type="project", scope_key="alpha", username="eve", role=Role.VIEWER)
    found = eve.get(ALPHA).json()
    assert (found["role"], found["may"], found["owners"]) == ("viewer", [], ["ada"])
    assert (found["budget"]["max_cost_usd"], found["budget"]["spent_usd"]) == (None, "0.0000000000")
    assert [(row["scope_id"], row["documents"], row["children"]) for row in found["children"]] == [
        ("e1", 1, 1),
        ("e2", 0, 0),
    ]
    page = eve.get(ALPHA, {"limit": 1}).json()
    assert names(eve.get(ALPHA, {"cursor": page["next_cursor"]}).json()["children"]) == ["e2"]
    deeper = eve.get(ALPHA, {"parent": str(first.id)}).json()["children"]
    assert [(row["id"], row["parent_id"]) for row in deeper] == [(str(below.id), str(first.id))]
    other = child_of(claim(ada, "beta"), "secret")
    assert eve.get(ALPHA, {"parent": str(other.parent_id)}).json()["children"] == []
    assert eve.get(ALPHA, {"parent": "x"}).status_code == 422


@pytest.mark.parametrize("key", ["a/b", "a/", "ä ö", "100%"])
def test_a_key_of_any_characters_stands_in_the_path(ada: Caller, key: str) -> None:
    claim(ada, "a")
    claim(ada, key)
    for slash in ("", "/"):
        response = ada.get(f"/scopes/project/{quote(key, safe='')}{slash}")
        assert response.json()["scope_id"] == key


def test_an_owner_sets_changes_and_removes_the_budget(ada: Caller, eve: Caller) -> None:
    scope = claim(ada)
    path = f"{ALPHA}/budget"
    made = ada.put(path, {"max_cost_usd": "50"})
    assert (made.status_code, made.json()["max_cost_usd"], made.json()["version"]) == (200, "50.0000000000", 1)
    assert made["ETag"].startswith('"1.')
    assert ada.put(path, {"max_cost_usd": "50.00"}).json()["version"] == 1
    assert ada.put(path, {"max_cost_usd": "60"}, If_Match=made["ETag"]).json()["remaining_usd"] == "60.0000000000"
    assert ada.put(path, {"max_cost_usd": "70"}, If_Match=made["ETag"]).status_code == 412
    assert ada.get(ALPHA).json()["budget"]["version"] == 2
    for bad in ({}, {"max_cost_usd": "-1"}, {"max_cost_usd": "x"}, {"max_cost_usd": "1", "month": "May"}):
        assert ada.put(path, bad).status_code == 422
    assert eve.put(path, {"max_cost_usd": None}).status_code == 404
    give_role(user=ada.user, scope_type="project", scope_key="alpha", username="eve", role=Role.OPERATOR)
    assert eve.put(path, {"max_cost_usd": None}).status_code == 403
    assert ScopeBudget.objects.get(scope=scope).max_cost_usd == Decimal(60)
    assert ada.put(path, {"max_cost_usd": None}).json()["max_cost_usd"] is None
    assert ada.put(path, {"max_cost_usd": "1"}, If_Match='"2"').status_code == 412
    assert not ScopeBudget.objects.exists()


def test_lists_show_one_scope(report: int, ada: Caller, eve: Caller) -> None:
    scope, beta = claim(ada), claim(ada, "beta")
    child = child_of(scope, "e1")
    execution = reports.ask(reports.start(ada.user))
    reports.start(ada.user, "beta")
    store(child, type="epic")
    wanted = {"scope": str(scope.id)}
    assert [row["execution_id"] for row in ada.get("/executions/", wanted).json()["data"]] == [str(execution.id)]
    assert len(ada.get("/clarifications/", wanted).json()["data"]) == 1
    assert len(ada.get("/documents/", {"scope": str(child.id)}).json()["data"]) == 1
    for path, other in (("/executions/", child), ("/clarifications/", beta), ("/documents/", beta)):
        assert ada.get(path, {"scope": str(other.id)}).json()["data"] == []
        assert eve.get(path, wanted).json()["data"] == []
        assert ada.get(path, {"scope": "x"}).status_code == 422
