"""One step of an execution: why it waits, what it reads, its attempts, and what people have said to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from access.permissions import Action
from common.errors import NotFound
from console.execution_pages.calls.lists import CallRow, call_rows
from console.execution_pages.calls.words import KINDS, LIMITS
from console.execution_pages.words import DECIDED, items_address, status_words
from console.provenance import Input
from console.templatetags.console import usd
from documents import selectors as documents
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.clarification import ClarificationRound, Question
from executions.engine.domain.execution import Pin, keys_of, slug_of
from executions.engine.domain.states import CallKind, CallStatus, InboxKind, Limit, StepStatus
from executions.selectors import calls, executions
from executions.selectors.executions import StepDetails
from executions.selectors.workflows import definition_of
from telemetry.selectors import Totals, add_totals, total_of_call


@dataclass(frozen=True, slots=True)
class Why:
    """Why a step does not go on, and where the reader can change that."""

    text: str
    href: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """A round of questions with the answers."""

    asked: ClarificationRound

    @property
    def pairs(self) -> list[tuple[Question, str]]:
        """The questions, each with its answer as people read it; empty without one."""
        given = self.asked.answers or {}
        return [(each, _answer(each, given.get(each.id))) for each in self.asked.questions]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about a version of the step's document."""

    decision: AcceptanceDecision

    @property
    def did(self) -> str:
        """What was decided, in words."""
        return str(DECIDED[self.decision.decision])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: its calls, oldest first."""

    number: int
    calls: Sequence[CallRow]

    @property
    def reason(self) -> str:
        """What the attempt was for, in words."""
        kinds = [CallKind(each.row.kind) for each in self.calls]
        return str(KINDS[next((each for each in kinds if each is not CallKind.REVIEW), CallKind.REVIEW)])

    @property
    def totals(self) -> Totals:
        """The sum over its calls."""
        return add_totals(total_of_call(each.row) for each in self.calls)

    @property
    def was_used(self) -> bool:
        """Whether it has a reply that was used, beside reviews."""
        return any(each.row.status == CallStatus.COMMITTED and each.row.kind != CallKind.REVIEW for each in self.calls)

    @property
    def has_findings(self) -> bool:
        """Whether its reply was sent back."""
        return any(each.violations or each.row.error for each in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step with all that its page shows of it."""

    details: StepDetails
    execution: Any
    role: Any  # of the executed version of the workflow
    definition: Any
    inputs: Sequence[Input]
    attempts: Sequence[Attempt]

    @classmethod
    def read(cls, request: HttpRequest, execution: Any, step_id: str) -> StepView:
        """Read it; `execution` is one that the user may see.

        Raises:
            NotFound: the execution has no such step.
        """
        rows = executions.steps(user=request.user, execution_id=execution.id).filter(step_id=step_id)
        found = executions.step_details(rows, user=request.user)
        if not found:
            raise NotFound
        workflow = definition_of(execution)
        definition = workflow.step(slug_of(step_id))
        return cls(
            details=found[0],
            execution=execution,
            definition=definition,
            role=workflow.roles[definition.role],
            inputs=_inputs(found[0].step.input_versions),
            attempts=_attempts(execution, step_id),
        )

    @property
    def row(self) -> Any:
        """The row of the database."""
        return self.details.step

    @property
    def status(self) -> str:
        """The status in words."""
        return status_words(self.row.status)

    @property
    def item(self) -> str:
        """The keys and the label of its item; empty for a step that runs once."""
        return " · ".join(filter(None, (" / ".join(keys_of(self.row.step_id)), self.row.label)))

    @property
    def items_address(self) -> str:
        """The address of the page of all items; empty for a step that runs once."""
        is_item = bool(keys_of(self.row.step_id))
        return items_address(self.execution.id, slug_of(self.row.step_id)) if is_item else ""

    @property
    def seconds(self) -> float | None:
        """How long it took from its start to its end; None while it has not ended."""
        begun, ended = self.row.started_at, self.row.finished_at
        return None if begun is None or ended is None else float((ended - begun).total_seconds())

    @property
    def totals(self) -> Totals:
        """The sum over all its calls."""
        return add_totals(each.totals for each in self.attempts)

    @property
    def comparable(self) -> list[Attempt]:
        """The attempts with a reply that was used."""
        return [each for each in self.attempts if each.was_used]

    @property
    def before_last(self) -> int:
        """The comparable attempt before the last one; 0 without one."""
        return self.comparable[-2].number if len(self.comparable) > 1 else 0

    @property
    def rounds(self) -> list[Round]:
        """Its questions, oldest first."""
        newest = [] if self.details.round is None else [self.details.round]
        return [Round(each) for each in (*self.details.earlier_rounds, *newest)]

    @property
    def decisions(self) -> list[Decided]:
        """The decisions about its document, oldest first."""
        return [Decided(each) for each in self.details.decisions]

    @property
    def why(self) -> Why | None:
        """Why it does not go on; None if it does, or has ended."""
        details, row = self.details, self.row
        if row.blocked_by_limit:
            return self._why_blocked()
        if details.deferred_until is not None:
            told = gettext("waits for a provider: %(error)s") % {"error": details.deferred_because or ""}
            return Why(told.rstrip(" :"), until=details.deferred_until)
        if row.asked_at is not None and row.status == StepStatus.WAITING:
            may = Action.ANSWER in details.may
            told = gettext("waits for your answers") if may else gettext("waits for answers")
            return Why(told, self._inbox(InboxKind.QUESTION) if may else "", details.deadline)
        if details.needs_decision:
            may = Action.DECIDE in details.may
            told = gettext("waits for your decision") if may else gettext("waits for a decision")
            due = None if details.wait is None else details.wait.due_at
            return Why(told, self._inbox(InboxKind.ACCEPTANCE) if may else "", due)
        if row.status == StepStatus.SKIPPED:
            return Why(gettext("a step that it depends on has failed"))
        return self._why_pending() if row.status == StepStatus.PENDING else None

    def _why_blocked(self) -> Why:
        told = {"limit": str(LIMITS[Limit(self.row.blocked_by_limit)])}
        text = gettext("waits for a higher budget (%(limit)s)") % told
        if self.row.required_usd is not None:
            text += "; " + gettext("its next call needs at most %(most)s") % {"most": usd(self.row.required_usd)}
        return Why(text, reverse("console:execution-calls", args=[self.execution.id]) + "#budget-title")

    def _why_pending(self) -> Why:
        before = list(dict.fromkeys(slug_of(each) for each in self.row.depends_on))
        if self.row.attempt or not before:
            return Why(gettext("waits for a worker"))
        return Why(gettext("starts after %(steps)s") % {"steps": ", ".join(before)})

    def _inbox(self, kind: InboxKind) -> str:
        return reverse("console:inbox-thing", args=[self.execution.id, kind.value, self.row.step_id])


def _attempts(execution: Any, step_id: str) -> list[Attempt]:
    rows = call_rows(execution, list(calls.of_execution(execution).filter(step_id=step_id)))
    by_number: dict[int, list[CallRow]] = {}
    for each in rows:
        by_number.setdefault(each.row.attempt, []).append(each)
    return [Attempt(number=number, calls=by_number[number]) for number in sorted(by_number)]


def _inputs(pins: Sequence[Mapping[str, Any]]) -> list[Input]:
    read = [Pin.model_validate(each) for each in pins]
    found = documents.headings((each.document_id, each.version) for each in read) if read else {}
    return [
        Input(each.document_id, each.version, each.type, heading.title if heading else "")
        for each in read
        for heading in [found.get((each.document_id, each.version))]
    ]


def _answer(question: Question, answer: Any) -> str:
    """Return an answer as people read it."""
    if answer is None:
        return ""
    if isinstance(answer, bool):
        return gettext("Yes") if answer else gettext("No")
    labels = {each.value: each.label for each in question.choices}
    given = answer if isinstance(answer, list) else [answer]
    return ", ".join(labels.get(str(each), str(each)) for each in given)
