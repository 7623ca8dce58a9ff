"""The event log as pages: filters by type, pruned logs, and event types of newer versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from executions.models import Execution, ExecutionEvent
from executions.persistence import retention
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(ada: Caller, report: int) -> Callable[..., Any]:
    """Reads the log of a finished execution."""
    execution = reports.finish(reports.start(ada.user))

    def read(**query: object) -> Any:
        return ada.get(f"/executions/{execution.id}/events", query)

    return read


@pytest.mark.parametrize("types", ["step_started,complete", ["step_started", "complete"], " complete , step_started"])
def test_the_log_can_be_narrowed_to_types_of_events(log: Callable[..., Any], types: object) -> None:
    everything = log().json()["data"]
    narrowed = log(types=types).json()["data"]
    assert [each["event_type"] for each in narrowed] == ["step_started", "step_started", "complete"]
    assert narrowed == [each for each in everything if each["event_type"] in {"step_started", "complete"}]
    assert [each["event_type"] for each in log(types=types, after=narrowed[0]["sequence"], limit=1).json()["data"]] == [
        "step_started"
    ]


@pytest.mark.parametrize(
    ("types", "pointer"),
    [("step_startet", "/types/0"), ("complete,step_delta", "/types/1"), ("", "/types"), (",", "/types")],
)
def test_types_that_do_not_exist_are_named(log: Callable[..., Any], types: str, pointer: str) -> None:
    response = log(types=types)
    assert response.status_code == 422
    assert pointers(response) == {pointer}
    assert types.rpartition(",")[2] in response.json()["errors"][0]["detail"]


def test_a_page_says_which_event_is_the_oldest_that_is_kept(log: Callable[..., Any]) -> None:
    whole = log().json()
    assert whole["oldest"] == 1
    past = timezone.now() - timedelta(days=2)
    Execution.objects.update(finished_at=past)
    retention.prune(before=past + timedelta(days=1), limit=1)
    assert log().json() == {"data": whole["data"][-1:], "next_cursor": None, "oldest": len(whole["data"])}
    assert log(after=3).json()["oldest"] == len(whole["data"])


def test_an_event_of_a_newer_version_is_shown_as_it_is(log: Callable[..., Any]) -> None:
    ExecutionEvent.objects.filter(sequence=2).update(event_type="step_dreamt")
    assert log().json()["data"][1]["event_type"] == "step_dreamt"
