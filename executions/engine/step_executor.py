"""One step, from its prompt to a valid document."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import assert_never

from executions.engine import changes
from executions.engine.calls import Call, CallKey, ModelReply, ModelRequest
from executions.engine.errors import (
    Conflict,
    FieldError,
    ModelError,
    NotFound,
    Superseded,
    Unavailable,
    VersionConflict,
)
from executions.engine.execution import Document, Execution, Failure, Pin, Step
from executions.engine.finishing import to_the_end
from executions.engine.ports import Decide, Ports, Transition
from executions.engine.prompts import Rejected, build_request
from executions.engine.replies import Questions, Unusable, ValidDocument, Violations, parse_reply, storable
from executions.engine.results import new_document, output_of, rejected_output
from executions.engine.states import WORKING, CallKind, CallStatus, FailureCode
from workflows.definition import StepDefinition, WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One prompt and the call that is made for it."""

    request: ModelRequest
    call: Call
    inputs: tuple[Document, ...]


class LLMStepExecutor:
    """Runs one step of one execution under one runner's epoch.

    The ledger row of a call is committed before the call is made, together with the start of its attempt; the reply
    is committed together with what was decided from it. Progress is told by the events of those commits.
    """

    def __init__(self, ports: Ports, *, definition: WorkflowDefinition, execution: Execution, step_id: str) -> None:
        self._ports = ports
        self._definition = definition
        self._execution_id = execution.id
        self._epoch = execution.runner_epoch
        self._execution = execution
        self._step_id = step_id
        self._step: StepDefinition = definition.step(step_id)
        self._model = ports.models.resolve(self._step.model)
        self._open: Call | None = None  # announced, and not settled in the ledger yet

    async def execute(self) -> Execution:
        """Work until the step waits, is done or has failed; return the execution as it is then.

        Raises:
            Superseded: another runner has taken the execution over.
            IllegalTransition: the execution was ended from outside.
            Unavailable: the database is away.
        """
        try:
            attempt = await self._begin() if self._now.status not in WORKING else await self._resume()
            while attempt is not None:
                attempt = await self._carry_out(attempt)
        except (asyncio.CancelledError, Unavailable):
            await self._close_books()
            raise
        return self._execution

    @property
    def lost_call(self) -> Call | None:
        """The call that a bug left open, as the ledger shall have it: what it cost is not known."""
        return None if self._open is None else self._settled(replace(self._open, reply=None), CallStatus.UNKNOWN)

    @property
    def _now(self) -> Step:
        return self._execution.steps[self._step_id]

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
        )
        return _Attempt(request=request, call=call, inputs=inputs)

    # --- taking up what another runner left -----------------------------------------------------------------------

    async def _resume(self) -> _Attempt | None:
        """Go on with an attempt that a runner began and did not finish: a reply that was paid for is used."""
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
        await self._commit(_unchanged, calls=(*lost, attempt.call))
        return attempt

    # --- calling and deciding -------------------------------------------------------------------------------------

    async def _carry_out(self, attempt: _Attempt) -> _Attempt | None:
        try:
            reply = await self._ports.models.complete(attempt.request)
        except ModelError as error:
            message = storable(str(error))
            failed = self._settled(attempt.call, CallStatus.FAILED, error=message)
            await self._settle_with(failed, self._fail(Failure(code=error.failure_code, message=message)))
            return None
        return await self._decide(attempt, reply)

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

    # --- storing --------------------------------------------------------------------------------------------------

    def _settled(self, call: Call, status: CallStatus, *, reply: ModelReply | None = None, error: str = "") -> Call:
        return replace(call, status=status, reply=reply, error=error, finished_at=self._ports.clock.now())

    async def _settle_with(
        self, call: Call, decide: Decide, following: Call | None = None, *, document: Document | None = None
    ) -> None:
        """Store a call's end with what was decided from it; alone, as discarded, when the decision comes too late."""
        self._open = call
        calls = (call,) if following is None else (call, following)
        await to_the_end(self._settle(call, self._transition(decide, calls=calls, document=document)))

    async def _settle(self, call: Call, transition: Transition) -> None:
        try:
            await self._store(transition)
        except VersionConflict:
            # Not too late: somebody else's write came first. The reply is kept, and whoever takes the step up uses it.
            await self._book(call)
            raise
        except (Conflict, Superseded, NotFound):
            late = CallStatus.DISCARDED if call.status is CallStatus.COMMITTED else call.status
            await self._book(replace(call, status=late))
            raise

    async def _close_books(self) -> None:
        """Settle the call under way, as this runner stops: a reply that has arrived is kept for the next one.

        Whether the provider has answered otherwise nobody knows; if a cancel has discarded the call, that stands.
        """
        if self._open is not None:
            waits = self._open.status is CallStatus.PENDING
            await self._book(self._settled(self._open, CallStatus.UNKNOWN) if waits else self._open)

    async def _book(self, call: Call) -> None:
        await to_the_end(self._ports.ledger.settle(call))
        self._open = None

    async def _commit(self, decide: Decide, *, calls: tuple[Call, ...] = ()) -> None:
        await to_the_end(self._store(self._transition(decide, calls=calls)))

    def _transition(self, decide: Decide, *, calls: tuple[Call, ...], document: Document | None = None) -> Transition:
        return Transition(
            execution_id=self._execution_id, epoch=self._epoch, decide=decide, calls=calls, document=document
        )

    async def _store(self, transition: Transition) -> None:
        self._execution = await self._ports.journal.commit(transition)
        announced = [call for call in transition.calls if call.status is CallStatus.PENDING]
        self._open = announced[-1] if announced else None


def _unchanged(execution: Execution, _context: changes.Context) -> changes.Change:
    return changes.Change(execution=execution)
