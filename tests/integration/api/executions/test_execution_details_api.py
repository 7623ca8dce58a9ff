"""Reading one execution, its steps and its events, as clients do."""

from __future__ import annotations

import pytest

from executions.models import Execution
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("slash", ["", "/"])
def test_details_tell_progress_usage_and_cost_so_far(ada: Caller, report: int, slash: str) -> None:
    execution = reports.finish_step(reports.claim(reports.start(ada.user)), "research")
    response = ada.get(f"/executions/{execution.id}{slash}")
    assert response.status_code == 200
    body = response.json()
    assert body["version"] == execution.version
    assert response.headers["ETag"].startswith(f'"{execution.version}.')
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
    execution = reports.fail(reports.start(ada.user))
    body = ada.get(f"/executions/{execution.id}").json()
    assert body["status"] == "failed"
    assert body["error"] == {"code": "model_refused", "message": "The model refused."}
    assert body["finished_at"] is not None


def test_a_call_under_way_or_without_a_price_is_no_zero(ada: Caller, report: int) -> None:
    under_way = reports.begin(reports.claim(reports.start(ada.user)))[0]
    body = ada.get(f"/executions/{under_way.id}").json()
    assert (body["cost_usd"], body["cost_complete"], body["cost_final"]) == (None, False, False)
    unpriced = reports.finish(reports.start(ada.user, key="beta"), cost=None)
    body = ada.get(f"/executions/{unpriced.id}").json()
    assert (body["cost_usd"], body["known_cost_usd"], body["cost_final"]) == (None, "0.0000000000", True)


@pytest.mark.parametrize("slash", ["", "/"])
def test_steps_are_listed_in_order_with_their_documents(ada: Caller, report: int, slash: str) -> None:
    execution = reports.finish_step(reports.claim(reports.start(ada.user)), "research")
    first, second = ada.get(f"/executions/{execution.id}/steps{slash}").json()["data"]
    assert (first["step_id"], first["status"], first["attempt"], first["level"]) == ("research", "completed", 1, 0)
    document = first["document"]
    assert (document["type"], document["version"], document["title"]) == ("findings", 1, "The findings")
    assert first["finished_at"] is not None
    assert (second["step_id"], second["status"], second["depends_on"]) == ("summary", "pending", ["research"])
    assert (second["document"], second["clarification"], second["started_at"]) == (None, None, None)


def test_steps_are_filtered_by_status_and_newer_events(ada: Caller, report: int) -> None:
    execution = reports.finish_step(reports.claim(reports.start(ada.user)), "research")
    path = f"/executions/{execution.id}/steps"

    def found(**query: object) -> list[str]:
        return [each["step_id"] for each in ada.get(path, query).json()["data"]]

    assert found(status="completed") == ["research"]
    assert found(status="completed,pending") == found(status=["completed", "pending"]) == ["research", "summary"]
    last = ada.get(f"{path.removesuffix('steps')}events", {"types": "step_completed"}).json()["data"][0]["sequence"]
    assert (found(since=last - 1), found(since=last), found(since=last - 1, status="pending")) == (["research"], [], [])
    Execution.objects.update(oldest_sequence=last + 2)
    assert found(since=last) == ["research", "summary"]  # pruned events may tell about each step
    assert pointers(ada.get(path, {"since": -1, "status": "done"})) == {"/since", "/status/0"}


def test_a_step_that_is_repaired_shows_what_was_wrong(ada: Caller, report: int) -> None:
    execution = reports.repair(reports.start(ada.user))
    step = ada.get(f"/executions/{execution.id}/steps").json()["data"][0]
    assert (step["status"], step["attempt"]) == ("remediating", 2)
    assert step["violations"] == [{"pointer": "/title", "code": "type", "detail": "Expected a string."}]


def test_a_waiting_step_shows_its_questions(ada: Caller, report: int) -> None:
    execution = reports.ask(reports.start(ada.user))
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
        "integer": False,
        **dict.fromkeys(("minimum", "maximum", "earliest", "latest")),
        **dict.fromkeys(("min_length", "max_length", "min_choices", "max_choices")),
    }
    assert (clarification["expires_at"], clarification["on_deadline"]) == (None, None)


@pytest.mark.parametrize("slash", ["", "/"])
def test_events_are_the_log_in_order_and_after_a_number(ada: Caller, report: int, slash: str) -> None:
    execution = reports.finish(reports.start(ada.user))
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
    execution = reports.start(ada.user)
    response = ada.get(f"/executions/{execution.id}/events", query)
    assert response.status_code == 422
    assert pointers(response) == {f"/{next(iter(query))}"}
