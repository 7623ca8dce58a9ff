"""The same ports in memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.utils import timezone

from access.services import claim_root_scope, ensure_user
from access.user import User
from executions import models
from executions.composition import DatabaseClock, PostgresLedger, PublishedDefinitions
from executions.db_threads import in_thread
from executions.engine.domain.calls import Call
from executions.engine.domain.execution import Brief, Execution, ScopeRef
from executions.engine.ports import Ports, Transition
from executions.engine.testing.in_memory import FixedRandom, InMemoryExecutionRepository
from executions.engine.testing.in_memory_models import InMemoryDrafts, ScriptedModelClient
from executions.engine.transitions import core
from executions.engine.transitions.planner import new_execution
from executions.persistence.journal import journal
from executions.persistence.journal.journal import PostgresJournal
from executions.persistence.repositories import create_repositories
from telemetry.models import ModelCall
from tests.factories.engine import World
from tests.integration.persistence.database_rollback import keep_tables, restore_tables
from workflows import repository as workflows


class MemoryWorld(World):
    """Everything in dictionaries."""

    async def log(self) -> list[tuple[int, str, str | None]]:
        """Return (sequence, event, step) of the log."""
        return [(each.sequence, each.event_type, each.step_id) for each in self.journal.log[self.execution_id]]

    async def booked(self) -> list[tuple[str, int, str]]:
        """Return (step, attempt, status) of the ledger."""
        return sorted((key.step_id, key.attempt, call.status.value) for key, call in self.ledger.rows.items())

    async def settle(self, call: Call) -> None:
        """Keep a call apart from any decision."""
        await self.ports.ledger.settle(call)

    async def keep(self) -> None:
        """Keep everything as it is now, for `go_back`."""
        self._kept = deepcopy(self._tables())

    async def go_back(self) -> None:
        """Lose all that was stored since `keep`, as a failover may."""
        for table, kept in zip(self._tables(), deepcopy(self._kept), strict=True):
            table.clear()
            table.update(kept)

    def _tables(self) -> list[dict[Any, Any]]:
        executions = self.ports.repositories.executions
        assert isinstance(executions, InMemoryExecutionRepository)
        return [executions.rows, self.journal.log, self.ledger.rows, self.documents.versions, self.documents.by_person]


class PostgresWorld(World):
    """Everything in tables."""

    def __post_init__(self) -> None:
        """Wire it."""
        super().__post_init__()
        self.ports = Ports(
            repositories=create_repositories("postgres"),
            journal=(journal_port := PostgresJournal()),
            ledger=PostgresLedger(journal_port),
            definitions=PublishedDefinitions(),
            models=ScriptedModelClient(self._reply),
            drafts=InMemoryDrafts(),
            clock=DatabaseClock(),
            chance=FixedRandom(),
        )

    async def start(self, brief: Brief | None = "The brief.") -> PostgresWorld:
        """Accept the execution."""
        await in_thread(self._start, brief)
        return self

    def _start(self, brief: Brief | None) -> None:
        version, _ = workflows.publish(self.definition, now=timezone.now())
        workflows.clear_definitions()  # the table was emptied since
        user: User = ensure_user(name="ann")
        scope = claim_root_scope(user=user, scope_type="project", scope_key="p")
        execution = new_execution(
            self.definition,
            execution_id=self.execution_id,
            workflow_version=version,
            scope=ScopeRef(id=scope.id, type=scope.type, key=scope.key),
            brief=brief,
            now=timezone.now(),
        )
        journal.create(core.create(replace(execution, requested_by=user.pk, requested_by_name="ann", reuse=self.reuse)))

    async def decide(self, decide: Callable[[Execution, core.Context], core.Change]) -> Execution:
        """Do what a person does."""
        return await self.ports.journal.commit(
            Transition(execution_id=self.execution_id, fencing_token=None, decide=decide)
        )

    def check(self) -> None:
        """Nothing to look at without a query; `log` and the documents' constraint tell."""

    async def log(self) -> list[tuple[int, str, str | None]]:
        """Return (sequence, event, step) of the log."""
        rows = models.ExecutionEvent.objects.filter(execution_id=self.execution_id).order_by("sequence")
        return await _all(rows.values_list("sequence", "event_type", "step_id"))

    async def booked(self) -> list[tuple[str, int, str]]:
        """Return (step, attempt, status) of the ledger."""
        rows = ModelCall.objects.filter(execution_id=self.execution_id)
        return sorted(await _all(rows.values_list("step_id", "attempt", "status")))

    async def settle(self, call: Call) -> None:
        """Keep a call apart from any decision."""
        await self.ports.ledger.settle(call)

    async def keep(self) -> None:
        """Keep everything as it is now, for `go_back`."""
        await in_thread(keep_tables)

    async def go_back(self) -> None:
        """Lose all that was stored since `keep`, as a failover may: the server that is there now is another one."""
        await in_thread(restore_tables)


async def _all(rows: Any) -> list[Any]:
    return await in_thread(lambda: list(rows))


def without_ids(execution: Execution) -> dict[str, Any]:
    """Return what must be the same in both worlds."""
    return {
        "status": execution.status,
        "version": execution.version,
        "fencing_token": execution.fencing_token,
        "last_sequence": execution.last_sequence,
        "steps": {
            step.step_id: (
                *(step.status, step.version, step.attempt, step.document_version, step.violations),
                *(step.scope.type, step.scope.key, step.label, step.item_order, step.optional, step.depends_on),
            )
            for step in execution.steps.values()
        },
    }


AnyWorld = MemoryWorld | PostgresWorld
UNKNOWN_ID = UUID(int=0)
