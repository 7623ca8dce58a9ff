"""What queues up for the journal, and what of it is written together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from common.database.server import server
from executions.engine.domain.execution import Execution
from executions.persistence.journal.decisions import Command, Outcome, execution_of, scope_of
from executions.persistence.journal.optimistic import Decided


@dataclass(frozen=True, slots=True, eq=False)
class PendingCommit:
    """An item, and who waits to hear what came of it."""

    item: Command
    outcome: asyncio.Future[Execution]

    def resolve(self, outcome: Outcome) -> None:
        """Tell whoever waits; nobody may, any more."""
        if self.outcome.done():
            return
        if isinstance(outcome, Execution):
            self.outcome.set_result(outcome)
        else:
            self.outcome.set_exception(outcome)


class CommitBatch:
    """What is written together without locks: how it was decided, and what became of it."""

    def __init__(self, waiting: Sequence[PendingCommit]) -> None:
        self.waiting = waiting
        self.items = [each.item for each in waiting]
        self.decided: Decided | None = None
        self.decided_at = time.monotonic()
        self.server_changes = server.changes  # as it was decided
        self.statement: tuple[str, list[str]] | None = None  # None: nothing is to be written
        self.sent = False
        self.answer: asyncio.Task[None] | None = None  # the server's
        self.error: Exception | None = None
        self._executions = set(map(execution_of, self.items))
        self._scopes = set(map(scope_of, self.items)) - {None}

    def conflicts_with(self, item: Command) -> bool:
        """Whether an item is about an execution, or the documents of a scope, that the group is about."""
        return execution_of(item) in self._executions or scope_of(item) in self._scopes

    def give_up(self, error: BaseException) -> None:
        """Let nobody wait for ever: whoever writes is stopped, or has failed."""
        if self.answer is not None:
            self.answer.cancel()
        for each in self.waiting:
            if isinstance(error, Exception):
                each.resolve(error)
            else:
                each.outcome.cancel()
