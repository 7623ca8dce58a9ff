"""Composition root: the engine's ports with their production implementations."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cache
from random import SystemRandom
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist

from common.database.server import database_now
from common.errors import NotFound
from executions.db_threads import retry_while_unavailable
from executions.engine.domain.calls import Call
from executions.engine.ports import Ports
from executions.llm.client import model_client
from executions.persistence import call_ledger
from executions.persistence.drafts import DraftWriter
from executions.persistence.journal.journal import PostgresJournal
from executions.persistence.repositories import create_repositories
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition


class PublishedDefinitions:
    """Published workflow versions."""

    async def get(self, workflow_id: str, version: int) -> WorkflowDefinition:
        """Return the definition."""
        if (known := workflows.cached_definition(workflow_id, version)) is not None:
            return known
        try:
            return await retry_while_unavailable(workflows.get_definition, workflow_id, version)
        except ObjectDoesNotExist as error:
            raise NotFound("There is no such workflow version.") from error


class PostgresLedger:
    """The record of every paid call."""

    def __init__(self, journal: PostgresJournal) -> None:
        self._journal = journal

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""
        return await call_ledger.calls_of(execution_id, step_id)

    async def settle(self, call: Call) -> None:
        """Store the outcome of a call."""
        await self._journal.settle(call)


class DatabaseClock:
    """The database's clock, which all workers share. Sleeping uses the machine's clock."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return database_now()

    async def sleep(self, seconds: float) -> None:
        """Return after this time."""
        await asyncio.sleep(seconds)


@cache
def build_ports() -> Ports:
    """Return the ports of this process."""
    journal = PostgresJournal()
    return Ports(
        repositories=create_repositories("postgres"),
        journal=journal,
        ledger=PostgresLedger(journal),
        definitions=PublishedDefinitions(),
        models=model_client(),
        drafts=DraftWriter(),
        clock=DatabaseClock(),
        chance=SystemRandom(),
        max_recoveries=settings.MAX_RECOVERIES,
        defer_after_seconds=settings.DEFER_AFTER_SECONDS,
        patience_seconds=settings.MODEL_PATIENCE_SECONDS,
    )
