"""The engine's ports, plugged in for real."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cache
from random import SystemRandom

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from executions.drafts import DraftBook
from executions.engine.errors import NotFound
from executions.engine.ports import Ports
from executions.journal import PostgresJournal, PostgresLedger
from executions.llm.client import model_client
from executions.repository import create_repositories
from executions.threads import patiently
from workflows import repository as workflows
from workflows.definition import WorkflowDefinition


class PublishedDefinitions:
    """Published workflow versions."""

    async def get(self, workflow_id: str, version: int) -> WorkflowDefinition:
        """Return the definition."""
        if (known := workflows.known_definition(workflow_id, version)) is not None:
            return known
        try:
            return await patiently(workflows.get_definition, workflow_id, version)
        except ObjectDoesNotExist as error:
            raise NotFound("There is no such workflow version.") from error


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return timezone.now()

    async def sleep(self, seconds: float) -> None:
        """Return once so much time has passed."""
        await asyncio.sleep(seconds)


@cache
def ports() -> Ports:
    """Return the ports of this process."""
    journal = PostgresJournal()
    return Ports(
        repositories=create_repositories("postgres"),
        journal=journal,
        ledger=PostgresLedger(journal),
        definitions=PublishedDefinitions(),
        models=model_client(),
        drafts=DraftBook(),
        clock=SystemClock(),
        chance=SystemRandom(),
        max_recoveries=settings.MAX_RECOVERIES,
        park_after_seconds=settings.PARK_AFTER_SECONDS,
        patience_seconds=settings.MODEL_PATIENCE_SECONDS,
    )
