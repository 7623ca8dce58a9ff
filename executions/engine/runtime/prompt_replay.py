"""Prompts of earlier calls, rebuilt from stored data. The request hash proves whether the rebuilt prompt is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import FieldError
from executions.engine.domain.calls import Call, ModelRequest
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Execution, Pin, Step
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.prompting.prompts import RejectedOutput
from executions.engine.prompting.replies import ValidDocument, parse_reply
from executions.engine.runtime.attempts import Attempts, Plan
from executions.engine.transitions.reviews import Candidate, review_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStart:
    """How an attempt began, according to the event log."""

    input_versions: tuple[Pin, ...]
    violations: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedPrompt:
    """The rebuilt prompt of a call. It is not exact if data that it was built from has changed."""

    call: Call
    request: ModelRequest
    is_exact: bool


async def replay_prompt(
    call: Call, *, execution: Execution, attempts: Attempts, known: Sequence[Call], began: AttemptStart
) -> ReplayedPrompt:
    """Rebuild the prompt of one of a step's calls.

    Args:
        call: The call.
        execution: The execution as it is now.
        attempts: The attempts of the step.
        known: All calls of the step, oldest first.
        began: How the call's attempt began.
    """
    step = _step_then(execution.steps[call.key.step_id], call, began)
    then = replace(execution, steps={**execution.steps, step.step_id: step})
    before = list(known[: known.index(call)])
    plan = (await attempts.present(then, [each for each in before if each.key.attempt < call.key.attempt])).plan
    if call.key.kind is CallKind.REVIEW:
        plan = _review_plan(attempts, then, plan=plan, before=before)
    ways = attempts.ways(then, replace(plan, model=call.model))
    exact = [each for each in ways if each.call.request_hash == call.request_hash]
    return ReplayedPrompt(call=call, request=(exact or ways)[-1].request, is_exact=bool(exact))


def _step_then(step: Step, call: Call, began: AttemptStart) -> Step:
    """Return the step as it was when the call was recorded."""
    return replace(
        step,
        attempt=call.key.attempt,
        input_versions=began.input_versions,
        violations=began.violations,
        rounds=tuple(each for each in step.rounds if each.answered_at and each.answered_at <= call.started_at),
        decisions=tuple(each for each in step.decisions if each.decided_at <= call.started_at),
    )


def _review_plan(attempts: Attempts, execution: Execution, *, plan: Plan, before: Sequence[Call]) -> Plan:
    mine = [call for call in before if call.key.attempt == plan.number]
    for maker in mine:
        if maker.key.kind is not CallKind.REVIEW and maker.status is CallStatus.COMMITTED and maker.reply is not None:
            outcome = parse_reply(maker.reply, schema=attempts.step.output_schema, max_questions=0)
            if isinstance(outcome, ValidDocument):
                candidate = Candidate(content=outcome.content, call=maker)
                reviews = [call for call in mine if call.key.kind is CallKind.REVIEW]
                review = attempts.review(execution, plan, candidate, known=reviews)
                unclear = review_of(review.call) if review.call.reply else None
                if isinstance(unclear, RejectedOutput):
                    review = attempts.review_again(execution, review.plan, unclear)
                return review.plan
    return plan
