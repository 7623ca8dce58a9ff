"""Starting executions, as clients do."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from access.models import ScopeRole
from access.permissions import Role
from executions.models import ExecutionEvent, ExecutionStep
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant, pointers

pytestmark = pytest.mark.django_db

BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_start_answers_with_the_execution_its_place_and_its_version(ada: Caller, report: int, slash: str) -> None:
    response = ada.post(f"/executions{slash}", BODY)
    assert response.status_code == 201, response.content
    body = response.json()
    assert str(UUID(body["execution_id"])) == body["execution_id"]
    assert (body["workflow_id"], body["workflow_version"], body["status"]) == ("report", report, "pending")
    assert (body["scope_type"], body["scope_id"], body["requested_by"]) == ("project", "alpha", "ada")
    assert body["progress"] == {"done_steps": 0, "total_steps": 2}
    assert (body["cost_usd"], body["cost_complete"], body["cost_final"]) == ("0.0000000000", True, True)
    assert body["created_at"].endswith("Z")
    assert response.headers["ETag"].startswith('"1.')
    assert ada.get(response.headers["Location"].removeprefix("/api/v1")).json() == body


def test_a_start_stores_the_execution_its_steps_its_first_event_and_its_job(ada: Caller, report: int) -> None:
    execution_id = ada.post("/executions/", BODY).json()["execution_id"]
    assert ExecutionStep.objects.filter(execution_id=execution_id).count() == 2
    event = ExecutionEvent.objects.get(execution_id=execution_id)
    assert (event.sequence, event.event_type) == (1, "execution_created")
    assert ProcrastinateJob.objects.filter(lock=execution_id, status="todo").count() == 1
    assert ScopeRole.objects.get(scope__key="alpha").role == Role.OWNER


@pytest.mark.parametrize("brief", ["Text.", {"goal": "lend tools", "branches": 3, "nested": {"list": [1, None]}}])
def test_a_brief_is_a_text_or_an_object_and_comes_back_as_it_was(ada: Caller, report: int, brief: object) -> None:
    response = ada.post("/executions/", {**BODY, "input": brief})
    assert response.status_code == 201, response.content
    assert ada.get(f"/executions/{response.json()['execution_id']}").json()["input"] == brief


@pytest.mark.parametrize("brief", ["\ufeff# Title\n\nText.", "\ufeffText."])
def test_a_byte_order_mark_is_no_part_of_a_brief(ada: Caller, report: int, brief: str) -> None:
    response = ada.post("/executions/", {**BODY, "input": brief})
    assert ada.get(f"/executions/{response.json()['execution_id']}").json()["input"] == brief[1:]
    assert ada.post("/executions/", {**BODY, "input": "\ufeff \n"}).status_code == 422


def test_an_execution_is_pinned_to_the_version_that_was_asked_for(ada: Caller, report: int) -> None:
    newest = reports.publish("Another description, so another version.")
    assert newest == report + 1
    assert ada.post("/executions/", BODY).json()["workflow_version"] == newest
    assert ada.post("/executions/", {**BODY, "workflow_version": report}).json()["workflow_version"] == report


def test_a_version_that_became_current_again_is_what_starts_and_reads_use(ada: Caller, report: int) -> None:
    newest = reports.publish("Another description, so another version.", gated=True)
    assert reports.publish() == report < newest
    assert ada.post("/executions/", BODY).json()["workflow_version"] == report
    estimate = {"input": "Text."}
    assert ada.post("/workflows/report/estimate", estimate).json()["workflow_version"] == report
    shown = ada.get("/workflows/report")
    assert shown.json()["version"] == report
    assert shown.headers["ETag"].startswith(f'"{report}.')
    assert shown.json()["description"] == shown.json()["definition"]["description"] == "Finds out, then sums up."
    assert shown.json()["definition"]["steps"][0]["acceptance"] is None
    assert [each["version"] for each in ada.get("/workflows/").json()["data"]] == [report]
    assert [each["version"] for each in ada.get("/workflows/report/versions").json()["data"]] == [newest, report]


@pytest.mark.parametrize("change", [{"workflow_id": "no-such-workflow"}, {"workflow_version": 99}])
def test_a_workflow_or_version_that_does_not_exist_is_not_found(
    ada: Caller, report: int, change: dict[str, object]
) -> None:
    before = counts()
    response = ada.post("/executions/", {**BODY, **change})
    assert response.status_code == 404
    assert response.json()["code"] == "not-found"
    assert counts() == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"workflow_id": None}, "/workflow_id"),
        ({"workflow_id": "Not a slug"}, "/workflow_id"),
        ({"scope_type": ""}, "/scope_type"),
        ({"scope_id": "x" * 201}, "/scope_id"),
        ({"scope_id": "nul\x00"}, "/scope_id"),
        ({"input": "  "}, "/input"),
        ({"input": {}}, "/input"),
        ({"input": ["a", "list"]}, "/input"),
        ({"input": "x" * 200_001}, "/input"),
        ({"input": {"texts": ["a", "nul\x00"]}}, "/input/texts/1"),
        ({"input": {"nul\x00": 1}}, "/input"),
        ({"workflow_version": 0}, "/workflow_version"),
        ({"workflow_version": 10**30}, "/workflow_version"),
        ({"tags": "pilot"}, "/tags"),
        ({"tags": ["x" * 64]}, "/tags/0"),
        ({"budget": {"usd": 1}}, "/budget/usd"),
        ({"simulate": True}, "/simulate"),
        ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)
def test_a_wrong_or_unknown_field_is_named_and_changes_nothing(
    ada: Caller, report: int, change: dict[str, object], pointer: str
) -> None:
    before = counts()
    response = ada.post("/executions/", {**BODY, **change})
    assert response.status_code == 422, response.content
    assert pointers(response) == {pointer}
    assert counts() == before


def test_every_missing_field_is_named_at_once(ada: Caller) -> None:
    assert pointers(ada.post("/executions/", {})) == {"/workflow_id", "/scope_type", "/scope_id"}


DEEP = b'{"workflow_id":"report","scope_type":"project","scope_id":"a","input":{"a":' + b"[" * 30 + b"]" * 30 + b"}}"


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"input": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"", "application/json", 422),
        (DEEP, "application/json", 422),
        (DEEP.replace(b"[" * 30 + b"]" * 30, b"1e999"), "application/json", 422),
        (DEEP.replace(b"[" * 30 + b"]" * 30, b'"\\ud800"'), "application/json", 400),
        (b'{"\\ud800": 1}', "application/json", 400),
        (b"workflow_id=report", "application/x-www-form-urlencoded", 415),
        (b"workflow_id: report", "text/yaml", 415),
        (b'{"input": "' + b"x" * 3_000_000 + b'"}', "application/json", 413),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else str(value),
)
def test_a_body_that_is_no_sensible_json_is_refused_and_changes_nothing(
    ada: Caller, report: int, content: bytes, content_type: str, status: int
) -> None:
    before = counts()
    response = ada.post("/executions/", content, content_type=content_type)
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert response.json()["request_id"] == response.headers["X-Request-ID"]
    assert counts() == before


def test_a_user_cannot_start_an_execution_in_the_scope_of_another_user(ada: Caller, eve: Caller, report: int) -> None:
    reports.start(ada.user)
    before = counts()
    response = eve.post("/executions/", BODY)
    assert (response.status_code, response.json()["code"]) == (403, "scope-forbidden")
    assert counts() == before


@pytest.mark.parametrize(
    ("role", "status"), [(Role.VIEWER, 403), (Role.REVIEWER, 403), (Role.OPERATOR, 201), (Role.OWNER, 201)]
)
def test_an_operator_starts_in_the_scope_of_another_user(
    ada: Caller, eve: Caller, report: int, role: Role, status: int
) -> None:
    reports.start(ada.user)
    grant(eve.user, "alpha", role)
    assert eve.post("/executions/", BODY).status_code == status


def test_an_execution_has_as_many_tags_as_the_limit_allows(
    ada: Caller, report: int, restrict: Callable[..., None]
) -> None:
    body = {**BODY, "tags": [f"t{number}" for number in range(21)]}
    assert pointers(ada.post("/executions/", body)) == {"/tags"}
    restrict(tags=21)
    assert ada.post("/executions/", body).status_code == 201
