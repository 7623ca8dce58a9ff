"""The engine's one way to write, on PostgreSQL: group commit.

Whatever queued up while the last transaction was committed goes into the next one; a transition that comes alone
waits for nobody. (The idea is as old as Gawlick and Kinkade, "Varieties of Concurrency Control in IMS/VS Fast Path",
1985; here it saves statements as well as flushes.)
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from executions import eventlog, ledger, repository
from executions.batch import Batch, Item, Outcome
from executions.engine.calls import Call
from executions.engine.changes import Change, is_settled
from executions.engine.errors import Unavailable
from executions.engine.execution import Execution
from executions.engine.ports import Transition
from executions.engine.stamping import stamp
from executions.engine.values import replace
from executions.progress.notifier import announce
from executions.threads import in_journal_thread, outage_waits

logger = logging.getLogger(__name__)

BATCH_SIZE = 256  # items of one transaction
KNOWN_EXECUTIONS = 4096  # values kept from the last commit, so that the next one need not read them


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    item: Item
    outcome: asyncio.Future[Execution]


class PostgresJournal:
    """Stores the transitions of all runners of this process. One task writes; the runners wait for their own only."""

    def __init__(self) -> None:
        self._queue: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._known: OrderedDict[UUID, Execution] = OrderedDict()

    async def commit(self, transition: Transition) -> Execution:
        """Store all of `transition` or nothing, and return the execution as it is now.

        While the database is away this waits for it. A transition that was stored as the connection broke is not
        stored again: it is known by its calls.
        """
        return await self._submit(transition)

    async def book(self, call: Call) -> None:
        """Store what became of a call apart from any decision."""
        await self._submit(call)

    async def _submit(self, item: Item) -> Execution:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(item, loop.create_future())
        self._queue.append(waiting)
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = loop.create_task(self._write_all(), name="journal")
        return await waiting.outcome

    async def _write_all(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:BATCH_SIZE], self._queue[BATCH_SIZE:]
            try:
                await self._write(batch)
            except Exception:  # noqa: BLE001 - it is told to whom it concerns, below
                # One of them holds what the database does not take, or was decided on what is not so any more. Each for
                # itself, only that one fails; nobody is left to wait for ever.
                self._known.clear()
                for waiting in batch:
                    await self._write_alone(waiting)

    async def _write_alone(self, waiting: _Waiting) -> None:
        try:
            await self._write([waiting])
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits
            if not waiting.outcome.done():
                waiting.outcome.set_exception(error)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """Commit a batch, however long the database is away.

        Raises:
            Exception: something in it is wrong, or out of date; nothing was stored.
        """
        items, again, waits = [waiting.item for waiting in batch], False, outage_waits("the journal")
        while True:
            try:
                outcomes = await in_journal_thread(self._commit, items, again=again)
                break
            except Unavailable:
                again = True  # whether it was committed is not known
                await asyncio.sleep(next(waits))
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.outcome.done():
                continue  # nobody waits for it any more
            if isinstance(outcome, Execution):
                waiting.outcome.set_result(outcome)
            else:
                waiting.outcome.set_exception(outcome)

    def _commit(self, items: Sequence[Item], *, again: bool) -> list[Outcome]:
        outcomes = Batch(items, now=timezone.now(), known=self._known, again=again).commit()
        for outcome in outcomes:
            if isinstance(outcome, Execution):
                self._remember(outcome)
        return outcomes

    def _remember(self, execution: Execution) -> None:
        self._known.pop(execution.id, None)
        if not is_settled(execution):  # what waits or has ended costs nothing
            self._known[execution.id] = execution
        while len(self._known) > KNOWN_EXECUTIONS:
            self._known.popitem(last=False)


class PostgresLedger:
    """The record of every paid call."""

    def __init__(self, journal: PostgresJournal) -> None:
        self._journal = journal

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""
        return await ledger.calls_of(execution_id, step_id)

    async def settle(self, call: Call) -> None:
        """Keep what became of a call."""
        await self._journal.book(call)


def apply(change_of: Transition, *, now: datetime) -> Execution:
    """Store all of a transition or nothing, in the caller's transaction; return the execution as it is now.

    Raises:
        NotFound: there is no such execution.
        Superseded: the epoch is not the row's: another runner has taken over.
        EngineError: what `decide` raises; nothing is stored then.
    """
    [outcome] = Batch([change_of], now=now, known={}, again=False).commit()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@transaction.atomic
def create(change: Change) -> Execution:
    """Store a new execution with its first events."""
    new = change.execution
    stored, events = stamp(change, current=replace(new, version=0), now=new.created_at)
    repository.save(stored)
    eventlog.append(events)
    transaction.on_commit(lambda: announce(stored.id))
    return stored
