"""Prompts of earlier calls, rebuilt from stored data. The request hash proves whether the rebuilt prompt is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from executions.engine.domain.calls import Call, ModelRequest
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import FieldError
from executions.engine.domain.execution import Execution, Pin, Step
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.prompting.prompts import RejectedOutput
from executions.engine.prompting.replies import ValidDocument, parse_reply
from executions.engine.runtime.attempts import Attempts, Plan
from executions.engine.transitions.reviews import Candidate, review_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStart:
    """How an attempt began, according to the event log."""

    pins: tuple[Pin, ...]
    violations: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedPrompt:
    """The rebuilt prompt of a call. It is not exact if data that it was built from has changed."""

    call: Call
    request: ModelRequest
    is_exact: bool


async def replay_prompt(
    call: Call, *, execution: Execution, attempts: Attempts, known: Sequence[Call], start: AttemptStart
) -> ReplayedPrompt:
    """Rebuild the prompt of one of a step's calls.

    Args:
        call: The call.
        execution: The execution as it is now.
        attempts: The attempts of the step.
        known: All calls of the step, oldest first.
        start: How the call's attempt began.
    """
    step = _step_at(execution.steps[call.key.step_id], call, start)
    past_execution = replace(execution, steps={**execution.steps, step.step_id: step})
    earlier_calls = list(known[: known.index(call)])
    earlier_attempts = [each for each in earlier_calls if each.key.attempt < call.key.attempt]
    plan = (await attempts.present(past_execution, earlier_attempts)).plan
    if call.key.kind is CallKind.REVIEW:
        plan = _review_plan(attempts, past_execution, plan=plan, earlier_calls=earlier_calls)
    plans = (replace(plan, model=call.model, condensed=condensed) for condensed in (False, True))
    candidates = [attempts.build(past_execution, each) for each in plans]
    exact = [each for each in candidates if each.call.request_hash == call.request_hash]
    return ReplayedPrompt(call=call, request=(exact or candidates)[0].request, is_exact=bool(exact))


def _step_at(step: Step, call: Call, start: AttemptStart) -> Step:
    """Return the step as it was when the call was recorded."""
    return replace(
        step,
        attempt=call.key.attempt,
        pins=start.pins,
        violations=start.violations,
        rounds=tuple(each for each in step.rounds if each.answered_at and each.answered_at <= call.started_at),
        decisions=tuple(each for each in step.decisions if each.decided_at <= call.started_at),
    )


def _review_plan(attempts: Attempts, execution: Execution, *, plan: Plan, earlier_calls: Sequence[Call]) -> Plan:
    calls_of_attempt = [call for call in earlier_calls if call.key.attempt == plan.number]
    for writing_call in calls_of_attempt:
        reply = writing_call.reply
        if writing_call.key.kind is not CallKind.REVIEW and writing_call.status is CallStatus.COMMITTED and reply:
            outcome = parse_reply(reply, schema=attempts.step.output_schema, max_questions=0)
            if isinstance(outcome, ValidDocument):
                candidate = Candidate(content=outcome.content, call=writing_call)
                reviews = [call for call in calls_of_attempt if call.key.kind is CallKind.REVIEW]
                review = attempts.review(execution, plan, candidate, known=reviews)
                unclear = review_of(review.call) if review.call.reply else None
                if isinstance(unclear, RejectedOutput):
                    review = attempts.review_again(execution, review.plan, unclear)
                return review.plan
    return plan
