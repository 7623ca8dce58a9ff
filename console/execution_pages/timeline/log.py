"""One page of the log of an execution: newest first, each event a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from common.errors import NotFound
from console.execution_pages.timeline.event_words import Told, is_failure, sentence
from console.execution_pages.timeline.links import query_with
from console.shell import number_in
from executions.engine.domain.events import ProgressEvent
from executions.selectors import timeline
from executions.selectors.timeline import LogFilter, NamedStep

PAGE_SIZE = 50
FILTERS = (
    (LogFilter.ALL, gettext_lazy("All")),
    (LogFilter.PEOPLE, gettext_lazy("People")),
    (LogFilter.FAILURES, gettext_lazy("Failures")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event of the log."""

    sequence: int
    sentence: SafeString
    timestamp: datetime
    after: float  # seconds since the execution was started
    is_failure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """One page of the log."""

    which: LogFilter
    before: int | None
    lines: Sequence[Line]
    query: str  # of this page
    next: str  # query of the next page; empty on the last one
    newest: str  # query of the first page; empty on it
    pruned: bool  # whether older events are not kept any more
    filters: Sequence[tuple[str, Any, LogFilter]]  # query, label, key

    @classmethod
    def read(cls, request: HttpRequest, execution: Any, known: Mapping[str, NamedStep] | None = None) -> LogPage:
        """Read the page that an address names. `execution` is the row that the reader may see, `known` are some steps.

        Raises:
            NotFound: there is no such filter or page.
        """
        which, before = _which(request.GET), _before(request.GET)
        found = timeline.newest_events(execution.id, which=which, before=before, limit=PAGE_SIZE + 1)
        shown = found[:PAGE_SIZE]
        more = len(found) > PAGE_SIZE
        return cls(
            which=which,
            before=before,
            lines=_lines(execution, shown, known or {}),
            query=query_with(request.GET),
            next=query_with(request.GET, before=shown[-1].sequence) if more else "",
            newest="" if before is None else query_with(request.GET, before=None),
            pruned=not more and execution.oldest_sequence > 1,
            filters=[(query_with(request.GET, log=each.value, before=None), label, each) for each, label in FILTERS],
        )


def _which(asked: QueryDict) -> LogFilter:
    try:
        return LogFilter(asked.get("log", LogFilter.ALL))
    except ValueError as error:
        raise NotFound from error


def _before(asked: QueryDict) -> int | None:
    if "before" not in asked:
        return None
    if (number := number_in(asked.get("before", ""))) is None:
        raise NotFound
    return number


def _lines(execution: Any, events: Sequence[ProgressEvent], known: Mapping[str, NamedStep]) -> list[Line]:
    named = {each.step_id for each in events} | {each.data.get("from_step") for each in events}
    unknown = {each for each in named if isinstance(each, str)} - known.keys()
    steps = {**known, **timeline.named_steps(execution.id, unknown)}
    return [_line(execution.id, each, steps, begun=execution.created_at) for each in events]


def _line(execution_id: UUID, event: ProgressEvent, steps: Any, *, begun: datetime) -> Line:
    return Line(
        sequence=event.sequence,
        sentence=sentence(Told(execution_id=execution_id, event=event, steps=steps)),
        timestamp=event.timestamp,
        after=max(event.timestamp - begun, timedelta(0)).total_seconds(),
        is_failure=is_failure(event),
    )
