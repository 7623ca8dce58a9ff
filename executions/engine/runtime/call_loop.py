"""The model calls of a step: a failed call is retried until it has a reply or the step gives up."""

from __future__ import annotations

from datetime import timedelta

from common.errors import FieldError
from executions.engine.domain.calls import Call, ModelReply
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import ModelError, RateLimited, ScriptedWait
from executions.engine.domain.execution import Execution, Failure
from executions.engine.domain.retries import Backoff, Tries, given_up, patience_of, prefers_another
from executions.engine.domain.states import CallStatus, FailureCode
from executions.engine.runtime.attempts import Attempt, Attempts
from executions.engine.runtime.step_journal import StepJournal
from executions.engine.transitions import backoff, budgets, core
from executions.engine.transitions.core import Decide


class CallLoop:
    """Makes the calls of one step. Each call is sent once. After a failure, a new call follows or the step gives up."""

    def __init__(self, journal: StepJournal, attempts: Attempts) -> None:
        self._journal = journal
        self._attempts = attempts

    async def ask(self, attempt: Attempt) -> tuple[Attempt, ModelReply] | None:
        """Make the call of an attempt, and its retries; return the attempt whose call succeeded, with the reply.

        None: the step waits, or has failed.
        """
        following: Attempt | None = attempt
        while following is not None:
            attempt = following
            try:
                return attempt, await self._reply(attempt)
            except ModelError as error:
                following = await self._after_failure(attempt, error)
        return None

    async def _reply(self, attempt: Attempt) -> ModelReply:
        """Make one call, with a permit.

        Raises:
            RateLimited: the wait for a permit is longer than a worker waits.
            ModelError: the call failed.
        """
        models, request = self._journal.ports.models, attempt.request
        if request.scripted_seconds > self._journal.ports.defer_after_seconds:
            raise ScriptedWait(request.model, seconds=request.scripted_seconds)
        async with models.permit(request) as turn:
            self._journal.is_sent = True
            draft = None if attempt.plan.candidate else self._journal.ports.drafts.begin(attempt.call.key)
            try:
                reply = await models.complete(request, _discard_text if draft is None else draft.add)
            finally:
                if draft is not None:
                    draft.end()
            if reply.usage_known:
                turn.used(reply.usage.total_tokens)
        return reply

    async def _after_failure(self, attempt: Attempt, error: ModelError) -> Attempt | None:
        """Return the next call: a retry, with a shorter prompt, or to another model. None: deferred or given up."""
        ports = self._journal.ports
        if isinstance(error, RateLimited):
            call, failed, seconds = self._journal.withdrawn(attempt.call, error), attempt.failed, error.retry_after
            asks_another = False
        else:
            call = self._journal.failed(attempt.call, error)
            failed = attempt.failed.with_failure(call)
            seconds, asks_another = self._backoff(failed, call, error)
        if seconds is None or asks_another or seconds > ports.defer_after_seconds:
            other = self._alternative(attempt, error)
            if other is not None:
                return await self.continue_with(replace(other, failed=replace(failed, of_model=0)), call)
        if seconds is None:
            await self._journal.settle_with(call, self.fail(self._final_failure(failed, call, error)))
            return None
        if seconds > ports.defer_after_seconds:
            await self._defer(call, seconds)
            return None
        await ports.clock.sleep(seconds)
        again = self._attempts.build(self._journal.execution, replace(attempt.plan, ordinal=attempt.plan.ordinal + 1))
        return await self.continue_with(replace(again, failed=failed), call)

    def _backoff(self, failed: Tries, call: Call, error: ModelError) -> tuple[float | None, bool]:
        """Return how long to wait for the next try (None: give up), and whether a fallback model comes first."""
        policy, ports = self._attempts.step.retries, self._journal.ports
        patience = patience_of(policy, ports.patience_seconds)
        backoff = Backoff(policy=policy, patience_seconds=patience, chance=ports.chance)
        seconds = backoff.seconds_to_wait(error, tries=failed.of_model, failing_seconds=failed.seconds(call))
        return seconds, prefers_another(policy, tries=failed.of_model)

    def _final_failure(self, failed: Tries, call: Call, error: ModelError) -> Failure:
        policy, seconds = self._attempts.step.retries, failed.seconds(call)
        return given_up(error, call.error, tries=failed.of_model, failing_seconds=seconds, policy=policy)

    async def _defer(self, call: Call, seconds: float) -> None:
        resume_at = self._journal.ports.clock.now() + timedelta(seconds=seconds)
        await self._journal.settle_with(
            call,
            lambda execution, context: backoff.defer_step(
                execution, self._journal.step_id, resume_at=resume_at, context=context
            ),
        )

    def _alternative(self, attempt: Attempt, error: ModelError) -> Attempt | None:
        """Return the alternative to a retry: a shorter prompt, files as text, or the next model."""
        plan = replace(attempt.plan, ordinal=attempt.plan.ordinal + 1)
        if error.failure_code is FailureCode.CONTEXT_TOO_LONG and not plan.condensed:
            return self._attempts.build(self._journal.execution, replace(plan, condensed=True))
        if error.failure_code is FailureCode.PROVIDER_REJECTED and attempt.request.attachments:
            return self._attempts.build(self._journal.execution, replace(plan, as_text=True))
        model = self._attempts.next_model(plan)
        if model is None or error.failure_code is FailureCode.MODEL_REFUSED:
            return None
        return self._attempts.build(self._journal.execution, replace(plan, model=model, condensed=False, as_text=False))

    async def continue_with(self, following: Attempt, failed: Call) -> Attempt | None:
        """Record the call that follows a failed one, and return its attempt. None: the step waits for a budget."""
        await self._journal.settle_with(failed, self._again(following.call), following.call)
        return self._journal.if_announced(following)

    async def take_up(self, attempt: Attempt, known: list[Call]) -> Attempt | None:
        """Record a call of an attempt that an earlier worker has begun. `known` calls that are pending are lost."""
        # One transition with the new call, guarded by the fencing token: a stale worker cannot settle calls.
        lost = [self._journal.settled(call, CallStatus.UNKNOWN) for call in known if call.status is CallStatus.PENDING]
        await self._journal.commit(self._again(attempt.call, *lost), calls=(*lost, attempt.call))
        return self._journal.if_announced(attempt)

    def _again(self, call: Call, *lost: Call) -> Decide:
        keys = [each.key for each in lost]

        def again(execution: Execution, context: core.Context) -> core.Change:
            change = backoff.retry_call(execution, self._journal.step_id, lost=keys, context=context)
            return budgets.hold_if_over_budget(change, self._journal.step_id, call, context=context)

        return again

    def fail(self, failure: Failure, violations: tuple[FieldError, ...] = ()) -> Decide:
        """Return the decision that ends the step with a failure."""
        return lambda execution, context: core.fail_step(
            execution, self._journal.step_id, failure, context=context, violations=violations
        )


def _discard_text(_: str) -> None:
    """Ignore text: clients do not see the text of a review while a model writes it."""
