"""The engine's one way to write, on PostgreSQL: group commit.

Commands that queue up while a batch is written go into the next one. (Gawlick and Kinkade, "Varieties of Concurrency
Control in IMS/VS Fast Path", 1985; here it saves statements as well as flushes.) Each command takes this path:

1. A worker decides it on its cache. If the cache lacks something, a plain read adds it first.
2. One statement, guarded by the versions of the snapshot, stores the batch. (Kung and Robinson, "On Optimistic Methods
   for Concurrency Control", ACM TODS 1981.)
3. If the snapshot was stale or lacks something, or if a command was rejected, the same happens on locked rows.

Commands of people begin with the third step, in the transaction of their request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime

import psycopg
from django.db import transaction

from common.database import bulk
from common.database.errors import ErrorKind, error_kind
from common.database.server import database_now, server
from common.errors import DomainError, VersionConflict
from executions.db_threads import backoff_delays, in_journal_thread, in_thread
from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.execution import Execution
from executions.engine.ports import Transition
from executions.engine.transitions.core import Change, number_events
from executions.persistence import event_log, repositories
from executions.persistence.call_ledger import NeedsMore
from executions.persistence.journal import connection, sources
from executions.persistence.journal.cache import SnapshotCache
from executions.persistence.journal.decisions import Command, WriteSet, decide
from executions.persistence.journal.locked_batch import LockedBatch
from executions.persistence.journal.pending import CommitBatch, CommitQueue, PendingCommit, mark_maybe_stored
from executions.persistence.notifier import announce, announce_inbox
from telemetry import spending

MAX_BATCH = 256  # commands of one transaction
STALE_SECONDS = 1.0  # a batch that was decided longer ago, and not sent, is decided again
MIN_SPLIT = 8  # a queue of up to so many commands is never halved
NEARLY_ALL = 0.8  # of the cached executions

#: Errors that send commands to row locks in ordinary operation: a conflict, a lost connection, a rejected value.
_EXPECTED = (NeedsMore, DomainError, psycopg.DataError)

logger = logging.getLogger(__name__)


class PostgresJournal:
    """Stores the transitions of all runners of this process. One task writes; each runner waits for its own."""

    def __init__(
        self,
        *,
        writing: connection.PipelineConnection = connection.writing,
        reading: connection.PipelineConnection = connection.reading,
    ) -> None:
        """Begin with an empty cache; write over one connection, and read over the other at the same time."""
        self._writing, self._reading = writing, reading
        self._cache = SnapshotCache()
        self._server_changes = server.changes  # when the cache was empty
        self._unread: list[PendingCommit] = []  # commands that the cache lacks something for
        self._queue = CommitQueue()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def commit(self, transition: Transition) -> Execution:
        """Store all of `transition` or nothing, and return the execution as it is now.

        During an outage this waits. A transition that was stored as the connection broke is recognised by its calls,
        and is not stored again.
        """
        return await self._submit(transition)

    async def settle(self, call: Call) -> None:
        """Store the end of a call apart from any decision, as the engine's ledger."""
        await self._submit(call)

    async def _submit(self, command: Command) -> Execution:
        loop = asyncio.get_running_loop()
        pending = PendingCommit(command, loop.create_future())
        self._check_server()
        if self._cache.knows(command):
            self._enqueue([pending])
        else:
            self._unread.append(pending)
            if self._reader is None or self._reader.done() or self._reader.get_loop() is not loop:
                self._reader = loop.create_task(self._read_all(), name="journal reads")
        return await pending.outcome

    def _check_server(self) -> None:
        """Clear the cache if the server is another one than before."""
        if self._server_changes != server.changes:
            self._server_changes = server.changes
            self._cache.clear()

    def _enqueue(self, pending: Sequence[PendingCommit]) -> None:
        loop = asyncio.get_running_loop()
        self._queue.put(pending)
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = loop.create_task(self._write_all(), name="journal")

    async def _read_all(self) -> None:
        """Read what the cache lacks, for many commands at a time, while others are written; then enqueue these."""
        while self._unread:
            batch, self._unread = self._unread[:MAX_BATCH], self._unread[MAX_BATCH:]
            try:
                self._check_server()
                before = server.changes
                missing = self._cache.misses([each.command for each in batch])
                found = await sources.read(*missing, self._reading, needs_locks=self._cache.needs_locks)
                if server.changes == before:
                    self._cache.put_missing(found)
            except Exception as error:  # noqa: BLE001 - the read under row locks meets it again, and reports it
                log_reason(error, doing="the cache could not be filled")
            self._enqueue(batch)

    async def _write_all(self) -> None:
        """Write the queue: while one batch is in flight, the next one is decided."""
        in_flight: CommitBatch | None = None
        following: CommitBatch | None = None
        try:
            while self._queue or in_flight is not None:
                following = await self._following(in_flight)
                if in_flight is not None:
                    await self._conclude(in_flight)
                if following is not None and time.monotonic() - following.decided_at > STALE_SECONDS:
                    following = await self._prepare(following.pending)  # the database was unavailable
                in_flight, following = following, None
                if in_flight is not None:
                    self._send(in_flight)
        except BaseException as error:
            for batch in (in_flight, following):
                if batch is not None:
                    batch.give_up(error)
            raise

    async def _following(self, in_flight: CommitBatch | None) -> CommitBatch | None:
        """Decide the next batch: at once if no batch is in flight, else when as many commands have queued up.

        Fewer are enough if nearly all other executions wait, or once the server has responded. So two batches of the
        same size alternate, where every runner has something to write. A journal that takes what is there at any
        moment ends with many small batches.

        If nearly all executions wait, one half goes first: its runners work while the other half is written.
        """
        if in_flight is not None and in_flight.response is not None:
            size = len(in_flight.pending)
            others = len(self._cache) - size
            await self._queue.until(max(1, min(size, int(NEARLY_ALL * others))), in_flight.response)
        is_split = MIN_SPLIT < len(self._queue) >= NEARLY_ALL * len(self._cache)
        limit = len(self._queue) // 2 if is_split else MAX_BATCH
        return await self._prepare(self._queue.take(limit, in_flight=in_flight))

    async def _prepare(self, pending: Sequence[PendingCommit]) -> CommitBatch | None:
        """Decide a batch on the cache."""
        if not pending:
            return None
        self._check_server()
        batch = CommitBatch(pending)
        try:
            budgeted = spending.BUDGETED_SCOPES
            self._cache.set_budgeted(budgeted.value if budgeted.is_fresh() else await in_thread(budgeted.get))
            batch.write_set = decide(batch.commands, self._cache.snapshot(batch.commands), now=database_now())
            batch.statement = batch.write_set.statement()
        except Exception as error:  # noqa: BLE001 - under row locks it shows whether the snapshot was only stale
            batch.error = error
        return batch

    def _send(self, batch: CommitBatch) -> None:
        if batch.error is None and batch.statement is not None:
            response = self._writing.execute(*batch.statement, server_changes=batch.server_changes)
            batch.response = asyncio.get_running_loop().create_task(response, name="journal's response")

    async def _conclude(self, batch: CommitBatch) -> None:
        """Wait until a batch is stored, and resolve its commands; the rest of it goes to row locks."""
        if batch.response is not None:
            try:
                await batch.response
            except Exception as error:  # noqa: BLE001 - as above
                batch.error = error
        if batch.error is None and batch.write_set is not None:
            await self._write_left(self._resolve_stored(batch, batch.write_set))
            return
        log_reason(batch.error, doing="decided again under locks")
        self._cache.invalidate(batch.commands)
        has_refused = getattr(batch.error, "sqlstate", None) is not None  # else the server may have stored the batch
        if batch.response is not None and batch.write_set is not None and not has_refused:
            mark_maybe_stored(batch.pending, batch.write_set)
        await self._write_left(batch.pending)

    def _resolve_stored(self, batch: CommitBatch, stored: WriteSet) -> list[PendingCommit]:
        """Resolve the commands that are stored, and return those that are left for row locks."""
        left: list[PendingCommit] = []
        for pending, outcome in zip(batch.pending, stored.outcomes, strict=True):
            if isinstance(outcome, Execution):
                pending.resolve(outcome)
            else:
                log_reason(outcome, doing="left for locks")
                left.append(pending)
        if batch.server_changes == server.changes:
            self._cache.put_stored(stored)
        announce(*(new.id for _, new in stored.changed))
        announce_inbox(*stored.inbox_roots)
        return left

    async def _write_left(self, left: Sequence[PendingCommit]) -> None:
        try:
            await self._write_locked(left)
        except Exception:  # noqa: BLE001 - the single commands report it
            # A command holds a value that the database rejects, or was overtaken. Alone, only this command fails.
            for pending in left:
                try:
                    await self._write_locked([pending])
                except Exception as error:  # noqa: BLE001 - the caller gets it
                    pending.resolve(error)

    async def _write_locked(self, left: Sequence[PendingCommit]) -> None:
        """Decide commands under row locks and commit them, after an outage if there is one.

        Raises:
            Exception: the database rejects a value, or a command was overtaken; nothing was stored.
        """
        if not left:
            return
        changes, commands = server.changes, [each.command for each in left]
        stored = await self._commit_locked(left, commands)
        self._cache.discard(commands)
        self._cache.detect_contention(stored.snapshot.heads)
        if changes == server.changes:
            self._cache.put_locked(stored)
        for pending, outcome in zip(left, stored.outcomes, strict=True):
            if isinstance(outcome, Execution) and changes == server.changes:
                self._cache.put(outcome, None)
            pending.resolve(outcome)

    async def _commit_locked(self, left: Sequence[PendingCommit], commands: Sequence[Command]) -> WriteSet:
        delays, is_retried = backoff_delays("the journal"), False
        while True:
            self._check_server()
            maybe_stored = [each.command for each in left if each.maybe_stored]
            known, heads = self._cache.executions(commands), self._cache.starting_heads(commands)
            batch = LockedBatch(commands, now=database_now(), known=known, known_heads=heads, maybe_stored=maybe_stored)
            try:
                return await in_journal_thread(batch.commit)
            except VersionConflict:
                if not heads:
                    raise
                self._cache.discard(commands)  # a head was stale
            except DatabaseUnavailable:
                if batch.write_set is not None:
                    mark_maybe_stored(left, batch.write_set)
                await asyncio.sleep(next(delays))
            except Exception as error:
                # A cached row may be gone: the database has lost it.
                if error_kind(error) is not ErrorKind.INTEGRITY or is_retried:
                    raise
                is_retried = True
                server.clear_caches()
                self._cache.clear()


def log_reason(why: BaseException | None, *, doing: str) -> None:
    """Log why commands go to row locks: the expected at DEBUG, a bug as an error with its traceback.

    Under row locks they are decided all the same, so that a bug on the path without locks costs time and no work.
    """
    if bulk.is_refusal(why):
        logger.debug("%s: another process has changed a row", doing)
    elif why is None or isinstance(why, _EXPECTED) or error_kind(why) is not ErrorKind.BUG:
        logger.debug("%s: %r", doing, why)
    else:
        logger.error("%s, because of a bug", doing, exc_info=why)


def apply(transition: Transition, *, now: datetime) -> Execution:
    """Store all of a transition or nothing, in the caller's transaction; return the execution as it is now.

    Raises:
        NotFound: there is no such execution.
        StaleFencingToken: the fencing token is not the row's: another runner has taken over.
        DomainError: what `decide` raises; nothing is stored then.
    """
    [outcome] = LockedBatch([transition], now=now, known={}).commit().outcomes
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
