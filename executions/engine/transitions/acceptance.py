"""Documents that wait for a person: handing them in, and what a decision does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from common.field_error import FieldError
from executions.engine.domain.acceptance import CHANGES_REQUESTED, AcceptanceAction, AcceptanceDecision
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import (
    IllegalTransition,
    NotFound,
    NotWaiting,
    VersionConflict,
    unknown_step_message,
)
from executions.engine.domain.events import AcceptanceDecided, AcceptanceNeeded
from executions.engine.domain.execution import Document, Execution, Failure, Pin, Step, step_transition
from executions.engine.domain.states import FailureCode, StepStatus, WaitingOn
from executions.engine.transitions import core
from executions.engine.transitions.core import Change, Context
from executions.engine.transitions.for_each import Collections
from workflows.definitions.definition import WorkflowDefinition


def request_acceptance(execution: Execution, step_id: str, *, context: Context) -> Change:
    """Put the new document of `context` to a person. Until it is accepted nothing that depends on it starts.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    document = context.document
    if document is None:
        raise ValueError("a decision needs a document")
    execution = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    step = replace(execution.steps[step_id], document_id=document.id, document_version=document.version, violations=())
    change = Change(execution=execution.with_step(step), events=(acceptance_event(step, title=document.title),))
    return core.derive_status(change, context)


def acceptance_event(step: Step, *, title: str) -> AcceptanceNeeded:
    """Return the event that tells of the document that a step has handed in."""
    if step.document_id is None or step.document_version is None:
        raise ValueError("a decision needs a document")
    return AcceptanceNeeded(
        step_id=step.step_id,
        document_id=step.document_id,
        document_version=step.document_version,
        document_type=step.produces,
        title=title,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceContext:
    """What a decision is about: the document, and the workflow that says what follows from it."""

    document: Document
    definition: WorkflowDefinition


def waiting_document(execution: Execution, step_id: str, *, version: int) -> Pin:
    """Return the document of a step, if this version of it waits for a decision.

    Raises:
        NotFound: there is no such step.
        NotWaiting: it waits for no decision (any more).
        VersionConflict: another version waits.
    """
    step = execution.steps.get(step_id)
    if step is None:
        raise NotFound(unknown_step_message(step_id, execution.steps))
    if execution.ended or step.waits_for is not WaitingOn.ACCEPTANCE or step.document_id is None:
        raise NotWaiting(f"Step {step_id} does not wait for a decision.", status=step.status)
    if step.document_version != version:
        raise VersionConflict("The document", expected=version)
    return Pin(type=step.produces, document_id=step.document_id, version=version)


def decide(
    execution: Execution, step_id: str, decision: AcceptanceDecision, *, target: AcceptanceContext, context: Context
) -> Change:
    """Do what a person decided about a step's document: the step is completed, has failed, or is worked over.

    Raises:
        NotFound: there is no such step.
        NotWaiting: it waits for no decision (any more).
        VersionConflict: another version of the document waits.
    """
    waiting_document(execution, step_id, version=decision.document_version)
    step = execution.steps[step_id]
    execution = execution.with_step(replace(step, decisions=(*step.decisions, decision)))
    told = decision.model_dump(exclude={"decided_at"})
    decided = core.resume(Change(execution=execution, events=(AcceptanceDecided(step_id=step_id, **told),)), context)
    execution = decided.execution
    match decision.decision:
        case AcceptanceAction.ACCEPT:
            change = _accept(execution, step_id, target=target, context=context)
        case AcceptanceAction.REJECT:
            said = f": {decision.comment}" if decision.comment else "."
            message = f"{decision.decided_by} rejected version {decision.document_version} of the document{said}"
            failure = Failure(code=FailureCode.REJECTED, message=message)
            change = core.fail_step(execution, step_id, failure, context=context)
        case AcceptanceAction.REQUEST_CHANGES if execution.is_failing:
            # Another step has failed, and the execution with it as soon as the others are done: nothing new starts.
            raise IllegalTransition(f"Step {step_id}", current=step.status, wanted=StepStatus.REMEDIATING)
        case AcceptanceAction.REQUEST_CHANGES:
            change = _work_over(execution, step_id, comment=decision.comment, context=context)
    return replace(change, events=(*decided.events, *change.events))


def _accept(execution: Execution, step_id: str, *, target: AcceptanceContext, context: Context) -> Change:
    collections = Collections(target.definition, step_id)
    content: Mapping[str, JsonValue] = target.document.content
    grown = collections.expand(execution, content, now=context.now)
    change = core.complete_step(grown.execution, step_id, context=context, document=target.document)
    return replace(change, events=(*grown.events, *change.events))


def _work_over(execution: Execution, step_id: str, *, comment: str, context: Context) -> Change:
    """Begin the next attempt with what the person has said. It is no invalid output."""
    violations = (FieldError(pointer="", code=CHANGES_REQUESTED, detail=comment),)
    change = core.remediate(execution, step_id, violations=violations, context=context)
    step = replace(change.execution.steps[step_id], invalid_outputs=0)
    return replace(change, execution=change.execution.with_step(step))
