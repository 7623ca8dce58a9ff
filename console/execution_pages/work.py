"""The work of an execution: the graph of its definition with states, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from common.names import in_words
from console.execution_pages.waits import MAX_SHOWN, Waits, waits_of
from console.execution_pages.words import items_address, status_words, step_address
from console.inbox.things import LIMITS
from console.workflows.drawing import Drawing, draw
from executions.engine.domain.states import StepStatus
from executions.selectors.steps.counts import StepCounts, counts_of
from executions.selectors.steps.rows import named_steps
from executions.selectors.workflows import definition_of
from telemetry import selectors as telemetry
from workflows.definitions.definition import StepDefinition, WorkflowDefinition

MAX_VIOLATIONS = 5
MAX_INPUTS = 8  # links in a line
_BAR = 172  # pixels of the bar of a box
_NONE = StepCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A document version that a step reads."""

    href: str
    name: str  # its type in words
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A step of the definition, as the list below the graph tells of it."""

    id: str
    name: str
    role: str
    counts: StepCounts
    is_each: bool
    href: str
    makes: str
    waits_for: Sequence[str]  # names of steps that it reads and that are not completed
    row: Any | None = None  # the step, if it runs once
    title: str = ""  # of its document
    inputs: Sequence[Input] = ()
    more_inputs: int = 0
    why: str = ""
    until: datetime | None = None
    because: str = ""  # error of the last call of a deferred step

    @property
    def status(self) -> StepStatus:
        """Its status, or the most notable one of its items."""
        return self.counts.status

    @property
    def status_words(self) -> str:
        """The status in words."""
        return status_words(self.status)

    @property
    def numbers(self) -> str:
        """How many of its items are done and waiting, in a few characters."""
        if not self.is_each:
            return ""
        if not self.counts.total:
            return gettext("no items yet")
        parts = [f"{self.counts.done}/{self.counts.total}"]
        waiting, failed = self.counts.waiting, self.counts.by_status[StepStatus.FAILED]
        if waiting:
            parts.append(ngettext("%(number)s waits", "%(number)s wait", waiting) % {"number": waiting})
        if failed:
            parts.append(gettext("%(number)s failed") % {"number": failed})
        return " · ".join(parts)

    @property
    def label(self) -> str:
        """Name, status and numbers."""
        return ", ".join(filter(None, (self.name, self.status_words, self.numbers)))

    @property
    def bar(self) -> int:
        """Width of the part that is done."""
        return round(_BAR * self.counts.done / self.counts.total) if self.counts.total else 0

    @property
    def by_status(self) -> list[tuple[str, str, int]]:
        """The statuses of its items, their names, and their numbers."""
        return [(each.value, status_words(each), n) for each in StepStatus if (n := self.counts.by_status[each])]

    @property
    def violations(self) -> list[str]:
        """What was wrong with its last output."""
        if self.row is None or self.row.status not in {StepStatus.REMEDIATING, StepStatus.FAILED}:
            return []
        return [f"{each['pointer']} {each['detail']}".strip() for each in self.row.violations]

    @property
    def shown_violations(self) -> list[str]:
        """The first ones."""
        return self.violations[:MAX_VIOLATIONS]

    @property
    def more_violations(self) -> int:
        """How many there are beside."""
        return max(len(self.violations) - MAX_VIOLATIONS, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the tab shows."""

    drawing: Drawing
    lines: Sequence[Line]
    waits: Waits

    @property
    def boxes(self) -> list[tuple[Any, Line]]:
        """The boxes of the drawing with their steps."""
        known = {each.id: each for each in self.lines}
        return [(box, known[box.step]) for box in self.drawing.boxes]

    @property
    def names(self) -> dict[str, str]:
        """The names of the steps by id."""
        return {each.id: each.name for each in self.lines}


def work_of(execution: Any, entries: Sequence[Any]) -> Work:
    """Return the work of an execution. Its cost does not depend on the number of items.

    `entries` are those of the reader's inbox about it, the oldest first.
    """
    definition, counts = definition_of(execution), counts_of(execution.id)
    once = {each.id for each in definition.steps if not definition.loops[each.id]}
    steps = {
        row.step_id: row for row in named_steps(execution.id, once | {each.step_id for each in entries[:MAX_SHOWN]})
    }
    return Work(
        drawing=draw(definition),
        lines=_lines(execution, definition, counts=counts, rows={each: steps[each] for each in once if each in steps}),
        waits=waits_of(execution, entries, counts=counts, steps=steps),
    )


def _lines(
    execution: Any, definition: WorkflowDefinition, *, counts: Mapping[int, StepCounts], rows: Mapping[str, Any]
) -> list[Line]:
    ordered = sorted(definition.steps, key=lambda each: (definition.levels[each.id], definition.positions[each.id]))
    deferred = [(row.execution_id, row.step_id) for row in rows.values() if _is_deferred(row)]
    errors = telemetry.newest_errors(deferred) if deferred else {}
    done = {each.id for each in ordered if _is_done(counts.get(definition.positions[each.id], _NONE))}
    return [
        _line(
            execution,
            definition,
            step,
            counts=counts.get(definition.positions[step.id], _NONE),
            row=rows.get(step.id),
            because=errors.get((execution.id, step.id), ""),
            done=done,
        )
        for step in ordered
    ]


def _is_done(counts: StepCounts) -> bool:
    return counts.total > 0 and counts.done == counts.total


def _is_deferred(row: Any) -> bool:
    return row.resume_at is not None and not row.blocked_by_limit and row.status == StepStatus.WAITING


def _line(
    execution: Any,
    definition: WorkflowDefinition,
    step: StepDefinition,
    *,
    counts: StepCounts,
    row: Any | None,
    because: str,
    done: set[str],
) -> Line:
    is_each = bool(definition.loops[step.id])
    needed = [definition.step(each).name for each in definition.dependencies[step.id] if each not in done]
    why, until = _why(row, counts)
    shown: dict[str, Any] = {
        "id": step.id,
        "name": step.name,
        "role": definition.roles[step.role].name,
        "counts": counts,
        "is_each": is_each,
        "href": items_address(execution.id, step.id) if is_each else step_address(execution.id, step.id),
        "makes": step.produces,
        "waits_for": needed if counts.status is StepStatus.PENDING else [],
        "why": why,
        "until": until,
        "because": because,
    }
    if row is None:
        return Line(**shown)
    return Line(
        **shown,
        row=row,
        title=row.title or in_words(step.produces),
        inputs=[_input(pin) for pin in row.input_versions[:MAX_INPUTS]],
        more_inputs=max(len(row.input_versions) - MAX_INPUTS, 0),
    )


def _input(pin: Mapping[str, Any]) -> Input:
    href = f"{reverse('console:document', args=[pin['document_id']])}?v={pin['version']}"
    return Input(href=href, name=in_words(pin["type"]), version=pin["version"])


def _why(row: Any | None, counts: StepCounts) -> tuple[str, datetime | None]:
    """Return why a step that runs once waits, in words, and until when."""
    if row is None or row.status != StepStatus.WAITING:
        return "", None
    if row.blocked_by_limit:
        return gettext("waits for a higher budget: %(limit)s") % {"limit": LIMITS[row.blocked_by_limit]}, None
    if row.asked_at is not None:
        return gettext("waits for answers"), None
    if row.resume_at is not None:
        return gettext("waits for a provider"), row.resume_at
    return (gettext("waits for a decision") if counts.deciding else ""), None
