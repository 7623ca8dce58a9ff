"""The payloads of events."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from executions.engine.domain.events import Event, ExecutionWaiting, WaitOverdue, WaitReminder
from executions.engine.domain.states import WaitingOn

MOMENT = datetime(2026, 3, 1, 14, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (WaitReminder(step_id="a", waiting_on=WaitingOn.ACCEPTANCE, due_at=MOMENT, assignees=()), "due_at"),
        (WaitOverdue(step_id="a", waiting_on=WaitingOn.ACCEPTANCE, due_at=MOMENT, assignees=()), "due_at"),
        (ExecutionWaiting(waiting_on=(WaitingOn.RATE_LIMIT,), resume_at=MOMENT), "resume_at"),
    ],
)
def test_times_of_events_are_in_utc_with_milliseconds_as_everywhere_in_the_api(event: Event, name: str) -> None:
    assert event.data()[name] == "2026-03-01T12:00:00.123Z"
