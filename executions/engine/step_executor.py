"""One step, from its prompt to a valid document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from executions.engine import accepting, asking, budgets, changes, parking
from executions.engine.attempts import Attempt, Attempts
from executions.engine.calls import Call, ModelReply
from executions.engine.errors import FieldError, ModelError, Unavailable
from executions.engine.execution import Document, Execution, Failure
from executions.engine.iteration import ITEM_GONE, Collections
from executions.engine.papers import Papers, pin_of
from executions.engine.ports import Decide, Ports
from executions.engine.prompts import Rejected
from executions.engine.pulling import Pulled, pull, start_all
from executions.engine.replies import Questions, Unusable, ValidDocument, Violations, parse_reply
from executions.engine.results import new_document, output_of
from executions.engine.retries import failed_tries, given_up, seconds_to_wait
from executions.engine.states import WORKING, CallStatus, FailureCode
from executions.engine.step_books import StepBooks
from workflows.definition import WorkflowDefinition


class LLMStepExecutor(StepBooks):
    """Runs one step of one execution under one runner's epoch.

    The ledger row of a call is committed before the call is made, together with the start of its attempt; the reply
    is committed together with what was decided from it. Progress is told by the events of those commits.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        definition: WorkflowDefinition,
        execution: Execution,
        step_id: str,
        papers: Papers | None = None,
        begun: Attempt | None = None,
        room: Callable[[], int] = lambda: 0,
        pulls: bool = True,
    ) -> None:
        """Prepare to run a step.

        Args:
            ports: What the engine needs from outside.
            definition: The execution's workflow.
            execution: As its runner knows it.
            step_id: The step to run.
            papers: What the runner has read and made so far.
            begun: The attempt that was announced already, with the start of the step.
            room: How many more steps may be at work than are.
            pulls: Whether the steps that wait for nothing but this one's document start with its last transition.
        """
        super().__init__(ports, execution=execution, step_id=step_id, open_call=begun.call if begun else None)
        self._definition = definition
        self._papers = papers or Papers(ports.repositories.documents)
        self._attempts = Attempts(ports, definition=definition, step_id=step_id, papers=self._papers)
        self._collections = Collections(definition, step_id)
        self._begun = begun
        self._room = room
        self._pulls = pulls

    async def execute(self) -> Execution:
        """Work until the step waits, is done or has failed; return the execution as it is then.

        Raises:
            Superseded: another runner has taken the execution over.
            IllegalTransition: the execution was ended from outside.
            Unavailable: the database is away.
        """
        try:
            goes_on = self._now.status in WORKING or self._now.resume_at is not None
            attempt = self._begun or await (self._resume() if goes_on else self._begin())
            while attempt is not None:
                attempt = await self._carry_out(attempt)
        except (asyncio.CancelledError, Unavailable):
            await self.close_books()
            raise
        return self._execution

    # --- beginning an attempt -------------------------------------------------------------------------------------

    async def _begin(self) -> Attempt | None:
        """Start the step's next attempt, its inputs pinned."""
        found = await self._attempts.inputs(self._execution)
        inputs = tuple(each for each in found if each is not None)
        if len(inputs) < len(found):
            kind = self._attempts.reads[found.index(None)]
            message = f"The scope has no document {kind!r}, which this step reads."
            await self._refuse_start(Failure(code=FailureCode.INTERNAL, message=message))
            return None
        attempt = self._attempts.first(self._execution, inputs)
        if attempt is None:
            await self._commit(
                lambda execution, context: changes.skip_step(
                    execution, self._step_id, reason=ITEM_GONE, context=context
                )
            )
            return None
        model, pins = attempt.call.model, tuple(pin_of(each) for each in inputs)

        def start(execution: Execution, context: changes.Context) -> changes.Change:
            started = changes.start_step(execution, self._step_id, model=model, pins=pins, context=context)
            return budgets.within(started, self._step_id, attempt.call, context=context)

        await self._commit(start, calls=(attempt.call,))
        return self._if_announced(attempt)

    async def _refuse_start(self, failure: Failure) -> None:
        model = self._attempts.model

        def start_and_fail(execution: Execution, context: changes.Context) -> changes.Change:
            begun = changes.start_step(execution, self._step_id, model=model, pins=(), context=context)
            ended = changes.fail_step(begun.execution, self._step_id, failure, context=context)
            return replace(ended, events=(*begun.events, *ended.events))

        await self._commit(start_and_fail)

    # --- taking up what another runner left, or what was parked ---------------------------------------------------

    async def _resume(self) -> Attempt | None:
        """Go on with an attempt that was begun and not finished: a reply that was paid for is used."""
        known = await self._ports.ledger.calls(self._execution.id, self._step_id)
        mine = [call for call in known if call.key.attempt == self._now.attempt]
        attempt = await self._attempts.present(self._execution, known)
        for call in mine:
            if call.status is CallStatus.COMMITTED and call.reply is not None:
                return await self._decide(replace(attempt, call=call), call.reply)
        # In one transition with the new call, behind the fence: a runner that was overtaken settles nobody's call.
        lost = [self._settled(call, CallStatus.UNKNOWN) for call in mine if call.status is CallStatus.PENDING]
        await self._commit(self._again(attempt.call, *lost), calls=(*lost, attempt.call))
        return self._if_announced(replace(attempt, failed_tries=failed_tries(mine)))

    # --- calling and deciding -------------------------------------------------------------------------------------

    async def _carry_out(self, attempt: Attempt) -> Attempt | None:
        self._sent = True
        draft = self._ports.drafts.begin(attempt.call.key)
        try:
            reply = await self._ports.models.complete(attempt.request, draft.add)
        except ModelError as error:
            return await self._after_failure(attempt, error)
        finally:
            draft.end()
        return await self._decide(attempt, reply)

    async def _after_failure(self, attempt: Attempt, error: ModelError) -> Attempt | None:
        """Try again after a wait, park the step when the wait is long, or give up."""
        failed, tries, ports = self._failed(attempt.call, error), attempt.failed_tries + 1, self._ports
        seconds = seconds_to_wait(self._attempts.step.retries, error, tries=tries, chance=ports.chance)
        if seconds is None:
            await self._settle_with(failed, self._fail(given_up(error, failed.error, tries=tries)))
            return None
        if seconds > ports.park_after_seconds:
            resume_at = ports.clock.now() + timedelta(seconds=seconds)
            await self._settle_with(
                failed,
                lambda execution, context: parking.park(execution, self._step_id, resume_at=resume_at, context=context),
            )
            return None
        await ports.clock.sleep(seconds)
        key = replace(failed.key, ordinal=failed.key.ordinal + 1)
        following = replace(attempt.call, key=key, started_at=ports.clock.now())
        await self._settle_with(failed, self._again(following), following)
        return self._if_announced(replace(attempt, call=following, failed_tries=tries))

    def _again(self, call: Call, *lost: Call) -> Decide:
        keys = [each.key for each in lost]

        def again(execution: Execution, context: changes.Context) -> changes.Change:
            change = parking.try_again(execution, self._step_id, lost=keys, context=context)
            return budgets.within(change, self._step_id, call, context=context)

        return again

    async def _decide(self, attempt: Attempt, reply: ModelReply) -> Attempt | None:
        request = attempt.request
        # Before anything is waited for: whatever stops this runner from now on, the reply is kept.
        self._open = settled = self._settled(attempt.call, CallStatus.COMMITTED, reply=reply)
        outcome = parse_reply(reply, schema=request.output_schema, max_questions=request.max_questions)
        if isinstance(outcome, ValidDocument) and (
            faults := self._collections.faults(self._execution, outcome.content)
        ):
            outcome = Violations(errors=faults)
        match outcome:
            case ValidDocument(content=content):
                document = new_document(
                    content,
                    execution=self._execution,
                    definition=self._attempts.step,
                    call=settled,
                    reply=reply,
                    now=self._ports.clock.now(),
                )
                await self._complete_with(settled, document)
            case Questions(drafts=drafts):
                policy = self._attempts.step.clarification
                await self._settle_with(
                    settled,
                    lambda execution, context: asking.ask(
                        execution, self._step_id, questions=drafts, policy=policy, context=context
                    ),
                )
            case Violations(errors=errors):
                return await self._send_back(attempt, settled, errors)
            case Unusable(failure=failure):
                await self._settle_with(settled, self._fail(failure))
            case _:
                assert_never(outcome)
        return None

    async def _send_back(self, attempt: Attempt, settled: Call, violations: tuple[FieldError, ...]) -> Attempt | None:
        """Ask again with exactly what was wrong, or give up after the step's `max_attempts`."""
        tried = self._now.invalid_outputs + 1
        if tried >= self._attempts.step.max_attempts:
            worst = violations[0]
            message = f"The output was invalid {tried} times; the last at {worst.pointer or '/'}: {worst.detail}"
            failure = Failure(code=FailureCode.VALIDATION_EXHAUSTED, message=message)
            await self._settle_with(settled, self._fail(failure, violations))
            return None
        rejected = Rejected(output=output_of(settled.reply), violations=violations)
        following = self._attempts.remediation(self._execution, attempt.inputs, rejected)

        def remediate(execution: Execution, context: changes.Context) -> changes.Change:
            change = changes.remediate(execution, self._step_id, violations=violations, context=context)
            return budgets.within(change, self._step_id, following.call, context=context)

        await self._settle_with(settled, remediate, following.call)
        return self._if_announced(following)

    async def _complete_with(self, settled: Call, document: Document) -> None:
        """Store the document; what can start then, and there is room for, starts in the same transition."""
        if self._attempts.step.acceptance is not None:
            await self._settle_with(
                settled,
                lambda execution, context: accepting.hand_in(execution, self._step_id, context=context),
                document=document,
            )
            return
        pulled = await self._pull(document) if self._pulls else []

        def complete(execution: Execution, context: changes.Context) -> changes.Change:
            grown = self._grown(execution, document, context.now)
            change = changes.complete_step(grown.execution, self._step_id, context=context)
            return start_all(replace(change, events=(*grown.events, *change.events)), pulled, context)

        try:
            await self._settle_with(settled, complete, document=document)
        finally:
            self._papers.keep(self._execution, self._step_id, document)
            self.following = [each for each in pulled if each.has_started(self._execution)]
            self.claimed = len(self.following)

    async def _pull(self, document: Document) -> list[Pulled]:
        self.claimed = max(self._room() + 1, 0)  # this step makes room for one
        pulled = await pull(
            self._ports,
            definition=self._definition,
            execution=self._grown(self._execution, document, document.created_at).execution,
            papers=self._papers,
            document=document,
            most=self.claimed,
        )
        self.claimed = len(pulled)
        return pulled

    def _grown(self, execution: Execution, document: Document, now: datetime) -> changes.Change:
        return self._collections.expand(execution, document.content, now=now)

    def _fail(self, failure: Failure, violations: tuple[FieldError, ...] = ()) -> Decide:
        return lambda execution, context: changes.fail_step(
            execution, self._step_id, failure, context=context, violations=violations
        )
