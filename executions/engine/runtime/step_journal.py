"""The writes of a step: one commit stores the end of a call together with the decision that follows."""

from __future__ import annotations

from uuid import UUID

from common.errors import Conflict, Invalid, NotFound
from executions.engine.domain.calls import Call, ModelReply
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import ModelError, RateLimited, StaleFencingToken
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
        self.execution = execution  # after this step's newest write
        self.step_id = step_id
        self.open_call = open_call  # recorded as pending, and not settled in the ledger yet
        self.is_sent = False  # whether the open call may have reached the model
        #: Steps that the transition which stored the document has started; the runner has to run them.
        self.following: list[PreparedStep] = []
        self.claimed = 0  # number of steps that this step will start, or has started

    @property
    def lost_call(self) -> Call | None:
        """The ledger record of a call that an unexpected exception left open. Its cost is unknown."""
        return None if self.open_call is None else self.settled(replace(self.open_call, reply=None), CallStatus.UNKNOWN)

    @property
    def step(self) -> Step:
        """The step's state after its newest write."""
        return self.execution.steps[self.step_id]

    def failed(self, call: Call, error: ModelError) -> Call:
        """Return the ledger record of a failed call. Until it is stored, the call stays open."""
        status = CallStatus.UNKNOWN if error.cut_off else CallStatus.FAILED
        self.open_call = self.settled(call, status, error=storable(str(error)) or error.code)
        return self.open_call

    def withdrawn(self, call: Call, error: RateLimited) -> Call:
        """Return the ledger record of a pending call that will not be made."""
        self.open_call = self.settled(call, CallStatus.FAILED, error=f"{NOT_SENT}: {error.reason}.")
        return self.open_call

    def settled(self, call: Call, status: CallStatus, *, reply: ModelReply | None = None, error: str = "") -> Call:
        """Return the ledger record of an ended call."""
        is_free = status is CallStatus.FAILED  # the provider refused it
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
        self,
        call: Call,
        decide: Decide,
        following: Call | None = None,
        *,
        document: Document | None = None,
        may_start: tuple[tuple[str, UUID], ...] = (),
    ) -> None:
        """Store a call's end with the decision that follows. If the decision is rejected, store only the call's end."""
        self.open_call = call
        calls = (call,) if following is None else (call, following)
        transition = self._transition(decide, calls=calls, document=document, may_start=may_start)
        await shield_until_done(self._settle(call, transition))

    async def _settle(self, call: Call, transition: Transition) -> None:
        try:
            await self._store(transition)
        except (Conflict, Invalid, StaleFencingToken, NotFound):
            # The next worker of the step uses the reply. If the call was discarded, it stays discarded.
            await self._record_call(call)
            raise

    async def close(self) -> None:
        """Settle the open calls, because the runner stops. The next worker uses a reply that has arrived.

        A sent call without a reply has an unknown outcome. A pending call that was not sent cost nothing. A call that
        a cancellation has discarded stays discarded.
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
        """Store a decision, together with new pending calls."""
        await shield_until_done(self._store(self._transition(decide, calls=calls)))

    def _transition(
        self,
        decide: Decide,
        *,
        calls: tuple[Call, ...],
        document: Document | None = None,
        may_start: tuple[tuple[str, UUID], ...] = (),
    ) -> Transition:
        worker, seen = self.execution.claimed_by, self.execution
        return by_runner(worker, seen, decide, calls=calls, document=document, may_start=may_start)

    async def _store(self, transition: Transition) -> None:
        self.execution = await self.ports.journal.commit(transition)
        announced = [call for call in transition.calls if call.status is CallStatus.PENDING]
        # If the budget blocks the step, it waits; or it has ended with its execution.
        goes_on = self.step.status in WORKING
        self.open_call, self.is_sent = (announced[-1] if announced and goes_on else None), False

    def if_announced(self, attempt: Attempt) -> Attempt | None:
        """Return the attempt if its call was recorded; None: the step waits for a budget."""
        return None if self.open_call is None else attempt
