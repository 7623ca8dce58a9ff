"""Starting executions and reading them, as clients do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django.models import ProcrastinateJob

from access.models import Role, Scope, ScopeRole
from executions.models import Execution, ExecutionEvent, ExecutionStep
from tests.api import scenario
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db

BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
NOWHERE = str(uuid4())


def counts() -> tuple[int, ...]:
    """Return how many rows there are of everything that a request might leave behind."""
    return tuple(
        model.objects.count() for model in (Execution, ExecutionStep, ExecutionEvent, Scope, ScopeRole, ProcrastinateJob)
    )


def pointers(response: Any) -> set[str]:
    """Return where a problem says that something is wrong."""
    assert response.headers["Content-Type"] == "application/problem+json"
    return {error["pointer"] for error in response.json()["errors"]}


def grant(user: User, key: str, role: Role) -> None:
    """Give somebody a role in a project."""
    ScopeRole.objects.create(scope=Scope.objects.get(type="project", key=key), user=user, role=role)


# --- start ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_start_answers_with_the_execution_its_place_and_its_version(ada: Caller, report: int, slash: str) -> None:
    response = ada.post(f"/executions{slash}", BODY)
    assert response.status_code == 201, response.content
    body = response.json()
    assert UUID(body["execution_id"])
    assert (body["workflow_id"], body["workflow_version"], body["status"]) == ("report", report, "pending")
    assert (body["scope_type"], body["scope_id"], body["requested_by"]) == ("project", "alpha", "ada")
    assert body["progress"] == {"done_steps": 0, "total_steps": 2}
    assert (body["cost_usd"], body["cost_complete"], body["cost_final"]) == ("0.0000000000", True, True)
    assert body["created_at"].endswith("Z")
    assert response.headers["ETag"] == '"1"'
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


def test_an_execution_is_pinned_to_the_version_that_was_asked_for(ada: Caller, report: int) -> None:
    newest = scenario.publish("Another description, so another version.")
    assert newest == report + 1
    assert ada.post("/executions/", BODY).json()["workflow_version"] == newest
    assert ada.post("/executions/", {**BODY, "workflow_version": report}).json()["workflow_version"] == report


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
        ({"input": {"text": "nul\x00"}}, "/input"),
        ({"input": {"nul\x00": 1}}, "/input"),
        ({"workflow_version": 0}, "/workflow_version"),
        ({"workflow_version": 10**30}, "/workflow_version"),
        ({"tags": "pilot"}, "/tags"),
        ({"tags": ["x" * 64]}, "/tags/0"),
        ({"budget": {"usd": 1}}, "/budget"),
        ({"dry_run": True}, "/dry_run"),
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
    assert pointers(ada.post("/executions/", {})) == {"/workflow_id", "/scope_type", "/scope_id", "/input"}


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


def test_nobody_starts_anything_in_the_scope_of_somebody_else(ada: Caller, eve: Caller, report: int) -> None:
    scenario.start(ada.user)
    before = counts()
    response = eve.post("/executions/", BODY)
    assert (response.status_code, response.json()["code"]) == (403, "scope-forbidden")
    assert counts() == before


@pytest.mark.parametrize(
    ("role", "status"), [(Role.VIEWER, 403), (Role.REVIEWER, 403), (Role.OPERATOR, 201), (Role.OWNER, 201)]
)
def test_an_operator_starts_in_the_scope_of_somebody_else(
    ada: Caller, eve: Caller, report: int, role: Role, status: int
) -> None:
    scenario.start(ada.user)
    grant(eve.user, "alpha", role)
    assert eve.post("/executions/", BODY).status_code == status


# --- read -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_details_tell_progress_usage_and_cost_so_far(ada: Caller, report: int, slash: str) -> None:
    execution = scenario.finish_step(scenario.claim(scenario.start(ada.user)), "research")
    response = ada.get(f"/executions/{execution.id}{slash}")
    assert response.status_code == 200
    body = response.json()
    assert response.headers["ETag"] == f'"{body["version"]}"' == f'"{execution.version}"'
    assert (body["status"], body["progress"]) == ("running", {"done_steps": 1, "total_steps": 2})
    assert body["usage"] == {
        "calls": 1,
        "input_tokens": 100,
        "cache_read_input_tokens": 40,
        "cache_write_input_tokens": 0,
        "output_tokens": 20,
        "reasoning_tokens": 5,
        "total_tokens": 160,
    }
    assert (body["cost_usd"], body["known_cost_usd"]) == ("0.0012000000", "0.0012000000")
    assert (body["error"], body["rehearsal"], body["finished_at"]) == (None, False, None)


def test_details_of_a_failed_execution_say_why(ada: Caller, report: int) -> None:
    execution = scenario.fail(scenario.start(ada.user))
    body = ada.get(f"/executions/{execution.id}").json()
    assert body["status"] == "failed"
    assert body["error"] == {"code": "model_refused", "message": "The model refused."}
    assert body["finished_at"] is not None


def test_a_call_under_way_or_without_a_price_is_no_zero(ada: Caller, report: int) -> None:
    under_way = scenario.begin(scenario.claim(scenario.start(ada.user)))[0]
    body = ada.get(f"/executions/{under_way.id}").json()
    assert (body["cost_usd"], body["cost_complete"], body["cost_final"]) == (None, False, False)
    unpriced = scenario.finish(scenario.start(ada.user, key="beta"), cost=None)
    body = ada.get(f"/executions/{unpriced.id}").json()
    assert (body["cost_usd"], body["known_cost_usd"], body["cost_final"]) == (None, "0.0000000000", True)


@pytest.mark.parametrize("slash", ["", "/"])
def test_steps_are_listed_in_order_with_their_documents(ada: Caller, report: int, slash: str) -> None:
    execution = scenario.finish_step(scenario.claim(scenario.start(ada.user)), "research")
    first, second = ada.get(f"/executions/{execution.id}/steps{slash}").json()["data"]
    assert (first["step_id"], first["status"], first["attempt"], first["level"]) == ("research", "completed", 1, 0)
    document = first["document"]
    assert (document["type"], document["version"], document["title"]) == ("findings", 1, "The findings")
    assert first["finished_at"] is not None
    assert (second["step_id"], second["status"], second["depends_on"]) == ("summary", "pending", ["research"])
    assert (second["document"], second["clarification"], second["started_at"]) == (None, None, None)


def test_a_step_that_is_repaired_shows_what_was_wrong(ada: Caller, report: int) -> None:
    execution = scenario.repair(scenario.start(ada.user))
    step = ada.get(f"/executions/{execution.id}/steps").json()["data"][0]
    assert (step["status"], step["attempt"]) == ("remediating", 2)
    assert step["violations"] == [{"pointer": "/title", "code": "type", "detail": "Expected a string."}]


def test_a_waiting_step_shows_its_questions(ada: Caller, report: int) -> None:
    execution = scenario.ask(scenario.start(ada.user))
    clarification = ada.get(f"/executions/{execution.id}/steps").json()["data"][0]["clarification"]
    assert (clarification["round"], clarification["answers"], clarification["answered_at"]) == (1, None, None)
    assert clarification["questions"][1] == {
        "id": "research.1.2",
        "text": "Which size?",
        "answer_type": "single_choice",
        "required": True,
        "choices": [{"value": "s", "label": "Small"}, {"value": "l", "label": "Large"}],
        "default": None,
        "why": "",
    }


@pytest.mark.parametrize("slash", ["", "/"])
def test_events_are_the_log_in_order_and_after_a_number(ada: Caller, report: int, slash: str) -> None:
    execution = scenario.finish(scenario.start(ada.user))
    events = ada.get(f"/executions/{execution.id}/events{slash}").json()["data"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["event_type"] for event in events][:3] == ["execution_created", "execution_started", "step_started"]
    assert events[-1]["event_type"] == "complete"
    assert set(events[0]) == {"event_type", "execution_id", "step_id", "sequence", "timestamp", "data"}
    assert ada.get(f"/executions/{execution.id}/events", {"after": 3}).json()["data"] == events[3:]
    page = ada.get(f"/executions/{execution.id}/events", {"limit": 4}).json()
    rest = ada.get(f"/executions/{execution.id}/events", {"cursor": page["next_cursor"]}).json()
    assert page["data"] + rest["data"] == events
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("query", [{"after": "-1"}, {"after": "x"}, {"afterr": "1"}, {"limit": "0"}])
def test_a_wrong_parameter_of_a_list_is_named(ada: Caller, report: int, query: dict[str, str]) -> None:
    execution = scenario.start(ada.user)
    response = ada.get(f"/executions/{execution.id}/events", query)
    assert response.status_code == 422
    assert pointers(response) == {f"/{next(iter(query))}"}


# --- lists ----------------------------------------------------------------------------------------------------------


def ids(caller: Caller, **query: object) -> list[str]:
    """Return the executions that a list shows."""
    response = caller.get("/executions/", query)
    assert response.status_code == 200, response.content
    return [row["execution_id"] for row in response.json()["data"]]


def test_the_list_is_newest_first_and_shows_what_details_show(ada: Caller, report: int) -> None:
    older = scenario.finish(scenario.start(ada.user))
    newer = scenario.ask(scenario.start(ada.user, key="beta"))
    rows = ada.get("/executions").json()["data"]
    assert rows == [ada.get(f"/executions/{each.id}").json() for each in (newer, older)]


def test_pages_hold_each_execution_once_though_others_are_started_meanwhile(ada: Caller, report: int) -> None:
    started = [str(scenario.start(ada.user).id) for _ in range(5)]
    first = ada.get("/executions/", {"limit": 2}).json()
    scenario.start(ada.user)
    second = ada.get("/executions/", {"limit": 2, "cursor": first["next_cursor"]}).json()
    third = ada.get("/executions/", {"limit": 2, "cursor": second["next_cursor"]}).json()
    seen = [row["execution_id"] for page in (first, second, third) for row in page["data"]]
    assert seen == started[::-1]
    assert third["next_cursor"] is None


def test_a_page_takes_as_many_queries_for_many_executions_as_for_one(ada: Caller, report: int) -> None:
    scenario.start(ada.user)
    with CaptureQueriesContext(connection) as for_one:
        assert len(ids(ada)) == 1
    for _ in range(4):
        scenario.start(ada.user)
    with CaptureQueriesContext(connection) as for_many:
        assert len(ids(ada)) == 5
    assert len(for_many) == len(for_one) > 0


def test_filters_narrow_the_list(ada: Caller, report: int) -> None:
    waiting = scenario.ask(scenario.start(ada.user, tags=["pilot", "city"]))
    failed = scenario.fail(scenario.start(ada.user, key="beta"))
    pending = scenario.start(ada.user, key="gamma", tags=["city"])
    everything = [str(each.id) for each in (pending, failed, waiting)]
    assert ids(ada) == everything
    assert ids(ada, status="waiting") == [str(waiting.id)]
    assert ids(ada, status=["failed", "pending"]) == [str(pending.id), str(failed.id)]
    assert ids(ada, waiting_on="clarification") == [str(waiting.id)]
    assert ids(ada, tag="city") == [str(pending.id), str(waiting.id)]
    assert ids(ada, tag="cit") == []
    assert ids(ada, scope_type="project", scope_id="beta") == [str(failed.id)]
    assert ids(ada, scope_type="epic") == []
    assert ids(ada, workflow_id="report") == everything
    assert ids(ada, workflow_id="other") == []
    assert ids(ada, created_after=failed.created_at.isoformat()) == [str(pending.id), str(failed.id)]
    assert ids(ada, created_before=failed.created_at.isoformat()) == [str(waiting.id)]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"created_after": "yesterday"},
        {"waiting_on": "rain"},
        {"statuss": "failed"},
        {"cursor": "x"},
        {"limit": "201"},
        {"tag": "nul\x00"},
    ],
)
def test_a_wrong_or_unknown_filter_is_refused(ada: Caller, query: dict[str, str]) -> None:
    response = ada.get("/executions/", query)
    assert response.status_code == 422
    assert {pointer.split("/")[1] for pointer in pointers(response)} == set(query)


# --- access ---------------------------------------------------------------------------------------------------------

PATHS = [
    ("get", "/executions/"),
    ("post", "/executions/"),
    ("get", "/executions/{id}"),
    ("get", "/executions/{id}/steps"),
    ("get", "/executions/{id}/events"),
    ("post", "/executions/{id}/steps/research/clarification"),
    ("post", "/executions/{id}/cancel"),
    ("get", "/telemetry/executions/{id}/costs"),
    ("get", "/telemetry/workflows/report/stats"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("token", [None, "Bearer wrong", "Token wrong", "Bearer"])
def test_whoever_does_not_say_who_they_are_is_asked_for_a_token(
    ada: Caller, report: int, method: str, path: str, token: str | None
) -> None:
    execution = scenario.ask(scenario.start(ada.user))
    before = counts()
    headers = {} if token is None else {"Authorization": token}
    response = getattr(ada.http, method)(f"/api/v1{path.format(id=execution.id)}", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] in {"Bearer", "Token"}
    assert response.headers["Content-Type"] == "application/problem+json"
    assert counts() == before


@pytest.mark.parametrize("prefix", ["Bearer", "Token", "bearer"])
def test_a_token_is_taken_after_either_word(ada: Caller, prefix: str) -> None:
    assert ada.get("/executions/", Authorization=f"{prefix} {ada.token}").status_code == 200


def test_a_browser_session_reads_and_needs_its_csrf_token_to_write(ada: Caller, report: int) -> None:
    browser = type(ada.http)(enforce_csrf_checks=True)
    browser.force_login(ada.user)
    assert browser.get("/api/v1/executions/").status_code == 200
    refused = browser.post("/api/v1/executions/", BODY, content_type="application/json")
    assert refused.status_code == 403
    assert Execution.objects.count() == 0


@pytest.mark.parametrize(("method", "path"), [each for each in PATHS if "{id}" in each[1]])
def test_what_is_not_yours_cannot_be_told_from_what_does_not_exist(
    ada: Caller, eve: Caller, report: int, method: str, path: str
) -> None:
    execution = scenario.ask(scenario.start(ada.user))
    before = counts()
    body = {"answers": scenario.GOOD_ANSWERS} if "clarification" in path else None
    arguments = (body,) if method == "post" else ()
    theirs = getattr(eve, method)(path.format(id=execution.id), *arguments)
    nobodys = getattr(ada, method)(path.format(id=NOWHERE), *arguments)
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    different = {"instance", "request_id"}
    bodies = [{k: v for k, v in each.json().items() if k not in different} for each in (theirs, nobodys)]
    assert bodies[0] == bodies[1]
    assert counts() == before


def test_lists_hold_what_the_caller_may_see(ada: Caller, eve: Caller, caller: Callable[..., Caller], report: int) -> None:
    mine, theirs = scenario.start(ada.user), scenario.start(eve.user, key="beta")
    assert ids(ada) == [str(mine.id)]
    assert ids(caller("root", staff=True)) == [str(theirs.id), str(mine.id)]
    grant(ada.user, "beta", Role.VIEWER)
    assert ids(ada) == [str(theirs.id), str(mine.id)]
    assert ada.get(f"/executions/{theirs.id}/steps").status_code == 200


@pytest.mark.parametrize("path", ["/executions/17", "/executions/not-an-id/steps", "/executions/{id}/nothing"])
def test_a_path_that_is_none_is_not_found(ada: Caller, report: int, path: str) -> None:
    response = ada.get(path.format(id=scenario.start(ada.user).id))
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_method_that_a_path_does_not_know_is_refused(ada: Caller, report: int) -> None:
    execution = scenario.start(ada.user)
    assert ada.get(f"/executions/{execution.id}/cancel").status_code == 405
    assert Execution.objects.get(id=execution.id).status == "pending"
