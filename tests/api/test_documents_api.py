"""Documents over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from access.models import ScopeRole
from access.user import User
from documents.models import DocumentVersion
from tests.factories.documents import NOW, SCHEMA, scope_of, store

pytestmark = pytest.mark.django_db

Api = Callable[..., APIClient]
SUMMARY = {
    "id",
    "type",
    "title",
    "version",
    "status",
    "updated_at",
    "scope_type",
    "scope_id",
    "execution_id",
    "rehearsal",
    "prepared",
}
LISTED = SUMMARY | {"proposed_version", "stale", "author", "snippet", "may"}


def get(client: APIClient, path: str = "/", **query: Any) -> Any:
    return client.get(f"/api/v1/documents{path}", query)


def titles(client: APIClient, **query: Any) -> list[str]:
    """Return what the list shows, in its order."""
    response = get(client, **query)
    assert response.status_code == 200, response.content
    return [row["title"] for row in response.json()["data"]]


@pytest.fixture
def made(alice: User) -> dict[str, UUID]:
    """Executions: `first` made the plan, `second` its second version and the risks; a note is a person's own."""
    scope = scope_of(alice)
    first, second = uuid7(), uuid7()
    store(scope, execution_id=first, step_id="planning", provenance={"rehearsal": True})
    later = NOW + timedelta(minutes=5)
    plan = store(scope, version=2, title="The better plan", execution_id=second, step_id="planning", created_at=later)
    store(scope, type="risks", title="Risks", execution_id=second, created_at=NOW + timedelta(minutes=1))
    store(scope_of(alice, "beta", "epic"), type="note", title="A note", created_at=NOW + timedelta(minutes=2))
    return {"plan": plan, "first": first, "second": second}


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_list_is_newest_first_and_shows_heads(api: Api, alice: User, made: dict[str, UUID], slash: str) -> None:
    response = get(api(alice), slash)
    assert response.status_code == 200
    rows = response.json()["data"]
    assert [row["title"] for row in rows] == ["The better plan", "A note", "Risks"]
    assert all(set(row) == LISTED for row in rows)
    assert rows[0] == {
        "id": str(made["plan"]),
        "type": "plan",
        "title": "The better plan",
        "version": 2,
        "status": "current",
        "updated_at": "2026-03-01T12:05:00.000Z",
        "scope_type": "project",
        "scope_id": "alpha",
        "execution_id": str(made["second"]),
        "rehearsal": False,
        "prepared": False,
        "proposed_version": None,
        "may": ["edit", "comment", "restore"],
        "stale": False,
        "author": None,
        "snippet": None,
    }


def test_the_list_says_what_was_only_rehearsed(api: Api, alice: User, made: dict[str, UUID]) -> None:
    store(scope_of(alice), type="draft", title="A draft", provenance={"rehearsal": True})
    rows = get(api(alice)).json()["data"]
    assert [row["title"] for row in rows if row["rehearsal"]] == ["A draft"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"scope_type": "project"}, ["The better plan", "Risks"]),
        ({"scope_type": "epic", "scope_id": "beta"}, ["A note"]),
        ({"scope_id": "alpha"}, ["The better plan", "Risks"]),
        ({"scope_type": "epic", "scope_id": "alpha"}, []),
        ({"type": "risks"}, ["Risks"]),
        ({"type": "plan", "scope_id": "alpha"}, ["The better plan"]),
        ({"status": "current"}, ["The better plan", "A note", "Risks"]),
        ({"execution_id": "second"}, ["The better plan", "Risks"]),
        ({"execution_id": "first"}, ["The better plan"]),
        ({"q": "better", "type": "plan"}, ["The better plan"]),
        ({"q": "better", "type": "risks"}, []),
    ],
)
def test_filters_narrow_the_list(
    api: Api, alice: User, made: dict[str, UUID], query: dict[str, str], found: list[str]
) -> None:
    named = {key: made[value] if key == "execution_id" else value for key, value in query.items()}
    assert titles(api(alice), **named) == found


def test_a_document_of_which_an_execution_made_two_versions_is_listed_once(api: Api, alice: User) -> None:
    scope, execution = scope_of(alice), uuid7()
    store(scope, execution_id=execution)
    store(scope, version=2, execution_id=execution)
    assert titles(api(alice), execution_id=execution) == ["The plan"]


@pytest.mark.parametrize(
    "query",
    [
        {"scope": "alpha"},
        {"status": "gone"},
        {"execution_id": "17"},
        {"type": ["plan", "risks"]},
        {"q": "x" * 501},
        {"limit": 201},
        {"cursor": "%%%"},
        {"type": "a\0b"},
    ],
)
def test_a_filter_that_cannot_be_right_is_named(api: Api, alice: User, query: dict[str, Any]) -> None:
    response = get(api(alice), **query)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{next(iter(query))}"]


def test_pages_hold_each_document_once_though_others_arrive_meanwhile(api: Api, alice: User) -> None:
    scope, client = scope_of(alice), api(alice)
    for number in range(5):
        store(scope, type=f"paper-{number}", title=str(number))  # all at the same time: the id decides
    page = get(client, limit=2).json()
    seen = [row["title"] for row in page["data"]]
    store(scope, type="late", title="late", created_at=NOW + timedelta(hours=1))
    while page["next_cursor"]:
        page = get(client, limit=2, cursor=page["next_cursor"]).json()
        seen += [row["title"] for row in page["data"]]
    assert seen == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_document_is_shown_with_its_content_and_where_it_comes_from(api: Api, alice: User, slash: str) -> None:
    content = {"zeta": 1, "title": "The plan", "alpha": ["Größe"]}
    origin = {"rehearsal": True, "model": "rehearsal:rehearsal"}
    found = store(scope_of(alice), content=content, step_id="planning", provenance=origin)
    response = get(api(alice), f"/{found}{slash}")
    body = response.json()
    assert (response.status_code, response.headers["ETag"][:3]) == (200, '"1.')
    added = {"content", "provenance", "schema_hash", "created_at", "step_id"}
    added |= {
        "author",
        "note",
        "base_version",
        "proposed",
        "proposed_version",
        "stale",
        "stale_because",
        "may",
        "erased_at",
    }
    assert set(body) == SUMMARY | added
    assert (body["content"], list(body["content"])) == (content, ["zeta", "title", "alpha"])
    assert (body["provenance"], body["rehearsal"], body["step_id"]) == (origin, True, "planning")
    assert (body["created_at"], body["execution_id"]) == ("2026-03-01T12:00:00.000Z", None)
    assert len(body["schema_hash"]) == 64


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_history_is_newest_first(api: Api, alice: User, made: dict[str, UUID], slash: str) -> None:
    rows = get(api(alice), f"/{made['plan']}/versions{slash}").json()["data"]
    assert [(row["version"], row["title"], row["rehearsal"]) for row in rows] == [
        (2, "The better plan", False),
        (1, "The plan", True),
    ]
    assert [row["execution_id"] for row in rows] == [str(made["second"]), str(made["first"])]
    assert all("content" not in row for row in rows)


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_old_version_stays_as_it_was(api: Api, alice: User, made: dict[str, UUID], slash: str) -> None:
    client = api(alice)
    old = get(client, f"/{made['plan']}/versions/1{slash}")
    assert (old.status_code, old.headers["ETag"][:3], old.json()["content"]) == (200, '"1.', {"title": "The plan"})
    new = get(client, f"/{made['plan']}").json()
    assert get(client, f"/{made['plan']}/versions/2").json() == new
    assert new["version"] == 2


@pytest.mark.parametrize("path", ["/{no}", "/{no}/versions", "/{no}/versions/1", "/{id}/versions/3", "/17", "/{id}/x"])
def test_what_does_not_exist_is_not_found(api: Api, alice: User, made: dict[str, UUID], path: str) -> None:
    response = get(api(alice), path.format(no=uuid7(), id=made["plan"]))
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/{id}", "/{id}/versions", "/{id}/versions/1"])
def test_what_is_not_yours_cannot_be_told_from_what_does_not_exist(
    api: Api, alice: User, bob: User, made: dict[str, UUID], path: str
) -> None:
    theirs = get(api(bob), path.format(id=made["plan"]))
    nobodys = get(api(bob), path.format(id=uuid7()))
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    different = {"instance", "request_id"}
    bodies = [{k: v for k, v in each.json().items() if k not in different} for each in (theirs, nobodys)]
    assert bodies[0] == bodies[1]


def test_lists_hold_what_the_reader_may_see(
    api: Api, alice: User, bob: User, staff: User, made: dict[str, UUID]
) -> None:
    store(scope_of(bob, "gamma"), title="Bob's plan", created_at=NOW + timedelta(days=1))
    assert titles(api(bob)) == ["Bob's plan"]
    assert titles(api(bob), q="better") == titles(api(bob), execution_id=made["second"]) == []
    assert titles(api(bob), scope_type="project", scope_id="alpha") == []
    assert len(titles(api(staff))) == 4
    ScopeRole.objects.create(scope=scope_of(alice, "beta", "epic"), user=bob, role="viewer")
    assert titles(api(bob)) == ["Bob's plan", "A note"]


@pytest.mark.parametrize("path", ["", "/{id}", "/{id}/versions", "/{id}/versions/1"])
def test_documents_are_shown_to_those_who_say_who_they_are(api: Api, made: dict[str, UUID], path: str) -> None:
    response = get(api(), path.format(id=made["plan"]))
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_the_admin_shows_documents_escaped_and_changes_nothing(alice: User) -> None:
    store(scope_of(alice), content={"title": "The plan", "text": "<script>alert(1)</script>"})
    row = DocumentVersion.objects.get()
    browser = APIClient()
    browser.force_login(User.objects.create_superuser("root"))
    page = browser.get(f"/admin/documents/documentversion/{row.id}/change/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    head = f"/admin/documents/document/{row.document_id}"
    assert "The plan" in browser.get(f"{head}/change/").content.decode()
    assert "The plan" in browser.get("/admin/documents/document/?q=alpha").content.decode()
    assert browser.post(f"{head}/change/", {"title": "Stolen"}).status_code == 403
    assert browser.post(f"{head}/delete/", {"post": "yes"}).status_code == 403
    assert browser.get("/admin/documents/documentversion/add/").status_code == 403


def test_a_page_takes_as_many_queries_for_many_documents_as_for_one(
    api: Api, alice: User, django_assert_num_queries: Any
) -> None:
    client, scope = api(alice), scope_of(alice)
    store(scope, schema=SCHEMA)
    with django_assert_num_queries(6):  # token, root scopes, walk, rows, proposals, roles
        get(client)
    for number in range(10):
        store(scope, type=f"paper-{number}")
    with django_assert_num_queries(6):
        get(client)
