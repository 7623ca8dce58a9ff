"""A deferred step reports when it continues, and the reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus
from executions.engine.transitions import backoff
from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db
RESUME_AT = datetime(2099, 1, 1, 12, 0, 7, tzinfo=UTC)


def defer(execution: Execution, call: Call, error: str, status: CallStatus = CallStatus.FAILED) -> Execution:
    """Defer a step whose call has failed."""
    settled = replace(call, status=status, error=error, finished_at=call.started_at + timedelta(seconds=1))
    return reports.move(
        execution,
        lambda now, context: backoff.defer_step(now, call.key.step_id, resume_at=RESUME_AT, context=context),
        calls=(settled,),
    )


def steps(caller: Caller, execution: Execution) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get(f"/executions/{execution.id}/steps").json()["data"]
    return found


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("openai:gpt could not be reached: Connection refused.", CallStatus.FAILED),
        ("openai:gpt could not be called (HTTP 429): Slow down.", CallStatus.FAILED),
        ("openai:gpt stopped in the middle of its reply.", CallStatus.UNKNOWN),
        ("It was not sent: it had no rate limit permit.", CallStatus.FAILED),
    ],
)
def test_a_deferred_step_says_when_it_goes_on_and_why_it_waits(
    ada: Caller, report: int, error: str, status: CallStatus
) -> None:
    started, call = reports.begin(reports.claim(reports.start(ada.user)))
    deferred = defer(started, call, error, status)
    first, second = steps(ada, deferred)
    assert (first["status"], first["resume_at"], first["deferred_because"]) == (
        "waiting",
        "2099-01-01T12:00:07.000Z",
        error,
    )
    assert (second["status"], second["resume_at"], second["deferred_because"]) == ("pending", None, None)
    shown = ada.get(f"/executions/{deferred.id}").json()
    assert (shown["status"], shown["waiting_on"], shown["resume_at"]) == (
        *("waiting", ["rate_limit"]),
        "2099-01-01T12:00:07.000Z",
    )


def test_what_is_said_is_how_the_newest_call_failed_and_only_while_the_step_is_deferred(
    ada: Caller, report: int
) -> None:
    started, first = reports.begin(reports.claim(reports.start(ada.user)))
    [before, _] = steps(ada, started)
    assert (before["status"], before["deferred_because"]) == ("running", None)
    second = replace(first, key=replace(first.key, ordinal=2))
    failed = replace(first, status=CallStatus.FAILED, error="First.", finished_at=first.started_at)
    again = reports.move(
        started,
        lambda now, context: backoff.retry_call(now, "research", lost=(), context=context),
        calls=(failed, second),
    )
    [between, _] = steps(ada, again)
    assert between["deferred_because"] is None
    deferred = defer(again, second, "Second.")
    assert steps(ada, deferred)[0]["deferred_because"] == "Second."
    cancelled = reports.cancel(ada.user, deferred.id)
    [after, _] = steps(ada, cancelled)
    assert (after["status"], after["resume_at"], after["deferred_because"]) == ("cancelled", None, None)
