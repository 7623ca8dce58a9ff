"""A worker in this process on the real queue: jobs that it takes and returns, and outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker
from pytest_django import Settings

from access.user import User
from common.database.parameters import connection_parameters
from common.database.server import database_now
from documents.models import Document
from executions import composition, models
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.persistence import repositories
from executions.worker import advance, recovery, worker
from executions.worker.active_runs import ACTIVE
from executions.worker.worker import Worker
from telemetry.models import ModelCall, Price, Rollup, RollupState
from telemetry.pricing import prices
from tests.factories.calls import NOON, answered
from tests.factories.engine import Gate, document
from tests.factories.executions import cancel, claim, empty_the_queue, outage, start
from tests.support.waiting import HANG_SECONDS

Plug = Callable[[Callable[[ModelRequest], Awaitable[ModelReply]]], None]


@pytest.fixture(autouse=True)
def quick(settings: Settings) -> None:
    """A worker that is in a hurry."""
    settings.HEARTBEAT_SECONDS = 0.1
    settings.RECOVERY_INTERVAL_SECONDS = 0.2
    settings.SHUTDOWN_GRACE_SECONDS = 0.2
    settings.PROCRASTINATE_WORKER_DEFAULTS = {
        **settings.PROCRASTINATE_WORKER_DEFAULTS,
        "update_heartbeat_interval": 0.1,
    }


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Plug a model into the ports of this process."""

    def with_model(reply: Callable[[ModelRequest], Awaitable[ModelReply]]) -> None:
        ports = replace(composition.build_ports(), models=ScriptedModelClient(reply))
        monkeypatch.setattr(advance, "build_ports", lambda: ports)

    return with_model


@pytest.fixture
def gate(plug: Plug) -> Gate:
    """A model that answers once it is let."""
    gate = Gate(document())
    plug(gate)
    return gate


@asynccontextmanager
async def working(name: str = "me") -> AsyncIterator[asyncio.Event]:
    """Have a worker at work, until the event that this gives is set or the block ends."""
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker(name).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(HANG_SECONDS):
            await worker


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the database says so."""
    async with asyncio.timeout(HANG_SECONDS):
        while not await in_thread(condition):
            await asyncio.sleep(0.02)


def _has(execution_id: UUID, status: ExecutionStatus) -> Callable[[], bool]:
    return lambda: repositories.get(execution_id).status is status


async def test_a_worker_carries_what_was_started_to_its_end_and_leaves_no_trace_of_itself(
    ann: User, plug: Plug
) -> None:
    gate = Gate(document())
    gate.opened.set()
    plug(gate)
    execution_id = (await in_thread(start, ann)).id
    async with working():
        await until(_has(execution_id, ExecutionStatus.COMPLETED))
        await until(lambda: models.WorkerHeartbeat.objects.filter(name="me").exists())
        await until(lambda: not ProcrastinateJob.objects.exists())
    assert await in_thread(models.WorkerHeartbeat.objects.count) == 0
    assert ACTIVE == {}


async def test_a_worker_knows_the_prices_that_people_have_set_by_its_first_call(ann: User, gate: Gate) -> None:
    price = {"provider": "own", "model": "writer", "effective_from": timezone.now(), "input_usd": 1, "output_usd": 2}
    await in_thread(Price.objects.create, **price)
    await in_thread(start, ann)
    async with working():
        await gate.under_way()
        assert prices.is_priced("own:writer", at=timezone.now())


async def test_a_worker_indexes_the_texts_of_documents(ann: User, gate: Gate) -> None:
    gate.opened.set()
    await in_thread(start, ann)
    async with working():
        await until(lambda: Document.objects.filter(search__isnull=False).exists())


async def test_a_worker_rolls_up_calls(ann: User, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ROLL_UP_SECONDS", 0.05)
    await in_thread(answered, ann)
    async with working():
        await until(lambda: Rollup.objects.filter(cut="total").exists())
        await until(lambda: RollupState.objects.filter(sealed_until__gt=NOON).exists())


async def test_a_cancel_ends_the_call_under_way(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    async with working():
        await gate.under_way()
        await in_thread(cancel, ann, execution_id)
        await until(lambda: not ACTIVE)
    assert (await in_thread(ModelCall.objects.get)).status == "discarded"


async def test_a_worker_that_stops_hands_its_work_back_with_a_job_for_the_next(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    async with working():
        await gate.under_way()
    stored = await in_thread(repositories.get, execution_id)
    assert (stored.status, stored.claimed_by) == (ExecutionStatus.RUNNING, None)
    job = await in_thread(ProcrastinateJob.objects.get)
    assert (job.lock, job.status) == (str(execution_id), "todo")
    assert (await in_thread(ModelCall.objects.get)).status == "unknown"
    assert await in_thread(models.WorkerHeartbeat.objects.count) == 0
    gate.opened.set()
    async with working("you"):
        await until(_has(execution_id, ExecutionStatus.COMPLETED))


async def test_a_worker_that_stops_lets_what_ends_in_time_end(ann: User, gate: Gate, settings: Settings) -> None:
    settings.SHUTDOWN_GRACE_SECONDS = HANG_SECONDS
    execution_id = (await in_thread(start, ann)).id
    async with working() as stop:
        await gate.under_way()
        stop.set()
        await asyncio.sleep(1.5)  # one that does not wait is gone by then
        gate.opened.set()
    assert (await in_thread(repositories.get, execution_id)).status is ExecutionStatus.COMPLETED
    assert not await in_thread(ProcrastinateJob.objects.exists)


async def test_a_worker_takes_up_what_another_left(ann: User, gate: Gate) -> None:
    gate.opened.set()
    execution_id = (await in_thread(start, ann)).id
    await in_thread(claim, execution_id, "ghost")
    await in_thread(empty_the_queue)
    async with working():
        await until(_has(execution_id, ExecutionStatus.COMPLETED))


async def test_a_worker_goes_on_after_an_outage(ann: User, gate: Gate) -> None:
    gate.opened.set()
    async with working():
        await until(lambda: models.WorkerHeartbeat.objects.exists())
        with outage():
            await asyncio.sleep(0.5)  # its heartbeat, its recovery and its queue all meet it
        execution_id = (await in_thread(start, ann)).id
        await until(_has(execution_id, ExecutionStatus.COMPLETED))


@contextmanager
def _heartbeats_fail() -> Iterator[None]:
    """Have every beat wait meanwhile, without an error: as on a connection that is silent for a while."""
    with psycopg.connect(**connection_parameters()) as other:
        other.execute("LOCK TABLE executions_workerheartbeat IN SHARE MODE")
        yield


async def test_a_worker_with_late_heartbeats_judges_no_other_worker(ann: User, gate: Gate, settings: Settings) -> None:
    settings.WORKER_SILENT_SECONDS = 4.0
    execution_id = (await in_thread(start, ann)).id
    await in_thread(claim, execution_id, "other")
    await in_thread(empty_the_queue)
    # The other worker's last heartbeat. This worker sends a few before the other one counts as lost.
    await in_thread(recovery.record_heartbeat, name="other", now=database_now())
    async with working():
        await until(models.WorkerHeartbeat.objects.filter(name="me").exists)
        with _heartbeats_fail():
            await asyncio.sleep(settings.WORKER_SILENT_SECONDS + 0.5)
        released = database_now()
        await until(lambda: models.WorkerHeartbeat.objects.filter(name="me", heartbeat_at__gt=released).exists())
        await asyncio.sleep(5 * settings.RECOVERY_INTERVAL_SECONDS)  # the other one goes on a little later
        await in_thread(recovery.record_heartbeat, name="other", now=database_now())
        stored = await in_thread(repositories.get, execution_id)
    assert (stored.claimed_by, gate.reached.is_set()) == ("other", False)


async def test_a_worker_whose_beats_are_as_rare_as_they_may_be_takes_over_from_the_dead(
    ann: User, gate: Gate, settings: Settings
) -> None:
    settings.HEARTBEAT_SECONDS, settings.WORKER_SILENT_SECONDS = 0.5, 1.0
    execution_id = (await in_thread(start, ann)).id
    await in_thread(claim, execution_id, "other")
    await in_thread(empty_the_queue)
    # The other worker's last heartbeat. This worker sends a few before the other one counts as lost.
    await in_thread(recovery.record_heartbeat, name="other", now=database_now())
    gate.opened.set()
    async with working():
        await until(_has(execution_id, ExecutionStatus.COMPLETED))


def _forget_the_queues_workers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")


async def test_a_worker_that_the_queue_has_forgotten_takes_jobs_again(ann: User, gate: Gate) -> None:
    gate.opened.set()
    async with working():
        await until(ProcrastinateWorker.objects.exists)
        await in_thread(_forget_the_queues_workers)  # another one does so, as it starts while this one sleeps
        execution_id = (await in_thread(start, ann)).id
        await until(_has(execution_id, ExecutionStatus.COMPLETED))


async def test_a_worker_that_stops_while_it_connects_leaves_no_task(ann: User) -> None:
    def pool_tasks() -> set[asyncio.Task[Any]]:
        return {each for each in asyncio.all_tasks() if each.get_name().startswith("pool-")}

    async with working() as stop:
        async with asyncio.timeout(HANG_SECONDS):
            while not pool_tasks():
                await asyncio.sleep(0)
        stop.set()
    assert pool_tasks() == set()


async def test_a_worker_that_meets_an_outage_while_it_stops_stops(ann: User, gate: Gate) -> None:
    await in_thread(start, ann)
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker("me").run(stop))
    await gate.under_way()
    stop.set()
    with outage():  # it has begun to stop, and waits for the call under way
        done, _ = await asyncio.wait({worker}, timeout=HANG_SECONDS)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert done


async def test_a_second_job_waits_for_the_first_of_this_process_and_finds_nothing_left(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    await in_thread(empty_the_queue)
    first = asyncio.create_task(advance.advance_execution(execution_id=execution_id, worker="me"))
    await gate.under_way()
    second = asyncio.create_task(advance.advance_execution(execution_id=execution_id, worker="me"))
    gate.opened.set()
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(first, second)
    stored = await in_thread(repositories.get, execution_id)
    assert (stored.status, stored.fencing_token) == (ExecutionStatus.COMPLETED, 1)
    assert ACTIVE == {}


async def test_a_job_for_what_another_living_worker_runs_is_left_to_that_one(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    await in_thread(recovery.record_heartbeat, name="other", now=timezone.now())
    claimed = await in_thread(claim, execution_id, "other")
    await advance.advance_execution(execution_id=execution_id, worker="me")
    assert await in_thread(repositories.get, execution_id) == claimed


async def test_a_job_that_the_queue_cancels_leaves_the_call_under_way_alone(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    await in_thread(empty_the_queue)
    job = asyncio.create_task(advance.advance_execution(execution_id=execution_id, worker="me"))
    await gate.under_way()
    job.cancel()
    await asyncio.wait({job})
    gate.opened.set()
    await until(_has(execution_id, ExecutionStatus.COMPLETED))
    assert [call.status for call in await in_thread(lambda: list(ModelCall.objects.all()))] == ["committed"] * 2


async def test_a_reply_that_comes_while_the_database_is_away_is_kept(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    async with working():
        await gate.under_way()
        with outage():
            gate.opened.set()  # the first reply arrives now
            await asyncio.sleep(1.0)
        await until(_has(execution_id, ExecutionStatus.COMPLETED))
    assert [call.status for call in await in_thread(lambda: list(ModelCall.objects.all()))] == ["committed"] * 2


async def test_the_next_step_is_run_alone(ann: User, gate: Gate) -> None:
    gate.opened.set()
    execution_id = (await in_thread(start, ann)).id
    stored = await advance.execute_next_step(execution_id=execution_id, worker="me")
    assert [step.status for step in stored.steps.values()] == [StepStatus.COMPLETED, StepStatus.PENDING]
    assert (stored.status, stored.claimed_by) == (ExecutionStatus.RUNNING, None)


async def test_the_next_step_is_watched_while_it_runs(ann: User, gate: Gate) -> None:
    execution_id = (await in_thread(start, ann)).id
    await in_thread(empty_the_queue)
    step = asyncio.create_task(advance.execute_next_step(execution_id=execution_id, worker="me"))
    await gate.under_way()
    async with working():
        await in_thread(cancel, ann, execution_id)
        async with asyncio.timeout(HANG_SECONDS):
            assert (await step).status is ExecutionStatus.CANCELLED


async def test_a_worker_wakes_what_was_deferred_and_was_free_meanwhile(
    ann: User, plug: Plug, settings: Settings
) -> None:
    settings.RECOVERY_INTERVAL_SECONDS = 3600  # recovery does not wake it
    asked: list[ModelRequest] = []

    async def busy_at_first(request: ModelRequest) -> ModelReply:
        asked.append(request)
        if len(asked) == 1:
            raise ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Busy.", transient=True, retry_after=6)
        return document()

    plug(busy_at_first)
    execution_id = (await in_thread(start, ann)).id
    async with working():
        await until(_has(execution_id, ExecutionStatus.WAITING))
        await until(lambda: not ProcrastinateJob.objects.exists())
        assert ACTIVE == {}
        # the rest of the wait is not worth waiting for
        await in_thread(models.Execution.objects.update, resume_at=timezone.now())
        await in_thread(models.ExecutionStep.objects.filter(step_id="one").update, resume_at=timezone.now())
        await until(_has(execution_id, ExecutionStatus.COMPLETED))
    assert len(asked) == 3
