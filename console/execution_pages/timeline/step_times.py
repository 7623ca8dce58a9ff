"""The times of a step as the timeline draws them, and why it waits, from its row and its calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from console.execution_pages.timeline.bars import CallTimes, Course, Kind, Segment, Span, StepTimes, spans_between
from console.templatetags.console import when
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.states import CallKind, CallStatus, StepStatus, WaitingOn
from executions.selectors.executions import waits_for_decision
from executions.selectors.timeline import CallRow

_FAILED = frozenset({CallStatus.FAILED.value, CallStatus.UNKNOWN.value})
_STOPPED = frozenset({StepStatus.CANCELLED.value, StepStatus.SKIPPED.value})
_FOR_PEOPLE = frozenset({WaitingOn.CLARIFICATION, WaitingOn.ACCEPTANCE, WaitingOn.BUDGET})


def times_of(step: Any, calls: Sequence[CallRow], *, ready: datetime | None) -> StepTimes:
    """Return the times of a step."""
    decided = [moment_of(each["decided_at"]) for each in step.decisions]
    versions = {each["document_version"] for each in step.decisions}
    undecided = step.document_version is not None and step.document_version not in versions
    return StepTimes(
        ready=ready,
        started=step.started_at,
        finished=step.finished_at,
        asked=[each for each in (_asked(one, step) for one in step.rounds) if each is not None],
        decided=decided,
        waits_since=_waits_since(step, calls),
        stopped_undecided=step.status in _STOPPED and undecided,
        is_deferred=_is_deferred(step),
        calls=[_call(each) for each in calls],
    )


def _is_deferred(step: Any) -> bool:
    return step.status == StepStatus.WAITING and step.resume_at is not None and not step.blocked_by_limit


def _call(row: CallRow) -> CallTimes:
    return CallTimes(
        attempt=row.attempt,
        start=row.started_at,
        end=row.finished_at,
        is_review=row.kind == CallKind.REVIEW,
        has_failed=row.status in _FAILED,
        model=row.requested_model,
    )


def _asked(told: Mapping[str, Any], step: Any) -> Span | None:
    """Return how long a round of questions was open; None while it is."""
    begin = moment_of(told["asked_at"])
    if told.get("answered_at"):
        return Span(begin, moment_of(told["answered_at"]))
    return Span(begin, max(step.finished_at, begin)) if step.finished_at else None


def _waits_since(step: Any, calls: Sequence[CallRow]) -> datetime | None:
    if step.status != StepStatus.WAITING:
        return None
    if step.asked_at is not None:
        since: datetime = step.asked_at
        return since
    if step.blocked_by_limit:
        blocked: datetime | None = step.resume_at
        return blocked
    if not waits_for_decision(step):
        return None
    if step.wait:
        return moment_of(step.wait["since"])
    return max((each.finished_at for each in calls if each.finished_at), default=step.started_at)


def moment_of(text: str) -> datetime:
    """Return a stored moment.

    Raises:
        ValueError: it is none.
    """
    if (found := parse_datetime(text)) is None:
        raise ValueError(f"not a moment: {text!r}")
    return found


# --- the whole execution ----------------------------------------------------------------------------------------------


def course_of(turns: Sequence[ProgressEvent], now: datetime) -> Course:
    """Return what explains gaps in the steps of an execution: its ends before retries, and waits for a budget."""
    ends = [(each.timestamp, each.event_type == EventType.COMPLETE) for each in turns if _ends_or_retries(each)]
    short = [(each.timestamp, WaitingOn.BUDGET in _waited_for(each)) for each in turns]
    return Course(now=now, over=spans_between(ends, until=now), short=spans_between(short, until=now))


def _ends_or_retries(event: ProgressEvent) -> bool:
    return event.event_type in {EventType.COMPLETE, EventType.EXECUTION_RETRIED}


def _waited_for(event: ProgressEvent) -> list[Any]:
    found = event.data.get("waiting_on")
    return found if isinstance(found, list) else []


def course_segments(execution: Any, turns: Sequence[ProgressEvent], now: datetime) -> list[Segment]:
    """Return how an execution went as a whole: it was queued, some step worked, or all waited."""
    begun = execution.started_at or execution.finished_at or now
    marks = [(execution.created_at, Kind.QUEUE), (begun, Kind.WRITING)]
    for each in turns:
        if each.event_type == EventType.EXECUTION_WAITING:
            people = not _FOR_PEOPLE.isdisjoint(_waited_for(each))
            marks.append((each.timestamp, Kind.PEOPLE if people else Kind.PROVIDER))
        else:
            marks.append((each.timestamp, Kind.OPEN if each.event_type == EventType.COMPLETE else Kind.WRITING))
    ends = [at for at, _ in marks[1:]] + [execution.finished_at or now]
    parts = [Segment(kind, at, end) for (at, kind), end in zip(marks, ends, strict=True) if end > at]
    return [each for each in parts if each.kind is not Kind.OPEN]  # it had ended


# --- why it waits -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """What steps need to know to say why they wait."""

    names: Mapping[str, str]  # of steps, by id
    ended: frozenset[str]  # steps that have ended
    is_over: bool  # the execution has ended


def why_it_waits(step: Any, reasons: Reasons) -> SafeString | str:
    """Return what a step waits for, in words; empty if it does not wait."""
    if reasons.is_over:
        return ""
    if step.status == StepStatus.PENDING:
        return _pending(step, reasons)
    if step.status != StepStatus.WAITING:
        return ""
    if step.asked_at is not None:
        return _for_people(gettext("waits for answers"), step.wait, since=step.asked_at)
    if step.blocked_by_limit:
        return _for_people(gettext("waits for a higher budget"), None, since=step.resume_at)
    if step.resume_at is not None:
        return format_html(gettext("waits for a provider; the next try is at {moment}"), moment=when(step.resume_at))
    since = moment_of(step.wait["since"]) if step.wait else None
    return _for_people(gettext("waits for a decision"), step.wait, since=since)


def _pending(step: Any, reasons: Reasons) -> str:
    needed = [reasons.names[each] for each in step.depends_on if each in reasons.names and each not in reasons.ended]
    if needed:
        return gettext("waits for {steps}").format(steps=gettext(", ").join(needed))
    return gettext("waits for a worker")


def _for_people(what: str, wait: Mapping[str, Any] | None, *, since: datetime | None) -> SafeString:
    names = gettext(", ").join((wait or {}).get("assignees") or ())
    parts: Iterable[Any] = (
        what,
        format_html(gettext("of {names}"), names=names) if names else "",
        format_html(gettext("since {moment}"), moment=when(since)) if since else "",
    )
    return format_html_join(" ", "{}", ((each,) for each in parts if each))
