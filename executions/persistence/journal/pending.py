"""Commands that wait for the journal, and batches that are written without locks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from common.database.server import server
from executions.engine.domain.execution import Execution
from executions.persistence.journal.decisions import Command, Outcome, WriteSet, execution_of, scope_of


@dataclass(slots=True, eq=False)
class PendingCommit:
    """A command, and its caller's future."""

    command: Command
    outcome: asyncio.Future[Execution]
    maybe_stored: bool = False  # the connection was lost during COMMIT; its calls tell

    def resolve(self, outcome: Outcome) -> None:
        """Resolve the caller's future; a no-op if the caller was cancelled."""
        if self.outcome.done():
            return
        if isinstance(outcome, Execution):
            self.outcome.set_result(outcome)
        else:
            self.outcome.set_exception(outcome)


def mark_maybe_stored(pending: Sequence[PendingCommit], write_set: WriteSet) -> None:
    """Mark the commands whose calls tell whether they were stored; the others are decided again in any case."""
    for each, changes_calls in zip(pending, write_set.changes_calls, strict=True):
        each.maybe_stored |= changes_calls


class CommitBatch:
    """Commands that are decided on the cache and written by one statement."""

    def __init__(self, pending: Sequence[PendingCommit]) -> None:
        self.pending = pending
        self.commands = [each.command for each in pending]
        self.write_set: WriteSet | None = None  # None: see `error`
        self.decided_at = time.monotonic()
        self.server_changes = server.changes  # when it was decided
        self.statement: tuple[str, list[str]] | None = None  # None: nothing is to be written
        self.response: asyncio.Task[None] | None = None  # None: nothing was sent
        self.error: Exception | None = None
        self._executions = set(map(execution_of, self.commands))
        self._scopes = set(map(scope_of, self.commands)) - {None}

    def conflicts_with(self, command: Command) -> bool:
        """Return whether a command has an execution, or a scope of documents, in common with the batch."""
        return execution_of(command) in self._executions or scope_of(command) in self._scopes

    def give_up(self, error: BaseException) -> None:
        """Resolve all futures: the writer was cancelled, or has failed."""
        if self.response is not None:
            self.response.cancel()
        for each in self.pending:
            if isinstance(error, Exception):
                each.resolve(error)
            else:
                each.outcome.cancel()


class CommitQueue:
    """Commands that wait for the writer, in the order in which they came."""

    def __init__(self) -> None:
        self._pending: list[PendingCommit] = []
        self._target: tuple[int, asyncio.Future[None]] | None = None  # resolved when the queue has this length

    def __len__(self) -> int:
        """Return how many commands wait."""
        return len(self._pending)

    def put(self, pending: Sequence[PendingCommit]) -> None:
        """Add commands."""
        self._pending += pending
        if self._target is not None and len(self._pending) >= self._target[0] and not self._target[1].done():
            self._target[1].set_result(None)

    async def until(self, length: int, response: asyncio.Task[None]) -> None:
        """Return once the queue has this length, or the server has responded."""
        if len(self._pending) >= length:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._target = (length, reached)
        try:
            await asyncio.wait({response, reached}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._target = None

    def take(self, limit: int, *, in_flight: CommitBatch | None) -> list[PendingCommit]:
        """Remove and return up to `limit` commands that do not conflict with the batch in flight."""
        taken: list[PendingCommit] = []
        left: list[PendingCommit] = []
        for each in self._pending:
            is_free = len(taken) < limit and (in_flight is None or not in_flight.conflicts_with(each.command))
            (taken if is_free else left).append(each)
        self._pending = left
        return taken
