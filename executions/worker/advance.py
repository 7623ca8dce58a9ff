"""Carrying executions on: what a job of the queue does."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from django.conf import settings

from executions.composition import build_ports
from executions.db_threads import in_thread, retry_while_unavailable
from executions.engine.domain.errors import AlreadyClaimed, DatabaseUnavailable, NotFound
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.engine.runtime.runner import ExecutionRunner
from executions.queue.jobs import enqueue_advance
from executions.worker import recovery
from executions.worker.active_runs import register, run_exclusively
from telemetry.pricing import prices
from telemetry.rate_limits import store

PRICES_SECONDS = 30.0  # age of known prices at which a run loads them; the worker loads them more often

logger = logging.getLogger(__name__)


async def advance_execution(*, execution_id: UUID, worker: str) -> None:
    """Carry an execution on until nothing in it can go on. One that has nothing to run costs one look.

    One that another worker runs is left to it: that worker sees for itself what has changed. While the database is
    away this waits. Cancelled, it goes on all the same (`active_runs.stop` ends it). One that is gone is left.
    """
    await run_exclusively(execution_id, lambda: _advance(execution_id, worker))


async def _know_prices_and_limits() -> None:
    for cache in (prices.CONFIGURED, store.LIMITS):
        if not cache.is_fresh(max_age=PRICES_SECONDS):
            await retry_while_unavailable(cache.get, max_age=PRICES_SECONDS)


async def _advance(execution_id: UUID, worker: str) -> None:
    """Carry an execution on; again, if the database has lost what this runner had done of it."""
    try:
        left = await _carry_on(execution_id, worker)
        while left is not None and left.status is ExecutionStatus.RUNNING and left.claimed_by == worker:
            logger.warning("the database has lost writes of %s; running it again", execution_id)
            left = await _carry_on(execution_id, worker)
    except NotFound:
        logger.warning("%s does not exist; it was removed, or the database has lost it", execution_id)


async def _carry_on(execution_id: UUID, worker: str) -> Execution | None:
    """Return the execution as its runner has left it; None when another worker runs it."""
    running = ExecutionRunner(build_ports(), execution_id=execution_id, worker=worker)
    silent = settings.RUNNER_SILENT_SECONDS
    with register(running, execution_id):
        try:
            await _know_prices_and_limits()
            try:
                return await running.run(take_over=False)
            except AlreadyClaimed:
                if not await retry_while_unavailable(
                    recovery.is_claimed_elsewhere, execution_id, worker, silent_seconds=silent
                ):
                    return await running.run()
            return None
        except asyncio.CancelledError:
            # This worker stops. What it handed back goes on at once elsewhere, not only after a sweep.
            try:
                await asyncio.shield(in_thread(enqueue_advance, execution_id))
            except DatabaseUnavailable:
                logger.warning("the database is unavailable; the recovery duty will find %s", execution_id)
            raise


async def execute_next_step(*, execution_id: UUID, worker: str) -> Execution:
    """Run the next step of an execution that can go on, here and now, and hand the execution back.

    `worker` is the name of a worker that beats: the sweep takes over from anybody else at once.

    Raises:
        NotFound: there is no such execution.
        DatabaseUnavailable: the database is away.
    """
    running = ExecutionRunner(build_ports(), execution_id=execution_id, worker=worker)
    await _know_prices_and_limits()
    with register(running, execution_id):
        return await running.step()
