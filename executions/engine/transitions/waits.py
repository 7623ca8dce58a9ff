"""Waits for people: votes of several approvers, assignees, and what is told about due dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common.errors import FieldError, Invalid, NotFound
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import MayNotVote, NotWaiting, unknown_step_message
from executions.engine.domain.events import AcceptanceVoted, Event, WaitOverdue, WaitReminder
from executions.engine.domain.execution import Execution, Step, with_timers
from executions.engine.domain.states import WaitingOn
from executions.engine.domain.users import UserRef
from executions.engine.domain.waits import Vote, Wait, new_wait
from executions.engine.transitions.core import Change, Context
from executions.engine.transitions.planner import step_order
from workflows.definitions.definition import ANY_REVIEWER

_BY_PEOPLE = frozenset({WaitingOn.CLARIFICATION, WaitingOn.ACCEPTANCE})


def check_voter(execution: Execution, step: Step, decision: AcceptanceDecision) -> None:
    """Check that a user may decide about the step's document.

    Raises:
        MayNotVote: the step has other approvers, or the user has started the execution or edited the version.
    """
    wait = step.wait
    if wait is None:
        return
    starter = UserRef(name=execution.requested_by_name, id=execution.requested_by)
    if refusal := wait.refusal(decision.user, starter=starter):
        raise MayNotVote(refusal)
    if decision.edit_hash and wait.needs_others:
        raise MayNotVote("Other users decide about your changes: edit the document, and let them accept it.")


def is_settled_by(step: Step, decision: AcceptanceDecision) -> bool:
    """Return whether a decision about the step's document decides, or is one of several votes."""
    return step.wait is None or step.wait.is_settled_by(decision)


def has_voted(step: Step, decision: AcceptanceDecision) -> bool:
    """Return whether the user has voted the same about the version that waits."""
    if step.wait is None or step.waits_for is not WaitingOn.ACCEPTANCE or is_settled_by(step, decision):
        return False
    cast = step.wait.votes_for(decision.document_version, decision.head_version)
    return any(each.is_of(decision.user) for each in cast)


def vote_event(step: Step, decision: AcceptanceDecision) -> AcceptanceVoted | None:
    """Return the event about one of several votes; None: one decision is enough."""
    wait = step.wait
    if wait is None or wait.required == 1:
        return None
    beside = wait.votes_beside(decision)
    cast = wait.votes_for(decision.document_version, decision.head_version)
    return AcceptanceVoted(
        step_id=step.step_id,
        vote=decision.decision,
        document_version=decision.document_version,
        voted_by=decision.decided_by,
        votes=len(beside) + 1 if decision.accepts else len(cast),
        required=wait.required,
    )


def keep_votes(execution: Execution, step_id: str, votes: Sequence[Vote]) -> Execution:
    """Return the execution with those of a step's votes that still count."""
    step = execution.steps.get(step_id)
    if step is None or step.wait is None or len(step.wait.votes) == len(votes):
        return execution
    return execution.with_step(replace(step, wait=step.wait.with_votes(votes)))


def vote(execution: Execution, step_id: str, decision: AcceptanceDecision) -> Change:
    """Record one of several votes; the step waits for the others."""
    step = execution.steps[step_id]
    event = vote_event(step, decision)
    if step.wait is None or event is None:
        raise ValueError("the decision decides")
    voted = replace(step, wait=step.wait.with_vote(decision), version=step.version + 1)
    return Change(execution=execution.with_step(voted), events=(event,))


def assign(execution: Execution, step_id: str, assignees: Sequence[str], *, due_at: datetime | None) -> Change:
    """Give a step that waits for people other assignees and a due date.

    Raises:
        NotFound: there is no such step.
        NotWaiting: the step does not wait for people.
        Invalid: its approvers could not give the votes, or the votes would decide without one more.
    """
    step = execution.steps.get(step_id)
    if step is None:
        raise NotFound(unknown_step_message(step_id, execution.steps))
    if execution.ended or step.waits_for not in _BY_PEOPLE:
        raise NotWaiting(f"Step {step_id} does not wait for people.", status=step.status)
    before = step.wait or new_wait(ANY_REVIEWER, now=execution.updated_at)  # it began before waits were recorded
    wait = before.assigned(assignees, due_at=due_at)
    _check_assignees(execution, step, wait)
    changed = replace(step, wait=wait, version=step.version + 1)
    return Change(execution=with_timers(execution.with_step(changed)))


def _check_assignees(execution: Execution, step: Step, wait: Wait) -> None:
    if wait.approvers is None or step.waits_for is not WaitingOn.ACCEPTANCE:
        return
    if wait.approvers.required == "all" and not wait.assignees:
        raise _wrong("All assignees have to accept this document: name at least one.", "no_assignees")
    if wait.assignees and len(wait.assignees) < wait.required:
        raise _wrong(f"{wait.required} votes are required: name as many assignees.", "too_few_assignees")
    same_eyes = {execution.requested_by_name, *(each.name for each in wait.editors)}
    barred = same_eyes if wait.has_four_eyes else set()
    if wait.assignees and len({*wait.assignees} - barred) < wait.required:
        names = ", ".join(sorted(barred & {*wait.assignees}))
        raise _wrong(f"Two persons have to look at this version, so {names} cannot vote: name others.", "four_eyes")
    heads = {(each.document_version, each.head_version) for each in wait.votes}
    if any(len(wait.votes_for(*each)) >= wait.required for each in heads if each[0] == step.document_version):
        raise _wrong("These assignees have all voted: name one more, who decides.", "already_voted")


def _wrong(detail: str, code: str) -> Invalid:
    return Invalid(detail, [FieldError(pointer="/assignees", code=code, detail=detail)])


def tell_due(execution: Execution, *, context: Context) -> Change:
    """Write the events about due dates that come near or have passed; no events if there is nothing to tell."""
    events: list[Event] = []
    waiting = (step for step in execution.steps.values() if step.wait is not None and step.waits_for in _BY_PEOPLE)
    for step in sorted(waiting, key=step_order):
        wait = step.wait
        if execution.ended or wait is None or wait.next_at is None or wait.next_at > context.now:
            continue
        is_overdue = wait.due_at is not None and wait.due_at <= context.now
        events.append(_due_event(step, wait, is_overdue=is_overdue))
        told = wait.model_copy(update={"told_overdue": True} if is_overdue else {"reminded": True})
        execution = execution.with_step(replace(step, wait=told, version=step.version + 1))
    return Change(execution=with_timers(execution) if events else execution, events=tuple(events))


def _due_event(step: Step, wait: Wait, *, is_overdue: bool) -> Event:
    if wait.due_at is None or step.waits_for is None:
        raise ValueError("the step has no due date")
    kind = WaitOverdue if is_overdue else WaitReminder
    return kind(step_id=step.step_id, waiting_on=step.waits_for, due_at=wait.due_at, assignees=wait.assignees)
