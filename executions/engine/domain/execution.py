"""The engine's aggregate: an execution with its steps, under one version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, JsonValue

from common.errors import FieldError
from executions.engine.domain.acceptance import CHANGED_ELSEWHERE, AcceptanceAction, AcceptanceDecision
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.copying import replace
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.errors import IllegalTransition
from executions.engine.domain.states import (
    DECIDED,
    ENDED,
    EXECUTION_TRANSITIONS,
    KEEP_WAIT,
    STEP_TRANSITIONS,
    ExecutionStatus,
    FailureCode,
    Limit,
    Reuse,
    StepStatus,
    WaitingOn,
)
from executions.engine.domain.waits import Wait
from workflows.definitions.budget import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an execution or a step failed: a stable code and a text for people."""

    code: FailureCode
    message: str


class Pin(BaseModel):
    """The document version that a step reads as an input."""

    model_config = ConfigDict(frozen=True)

    type: str
    document_id: UUID
    version: int


@dataclass(frozen=True, kw_only=True)  # without slots: copies are made often
class Step:
    """One step of an execution."""

    step_id: str  # the slug, or slug@key1.key2 for one item of a collection
    scope: ScopeRef  # scope of its document: the execution's scope, or the item's
    position: int  # index in the definition, from 0
    level: int  # depth in the step graph, from 0
    name: str
    role: str  # name of the role, for display
    produces: str
    depends_on: tuple[str, ...] = ()
    label: str = ""  # label of the step's item, for display
    item_order: int = 0  # index of the step's item, for ordering; 0 for a step that runs once
    optional: bool = False  # a failure of the step does not fail the execution
    status: StepStatus = StepStatus.PENDING
    version: int = 1
    attempt: int = 0  # number of the newest attempt; 0 before the first
    invalid_outputs: int = 0  # since the start or the newest answers
    input_versions: tuple[Pin, ...] = ()
    rounds: tuple[ClarificationRound, ...] = ()
    decisions: tuple[AcceptanceDecision, ...] = ()  # about versions of its document, oldest first
    wait: Wait | None = None  # for people; None: it does not wait, or its wait began before waits were recorded
    violations: tuple[FieldError, ...] = ()  # of the newest output, if it was invalid
    base_version: int | None = None  # its document had when it first started; 0: no document; None: not started
    document_id: UUID | None = None
    document_version: int | None = None
    failure: Failure | None = None
    resume_at: datetime | None = None  # when the deferred attempt continues; kept until it has continued
    blocked_by_limit: Limit | None = None  # limit that its next call might exceed; else None
    required_usd: Decimal | None = None  # maximum cost of that call; None: its price is unknown
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def slug(self) -> str:
        """The id of the step's definition."""
        return slug_of(self.step_id)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its item and the enclosing items, outermost first; () for a step that runs once."""
        return keys_of(self.step_id)

    @property
    def is_fatal(self) -> bool:
        """Whether this step's failure fails the execution."""
        return self.status is StepStatus.FAILED and not self.optional

    @property
    def waits_for(self) -> WaitingOn | None:
        """What a waiting step waits for; None if it does not wait."""
        if self.status is not StepStatus.WAITING:
            return None
        if self.blocked_by_limit is not None:
            return WaitingOn.BUDGET
        if self.resume_at is not None:
            return WaitingOn.RATE_LIMIT
        return WaitingOn.ACCEPTANCE if self.open_round is None else WaitingOn.CLARIFICATION

    @property
    def was_answered(self) -> bool:
        """Whether a round of its questions is closed, by answers or by the deadline."""
        return any(asked.answered_at is not None for asked in self.rounds)

    @property
    def revision(self) -> AcceptanceDecision | None:
        """The request for changes that the step's next version follows; None: it revises no version."""
        last = self.decisions[-1] if self.decisions else None
        if last is None or last.decision is not AcceptanceAction.REQUEST_CHANGES:
            return None
        return last if last.document_version == self.document_version else None

    @property
    def violations_at_start(self) -> tuple[FieldError, ...]:
        """What the step's next start has to mend: the requested changes, and what a failed revision changed elsewhere.

        Empty if the step revises no version.
        """
        if self.revision is None:
            return ()
        return (*self.revision.violations, *(each for each in self.violations if each.code == CHANGED_ELSEWHERE))

    @property
    def open_round(self) -> ClarificationRound | None:
        """The round of questions that is open, if any."""
        last = self.rounds[-1] if self.rounds else None
        return last if last is not None and last.answered_at is None else None


def is_proposal(step: Step, *, by_person: int) -> bool:
    """Return whether a new document of the step may only be proposed: a person has moved the head meanwhile.

    A model that revises a version was shown it, and what people had made of the document before.

    Args:
        step: The step that has produced the document.
        by_person: The newest version that a person made the head; 0: none.
    """
    shown = step.base_version or 0
    if step.revision is not None and not step.revision.about_proposal:
        shown = max(shown, step.revision.document_version)
    return by_person > shown


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What became of the document of a step."""

    status: StepStatus
    document_version: int | None
    decisions: tuple[AcceptanceDecision, ...] = ()


def is_accepted(maker: StepOutcome | None, versions: range) -> bool | None:
    """Return whether the head of a document is accepted, if that is known.

    A person's version is accepted, unless it took the place of one that waited for a decision: then it waits itself.
    Staleness asks for False, and reuse for True.

    Args:
        maker: The step that made the head, or what people have edited since; None: its execution is gone.
        versions: The version that the step made, and all later ones up to the head.

    Returns:
        False: it waits for a decision, or the step has ended without it. None: the step is run again, or gone.
    """
    if maker is None:
        return None
    if any(each.accepted in versions for each in maker.decisions):
        return True
    if maker.document_version not in versions:
        return None
    return maker.status is StepStatus.COMPLETED or maker.document_version != versions[-1]


def slug_of(step_id: str) -> str:
    """Return the id of the step's definition."""
    return step_id.partition("@")[0]


def keys_of(step_id: str) -> tuple[str, ...]:
    """Return the item keys in a step's id, outermost first."""
    joined = step_id.partition("@")[2]
    return tuple(joined.split(".")) if joined else ()


#: The input of an execution: a text or an object.
Brief = str | Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRef:
    """The scope of an execution and its documents."""

    id: UUID
    type: str
    key: str


def child_scope(parent: ScopeRef, scope_type: str, key: str) -> ScopeRef:
    """Return the child scope for a key: its id is derived from the parent and the key."""
    return ScopeRef(id=uuid5(parent.id, f"{scope_type}/{key}"), type=scope_type, key=key)


@dataclass(frozen=True, kw_only=True)  # without slots: copies are made often
class Execution:
    """One run of one workflow version in one scope."""

    id: UUID
    workflow_id: str
    workflow_version: int
    scope: ScopeRef
    input: Brief | None  # None: started without a brief
    steps: Mapping[str, Step]
    created_at: datetime
    updated_at: datetime
    status: ExecutionStatus = ExecutionStatus.PENDING
    version: int = 1
    claimed_by: str | None = None  # name of the worker that runs it now
    fencing_token: int = 0  # rises with every claim; checked by every write of a worker
    recoveries: int = 0  # claims after a lost worker, since a step last made progress
    last_sequence: int = 0  # sequence number of its newest event
    waiting_on: tuple[WaitingOn, ...] = ()
    failure: Failure | None = None
    requested_by: int | None = None  # user id; None for the system
    requested_by_name: str = ""
    tags: tuple[str, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    resume_at: datetime | None = None  # earliest `resume_at` of its deferred steps
    deadline_at: datetime | None = None  # earliest deadline of open questions, or time to tell of a due date
    budget: Budget | None = None
    script: DryRunScript | None = None  # script of a dry run; None: not a dry run
    warned_limits: tuple[Limit, ...] = ()  # limits for which a warning event was written
    ran_seconds: float = 0.0  # run time before `running_since`
    running_since: datetime | None = None  # None while it is not running
    reuse: Reuse = Reuse.NONE  # which documents of the scope it completes its steps with
    erased_at: datetime | None = None  # when its contents were erased; None: they were not

    @property
    def ended(self) -> bool:
        """Whether its status is final."""
        return self.status in ENDED

    @property
    def is_failing(self) -> bool:
        """Whether a fatal step has failed: the execution fails as soon as the other steps have ended."""
        failed = StepStatus.FAILED
        return any(not step.optional for step in self.steps.values() if step.status is failed)

    @property
    def done_steps(self) -> int:
        """Number of steps whose document is stored."""
        return sum(step.status is StepStatus.COMPLETED for step in self.steps.values())

    def with_step(self, step: Step) -> Execution:
        """Return the execution with this step replacing the one with the same id."""
        return self.with_steps((step,))

    def with_progress(self, step: Step, *, now: datetime) -> Execution:
        """Return the execution with this step, which made progress, replacing the one with the same id."""
        return replace(self, steps={**self.steps, step.step_id: step}, updated_at=now, recoveries=0)

    def with_steps(self, steps: Iterable[Step]) -> Execution:
        """Return the execution with these steps added, or replacing those with the same ids."""
        return replace(self, steps={**self.steps, **{step.step_id: step for step in steps}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of a document, with the document's identity. Versions count 1, 2, 3 … per (scope, type)."""

    id: UUID
    scope_id: UUID
    type: str
    version: int
    title: str
    content: Mapping[str, JsonValue]
    schema: Mapping[str, JsonValue]
    execution_id: UUID | None
    step_id: str | None
    created_at: datetime
    provenance: Mapping[str, JsonValue] = field(default_factory=dict)
    base_version: int | None = None  # version of the head on which it was stored; None: the first version
    proposed: bool = False  # stored beside a head that a person has edited; a decision makes it the head, or not
    author_id: int | None = None  # user id of the person who made it
    author_name: str = ""  # user name of the person; empty: a model made it
    note: str = ""  # the person's reason


def transition(execution: Execution, to: ExecutionStatus, *, now: datetime) -> Execution:
    """Return the execution in another status.

    Raises:
        IllegalTransition: the table does not allow the move.
    """
    if to not in EXECUTION_TRANSITIONS[execution.status]:
        raise IllegalTransition("The execution", current=execution.status, wanted=to)
    runs, since = to is ExecutionStatus.RUNNING, execution.running_since
    started = now if runs and execution.started_at is None else execution.started_at
    return replace(
        execution,
        ran_seconds=execution.ran_seconds + (0.0 if since is None else max(0.0, (now - since).total_seconds())),
        running_since=now if runs else None,
        status=to,
        updated_at=now,
        started_at=started,
        finished_at=now if to in ENDED else None,
        claimed_by=execution.claimed_by if runs else None,
        waiting_on=execution.waiting_on if to is ExecutionStatus.WAITING else (),
    )


def with_timers(execution: Execution) -> Execution:
    """Return the execution with the times at which a timer has to act on it."""
    waiting = [step for step in execution.steps.values() if step.status is StepStatus.WAITING]
    deferred = (step for step in waiting if step.waits_for is WaitingOn.RATE_LIMIT)
    resume = (step.resume_at for step in deferred if step.resume_at is not None)
    rounds = (step.open_round for step in waiting)
    expire = (asked.due_at for asked in rounds if asked is not None and asked.due_at is not None)
    by_people = (step.wait for step in waiting if step.waits_for in {WaitingOn.CLARIFICATION, WaitingOn.ACCEPTANCE})
    tell = (wait.next_at for wait in by_people if wait is not None and wait.next_at is not None)
    return replace(execution, resume_at=min(resume, default=None), deadline_at=min((*expire, *tell), default=None))


def step_transition(execution: Execution, step_id: str, to: StepStatus, *, now: datetime) -> Execution:
    """Return the execution with one step in another status.

    Raises:
        IllegalTransition: the table does not allow the move, or the execution has ended.
    """
    return execution.with_progress(move_step(execution, execution.steps[step_id], to, now=now), now=now)


def move_step(execution: Execution, step: Step, to: StepStatus, *, now: datetime) -> Step:
    """Return the step of the execution in another status.

    Raises:
        IllegalTransition: the table does not allow the move, or the execution has ended.
    """
    too_early = step.status is StepStatus.WAITING and to in DECIDED and not _is_up_to(step, to, now)
    if execution.ended or too_early or to not in STEP_TRANSITIONS[step.status]:
        raise IllegalTransition(f"Step {step.step_id}", current=step.status, wanted=to)
    over = to in {StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED}
    started = now if to is StepStatus.RUNNING and step.started_at is None else step.started_at
    return replace(
        step,
        status=to,
        version=step.version + 1,
        started_at=started,
        finished_at=now if over else None,
        resume_at=step.resume_at if to is StepStatus.PENDING else None,
        blocked_by_limit=None,
        required_usd=None,
        wait=step.wait if to in KEEP_WAIT else None,
    )


def _is_up_to(step: Step, to: StepStatus, now: datetime) -> bool:
    """Return whether a decision on the step's document, or expired questions, may cause this move."""
    if step.waits_for is WaitingOn.CLARIFICATION and step.open_round is not None:
        return to is StepStatus.FAILED and step.open_round.is_overdue(now)
    return step.waits_for is WaitingOn.ACCEPTANCE
