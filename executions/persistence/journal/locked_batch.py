"""One transaction: commands are decided on locked rows, and the statement that stores them travels with COMMIT."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from uuid import UUID

from django.db import DataError, transaction

from common.database import bulk
from common.database.server import server
from common.errors import VersionConflict
from documents import repository as documents
from executions.engine.domain.execution import Execution
from executions.persistence import repositories
from executions.persistence.journal import sources
from executions.persistence.journal.decisions import Command, Heads, WriteSet, decide
from executions.persistence.notifier import announce, announce_inbox
from telemetry import ledger


class LockedBatch:
    """Commands of one transaction, in the order in which they came."""

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        now: datetime,
        known: Mapping[UUID, Execution],
        known_heads: Mapping[UUID, Heads] = MappingProxyType({}),
        maybe_stored: Collection[Command] = (),
    ) -> None:
        """Prepare a transaction.

        Args:
            commands: What is to be stored.
            now: The present moment.
            known: Executions that may still be current.
            known_heads: Heads of scopes in which steps start, which may still be current.
            maybe_stored: Commands that may have been stored already.
        """
        self._commands, self._now, self._maybe_stored = commands, now, maybe_stored
        self._known, self._known_heads = known, known_heads
        self._server_changes = server.changes
        self.write_set: WriteSet | None = None  # None: nothing was sent

    def commit(self) -> WriteSet:
        """Store what can be stored, and return it.

        Raises:
            VersionConflict: a writer without locks has changed a row meanwhile; no command was stored.
                Within a transaction of the caller its COMMIT is refused instead (`bulk.is_refusal`).
        """
        try:
            with transaction.atomic():
                self.write_set = self._decide()
                self._store(self.write_set)
        except DataError as error:
            if self.write_set is None or not bulk.is_refusal(error):
                raise
            versions = (each.version for each in self.write_set.snapshot.executions.values())
            raise VersionConflict("The execution", expected=max(versions, default=0)) from error
        return self.write_set

    def _decide(self) -> WriteSet:
        # The connection of this transaction may be to another server than the one that `known` is of.
        known, heads = (self._known, self._known_heads) if server.changes == self._server_changes else ({}, {})
        snapshot = sources.lock(self._commands, known=known, known_heads=heads, now=self._now)
        while True:
            write_set = decide(self._commands, snapshot, now=self._now, maybe_stored=self._maybe_stored)
            if not write_set.needs:
                return write_set
            snapshot = sources.load_more(snapshot, write_set.needs, now=self._now)

    def _store(self, write_set: WriteSet) -> None:
        documents.store_schemas(repositories.stored_document(each) for each in write_set.documents)
        if (statement := write_set.statement()) is not None:
            bulk.execute_later(*statement)
        for execution_id in write_set.discarding:
            ledger.discard_pending(execution_id, now=self._now)
        transaction.on_commit(partial(announce, *(new.id for _, new in write_set.changed)))
        transaction.on_commit(partial(announce_inbox, *write_set.inbox_roots))
