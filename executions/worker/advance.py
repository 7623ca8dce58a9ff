"""Running executions: the work of a queue job."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from django.conf import settings

from common.errors import NotFound
from executions.composition import build_ports
from executions.db_threads import in_thread, retry_while_unavailable
from executions.engine.domain.errors import AlreadyClaimed, DatabaseUnavailable
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.engine.runtime.runner import ExecutionRunner
from executions.queue.jobs import enqueue_advance
from executions.worker import recovery
from executions.worker.active_runs import register, run_exclusively
from telemetry.pricing import prices
from telemetry.rate_limits import store

PRICES_SECONDS = 30.0  # maximum age of prices when a run starts; the worker loads them more often

logger = logging.getLogger(__name__)


async def advance_execution(*, execution_id: UUID, worker: str) -> None:
    """Run an execution until no step can continue. If there is nothing to run, this costs one query.

    If another worker runs the execution, that worker detects changes itself. While the database is unavailable, this
    waits. Cancelling the caller does not end the run; `active_runs.stop` does. A missing execution is ignored.
    """
    await run_exclusively(execution_id, lambda: _advance(execution_id, worker))


async def _know_prices_and_limits() -> None:
    for cache in (prices.CONFIGURED, store.LIMITS):
        if not cache.is_fresh(max_age=PRICES_SECONDS):
            await retry_while_unavailable(cache.get, max_age=PRICES_SECONDS)


async def _advance(execution_id: UUID, worker: str) -> None:
    """Run an execution, and run it again if the database has lost a part of this worker's writes."""
    try:
        left = await _run(execution_id, worker)
        while left is not None and left.status is ExecutionStatus.RUNNING and left.claimed_by == worker:
            logger.warning("the database has lost writes of %s; running it again", execution_id)
            left = await _run(execution_id, worker)
    except NotFound:
        logger.warning("%s does not exist; it was removed, or the database has lost it", execution_id)


async def _run(execution_id: UUID, worker: str) -> Execution | None:
    """Return the execution's state after the run; None if another worker runs it."""
    running = ExecutionRunner(build_ports(), execution_id=execution_id, worker=worker)
    silent = settings.WORKER_SILENT_SECONDS
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
            # This worker stops. The new job lets another worker continue the execution without waiting for recovery.
            try:
                await asyncio.shield(in_thread(enqueue_advance, execution_id))
            except DatabaseUnavailable:
                logger.warning("the database is unavailable; the recovery duty will find %s", execution_id)
            raise


async def execute_next_step(*, execution_id: UUID, worker: str) -> Execution:
    """Run the next ready step of an execution in this process, then release the execution.

    `worker` must be the name of a worker with a heartbeat, because recovery takes executions from all others at once.

    Raises:
        NotFound: there is no such execution.
        DatabaseUnavailable: the database cannot be reached.
    """
    running = ExecutionRunner(build_ports(), execution_id=execution_id, worker=worker)
    await _know_prices_and_limits()
    with register(running, execution_id):
        return await running.step()
