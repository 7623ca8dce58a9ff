"""Acceptance of documents by people: requests for a decision, and the effects of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from common.errors import NotFound, VersionConflict
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import IllegalTransition, NotWaiting, unknown_step_message
from executions.engine.domain.events import AcceptanceDecided, AcceptanceNeeded, DocumentEdited, Event
from executions.engine.domain.execution import Document, Execution, Failure, Pin, Step, step_transition, with_timers
from executions.engine.domain.states import FailureCode, StepStatus, WaitingOn
from executions.engine.domain.users import UserRef
from executions.engine.domain.waits import new_wait
from executions.engine.transitions import core, waits
from executions.engine.transitions.core import Change, Context
from executions.engine.transitions.for_each import Collections
from workflows.definitions.definition import ANY_REVIEWER, WaitPolicy, WorkflowDefinition


def request_acceptance(
    execution: Execution, step_id: str, *, waiting: WaitPolicy = ANY_REVIEWER, context: Context
) -> Change:
    """Let the new document of `context` wait for a decision. Steps that depend on it start only after acceptance.

    `waiting` says who decides, and until when.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    document = context.document
    if document is None:
        raise ValueError("a decision needs a document")
    execution = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    step = replace(
        execution.steps[step_id],
        document_id=document.id,
        document_version=document.version,
        violations=(),
        wait=new_wait(waiting, now=context.now),
    )
    event = acceptance_event(step, WaitingDocument(title=document.title, proposed=document.proposed))
    change = Change(execution=with_timers(execution.with_step(step)), events=(event,))
    return core.derive_status(change, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingDocument:
    """What an event tells of a document version that waits for a decision."""

    title: str
    proposed: bool


def acceptance_event(step: Step, waiting: WaitingDocument) -> AcceptanceNeeded:
    """Return the event about the document that waits for a decision."""
    if step.document_id is None or step.document_version is None:
        raise ValueError("a decision needs a document")
    return AcceptanceNeeded(
        step_id=step.step_id,
        document_id=step.document_id,
        document_version=step.document_version,
        document_type=step.produces,
        title=waiting.title,
        proposed=waiting.proposed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceContext:
    """What a decision applies to, and the workflow that defines the steps after it."""

    read: Document  # the version that the person has read
    definition: WorkflowDefinition
    #: The version with which the step completes: the one that was read, or one that the decision makes, with the
    #: person's changes or from a proposed version. For a rejected proposal it is the head.
    final: Document
    editors: tuple[UserRef, ...] = ()  # of that head since the last version of a model, oldest first


def waiting_document(execution: Execution, step_id: str, *, version: int) -> Pin:
    """Return the step's document, if this version of it waits for a decision.

    Raises:
        NotFound: there is no such step.
        NotWaiting: the step does not wait for a decision, or no longer does.
        VersionConflict: another version waits.
    """
    step = execution.steps.get(step_id)
    if step is None:
        raise NotFound(unknown_step_message(step_id, execution.steps))
    if execution.ended or step.waits_for is not WaitingOn.ACCEPTANCE or step.document_id is None:
        raise NotWaiting(f"Step {step_id} does not wait for a decision.{_last_decision(step)}", status=step.status)
    if step.document_version != version:
        raise VersionConflict("The document", expected=version)
    return Pin(type=step.produces, document_id=step.document_id, version=version)


def _last_decision(step: Step) -> str:
    if not step.decisions:
        return ""
    last = step.decisions[-1]
    return f" {last.decided_by} has decided about version {last.document_version}: {last.decision}."


def decide(
    execution: Execution, step_id: str, decision: AcceptanceDecision, *, target: AcceptanceContext, context: Context
) -> Change:
    """Apply a person's decision about a step's document: the step completes, fails, or revises the document.

    An acceptance may be one of several votes. Then the step waits for the others. If other users have to look at a
    person's version, too, the rejection of a proposal lets the step wait for a decision about the head.

    Raises:
        NotFound: there is no such step.
        NotWaiting: the step does not wait for a decision, or no longer does.
        VersionConflict: another version of the document waits.
        MayNotVote: other users decide about the document.
    """
    waiting_document(execution, step_id, version=decision.document_version)
    step = execution.steps[step_id]
    waits.check_voter(execution, step, decision)
    if not waits.is_settled_by(step, decision):
        return waits.vote(execution, step_id, decision)
    accepted = target.final.version if decision.accepts else None
    facts = {"about_proposal": target.read.proposed, "accepted_version": accepted}
    decision = decision.model_copy(update=facts)
    step_events = _events_of(step, decision, target.final)
    execution = execution.with_step(replace(step, decisions=(*step.decisions, decision)))
    if step.wait is not None and step.wait.needs_others and _keeps_head(decision):
        asked = _ask_about_head(execution, step_id, target, context=context)
        return replace(asked, events=(*step_events, *asked.events))
    decided = core.resume(Change(execution=execution, events=step_events), context)
    change = _effects(decided.execution, step, decision, target=target, context=context)
    return replace(change, events=(*decided.events, *change.events))


def _keeps_head(decision: AcceptanceDecision) -> bool:
    """Return whether the decision prefers a person's version, the head, to the model's proposal."""
    return decision.decision is AcceptanceAction.REJECT and decision.about_proposal


def _ask_about_head(execution: Execution, step_id: str, target: AcceptanceContext, *, context: Context) -> Change:
    """Let the step wait for a decision about the head: rejecting the proposal is no vote for a person's version."""
    step, head = execution.steps[step_id], target.final
    wait = step.wait and step.wait.written_by(target.editors)
    asking = replace(step, document_version=head.version, version=step.version + 1, wait=wait)
    event = acceptance_event(asking, WaitingDocument(title=head.title, proposed=False))
    return Change(execution=execution.with_progress(asking, now=context.now), events=(event,))


def _effects(
    execution: Execution, step: Step, decision: AcceptanceDecision, *, target: AcceptanceContext, context: Context
) -> Change:
    """Return what a decision that decides does to the step and the execution."""
    step_id = step.step_id
    match decision.decision:
        case AcceptanceAction.ACCEPT:
            return _accept(execution, step_id, target=target, context=context)
        case AcceptanceAction.REJECT if target.read.proposed:
            return _accept(execution, step_id, target=target, context=context)  # the person's version stays
        case AcceptanceAction.REJECT:
            reason = f": {decision.comment}" if decision.comment else "."
            message = f"{decision.decided_by} rejected version {decision.document_version} of the document{reason}"
            failure = Failure(code=FailureCode.REJECTED, message=message)
            return core.fail_step(execution, step_id, failure, context=context)
        case AcceptanceAction.REQUEST_CHANGES if execution.is_failing:
            # A fatal step has failed, so the execution fails as soon as the other steps have ended. No new work starts.
            raise IllegalTransition(f"Step {step_id}", current=step.status, wanted=StepStatus.REMEDIATING)
        case AcceptanceAction.REQUEST_CHANGES:
            return _request_changes(execution, step_id, decision, context=context)


def _events_of(step: Step, decision: AcceptanceDecision, final: Document) -> tuple[Event, ...]:
    """Return the event of a decision, after that of the version that it makes."""
    decided = AcceptanceDecided(
        step_id=step.step_id,
        decision=decision.decision,
        document_version=decision.document_version,
        comment=decision.comment,
        decided_by=decision.decided_by,
        comments=decision.comments,
        only_commented=decision.only_commented,
        proposed=decision.about_proposal,
    )
    made = decision.accepts and final.version != decision.document_version and final.author_name
    edited = (document_edited(final, step_id=step.step_id),) if made else ()
    voted = waits.vote_event(step, decision)
    return (*edited, *(() if voted is None else (voted,)), decided)


def document_edited(document: Document, *, step_id: str | None, repeated: bool = False) -> DocumentEdited:
    """Return the event about a version that a person has made; `repeated` if another log tells of it, too."""
    return DocumentEdited(
        step_id=step_id,
        document_id=document.id,
        document_version=document.version,
        document_type=document.type,
        title=document.title,
        base_version=document.base_version,
        note=document.note,
        edited_by=document.author_name,
        repeated=repeated,
    )


def follow_edit(execution: Execution, edited: Document, *, repeated: bool = False, context: Context) -> Change:
    """Record a person's edit in the log of an execution that has made or reused the document.

    A step that waits for a decision about the edited version waits for one about the new version. Votes are cast again.

    Raises:
        IllegalTransition: the execution has ended.
    """
    if execution.ended:
        raise IllegalTransition("The execution", current=execution.status, wanted=execution.status)
    step = next(step for step in execution.steps.values() if step.document_id == edited.id)
    if step.waits_for is WaitingOn.ACCEPTANCE and step.document_version == edited.base_version:
        wait = step.wait and step.wait.edited(by=edited.author_name, user_id=edited.author_id)
        waiting = replace(step, document_version=edited.version, version=step.version + 1, wait=wait)
        execution = execution.with_progress(waiting, now=context.now)
    elif step.waits_for is WaitingOn.ACCEPTANCE and step.wait is not None and step.wait.votes:
        # a proposed version waits, and the voters have compared it with the head before this one
        waiting = replace(step, version=step.version + 1, wait=step.wait.with_votes(()))
        execution = execution.with_progress(waiting, now=context.now)
    return Change(execution=execution, events=(document_edited(edited, step_id=step.step_id, repeated=repeated),))


def _accept(execution: Execution, step_id: str, *, target: AcceptanceContext, context: Context) -> Change:
    collections = Collections(target.definition, step_id)
    content: Mapping[str, JsonValue] = target.final.content
    expanded = collections.expand(execution, content, now=context.now)
    change = core.complete_step(expanded.execution, step_id, context=context, document=target.final)
    return replace(change, events=(*expanded.events, *change.events))


def _request_changes(execution: Execution, step_id: str, decision: AcceptanceDecision, *, context: Context) -> Change:
    """Begin the next attempt with the person's comments. It does not count as an invalid output."""
    change = core.remediate(execution, step_id, violations=decision.violations, context=context)
    step = replace(change.execution.steps[step_id], invalid_outputs=0)
    return replace(change, execution=change.execution.with_step(step))
