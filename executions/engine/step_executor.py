"""One step, from its prompt to a valid document."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

from executions.engine import changes, parking
from executions.engine.calls import Call, CallKey, ModelReply, ModelRequest
from executions.engine.errors import FieldError, ModelError, Unavailable
from executions.engine.execution import Document, Execution, Failure, Pin
from executions.engine.ports import Decide, Ports
from executions.engine.prompts import Rejected, build_request
from executions.engine.replies import Questions, Unusable, ValidDocument, Violations, parse_reply
from executions.engine.results import new_document, output_of, rejected_output
from executions.engine.retries import failed_tries, given_up, seconds_to_wait
from executions.engine.states import WORKING, CallKind, CallStatus, FailureCode
from executions.engine.step_books import StepBooks
from workflows.definition import StepDefinition, WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One prompt and the call that is made for it."""

    request: ModelRequest
    call: Call
    inputs: tuple[Document, ...]
    failed_tries: int = 0  # calls that were made for it before


class LLMStepExecutor(StepBooks):
    """Runs one step of one execution under one runner's epoch.

    The ledger row of a call is committed before the call is made, together with the start of its attempt; the reply
    is committed together with what was decided from it. Progress is told by the events of those commits.
    """

    def __init__(self, ports: Ports, *, definition: WorkflowDefinition, execution: Execution, step_id: str) -> None:
        super().__init__(ports, execution=execution, step_id=step_id)
        self._definition = definition
        self._step: StepDefinition = definition.step(step_id)
        self._model = ports.models.resolve(self._step.model)

    async def execute(self) -> Execution:
        """Work until the step waits, is done or has failed; return the execution as it is then.

        Raises:
            Superseded: another runner has taken the execution over.
            IllegalTransition: the execution was ended from outside.
            Unavailable: the database is away.
        """
        try:
            begun = self._now.status in WORKING or self._now.resume_at is not None
            attempt = await (self._resume() if begun else self._begin())
            while attempt is not None:
                attempt = await self._carry_out(attempt)
        except (asyncio.CancelledError, Unavailable):
            await self._close_books()
            raise
        return self._execution

    # --- beginning an attempt -------------------------------------------------------------------------------------

    async def _begin(self) -> _Attempt | None:
        """Start the step's next attempt, its inputs pinned."""
        inputs = await self._find_inputs()
        if isinstance(inputs, Failure):
            await self._refuse_start(inputs)
            return None
        pins = tuple(Pin(type=each.type, document_id=each.id, version=each.version) for each in inputs)
        attempt = self._attempt(inputs, number=self._now.attempt + 1, kind=CallKind.GENERATE)

        def start(execution: Execution, context: changes.Context) -> changes.Change:
            return changes.start_step(execution, self._step_id, model=self._model, pins=pins, context=context)

        await self._commit(start, calls=(attempt.call,))
        return attempt

    async def _refuse_start(self, failure: Failure) -> None:
        def start_and_fail(execution: Execution, context: changes.Context) -> changes.Change:
            begun = changes.start_step(execution, self._step_id, model=self._model, pins=(), context=context)
            ended = changes.fail_step(begun.execution, self._step_id, failure, context=context)
            return replace(ended, events=(*begun.events, *ended.events))

        await self._commit(start_and_fail)

    async def _find_inputs(self) -> tuple[Document, ...] | Failure:
        """Return the version that this execution made of each input, else the newest of the scope."""
        documents = self._ports.repositories.documents
        made = {step.produces: step for step in self._execution.steps.values() if step.document_id is not None}
        found: list[Document] = []
        for kind in self._step.inputs:
            maker = made.get(kind)
            if maker is not None and maker.document_id is not None:
                document: Document | None = await documents.get(maker.document_id, maker.document_version)
            else:
                document = await documents.get_by_scope_type(self._execution.scope.id, kind)
            if document is None:
                message = f"The scope has no document {kind!r}, which this step reads."
                return Failure(code=FailureCode.INTERNAL, message=message)
            found.append(document)
        return tuple(found)

    def _attempt(
        self,
        inputs: tuple[Document, ...],
        *,
        number: int,
        kind: CallKind,
        ordinal: int = 1,
        rejected: Rejected | None = None,
    ) -> _Attempt:
        request = build_request(
            step=self._step,
            role=self._definition.roles[self._step.role],
            model=self._model,
            brief=self._execution.input,
            documents=inputs,
            rounds=self._now.rounds,
            rejected=rejected,
        )
        key = CallKey(
            execution_id=self._execution_id, step_id=self._step_id, attempt=number, kind=kind, ordinal=ordinal
        )
        call = Call(
            key=key,
            model=self._model,
            request_hash=request.request_hash,
            status=CallStatus.PENDING,
            started_at=self._ports.clock.now(),
            estimated_cost_usd=self._ports.models.estimate(request),
        )
        return _Attempt(request=request, call=call, inputs=inputs)

    # --- taking up what another runner left, or what was parked ---------------------------------------------------

    async def _resume(self) -> _Attempt | None:
        """Go on with an attempt that was begun and not finished: a reply that was paid for is used."""
        step = self._now
        documents = self._ports.repositories.documents
        inputs = tuple([await documents.get(pin.document_id, pin.version) for pin in step.pins])
        known = await self._ports.ledger.calls(self._execution_id, self._step_id)
        mine = [call for call in known if call.key.attempt == step.attempt]
        rejected = rejected_output(step, known)
        kind = CallKind.REMEDIATE if rejected else CallKind.GENERATE
        for call in mine:
            if call.status is CallStatus.COMMITTED and call.reply is not None:
                attempt = self._attempt(inputs, number=step.attempt, kind=kind, rejected=rejected)
                return await self._decide(replace(attempt, call=call), call.reply)
        # In one transition with the new call, behind the fence: a runner that was overtaken settles nobody's call.
        lost = [self._settled(call, CallStatus.UNKNOWN) for call in mine if call.status is CallStatus.PENDING]
        ordinal = 1 + max((call.key.ordinal for call in mine), default=0)
        attempt = self._attempt(inputs, number=step.attempt, kind=kind, ordinal=ordinal, rejected=rejected)
        await self._commit(self._try_again, calls=(*lost, attempt.call))
        return replace(attempt, failed_tries=failed_tries(mine))

    # --- calling and deciding -------------------------------------------------------------------------------------

    async def _carry_out(self, attempt: _Attempt) -> _Attempt | None:
        try:
            reply = await self._ports.models.complete(attempt.request)
        except ModelError as error:
            return await self._after_failure(attempt, error)
        return await self._decide(attempt, reply)

    async def _after_failure(self, attempt: _Attempt, error: ModelError) -> _Attempt | None:
        """Try again after a wait, park the step when the wait is long, or give up."""
        failed, tries, ports = self._failed(attempt.call, error), attempt.failed_tries + 1, self._ports
        seconds = seconds_to_wait(self._step.retries, error, tries=tries, chance=ports.chance)
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
        await self._settle_with(failed, self._try_again, following)
        return replace(attempt, call=following, failed_tries=tries)

    def _try_again(self, execution: Execution, context: changes.Context) -> changes.Change:
        return parking.try_again(execution, self._step_id, context=context)

    async def _decide(self, attempt: _Attempt, reply: ModelReply) -> _Attempt | None:
        request = attempt.request
        settled = self._settled(attempt.call, CallStatus.COMMITTED, reply=reply)
        outcome = parse_reply(reply, schema=request.output_schema, max_questions=request.max_questions)
        match outcome:
            case ValidDocument(content=content):
                document = new_document(
                    content,
                    execution=self._execution,
                    definition=self._step,
                    call=settled,
                    reply=reply,
                    now=self._ports.clock.now(),
                )
                await self._settle_with(settled, self._complete, document=document)
            case Questions(drafts=drafts):
                await self._settle_with(
                    settled,
                    lambda execution, context: changes.ask(execution, self._step_id, questions=drafts, context=context),
                )
            case Violations(errors=errors):
                return await self._send_back(attempt, settled, errors)
            case Unusable(failure=failure):
                await self._settle_with(settled, self._fail(failure))
            case _:
                assert_never(outcome)
        return None

    async def _send_back(self, attempt: _Attempt, settled: Call, violations: tuple[FieldError, ...]) -> _Attempt | None:
        """Ask again with exactly what was wrong, or give up after the step's `max_attempts`."""
        tried = self._now.invalid_outputs + 1
        if tried >= self._step.max_attempts:
            worst = violations[0]
            message = f"The output was invalid {tried} times; the last at {worst.pointer or '/'}: {worst.detail}"
            failure = Failure(code=FailureCode.VALIDATION_EXHAUSTED, message=message)
            await self._settle_with(settled, self._fail(failure, violations))
            return None
        rejected = Rejected(output=output_of(settled.reply), violations=violations)
        number = self._now.attempt + 1
        following = self._attempt(attempt.inputs, number=number, kind=CallKind.REMEDIATE, rejected=rejected)

        def remediate(execution: Execution, context: changes.Context) -> changes.Change:
            return changes.remediate(execution, self._step_id, violations=violations, context=context)

        await self._settle_with(settled, remediate, following.call)
        return following

    def _complete(self, execution: Execution, context: changes.Context) -> changes.Change:
        return changes.complete_step(execution, self._step_id, context=context)

    def _fail(self, failure: Failure, violations: tuple[FieldError, ...] = ()) -> Decide:
        return lambda execution, context: changes.fail_step(
            execution, self._step_id, failure, context=context, violations=violations
        )
