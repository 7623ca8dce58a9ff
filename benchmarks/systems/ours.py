"""Scriptorium: through the queue (`queue`), its runners without the queue (`direct`), its journal alone (`journal`)."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

from django.db import connection

from benchmarks.meter import Meter
from benchmarks.systems import line, transitions
from benchmarks.workload import Size, size_from_arguments
from executions.db_threads import in_thread
from executions.engine.runtime.runner import ExecutionRunner
from executions.worker.worker import Worker

T = TypeVar("T")
POLL_SECONDS = 0.1

_OPEN = "SELECT count(*) FROM executions_execution WHERE status <> 'completed'"
_SECONDS = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM executions_execution"


async def in_flight(items: Iterable[T], size: Size, work: Callable[[T], Awaitable[object]]) -> None:
    """Do the work for each item, so many at once."""
    free = asyncio.Semaphore(size.in_flight)

    async def one(item: T) -> None:
        async with free:
            await work(item)

    await asyncio.gather(*(one(item) for item in items))


def direct(size: Size, ids: list[UUID]) -> None:
    """Run each execution with a runner of its own."""
    meter = Meter()
    ports = line.use(line.QuietModel(meter=meter))
    settle_down()
    with meter:
        asyncio.run(in_flight(ids, size, lambda each: ExecutionRunner(ports, execution_id=each, worker="me").run()))
    meter.report()


def queue(_size: Size, _ids: list[UUID]) -> None:
    """Have a worker take them from the queue."""
    meter = Meter()
    line.use(line.QuietModel(meter=meter))
    with meter:
        asyncio.run(work_until_done())
    # The worker's own start and end apart, as with the others.
    meter.report(seconds=float(number(_SECONDS)))


async def work_until_done() -> None:
    """Be a worker until no execution is open."""
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker("bench").run(stop))
    while await in_thread(number, _OPEN):
        await asyncio.sleep(POLL_SECONDS)
    stop.set()
    await worker


def journal(size: Size, ids: list[UUID]) -> None:
    """Commit transitions that were prepared beforehand."""
    meter = Meter()
    ports = line.use(line.QuietModel())
    prepared = [transitions.of(execution_id, size.steps) for execution_id in ids]

    async def commit(execution_id: UUID, moves: list[transitions.Transition]) -> None:
        for move in moves:
            meter.step(execution_id)
            await ports.journal.commit(move)

    pairs = zip(ids, prepared, strict=True)
    settle_down()
    with meter:
        asyncio.run(in_flight(pairs, size, lambda pair: commit(*pair)))
    meter.report()


def settle_down() -> None:
    """Leave what there is by now out of garbage collections, as a worker does."""
    gc.collect()
    gc.freeze()


def number(query: str) -> float:
    """Return the one number that a query finds."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return float(cursor.fetchone()[0])


if __name__ == "__main__":
    how = {"direct": direct, "queue": queue, "journal": journal}[sys.argv[1]]
    chosen = size_from_arguments()
    started = line.start_all(chosen)
    connection.close()
    how(chosen, started)
    assert not number(_OPEN), "not all executions were completed"
