"""Many executions in few scopes, with two journals, broken connections and commands of people."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils import timezone

from access.user import User
from common.errors import DomainError
from documents.models import Document, DocumentVersion
from executions import composition, models
from executions.composition import PostgresLedger
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.execution import Execution
from executions.engine.ports import Ports, Transition
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions import core
from executions.persistence.journal import journal
from executions.persistence.journal.connection import PipelineConnection, Row
from executions.persistence.journal.journal import PostgresJournal
from telemetry.models import ModelCall
from tests.factories.engine import FORK, document
from tests.factories.executions import start
from tests.support.waiting import HANG_SECONDS

EXECUTIONS, SCOPES = 18, 12  # half of the executions have a scope of their own
BEFORE, AFTER = 7, 5  # each so many statements the connection breaks before one is sent, after one was carried out
LATE = 0.3  # of all reads


@dataclass
class Shaky(PipelineConnection):
    """A line that breaks now and then: before a statement is sent, or after it was carried out."""

    chance: random.Random
    told: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Have no connection yet."""
        super().__init__()

    async def execute(self, statement: str, parameters: Sequence[str], *, server_changes: int | None = None) -> None:
        """Carry a statement out, unless the connection breaks before; it may break after as well."""
        self._break("before", BEFORE)
        await super().execute(statement, parameters, server_changes=server_changes)
        self._break("after", AFTER)

    async def fetch_all(self, queries: Sequence[tuple[str, Sequence[object]]]) -> list[list[Row]]:
        """Answer, at times late."""
        found = await super().fetch_all(queries)
        if self.chance.random() < LATE:
            await asyncio.sleep(self.chance.random() * 0.03)
        return found

    def _break(self, when: str, every: int) -> None:
        self.told[when] += 1
        if self.told[when] % every == 0:
            self.broken[when] += 1
            self.close()
            raise DatabaseUnavailable("The connection broke.")


@dataclass
class Storm:
    """Two workers' journals, and what the model was asked."""

    chance: random.Random
    asked: Counter[tuple[UUID | None, str]] = field(default_factory=Counter)
    lines: list[Shaky] = field(default_factory=list)

    def ports(self) -> Ports:
        """Return the ports of another worker."""
        writing, reading = Shaky(self.chance), Shaky(self.chance)
        self.lines += [writing, reading]
        own = PostgresJournal(writing=writing, reading=reading)
        return replace(
            composition.build_ports(), models=ScriptedModelClient(self._reply), journal=own, ledger=PostgresLedger(own)
        )

    async def _reply(self, request: ModelRequest) -> ModelReply:
        self.asked[request.scope_id, request.step_id] += 1
        await asyncio.sleep(self.chance.random() * 0.02)
        return document(request.step_id)

    async def run(self, ports: Ports, execution_id: UUID) -> Execution:
        """Run an execution to its end, however often it is handed back."""
        while not (execution := await ExecutionRunner(ports, execution_id=execution_id, worker="a").run()).ended:
            await asyncio.sleep(0)
        return execution

    async def meddle(self, execution_ids: list[UUID]) -> None:
        """Change executions, as people do."""
        for _ in range(40):
            await asyncio.sleep(0.01)
            await in_thread(touch, self.chance.choice(execution_ids))


def touch(execution_id: UUID) -> None:
    """Change an execution from outside."""
    try:
        journal.apply(
            Transition(execution_id=execution_id, fencing_token=None, decide=lambda now, _: core.Change(execution=now)),
            now=timezone.now(),
        )
    except DomainError:
        return  # it has ended


def flaws(execution_ids: list[UUID]) -> list[object]:
    """Return what must not be."""
    found: list[object] = []
    for each in execution_ids:
        events = list(models.ExecutionEvent.objects.filter(execution_id=each).order_by("sequence"))
        numbers = [event.sequence for event in events]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(("log", each, numbers))
        calls = list(ModelCall.objects.filter(execution_id=each))
        totals = events[-1].data["totals"]
        cost = sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0))
        if (totals["calls"], totals["known_cost_usd"]) != (len(calls), f"{cost:.10f}"):
            found.append(("totals", each, totals, cost))
    for feed in models.Feed.objects.all():
        rows = models.ExecutionEvent.objects.filter(scope_id=feed.scope_id).order_by("scope_sequence")
        if list(rows.values_list("scope_sequence", flat=True)) != list(range(1, feed.last + 1)):
            found.append(("feed", feed.scope_id))
    for head in Document.objects.all():
        versions = DocumentVersion.objects.filter(document=head).order_by("version").values_list("version", flat=True)
        if list(versions) != list(range(1, head.version + 1)):
            found.append(("document", head.type, list(versions)))
    return found


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.torture) for seed in (1, 2, 3))])
async def test_whatever_breaks_logs_are_whole_nothing_is_doubled_and_costs_agree(ann: User, seed: int) -> None:
    storm = Storm(random.Random(seed))  # noqa: S311 - what happens when
    execution_ids = [(await in_thread(start, ann, FORK, scope=f"p{n % SCOPES}")).id for n in range(EXECUTIONS)]
    workers = [storm.ports(), storm.ports()]
    meddling = asyncio.create_task(storm.meddle(execution_ids))
    async with asyncio.timeout(HANG_SECONDS):
        ended = await asyncio.gather(*(storm.run(workers[n % 2], each) for n, each in enumerate(execution_ids)))
        await meddling
    for each in storm.lines:
        each.close()
    assert {each.status.value for each in ended} == {"completed"}
    broken = sum((each.broken for each in storm.lines), Counter[str]())
    assert broken["before"] + broken["after"] > 0
    assert await in_thread(flaws, execution_ids) == []
    sent = await in_thread(ModelCall.objects.exclude(error__startswith="It was not sent").count)
    assert sum(storm.asked.values()) == sent
    versions = await in_thread(DocumentVersion.objects.count)
    assert versions == EXECUTIONS * len(FORK.steps)
