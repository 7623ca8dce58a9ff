"""From a reply to what is kept of it: the document with its provenance, and the output that is sent back."""

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

MAX_TITLE = 500  # characters; the content keeps the whole title


def new_document(
    content: Mapping[str, JsonValue],
    *,
    execution: Execution,
    definition: StepDefinition,
    call: Call,
    now: datetime,
    review: Mapping[str, JsonValue] | None = None,
    condensed: bool = False,
) -> Document:
    """Return the document of a step, with where it comes from. The journal gives it its version.

    Args:
        content: Valid against the step's schema.
        execution: Of the step.
        definition: Of the step.
        call: With the reply that it came from.
        now: The present moment.
        review: What a reviewer said of it.
        condensed: Whether the model was given less to read than there was.
    """
    step = execution.steps[call.key.step_id]
    told: dict[str, JsonValue] = {} if review is None else {"review": dict(review)}
    if condensed:
        told["condensed"] = True
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
        provenance={**_provenance(execution, step, call), **told},
    )


def _provenance(execution: Execution, step: Step, call: Call) -> dict[str, JsonValue]:
    if call.reply is None:
        raise ValueError("a document comes from a reply")
    return {
        "workflow_id": execution.workflow_id,
        "workflow_version": execution.workflow_version,
        "role": step.role,
        "model": f"{call.reply.provider}:{call.reply.model}",
        "attempt": call.key.attempt,
        "inputs": [pin.model_dump(mode="json") for pin in step.input_versions],
        "answers": _answers(step),
        **({"decisions": [each.model_dump(mode="json") for each in step.decisions]} if step.decisions else {}),
        "rehearsal": call.reply.provider == "rehearsal",
        "request_hash": call.request_hash,
        **({"item": {"keys": list(step.keys), "label": step.label}} if step.keys else {}),
    }


def _answers(step: Step) -> list[JsonValue]:
    return [
        {
            "question_id": question.id,
            "round": asked.number,
            "question": question.text,
            "answer": asked.answers[question.id],
            "answered_by": asked.answered_by,
            "answered_at": None if asked.answered_at is None else format_rfc3339(asked.answered_at),
        }
        for asked in step.rounds
        if asked.answers is not None
        for question in asked.questions
        if question.id in asked.answers
    ]


def output_of(reply: ModelReply | None) -> str:
    """Return what the model handed in, as it is fed back to it."""
    if reply is None:
        return ""
    if reply.tool_calls:
        arguments = reply.tool_calls[0].arguments
        return arguments if isinstance(arguments, str) else pretty(arguments)
    return reply.text


def rejected_output(step: Step, calls: Iterable[Call]) -> RejectedOutput | None:
    """Return the output that the step's present attempt has to mend, as the ledger keeps it."""
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
