"""Keeping the books of a step: what becomes of a call is stored together with what was decided from it."""

from __future__ import annotations

from executions.engine.domain.calls import Call, ModelReply
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import Conflict, Invalid, ModelError, NotFound, RateLimited, StaleFencingToken
from executions.engine.domain.execution import Document, Execution, Step
from executions.engine.domain.retries import NOT_SENT
from executions.engine.domain.states import WORKING, CallStatus
from executions.engine.ports import Ports, Transition, by_runner
from executions.engine.runtime.attempts import Attempt
from executions.engine.runtime.cancellation import shield_until_done
from executions.engine.runtime.chaining import PreparedStep
from executions.engine.transitions.core import Decide
from workflows.errors import storable


class StepBooks:
    """The writes of one step of one execution, under one fencing token. No cancellation cuts one in half."""

    def __init__(self, ports: Ports, *, execution: Execution, step_id: str, open_call: Call | None) -> None:
        self._ports = ports
        self._execution = execution
        self._step_id = step_id
        self._open = open_call  # announced, and not settled in the ledger yet
        self._sent = False  # whether the open call may have reached the model
        #: What the transition that stored the document has started; somebody has to run it.
        self.following: list[PreparedStep] = []
        self.claimed = 0  # steps that it is about to start, or has started

    @property
    def lost_call(self) -> Call | None:
        """The call that a bug left open, as the ledger shall have it: what it cost is not known."""
        return None if self._open is None else self._settled(replace(self._open, reply=None), CallStatus.UNKNOWN)

    @property
    def execution(self) -> Execution:
        """The execution as this step has met it last."""
        return self._execution

    @property
    def _now(self) -> Step:
        return self._execution.steps[self._step_id]

    def _failed(self, call: Call, error: ModelError) -> Call:
        """Return a call that gave no reply, as the ledger shall have it. Not settled yet, if the runner stops here."""
        status = CallStatus.UNKNOWN if error.cut_off else CallStatus.FAILED
        self._open = self._settled(call, status, error=storable(str(error)) or error.code)
        return self._open

    def _withdrawn(self, call: Call, error: RateLimited) -> Call:
        """Return a call that was announced and will not be made."""
        self._open = self._settled(call, CallStatus.FAILED, error=f"{NOT_SENT}: {error.reason}.")
        return self._open

    def _settled(self, call: Call, status: CallStatus, *, reply: ModelReply | None = None, error: str = "") -> Call:
        is_free = status is CallStatus.FAILED  # it was refused
        cost_known = is_free or (reply is not None and reply.cost_usd is not None)
        usage_known = is_free or (reply is not None and reply.usage_known)
        return replace(
            call,
            status=status,
            reply=reply,
            error=error,
            finished_at=self._ports.clock.now(),
            estimated_cost_usd=None if cost_known else call.estimated_cost_usd,
            reserved_tokens=0 if usage_known else call.reserved_tokens,
        )

    async def _settle_with(
        self, call: Call, decide: Decide, following: Call | None = None, *, document: Document | None = None
    ) -> None:
        """Store a call's end with what was decided from it; alone, as discarded, when the decision comes too late."""
        self._open = call
        calls = (call,) if following is None else (call, following)
        await shield_until_done(self._settle(call, self._transition(decide, calls=calls, document=document)))

    async def _settle(self, call: Call, transition: Transition) -> None:
        try:
            await self._store(transition)
        except (Conflict, Invalid, StaleFencingToken, NotFound):
            # Who takes the step up uses the reply. If its call was given up, the ledger counts it as discarded.
            await self._book(call)
            raise

    async def close_books(self) -> None:
        """Settle the calls under way, as their runner stops: a reply that has arrived is kept for the next one.

        Whether the provider has answered otherwise nobody knows; if a cancel has discarded the call, that stands.
        What was announced and not sent yet cost nothing.
        """
        if self._open is not None:
            waits = self._open.status is CallStatus.PENDING
            await self._book(self._cut_off(self._open, sent=self._sent) if waits else self._open)
        while self.following:
            await self._book(self._cut_off(self.following.pop().attempt.call, sent=False))

    def _cut_off(self, call: Call, *, sent: bool) -> Call:
        if sent:
            return self._settled(call, CallStatus.UNKNOWN)
        return self._settled(call, CallStatus.FAILED, error=f"{NOT_SENT}: the worker stopped before.")

    async def _book(self, call: Call) -> None:
        await shield_until_done(self._ports.ledger.settle(call))
        self._open = None

    async def _commit(self, decide: Decide, *, calls: tuple[Call, ...] = ()) -> None:
        await shield_until_done(self._store(self._transition(decide, calls=calls)))

    def _transition(self, decide: Decide, *, calls: tuple[Call, ...], document: Document | None = None) -> Transition:
        return by_runner(self._execution.claimed_by, self._execution, decide, calls=calls, document=document)

    async def _store(self, transition: Transition) -> None:
        self._execution = await self._ports.journal.commit(transition)
        announced = [call for call in transition.calls if call.status is CallStatus.PENDING]
        # A step that lacks a budget waits; or it has ended with its execution, if nothing else could go on.
        goes_on = self._now.status in WORKING
        self._open, self._sent = (announced[-1] if announced and goes_on else None), False

    def _if_announced(self, attempt: Attempt) -> Attempt | None:
        """Return the attempt whose call was announced; None when the step waits for a budget instead."""
        return None if self._open is None else attempt
