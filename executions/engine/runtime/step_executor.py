"""Runs one step, from its prompt to a valid document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from pydantic import JsonValue

from common.errors import FieldError
from executions.engine.domain.acceptance import CHANGED_ELSEWHERE
from executions.engine.domain.calls import Call, ModelReply
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.execution import Execution, Failure
from executions.engine.domain.states import WORKING, CallKind, CallStatus, FailureCode
from executions.engine.ports import Ports
from executions.engine.prompting.documents import output_of
from executions.engine.prompting.prompts import RejectedOutput
from executions.engine.prompting.replies import Questions, Unusable, ValidDocument, Violations, parse_reply
from executions.engine.runtime.attempts import Attempt, Attempts
from executions.engine.runtime.call_loop import CallLoop
from executions.engine.runtime.chaining import PreparedStep
from executions.engine.runtime.document_cache import DocumentCache, pin_of
from executions.engine.runtime.step_completion import Dependents, StepCompletion
from executions.engine.runtime.step_journal import StepJournal
from executions.engine.transitions import budgets, clarification, core
from executions.engine.transitions.core import Decide
from executions.engine.transitions.for_each import ITEM_GONE, Collections
from executions.engine.transitions.reviews import (
    MAX_REVIEWS,
    Candidate,
    Judgement,
    ReviewVerdict,
    begin_review,
    review_of,
    with_review_event,
)
from workflows.definitions.definition import WorkflowDefinition

_WAY_OUT = (
    "A retry gives the model all attempts again, and names these places. A retry from this step (`from_step` in the "
    "API) drops the request and makes the document anew."
)


class LLMStepExecutor:
    """Runs one step of one execution under one fencing token.

    The ledger row of a call is committed before the call is made, together with the start of its attempt. One commit
    stores the reply together with the decision that follows. The events of these commits report the progress.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        definition: WorkflowDefinition,
        execution: Execution,
        step_id: str,
        documents: DocumentCache | None = None,
        begun: Attempt | None = None,
        room: Callable[[], int] = lambda: 0,
        pulls: bool = True,
    ) -> None:
        """Prepare to run a step.

        Args:
            ports: The ports of the engine.
            definition: The execution's workflow.
            execution: The execution as the runner has last seen it.
            step_id: The step to run.
            documents: The runner's cache of documents.
            begun: The attempt whose call was recorded with the start of the step; None: the step has to start.
            room: Returns the number of free slots for further steps.
            pulls: Whether steps that wait only for this step's document start in its last transition.
        """
        documents = documents or DocumentCache(ports.repositories)
        open_call = begun.call if begun else None
        self._begun = begun
        self._journal = StepJournal(ports, execution=execution, step_id=step_id, open_call=open_call)
        self._attempts = Attempts(ports, definition=definition, step_id=step_id, documents=documents)
        self._calls = CallLoop(self._journal, self._attempts)
        self._collections = Collections(definition, step_id)
        dependents = Dependents(definition=definition, documents=documents, room=room, starts=pulls)
        self._completion = StepCompletion(
            self._journal, self._attempts, calls=self._calls, collections=self._collections, dependents=dependents
        )

    @property
    def execution(self) -> Execution:
        """The execution after this step's newest write."""
        return self._journal.execution

    @property
    def following(self) -> list[PreparedStep]:
        """Steps that this step's last transition has started; the runner has to run them."""
        return self._journal.following

    @property
    def claimed(self) -> int:
        """Number of steps that this step will start, or has started."""
        return self._journal.claimed

    @property
    def lost_call(self) -> Call | None:
        """The ledger record of a call that an unexpected exception left open, None if there is none."""
        return self._journal.lost_call

    async def close(self) -> None:
        """Settle the open calls, because the runner stops."""
        await self._journal.close()

    async def execute(self) -> Execution:
        """Run the step until it waits, has completed or has failed; return the execution as it is then.

        Raises:
            StaleFencingToken: another worker has claimed the execution.
            IllegalTransition: the execution was ended from outside.
            DatabaseUnavailable: the database cannot be reached.
        """
        try:
            goes_on = self._journal.step.status in WORKING or self._journal.step.resume_at is not None
            attempt = self._begun or await (self._resume() if goes_on else self._begin())
            while attempt is not None:
                attempt = await self._run_attempt(attempt)
        except (asyncio.CancelledError, DatabaseUnavailable):
            await self.close()
            raise
        return self._journal.execution

    # --- beginning an attempt -------------------------------------------------------------------------------------

    async def _begin(self) -> Attempt | None:
        """Start the step's next attempt, with fixed versions of its inputs."""
        found = await self._attempts.inputs(self._journal.execution)
        inputs = tuple(each for each in found if each is not None)
        if len(inputs) < len(found):
            kind = self._attempts.reads[found.index(None)]
            message = f"The scope has no document {kind!r}, which this step reads."
            await self._refuse_start(Failure(code=FailureCode.INTERNAL, message=message))
            return None
        if await self._completion.reuse(inputs):
            return None
        attempt = await self._attempts.first(self._journal.execution, inputs)
        if attempt is None:
            await self._journal.commit(
                lambda execution, context: core.skip_step(
                    execution, self._journal.step_id, reason=ITEM_GONE, context=context
                )
            )
            return None
        model, input_versions = attempt.call.model, tuple(pin_of(each) for each in inputs)

        bought: str | None = None

        def start(execution: Execution, context: core.Context) -> core.Change:
            nonlocal bought
            bought = context.bought(attempt.call.key)
            started = core.start_step(
                execution, self._journal.step_id, model=model, input_versions=input_versions, context=context
            )
            return budgets.hold_if_over_budget(started, self._journal.step_id, attempt.call, context=context)

        await self._journal.commit(start, calls=(attempt.call,))
        if bought is None or self._journal.open_call is None:
            return self._journal.if_announced(attempt)
        # The ledger has a reply from a start that the database has lost. It counts only for the same inputs.
        self._journal.open_call = None
        if bought == attempt.call.request_hash:
            return await self._resume()
        plan = replace(attempt.plan, ordinal=attempt.plan.ordinal + 1)
        return await self._calls.take_up(self._attempts.build(self._journal.execution, plan), [])

    async def _refuse_start(self, failure: Failure) -> None:
        model = self._attempts.model
        await self._journal.commit(
            lambda execution, context: core.fail_unstarted(
                execution, self._journal.step_id, failure, model=model, context=context
            )
        )

    # --- continuing after another worker, or after a deferral -----------------------------------------------------

    async def _resume(self) -> Attempt | None:
        """Continue an unfinished attempt: a stored reply is used, else its call is made again."""
        known = await self._journal.ports.ledger.calls(self._journal.execution.id, self._journal.step_id)
        mine = [call for call in known if call.key.attempt == self._journal.step.attempt]
        reviews = [call for call in mine if call.key.kind is CallKind.REVIEW]
        attempt = await self._attempts.present(self._journal.execution, known)
        for call in mine:
            if call.status is CallStatus.COMMITTED and call.reply is not None and call not in reviews:
                return await self._decide(replace(attempt, call=call), call.reply, reviews)
        return await self._calls.take_up(attempt, mine)

    # --- calls and decisions ------------------------------------------------------------------------------------------

    async def _run_attempt(self, attempt: Attempt) -> Attempt | None:
        asked = await self._calls.ask(attempt)
        return None if asked is None else await self._decide(*asked)

    async def _decide(self, attempt: Attempt, reply: ModelReply, reviews: Sequence[Call] = ()) -> Attempt | None:
        """Decide from a reply; `reviews` are the earlier review calls of its document."""
        # Set before the first await: if this worker stops from now on, the reply is still stored.
        self._journal.open_call = settled = self._journal.settled(attempt.call, CallStatus.COMMITTED, reply=reply)
        if attempt.plan.candidate is not None:
            return await self._judge(attempt, settled, attempt.plan.candidate)
        request = attempt.request
        outcome = parse_reply(reply, schema=request.output_schema, max_questions=request.max_questions)
        if isinstance(outcome, ValidDocument) and (faults := await self._faults(attempt, outcome.content)):
            outcome = Violations(errors=faults)
        match outcome:
            case ValidDocument(content=content):
                candidate = Candidate(content=content, call=settled, condensed=attempt.plan.condensed)
                if self._attempts.step.review is not None:
                    return await self._review(attempt, candidate, list(reviews))
                await self._completion.complete_with(settled, self._completion.document(candidate))
            case Questions(drafts=drafts):
                await self._journal.settle_with(settled, self._asking(drafts))
            case Violations(errors=errors):
                return await self._send_back(
                    attempt, settled, rejected=RejectedOutput(output=output_of(reply), violations=errors)
                )
            case Unusable(failure=failure):
                await self._journal.settle_with(settled, self._calls.fail(failure))
            case _:
                assert_never(outcome)
        return None

    def _asking(self, drafts: tuple[QuestionDraft, ...]) -> Decide:
        step = self._attempts.step
        return lambda execution, context: clarification.ask(
            execution,
            self._journal.step_id,
            questions=drafts,
            policy=step.clarification,
            waiting=step.wait,
            context=context,
        )

    async def _faults(self, attempt: Attempt, content: Mapping[str, JsonValue]) -> tuple[FieldError, ...]:
        """Return what is wrong with a document that is valid against its schema."""
        execution = self._journal.execution
        return (
            *self._collections.faults(execution, content),
            *self._attempts.bad_citations(execution, dict(content), attempt.plan.inputs),
            *await self._attempts.changes_elsewhere(execution, dict(content)),
        )

    async def _send_back(
        self, attempt: Attempt, settled: Call, *, rejected: RejectedOutput, judged: Judgement | None = None
    ) -> Attempt | None:
        """Begin the next attempt with the exact violations, or give up after the step's `max_attempts`."""
        tried = self._journal.step.invalid_outputs + 1
        if tried >= self._attempts.step.max_attempts:
            worst = rejected.violations[0]
            message = f"The output was invalid {tried} times; the last at {worst.pointer or '/'}: {worst.detail}"
            if worst.code == CHANGED_ELSEWHERE:
                message = f"{message} {_WAY_OUT}"
            await self._completion.exhaust(settled, message, violations=rejected.violations, judged=judged)
            return None
        following = self._attempts.remediation(self._journal.execution, attempt.plan, rejected)

        def remediate(execution: Execution, context: core.Context) -> core.Change:
            change = core.remediate(execution, self._journal.step_id, violations=rejected.violations, context=context)
            return budgets.hold_if_over_budget(change, self._journal.step_id, following.call, context=context)

        await self._journal.settle_with(
            settled, with_review_event(remediate, self._journal.step_id, judged), following.call
        )
        return self._journal.if_announced(following)

    # --- reviews --------------------------------------------------------------------------------------------------

    async def _review(self, attempt: Attempt, candidate: Candidate, known: list[Call]) -> Attempt | None:
        """Have a model review a valid document; `known` are its earlier review calls."""
        review = self._attempts.review(self._journal.execution, attempt.plan, candidate, known=known)
        if review.call.reply is not None:
            return await self._decide(review, review.call.reply)
        if known or self._journal.step.status not in WORKING:
            return await self._calls.take_up(review, known)

        def begin(execution: Execution, context: core.Context) -> core.Change:
            change = begin_review(execution, self._journal.step_id, model=review.call.model)
            return budgets.hold_if_over_budget(change, self._journal.step_id, review.call, context=context)

        await self._journal.settle_with(candidate.call, begin, review.call)
        return self._journal.if_announced(review)

    async def _judge(self, attempt: Attempt, settled: Call, candidate: Candidate) -> Attempt | None:
        """Decide from the reply of a reviewer."""
        judged = review_of(settled)
        match judged:
            case Judgement(verdict=ReviewVerdict.SATISFIED):
                await self._completion.complete_with(settled, self._completion.document(candidate, judged), judged)
            case Judgement(verdict=ReviewVerdict.NEEDS_REVISION):
                rejected = RejectedOutput(output=output_of(candidate.call.reply), violations=judged.findings)
                return await self._send_back(attempt, settled, rejected=rejected, judged=judged)
            case Judgement():
                message = "The review found that no revision would help."
                await self._completion.exhaust(settled, message, violations=judged.findings, judged=judged)
            case RejectedOutput() if attempt.plan.unclear + 1 < MAX_REVIEWS:
                again = self._attempts.review_again(self._journal.execution, attempt.plan, judged)
                return await self._calls.continue_with(again, settled)
            case RejectedOutput(violations=violations):
                worst = violations[0]
                message = f"No review gave a verdict; the last at {worst.pointer or '/'}: {worst.detail}"
                failure = Failure(code=FailureCode.VALIDATION_EXHAUSTED, message=message)
                await self._journal.settle_with(settled, self._calls.fail(failure, violations))
            case Unusable(failure=failure):
                message = f"Its review failed. {failure.message}"
                await self._journal.settle_with(settled, self._calls.fail(replace(failure, message=message)))
            case _:
                assert_never(judged)
        return None
