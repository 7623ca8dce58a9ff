"""A small workflow, and executions in any state, reached by the transitions of a worker."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access.user import User
from common.errors import FieldError
from executions.engine.domain.calls import Call, CallKey, ModelReply, Usage
from executions.engine.domain.clarification import AnswerType, Choice, QuestionDraft
from executions.engine.domain.execution import Document, Execution, Failure
from executions.engine.domain.states import CallKind, CallStatus, FailureCode
from executions.engine.ports import Transition
from executions.engine.transitions import acceptance, claims, clarification, core
from executions.engine.transitions.core import Decide
from executions.persistence import repositories
from executions.persistence.journal import journal
from executions.services import executions
from workflows import repository as workflows
from workflows.definitions.definition import ANY_REVIEWER, ClarificationPolicy, WaitPolicy, WorkflowDefinition
from workflows.definitions.parser import parse_definition

SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "points": {"type": "array", "items": {"type": "string"}}},
    "required": ["title"],
    "additionalProperties": False,
}
QUESTIONS = (
    QuestionDraft(text="Who decides?", answer_type=AnswerType.FREE_TEXT),
    QuestionDraft(
        text="Which size?",
        answer_type=AnswerType.SINGLE_CHOICE,
        choices=(Choice(value="s", label="Small"), Choice(value="l", label="Large")),
    ),
    QuestionDraft(text="Is there a budget?", answer_type=AnswerType.YES_NO, required=False, default=False),
)
GOOD_ANSWERS = {"research.1.1": "Ms Ode", "research.1.2": "l"}
USAGE = Usage(input_tokens=100, cache_read_input_tokens=40, output_tokens=20, reasoning_tokens=5)


def definition(description: str = "Finds out, then sums up.", *, gated: bool = False) -> WorkflowDefinition:
    """Return the workflow: research (may ask; `gated`, waits to be accepted), then a summary of it."""
    return parse_definition(
        {
            "id": "report",
            "name": "Report",
            "description": description,
            "roles": {"analyst": {"name": "Analyst", "instructions": "You find things out."}},
            "steps": [
                {
                    "id": "research",
                    "name": "Research",
                    "role": "analyst",
                    "task": "Find out.",
                    "produces": "findings",
                    "output_schema": SCHEMA,
                    "clarification": {"max_rounds": 2},
                    "acceptance": {"instructions": "Is it true?"} if gated else None,
                },
                {
                    "id": "summary",
                    "name": "Summary",
                    "role": "analyst",
                    "task": "Sum up.",
                    "inputs": ["findings"],
                    "produces": "summary",
                    "output_schema": SCHEMA,
                },
            ],
        }
    )


def publish(description: str = "Finds out, then sums up.", *, gated: bool = False) -> int:
    """Publish the workflow and return its version."""
    return workflows.publish(definition(description, gated=gated), now=timezone.now())[0]


def start(user: User, key: str = "alpha", **options: Any) -> Execution:
    """Start the workflow in a project of the user's."""
    given = {"workflow_id": "report", "scope_type": "project", "input": "A tool library for the city.", **options}
    return executions.start_execution(user=user, scope_id=key, now=timezone.now(), **given)


def move(execution: Execution, decide: Decide, **parts: Any) -> Execution:
    """Make one move as the runner that claimed the execution last."""
    transition = Transition(execution_id=execution.id, fencing_token=execution.fencing_token, decide=decide, **parts)
    return journal.apply(transition, now=timezone.now())


def claim(execution: Execution) -> Execution:
    """Let a runner take it."""
    return journal.apply(Transition(execution_id=execution.id, fencing_token=None, decide=_claim), now=timezone.now())


def _claim(execution: Execution, context: core.Context) -> core.Change:
    return claims.claim(execution, worker="tests", max_recoveries=5, context=context)


def begin(execution: Execution, step_id: str = "research", *, attempt: int = 1) -> tuple[Execution, Call]:
    """Begin a step; returns also its call, which is under way."""
    call = Call(
        key=CallKey(execution_id=execution.id, step_id=step_id, attempt=attempt, kind=CallKind.GENERATE),
        model="scripted:writer",
        request_hash="0" * 64,
        status=CallStatus.PENDING,
        started_at=timezone.now(),
    )
    begun = move(
        execution,
        lambda now, context: core.start_step(now, step_id, model="scripted:writer", input_versions=(), context=context),
        calls=(call,),
    )
    return begun, call


def answered(call: Call, cost: str | None = "0.0012") -> Call:
    """Return the call with its reply."""
    reply = ModelReply(
        provider="scripted",
        model="writer-1",
        usage=USAGE,
        cost_usd=None if cost is None else Decimal(cost),
        latency_ms=250,
    )
    return replace(call, status=CallStatus.COMMITTED, reply=reply, finished_at=timezone.now())


def ask(
    execution: Execution,
    questions: tuple[QuestionDraft, ...] = QUESTIONS,
    *,
    policy: ClarificationPolicy | None = None,
    waiting: WaitPolicy = ANY_REVIEWER,
    again: bool = False,
) -> Execution:
    """Bring a new execution to where it waits for answers, or one that was answered to where it asks `again`."""
    execution, call = begin(claim(execution), attempt=2 if again else 1)
    return move(
        execution,
        lambda now, context: clarification.ask(
            now, "research", questions=questions, policy=policy, waiting=waiting, context=context
        ),
        calls=(answered(call),),
    )


def finish_step(execution: Execution, step_id: str, *, cost: str | None = "0.0012") -> Execution:
    """Run one step to its document."""
    execution, call = begin(execution, step_id)
    return move(
        execution,
        lambda now, context: core.complete_step(now, step_id, context=context),
        calls=(answered(call, cost),),
        document=paper(execution, step_id),
    )


def hand_in(execution: Execution, waiting: WaitPolicy = ANY_REVIEWER) -> Execution:
    """Bring a new execution to where its document waits for a decision."""
    execution, call = begin(claim(execution))
    return move(
        execution,
        lambda now, context: acceptance.request_acceptance(now, "research", waiting=waiting, context=context),
        calls=(answered(call),),
        document=paper(execution, "research"),
    )


def paper(execution: Execution, step_id: str) -> Document:
    """Return what a step makes."""
    kind = {"research": "findings", "summary": "summary"}[step_id]
    return Document(
        id=uuid7(),
        scope_id=execution.scope.id,
        type=kind,
        version=1,
        title=f"The {kind}",
        content={"title": f"The {kind}"},
        schema=SCHEMA,
        execution_id=execution.id,
        step_id=step_id,
        created_at=timezone.now(),
        provenance={
            "workflow_id": execution.workflow_id,
            "workflow_version": execution.workflow_version,
            "rehearsal": False,
        },
    )


def finish(execution: Execution, *, cost: str | None = "0.0012") -> Execution:
    """Run a new execution to its end."""
    return finish_step(finish_step(claim(execution), "research", cost=cost), "summary", cost=cost)


def repair(execution: Execution) -> Execution:
    """Have a new execution's first output refused, and the model asked again."""
    execution, call = begin(claim(execution))
    violation = FieldError(pointer="/title", code="type", detail="Expected a string.")
    again = replace(call, key=replace(call.key, attempt=2, kind=CallKind.REMEDIATE))
    return move(
        execution,
        lambda now, context: core.remediate(now, "research", violations=(violation,), context=context),
        calls=(answered(call), again),
    )


def fail(execution: Execution) -> Execution:
    """Run a new execution into a refusal of the model."""
    execution, call = begin(claim(execution))
    failure = Failure(code=FailureCode.MODEL_REFUSED, message="The model refused.")
    return move(
        execution,
        lambda now, context: core.fail_step(now, "research", failure, context=context),
        calls=(answered(call),),
    )


def cancel(user: User, execution_id: UUID) -> Execution:
    """Cancel it."""
    return executions.cancel_execution(user=user, execution_id=execution_id, now=timezone.now())


def read(execution: Execution) -> Execution:
    """Return the execution as it is stored now."""
    return repositories.get(execution.id)


def begun_again(execution: Execution) -> Call:
    """Return the answered call of the attempt that a request for changes has begun."""
    attempt = read(execution).steps["research"].attempt
    call = Call(
        key=CallKey(execution_id=execution.id, step_id="research", attempt=attempt, kind=CallKind.REMEDIATE),
        model="scripted:writer",
        request_hash="0" * 64,
        status=CallStatus.PENDING,
        started_at=timezone.now(),
    )
    return answered(call)
