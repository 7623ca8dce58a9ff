"""Asking a model until it has replied, or until nobody is left to ask."""

from __future__ import annotations

from datetime import timedelta

from executions.engine.domain.calls import Call, ModelReply
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import FieldError, ModelError, RateLimited, ScriptedWait
from executions.engine.domain.execution import Execution, Failure
from executions.engine.domain.retries import Backoff, Tries, given_up, patience_of, prefers_another
from executions.engine.domain.states import CallStatus, FailureCode
from executions.engine.ports import Ports
from executions.engine.runtime.attempts import Attempt, Attempts
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.step_books import StepBooks
from executions.engine.transitions import backoff as parking
from executions.engine.transitions import budgets, core
from executions.engine.transitions.core import Decide
from workflows.definitions.definition import WorkflowDefinition


class StepCalls(StepBooks):
    """The calls of one step: each is made once, and after one that failed another follows, or the step gives up."""

    def __init__(
        self,
        ports: Ports,
        *,
        definition: WorkflowDefinition,
        execution: Execution,
        step_id: str,
        documents: DocumentCache,
        open_call: Call | None,
    ) -> None:
        super().__init__(ports, execution=execution, step_id=step_id, open_call=open_call)
        self._definition = definition
        self._papers = documents
        self._attempts = Attempts(ports, definition=definition, step_id=step_id, documents=documents)

    async def _ask(self, attempt: Attempt) -> tuple[Attempt, ModelReply] | None:
        """Make the call of an attempt, and those that have to follow it; return the one that has its reply.

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
        """Ask once, when it is this call's turn.

        Raises:
            RateLimited: it has to wait, for longer than a runner waits.
            ModelError: the model could not be asked.
        """
        models, request = self._ports.models, attempt.request
        if request.scripted_seconds > self._ports.park_after_seconds:
            raise ScriptedWait(request.model, seconds=request.scripted_seconds)
        async with models.permit(request) as turn:
            self._sent = True
            draft = None if attempt.plan.candidate else self._ports.drafts.begin(attempt.call.key)
            try:
                reply = await models.complete(request, _nobody_hears if draft is None else draft.add)
            finally:
                if draft is not None:
                    draft.end()
            if reply.usage_known:
                turn.used(reply.usage.total_tokens)
        return reply

    async def _after_failure(self, attempt: Attempt, error: ModelError) -> Attempt | None:
        """Try again after a wait, ask for less or somebody else, park the step when the wait is long, or give up."""
        ports = self._ports
        if isinstance(error, RateLimited):
            call, failed, seconds = self._withdrawn(attempt.call, error), attempt.failed, error.retry_after
            asks_another = False
        else:
            call = self._failed(attempt.call, error)
            failed = attempt.failed.with_failure(call)
            seconds, asks_another = self._backoff(failed, call, error)
        if seconds is None or asks_another or seconds > ports.park_after_seconds:
            other = self._another_way(attempt, error)
            if other is not None:
                return await self._go_on_with(replace(other, failed=replace(failed, of_model=0)), call)
        if seconds is None:
            await self._settle_with(call, self._fail(self._given_up(failed, call, error)))
            return None
        if seconds > ports.park_after_seconds:
            await self._park(call, seconds)
            return None
        await ports.clock.sleep(seconds)
        again = self._attempts.build(self._execution, replace(attempt.plan, ordinal=attempt.plan.ordinal + 1))
        return await self._go_on_with(replace(again, failed=failed), call)

    def _backoff(self, failed: Tries, call: Call, error: ModelError) -> tuple[float | None, bool]:
        """Return how long to wait for the next try (None: give up), and whether a stand-in model comes first."""
        policy, ports = self._attempts.step.retries, self._ports
        patience = patience_of(policy, ports.patience_seconds)
        backoff = Backoff(policy=policy, patience_seconds=patience, chance=ports.chance)
        seconds = backoff.seconds_to_wait(error, tries=failed.of_model, failing_seconds=failed.seconds(call))
        return seconds, prefers_another(policy, tries=failed.of_model)

    def _given_up(self, failed: Tries, call: Call, error: ModelError) -> Failure:
        policy, seconds = self._attempts.step.retries, failed.seconds(call)
        return given_up(error, call.error, tries=failed.of_model, failing_seconds=seconds, policy=policy)

    async def _park(self, call: Call, seconds: float) -> None:
        resume_at = self._ports.clock.now() + timedelta(seconds=seconds)
        await self._settle_with(
            call,
            lambda execution, context: parking.defer_step(
                execution, self._step_id, resume_at=resume_at, context=context
            ),
        )

    def _another_way(self, attempt: Attempt, error: ModelError) -> Attempt | None:
        """Return what to ask instead: less, of a model that cannot read so much; or the next model."""
        plan = replace(attempt.plan, ordinal=attempt.plan.ordinal + 1)
        if error.failure_code is FailureCode.CONTEXT_TOO_LONG and not plan.condensed:
            return self._attempts.build(self._execution, replace(plan, condensed=True))
        model = self._attempts.next_model(plan)
        if model is None or error.failure_code is FailureCode.MODEL_REFUSED:
            return None
        return self._attempts.build(self._execution, replace(plan, model=model, condensed=False))

    async def _go_on_with(self, following: Attempt, failed: Call) -> Attempt | None:
        await self._settle_with(failed, self._again(following.call), following.call)
        return self._if_announced(following)

    async def _take_up(self, attempt: Attempt, known: list[Call]) -> Attempt | None:
        """Announce an attempt that was begun before; of `known` calls those that nobody has settled are lost."""
        # In one transition with the new call, behind the fence: a runner that was overtaken settles nobody's call.
        lost = [self._settled(call, CallStatus.UNKNOWN) for call in known if call.status is CallStatus.PENDING]
        await self._commit(self._again(attempt.call, *lost), calls=(*lost, attempt.call))
        return self._if_announced(attempt)

    def _again(self, call: Call, *lost: Call) -> Decide:
        keys = [each.key for each in lost]

        def again(execution: Execution, context: core.Context) -> core.Change:
            change = parking.retry_call(execution, self._step_id, lost=keys, context=context)
            return budgets.hold_if_over_budget(change, self._step_id, call, context=context)

        return again

    def _fail(self, failure: Failure, violations: tuple[FieldError, ...] = ()) -> Decide:
        return lambda execution, context: core.fail_step(
            execution, self._step_id, failure, context=context, violations=violations
        )


def _nobody_hears(_: str) -> None:
    """Hear nothing: people watch what is written, and not what is thought of it."""
