"""The writes of a step: the end of a call is stored together with what was decided from it."""

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


class StepJournal:
    """The writes of one step of one execution, under one fencing token. No cancellation interrupts a write."""

    def __init__(self, ports: Ports, *, execution: Execution, step_id: str, open_call: Call | None) -> None:
        self.ports = ports
        self.execution = execution  # as this step has met it last
        self.step_id = step_id
        self.open_call = open_call  # announced, and not settled in the ledger yet
        self.is_sent = False  # whether the open call may have reached the model
        #: Steps that the transition which stored the document has started; the runner has to run them.
        self.following: list[PreparedStep] = []
        self.claimed = 0  # steps that it is about to start, or has started

    @property
    def lost_call(self) -> Call | None:
        """The call that a bug left open, as the ledger shall have it: what it cost is not known."""
        return None if self.open_call is None else self.settled(replace(self.open_call, reply=None), CallStatus.UNKNOWN)

    @property
    def step(self) -> Step:
        """The step's own row, as this step has met it last."""
        return self.execution.steps[self.step_id]

    def failed(self, call: Call, error: ModelError) -> Call:
        """Return a call that gave no reply, as the ledger shall have it. Not settled yet, if the runner stops here."""
        status = CallStatus.UNKNOWN if error.cut_off else CallStatus.FAILED
        self.open_call = self.settled(call, status, error=storable(str(error)) or error.code)
        return self.open_call

    def withdrawn(self, call: Call, error: RateLimited) -> Call:
        """Return a call that was announced and will not be made."""
        self.open_call = self.settled(call, CallStatus.FAILED, error=f"{NOT_SENT}: {error.reason}.")
        return self.open_call

    def settled(self, call: Call, status: CallStatus, *, reply: ModelReply | None = None, error: str = "") -> Call:
        """Return a call with its end, as the ledger shall have it."""
        is_free = status is CallStatus.FAILED  # it was refused
        cost_known = is_free or (reply is not None and reply.cost_usd is not None)
        usage_known = is_free or (reply is not None and reply.usage_known)
        return replace(
            call,
            status=status,
            reply=reply,
            error=error,
            finished_at=self.ports.clock.now(),
            estimated_cost_usd=None if cost_known else call.estimated_cost_usd,
            reserved_tokens=0 if usage_known else call.reserved_tokens,
        )

    async def settle_with(
        self, call: Call, decide: Decide, following: Call | None = None, *, document: Document | None = None
    ) -> None:
        """Store a call's end with what was decided from it; alone, as discarded, when the decision comes too late."""
        self.open_call = call
        calls = (call,) if following is None else (call, following)
        await shield_until_done(self._settle(call, self._transition(decide, calls=calls, document=document)))

    async def _settle(self, call: Call, transition: Transition) -> None:
        try:
            await self._store(transition)
        except (Conflict, Invalid, StaleFencingToken, NotFound):
            # Who takes the step up uses the reply. If its call was given up, the ledger counts it as discarded.
            await self._record_call(call)
            raise

    async def close(self) -> None:
        """Settle the calls under way, as their runner stops: a reply that has arrived is kept for the next one.

        Whether the provider has answered another call is unknown. A call that a cancel has discarded stays discarded.
        What was announced and not sent yet cost nothing.
        """
        if self.open_call is not None:
            waits = self.open_call.status is CallStatus.PENDING
            await self._record_call(self._cut_off(self.open_call, sent=self.is_sent) if waits else self.open_call)
        while self.following:
            await self._record_call(self._cut_off(self.following.pop().attempt.call, sent=False))

    def _cut_off(self, call: Call, *, sent: bool) -> Call:
        if sent:
            return self.settled(call, CallStatus.UNKNOWN)
        return self.settled(call, CallStatus.FAILED, error=f"{NOT_SENT}: the worker stopped before.")

    async def _record_call(self, call: Call) -> None:
        await shield_until_done(self.ports.ledger.settle(call))
        self.open_call = None

    async def commit(self, decide: Decide, *, calls: tuple[Call, ...] = ()) -> None:
        """Store what was decided, and announce calls with it."""
        await shield_until_done(self._store(self._transition(decide, calls=calls)))

    def _transition(self, decide: Decide, *, calls: tuple[Call, ...], document: Document | None = None) -> Transition:
        return by_runner(self.execution.claimed_by, self.execution, decide, calls=calls, document=document)

    async def _store(self, transition: Transition) -> None:
        self.execution = await self.ports.journal.commit(transition)
        announced = [call for call in transition.calls if call.status is CallStatus.PENDING]
        # A step that lacks a budget waits; or it has ended with its execution, if nothing else could go on.
        goes_on = self.step.status in WORKING
        self.open_call, self.is_sent = (announced[-1] if announced and goes_on else None), False

    def if_announced(self, attempt: Attempt) -> Attempt | None:
        """Return the attempt whose call was announced; None when the step waits for a budget instead."""
        return None if self.open_call is None else attempt
