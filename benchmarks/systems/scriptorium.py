"""Scriptorium: through the queue (`queue`), runners without the queue (`direct`), only the journal (`journal`)."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

from django.db import connection

from benchmarks.metrics import Meter
from benchmarks.systems import transitions, workload
from benchmarks.workload import Size, size_from_arguments
from executions.db_threads import in_thread
from executions.engine.runtime.runner import ExecutionRunner
from executions.worker.worker import Worker

T = TypeVar("T")
POLL_SECONDS = 0.1

_OPEN = "SELECT count(*) FROM executions_execution WHERE status <> 'completed'"
_SECONDS = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM executions_execution"


async def in_flight(items: Iterable[T], size: Size, work: Callable[[T], Awaitable[object]]) -> None:
    """Run the work for all items, with limited concurrency."""
    slots = asyncio.Semaphore(size.in_flight)

    async def one(item: T) -> None:
        async with slots:
            await work(item)

    await asyncio.gather(*(one(item) for item in items))


def direct(size: Size, ids: list[UUID]) -> None:
    """Run each execution with a runner of its own."""
    meter = Meter()
    ports = workload.use_model(workload.InstantModel(meter=meter))
    freeze_garbage()
    with meter:
        asyncio.run(in_flight(ids, size, lambda each: ExecutionRunner(ports, execution_id=each, worker="me").run()))
    meter.report()


def queue(_size: Size, _ids: list[UUID]) -> None:
    """Run a worker that takes the executions from the queue."""
    meter = Meter()
    workload.use_model(workload.InstantModel(meter=meter))
    with meter:
        asyncio.run(work_until_done())
    # Without the startup and shutdown of the worker, as for the other systems.
    meter.report(seconds=float(number(_SECONDS)))


async def work_until_done() -> None:
    """Run a worker until no execution is open."""
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker("bench").run(stop))
    while await in_thread(number, _OPEN):
        await asyncio.sleep(POLL_SECONDS)
    stop.set()
    await worker


def journal(size: Size, ids: list[UUID]) -> None:
    """Commit prepared transitions."""
    meter = Meter()
    ports = workload.use_model(workload.InstantModel())
    prepared = [transitions.transitions_of(execution_id, size.steps) for execution_id in ids]

    async def commit(execution_id: UUID, prepared_transitions: list[transitions.Transition]) -> None:
        for transition in prepared_transitions:
            meter.step(execution_id)
            await ports.journal.commit(transition)

    pairs = zip(ids, prepared, strict=True)
    freeze_garbage()
    with meter:
        asyncio.run(in_flight(pairs, size, lambda pair: commit(*pair)))
    meter.report()


def freeze_garbage() -> None:
    """Exempt existing objects from garbage collection, as a worker does."""
    gc.collect()
    gc.freeze()


def number(query: str) -> float:
    """Return the single number of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return float(cursor.fetchone()[0])


if __name__ == "__main__":
    mode = {"direct": direct, "queue": queue, "journal": journal}[sys.argv[1]]
    chosen = size_from_arguments()
    started = workload.start_all(chosen)
    connection.close()
    mode(chosen, started)
    assert not number(_OPEN), "not all executions were completed"
