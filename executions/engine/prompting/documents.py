"""From a reply to a document with provenance, and to the output that is returned to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import JsonValue
from uuid_utils.compat import uuid7

from common.time import format_rfc3339
from executions.engine.domain.calls import Call, ModelReply
from executions.engine.domain.execution import Document, Execution, Step
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.prompting.json_text import pretty
from executions.engine.prompting.prompts import RejectedOutput
from workflows.definitions.definition import StepDefinition

MAX_TITLE = 500  # characters of the title column; the content has the whole title


def new_document(
    content: Mapping[str, JsonValue],
    *,
    execution: Execution,
    definition: StepDefinition,
    origin: Mapping[str, JsonValue],
    call: Call,
    now: datetime,
    review: Mapping[str, JsonValue] | None = None,
    condensed: bool = False,
) -> Document:
    """Return a step's document with its provenance. The journal assigns the version.

    Args:
        content: Document content that is valid against the step's schema.
        execution: The execution of the step.
        definition: The definition of the step.
        origin: What, beside its inputs and answers, it is made from. People's edits keep it.
        call: The call with the reply that contained the document.
        now: The current time.
        review: The review's part of the provenance, if there was a review.
        condensed: Whether the model was given shortened materials.
    """
    step = execution.steps[call.key.step_id]
    extra: dict[str, JsonValue] = {} if review is None else {"review": dict(review)}
    if condensed:
        extra["condensed"] = True
    return Document(
        id=uuid7(),
        scope_id=step.scope.id,
        type=definition.produces,
        version=0,
        title=str(content["title"])[:MAX_TITLE],
        content=content,
        schema=definition.output_schema,
        execution_id=execution.id,
        step_id=step.step_id,
        created_at=now,
        provenance={**_provenance(execution, step, call), "origin": dict(origin), **extra},
    )


def _provenance(execution: Execution, step: Step, call: Call) -> dict[str, JsonValue]:
    if call.reply is None:
        raise ValueError("a document needs a call with a reply")
    return {
        "workflow_id": execution.workflow_id,
        "workflow_version": execution.workflow_version,
        "role": step.role,
        "model": f"{call.reply.provider}:{call.reply.model}",
        "attempt": call.key.attempt,
        "inputs": [pin.model_dump(mode="json") for pin in step.input_versions],
        "answers": _answers(step),
        **({"decisions": [decision.model_dump(mode="json") for decision in step.decisions]} if step.decisions else {}),
        "rehearsal": call.reply.provider == "rehearsal",
        **({"prepared": True} if call.reply.provider == "prepared" else {}),
        "request_hash": call.request_hash,
        **({"item": {"keys": list(step.keys), "label": step.label}} if step.keys else {}),
    }


def _answers(step: Step) -> list[JsonValue]:
    return [
        {
            "question_id": question.id,
            "round": round_.number,
            "question": question.text,
            "answer": round_.answers[question.id],
            "answered_by": round_.answered_by,
            "answered_at": None if round_.answered_at is None else format_rfc3339(round_.answered_at),
        }
        for round_ in step.rounds
        if round_.answers is not None
        for question in round_.questions
        if question.id in round_.answers
    ]


def output_of(reply: ModelReply | None) -> str:
    """Return the model's output as text, as it is returned to the model."""
    if reply is None:
        return ""
    if reply.tool_calls:
        arguments = reply.tool_calls[0].arguments
        return arguments if isinstance(arguments, str) else pretty(arguments)
    return reply.text


def rejected_output(step: Step, calls: Iterable[Call]) -> RejectedOutput | None:
    """Return the output that the step's current attempt has to correct, from the ledger."""
    if not step.violations:
        return None
    earlier = [
        call.reply
        for call in calls
        if call.key.attempt == step.attempt - 1
        and call.key.kind is not CallKind.REVIEW
        and call.status is CallStatus.COMMITTED
        and call.reply is not None
    ]
    return RejectedOutput(output=output_of(earlier[-1] if earlier else None), violations=step.violations)
