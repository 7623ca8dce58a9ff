"""Workflows over HTTP: every user can read them, an anonymous client cannot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.user import User
from tests.factories.workflows import SCHEMA, definition, step
from workflows import repository

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def client(api: Callable[..., APIClient], alice: User) -> APIClient:
    """A user without roles, and two workflows: `list` with one version, `note` with two."""
    repository.publish(definition(id="list", name="List"), now=NOW)
    repository.publish(definition(description="First."), now=NOW)
    repository.publish(definition(description="Second.", steps=[step(), step(2, inputs=["paper-1"])]), now=NOW)
    return api(alice)


def get(client: APIClient, path: str, **query: Any) -> Any:
    return client.get(f"/api/v1/workflows{path}", query)


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_list_shows_the_newest_version_of_each(client: APIClient, slash: str) -> None:
    response = get(client, slash)
    assert response.status_code == 200
    assert response.json() == {
        "data": [
            {
                "id": "list",
                "name": "List",
                "description": "Writes a note.",
                "step_count": 1,
                "version": 1,
                "retired_at": None,
            },
            {"id": "note", "name": "Note", "description": "Second.", "step_count": 2, "version": 2, "retired_at": None},
        ],
        "next_cursor": None,
    }


def test_the_list_comes_in_pages(client: APIClient) -> None:
    first = get(client, "/", limit=1).json()
    second = get(client, "/", limit=1, cursor=first["next_cursor"]).json()
    assert [row["id"] for page in (first, second) for row in page["data"]] == ["list", "note"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": "x"}, {"cursor": "no"}, {"nmae": "Note"}])
def test_a_query_that_cannot_be_right_is_named(client: APIClient, query: dict[str, Any]) -> None:
    response = get(client, "/", **query)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{next(iter(query))}"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_workflow_is_shown_with_its_newest_definition(client: APIClient, slash: str) -> None:
    response = get(client, f"/note{slash}")
    body = response.json()
    assert (response.status_code, response.headers["ETag"][:3]) == (200, '"2.')
    assert (body["id"], body["version"], body["step_count"]) == ("note", 2, 2)
    assert body["published_at"] == "2026-03-01T12:00:00.000Z"
    assert [each["id"] for each in body["definition"]["steps"]] == ["step-1", "step-2"]
    assert body["definition"]["roles"]["writer"]["instructions"] == "You write."


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_schema_of_a_step_is_the_json_schema_itself_in_its_own_order(client: APIClient, slash: str) -> None:
    response = get(client, f"/note/schema/step-2{slash}")
    assert (response.status_code, response.json()) == (200, SCHEMA)
    assert list(response.json()["properties"]) == ["zeta", "title"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_history_is_newest_first(client: APIClient, slash: str) -> None:
    rows = get(client, f"/note/versions{slash}").json()["data"]
    assert [row["version"] for row in rows] == [2, 1]
    assert rows[0]["content_hash"] != rows[1]["content_hash"]


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/nothing/versions", "/nothing/schema/step-1", "/note/schema/nothing", "/note/nothing", "/Note"],
)
def test_what_does_not_exist_is_not_found(client: APIClient, path: str) -> None:
    response = get(client, path)
    assert response.status_code == 404, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not-found"


@pytest.mark.parametrize("path", ["", "/note", "/note/versions", "/note/schema/step-1"])
def test_workflows_are_shown_to_those_who_say_who_they_are(
    client: APIClient, api: Callable[..., APIClient], path: str
) -> None:
    response = get(api(), path)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(("method", "status"), [("post", 405), ("put", 405), ("patch", 405), ("delete", 403)])
def test_users_only_read_workflows(client: APIClient, method: str, status: int) -> None:
    assert getattr(client, method)("/api/v1/workflows/note", {}, format="json").status_code == status
    assert get(client, "/note").json()["version"] == 2


def test_the_admin_shows_workflows_and_changes_nothing(client: APIClient) -> None:
    client.credentials()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/admin/workflows/workflow/note/change/").content.decode()
    assert "Second." in page
    row_id = repository.version_row_id("note", 2)
    version = client.get(f"/admin/workflows/workflowversion/{row_id}/change/").content.decode()
    assert "You write." in version
    assert client.post("/admin/workflows/workflow/note/change/", {"name": "Stolen"}).status_code == 403
    assert client.get("/admin/workflows/workflow/add/").status_code == 403
    assert client.post("/admin/workflows/workflow/note/delete/", {"post": "yes"}).status_code == 403
