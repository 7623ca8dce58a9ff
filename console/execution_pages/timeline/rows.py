"""The rows of the timeline: one for each step of the definition, and for each item of a step that is open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from common.errors import NotFound
from console.execution_pages.timeline import bars, step_times
from console.execution_pages.timeline.bars import Bar, Course, Kind, Run, Scale, Segment, Tick
from console.execution_pages.timeline.links import query_with
from console.execution_pages.timeline.words import KINDS, name_of
from console.execution_pages.words import status_words, step_address
from console.shell import number_in
from console.templatetags.console import seconds
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.states import ENDED, StepStatus
from executions.selectors import timeline
from executions.selectors.timeline import CallRow, Grid, ItemSums, NamedStep
from executions.selectors.workflows import definition_of
from workflows.definitions.definition import StepDefinition

PAGE_SIZE = 50  # items
MAX_EXACT = 200  # items of all steps, that are drawn from each one's own times
MAX_LISTED = 500  # lines of the table
_FRACTIONS = 500  # of the whole time, to which the present is rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row."""

    key: str
    name: str
    status: str = ""  # a `StepStatus`; empty: of many steps
    status_words: str = ""
    href: str = ""
    bars: Sequence[Bar] = ()
    segments: Sequence[Segment] = ()
    words: Sequence[str] = ()
    waits: SafeString | str = ""
    items: int = 0  # 0: a single step
    toggle: str = ""  # query that shows or hides the items
    children: Sequence[Row] = ()
    pages: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the table."""

    name: str
    what: str
    start: datetime
    after: float  # seconds since the start of the execution
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The timeline of an execution."""

    whole: Row
    rows: Sequence[Row]
    ticks: Sequence[Tick]
    listed: Sequence[Listed]
    more: bool  # the table is longer than what is shown
    query: str
    steps: Mapping[str, NamedStep]  # that are drawn, by id
    waited: float | None  # seconds, where the events that tell of waits are not kept any more
    kinds: Sequence[tuple[Kind, Any]]  # for the legend

    @classmethod
    def read(cls, request: HttpRequest, execution: Any, *, now: datetime) -> Times:
        """Read it. `execution` is the row that the reader may see.

        Raises:
            NotFound: the address names no step over items, or no page of items.
        """
        drawing = _Drawing(request.GET, execution, _rounded(now, execution))
        rows = drawing.rows()
        whole = drawing.whole()
        listed = [line for row in (whole, *rows) for line in drawing.lines(row)]
        seen = {bar.kind for row in (whole, *rows) for one in (row, *row.children) for bar in one.bars}
        return cls(
            whole=whole,
            rows=rows,
            ticks=drawing.scale.ticks(timezone.localtime(now), day=lambda each: date_format(each, "j M")),
            listed=listed[:MAX_LISTED],
            more=len(listed) > MAX_LISTED,
            query=query_with(request.GET),
            steps=drawing.named,
            waited=execution.waited.total_seconds() if drawing.is_pruned else None,
            kinds=[(kind, label) for kind, label in KINDS.items() if kind in seen],
        )


def _rounded(now: datetime, execution: Any) -> datetime:
    """Return the end of the scale: the present in small parts of the whole, so that not each look is another one."""
    begun: datetime = execution.created_at
    if execution.finished_at is not None:
        return max(execution.finished_at, begun)
    part = max((now - begun) / _FRACTIONS, timedelta(seconds=1))
    return begun + part * max(-(-(now - begun) // part), 1)


class _Drawing:
    """What is read for the rows, and how it is drawn."""

    def __init__(self, asked: QueryDict, execution: Any, end: datetime) -> None:
        self._asked, self._execution = asked, execution
        self._definition = definition_of(execution)
        self.scale = Scale(execution.created_at, end)
        self._turns = timeline.turns(execution.id)
        self.is_pruned = execution.oldest_sequence > 1
        self._course: Course = step_times.course_of(self._turns, end)
        self._singles = timeline.single_steps(execution.id)
        self._sums = timeline.item_sums(execution.id) if any(self._definition.loops.values()) else {}
        self._opened, self._page = self._open_items()
        self._items = self._read_items()
        self._read_times()

    def _open_items(self) -> tuple[int | None, int]:
        """Return the position of the step whose items are shown, and their page."""
        slug, page = self._asked.get("items"), number_in(self._asked.get("page", "1"))
        if slug is None:
            return None, 1
        position = self._definition.positions.get(slug)
        pages = -(-self._sums[position].total // PAGE_SIZE) if position in self._sums else 0
        if position is None or page is None or not 1 <= page <= pages:
            raise NotFound
        return position, page

    def _read_items(self) -> dict[int, list[Any]]:
        """Return the steps over items that are drawn from their own times, by the position of their step."""
        self._is_exact = sum(each.total for each in self._sums.values()) <= MAX_EXACT
        found: dict[int, list[Any]] = defaultdict(list)
        rows: list[Any] = []
        if self._is_exact and self._sums:
            rows = timeline.steps_of_items(self._execution.id, list(self._sums), limit=MAX_EXACT)
        elif self._opened is not None:
            start = (self._page - 1) * PAGE_SIZE
            rows = timeline.steps_of_items(self._execution.id, [self._opened], start=start, limit=PAGE_SIZE)
        for row in rows:
            found[row.position].append(row)
        return found

    def _read_times(self) -> None:
        drawn = [*self._singles, *(each for rows in self._items.values() for each in rows)]
        self.named = {each.step_id: NamedStep.of(each) for each in drawn}
        self._calls: dict[str, list[CallRow]] = defaultdict(list)
        for call in timeline.calls_of_steps(self._execution.id, [each.step_id for each in drawn]):
            self._calls[call.step_id].append(call)
        self._ended = {each.step_id: each.finished_at for each in drawn}
        unknown = {need for each in drawn for need in each.depends_on} - self._ended.keys()
        self._ended |= timeline.finished_at(self._execution.id, unknown)
        self._reasons = step_times.Reasons(
            names={each.step_id: name_of(each.name, each.label, each.step_id) for each in drawn},
            ended=frozenset(key for key, moment in self._ended.items() if moment is not None),
            is_over=self._execution.status in ENDED,
        )

    # --- rows ---

    def whole(self) -> Row:
        """Return the row of the execution itself."""
        segments = [] if self.is_pruned else self._course_segments()
        return Row(
            key="whole",
            name=gettext("Whole execution"),
            bars=bars.bars_of(segments, self.scale),
            segments=segments,
            words=[seconds((self.scale.end - self.scale.begin).total_seconds()), *_kinds(segments)],
        )

    def _course_segments(self) -> list[Segment]:
        return step_times.course_segments(self._execution, self._turns, self.scale.end)

    def rows(self) -> list[Row]:
        """Return the rows of the steps of the definition, in its order."""
        singles = {each.position: each for each in self._singles}
        runs = self._runs()
        found = []
        for step in self._definition.steps:
            position = self._definition.positions[step.id]
            if position in singles:
                found.append(self._row(singles[position]))
            elif position in self._sums:
                found.append(self._folded(step, self._sums[position], runs[step.id]))
            else:
                waits = "" if self._reasons.is_over else gettext("Its items are not known yet.")
                found.append(Row(key=step.id, name=step.name, waits=waits))
        return found

    def _row(self, step: Any, *, is_item: bool = False) -> Row:
        segments = self._segments(step)
        name = name_of(step.name, step.label, step.step_id)
        return Row(
            key=step.step_id,
            name=name.removeprefix(f"{step.name} · ") if is_item else name,
            status=step.status,
            status_words=status_words(step.status),
            href=step_address(self._execution.id, step.step_id),
            bars=bars.bars_of(segments, self.scale),
            segments=segments,
            words=_words(step, segments, self._calls[step.step_id]),
            waits=step_times.why_it_waits(step, self._reasons),
        )

    def _segments(self, step: Any) -> list[Segment]:
        times = step_times.times_of(step, self._calls[step.step_id], ready=self._ready(step))
        return bars.segments_of(times, self._course)

    def _ready(self, step: Any) -> datetime | None:
        """Return when all that a step needs was there; None: it is not, or it was made again after the step began."""
        needed = [self._ended.get(each) for each in step.depends_on]
        if None in needed:
            return None
        moment: datetime = max(filter(None, needed), default=self._execution.created_at)
        if step.started_at is None and step.finished_at is not None:
            return None  # it never began
        return moment if step.started_at is None else min(moment, step.started_at)

    def _folded(self, step: StepDefinition, sums: ItemSums, runs: Sequence[Run]) -> Row:
        is_open = sums.position == self._opened
        shown = self._items[sums.position] if is_open else []
        if is_open and self._is_exact:
            shown = shown[(self._page - 1) * PAGE_SIZE : self._page * PAGE_SIZE]
        toggle = query_with(self._asked, items=None if is_open else step.id, page=None)
        return Row(
            key=step.id,
            name=step.name,
            bars=bars.stacked(runs),
            words=_sum_words(sums, self.scale.end),
            items=sums.total,
            toggle=toggle,
            children=[self._row(each, is_item=True) for each in shown],
            pages=self._pages(sums) if is_open else {},
        )

    def _pages(self, sums: ItemSums) -> dict[str, Any]:
        last = -(-sums.total // PAGE_SIZE)
        return {
            "page": self._page,
            "last": last,
            "before": query_with(self._asked, page=self._page - 1) if self._page > 1 else "",
            "after": query_with(self._asked, page=self._page + 1) if self._page < last else "",
        }

    def _runs(self) -> Mapping[str, Sequence[Run]]:
        """Return what the items of each step did together."""
        slugs = {position: step for step, position in self._definition.positions.items() if position in self._sums}
        if self._is_exact:
            return {
                slug: bars.runs_of((one for each in self._items[key] for one in self._segments(each)), self.scale)
                for key, slug in slugs.items()
            }
        grid = Grid(self.scale.begin, self.scale.end, bars.BUCKETS)
        begun, worked = defaultdict(list), defaultdict(list)
        for each in timeline.item_runs(self._execution.id, list(slugs), grid):
            begun[slugs[each.key]].append(Run(Kind.OPEN, each.first, each.last, each.number))
        for each in timeline.item_call_runs(self._execution.id, list(slugs.values()), grid):
            kind = Kind.REVIEW if each.is_review else Kind.WRITING
            worked[each.key].append(Run(kind, each.first, each.last, each.number))
        return {slug: bars.with_waits(begun[slug], worked[slug]) for slug in slugs.values()}

    def lines(self, row: Row) -> list[Listed]:
        """Return the lines of the table for a row and its items."""
        begun = self.scale.begin
        own = [
            Listed(row.name, _what(each), each.start, (each.start - begun).total_seconds(), each.seconds)
            for each in row.segments
        ]
        items = [
            Listed(f"{row.name} · {child.name}", line.what, line.start, line.after, line.seconds)
            for child in row.children
            for line in self.lines(child)
        ]
        return [*own, *items]


# --- words ------------------------------------------------------------------------------------------------------------

_LEAST = 0.1  # seconds that are worth a word


def _what(segment: Segment) -> str:
    name = str(KINDS[segment.kind])
    if segment.attempt is None:
        return name
    return gettext("{what}, attempt {attempt}").format(what=name, attempt=segment.attempt)


def _kinds(segments: Sequence[Segment]) -> list[str]:
    sums = bars.seconds_by_kind(segments)
    return [f"{KINDS[kind]} {seconds(spent)}" for kind, spent in sums.items() if spent >= _LEAST]


def _words(step: Any, segments: Sequence[Segment], calls: Sequence[CallRow]) -> list[str]:
    told = _kinds(segments)
    if len(told) > 1:
        told.insert(0, seconds(sum(each.seconds for each in segments)))
    if calls:
        told.append(_counted(ngettext("{number} call", "{number} calls", len(calls)), len(calls)))
    back = sum(each["decision"] == AcceptanceAction.REQUEST_CHANGES for each in step.decisions)
    if back:
        told.append(_counted(ngettext("sent back once", "sent back {number} times", back), back))
    if step.status == StepStatus.COMPLETED and not step.attempt:
        told.append(gettext("no call: the scope had the document"))
    return told


def _sum_words(sums: ItemSums, end: datetime) -> list[str]:
    told = []
    if sums.begun_at is not None:
        last = end if sums.is_open or sums.finished_at is None else sums.finished_at
        told.append(seconds(max(last - sums.begun_at, timedelta(0)).total_seconds()))
    else:
        told.append(gettext("not begun"))
    told.append(gettext("{done} of {total} done").format(done=sums.done, total=sums.total))
    if sums.waiting:
        told.append(_counted(ngettext("{number} waits", "{number} wait", sums.waiting), sums.waiting))
    if sums.failed:
        told.append(_counted(ngettext("{number} failed", "{number} failed", sums.failed), sums.failed))
    return told


def _counted(words: str, number: int) -> str:
    return words.format(number=f"{number:,}")
