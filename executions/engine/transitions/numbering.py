"""Final values of a change before it is stored: version, event numbers and timers."""

from __future__ import annotations

from datetime import datetime

from executions.engine.domain.copying import replace
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Execution, with_timers
from executions.engine.transitions.core import Change


def number_events(change: Change, *, current: Execution, now: datetime) -> tuple[Execution, tuple[ProgressEvent, ...]]:
    """Return the change as it is stored over `current`: the version incremented, the events numbered consecutively."""
    first = current.last_sequence + 1
    events = tuple(
        ProgressEvent(
            execution_id=current.id,
            sequence=sequence,
            event_type=event.event_type,
            step_id=event.step_id,
            data=event.data(),
            timestamp=now,
        )
        for sequence, event in enumerate(change.events, start=first)
    )
    changed = change.execution
    if changed.resume_at is not None or changed.deadline_at is not None:
        changed = with_timers(changed)  # the timers' steps may have been answered, skipped or cancelled
    stored = replace(
        changed,
        version=current.version + 1,
        last_sequence=current.last_sequence + len(events),
        updated_at=now,
    )
    return stored, events
