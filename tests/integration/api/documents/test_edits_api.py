"""Documents that people add, edit and restore over HTTP."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from access.models import Scope
from access.permissions import Role
from documents import repository
from documents.models import DocumentVersion
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Reuse
from executions.engine.transitions import core
from executions.models import ExecutionEvent
from executions.persistence import repositories
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.documents import paper
from tests.integration.api.checks import grant, pointers
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db

NOTE = {"scope_type": "project", "scope_id": "alpha", "type": "note", "content": {"title": "A note", "text": "One."}}
PATCH = "application/json-patch+json"


def add(caller: Caller, **changes: Any) -> dict[str, Any]:
    response = caller.post("/documents/", {**NOTE, **changes})
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def put(caller: Caller, document_id: str, content: object, *, version: int = 1, **more: Any) -> Any:
    return caller.put(f"/documents/{document_id}", {"content": content, **more}, If_Match=f'"{version}"')


def patch(caller: Caller, document_id: str, *operations: dict[str, Any], version: int = 1) -> Any:
    body = json.dumps(operations)
    return caller.patch(f"/documents/{document_id}?note=Why", body, content_type=PATCH, If_Match=f'"{version}"')


def feed(event_type: str = "document_edited") -> list[dict[str, Any]]:
    """Return the events of one type in all feeds, in their order."""
    return [
        dict(row) for row in ExecutionEvent.objects.filter(event_type=event_type).order_by("scope_sequence").values()
    ]


@pytest.fixture
def finished(ada: Caller) -> Execution:
    """An execution of Ada's that has ended."""
    reports.publish()
    return reports.finish(reports.start(ada.user))


def test_an_added_document_belongs_to_who_added_it(ada: Caller, eve: Caller) -> None:
    made = add(ada, note="First thoughts.")
    assert (made["version"], made["title"], made["content"]) == (1, "A note", NOTE["content"])
    row = DocumentVersion.objects.get(document_id=made["id"])
    assert (row.author, row.author_name, row.note, row.base_version) == (ada.user, "ada", "First thoughts.", None)
    assert ada.get(f"/documents/{made['id']}").json()["content"] == NOTE["content"]
    assert eve.get(f"/documents/{made['id']}").status_code == 404
    [told] = feed()
    assert (told["execution_id"], told["data"]["document_id"]) == (None, made["id"])
    assert (told["data"]["edited_by"], told["data"]["note"]) == ("ada", "First thoughts.")


def test_a_text_is_a_document_too(ada: Caller) -> None:
    made = add(ada, content="# Heading\n\nText.", title="Minutes")
    assert (made["content"], made["title"]) == ("# Heading\n\nText.", "Minutes")


def test_a_scope_has_one_document_of_a_type(ada: Caller) -> None:
    made = add(ada)
    again = ada.post("/documents/", NOTE)
    assert (again.status_code, again.json()["code"]) == (409, "document-exists")
    assert again.json()["document_id"] == made["id"]


def test_a_document_is_added_once_with_a_key(ada: Caller) -> None:
    first = ada.post("/documents/", NOTE, Idempotency_Key="k")
    again = ada.post("/documents/", NOTE, Idempotency_Key="k")
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert DocumentVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"content": "Text."}, "/title"),
        ({"content": {}}, "/content"),
        ({"content": 3}, "/content"),
        ({"content": {"title": "A\0"}}, "/content/title"),
        ({"type": "No slug"}, "/type"),
        ({"schema_hash": "0" * 64}, "/schema_hash"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_cannot_be_stored_is_named(ada: Caller, changes: dict[str, Any], pointer: str) -> None:
    response = ada.post("/documents/", {**NOTE, **changes})
    assert (response.status_code, pointers(response)) == (422, {pointer})
    assert DocumentVersion.objects.count() == 0


def test_another_ones_scope_takes_no_document(ada: Caller, eve: Caller) -> None:
    add(ada)
    assert eve.post("/documents/", {**NOTE, "type": "other"}).json()["code"] == "scope-forbidden"


def test_an_edit_is_one_more_version(ada: Caller, finished: Execution) -> None:
    document_id = str(finished.steps["research"].document_id)
    response = put(ada, document_id, {"title": "Better", "points": ["new"]}, note="Clearer.")
    assert response.status_code == 200, response.content
    assert (response.json()["version"], response.json()["title"]) == (2, "Better")
    assert response.headers["ETag"].startswith('"2.')
    first = ada.get(f"/documents/{document_id}/versions/1").json()
    assert first["content"] == {"title": "The findings"}
    row = DocumentVersion.objects.get(document_id=document_id, version=2)
    assert (row.author_name, row.note, row.base_version, row.execution_id) == ("ada", "Clearer.", 1, None)
    [told] = feed()
    assert told["execution_id"] is None  # the execution has ended: its log stays as it is
    assert told["data"] == {
        "document_id": document_id,
        "document_version": 2,
        "document_type": "findings",
        "title": "Better",
        "base_version": 1,
        "note": "Clearer.",
        "edited_by": "ada",
        "repeated": False,
    }


def test_an_edit_has_to_be_valid(ada: Caller, finished: Execution) -> None:
    document_id = str(finished.steps["research"].document_id)
    response = put(ada, document_id, {"title": "Better", "points": [1], "more": 2})
    assert (response.status_code, pointers(response)) == (422, {"/content/points/0", "/content"})
    assert DocumentVersion.objects.filter(document_id=document_id).count() == 1


def test_an_edit_that_changes_nothing_makes_no_version(ada: Caller) -> None:
    made = add(ada)
    response = put(ada, made["id"], {"text": "One.", "title": "A note"})
    assert (response.status_code, response.json()["version"]) == (200, 1)
    assert len(feed()) == 1


@pytest.mark.parametrize(("headers", "status"), [({}, 428), ({"If_Match": '"2"'}, 412), ({"If_Match": "one"}, 400)])
def test_an_edit_names_the_version_that_was_read(ada: Caller, headers: dict[str, str], status: int) -> None:
    made = add(ada)
    response = ada.put(f"/documents/{made['id']}", {"content": {"title": "New"}}, **headers)
    assert response.status_code == status
    assert DocumentVersion.objects.count() == 1


def test_a_patch_applies_as_a_whole(ada: Caller) -> None:
    made = add(ada)
    good = {"op": "replace", "path": "/text", "value": "Two."}
    refused = patch(ada, made["id"], good, {"op": "remove", "path": "/none"})
    assert (refused.status_code, pointers(refused)) == (422, {"/1/path"})
    response = patch(ada, made["id"], good, {"op": "add", "path": "/more", "value": [1]})
    assert response.json()["content"] == {"title": "A note", "text": "Two.", "more": [1]}
    assert DocumentVersion.objects.get(version=2).note == "Why"


def test_a_patch_has_its_own_content_type(ada: Caller) -> None:
    made = add(ada)
    assert ada.patch(f"/documents/{made['id']}", [], If_Match='"1"').status_code == 415
    path = f"/documents/{made['id']}/restore"
    assert ada.post(path, b"[]", content_type=PATCH, If_Match='"1"').status_code == 415


def test_an_earlier_version_can_be_restored(ada: Caller) -> None:
    made = add(ada)
    put(ada, made["id"], {"title": "New"})
    response = ada.post(f"/documents/{made['id']}/restore", {"version": 1}, If_Match='"2"')
    assert (response.json()["version"], response.json()["content"]) == (3, NOTE["content"])
    assert DocumentVersion.objects.get(version=3).note == "Restored version 1."
    assert ada.post(f"/documents/{made['id']}/restore", {"version": 9}, If_Match='"3"').status_code == 404


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.REVIEWER, 200)])
def test_reviewers_may_edit(ada: Caller, eve: Caller, role: Role, status: int) -> None:
    made = add(ada)
    grant(eve.user, "alpha", role)
    assert put(eve, made["id"], {"title": "By Eve"}).status_code == status


def test_an_open_execution_tells_of_an_edit_of_what_it_made(ada: Caller) -> None:
    reports.publish()
    execution = reports.finish_step(reports.claim(reports.start(ada.user)), "research")
    put(ada, str(execution.steps["research"].document_id), {"title": "Better"})
    [told] = feed()
    assert (told["execution_id"], told["step_id"]) == (execution.id, "research")
    assert told["sequence"] == execution.last_sequence + 1


def test_a_decision_is_about_the_edited_version(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    put(ada, str(waiting.steps["research"].document_id), {"title": "Better"})
    path = f"/executions/{waiting.id}/steps/research/acceptance"
    assert ada.post(path, {"decision": "accept", "document_version": 1}).status_code == 412
    assert ada.post(path, {"decision": "accept", "document_version": 2}).status_code == 200


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        ({"op": "replace", "path": "/title", "value": "A\0"}, "/content/title"),
        ({"op": "replace", "path": "", "value": 5}, "/content"),
        ({"op": "replace", "path": "", "value": None}, "/content"),
        ({"op": "replace", "path": "", "value": []}, "/content"),
        ({"op": "replace", "path": "", "value": " "}, "/content"),
    ],
)
def test_a_patch_makes_what_an_edit_may_be(ada: Caller, operation: dict[str, Any], pointer: str) -> None:
    made = add(ada)
    response = patch(ada, made["id"], operation)
    assert (response.status_code, pointers(response)) == (422, {pointer})
    assert DocumentVersion.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_document_that_a_worker_stores_meanwhile_exists(ada: Caller) -> None:
    add(ada, type="other")
    scope = Scope.objects.get()
    with ExitStack() as stack:
        with transaction.atomic():
            repository.store_versions([paper(scope, type="note")])  # without a lock, as workers do
            answer = stack.enter_context(blocked(lambda: ada.post("/documents/", NOTE)))
        body = answer.result(DEADLINE_SECONDS).json()
    assert (body["status"], body["code"]) == (409, "document-exists")
    assert body["document_id"] == str(DocumentVersion.objects.get(title="The plan").document_id)


def test_an_open_execution_tells_of_an_edit_of_what_it_reused(ada: Caller, finished: Execution) -> None:
    again = reports.claim(reports.start(ada.user, reuse=Reuse.CURRENT))
    found = repositories.get_document(UUID(str(finished.steps["research"].document_id)))
    reused = reports.move(
        again,
        lambda now, context: core.reuse_document(now, "research", found, input_versions=(), context=context),
    )
    put(ada, str(found.id), {"title": "Better"})
    [told] = feed()
    assert (told["execution_id"], told["step_id"]) == (reused.id, "research")
