"""The engine's one way to write, on PostgreSQL: group commit.

Whatever queued up while the last transaction was committed goes into the next one; a transition that comes alone
waits for nobody. (The idea is as old as Gawlick and Kinkade, "Varieties of Concurrency Control in IMS/VS Fast Path",
1985; here it saves statements as well as flushes.) What this process knows it writes without locks (`optimistic.py`),
the rest under them (`locked_batch.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from common.database import bulk
from common.database.errors import ErrorKind, error_kind
from common.database.server import database_now, server
from executions.db_threads import backoff_delays, in_journal_thread, in_thread
from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.execution import Execution
from executions.engine.ports import Transition
from executions.engine.transitions.core import Change, number_events
from executions.persistence import event_log, repositories
from executions.persistence.journal import connection, optimistic
from executions.persistence.journal.cache import SnapshotCache
from executions.persistence.journal.decisions import Command, Outcome, execution_of
from executions.persistence.journal.locked_batch import Batch
from executions.persistence.journal.pending import CommitBatch, PendingCommit
from executions.persistence.notifier import announce
from telemetry.budgets import scope_budgets

BATCH_SIZE = 256  # items of one transaction
STALE_SECONDS = 1.0  # what was decided longer ago, and not sent, is decided again
FEW, CROWD = 8, 0.8  # items that are never halved; the share of all executions that is nearly everybody


class PostgresJournal:
    """Stores the transitions of all runners of this process. One task writes; each runner waits for its own."""

    def __init__(
        self,
        *,
        writing: connection.PipelineConnection = connection.writing,
        reading: connection.PipelineConnection = connection.reading,
    ) -> None:
        """Begin with nothing remembered; write over one connection without locks, and read over the other meanwhile."""
        self._writing, self._reading = writing, reading
        self._queue: list[PendingCommit] = []
        self._writer: asyncio.Task[None] | None = None
        self._memory = SnapshotCache()
        self._server_changes = server.changes  # as they were when something was remembered first
        self._crowd: tuple[int, asyncio.Future[None]] | None = None  # told when as many are queued up
        self._strangers: list[PendingCommit] = []  # to be looked up before they can be written
        self._reader: asyncio.Task[None] | None = None

    async def commit(self, transition: Transition) -> Execution:
        """Store all of `transition` or nothing, and return the execution as it is now.

        While the database is away this waits for it. A transition that was stored as the connection broke is not
        stored again: it is known by its calls.
        """
        return await self._submit(transition)

    async def book(self, call: Call) -> None:
        """Store what became of a call apart from any decision."""
        await self._submit(call)

    async def _submit(self, item: Command) -> Execution:
        loop = asyncio.get_running_loop()
        waiting = PendingCommit(item, loop.create_future())
        self._see_server()
        if self._memory.knows(item):
            self._enqueue(waiting)
        else:
            self._strangers.append(waiting)
            if self._reader is None or self._reader.done() or self._reader.get_loop() is not loop:
                self._reader = loop.create_task(self._read_all(), name="journal reads")
        return await waiting.outcome

    def _see_server(self) -> None:
        """Remember nothing of another server than the one that is there now."""
        if self._server_changes != server.changes:
            self._server_changes = server.changes
            self._memory.clear()

    def _enqueue(self, *waiting: PendingCommit) -> None:
        loop = asyncio.get_running_loop()
        self._queue += waiting
        if self._crowd is not None and len(self._queue) >= self._crowd[0] and not self._crowd[1].done():
            self._crowd[1].set_result(None)
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = loop.create_task(self._write_all(), name="journal")

    async def _read_all(self) -> None:
        """Look up what the strangers are about, many at a time, while others are written; then let them queue up."""
        while self._strangers:
            batch, self._strangers = self._strangers[:BATCH_SIZE], self._strangers[BATCH_SIZE:]
            try:
                self._see_server()
                before, lacking = server.changes, self._memory.lacking([waiting.item for waiting in batch])
                found = await optimistic.read(lacking, self._memory, self._reading)
                if server.changes == before:
                    self._memory.put(found)
            except Exception as error:  # noqa: BLE001 - whoever writes under locks meets it again, and tells
                optimistic.log_reason(error, doing="nothing could be looked up")
            self._enqueue(*batch)

    async def _write_all(self) -> None:
        """Write what is queued up: while one batch is under way, the next one is decided."""
        under_way: CommitBatch | None = None
        following: CommitBatch | None = None
        try:
            while self._queue or under_way is not None:
                following = await self._following(under_way)
                if under_way is not None:
                    await self._conclude(under_way)
                if following is not None and time.monotonic() - following.decided_at > STALE_SECONDS:
                    following = await self._prepare(following.waiting)  # the database was away
                under_way, following = following, None
                if under_way is not None:
                    self._send(under_way)
        except BaseException as error:
            for group in (under_way, following):
                if group is not None:
                    group.give_up(error)
            raise

    async def _following(self, under_way: CommitBatch | None) -> CommitBatch | None:
        """Decide the next batch: at once if none is under way, else when as many have queued up.

        Fewer are enough if they are nearly all that there are besides, or once the server has answered. So two batches
        of the same size take turns, where every runner has something to write: whoever took what is there at any
        moment would end with many small ones.
        """
        if under_way is not None and under_way.answer is not None:
            written = len(under_way.items)
            others = len(self._memory) - written
            await self._until_queued(max(1, min(written, int(CROWD * others))), under_way.answer)
        return await self._prepare(self._take(under_way))

    async def _until_queued(self, number: int, answer: asyncio.Task[None]) -> None:
        """Wait until so many items are queued up, or there is the answer."""
        if len(self._queue) >= number:
            return
        crowd: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crowd = (number, crowd)
        try:
            await asyncio.wait({answer, crowd}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._crowd = None

    def _take(self, under_way: CommitBatch | None) -> list[PendingCommit]:
        """Take what may be decided already, in the order in which it came; what is about the same has to wait.

        If nearly everybody waits, half of them go first: they work while the others are written, and so on in turn.
        """
        most = BATCH_SIZE
        if FEW < len(self._queue) >= CROWD * len(self._memory):
            most = len(self._queue) // 2
        taken: list[PendingCommit] = []
        left: list[PendingCommit] = []
        for waiting in self._queue:
            free = len(taken) < most and (under_way is None or not under_way.conflicts_with(waiting.item))
            (taken if free else left).append(waiting)
        self._queue = left
        return taken

    async def _prepare(self, taken: Sequence[PendingCommit]) -> CommitBatch | None:
        """Decide what needs no locks."""
        if not taken:
            return None
        self._see_server()
        batch = CommitBatch(taken)
        try:
            budgeted = scope_budgets.BUDGETED_SCOPES
            self._memory.know_limited(budgeted.value if budgeted.is_fresh() else await in_thread(budgeted.get))
            batch.decided = optimistic.decide(batch.items, self._memory, now=database_now())
            if writes := [*batch.decided.writes()]:
                batch.statement = bulk.to_single_statement(writes)
        except Exception as error:  # noqa: BLE001 - under locks it is told apart from what is only out of date
            batch.error = error
        return batch

    def _send(self, batch: CommitBatch) -> None:
        if batch.error is None and batch.statement is not None:
            batch.sent = True
            answer = self._writing.execute(*batch.statement, server_changes=batch.server_changes)
            batch.answer = asyncio.get_running_loop().create_task(answer, name="journal's answer")

    async def _conclude(self, batch: CommitBatch) -> None:
        """Wait until a batch is written, tell those whom it concerns, and write the rest of it under locks."""
        if batch.answer is not None:
            try:
                await batch.answer
            except Exception as error:  # noqa: BLE001 - as above
                batch.error = error
        left: Sequence[PendingCommit] = batch.waiting
        lost: list[Command] = []
        if batch.error is not None or batch.decided is None:
            # Somebody else has changed a row, or something in it is wrong.
            optimistic.log_reason(batch.error, doing="decided again under locks")
            self._memory.invalidate(batch.items)
            if batch.sent and batch.decided is not None and getattr(batch.error, "sqlstate", None) is None:
                lost += batch.decided.known_by_calls  # or stored: the server has not said that it refuses
        else:
            told = list(zip(batch.waiting, batch.decided.outcomes, strict=True))
            for waiting, outcome in told:
                if outcome is not None:
                    waiting.resolve(outcome)
            if batch.server_changes == server.changes:
                batch.decided.remember(self._memory)
            announce(*(stored.id for _, stored in batch.decided.pairs))
            left = [waiting for waiting, outcome in told if outcome is None]
        await self._write_left(left, lost)

    async def _write_left(self, left: Sequence[PendingCommit], lost: list[Command]) -> None:
        try:
            await self._write(left, lost)
        except Exception:  # noqa: BLE001 - it is told to whom it concerns, below
            # One of them holds what the database does not take, or was decided on what is not so any more. Each for
            # itself, only that one fails; nobody is left to wait for ever.
            for waiting in left:
                await self._write_alone(waiting, lost)

    async def _write_alone(self, waiting: PendingCommit, lost: list[Command]) -> None:
        try:
            await self._write([waiting], lost)
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits
            waiting.resolve(error)

    async def _write(self, left: Sequence[PendingCommit], lost: list[Command]) -> None:
        """Commit under locks, however long the database is away.

        Args:
            left: What is to be stored.
            lost: What of it may have been stored already; more are added.

        Raises:
            Exception: something in it is wrong, or out of date; nothing was stored.
        """
        if not left:
            return
        batch, outcomes = await self._commit_batch(items := [waiting.item for waiting in left], lost)
        self._memory.discard(items)
        self._memory.detect_contention(batch.heads)
        for waiting, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Execution) and batch.server_changes == server.changes:
                self._memory.remember(outcome, None)
            waiting.resolve(outcome)

    async def _commit_batch(self, items: Sequence[Command], lost: list[Command]) -> tuple[Batch, list[Outcome]]:
        """Commit a transaction's worth of items; return it, and the outcome of each."""
        waits, has_forgotten = backoff_delays("the journal"), False
        while True:
            self._see_server()
            batch = Batch(items, now=database_now(), known=self._memory.executions(map(execution_of, items)), lost=lost)
            try:
                return batch, await in_journal_thread(batch.commit)
            except DatabaseUnavailable:
                lost += batch.known_by_calls  # whether they were committed is not known
                await asyncio.sleep(next(waits))
            except Exception as error:
                # A row that was relied on may be gone: remembered, and lost by the database since.
                if error_kind(error) is not ErrorKind.INTEGRITY or has_forgotten:
                    raise
                has_forgotten = True
                server.clear_caches()
                self._memory.clear()


def apply(change_of: Transition, *, now: datetime) -> Execution:
    """Store all of a transition or nothing, in the caller's transaction; return the execution as it is now.

    Raises:
        NotFound: there is no such execution.
        StaleFencingToken: the fencing token is not the row's: another runner has taken over.
        DomainError: what `decide` raises; nothing is stored then.
    """
    [outcome] = Batch([change_of], now=now, known={}).commit()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@transaction.atomic
def create(change: Change, *, version_id: int | None = None) -> Execution:
    """Store a new execution with its first events; `version_id` is the key of its workflow's version, if known."""
    new = change.execution
    stored, events = number_events(change, current=replace(new, version=0), now=new.created_at)
    if version_id is None:
        repositories.save(stored)
    else:
        repositories.insert(stored, version_id=version_id)
    bulk.write_later(event_log.insert_writes(events))
    transaction.on_commit(lambda: announce(stored.id))
    return stored
